"""What all tests share: where real samples and golden cases lie."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real samples; tests that need it skip where it is not named."""
    folder = os.environ.get("PS3D_SAMPLES")
    if not folder:
        pytest.skip("PS3D_SAMPLES is not set: no real samples on this machine")
    if not Path(folder).is_dir():
        pytest.skip(f"PS3D_SAMPLES={folder} is not a folder")
    return Path(folder)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden metric cases: PS3D_GOLDEN or the one beside the tests."""
    return Path(os.environ.get("PS3D_GOLDEN", Path(__file__).parent / "golden"))

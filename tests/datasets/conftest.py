"""A tiny drive on disk for the readers' tests."""

from pathlib import Path

import pytest
from tiny_drive import write_tiny_drive


@pytest.fixture
def tiny_root(tmp_path) -> Path:
    write_tiny_drive(tmp_path)
    return tmp_path

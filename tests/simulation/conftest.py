"""One small drive with pictures, simulated once for all tests here."""

from pathlib import Path

import pytest

from ps3d.simulation import simulate_drive

NAME = "2013_05_28_drive_0000_sync"
FRAMES, SEED = 6, 7


@pytest.fixture(scope="session")
def drive(tmp_path_factory) -> Path:
    """Root of a data set with drive 0: six sweeps, one camera."""
    pytest.importorskip("open3d", reason="the simulator casts rays with Open3D: pip install open3d-cpu")
    root = tmp_path_factory.mktemp("simulated")
    simulate_drive(root, 0, FRAMES, SEED, cameras=1)
    return root

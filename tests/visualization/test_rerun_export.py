"""A .rrd file is written where rerun is installed; elsewhere one line says what to install."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from ps3d.structures import Frame, Scan
from ps3d.visualization.frames import TRUTH, FrameArtist, Style
from ps3d.visualization.rerun_export import write_rrd


def _frames(street):
    xyz, panoptic = street
    scan = Scan(xyz, np.zeros(len(xyz), np.float32), np.zeros(len(xyz), np.float32))
    return [(Frame(index, 0.1 * index, scan, world_from_lidar=np.eye(4)), {TRUTH: panoptic}) for index in range(3)]


def _rerun(*words: str) -> str:
    """What rerun's own program says about a file."""
    done = subprocess.run([sys.executable, "-m", "rerun", "rrd", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_rerun_reads_the_drive_back(street, taxonomy, tmp_path):
    pytest.importorskip("rerun", reason="rerun-sdk is not installed")
    artist = FrameArtist(taxonomy, style=Style(has_boxes=True, has_trails=True))
    path = write_rrd(tmp_path / "drive.rrd", _frames(street), artist)
    assert path.stat().st_size > 3 * 12 * len(street[0])
    assert "verified without error" in _rerun("verify", str(path))
    stats = _rerun("stats", str(path))
    for found in ("/car:", "/car/truth:", "lines", "Points3D:positions", "Points3D:colors", "LineStrips3D:strips"):
        assert found in stats, stats
    assert "frame:" in stats


@pytest.mark.skipif(importlib.util.find_spec("rerun") is not None, reason="rerun-sdk is installed")
def test_without_rerun_the_message_tells_what_to_install(street, taxonomy, tmp_path):
    with pytest.raises(ModuleNotFoundError, match="pip install rerun-sdk"):
        write_rrd(tmp_path / "drive.rrd", _frames(street), FrameArtist(taxonomy))
    assert not list(tmp_path.iterdir())

"""A .rrd file is written where rerun is installed; elsewhere one line says what to install."""

import importlib.util

import numpy as np
import pytest

from ps3d.structures import Frame, Scan
from ps3d.visualization.frames import TRUTH, FrameArtist
from ps3d.visualization.rerun_export import write_rrd


def _frames(street):
    xyz, panoptic = street
    scan = Scan(xyz, np.zeros(len(xyz), np.float32), np.zeros(len(xyz), np.float32))
    return [(Frame(index, 0.1 * index, scan, world_from_lidar=np.eye(4)), {TRUTH: panoptic}) for index in range(3)]


def test_a_drive_becomes_an_rrd_file(street, taxonomy, tmp_path):
    pytest.importorskip("rerun", reason="rerun-sdk is not installed")
    path = write_rrd(tmp_path / "drive.rrd", _frames(street), FrameArtist(taxonomy))
    content = path.read_bytes()
    assert content[:4] in (b"RRF2", b"RRIO")
    assert len(content) > 3 * 12 * len(street[0])


@pytest.mark.skipif(importlib.util.find_spec("rerun") is not None, reason="rerun-sdk is installed")
def test_without_rerun_the_message_tells_what_to_install(street, taxonomy, tmp_path):
    with pytest.raises(ModuleNotFoundError, match="pip install rerun-sdk"):
        write_rrd(tmp_path / "drive.rrd", _frames(street), FrameArtist(taxonomy))
    assert not list(tmp_path.iterdir())

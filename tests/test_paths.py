"""Tests of what users are told about paths."""

from pathlib import Path

import pytest

from ps3d.datasets.opening import recognize
from ps3d.ops.paths import existing_path


def test_a_mistyped_path_is_answered_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "KITTI-360").mkdir()
    assert existing_path(tmp_path / "KITTI-360") == tmp_path / "KITTI-360"
    with pytest.raises(FileNotFoundError, match=rf"kitti360/x: no such file or folder; {tmp_path} has KITTI-360"):
        recognize(tmp_path / "kitti360" / "x")
    with pytest.raises(FileNotFoundError, match="has nothing"):
        existing_path(tmp_path / "KITTI-360" / "data_2d_raw")


def test_many_neighbors_are_cut_short(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02d}").mkdir()
    with pytest.raises(FileNotFoundError, match=r"has 00, 01, .*07, \.\.\.$"):
        existing_path(tmp_path / "none")

"""The split by windows, and frames that both parts would hold."""

import pytest

from ps3d.datasets.kitti360_files import write_list
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name
from ps3d.datasets.kitti360_splits import split_frames


def test_frames_of_a_validation_window_are_not_for_training(tmp_path):
    layout, drive, other = Kitti360Layout(tmp_path), drive_name(0), drive_name(2)
    row = "data_3d_semantics/train/{}/static/{:010d}_{:010d}.ply".format
    write_list(layout.window_list("train"), [(row(drive, 2, 6),), (row(drive, 12, 14),), (row(other, 50, 60),)])
    write_list(layout.window_list("val"), [(row(drive, 5, 12),)])
    assert split_frames(tmp_path, drive, "val") == set(range(5, 13))
    assert split_frames(tmp_path, drive, "train") == {2, 3, 4, 13, 14}
    assert split_frames(tmp_path, other, "train") == set(range(50, 61))


def test_a_missing_list_and_a_wrong_split_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"drive_val\.txt"):
        split_frames(tmp_path, drive_name(0), "val")
    with pytest.raises(ValueError, match="train and val"):
        split_frames(tmp_path, drive_name(0), "test")
    write_list(Kitti360Layout(tmp_path).window_list("val"), [("something",)])
    with pytest.raises(ValueError, match=r"drive_val\.txt.*'something'"):
        split_frames(tmp_path, drive_name(0), "val")

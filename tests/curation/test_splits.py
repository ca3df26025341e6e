"""The official windows as lists of frames."""

import numpy as np
import pytest

from ps3d.curation.splits import official_windows, read_windows, split_frames


def count_windows(windows):
    return sum(map(len, windows.values()))


def test_the_official_numbers():
    train, val = official_windows("train"), official_windows("val")
    assert (count_windows(train), count_windows(val), count_windows(official_windows("test"))) == (239, 61, 42)
    split = split_frames(train, val)
    assert split.report()["train_frames"] == 54684
    assert split.report()["val_frames"] == 14600
    shared = [
        window
        for drive, ranges in val.items()
        for window in ranges
        if any(a <= window[1] and window[0] <= b for a, b in train.get(drive, ()))
    ]
    assert len(shared) == 28


def test_without_leakage_no_frame_is_in_both():
    split = split_frames(official_windows("train"), official_windows("val"), leakage_free=True)
    for drive, frames in split.train.items():
        assert not set(frames) & set(split.val.get(drive, ()))
    dropped = split.report()["dropped"]["inside a validation window"]
    assert dropped == 54684 - split.report()["train_frames"] > 0


def test_a_margin_drops_frames_that_see_the_validation_window():
    numbers = list(range(100))
    positions = {7: (numbers, np.array([[float(i), 0, 0] for i in numbers]))}
    split = split_frames({7: [(0, 80)]}, {7: [(70, 99)]}, True, positions, margin=10.0)
    assert split.train[7] == list(range(60))
    assert split.report()["dropped"] == {"inside a validation window": 11, "within 10 m of a validation frame": 10}


def test_a_list_file_is_read_and_a_bad_line_is_named(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("data_3d_semantics/train/2013_05_28_drive_0007_sync/static/0000000542_0000000629.ply\n")
    assert read_windows(path) == {7: [(542, 629)]}
    path.write_text("nonsense.ply\n")
    with pytest.raises(ValueError, match=r"line 1.*nonsense"):
        read_windows(path)

"""Windows that share scans are stitched to sequences."""

import numpy as np
import pytest
from street_scenes import CAR, PERSON, STREET, make_drive

from ps3d.structures import Panoptic
from ps3d.structures.sequence import LIDAR
from ps3d.tracking import WindowStitcher


def scan_of(*objects: tuple[int, int, int]) -> Panoptic:
    """(class, number, elements) ..."""
    semantic = np.concatenate([np.full(n, kind, np.uint8) for kind, _, n in objects])
    instance = np.concatenate([np.full(n, number, np.int32) for _, number, n in objects])
    return Panoptic(semantic, instance)


def test_windows_of_a_street_get_one_number_per_object():
    frames = make_drive(12, 0)
    stitcher, rng, seen = WindowStitcher(STREET), np.random.default_rng(0), {}
    for begin in range(0, 11, 2):
        table = np.append(0, rng.permutation(100) + 1).astype(np.int32)
        window = {}
        for frame in frames[begin : begin + 3]:
            truth = frame.truth[LIDAR]
            window[frame.index] = Panoptic(truth.semantic, table[truth.instance])
        for index, label in stitcher.update(window).items():
            truth = frames[index].truth[LIDAR].instance
            for number in np.unique(truth[truth > 0]).tolist():
                seen.setdefault(number, []).append(set(label.instance[truth == number].tolist()))
    for number, sets in seen.items():
        assert all(len(found) == 1 for found in sets), number
    always = [sets for sets in seen.values() if len(sets) == 17]
    assert len(always) > 10
    assert all(len(set.union(*sets)) == 1 for sets in always)


def test_objects_of_other_classes_and_of_windows_that_share_nothing_get_new_numbers():
    stitcher = WindowStitcher(STREET)
    assert set(stitcher.update({0: scan_of((CAR, 7, 20)), 1: scan_of((CAR, 7, 20))})[1].instance) == {1}
    assert set(stitcher.update({1: scan_of((PERSON, 7, 20)), 2: scan_of((PERSON, 7, 20))})[2].instance) == {2}
    assert set(stitcher.update({5: scan_of((PERSON, 7, 20))})[5].instance) == {3}
    assert stitcher.update({}) == {}


def test_a_shared_scan_of_another_length_is_an_error_that_names_it():
    stitcher = WindowStitcher(STREET)
    stitcher.update({3: scan_of((CAR, 1, 20))})
    with pytest.raises(ValueError, match=r"frame 3: 19 elements, but 20"):
        stitcher.update({3: scan_of((CAR, 1, 19))})

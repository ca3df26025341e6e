"""The same tracker on pictures: elements are pixels."""

import numpy as np
from street_scenes import CAR, PERSON, ROAD, STREET

from ps3d.structures import Frame, Panoptic
from ps3d.tracking import IMAGE_TRACKING, Tracker


def make_picture(boxes: dict[int, tuple[int, int, int, int, int]]) -> Panoptic:
    """number -> (class, row, column, height, width)"""
    semantic, instance = np.full((120, 320), ROAD, np.uint8), np.zeros((120, 320), np.int32)
    for number, (kind, row, column, height, width) in boxes.items():
        semantic[row : row + height, column : column + width] = kind
        instance[row : row + height, column : column + width] = number
    return Panoptic(semantic, instance)


def test_moving_masks_keep_their_numbers():
    tracker = Tracker(STREET)
    seen: dict[int, set[int]] = {1: set(), 2: set(), 3: set()}
    for index in range(12):
        boxes = {
            1: (CAR, 60, 10 + 15 * index, 30, 60),
            2: (CAR, 20, 250 - 15 * index, 24, 50),
            3: (PERSON, 70, 300 - 2 * index, 40, 14),
        }
        truth = make_picture(boxes)
        shuffled = Panoptic(
            truth.semantic, np.where(truth.instance > 0, 10 + (truth.instance + index) % 3, 0).astype(np.int32)
        )
        tracked = tracker.update(shuffled, Frame(index, index / 10))
        assert tracked.shape == truth.shape
        for number, tracks in seen.items():
            tracks |= set(tracked.instance[truth.instance == number].tolist())
    assert [len(tracks) for tracks in seen.values()] == [1, 1, 1]
    assert tracker.options == IMAGE_TRACKING


def test_masks_of_a_few_pixels_are_tracked_too():
    tracker = Tracker(STREET)
    for index in range(4):
        truth = make_picture({1: (CAR, 60, 10 + 2 * index, 3, 3)})
        tracked = tracker.update(truth, Frame(index, index / 10))
        assert set(tracked.instance[truth.instance == 1].tolist()) == {1}


def test_a_picture_without_objects_is_no_event():
    tracker = Tracker(STREET)
    for index in range(3):
        assert not tracker.update(make_picture({}), Frame(index, index / 10)).instance.any()

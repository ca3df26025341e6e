"""Predicted objects have the color of the object of the truth they stand for, through the sequence."""

import numpy as np
import pytest

from ps3d.structures import Frame, Panoptic, Scan
from ps3d.visualization.colors import InstanceColors
from ps3d.visualization.frames import PREDICTION, TRUTH, FrameArtist, Style
from ps3d.visualization.palettes import distance_between
from ps3d.visualization.partners import find_partners


def _labels(numbers: list[int], class_id: int = 1) -> Panoptic:
    instance = np.repeat(numbers, 10).astype(np.int32)
    return Panoptic(np.where(instance > 0, class_id, 0).astype(np.uint8), instance)


POSITIONS = np.stack([np.arange(80) // 10 * 4.0, np.zeros(80), np.zeros(80)], -1)


def test_each_predicted_object_stands_for_the_one_it_shares_most_with(taxonomy):
    truth = _labels([1, 1, 1, 2, 2, 3, 0, 0])
    found = _labels([7, 7, 8, 8, 8, 0, 9, 9])
    assert find_partners(found, truth, taxonomy, {}) == {(1, 7): (1, 1), (1, 8): (1, 2)}
    assert find_partners(found, truth, taxonomy, {}, {(1, 2)}) == {(1, 7): (1, 1)}
    # A car taken for another class is still that car.
    other = Panoptic(np.where(found.semantic == 1, 2, found.semantic), found.instance)
    assert find_partners(other, truth, taxonomy, {}) == {(2, 7): (1, 1), (2, 8): (1, 2)}


def test_of_the_parts_of_an_object_only_the_largest_stands_for_it(taxonomy):
    truth = _labels([1, 1, 1, 1, 1, 2, 2, 2])
    found = _labels([4, 4, 4, 5, 5, 6, 6, 6])
    assert find_partners(found, truth, taxonomy, {}) == {(1, 4): (1, 1), (1, 6): (1, 2)}


def test_small_changes_do_not_part_partners(taxonomy):
    truth, found = _labels([1, 1, 1, 2, 2, 2, 2, 0]), _labels([5, 5, 5, 5, 5, 5, 5, 0])
    assert find_partners(found, truth, taxonomy, {}) == {(1, 5): (1, 2)}
    assert find_partners(found, truth, taxonomy, {(1, 5): (1, 1)}) == {(1, 5): (1, 1)}


def test_labels_of_different_elements_are_refused(taxonomy):
    with pytest.raises(ValueError, match="cannot compare"):
        find_partners(_labels([1, 2]), _labels([1]), taxonomy, {})


@pytest.mark.parametrize("is_safe", [False, True])
def test_colors_follow_the_truth_and_invented_objects_differ_from_it(taxonomy, is_safe):
    truth_colors, colors = InstanceColors(is_safe), InstanceColors(is_safe)
    truth = _labels([1, 0, 2, 0, 3, 0, 4, 0])
    # The numbers of a network that does not track: others in each frame.
    for numbers in ([31, 32, 33, 0, 34, 0, 35, 36], [35, 31, 32, 0, 33, 0, 34, 36], [1, 32, 4, 0, 3, 0, 2, 36]):
        found = _labels(numbers)
        truth_colors.meet(truth, taxonomy, POSITIONS)
        colors.meet_beside(found, taxonomy, POSITIONS, truth, truth_colors)
        for mine, theirs in zip(numbers[::2], (1, 2, 3, 4), strict=True):
            np.testing.assert_array_equal(colors.of(1, mine), truth_colors.of(1, theirs))
        invented = np.stack([colors.of(1, numbers[1]), colors.of(1, numbers[7])])
        others = np.stack([truth_colors.of(1, number) for number in (1, 2, 3, 4)])
        assert distance_between(invented, others, is_safe).min() > 0.05


def test_objects_keep_their_colors_while_the_truth_is_out_of_sight(taxonomy):
    truth_colors, colors = InstanceColors(), InstanceColors()
    seen = []
    for truth, found in (([1, 1, 2, 2, 0, 0, 0, 0], [5, 5, 6, 6, 7, 7, 0, 0]), ([0] * 8, [5, 5, 6, 6, 7, 7, 0, 0])):
        truth_colors.meet(_labels(truth), taxonomy, POSITIONS)
        colors.meet_beside(_labels(found), taxonomy, POSITIONS, _labels(truth), truth_colors)
        seen.append([colors.of(1, number).tolist() for number in (5, 6, 7)])
    assert seen[0] == seen[1]


def test_a_track_that_passes_to_another_object_takes_its_color_along(taxonomy):
    truth = _labels([1, 1, 0, 0, 2, 2, 0, 0])
    for is_for_good in (True, False):
        truth_colors, colors = InstanceColors(), InstanceColors()
        truth_colors.meet(truth, taxonomy, POSITIONS)
        for numbers in ([5, 5, 0, 0, 0, 0, 0, 0], [9, 9, 0, 0, 5, 5, 0, 0]):
            colors.meet_beside(_labels(numbers), taxonomy, POSITIONS, truth, truth_colors, is_for_good=is_for_good)
        switched = (colors.of(1, 5) == truth_colors.of(1, 1)).all()
        assert switched == is_for_good
        assert (colors.of(1, 9) == truth_colors.of(1, 1)).all() == (not is_for_good)


@pytest.mark.parametrize("mode", ["instance", "track"])
def test_both_views_of_a_drive_have_the_same_colors(street, taxonomy, mode):
    xyz, truth = street
    artist = FrameArtist(taxonomy, style=Style(color=mode, size=(90, 160)))
    is_object = truth.instance > 0
    for index in range(3):
        found = Panoptic(truth.semantic, np.where(is_object, 100 - truth.instance, 0).astype(np.int32))
        scan = Scan(xyz, np.zeros(len(xyz), np.float32), np.zeros(len(xyz), np.float32))
        labelings = {PREDICTION: found, TRUTH: truth}
        artist.draw(Frame(index, 0.1 * index, scan), labelings, "bird")
        colors = [artist.colors(Frame(index, 0.1 * index, scan), labelings, source) for source in labelings]
        np.testing.assert_array_equal(colors[0], colors[1])

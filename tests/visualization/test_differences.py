"""Outcomes of elements on labelings small enough to check by hand."""

import numpy as np
import pytest

from ps3d.structures import VOID, Panoptic
from ps3d.visualization.differences import OUTCOME_COLORS, OUTCOME_NAMES, Outcome, color_by_error, compare


def _labels(semantic, instance) -> Panoptic:
    return Panoptic(np.array(semantic, np.uint8), np.array(instance, np.int32))


def test_each_outcome_appears_where_it_should(taxonomy):
    truth = _labels(
        [0] * 5 + [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, VOID], [0] * 5 + [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 0, 0, 0]
    )
    found = _labels(
        [0] * 5 + [0, 0, 0, 2, 1, 1, 1, 0, 0, VOID, 1, 1, 1], [0] * 5 + [0, 0, 0, 9, 7, 7, 7, 0, 0, 0, 8, 8, 8]
    )
    expected = (
        [Outcome.RIGHT] * 8
        + [Outcome.FALSE_POSITIVE]  # a person invented on the road
        + [Outcome.RIGHT] * 3
        + [Outcome.BORDER]  # the car's last point went to the road
        + [Outcome.FALSE_NEGATIVE] * 2  # a person missed, once as road, once as nothing
        + [Outcome.CONFUSED] * 2  # a wall taken for a car
        + [Outcome.IGNORED]
    )
    assert compare(truth, found, taxonomy).tolist() == [int(outcome) for outcome in expected]


def test_numbers_of_instances_do_not_matter_and_merging_them_does(taxonomy):
    truth = _labels([[1, 1, 1, 1, 1]], [[1, 1, 1, 2, 2]])
    assert (compare(truth, _labels([[1] * 5], [[9, 9, 9, 4, 4]]), taxonomy) == Outcome.RIGHT).all()
    merged = compare(truth, _labels([[1] * 5], [[3] * 5]), taxonomy)
    assert merged.tolist() == [[Outcome.RIGHT] * 3 + [Outcome.FALSE_NEGATIVE] * 2]


def test_numbers_on_stuff_are_ignored(taxonomy):
    truth, found = _labels([0, 0], [0, 0]), _labels([0, 0], [4, 5])
    assert (compare(truth, found, taxonomy) == Outcome.RIGHT).all()


def test_nothing_labeled_is_nothing_wrong(taxonomy):
    nothing = _labels([VOID] * 3, [0] * 3)
    assert (compare(nothing, _labels([1, 1, 0], [1, 1, 0]), taxonomy) == Outcome.IGNORED).all()


def test_each_outcome_has_a_name_and_a_color():
    assert len(OUTCOME_NAMES) == len(OUTCOME_COLORS) == len(Outcome)


def test_unequal_shapes_are_refused(taxonomy):
    with pytest.raises(ValueError, match=r"shape \(2,\).*\(3,\)"):
        color_by_error(_labels([0, 0], [0, 0]), _labels([0] * 3, [0] * 3), taxonomy)

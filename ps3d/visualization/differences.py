"""Where a prediction is wrong: the outcome of each element, after segments have been matched."""

from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from ps3d.ops.overlap import count_overlap
from ps3d.structures import VOID, Panoptic, Taxonomy


class Outcome(IntEnum):
    """What happened to an element.

    A segment is matched when it shares more than half of the union with a segment of the same class (Kirillov et al.,
    CVPR 2019). Elements without truth are `IGNORED`.
    """

    IGNORED = 0
    RIGHT = 1
    FALSE_NEGATIVE = 2
    FALSE_POSITIVE = 3
    CONFUSED = 4
    BORDER = 5


OUTCOME_NAMES = (
    "no truth",
    "right",
    "missed (false negative)",
    "invented (false positive)",
    "taken for another",
    "wrong side of a border",
)

# Okabe and Ito's set, which color-blind people tell apart; what is right stays in the background.
OUTCOME_COLORS = np.array(
    [(40, 40, 40), (120, 120, 120), (0, 114, 178), (213, 94, 0), (204, 121, 167), (240, 228, 66)], np.uint8
)


def compare(truth: Panoptic, prediction: Panoptic, taxonomy: Taxonomy) -> UInt8[np.ndarray, "*elements"]:
    """`Outcome` of each element.

    FALSE_NEGATIVE: in a segment of the truth that nothing matches, predicted as nothing or as part of a matched one.
    FALSE_POSITIVE: in a predicted segment that matches nothing, on truth that is matched.
    CONFUSED: both: an unmatched segment of the truth under an unmatched predicted one, e.g. a truck taken for a car.
    BORDER: both segments are matched, but not with each other.

    Raises:
        ValueError: the two labelings differ in shape.
    """
    if truth.shape != prediction.shape:
        raise ValueError(
            f"truth has the shape {truth.shape}, the prediction {prediction.shape}; compare equal elements"
        )
    left, right = _segments(truth, taxonomy), _segments(prediction, taxonomy)
    has_truth = truth.semantic.reshape(-1) != VOID
    match_left, match_right, is_pair = _match(left, right, has_truth)
    outcome = np.full(len(left), Outcome.BORDER, np.uint8)
    outcome[~match_left & match_right] = Outcome.FALSE_NEGATIVE
    outcome[match_left & ~match_right] = Outcome.FALSE_POSITIVE
    outcome[~match_left & ~match_right] = Outcome.CONFUSED
    is_silent = (prediction.semantic.reshape(-1) == VOID) & ~match_left
    outcome[is_silent] = Outcome.FALSE_NEGATIVE
    outcome[(prediction.semantic.reshape(-1) == VOID) & match_left] = Outcome.BORDER
    outcome[is_pair] = Outcome.RIGHT
    outcome[~has_truth] = Outcome.IGNORED
    return outcome.reshape(truth.shape)


def color_by_error(truth: Panoptic, prediction: Panoptic, taxonomy: Taxonomy) -> UInt8[np.ndarray, "*elements 3"]:
    """The color of each element's outcome; the legend is `OUTCOME_NAMES` with `OUTCOME_COLORS`."""
    return OUTCOME_COLORS[compare(truth, prediction, taxonomy)]


def _segments(panoptic: Panoptic, taxonomy: Taxonomy) -> Int64[np.ndarray, "elements"]:
    """One number for each (class, instance); stuff has no instances."""
    semantic = panoptic.semantic.reshape(-1).astype(np.int64)
    is_thing = np.zeros(256, bool)
    is_thing[: len(taxonomy)] = taxonomy.is_thing
    instance = np.where(is_thing[semantic], panoptic.instance.reshape(-1), 0).astype(np.int64)
    distinct, place = np.unique(semantic << 32 | instance, return_inverse=True)
    # Class in the low byte, so that a number stays below 2**32 and tells its class.
    return np.arange(len(distinct))[place] << 8 | semantic


def _match(
    left: Int64[np.ndarray, "elements"], right: Int64[np.ndarray, "elements"], has_truth: Bool[np.ndarray, "elements"]
) -> tuple[Bool[np.ndarray, "elements"], Bool[np.ndarray, "elements"], Bool[np.ndarray, "elements"]]:
    """For each element: is its truth segment matched, is its predicted segment matched, with each other?"""
    left, right = left[has_truth], right[has_truth]
    overlap = count_overlap(left, right)
    size_left, size_right = np.bincount(left), np.bincount(right)
    union = size_left[overlap.left] + size_right[overlap.right] - overlap.shared
    is_match = (2 * overlap.shared > union) & (overlap.left & 255 == overlap.right & 255) & (overlap.left & 255 != VOID)
    partner = np.full(len(size_left), -1)
    partner[overlap.left[is_match]] = overlap.right[is_match]
    is_matched_right = np.zeros(len(size_right), bool)
    is_matched_right[overlap.right[is_match]] = True
    found = [np.zeros(len(has_truth), bool) for _ in range(3)]
    found[0][has_truth] = partner[left] >= 0
    found[1][has_truth] = is_matched_right[right]
    found[2][has_truth] = partner[left] == right
    return found[0], found[1], found[2]

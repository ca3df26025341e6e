"""Which objects of a frame are wrong: false positives and negatives, splits and merges, to be listed and drawn."""

from dataclasses import dataclass, field

import numpy as np

from ps3d.metrics.panoptic_quality import match_segments
from ps3d.metrics.rules import Rules
from ps3d.metrics.segments import SEGMENT, VOID_AREA, SegmentOverlap, merge_labels, remove_void
from ps3d.structures import Taxonomy

FALSE_POSITIVE, FALSE_NEGATIVE, SPLIT, MERGE = "false positive", "false negative", "split", "merge"
_SHARE = 0.2  # a part counts for a split or merge from this share of the smaller segment on


@dataclass(frozen=True)
class SegmentError:
    """One wrong segment.

    Attributes:
        kind: FALSE_POSITIVE, FALSE_NEGATIVE, SPLIT (a true object in several predictions) or MERGE.
        semantic, instance: of the segment; a split names the true one, a merge the predicted one.
        area: elements.
        others: instances of the other side that share it.
    """

    kind: str
    semantic: int
    instance: int
    area: int
    others: tuple[int, ...] = ()


@dataclass(frozen=True)
class FrameErrors:
    """The errors of one frame; `sequence` and `frame` say which."""

    sequence: str
    frame: str
    errors: tuple[SegmentError, ...]

    def count(self, kind: str) -> int:
        return sum(error.kind == kind for error in self.errors)

    @property
    def elements(self) -> int:
        """Elements in missed and invented segments."""
        return sum(error.area for error in self.errors if error.kind in (FALSE_POSITIVE, FALSE_NEGATIVE))


@dataclass(frozen=True)
class WorstFrames:
    """The frames with the most wrong segments; keeps `limit` of them, so that it adds in bounded memory."""

    limit: int
    frames: tuple[FrameErrors, ...] = field(default=())

    def __add__(self, other: "WorstFrames") -> "WorstFrames":
        frames = sorted(self.frames + other.frames, key=_badness)
        return WorstFrames(self.limit, tuple(frames[: self.limit]))


def _badness(frame: FrameErrors) -> tuple[int, int, str, str]:
    wrong = frame.count(FALSE_POSITIVE) + frame.count(FALSE_NEGATIVE)
    return -wrong, -frame.elements, frame.sequence, frame.frame


def find_errors(
    overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules, sequence: str = "", frame: str = ""
) -> FrameErrors:
    """The wrong segments of one frame, the largest first."""
    if rules.merges_labels:
        overlap = merge_labels(overlap, taxonomy)
    if rules.void == "removed":
        overlap = remove_void(overlap)
    matches = match_segments(overlap, rules)
    truth, prediction = overlap.truth, overlap.prediction
    errors = []
    for side, matched, kind in (
        (truth, matches.truth, FALSE_NEGATIVE),
        (prediction, matches.prediction, FALSE_POSITIVE),
    ):
        is_wrong = (side.kind == SEGMENT) & (side.area >= max(rules.minimum, 1))
        is_wrong[matched] = False
        if kind == FALSE_POSITIVE:
            is_wrong &= ~_is_excused(overlap)
        for i in np.flatnonzero(is_wrong):
            errors.append(SegmentError(kind, int(side.semantic[i]), int(side.instance[i]), int(side.area[i])))
    errors += _parts(overlap, taxonomy)
    return FrameErrors(sequence, frame, tuple(sorted(errors, key=lambda e: -e.area)))


def _is_excused(overlap: SegmentOverlap) -> np.ndarray:
    """Predictions that lie mostly on void."""
    on_void = np.zeros(len(overlap.prediction), np.int64)
    is_void = overlap.truth.kind[overlap.truth_place] == VOID_AREA
    np.add.at(on_void, overlap.prediction_place[is_void], overlap.shared[is_void])
    return 2 * on_void > overlap.prediction.area


def _parts(overlap: SegmentOverlap, taxonomy: Taxonomy) -> list[SegmentError]:
    """Splits and merges of things."""
    is_thing = np.zeros(256, bool)
    is_thing[: len(taxonomy)] = taxonomy.is_thing
    truth, prediction = overlap.truth, overlap.prediction
    t, p, shared = overlap.truth_place, overlap.prediction_place, overlap.shared
    smaller = np.minimum(truth.area[t], prediction.area[p])
    is_part = is_thing[overlap.truth_class] & is_thing[overlap.prediction_class] & (shared >= _SHARE * smaller)
    errors = []
    for kind, mine, theirs, side, other in ((SPLIT, t, p, truth, prediction), (MERGE, p, t, prediction, truth)):
        for i in np.unique(mine[is_part]):
            partners = theirs[is_part & (mine == i)]
            if len(partners) > 1:
                names = tuple(int(number) for number in other.instance[partners])
                errors.append(
                    SegmentError(kind, int(side.semantic[i]), int(side.instance[i]), int(side.area[i]), names)
                )
    return errors

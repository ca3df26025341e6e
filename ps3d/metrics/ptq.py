"""PTQ and the MOTSA family on panoptic labels: panoptic quality that also counts identity switches.

PTQ = (sum of IoUs - switches) / (TP + FP/2 + FN/2); sPTQ subtracts only the IoUs of the switching matches (Hurtado et
al., "MOPT", 2020). MOTSA = (TP - FP - switches) / truth, sMOTSA has the sum of IoUs for TP, MOTSP is the mean IoU
(Voigtlaender et al., CVPR 2019).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from ps3d.metrics.panoptic_quality import PanopticCounts, count_panoptic_overlap, match_segments
from ps3d.metrics.result import Result, class_mean, ratio
from ps3d.metrics.rules import OFFICIAL, Rules
from ps3d.metrics.segments import (
    SEGMENT,
    UNLISTED,
    VOID_AREA,
    SegmentOverlap,
    Segments,
    merge_labels,
    panoptic_overlap,
    regroup,
    sum_by,
)
from ps3d.structures import VOID, Panoptic, Taxonomy

_SMALLEST_OBJECT, _FIRST_NUMBER = 50, 20  # fixed in the 4D-PLS script


@dataclass(frozen=True)
class TrackMatches:
    """Which predicted number each true object was matched with, sorted by object."""

    track: Int64[np.ndarray, "matches"]
    number: Int64[np.ndarray, "matches"]
    iou: Float64[np.ndarray, "matches"]
    semantic: Int64[np.ndarray, "matches"]


@dataclass(frozen=True)
class Seams:
    """The two ends of a stretch of one sequence: what the frames before and after need to know.

    With memory they hold the first and the last match of each object, without it those of the outermost frames.
    """

    first: TrackMatches
    last: TrackMatches


@dataclass(frozen=True)
class TrackedCounts:
    """State of PTQ and MOTSA. Stretches of one sequence add in the order of time."""

    panoptic: PanopticCounts
    switches: Int64[np.ndarray, "classes"]
    soft_switches: Float64[np.ndarray, "classes"]
    sequences: Mapping[str, Seams]

    def __add__(self, other: "TrackedCounts") -> "TrackedCounts":
        switches = self.switches + other.switches
        soft_switches = self.soft_switches + other.soft_switches
        sequences = dict(self.sequences)
        for name, later in other.sequences.items():
            if name not in sequences:
                sequences[name] = later
                continue
            earlier = sequences[name]
            _, before, after = np.intersect1d(earlier.last.track, later.first.track, return_indices=True)
            is_switch = earlier.last.number[before] != later.first.number[after]
            where = later.first.semantic[after[is_switch]]
            np.add.at(switches, where, 1)
            np.add.at(soft_switches, where, later.first.iou[after[is_switch]])
            sequences[name] = _join(earlier, later, self.panoptic.rules)
        return TrackedCounts(self.panoptic + other.panoptic, switches, soft_switches, sequences)

    def result(self) -> Result:
        """Means over the classes that occur in the truth; MOTSA, sMOTSA and MOTSP over things only."""
        counts = self.panoptic
        is_thing = counts.taxonomy.is_thing
        truth = counts.tp + counts.fn
        denominator = counts.tp + 0.5 * counts.fp + 0.5 * counts.fn
        per_class = {
            "ptq": ratio(counts.iou - self.switches, denominator),
            "sptq": ratio(counts.iou - self.soft_switches, denominator),
            "motsa": ratio(counts.tp - counts.fp - self.switches, truth),
            "smotsa": ratio(counts.iou - counts.fp - self.switches, truth),
            "motsp": ratio(counts.iou, counts.tp),
            "switches": self.switches.astype(float),
            "soft_switches": self.soft_switches,
        }
        segmentation = counts.result()
        values = {name: class_mean(per_class[name], truth > 0) for name in ("ptq", "sptq")}
        values |= {name: class_mean(per_class[name], is_thing & (truth > 0)) for name in ("motsa", "smotsa", "motsp")}
        mixed = np.where(is_thing, per_class["ptq"], segmentation.per_class["iou"])
        everything = np.ones(len(mixed), bool)
        values["ptq_dagger"] = class_mean(mixed, everything if counts.rules.absent == "zero" else truth > 0)
        return Result("ptq", counts.rules.name, values, per_class, counts.taxonomy.names)


def count_tracked(
    truth: Panoptic,
    prediction: Panoptic,
    taxonomy: Taxonomy,
    rules: Rules = OFFICIAL["nuscenes"],
    sequence: str = "",
    where: str = "frame",
) -> TrackedCounts:
    """The share of one frame in PTQ and MOTSA; add the frames of a sequence in their order."""
    return count_tracked_overlap(panoptic_overlap(truth, prediction, where), taxonomy, rules, sequence)


def count_tracked_overlap(
    overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules, sequence: str = ""
) -> TrackedCounts:
    """The same from the overlap table of a frame, which other metrics share."""
    if rules.track_votes:
        overlap = vote_objects(overlap, taxonomy)
    elif rules.merges_labels:
        overlap = merge_labels(overlap, taxonomy)
    matches = match_segments(overlap, rules)
    semantic = overlap.truth.semantic[matches.truth]
    is_thing = taxonomy.is_thing[semantic]
    track, number = overlap.truth.key[matches.truth], overlap.prediction.key[matches.prediction]
    found = TrackMatches(track[is_thing], number[is_thing], matches.iou[is_thing], semantic[is_thing])
    found = _one_per_track(found)
    classes = len(taxonomy)
    counts = count_panoptic_overlap(overlap, taxonomy, rules)
    seams = {sequence: Seams(found, found)}
    return TrackedCounts(counts, np.zeros(classes, np.int64), np.zeros(classes), seams)


def _one_per_track(found: TrackMatches) -> TrackMatches:
    """Sorted by object; of several matches of one object the last counts (4D-PLS mixes objects up)."""
    order = np.argsort(found.track, kind="stable")
    track = found.track[order]
    is_last = np.ones(len(track), bool)
    is_last[:-1] = track[1:] != track[:-1]
    return _take(found, order[is_last])


def _take(matches: TrackMatches, where: np.ndarray) -> TrackMatches:
    return TrackMatches(matches.track[where], matches.number[where], matches.iou[where], matches.semantic[where])


def _join(earlier: Seams, later: Seams, rules: Rules) -> Seams:
    if not rules.track_memory:
        return Seams(earlier.first, later.last)
    return Seams(_complete(earlier.first, later.first), _complete(later.last, earlier.last))


def _complete(preferred: TrackMatches, other: TrackMatches) -> TrackMatches:
    """All objects of both, with the match of `preferred` where it has one."""
    both = [np.concatenate(pair) for pair in zip(_columns(other), _columns(preferred), strict=True)]
    return _one_per_track(TrackMatches(*both))


def _columns(matches: TrackMatches) -> tuple[np.ndarray, ...]:
    return matches.track, matches.number, matches.iou, matches.semantic


def vote_objects(overlap: SegmentOverlap, taxonomy: Taxonomy) -> SegmentOverlap:
    """Objects as the 4D-PLS script for PTQ forms them.

    Truth: stuff is one segment per class, things of fewer than 50 elements are void. Prediction: every number of at
    least 20 with at least 50 elements is an object of the class most of its elements have (UNLISTED where that is
    void); other things are void.
    The script adds number and class into one track number, so different objects can share it.
    """
    is_thing = np.zeros(VOID + 1, bool)
    is_thing[: len(taxonomy)] = taxonomy.is_thing
    truth = overlap.truth
    thing = is_thing[truth.semantic]
    semantic = np.where(truth.kind == VOID_AREA, VOID, truth.semantic)
    truth, truth_of = _pool(truth, semantic, np.where(thing, truth.instance, -1))
    is_small = is_thing[truth.semantic] & (truth.area < _SMALLEST_OBJECT)
    kind = np.where(is_small | (truth.semantic == VOID), VOID_AREA, SEGMENT).astype(np.int8)
    track = np.where(is_thing[truth.semantic], truth.instance + truth.semantic, -1)
    truth = Segments(track, np.where(is_small, VOID, truth.semantic), truth.instance, truth.area, kind)

    prediction = overlap.prediction
    numbers, number_of = np.unique(prediction.instance, return_inverse=True)
    number_of = number_of.reshape(-1)
    votes = np.zeros((len(numbers), VOID + 1), np.int64)
    np.add.at(votes, (number_of, prediction.semantic), prediction.area)
    is_object = (numbers + 1 > _FIRST_NUMBER) & (votes.sum(1) >= _SMALLEST_OBJECT)
    in_object = is_object[number_of]
    # Void comes first among equal votes, as it is class 0 of the script.
    voted = np.roll(np.arange(VOID + 1), 1)[np.roll(votes, 1, axis=1).argmax(1)]
    rest = np.where(is_thing[prediction.semantic], VOID, prediction.semantic)
    semantic = np.where(in_object, voted[number_of], rest)
    prediction, prediction_of = _pool(prediction, semantic, np.where(in_object, prediction.instance, -1))
    is_void = prediction.semantic == VOID
    kind = np.where(is_void, np.where(prediction.instance < 0, VOID_AREA, UNLISTED), SEGMENT).astype(np.int8)
    number = prediction.instance + prediction.semantic
    prediction = Segments(number, prediction.semantic, prediction.instance, prediction.area, kind)
    return regroup(overlap, truth, truth_of, prediction, prediction_of)


def _pool(segments: Segments, semantic: np.ndarray, instance: np.ndarray) -> tuple[Segments, np.ndarray]:
    """Pool segments of one class and instance (-1: the whole class), in the order of class and instance."""
    marked = semantic * (1 << 33) + instance + 1
    merged, first, place = np.unique(marked, return_index=True, return_inverse=True)
    place = place.reshape(-1)
    area = sum_by(place, segments.area, len(merged))
    return Segments(merged, semantic[first], instance[first], area, segments.kind[first]), place

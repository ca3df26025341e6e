"""LSTQ and STQ: are the same objects found, and do they keep their number, over whole sequences?

Both are sqrt(association x segmentation). A tube is all elements of an object in a sequence. The association score of
a true tube T is 1/|T| times the sum over predicted tubes P of |T and P| x IoU(T, P) (Aygun et al., CVPR 2021; Weber et
al., NeurIPS 2021). What belongs to a tube is where the benchmarks differ: see the `tube_` fields of `Rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ps3d.metrics.pair_sums import PairSums, find_sums, sum_keys, sum_pairs
from ps3d.metrics.result import Result, ratio
from ps3d.metrics.rules import OFFICIAL, Rules
from ps3d.metrics.segments import SEGMENT, VOID_AREA, SegmentOverlap, panoptic_overlap
from ps3d.metrics.semantic_iou import class_iou, count_confusion, occurs
from ps3d.structures import VOID, Panoptic, Taxonomy

_CLASS_SHIFT = 32
_NO_TUBE = -1


@dataclass(frozen=True)
class TubeTable:
    """The tubes of one sequence, as far as it has been counted.

    Attributes:
        truth, prediction: size of each tube in elements, by tube key (class << 32 | instance; predicted tubes of
            rules without `tube_class` have the instance alone).
        shared: elements that a true and a predicted tube share.
        confusion: elements by predicted (row) and true (column) class; the last of each is VOID.
        frames: number of frames.
    """

    truth: PairSums
    prediction: PairSums
    shared: PairSums
    confusion: Int64[np.ndarray, "classes_and_void classes_and_void"]
    frames: int

    def __add__(self, other: "TubeTable") -> "TubeTable":
        return TubeTable(
            self.truth + other.truth,
            self.prediction + other.prediction,
            self.shared + other.shared,
            self.confusion + other.confusion,
            self.frames + other.frames,
        )


@dataclass(frozen=True)
class TubeCounts:
    """State of LSTQ and STQ: one table per sequence. It grows with the objects of a sequence, not with its frames."""

    taxonomy: Taxonomy
    rules: Rules
    sequences: Mapping[str, TubeTable]

    def __add__(self, other: "TubeCounts") -> "TubeCounts":
        if self.rules != other.rules or self.taxonomy.names != other.taxonomy.names:
            raise ValueError(f"counts by {self.rules.name} and by {other.rules.name} do not add")
        sequences = dict(self.sequences)
        for name, table in other.sequences.items():
            sequences[name] = sequences[name] + table if name in sequences else table
        return TubeCounts(self.taxonomy, self.rules, sequences)

    def result(self) -> Result:
        """`lstq` (STQ by the rules of kitti_step and deeplab2), its association and segmentation terms, and both terms
        per class. `pair_precision` and `pair_recall` are the side results of the 4D-PLS script: plain means over all
        pairs of tubes that meet.
        """
        per_class, precision, recall = _associate(self)
        association, tubes = per_class["association"], per_class["tubes"]
        counted = tubes[self.taxonomy.is_thing].sum()
        confusion = sum(table.confusion for table in self.sequences.values())
        assert isinstance(confusion, np.ndarray)
        s_cls, iou = segmentation_score(confusion, self.rules), class_iou(confusion)
        s_assoc = float(association.sum() / counted) if counted else float("nan")
        values = {
            "lstq": float(np.sqrt(s_assoc * s_cls)),
            "s_assoc": s_assoc,
            "s_cls": s_cls,
            "pair_precision": precision,
            "pair_recall": recall,
        }
        per_class = per_class | {"s_assoc": ratio(association, tubes), "iou": iou}
        return Result("tracking_quality", self.rules.name, values, per_class, self.taxonomy.names)

    def sequence_results(self) -> dict[str, Result]:
        """The same for each sequence alone."""
        return {
            name: TubeCounts(self.taxonomy, self.rules, {name: table}).result()
            for name, table in self.sequences.items()
        }


def count_tubes(
    truth: Panoptic,
    prediction: Panoptic,
    taxonomy: Taxonomy,
    rules: Rules = OFFICIAL["4dpls"],
    sequence: str = "",
    where: str = "frame",
) -> TubeCounts:
    """The share of one frame in LSTQ or STQ.

    Args:
        sequence: instances mean the same objects in all frames of a sequence.
        where: named in the error about different lengths.
    """
    return count_tubes_overlap(panoptic_overlap(truth, prediction, where), taxonomy, rules, sequence)


def count_tubes_overlap(overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules, sequence: str = "") -> TubeCounts:
    """The same from the overlap table of a frame, which other metrics share."""
    shared = overlap.shared
    is_labeled = overlap.truth.kind[overlap.truth_place] != VOID_AREA
    truth_tube = _truth_tubes(overlap, taxonomy, rules)[overlap.truth_place]
    prediction_tube = _prediction_tubes(overlap, taxonomy, rules)[overlap.prediction_place]
    has_tube = truth_tube != _NO_TUBE
    truth_sizes = sum_keys(truth_tube[has_tube], shared[has_tube])
    is_large = truth_sizes.sums > rules.tube_minimum
    small_tubes = truth_sizes.first[~is_large]
    truth_sizes = PairSums(truth_sizes.first[is_large], truth_sizes.second[is_large], truth_sizes.sums[is_large])
    is_small = np.isin(truth_tube, small_tubes) if len(small_tubes) else np.zeros(len(shared), bool)

    in_prediction = prediction_tube != _NO_TUBE
    if rules.tube_crowds:
        in_prediction &= ~_is_crowd(overlap, taxonomy)[overlap.truth_place]
    is_shared = has_tube & ~is_small & in_prediction
    if not rules.tube_void:
        in_prediction &= is_labeled
    if rules.tube_small == "elements":
        in_prediction &= ~is_small
    # Predicted void lends its number to the intersection, but does not count in the size of the tube.
    in_prediction &= overlap.prediction_class != VOID
    prediction_sizes = sum_keys(prediction_tube[in_prediction], shared[in_prediction])
    if rules.tube_small == "sizes":
        is_kept = prediction_sizes.sums > rules.tube_minimum
        prediction_sizes = PairSums(*(x[is_kept] for x in _columns(prediction_sizes)))
    table = TubeTable(
        truth_sizes,
        prediction_sizes,
        sum_pairs(truth_tube[is_shared], prediction_tube[is_shared], shared[is_shared]),
        count_confusion(overlap, taxonomy),
        1,
    )
    return TubeCounts(taxonomy, rules, {sequence: table})


def segmentation_score(confusion: Int64[np.ndarray, "size size"], rules: Rules) -> float:
    """Mean class IoU beside the association score."""
    iou = class_iou(confusion)
    if rules.tube_absent == "zero":
        return float(iou.mean())
    classes = int(occurs(confusion).sum())
    has_predicted_void = confusion[-1, :-1].sum() > 0
    classes += rules.void_class and bool(has_predicted_void)
    return float(iou.sum() / classes) if classes else float("nan")


def _columns(table: PairSums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return table.first, table.second, table.sums


def _truth_tubes(overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules) -> Int64[np.ndarray, "segments"]:
    """Key of the tube of each true segment, or _NO_TUBE."""
    truth = overlap.truth
    has_tube = truth.kind == SEGMENT
    if not rules.tube_labels:
        has_tube &= truth.instance != 0
    if not rules.tube_stuff:
        has_tube &= _things(taxonomy)[truth.semantic]
    number = truth.key if rules.tube_labels else truth.instance
    return np.where(has_tube, truth.semantic << _CLASS_SHIFT | number, _NO_TUBE)


def _prediction_tubes(overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules) -> Int64[np.ndarray, "segments"]:
    """Key of the tube of each predicted segment, or _NO_TUBE."""
    prediction = overlap.prediction
    is_thing = _things(taxonomy)[prediction.semantic]
    has_tube = is_thing.copy() if rules.tube_things else np.ones(len(prediction), bool)
    if not (rules.tube_zero or rules.tube_labels):
        has_tube &= prediction.instance != 0
    number = prediction.key if rules.tube_labels else prediction.instance
    return np.where(has_tube, prediction.semantic << _CLASS_SHIFT | number if rules.tube_class else number, _NO_TUBE)


def _is_crowd(overlap: SegmentOverlap, taxonomy: Taxonomy) -> Bool[np.ndarray, "segments"]:
    return _things(taxonomy)[overlap.truth.semantic] & (overlap.truth.instance == 0)


def _things(taxonomy: Taxonomy) -> Bool[np.ndarray, "256"]:
    is_thing = np.zeros(VOID + 1, bool)
    is_thing[: len(taxonomy)] = taxonomy.is_thing
    return is_thing


def _associate(counts: TubeCounts) -> tuple[dict[str, Float64[np.ndarray, "classes"]], float, float]:
    """Sum of the association scores of the true tubes of each class, how many tubes count, and the mean precision and
    recall of all pairs of tubes that meet."""
    classes = len(counts.taxonomy)
    association, tubes = np.zeros(classes), np.zeros(classes)
    precision, recall = [], []
    for table in counts.sequences.values():
        shared = table.shared.sums
        truth_size = find_sums(table.truth, table.shared.first)
        prediction_size = find_sums(table.prediction, table.shared.second)
        iou = ratio(shared, truth_size + prediction_size - shared)
        is_tube = prediction_size > 0  # a predicted number that exists on void alone has no tube
        score = np.where(is_tube, shared / truth_size * iou, 0.0)
        association += np.bincount(table.shared.first >> _CLASS_SHIFT, weights=score, minlength=classes)
        tubes += np.bincount(table.truth.first >> _CLASS_SHIFT, minlength=classes)
        precision.append((shared / np.maximum(prediction_size, 1))[is_tube])
        recall.append((shared / truth_size)[is_tube])
    return {"association": association, "tubes": tubes}, _mean(precision), _mean(recall)


def _mean(parts: list[np.ndarray]) -> float:
    values = np.concatenate([np.empty(0), *parts])
    return float(values.mean()) if len(values) else float("nan")

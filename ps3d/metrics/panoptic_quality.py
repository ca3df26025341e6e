"""Panoptic quality, segmentation and recognition quality, and the class IoU of the same pass."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float64, Int64

from ps3d.metrics.result import Result, class_mean, ratio
from ps3d.metrics.rules import OFFICIAL, Rules
from ps3d.metrics.segments import (
    CROWD,
    SEGMENT,
    VOID_AREA,
    SegmentOverlap,
    merge_labels,
    panoptic_overlap,
    sum_by,
)
from ps3d.metrics.semantic_iou import class_iou, occurs
from ps3d.ops.compiled import compiled
from ps3d.structures import Panoptic, Taxonomy

_EXCUSES = {"all": 0, "last": 1, "none": 2}
_VOID_RULES = {"removed": 0, "excused": 1, "mutual": 2}


@dataclass(frozen=True)
class PanopticCounts:
    """What panoptic quality is computed from; counts of frames, sequences and ranks pool by `+`.

    Attributes:
        iou: sum of the IoUs of matched segments.
        tp, fp, fn: matched segments, predictions without a match, true segments without one.
        stuff_iou: sum over frames of the best IoU of a stuff class, matched or not (Porzi et al., CVPR 2019).
        stuff_frames: frames whose truth has the class.
        confusion: elements by predicted (row) and true (column) class; the last of each is VOID.
    """

    taxonomy: Taxonomy
    rules: Rules
    iou: Float64[np.ndarray, "classes"]
    tp: Int64[np.ndarray, "classes"]
    fp: Int64[np.ndarray, "classes"]
    fn: Int64[np.ndarray, "classes"]
    stuff_iou: Float64[np.ndarray, "classes"]
    stuff_frames: Int64[np.ndarray, "classes"]
    confusion: Int64[np.ndarray, "classes_and_void classes_and_void"]

    def __add__(self, other: "PanopticCounts") -> "PanopticCounts":
        if self.rules != other.rules or self.taxonomy.names != other.taxonomy.names:
            raise ValueError(f"counts by {self.rules.name} and by {other.rules.name} do not add")
        sums = [getattr(self, f.name) + getattr(other, f.name) for f in fields(self)[2:]]
        return PanopticCounts(self.taxonomy, self.rules, *sums)

    def result(self) -> Result:
        """PQ, SQ, RQ over all classes, things and stuff; PQ-dagger in both readings; mean IoU.

        `pq_dagger` replaces the PQ of stuff by its IoU over the data set (SemanticKITTI, nuScenes), `pq_porzi` by the
        mean of its IoU in each image (Porzi et al., CVPR 2019).
        """
        sq = ratio(self.iou, self.tp)
        rq = ratio(self.tp, self.tp + 0.5 * self.fp + 0.5 * self.fn)
        pq = sq * rq
        iou = class_iou(self.confusion)
        stuff = ~self.taxonomy.is_thing
        porzi = np.where(stuff, ratio(self.stuff_iou, self.stuff_frames), pq)
        everything = np.ones(len(self.taxonomy), bool)
        is_zero = self.rules.absent == "zero"
        is_counted = everything if is_zero else self.tp + self.fp + self.fn > 0
        is_in_iou = everything if is_zero else occurs(self.confusion)
        values = {}
        for suffix, members in (("", everything), ("_things", ~stuff), ("_stuff", stuff)):
            for name, figures in (("pq", pq), ("sq", sq), ("rq", rq)):
                values[name + suffix] = class_mean(figures, is_counted & members)
        values["pq_dagger"] = class_mean(np.where(stuff, iou, pq), np.where(stuff, is_in_iou, is_counted))
        porzi_counted = np.where(stuff, everything if is_zero else self.stuff_frames > 0, is_counted)
        values["pq_porzi"] = class_mean(porzi, porzi_counted)
        values["miou"] = class_mean(iou, is_in_iou)
        per_class = {"pq": pq, "sq": sq, "rq": rq, "iou": iou}
        per_class |= {name: getattr(self, name).astype(float) for name in ("tp", "fp", "fn")}
        per_class["iou_sum"] = self.iou
        return Result("panoptic_quality", self.rules.name, values, per_class, self.taxonomy.names)


def no_counts(taxonomy: Taxonomy, rules: Rules) -> PanopticCounts:
    """The counts of no frame."""
    size = len(taxonomy)
    ints = [np.zeros(size, np.int64) for _ in range(4)]
    confusion = np.zeros((size + 1, size + 1), np.int64)
    return PanopticCounts(taxonomy, rules, np.zeros(size), *ints[:3], np.zeros(size), ints[3], confusion)


def count_panoptic(
    truth: Panoptic,
    prediction: Panoptic,
    taxonomy: Taxonomy,
    rules: Rules = OFFICIAL["semantic_kitti"],
    where: str = "frame",
) -> PanopticCounts:
    """Panoptic quality and class IoU of one scan or image (Kirillov et al., CVPR 2019).

    Args:
        where: named in the error about different lengths.
    """
    return count_panoptic_overlap(panoptic_overlap(truth, prediction, where), taxonomy, rules)


def count_panoptic_overlap(overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules) -> PanopticCounts:
    """The same from the overlap table of a frame, which other metrics share."""
    if rules.merges_labels:
        overlap = merge_labels(overlap, taxonomy)
    classes = len(taxonomy)
    iou, stuff_iou = np.zeros(classes), np.zeros(classes)
    tp, fp, fn, stuff_frames = np.zeros((4, classes), np.int64)
    confusion = np.zeros((classes + 1, classes + 1), np.int64)
    truth, prediction = overlap.truth, overlap.prediction
    _count(
        overlap.truth_place,
        overlap.prediction_place,
        overlap.shared,
        truth.semantic,
        truth.kind,
        truth.area,
        np.zeros(len(truth), np.int64) if truth.rank is None else truth.rank,
        prediction.semantic,
        prediction.kind,
        prediction.area,
        _VOID_RULES[rules.void],
        _EXCUSES[rules.crowds],
        rules.minimum,
        iou,
        tp,
        fp,
        fn,
        stuff_iou,
        stuff_frames,
        confusion,
    )
    return PanopticCounts(taxonomy, rules, iou, tp, fp, fn, stuff_iou, stuff_frames, confusion)


@dataclass(frozen=True)
class Matches:
    """Segments of one class with an IoU over one half, as places in `SegmentOverlap.truth` and `.prediction`."""

    truth: Int64[np.ndarray, "matches"]
    prediction: Int64[np.ndarray, "matches"]
    iou: Float64[np.ndarray, "matches"]


def match_segments(overlap: SegmentOverlap, rules: Rules) -> Matches:
    """The true positives that `count_panoptic_overlap` counts, one by one, in the order of the true segments."""
    truth, prediction = overlap.truth, overlap.prediction
    t, p, shared = overlap.truth_place, overlap.prediction_place, overlap.shared
    is_void, is_void_prediction = truth.kind[t] == VOID_AREA, prediction.kind[p] == VOID_AREA
    union = truth.area[t] + prediction.area[p] - shared
    union -= sum_by(p[is_void], shared[is_void], len(prediction))[p]
    if rules.void == "mutual":
        union -= sum_by(t[is_void_prediction], shared[is_void_prediction], len(truth))[t]
    is_match = (overlap.truth_class == overlap.prediction_class) & (2 * shared > union)
    is_match &= (truth.kind[t] == SEGMENT) & (prediction.kind[p] == SEGMENT)
    return Matches(t[is_match], p[is_match], shared[is_match] / union[is_match])


@compiled
def _count(
    truth_place,
    prediction_place,
    shared,
    truth_class,
    truth_kind,
    stated_truth_area,
    truth_rank,
    prediction_class,
    prediction_kind,
    stated_prediction_area,
    void_rule,
    excuse_rule,
    minimum,
    iou,
    tp,
    fp,
    fn,
    stuff_iou,
    stuff_frames,
    confusion,
):
    """All of panoptic quality for one frame; the arrays after `minimum` are written."""
    classes = len(iou)
    truths, predictions = len(truth_class), len(prediction_class)
    truth_area, prediction_area = stated_truth_area.copy(), stated_prediction_area.copy()
    on_void, is_void_there = np.zeros(predictions, np.int64), np.zeros(truths, np.int64)
    last_crowd = np.full(classes, -1, np.int64)
    for t in range(truths):
        c = truth_class[t]
        if truth_kind[t] == CROWD and (last_crowd[c] < 0 or truth_rank[t] > truth_rank[last_crowd[c]]):
            last_crowd[c] = t
    for row in range(len(shared)):
        t, p, n = truth_place[row], prediction_place[row], shared[row]
        confusion[min(prediction_class[p], classes), min(truth_class[t], classes)] += n
        if truth_kind[t] == VOID_AREA:
            on_void[p] += n
        if prediction_kind[p] == VOID_AREA:
            is_void_there[t] += n
    if void_rule == 0:
        prediction_area -= on_void
    excused = on_void if void_rule != 0 else np.zeros(predictions, np.int64)
    missing = is_void_there if void_rule == 2 else np.zeros(truths, np.int64)
    is_truth_matched, is_prediction_matched = np.zeros(truths, np.bool_), np.zeros(predictions, np.bool_)
    covered = excused.copy()
    for row in range(len(shared)):
        t, p, n = truth_place[row], prediction_place[row], shared[row]
        if truth_class[t] != prediction_class[p] or prediction_kind[p] != SEGMENT:
            continue
        c = truth_class[t]
        if truth_kind[t] == CROWD:
            if excuse_rule == 0 or (excuse_rule == 1 and last_crowd[c] == t):
                covered[p] += n
        elif truth_kind[t] == SEGMENT:
            union = truth_area[t] + prediction_area[p] - n - excused[p] - missing[t]
            stuff_iou[c] += n / union
            if 2 * n > union:
                iou[c] += n / union
                tp[c] += 1
                is_truth_matched[t], is_prediction_matched[p] = True, True
    for t in range(truths):
        if truth_kind[t] == SEGMENT:
            stuff_frames[truth_class[t]] += 1
            if not is_truth_matched[t] and truth_area[t] >= minimum and 2 * missing[t] <= truth_area[t]:
                fn[truth_class[t]] += 1
    for p in range(predictions):
        area = prediction_area[p]
        is_wrong = prediction_kind[p] == SEGMENT and not is_prediction_matched[p] and area > 0
        if is_wrong and area >= minimum and 2 * covered[p] <= area:
            fp[prediction_class[p]] += 1

"""Average precision of scored masks, as COCO counts it: overlapping detections, crowds, three sizes of objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ps3d.metrics.result import Result
from ps3d.metrics.rules import Rules
from ps3d.metrics.segments import CROWD, SEGMENT, SegmentOverlap, merge_labels
from ps3d.ops import run_length
from ps3d.ops.compiled import compiled
from ps3d.structures import Taxonomy

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
SIZES = {"": (0.0, 1e10), "s": (0.0, 32.0**2), "m": (32.0**2, 96.0**2), "l": (96.0**2, 1e10)}
"""Areas in pixels, both ends included."""
MOST = 100
"""Detections that count per image and class."""


@dataclass(frozen=True)
class Mask:
    """One true mask: run lengths, area as annotated, and whether it is a crowd."""

    runs: run_length.Runs
    area: int | float
    is_crowd: bool = False


@dataclass(frozen=True)
class ScoredMask:
    """One detected mask and its score."""

    runs: run_length.Runs
    score: int | float


@dataclass(frozen=True)
class ClassDetections:
    """The detections of one class, image after image, best first in each image.

    Attributes:
        score: of each detection.
        rank: its place in its image.
        is_matched, is_ignored: by size of object and IoU threshold.
        truths: true masks by size of object, those that are ignored left out.
    """

    score: Float64[np.ndarray, "detections"]
    rank: Int64[np.ndarray, "detections"]
    is_matched: Bool[np.ndarray, "4 10 detections"]
    is_ignored: Bool[np.ndarray, "4 10 detections"]
    truths: Int64[np.ndarray, "4"]

    def __add__(self, other: "ClassDetections") -> "ClassDetections":
        return ClassDetections(
            np.concatenate([self.score, other.score]),
            np.concatenate([self.rank, other.rank]),
            np.concatenate([self.is_matched, other.is_matched], 2),
            np.concatenate([self.is_ignored, other.is_ignored], 2),
            self.truths + other.truths,
        )


@dataclass(frozen=True)
class MaskApCounts:
    """State of mask AP. Images add; detections of equal score keep the order in which their images were added."""

    classes: Mapping[str, ClassDetections]

    def __add__(self, other: "MaskApCounts") -> "MaskApCounts":
        classes = dict(self.classes)
        for name, found in other.classes.items():
            classes[name] = classes[name] + found if name in classes else found
        return MaskApCounts(classes)

    def result(self) -> Result:
        """`ap`, `ap50`, `ap75`, `ap_s`, `ap_m`, `ap_l`, `ar_1`, `ar_10`, `ar_100`, `ar_s`, `ar_m`, `ar_l`; NaN without
        truth."""
        names = tuple(self.classes)
        curves = {
            (size, most): [_average(found, i, most) for found in self.classes.values()]
            for i, size in enumerate(SIZES)
            for most in ((1, 10, MOST) if size == "" else (MOST,))
        }
        precision = {key: np.array([p for p, _ in found]).reshape(-1, 10) for key, found in curves.items()}
        recall = {key: np.array([r for _, r in found]).reshape(-1, 10) for key, found in curves.items()}
        everything = precision["", MOST]
        values = {"ap": _mean(everything), "ap50": _mean(everything[:, 0]), "ap75": _mean(everything[:, 5])}
        values |= {f"ap_{size}": _mean(precision[size, MOST]) for size in ("s", "m", "l")}
        values |= {f"ar_{most}": _mean(recall["", most]) for most in (1, 10, MOST)}
        values |= {f"ar_{size}": _mean(recall[size, MOST]) for size in ("s", "m", "l")}
        per_class = {"ap": everything.mean(1), "ap50": everything[:, 0], "ap75": everything[:, 5]}
        return Result("mask_ap", "coco official", values, per_class, names)


def count_masks(
    truth: Mapping[str, Sequence[Mask]], prediction: Mapping[str, Sequence[ScoredMask]], names: Sequence[str]
) -> MaskApCounts:
    """The masks of one image by class; `names` lists all classes, detections of others are not looked at."""
    return MaskApCounts({name: _count_class(truth.get(name, ()), prediction.get(name, ())) for name in names})


def _count_class(truth: Sequence[Mask], prediction: Sequence[ScoredMask]) -> ClassDetections:
    score = np.array([mask.score for mask in prediction])
    order = np.argsort(-score, kind="stable")[:MOST]
    found = [prediction[i] for i in order]
    area = np.array([run_length.area(mask.runs) for mask in found], float)
    true_area = np.array([mask.area for mask in truth], float)
    is_crowd = np.array([mask.is_crowd for mask in truth], bool)
    iou = np.zeros((len(found), len(truth)))
    for d, detection in enumerate(found):
        for g, mask in enumerate(truth):
            shared = run_length.intersection(detection.runs, mask.runs)
            whole = area[d] if mask.is_crowd else area[d] + run_length.area(mask.runs) - shared
            iou[d, g] = shared / whole if whole else 0.0
    return _match_class(score[order], area, true_area, is_crowd, iou)


def count_masks_overlap(overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules) -> MaskApCounts:
    """The objects of one panoptic labeling, the surest first; without scores every one is as sure as the next.

    Things without a number, and what the truth says is a crowd, are crowds; a prediction inside one is ignored.
    """
    overlap = merge_labels(overlap, taxonomy)
    truth, prediction = overlap.truth, overlap.prediction
    classes = {}
    for class_id in taxonomy.thing_ids():
        is_crowd = (truth.kind == CROWD) | (truth.instance == 0)
        true = np.flatnonzero((truth.semantic == class_id) & np.isin(truth.kind, (SEGMENT, CROWD)))
        is_found = (prediction.semantic == class_id) & (prediction.kind == SEGMENT) & (prediction.instance > 0)
        found = np.flatnonzero(is_found)
        score = np.ones(len(prediction)) if prediction.score is None else prediction.score
        # COCO looks at the hundred surest; among equally sure ones these are the largest.
        found = found[np.lexsort((-prediction.area[found], -score[found]))[:MOST]]
        row, column = np.full(len(prediction), -1), np.full(len(truth), -1)
        row[found], column[true] = np.arange(len(found)), np.arange(len(true))
        place = row[overlap.prediction_place], column[overlap.truth_place]
        kept = (place[0] >= 0) & (place[1] >= 0)
        shared = np.zeros((len(found), len(true)))
        shared[place[0][kept], place[1][kept]] = overlap.shared[kept]
        area, true_area = prediction.area[found].astype(float), truth.area[true].astype(float)
        whole = area[:, None] + np.where(is_crowd[true], 0.0, true_area - shared)
        iou = shared / np.maximum(whole, 1.0)
        classes[taxonomy.names[class_id]] = _match_class(score[found], area, true_area, is_crowd[true], iou)
    return MaskApCounts(classes)


def _match_class(
    score: Float64[np.ndarray, "detections"],
    area: Float64[np.ndarray, "detections"],
    true_area: Float64[np.ndarray, "truths"],
    is_crowd: Bool[np.ndarray, "truths"],
    iou: Float64[np.ndarray, "detections truths"],
) -> ClassDetections:
    """Match the detections of one image and class, best first; the IoU with a crowd is the share inside it."""
    shape = len(SIZES), len(THRESHOLDS), len(score)
    is_matched, is_ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    truths = np.zeros(len(SIZES), np.int64)
    for i, (low, high) in enumerate(SIZES.values()):
        skips = is_crowd | (true_area < low) | (true_area > high)
        # Masks that count come first, so that a detection prefers them.
        place = np.argsort(skips, kind="stable")
        _match(iou[:, place], skips[place], is_crowd[place], THRESHOLDS, is_matched[i], is_ignored[i])
        is_ignored[i] |= ~is_matched[i] & ((area < low) | (area > high))
        truths[i] = (~skips).sum()
    return ClassDetections(score, np.arange(len(score)), is_matched, is_ignored, truths)


@compiled
def _match(iou, skips, is_crowd, thresholds, is_matched, is_ignored):
    """Greedy by score: each detection takes the free mask of the largest IoU; writes the last two arrays."""
    detections, truths = iou.shape
    for t in range(len(thresholds)):
        is_taken = np.zeros(truths, np.bool_)
        for d in range(detections):
            best, match = min(thresholds[t], 1 - 1e-10), -1
            for g in range(truths):
                if is_taken[g] and not is_crowd[g]:
                    continue
                if match >= 0 and not skips[match] and skips[g]:
                    break
                if iou[d, g] >= best:
                    best, match = iou[d, g], g
            if match >= 0:
                is_matched[t, d], is_ignored[t, d], is_taken[match] = True, skips[match], True


def _average(found: ClassDetections, size: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and final recall at each threshold; NaN without truth."""
    truths = found.truths[size]
    if truths == 0:
        return np.full(10, np.nan), np.full(10, np.nan)
    kept = np.flatnonzero(found.rank < most)
    kept = kept[np.argsort(-found.score[kept], kind="stable")]
    matched, ignored = found.is_matched[size][:, kept], found.is_ignored[size][:, kept]
    tp = np.cumsum(matched & ~ignored, 1, dtype=float)
    fp = np.cumsum(~matched & ~ignored, 1, dtype=float)
    recall, precision = tp / truths, tp / (tp + fp + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    averages = np.zeros(10)
    for t in range(10):
        place = np.searchsorted(recall[t], RECALLS, side="left")
        averages[t] = np.append(precision[t], 0.0)[place].mean()
    return averages, recall[:, -1] if len(kept) else np.zeros(10)


def _mean(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")

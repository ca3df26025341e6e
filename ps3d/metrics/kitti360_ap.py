"""KITTI-360's average precision of instances in its accumulated windows: buildings and cars.

Points count with the confidence of their label. Elements that are neither building nor car are void: a prediction that
lies on them by more than the threshold is not judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Integer

from ps3d.metrics.result import Result
from ps3d.ops.overlap import count_overlap

CLASSES: dict[str, int] = {"building": 11, "car": 26}
"""Label ids of the judged classes."""
OVERLAPS = np.append(np.arange(0.5, 0.95, 0.05), 0.25)
SMALLEST = 100
"""Confidence-weighted points below which an instance does not count."""
_PER_LABEL = 1000


@dataclass(frozen=True)
class WindowInstances:
    """The instances of one class in one window.

    Attributes:
        truth_size, size: confidence-weighted points of the true and the predicted instances.
        score: of each prediction.
        on_void: confidence-weighted points of each prediction whose truth is neither building nor car.
        shared: confidence-weighted points of each true and predicted instance.
    """

    truth_size: Float64[np.ndarray, "truths"]
    size: Float64[np.ndarray, "predictions"]
    score: Float64[np.ndarray, "predictions"]
    on_void: Float64[np.ndarray, "predictions"]
    shared: Float64[np.ndarray, "truths predictions"]


@dataclass(frozen=True)
class WindowApCounts:
    """State of the metric: the instances of each class, window by window. Windows add."""

    classes: Mapping[str, tuple[WindowInstances, ...]]

    def __add__(self, other: "WindowApCounts") -> "WindowApCounts":
        return WindowApCounts({name: windows + other.classes[name] for name, windows in self.classes.items()})

    def result(self) -> Result:
        """`ap` (mean over 0.50, 0.55, ... 0.90), `ap50`, `ap25`; NaN without truth."""
        matrix = self.matrix()
        values = {"ap": _mean(matrix[:, :-1]), "ap50": _mean(matrix[:, 0]), "ap25": _mean(matrix[:, -1])}
        per_class = {"ap": matrix[:, :-1].mean(1), "ap50": matrix[:, 0], "ap25": matrix[:, -1]}
        return Result("kitti360_ap", "kitti360 official", values, per_class, tuple(self.classes))

    def matrix(self) -> Float64[np.ndarray, "classes overlaps"]:
        """Average precision of each class at each of `OVERLAPS`."""
        rows = [[_average_precision(windows, o) for o in OVERLAPS] for windows in self.classes.values()]
        return np.array(rows, float)


def count_window(
    semantic: Integer[np.ndarray, "points"],
    instance: Integer[np.ndarray, "points"],
    confidence: Float[np.ndarray, "points"],
    mask: Integer[np.ndarray, "points"],
    label_id: Sequence[int],
    score: Sequence[float],
    where: str = "window",
) -> WindowApCounts:
    """One accumulated window.

    Args:
        semantic, instance: label id of each point, and label id * 1000 + number.
        confidence: weight of each point.
        mask: 1-based line of the prediction that each point belongs to, 0 = none.
        label_id, score: of each prediction.
        where: named in errors.

    Raises:
        ValueError: a mask for each point is not there, or predictions and masks differ in number.
    """
    if len(mask) != len(semantic):
        raise ValueError(f"{where}: {len(mask)} points in the mask, {len(semantic)} in the truth")
    if len(mask) and int(mask.max()) > len(label_id):
        raise ValueError(f"{where}: the mask names prediction {int(mask.max())}, only {len(label_id)} are listed")
    order = {label: place for place, label in enumerate(CLASSES.values())}
    place = np.full(int(semantic.max(initial=0)) + 1, -1)
    for label, k in order.items():
        if label < len(place):
            place[label] = k
    kind = place[semantic]
    key = np.where(kind >= 0, kind * _PER_LABEL + instance % _PER_LABEL + 1, 0)
    table = count_overlap(key, mask, confidence.astype(np.float64))
    return WindowApCounts(
        {n: (_class_instances(table, k, CLASSES[n], label_id, score),) for k, n in enumerate(CLASSES)}
    )


def _class_instances(table, kind: int, wanted: int, label_id: Sequence[int], score: Sequence[float]) -> WindowInstances:
    truth, row = np.unique(table.left, return_inverse=True)
    sums = np.zeros((len(truth), len(label_id) + 1))
    sums[row.reshape(-1), table.right] = table.shared
    is_mine = (truth > 0) & ((truth - 1) // _PER_LABEL == kind)
    size = sums.sum(0)[1:]
    chosen = np.flatnonzero((np.array(label_id, int) == wanted) & (size >= SMALLEST))
    return WindowInstances(
        sums[is_mine].sum(1),
        size[chosen],
        np.array(score, float)[chosen],
        sums[truth == 0].sum(0)[1:][chosen],
        sums[is_mine][:, 1:][:, chosen],
    )


def _average_precision(windows: Sequence[WindowInstances], threshold: float) -> float:
    """ScanNet's way: precision over recall at every distinct score, integrated by the trapezoid rule."""
    outcomes = [_judge(window, threshold) for window in windows]
    has_truth = any((window.truth_size >= SMALLEST).any() for window in windows)
    if not has_truth:
        return float("nan")
    if not any(len(window.size) for window in windows):
        return 0.0
    is_right = np.concatenate([right for right, _, _ in outcomes])
    score = np.concatenate([scores for _, scores, _ in outcomes])
    missed = sum(count for _, _, count in outcomes)
    order = np.argsort(score)
    below = np.append(np.cumsum(is_right[order]), 0.0)
    _, first = np.unique(score[order], return_index=True)
    hits = below[len(order) - 1] if len(order) else 0.0
    lower = below[first - 1]
    tp = hits - lower
    precision = np.append(tp / (len(order) - first), 1.0)
    recall = np.append(tp / (tp + lower + missed), 0.0)
    padded = np.concatenate([recall[:1], recall, [0.0]])
    return float(np.dot(precision, (padded[:-2] - padded[2:]) / 2))


def _judge(window: WindowInstances, threshold: float) -> tuple[np.ndarray, np.ndarray, int]:
    """(is each judged detection right, its score, number of missed instances) of one window."""
    is_large = window.truth_size >= SMALLEST
    overlap = window.shared / (window.truth_size[:, None] + window.size - window.shared)
    is_used = np.zeros(len(window.size), bool)
    right: list[float] = []
    scores: list[float] = []
    missed = 0
    for truth in np.flatnonzero(is_large):
        mine: float | None = None
        for prediction in np.flatnonzero(overlap[truth] > threshold):
            if is_used[prediction]:
                continue
            score = float(window.score[prediction])
            if mine is None:
                mine, is_used[prediction] = score, True
            else:
                # A second detection of one object is wrong; the better score stands for the object.
                right.append(0.0)
                scores.append(min(mine, score))
                mine = max(mine, score)
        if mine is None:
            missed += 1
        else:
            right.append(1.0)
            scores.append(mine)
    is_free = ~(overlap > threshold).any(0)
    ignored = window.on_void + window.shared[~is_large].sum(0)
    wrong = is_free & (ignored / np.maximum(window.size, 1e-300) <= threshold)
    right += [0.0] * int(wrong.sum())
    scores += window.score[wrong].tolist()
    return np.array(right), np.array(scores), missed


def _mean(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")

"""Intersection over union of classes, and its mean."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ps3d.metrics.result import Result, class_mean, ratio
from ps3d.metrics.rules import OFFICIAL, Rules
from ps3d.structures import Panoptic, Taxonomy


@dataclass(frozen=True)
class SemanticCounts:
    """Elements by predicted (row) and true (column) class; the last row and column are VOID. Counts add."""

    taxonomy: Taxonomy
    rules: Rules
    confusion: Int64[np.ndarray, "classes_and_void classes_and_void"]

    def __add__(self, other: "SemanticCounts") -> "SemanticCounts":
        return SemanticCounts(self.taxonomy, self.rules, self.confusion + other.confusion)

    def result(self) -> Result:
        """Class IoU and its mean. Elements of void truth do not count, predicted void is a miss."""
        iou = class_iou(self.confusion)
        counted = np.ones(len(iou), bool) if self.rules.absent == "zero" else occurs(self.confusion)
        values = {"miou": class_mean(iou, counted)}
        support = self.confusion[:, :-1].sum(0).astype(float)
        return Result("semantic_iou", self.rules.name, values, {"iou": iou, "support": support}, self.taxonomy.names)


def count_semantic(
    truth: Panoptic, prediction: Panoptic, taxonomy: Taxonomy, rules: Rules = OFFICIAL["semantic_kitti"]
) -> SemanticCounts:
    """Class confusion of one scan or image. Raises ValueError if the shapes differ."""
    if truth.shape != prediction.shape:
        raise ValueError(f"the truth has {truth.shape} elements, the prediction {prediction.shape}")
    size = len(taxonomy) + 1
    row = np.minimum(prediction.semantic.reshape(-1), size - 1).astype(np.int64)
    pair = row * size + np.minimum(truth.semantic.reshape(-1), size - 1)
    return SemanticCounts(taxonomy, rules, np.bincount(pair, minlength=size * size).reshape(size, size))


def class_iou(confusion: Int64[np.ndarray, "size size"]) -> Float64[np.ndarray, "classes"]:
    """IoU of each class (without VOID); 0 where the class occurs on neither side."""
    valid = confusion[:, :-1]
    tp = valid.diagonal()
    return ratio(tp, valid.sum(0) + valid[:-1].sum(1) - tp)


def occurs(confusion: Int64[np.ndarray, "size size"]) -> Bool[np.ndarray, "classes"]:
    """Whether each class is in the truth, or predicted on labeled elements."""
    valid = confusion[:, :-1]
    return valid.sum(0) + valid[:-1].sum(1) > 0

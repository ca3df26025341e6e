"""The state of multi-object tracking metrics: which objects each frame has, and how much they overlap.

It holds a few numbers per object and frame and nothing per point or pixel; MOTSA, CLEAR-MOT, IDF1 and HOTA are
functions of it (`ps3d.metrics.object_tracking`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float64, Int64

from ps3d.metrics.segments import SEGMENT, VOID_AREA, SegmentOverlap, panoptic_overlap, sum_by
from ps3d.structures import Panoptic, Taxonomy


@dataclass(frozen=True)
class ObjectTable:
    """The objects of one class in one sequence. Frames are numbered from 0; stretches of a sequence add.

    Attributes:
        frames: number of frames, those without objects included.
        truth_frame, truth_id: one row per true object and frame.
        prediction_frame, prediction_id: one row per predicted object and frame.
        prediction_ignored: share of the predicted object that lies in regions nobody labeled.
        pair_frame, pair_truth, pair_prediction, pair_iou: one row per true and predicted object that overlap.
    """

    frames: int
    truth_frame: Int64[np.ndarray, "truths"]
    truth_id: Int64[np.ndarray, "truths"]
    prediction_frame: Int64[np.ndarray, "predictions"]
    prediction_id: Int64[np.ndarray, "predictions"]
    prediction_ignored: Float64[np.ndarray, "predictions"]
    pair_frame: Int64[np.ndarray, "pairs"]
    pair_truth: Int64[np.ndarray, "pairs"]
    pair_prediction: Int64[np.ndarray, "pairs"]
    pair_iou: Float64[np.ndarray, "pairs"]

    def __add__(self, other: "ObjectTable") -> "ObjectTable":
        columns = [np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)[1:]]
        return ObjectTable(self.frames + other.frames, *columns)

    def __iter__(self) -> Iterator["ObjectFrame"]:
        """The frames that have objects, in the order of time."""
        numbers = np.unique(np.concatenate([self.truth_frame, self.prediction_frame]))
        truth, prediction = _by_frame(self.truth_frame, numbers), _by_frame(self.prediction_frame, numbers)
        pairs = _by_frame(self.pair_frame, numbers)
        for number, rows, columns, overlaps in zip(numbers, truth, prediction, pairs, strict=True):
            truth_id, prediction_id = self.truth_id[rows], self.prediction_id[columns]
            similarity = np.zeros((len(truth_id), len(prediction_id)))
            for pair in overlaps:
                row = np.flatnonzero(truth_id == self.pair_truth[pair])
                column = np.flatnonzero(prediction_id == self.pair_prediction[pair])
                similarity[row[:, None], column] = self.pair_iou[pair]
            yield ObjectFrame(int(number), truth_id, prediction_id, self.prediction_ignored[columns], similarity)


@dataclass(frozen=True)
class ObjectFrame:
    """The objects of one class in one frame."""

    number: int
    truth_id: Int64[np.ndarray, "truths"]
    prediction_id: Int64[np.ndarray, "predictions"]
    ignored: Float64[np.ndarray, "predictions"]
    iou: Float64[np.ndarray, "truths predictions"]


@dataclass(frozen=True)
class ObjectCounts:
    """State of the tracking metrics: for each class, one table per sequence. Stretches of one sequence add."""

    classes: Mapping[str, Mapping[str, ObjectTable]]

    def __add__(self, other: "ObjectCounts") -> "ObjectCounts":
        classes = {name: dict(sequences) for name, sequences in self.classes.items()}
        for name, sequences in other.classes.items():
            mine = classes.setdefault(name, {})
            for sequence, table in sequences.items():
                mine[sequence] = mine[sequence] + table if sequence in mine else table
        return ObjectCounts(classes)


def count_objects(
    truth: Panoptic,
    prediction: Panoptic,
    taxonomy: Taxonomy,
    sequence: str = "",
    frame: int = 0,
    where: str = "frame",
) -> ObjectCounts:
    """The things of one frame with an instance. Void of the truth is a region nobody labeled.

    Args:
        frame: its number in the sequence; only the order matters.
        where: named in the error about different lengths.
    """
    return count_objects_overlap(panoptic_overlap(truth, prediction, where), taxonomy, sequence, frame)


def count_objects_overlap(
    overlap: SegmentOverlap, taxonomy: Taxonomy, sequence: str = "", frame: int = 0
) -> ObjectCounts:
    """The same from the overlap table of a frame, which other metrics share."""
    truth, prediction = overlap.truth, overlap.prediction
    t, p, shared = overlap.truth_place, overlap.prediction_place, overlap.shared
    is_void = truth.kind[t] == VOID_AREA
    ignored = sum_by(p[is_void], shared[is_void], len(prediction)) / np.maximum(prediction.area, 1)
    union = truth.area[t] + prediction.area[p] - shared
    classes = {}
    for c in taxonomy.thing_ids():
        mine = (truth.semantic == c) & (truth.kind == SEGMENT) & (truth.instance != 0)
        theirs = (prediction.semantic == c) & (prediction.kind == SEGMENT) & (prediction.instance != 0)
        pair = mine[t] & theirs[p]
        table = ObjectTable(
            1,
            np.full(mine.sum(), frame),
            truth.key[mine],
            np.full(theirs.sum(), frame),
            prediction.key[theirs],
            ignored[theirs],
            np.full(pair.sum(), frame),
            truth.key[t[pair]],
            prediction.key[p[pair]],
            shared[pair] / union[pair],
        )
        classes[taxonomy.names[c]] = {sequence: table}
    return ObjectCounts(classes)


def _by_frame(frame: Int64[np.ndarray, "rows"], numbers: Int64[np.ndarray, "frames"]) -> list[np.ndarray]:
    """The rows of each frame, in their order."""
    order = np.argsort(frame, kind="stable")
    edges = np.searchsorted(frame[order], numbers)
    return np.split(order, edges[1:]) if len(numbers) else []

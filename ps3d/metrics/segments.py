"""The overlap table of one frame together with what its labels mean. Every metric is a function of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int8, Int64, Shaped

from ps3d.ops.compiled import compiled
from ps3d.ops.overlap import INSTANCE_BITS, Overlap, count_class_overlap, count_overlap
from ps3d.structures import VOID, Panoptic, Taxonomy

SEGMENT, VOID_AREA, CROWD, UNLISTED = 0, 1, 2, 3
"""Kinds of segments. UNLISTED: neither void nor an object; it never matches and excuses nothing."""

_CLASS_SHIFT = 32


@dataclass(frozen=True)
class Segments:
    """The segments of one side of a frame, in the order of their keys.

    Attributes:
        key: what tells segments apart in the frame and finds them again in the next one.
        semantic: class id or VOID.
        instance: number of the object; 0 = none.
        area: elements of the segment, void of the other side included.
        kind: SEGMENT, VOID_AREA, CROWD or UNLISTED.
        rank: place in the list the segments come from, where that matters (COCO's rule about crowds).
        score: how sure the prediction is of each segment, where it says so.
    """

    key: Int64[np.ndarray, "segments"]
    semantic: Int64[np.ndarray, "segments"]
    instance: Int64[np.ndarray, "segments"]
    area: Int64[np.ndarray, "segments"]
    kind: Int8[np.ndarray, "segments"]
    rank: Int64[np.ndarray, "segments"] | None = None
    score: Float64[np.ndarray, "segments"] | None = None

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class SegmentOverlap:
    """What the truth and the prediction of one frame share.

    Attributes:
        truth, prediction: the segments of the two sides.
        truth_place, prediction_place: for each pair that meets, its places in `truth` and `prediction`.
        shared: elements of the pair.
    """

    truth: Segments
    prediction: Segments
    truth_place: Int64[np.ndarray, "pairs"]
    prediction_place: Int64[np.ndarray, "pairs"]
    shared: Int64[np.ndarray, "pairs"]

    @cached_property
    def truth_class(self) -> Int64[np.ndarray, "pairs"]:
        return self.truth.semantic[self.truth_place]

    @cached_property
    def prediction_class(self) -> Int64[np.ndarray, "pairs"]:
        return self.prediction.semantic[self.prediction_place]


def panoptic_overlap(truth: Panoptic, prediction: Panoptic, where: str = "frame") -> SegmentOverlap:
    """Compare two labelings of the same elements; a segment is a (class, instance) pair.

    Args:
        where: named in the error.

    Raises:
        ValueError: different shapes, or a negative instance.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"{where}: the truth has {truth.shape} elements, the prediction {prediction.shape}")
    table = count_class_overlap(truth.semantic, truth.instance, prediction.semantic, prediction.instance)
    if table is not None:
        return index_overlap(table, _unpack(None), _unpack(None))
    left, left_names = _pack(truth, where)
    right, right_names = _pack(prediction, where)
    table = count_overlap(left, right)
    return index_overlap(table, _unpack(left_names), _unpack(right_names))


def index_overlap(table: Overlap, describe_truth, describe_prediction) -> SegmentOverlap:
    """Give the labels of an overlap table their meaning.

    Args:
        describe_truth, describe_prediction: labels (int64, sorted, distinct) and their areas to `Segments`.
    """
    labels, truth_place, area = _group_sorted(table.left, table.shared)
    order = np.argsort(table.right, kind="stable")
    other_labels, sorted_place, other_area = _group_sorted(table.right[order], table.shared[order])
    prediction_place = np.empty_like(sorted_place)
    prediction_place[order] = sorted_place
    truth, prediction = describe_truth(labels, area), describe_prediction(other_labels, other_area)
    return SegmentOverlap(truth, prediction, truth_place, prediction_place, table.shared)


def describe_raw(class_of_raw: Shaped[np.ndarray, "65536"], labels: np.ndarray, area: np.ndarray) -> Segments:
    """Meaning of .label files: the low 16 bits are a raw class id, the high 16 bits the instance.

    The key is the full label, so two raw ids of one class are two segments, as SemanticKITTI's evaluator has it.
    """
    semantic = class_of_raw[labels & 0xFFFF].astype(np.int64)
    return Segments(labels, semantic, labels >> 16, area, _kind_of(semantic))


def describe_thousands(class_of_raw: Shaped[np.ndarray, "ids"], labels: np.ndarray, area: np.ndarray) -> Segments:
    """Meaning of labels written as class * 1000 + instance (nuScenes, Cityscapes, deeplab2)."""
    semantic = class_of_raw[labels // 1000].astype(np.int64)
    return Segments(labels, semantic, labels % 1000, area, _kind_of(semantic))


def describe_encoded(classes: int, ignored: int, divisor: int, labels: np.ndarray, area: np.ndarray) -> Segments:
    """Meaning of deeplab2's labels, class * divisor + instance. (ignored, 0) is void, (ignored, n) a crowd that excuses
    nothing; other classes from `classes` on are not objects either."""
    semantic, instance = labels // divisor, labels % divisor
    is_class = semantic < classes
    kind = np.where(is_class, SEGMENT, np.where(labels == ignored * divisor, VOID_AREA, UNLISTED)).astype(np.int8)
    return Segments(labels, np.where(is_class, semantic, VOID), instance, area, kind)


def pool_frames(frames: Sequence[SegmentOverlap]) -> SegmentOverlap:
    """Consecutive frames as one: segments of one key are one tube, with the class and kind of its first frame."""
    if len(frames) == 1:
        return frames[0]
    truth, truth_of = _pool_side([frame.truth for frame in frames])
    prediction, prediction_of = _pool_side([frame.prediction for frame in frames])
    truth_start = np.cumsum([0] + [len(frame.truth) for frame in frames])
    prediction_start = np.cumsum([0] + [len(frame.prediction) for frame in frames])
    joined = SegmentOverlap(
        truth,
        prediction,
        np.concatenate([frame.truth_place + k for frame, k in zip(frames, truth_start, strict=False)]),
        np.concatenate([frame.prediction_place + k for frame, k in zip(frames, prediction_start, strict=False)]),
        np.concatenate([frame.shared for frame in frames]),
    )
    return regroup(joined, truth, truth_of, prediction, prediction_of)


def _pool_side(frames: list[Segments]) -> tuple[Segments, np.ndarray]:
    key = np.concatenate([segments.key for segments in frames])
    order = np.argsort(key, kind="stable")
    keys, sorted_place, _ = _group_sorted(key[order], order)
    place = np.empty_like(order)
    place[order] = sorted_place
    first = np.empty(len(keys), np.int64)
    first[sorted_place[::-1]] = order[::-1]
    area = sum_by(place, np.concatenate([segments.area for segments in frames]), len(keys))
    semantic = np.concatenate([segments.semantic for segments in frames])[first]
    instance = np.concatenate([segments.instance for segments in frames])[first]
    kind = np.concatenate([segments.kind for segments in frames])[first]
    rank = np.concatenate(
        [(np.zeros(len(s), np.int64) if s.rank is None else s.rank) + (i << 32) for i, s in enumerate(frames)]
    )
    return Segments(keys, semantic, instance, area, kind, rank[first]), place


def merge_labels(overlap: SegmentOverlap, taxonomy: Taxonomy) -> SegmentOverlap:
    """One segment per class and instance, and one per class of stuff, whatever labels they had."""
    truth, truth_of = _merge_side(overlap.truth, taxonomy)
    prediction, prediction_of = _merge_side(overlap.prediction, taxonomy)
    return regroup(overlap, truth, truth_of, prediction, prediction_of)


def regroup(
    overlap: SegmentOverlap,
    truth: Segments,
    truth_of: Int64[np.ndarray, "old_truth_segments"],
    prediction: Segments,
    prediction_of: Int64[np.ndarray, "old_predicted_segments"],
) -> SegmentOverlap:
    """Pool segments: `truth_of` and `prediction_of` say which new segment each old one belongs to."""
    size = max(len(prediction), 1)
    pair = truth_of[overlap.truth_place] * size + prediction_of[overlap.prediction_place]
    order = np.argsort(pair, kind="stable")
    pairs, _, shared = _group_sorted(pair[order], overlap.shared[order])
    return SegmentOverlap(truth, prediction, pairs // size, pairs % size, shared)


def remove_void(overlap: SegmentOverlap) -> SegmentOverlap:
    """Without the elements whose truth is void: their pairs go, and the areas shrink."""
    keep = overlap.truth.kind[overlap.truth_place] != VOID_AREA
    return keep_pairs(overlap, keep)


def keep_pairs(overlap: SegmentOverlap, keep: np.ndarray) -> SegmentOverlap:
    """Only some pairs, with the areas counted anew from them; segments left without elements stay, with area 0."""
    truth_place, prediction_place = overlap.truth_place[keep], overlap.prediction_place[keep]
    shared = overlap.shared[keep]
    truth_area = sum_by(truth_place, shared, len(overlap.truth))
    prediction_area = sum_by(prediction_place, shared, len(overlap.prediction))
    return SegmentOverlap(
        replace(overlap.truth, area=truth_area),
        replace(overlap.prediction, area=prediction_area),
        truth_place,
        prediction_place,
        shared,
    )


def sum_by(place: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Sum of the values at each place."""
    return _sum_by(place, values, np.zeros(size, np.int64))


@compiled
def _sum_by(place, values, sums):
    for i in range(len(place)):
        sums[place[i]] += values[i]
    return sums


def _merge_side(segments: Segments, taxonomy: Taxonomy) -> tuple[Segments, np.ndarray]:
    is_thing = np.zeros(VOID + 1, bool)
    is_thing[: len(taxonomy)] = taxonomy.is_thing
    keeps_instance = is_thing[segments.semantic] | (segments.kind == CROWD)
    instance = np.where(keeps_instance, segments.instance, 0)
    key = segments.semantic << _CLASS_SHIFT | instance
    # Crowds stay apart from objects of their class.
    marked = key * 4 + segments.kind
    merged, first, place = np.unique(marked, return_index=True, return_inverse=True)
    area = sum_by(place.reshape(-1), segments.area, len(merged))
    score = None if segments.score is None else segments.score[first]
    kept = Segments(key[first], segments.semantic[first], instance[first], area, segments.kind[first], score=score)
    return kept, place.reshape(-1)


def _kind_of(semantic: np.ndarray) -> np.ndarray:
    return np.where(semantic == VOID, VOID_AREA, SEGMENT).astype(np.int8)


def _pack(labels: Panoptic, where: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Class and instance in one uint32, and the true instance numbers where they had to be renumbered to fit."""
    semantic, instance = labels.semantic.reshape(-1), labels.instance.reshape(-1)
    packed = np.empty(len(semantic), np.uint32)
    combined = _pack_labels(np.ascontiguousarray(semantic), np.ascontiguousarray(instance), packed)
    if combined < 0:
        raise ValueError(f"{where}: instance {int(instance.min())} is negative")
    if combined < 1 << INSTANCE_BITS:
        return packed, None
    names, number = np.unique(instance, return_inverse=True)
    _pack_labels(semantic, number.reshape(-1).astype(np.int32), packed)
    return packed, names.astype(np.int64)


@compiled
def _pack_labels(semantic, instance, packed):
    """Writes class << 24 | instance; returns the bitwise or of all instances, which shows negative and large ones."""
    combined = np.int32(0)
    for i in range(len(semantic)):
        combined |= instance[i]
        packed[i] = np.uint32(semantic[i]) << np.uint32(INSTANCE_BITS) | np.uint32(instance[i])
    return combined


def _unpack(names: np.ndarray | None):
    def describe(labels: np.ndarray, area: np.ndarray) -> Segments:
        semantic, instance = labels >> INSTANCE_BITS, labels & ((1 << INSTANCE_BITS) - 1)
        if names is not None:
            instance = names[instance]
        return Segments(semantic << _CLASS_SHIFT | instance, semantic, instance, area, _kind_of(semantic))

    return describe


@compiled
def _group_sorted(labels, shared):
    """Distinct labels of a sorted array, the place of each row among them, and the sum of `shared` of each."""
    rows = len(labels)
    place = np.empty(rows, np.int64)
    found = -1
    for i in range(rows):
        if i == 0 or labels[i] != labels[i - 1]:
            found += 1
        place[i] = found
    distinct, area = np.empty(found + 1, labels.dtype), np.zeros(found + 1, shared.dtype)
    for i in range(rows):
        distinct[place[i]] = labels[i]
        area[place[i]] += shared[i]
    return distinct, place, area

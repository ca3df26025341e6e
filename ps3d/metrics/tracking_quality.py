"""LSTQ and STQ: are the same objects found, and do they keep their number, over whole sequences?

Both are sqrt(association x segmentation). A tube is all elements of an object in a sequence. The association score of
a true tube T is 1/|T| times the sum over predicted tubes P of |T and P| x IoU(T, P) (Aygun et al., CVPR 2021; Weber et
al., NeurIPS 2021). What belongs to a tube is where the benchmarks differ: see the `tube_` fields of `Rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from ps3d.metrics.pair_sums import PairSums, find_sums
from ps3d.metrics.result import Result, ratio
from ps3d.metrics.rules import OFFICIAL, Rules
from ps3d.metrics.segments import SEGMENT, VOID_AREA, SegmentOverlap, panoptic_overlap
from ps3d.metrics.semantic_iou import class_iou, occurs
from ps3d.ops.compiled import compiled
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
    classes = len(taxonomy)
    is_thing = np.zeros(VOID + 1, bool)
    is_thing[:classes] = taxonomy.is_thing
    truth, prediction = overlap.truth, overlap.prediction
    truth_tube = _truth_tubes(
        truth.semantic, truth.instance, truth.key, truth.kind, is_thing, rules.tube_labels, rules.tube_stuff
    )
    prediction_tube = _prediction_tubes(
        prediction.semantic,
        prediction.instance,
        prediction.key,
        is_thing,
        rules.tube_things,
        rules.tube_zero,
        rules.tube_labels,
        rules.tube_class,
    )
    confusion = np.zeros((classes + 1, classes + 1), np.int64)
    is_crowd = is_thing[truth.semantic] & (truth.instance == 0) if rules.tube_crowds else np.zeros(len(truth), bool)
    truth_keys, truth_sizes, prediction_keys, prediction_sizes, pair, shared = _count_rows(
        overlap.truth_place,
        overlap.prediction_place,
        overlap.shared,
        truth.semantic,
        truth.kind,
        prediction.semantic,
        is_crowd,
        truth_tube,
        prediction_tube,
        np.argsort(truth_tube),
        np.argsort(prediction_tube),
        rules.tube_minimum,
        rules.tube_void,
        rules.tube_small == "elements",
        confusion,
    )
    order = np.argsort(pair)
    shared_pairs = PairSums(*_sum_pairs(pair[order], shared[order], truth_keys, prediction_keys))
    is_kept = truth_sizes > rules.tube_minimum
    is_found = prediction_sizes > (rules.tube_minimum if rules.tube_small == "sizes" else 0)
    table = TubeTable(
        _sizes(truth_keys[is_kept], truth_sizes[is_kept]),
        _sizes(prediction_keys[is_found], prediction_sizes[is_found]),
        shared_pairs,
        confusion,
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


def _sizes(keys: np.ndarray, sizes: np.ndarray) -> PairSums:
    return PairSums(keys, np.zeros(len(keys), np.int64), sizes)


@compiled
def _truth_tubes(semantic, instance, key, kind, is_thing, by_label, with_stuff):
    """Key of the tube of each true segment, or _NO_TUBE."""
    tube = np.full(len(semantic), _NO_TUBE, np.int64)
    for i in range(len(semantic)):
        has_tube = kind[i] == SEGMENT and (by_label or instance[i] != 0) and (with_stuff or is_thing[semantic[i]])
        if has_tube:
            tube[i] = semantic[i] << _CLASS_SHIFT | (key[i] if by_label else instance[i])
    return tube


@compiled
def _prediction_tubes(semantic, instance, key, is_thing, only_things, with_zero, by_label, with_class):
    """Key of the tube of each predicted segment, or _NO_TUBE."""
    tube = np.full(len(semantic), _NO_TUBE, np.int64)
    for i in range(len(semantic)):
        if (not only_things or is_thing[semantic[i]]) and (with_zero or by_label or instance[i] != 0):
            number = key[i] if by_label else instance[i]
            tube[i] = semantic[i] << _CLASS_SHIFT | number if with_class else number
    return tube


@compiled
def _number_tubes(tube, order):
    """Distinct tube keys, sorted, and the place of each segment's tube among them (_NO_TUBE: none)."""
    keys, place = np.empty(len(tube), np.int64), np.full(len(tube), _NO_TUBE, np.int64)
    found = 0
    for i in order:
        if tube[i] != _NO_TUBE:
            if found == 0 or keys[found - 1] != tube[i]:
                keys[found] = tube[i]
                found += 1
            place[i] = found - 1
    return keys[:found], place


@compiled
def _count_rows(
    truth_place,
    prediction_place,
    shared,
    truth_class,
    truth_kind,
    prediction_class,
    is_crowd,
    truth_tube,
    prediction_tube,
    truth_order,
    prediction_order,
    minimum,
    counts_void,
    drops_small,
    confusion,
):
    """Keys and sizes of the tubes of both sides, and a row for each pair of segments in two tubes: the pair's number,
    place of the true tube * predicted tubes + place of the predicted tube, and its elements. Fills `confusion`."""
    void = len(confusion) - 1
    truth_keys, truth_tubes = _number_tubes(truth_tube, truth_order)
    prediction_keys, prediction_tubes = _number_tubes(prediction_tube, prediction_order)
    truth_sizes, prediction_sizes = np.zeros(len(truth_keys), np.int64), np.zeros(len(prediction_keys), np.int64)
    for row in range(len(shared)):
        t, p, n = truth_place[row], prediction_place[row], shared[row]
        confusion[min(prediction_class[p], void), min(truth_class[t], void)] += n
        if truth_tubes[t] != _NO_TUBE:
            truth_sizes[truth_tubes[t]] += n
    pairs, elements, found = np.empty(len(shared), np.int64), np.empty(len(shared), np.int64), 0
    for row in range(len(shared)):
        t, p, n = truth_place[row], prediction_place[row], shared[row]
        mine, other = truth_tubes[t], prediction_tubes[p]
        if other == _NO_TUBE or is_crowd[t]:
            continue
        is_small = mine != _NO_TUBE and truth_sizes[mine] <= minimum
        if mine != _NO_TUBE and not is_small:
            pairs[found], elements[found] = mine * len(prediction_keys) + other, n
            found += 1
        # Predicted void lends its number to the intersection, but does not count in the size of the tube.
        is_counted = prediction_class[p] != VOID and (counts_void or truth_kind[t] != VOID_AREA)
        if is_counted and not (drops_small and is_small):
            prediction_sizes[other] += n
    return truth_keys, truth_sizes, prediction_keys, prediction_sizes, pairs[:found], elements[:found]


@compiled
def _sum_pairs(pair, shared, truth_keys, prediction_keys):
    """Rows of equal pairs, which are sorted, added up: keys of both tubes and elements."""
    first, second, sums = np.empty_like(pair), np.empty_like(pair), np.empty_like(pair)
    found = 0
    for row in range(len(pair)):
        if row > 0 and pair[row] == pair[row - 1]:
            sums[found - 1] += shared[row]
        else:
            first[found] = truth_keys[pair[row] // len(prediction_keys)]
            second[found] = prediction_keys[pair[row] % len(prediction_keys)]
            sums[found] = shared[row]
            found += 1
    return first[:found].copy(), second[:found].copy(), sums[:found].copy()


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

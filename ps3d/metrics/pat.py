"""PAT: the harmonic mean of panoptic quality and tracking quality (Fong et al., Panoptic nuScenes, RA-L 2022).

TQ is the mean over true tracks of sqrt(AQ x IS). AQ says how much of the track one predicted number covers, counted in
frames; IS is the share of steps from one appearance to the next without a switch. A match asks for IoU over one half
and not for the class.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from ps3d.metrics.pair_sums import PairSums, find_sums, sum_keys, sum_pairs
from ps3d.metrics.panoptic_quality import PanopticCounts, count_panoptic_overlap
from ps3d.metrics.result import Result, ratio
from ps3d.metrics.rules import OFFICIAL, Rules
from ps3d.metrics.segments import SEGMENT, VOID_AREA, SegmentOverlap, merge_labels, panoptic_overlap, remove_void
from ps3d.structures import Panoptic, Taxonomy

_UNMATCHED = -1


@dataclass(frozen=True)
class Tracks:
    """The true tracks of a stretch of one sequence, sorted by key.

    Attributes:
        length: frames in which the object appears.
        switches: steps to the next appearance whose match differs, or that come from an appearance without a match.
        first, last: number it was matched with in its first and last appearance, or -1.
        hits: frames by (track, predicted number).
        appearances: frames in which a predicted number has enough elements.
    """

    key: Int64[np.ndarray, "tracks"]
    semantic: Int64[np.ndarray, "tracks"]
    length: Int64[np.ndarray, "tracks"]
    switches: Int64[np.ndarray, "tracks"]
    first: Int64[np.ndarray, "tracks"]
    last: Int64[np.ndarray, "tracks"]
    hits: PairSums
    appearances: PairSums

    def __add__(self, later: "Tracks") -> "Tracks":
        key = np.union1d(self.key, later.key)
        here, there = np.searchsorted(key, self.key), np.searchsorted(key, later.key)
        _, before, after = np.intersect1d(self.key, later.key, return_indices=True)
        length, switches = np.zeros(len(key), np.int64), np.zeros(len(key), np.int64)
        semantic, first, last = np.zeros((3, len(key)), np.int64)
        for tracks, place in ((self, here), (later, there)):
            length[place] += tracks.length
            switches[place] += tracks.switches
            semantic[place] = tracks.semantic
            last[place] = tracks.last
        first[there] = later.first
        first[here] = self.first
        is_switch = (later.first[after] != self.last[before]) | (self.last[before] == _UNMATCHED)
        switches[here[before]] += is_switch
        return Tracks(
            key, semantic, length, switches, first, last, self.hits + later.hits, self.appearances + later.appearances
        )

    def quality(self) -> Float64[np.ndarray, "tracks"]:
        """sqrt(AQ x IS) of each track."""
        hits = self.hits.sums
        row = np.searchsorted(self.key, self.hits.first)
        seen = find_sums(self.appearances, self.hits.second)
        extra = np.where(seen > 0, seen - hits, 0)
        covered = np.bincount(row, weights=hits**2 / (self.length[row] + extra), minlength=len(self.key))
        steps = np.maximum(self.length - 1, 1)
        return np.sqrt(covered / self.length * (1 - self.switches / steps))


@dataclass(frozen=True)
class TrackQualityCounts:
    """State of PAT: panoptic counts and the tracks of each sequence, whose stretches add in the order of time."""

    panoptic: PanopticCounts
    sequences: Mapping[str, Tracks]

    def __add__(self, other: "TrackQualityCounts") -> "TrackQualityCounts":
        sequences = dict(self.sequences)
        for name, later in other.sequences.items():
            sequences[name] = sequences[name] + later if name in sequences else later
        return TrackQualityCounts(self.panoptic + other.panoptic, sequences)

    def result(self) -> Result:
        """PAT, PQ and TQ; NaN without tracks."""
        classes = len(self.panoptic.taxonomy)
        quality, tracks = np.zeros(classes), np.zeros(classes)
        for table in self.sequences.values():
            quality += np.bincount(table.semantic, weights=table.quality(), minlength=classes)
            tracks += np.bincount(table.semantic, minlength=classes)
        tq = float(quality.sum() / tracks.sum()) if tracks.sum() else float("nan")
        pq = self.panoptic.result()["pq"]
        values = {"pat": 2 * pq * tq / (pq + tq) if pq + tq else 0.0, "tq": tq, "pq": pq}
        per_class = {"tq": ratio(quality, tracks), "tracks": tracks}
        return Result("pat", self.panoptic.rules.name, values, per_class, self.panoptic.taxonomy.names)


def count_track_quality(
    truth: Panoptic,
    prediction: Panoptic,
    taxonomy: Taxonomy,
    rules: Rules = OFFICIAL["nuscenes"],
    sequence: str = "",
    where: str = "frame",
) -> TrackQualityCounts:
    """The share of one frame in PAT; add the frames of a sequence in their order."""
    return count_track_quality_overlap(panoptic_overlap(truth, prediction, where), taxonomy, rules, sequence)


def count_track_quality_overlap(
    overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules, sequence: str = ""
) -> TrackQualityCounts:
    """The same from the overlap table of a frame, which other metrics share."""
    counts = count_panoptic_overlap(overlap, taxonomy, rules)
    if rules.merges_labels:
        overlap = merge_labels(overlap, taxonomy)
    overlap = remove_void(overlap)
    truth, prediction = overlap.truth, overlap.prediction
    is_thing = np.zeros(256, bool)
    is_thing[: len(taxonomy)] = taxonomy.is_thing
    is_track = (truth.kind == SEGMENT) & is_thing[truth.semantic] & (truth.area > rules.tube_minimum)
    t, p, shared = overlap.truth_place, overlap.prediction_place, overlap.shared
    is_match = is_track[t] & (2 * shared > truth.area[t] + prediction.area[p] - shared)
    is_match &= prediction.kind[p] != VOID_AREA
    match = np.full(len(truth), _UNMATCHED)
    match[t[is_match]] = prediction.key[p[is_match]]
    where = np.flatnonzero(is_track)
    where = where[np.argsort(truth.key[where], kind="stable")]
    key, match = truth.key[where], match[where]
    ones, is_hit = np.ones(len(key), np.int64), match != _UNMATCHED
    is_seen = prediction.area > rules.tube_minimum
    tracks = Tracks(
        key,
        truth.semantic[where],
        ones,
        np.zeros(len(key), np.int64),
        match,
        match,
        sum_pairs(key[is_hit], match[is_hit], ones[is_hit]),
        sum_keys(prediction.key[is_seen], np.ones(is_seen.sum(), np.int64)),
    )
    return TrackQualityCounts(counts, {sequence: tracks})

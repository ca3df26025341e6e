"""VPQ: panoptic quality of tubes in windows of consecutive frames (Kim et al., CVPR 2020)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ps3d.metrics.panoptic_quality import PanopticCounts, count_panoptic_overlap, no_counts
from ps3d.metrics.result import Result
from ps3d.metrics.rules import OFFICIAL, Rules
from ps3d.metrics.segments import SegmentOverlap, panoptic_overlap, pool_frames
from ps3d.structures import Panoptic, Taxonomy

WINDOWS = (1, 2, 3, 4)
"""Frames of a window; VPQ is the mean over them."""


@dataclass(frozen=True)
class Stretch:
    """The outermost tables of some consecutive frames: what windows across its ends need.

    Attributes:
        head, tail: tables of the first and last frames, at most one fewer than the longest window.
        length: number of frames.
    """

    head: tuple[SegmentOverlap, ...]
    tail: tuple[SegmentOverlap, ...]
    length: int


@dataclass(frozen=True)
class VideoCounts:
    """State of VPQ: panoptic counts by window size. Stretches of one sequence add in the order of time.

    It keeps a few frames' tables per sequence, however long the sequence is.
    """

    windows: Mapping[int, PanopticCounts]
    sequences: Mapping[str, Stretch]

    def __add__(self, other: "VideoCounts") -> "VideoCounts":
        windows = {k: counts + other.windows[k] for k, counts in self.windows.items()}
        sequences = dict(self.sequences)
        for name, later in other.sequences.items():
            if name not in sequences:
                sequences[name] = later
                continue
            earlier = sequences[name]
            frames, seam = earlier.tail + later.head, len(earlier.tail)
            for k, counts in windows.items():
                for start in range(max(0, seam - k + 1), min(seam, len(frames) - k + 1)):
                    tubes = pool_frames(frames[start : start + k])
                    counts += count_panoptic_overlap(tubes, counts.taxonomy, counts.rules)
                windows[k] = counts
            longest = max(windows) - 1
            head = (earlier.head + later.head)[:longest]
            tail = (earlier.tail + later.tail)[-longest:] if longest else ()
            sequences[name] = Stretch(head, tail, earlier.length + later.length)
        return VideoCounts(windows, sequences)

    def result(self) -> Result:
        """`vpq` (and of things and stuff), the mean over window sizes, and `vpq1`, `vpq2`, ... of each size."""
        results = {k: counts.result() for k, counts in self.windows.items()}
        first = next(iter(results.values()))
        values = {}
        for suffix in ("", "_things", "_stuff"):
            each = {k: result["pq" + suffix] for k, result in results.items()}
            values["vpq" + suffix] = sum(each.values()) / len(each)
            values |= {f"vpq{k}{suffix}": value for k, value in each.items()}
        per_class = {f"vpq{k}": result.per_class["pq"] for k, result in results.items()}
        per_class["vpq"] = np.mean(list(per_class.values()), axis=0)
        return Result("vpq", first.rules, values, per_class, first.names)


def count_video(
    truth: Panoptic,
    prediction: Panoptic,
    taxonomy: Taxonomy,
    rules: Rules = OFFICIAL["kitti_step"],
    sequence: str = "",
    windows: tuple[int, ...] = WINDOWS,
    where: str = "frame",
) -> VideoCounts:
    """The share of one frame in VPQ; add the frames of a sequence in their order.

    Args:
        windows: frames of a window.
        where: named in the error about different lengths.
    """
    return count_video_overlap(panoptic_overlap(truth, prediction, where), taxonomy, rules, sequence, windows)


def count_video_overlap(
    overlap: SegmentOverlap, taxonomy: Taxonomy, rules: Rules, sequence: str = "", windows: tuple[int, ...] = WINDOWS
) -> VideoCounts:
    """The same from the overlap table of a frame, which other metrics share."""
    counts = {k: no_counts(taxonomy, rules) for k in windows}
    if 1 in counts:
        counts[1] = count_panoptic_overlap(overlap, taxonomy, rules)
    ends = (overlap,) if max(windows) > 1 else ()
    return VideoCounts(counts, {sequence: Stretch(ends, ends, 1)})

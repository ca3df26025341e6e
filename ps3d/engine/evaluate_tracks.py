"""4D evaluation of drives: every tracking metric from one overlap table per frame, with latency beside quality."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ps3d.engine.streaming import NO_ANSWER, carry_over, no_answer, schedule
from ps3d.metrics import OFFICIAL, STRICT
from ps3d.metrics.object_tracking import object_scores
from ps3d.metrics.object_tracks import ObjectCounts, count_objects_overlap
from ps3d.metrics.pat import TrackQualityCounts, count_track_quality_overlap
from ps3d.metrics.ptq import TrackedCounts, count_tracked_overlap
from ps3d.metrics.result import Result, class_mean, total
from ps3d.metrics.segments import panoptic_overlap
from ps3d.metrics.tracking_quality import TubeCounts, count_tubes_overlap
from ps3d.structures import Frame, Panoptic, Sequence, Taxonomy
from ps3d.structures.sequence import LIDAR

COLUMNS = ("lstq", "s_assoc", "s_cls", "ptq", "sptq", "pat", "pq", "tq", "motsa", "smotsa", "idf1", "hota")
"""Figures of the table, all in 0..1 but MOTSA, which can be negative."""


@dataclass(frozen=True)
class TrackingCounts:
    """State of all tracking metrics. Stretches of one sequence add in the order of time; sequences in any order."""

    tubes: TubeCounts
    tracked: TrackedCounts
    quality: TrackQualityCounts
    objects: ObjectCounts

    def __add__(self, other: "TrackingCounts") -> "TrackingCounts":
        return TrackingCounts(
            self.tubes + other.tubes,
            self.tracked + other.tracked,
            self.quality + other.quality,
            self.objects + other.objects,
        )

    def result(self) -> Result:
        """`COLUMNS`, and the figures of each class. MOTSA, IDF1 and HOTA are means over the things of the truth."""
        tubes, tracked, quality = self.tubes.result(), self.tracked.result(), self.quality.result()
        names = tubes.names
        scores = object_scores(self.objects)
        is_there = np.array(
            [any(len(t.truth_id) for t in self.objects.classes.get(name, {}).values()) for name in names], bool
        )
        per_class = {"s_assoc": tubes.per_class["s_assoc"]}
        per_class |= {name: tracked.per_class[name] for name in ("ptq", "motsa")}
        for figure in ("idf1", "hota"):
            per_class[figure] = np.array([scores[n][figure] if n in scores else np.nan for n in names], np.float64)
        values = {name: tubes[name] for name in ("lstq", "s_assoc", "s_cls")}
        values |= {name: tracked[name] for name in ("ptq", "sptq", "motsa", "smotsa")}
        values |= {name: quality[name] for name in ("pat", "pq", "tq")}
        values |= {name: class_mean(per_class[name], is_there) for name in ("idf1", "hota")}
        return Result("tracking", tubes.rules, {name: float(values[name]) for name in COLUMNS}, per_class, names)


def count_frame(
    truth: Panoptic, prediction: Panoptic, taxonomy: Taxonomy, sequence: str, frame: int, is_strict: bool = False
) -> TrackingCounts:
    """The share of one frame: LSTQ by the rules of 4D-PLS, PTQ and PAT by those of nuScenes.

    Args:
        frame: its number; only the order matters.
        is_strict: the rules by which truth against itself is exactly 1, in place of the benchmarks' own.
    """
    rules = STRICT if is_strict else OFFICIAL
    overlap = panoptic_overlap(truth, prediction, f"{sequence} frame {frame}")
    return TrackingCounts(
        count_tubes_overlap(overlap, taxonomy, rules["4dpls"], sequence),
        count_tracked_overlap(overlap, taxonomy, rules["nuscenes"], sequence),
        count_track_quality_overlap(overlap, taxonomy, rules["nuscenes"], sequence),
        count_objects_overlap(overlap, taxonomy, sequence, frame),
    )


def evaluate_tracks(
    sequence: Sequence,
    predict: Callable[[Frame], Panoptic | None],
    positions: Iterable[int] | None = None,
    is_strict: bool = False,
) -> TrackingCounts:
    """Score the labels of one drive.

    Args:
        predict: the labels of a frame; None = none were made, every point counts as void.
        positions: places in the sequence; all with truth if left out.

    Raises:
        ValueError: no frame has truth.
    """
    counts = []
    for position in range(len(sequence)) if positions is None else positions:
        frame = sequence[position]
        if LIDAR in frame.truth:
            answer = predict(frame)
            label = no_answer(frame) if answer is None else answer
            truth = frame.truth[LIDAR]
            counts.append(count_frame(truth, label, sequence.taxonomy, sequence.name, frame.index, is_strict))
    if not counts:
        raise ValueError(f"{sequence.name}: no frame has labels to compare with")
    return total(counts)


def evaluate_streaming(
    sequence: Sequence,
    predict: Callable[[Frame], Panoptic | None],
    latency: Mapping[int, float] | float,
    is_strict: bool = False,
) -> tuple[TrackingCounts, Float[np.ndarray, "frames"]]:
    """Score what is answered in time (see `ps3d.engine.streaming`).

    Args:
        latency: seconds per frame, one figure or by frame number.

    Returns:
        Counts, and how many frames old each answer was (NaN where there was none).

    Raises:
        ValueError: no frame has truth, or frames with truth have no latency.
    """
    frames = [sequence[position] for position in range(len(sequence))]
    seconds = [latency if isinstance(latency, float | int) else latency.get(f.index, np.nan) for f in frames]
    if np.isnan(seconds).any():
        missing = [frame.index for frame, value in zip(frames, seconds, strict=True) if np.isnan(value)]
        raise ValueError(f"{sequence.name}: no latency of {len(missing)} frames, first {missing[:3]}; time all frames")
    sources = schedule(np.array([frame.timestamp for frame in frames]), np.array(seconds, np.float64))
    age = np.where(sources == NO_ANSWER, np.nan, np.arange(len(frames)) - sources)

    def answer(frame: Frame) -> Panoptic | None:
        source = int(sources[position_of[frame.index]])
        if source == NO_ANSWER:
            return None
        label = predict(frames[source])
        if label is None or frames[source].index == frame.index:
            return label
        return carry_over(label, frames[source], frame)

    position_of = {frame.index: position for position, frame in enumerate(frames)}
    return evaluate_tracks(sequence, answer, is_strict=is_strict), age

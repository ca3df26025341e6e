"""Scoring predictions: frames to counts, over worker processes and over ranks.

Frames are read once and give one overlap table each; every metric counts on it. The counts of a stretch of frames add
to those of the next, so stretches can be counted anywhere: in processes of this machine (`workers`) or, whole sequences
at a time, on the ranks that torchrun started.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ps3d.engine.evaluation_formats import Benchmark, FramePair, open_benchmark, rules_of
from ps3d.metrics.errors import WorstFrames, find_errors
from ps3d.metrics.mask_ap import count_masks_overlap
from ps3d.metrics.object_tracks import count_objects_overlap
from ps3d.metrics.panoptic_quality import count_panoptic_overlap
from ps3d.metrics.pat import count_track_quality_overlap
from ps3d.metrics.ptq import count_tracked_overlap
from ps3d.metrics.result import total
from ps3d.metrics.rules import Rules
from ps3d.metrics.segments import SegmentOverlap
from ps3d.metrics.tracking_quality import count_tubes_overlap
from ps3d.metrics.vpq import count_video_overlap
from ps3d.structures import Taxonomy

_STRETCH = 64
"""Frames that a worker process counts before it reports."""

Counter = Callable[[SegmentOverlap, Taxonomy, Rules, str, int], Any]
METRICS: dict[str, Counter] = {
    "pq": lambda overlap, taxonomy, rules, sequence, number: count_panoptic_overlap(overlap, taxonomy, rules),
    "lstq": lambda overlap, taxonomy, rules, sequence, number: count_tubes_overlap(overlap, taxonomy, rules, sequence),
    "vpq": lambda overlap, taxonomy, rules, sequence, number: count_video_overlap(overlap, taxonomy, rules, sequence),
    "ptq": lambda overlap, taxonomy, rules, sequence, number: count_tracked_overlap(overlap, taxonomy, rules, sequence),
    "pat": lambda overlap, taxonomy, rules, sequence, number: count_track_quality_overlap(
        overlap, taxonomy, rules, sequence
    ),
    "hota": lambda overlap, taxonomy, rules, sequence, number: count_objects_overlap(
        overlap, taxonomy, sequence, number
    ),
    "mask_ap": lambda overlap, taxonomy, rules, sequence, number: count_masks_overlap(overlap, taxonomy, rules),
}
"""State that each metric counts. Other names for the same states are in `ALIASES`."""

ALIASES = {"miou": "pq", "stq": "lstq", "sptq": "ptq", "motsa": "ptq", "idf1": "hota", "clear": "hota", "tq": "pat"}
ALIASES["ap"] = "mask_ap"


@dataclass(frozen=True)
class Evaluation:
    """Counts of some frames, by (metric, "official" or "strict"). Stretches add in the order of time."""

    taxonomy: Taxonomy
    states: Mapping[tuple[str, str], Any]
    frames: int
    worst: WorstFrames

    def __add__(self, other: "Evaluation") -> "Evaluation":
        states = {key: state + other.states[key] for key, state in self.states.items()}
        return Evaluation(self.taxonomy, states, self.frames + other.frames, self.worst + other.worst)


@dataclass(frozen=True)
class Task:
    """What to score: everything a worker process needs."""

    benchmark: Benchmark
    taxonomy: Taxonomy
    metrics: tuple[str, ...]
    modes: tuple[str, ...]
    worst: int


def resolve_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """The states behind metric names. Raises ValueError with the known names."""
    known = {**{name: name for name in METRICS}, **ALIASES}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no metric {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(dict.fromkeys(known[name] for name in names))


def count_frame(task: Task, pair: FramePair, number: int) -> Evaluation:
    """Read one frame and count it for every metric."""
    states, worst = {}, WorstFrames(task.worst)
    overlap = None
    for mode in task.modes:
        rules = rules_of(task.benchmark, mode == "strict")
        # The rules decide how COCO's areas are read; other formats give one table for both.
        if overlap is None or rules.uses_stated_area != rules_of(task.benchmark, False).uses_stated_area:
            overlap = task.benchmark.read(pair, task.taxonomy, rules)
        for metric in task.metrics:
            states[metric, mode] = METRICS[metric](overlap, task.taxonomy, rules, pair.sequence, number)
        if task.worst and mode == task.modes[0]:
            found = find_errors(overlap, task.taxonomy, rules, pair.sequence, pair.frame)
            worst = WorstFrames(task.worst, (found,) if found.errors else ())
    return Evaluation(task.taxonomy, states, 1, worst)


def count_stretch(task: Task, pairs: Sequence[tuple[FramePair, int]]) -> Evaluation:
    """The counts of consecutive frames."""
    return total(count_frame(task, pair, number) for pair, number in pairs)


def count_frames(
    task: Task, pairs: Sequence[FramePair], workers: int, progress: Callable[[int], Any]
) -> Evaluation | None:
    """The counts of all frames, in their order; None without frames.

    Args:
        workers: processes; 0 or 1 = this one.
        progress: called with the number of frames that were just done.
    """
    numbered = list(_number(pairs))
    if not numbered:
        return None
    size = 1 if workers <= 1 else min(_STRETCH, max(1, len(numbered) // (4 * workers)))
    stretches = [numbered[i : i + size] for i in range(0, len(numbered), size)]

    def report(results: Iterable[Evaluation]) -> Iterator[Evaluation]:
        for result in results:
            progress(result.frames)
            yield result

    with ExitStack() as stack:
        if workers <= 1:
            return total(report(count_stretch(task, stretch) for stretch in stretches))
        pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=_spawn()))
        return total(report(pool.map(count_stretch, [task] * len(stretches), stretches)))


def _spawn():
    """Fresh processes: forking a process that has threads can hang."""
    import multiprocessing

    return multiprocessing.get_context("spawn")


def _number(pairs: Sequence[FramePair]) -> Iterator[tuple[FramePair, int]]:
    """Each frame with its place in its sequence."""
    seen: dict[str, int] = {}
    for pair in pairs:
        seen[pair.sequence] = seen.get(pair.sequence, -1) + 1
        yield pair, seen[pair.sequence]


def shard(pairs: Sequence[FramePair], rank: int, ranks: int) -> list[FramePair]:
    """The frames of one rank: whole sequences, the largest first, each to the rank with the fewest frames."""
    sequences: dict[str, list[FramePair]] = {}
    for pair in pairs:
        sequences.setdefault(pair.sequence, []).append(pair)
    loads, mine = [0] * ranks, []
    for _, frames in sorted(sequences.items(), key=lambda item: (-len(item[1]), item[0])):
        target = loads.index(min(loads))
        loads[target] += len(frames)
        if target == rank:
            mine.append(frames)
    return [pair for frames in sorted(mine, key=lambda frames: frames[0].sequence) for pair in frames]


def evaluate(
    truth: str | Path,
    prediction: str | Path,
    benchmark: str,
    metrics: Iterable[str] = (),
    modes: Sequence[str] = ("official", "strict"),
    workers: int = 0,
    worst: int = 0,
    progress: Callable[[int, int], Any] | None = None,
) -> Evaluation | None:
    """Score a prediction.

    Args:
        benchmark: key of `BENCHMARKS`.
        metrics: keys of `METRICS` or `ALIASES`; none = the benchmark's own.
        modes: "official", "strict" or both.
        workers: processes that read and count.
        worst: frames to keep whose segments are wrong.
        progress: called with (frames done, frames in all).

    Returns:
        The counts; None on every rank but the first under torchrun.

    Raises:
        FileNotFoundError, ValueError: names the file, the frame and the ids.
    """
    chosen, taxonomy, pairs = open_benchmark(benchmark, Path(truth), Path(prediction))
    task = Task(chosen, taxonomy, resolve_metrics(metrics or chosen.metrics), tuple(modes), worst)
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    mine = shard(pairs, rank, ranks) if ranks > 1 else pairs
    done = 0

    def report(frames: int) -> None:
        nonlocal done
        done += frames
        if progress is not None:
            progress(done, len(mine))

    counted = count_frames(task, mine, workers, report)
    return gather(counted) if ranks > 1 else counted


def gather(counted: Evaluation | None) -> Evaluation | None:
    """The sum of the counts of all ranks, on the first; None on the others."""
    from torch import distributed

    begun = not distributed.is_initialized()
    if begun:
        distributed.init_process_group("gloo")
    first = distributed.get_rank() == 0
    parts: list[Any] | None = [None] * distributed.get_world_size() if first else None
    distributed.gather_object(counted, parts)
    if begun:
        distributed.destroy_process_group()
    if not first or parts is None:
        return None
    found = [part for part in parts if part is not None]
    return total(found) if found else None

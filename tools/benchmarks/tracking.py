"""The tracker: cost, ablation of its stages, spoiled instances, and boxes of KITTI tracking.

`python tools/benchmark.py tracking`                  cost per scan, 50 and 500 objects in 120 k points
`python tools/benchmark.py tracking --drives ROOT...` S_assoc by stages, perfect and spoiled instances, 10 and 2 Hz:
                                                      mean and, in brackets, least of the drives; `--stages` chooses
                                                      rows, `--spoils` columns
`python tools/benchmark.py tracking --boxes KITTI`    HOTA and MOTA against a plain Kalman filter with assignment
`python tools/benchmark.py tracking --argoverse LOG`  true boxes of Argoverse 2 with forgotten identity

ROOT comes from `python tools/simulate.py --out ROOT --drives 1 --frames 60 --seed 90210`; KITTI holds
training/label_02 and detections/pointrcnn_<class>_val. Times are process CPU time of one core.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmarks._argoverse import track_log
from benchmarks._box_tracking import compare_box_trackers
from rich.console import Console
from rich.table import Table

from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_layout import Kitti360Layout
from ps3d.metrics import STRICT, TubeCounts, count_tubes, total
from ps3d.ops.overlap import count_overlap
from ps3d.structures import Category, Frame, Panoptic, Scan, Taxonomy
from ps3d.structures.sequence import LIDAR
from ps3d.tracking import Tracker, TrackerOptions

OFF = TrackerOptions(
    overlap=True, motion=False, embedding=False, registration=False, reidentification=False, class_vote=False
)
STAGES: dict[str, TrackerOptions] = {
    "1 overlap": OFF,
    "2 motion": replace(OFF, overlap=False, motion=True),
    "3 embedding": replace(OFF, overlap=False, embedding=True),
    "4 registration": replace(OFF, overlap=False, registration=True),
    "1 + 2": replace(OFF, motion=True),
    "1 + 2 + 4": replace(OFF, motion=True, registration=True),
    "1 + 2 + 4, class vote": replace(OFF, motion=True, registration=True, class_vote=True),
    "all but 3 (default)": TrackerOptions(embedding=False),
    "all": TrackerOptions(),
}
PERFECT_ROWS = ("1 overlap", "2 motion", "3 embedding", "4 registration", "1 + 2", "all but 3 (default)", "all")
SPOILED_ROWS = ("1 overlap", "2 motion", "all but 3 (default)")
Spoil = Callable[[Panoptic, Frame, np.random.Generator], Panoptic]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=Path, nargs="+", help="simulated drives in KITTI-360's layout")
    parser.add_argument("--boxes", type=Path, help="KITTI tracking: label_02 and PointRCNN detections")
    parser.add_argument("--argoverse", type=Path, help="a log of Argoverse 2 (needs pyarrow)")
    parser.add_argument("--stages", nargs="+", choices=tuple(STAGES), help="rows; default: all, three if spoiled")
    parser.add_argument("--spoils", nargs="+", choices=tuple(SPOILS), default=tuple(SPOILS), help="columns")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    console = Console()
    if options.boxes:
        console.print(compare_box_trackers(options.boxes))
    elif options.argoverse:
        console.print(track_log(options.argoverse))
    elif options.drives:
        drives = [(root, name) for root in options.drives for name in Kitti360Layout(root).drives()]
        console.print(ablation(drives, options.seed, options.spoils, options.stages))
    else:
        console.print(cost(options.seed))


def ablation(drives: list[tuple[Path, str]], seed: int, spoils: Sequence[str], stages: Sequence[str] | None) -> Table:
    """S_assoc of each row of stages; columns are ways to spoil the instances, at 10 and 2 Hz.

    Args:
        drives: root and name of each.
        stages: rows; None = `PERFECT_ROWS` for perfect instances and `SPOILED_ROWS` for the others.
    """
    columns = [(name, step) for name in spoils for step in (1, 5)]
    scores: dict[tuple[str, str, int], list[float]] = {}
    for root, drive in drives:
        sequence = Kitti360(root, drive)
        frames = list(sequence)
        for name, step in columns:
            rows = stages or (PERFECT_ROWS if name == "perfect" else SPOILED_ROWS)
            for row, counts in score_rows(frames[::step], sequence.taxonomy, SPOILS[name], rows, seed, drive):
                score = counts.result()["s_assoc"]
                scores.setdefault((row, name, step), []).append(score)
                print(f"{root.name} {drive}, {name}, {10 // step} Hz, {row}: {score:.4f}", flush=True)
    table = Table("stages", *(f"{name}, {10 // step} Hz" for name, step in columns), title="S_assoc: mean (least)")
    for row in ("identity shuffled", *(row for row in STAGES if (row, *columns[0]) in scores), "identity known"):
        cells = [scores.get((row, name, step), []) for name, step in columns]
        table.add_row(row, *(f"{np.mean(cell):.3f} ({min(cell):.3f})" if cell else "-" for cell in cells))
    return table


def score_rows(
    frames: list[Frame], taxonomy: Taxonomy, spoil: Spoil, rows: Sequence[str], seed: int, drive: str
) -> Iterator[tuple[str, TubeCounts]]:
    """What each row of stages, no tracker and one that knows the identity reach on one drive."""
    inputs = list(spoil_drive(frames, spoil, np.random.default_rng(seed)))
    answers: dict[str, Iterable[Panoptic]] = {"identity shuffled": (shuffle(label, seed) for label in inputs)}
    answers |= {row: follow(inputs, frames, taxonomy, STAGES[row], seed) for row in rows}
    answers |= {"identity known": inputs}
    for row, labels in answers.items():
        yield (
            row,
            total(
                count_tubes(frame.truth[LIDAR], label, taxonomy, STRICT["4dpls"], drive)
                for frame, label in zip(frames, labels, strict=True)
            ),
        )


def spoil_drive(frames: list[Frame], spoil: Spoil, rng: np.random.Generator) -> Iterator[Panoptic]:
    """Truth with spoiled instances; numbers still mean identity."""
    for frame in frames:
        yield spoil(frame.truth[LIDAR], frame, rng)


def follow(
    inputs: list[Panoptic], frames: list[Frame], taxonomy: Taxonomy, options: TrackerOptions, seed: int
) -> Iterator[Panoptic]:
    """Tracked labels from shuffled ones; embeddings are noisy versions of one random direction per object."""
    tracker, rng = Tracker(taxonomy, options), np.random.default_rng(seed)
    looks: dict[int, np.ndarray] = {}
    for label, frame in zip(inputs, frames, strict=True):
        numbers, place = np.unique(label.instance, return_inverse=True)
        order = np.append(0, rng.permutation(len(numbers) - (numbers[0] == 0)) + 1)
        table = order if numbers[0] == 0 else order[1:]
        shuffled = Panoptic(label.semantic, table[place.reshape(-1)].astype(np.int32))
        embeddings = {}
        for number, new in zip(numbers.tolist(), table.tolist(), strict=True):
            look = looks.setdefault(number, rng.normal(size=16))
            embeddings[new] = look + rng.normal(size=16) * 0.7
        yield tracker.update(shuffled, frame, embeddings if options.embedding else None)


def shuffle(label: Panoptic, seed: int) -> Panoptic:
    """What no tracker at all is worth: numbers in the order of the segment's size."""
    numbers, place = np.unique(label.instance, return_inverse=True)
    order = np.argsort(np.argsort(np.bincount(place.reshape(-1)))) + 1 + seed
    order[numbers == 0] = 0
    return Panoptic(label.semantic, order[place.reshape(-1)].astype(np.int32))


def keep(label: Panoptic, frame: Frame, rng: np.random.Generator) -> Panoptic:
    return label


def chosen_tenth(label: Panoptic, rng: np.random.Generator) -> np.ndarray:
    numbers = np.unique(label.instance[label.instance > 0])
    return numbers[rng.random(len(numbers)) < 0.1]


def split(label: Panoptic, frame: Frame, rng: np.random.Generator) -> Panoptic:
    """Cut one tenth of the objects in two, across their longest side."""
    assert frame.scan is not None
    instance = label.instance.copy()
    free = int(instance.max()) + 1
    for number in chosen_tenth(label, rng):
        mine = np.flatnonzero(label.instance == number)
        xy = frame.scan.xyz[mine, :2]
        along = np.linalg.svd(xy - xy.mean(0), full_matrices=False)[2][0]
        side = (xy - xy.mean(0)) @ along
        instance[mine[side > np.median(side)]] = free
        free += 1
    return Panoptic(label.semantic, instance)


def merge(label: Panoptic, frame: Frame, rng: np.random.Generator) -> Panoptic:
    """Give one tenth of the objects the number of their nearest neighbor of the same class."""
    assert frame.scan is not None
    instance = label.instance.copy()
    pairs = count_overlap(label.instance, label.semantic)
    numbers, classes = pairs.left[pairs.left > 0], pairs.right[pairs.left > 0]
    centers = np.array([frame.scan.xyz[label.instance == number].mean(0) for number in numbers]).reshape(-1, 3)
    for number in chosen_tenth(label, rng):
        place = int(np.flatnonzero(numbers == number)[0])
        gap = np.linalg.norm(centers - centers[place], axis=1)
        gap[(classes != classes[place]) | (np.arange(len(numbers)) == place)] = np.inf
        if np.isfinite(gap).any():
            instance[label.instance == number] = numbers[gap.argmin()]
    return Panoptic(label.semantic, instance)


def lose(label: Panoptic, frame: Frame, rng: np.random.Generator) -> Panoptic:
    """Forget one tenth of the objects."""
    return Panoptic(
        label.semantic, np.where(np.isin(label.instance, chosen_tenth(label, rng)), 0, label.instance).astype(np.int32)
    )


SPOILS: dict[str, Spoil] = {"perfect": keep, "10 % split": split, "10 % merged": merge, "10 % missing": lose}

CROWD = Taxonomy("crowd", (Category("road", (7,), False, (0, 0, 0)), Category("car", (26,), True, (0, 0, 142))))


def cost(seed: int) -> Table:
    """CPU milliseconds per scan with poses and motion correction."""
    table = Table("120 k points", "objects", "median ms", "95 % ms", title="update() per scan, one core")
    for objects in (50, 500):
        frames = [crowd_scan(objects, index, np.random.default_rng(seed + index)) for index in range(25)]
        tracker, seconds = Tracker(CROWD), []
        for frame in frames:
            begin = time.process_time()
            tracker.update(frame.truth[LIDAR], frame)
            seconds.append(time.process_time() - begin)
        median, late = 1e3 * np.median(seconds[3:]), 1e3 * np.quantile(seconds[3:], 0.95)
        table.add_row("moving vehicle, a third of the objects drive", str(objects), f"{median:.1f}", f"{late:.1f}")
    return table


def crowd_scan(objects: int, index: int, rng: np.random.Generator, points: int = 120_000) -> Frame:
    """A plane with boxes on a grid; 40 % of the points lie on them."""
    each = int(0.4 * points / objects)
    side = int(np.ceil(np.sqrt(objects)))
    places = np.arange(objects)
    center = np.stack([6.0 * (places % side - side / 2), 6.0 * (places // side - side / 2), np.full(objects, -1.0)], 1)
    center[::3, 0] += 0.6 * index
    surface = rng.uniform(-0.5, 0.5, (objects, each, 3))
    axis = rng.integers(0, 2, (objects, each))
    np.put_along_axis(surface, axis[..., None], np.sign(rng.uniform(-1, 1, (objects, each, 1))) / 2, 2)
    xyz = (center[:, None] + surface * [4.2, 1.8, 1.5]).reshape(-1, 3)
    ground = np.concatenate([rng.uniform(-60, 60, (points - len(xyz), 2)), np.full((points - len(xyz), 1), -1.8)], 1)
    pose = np.eye(4)
    pose[0, 3] = 0.8 * index
    motion = np.eye(4)
    motion[0, 3] = -0.8
    xyz = np.concatenate([xyz, ground]) - pose[:3, 3]
    time_of_point = np.linspace(-0.05, 0.05, points).astype(np.float32)
    scan = Scan(xyz.astype(np.float32), np.zeros(points, np.float32), time_of_point)
    on_object = np.arange(points) < objects * each
    number = np.where(on_object, np.arange(points) // each + 1, 0).astype(np.int32)
    truth = Panoptic(on_object.astype(np.uint8), number)
    return Frame(index, 0.1 * index, scan, {}, pose, motion, False, {LIDAR: truth}, f"scan {index}")


if __name__ == "__main__":
    main()

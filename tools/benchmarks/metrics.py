"""Speed of the metrics, as ratios to the published methods in one run on the same arrays, one thread.

`python tools/benchmark.py metrics [--repeats 15]`. CPU time, medians of interleaved runs. The comparisons are our own
plain versions of what the official evaluators do (np.unique per class, masks per segment); the image comparison with
torchmetrics is its algorithm (unique rows of colors, Python dicts), since torchmetrics itself is not a dependency.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ps3d.datasets.semantic_kitti import SEMANTIC_KITTI
from ps3d.engine.evaluate import evaluate
from ps3d.engine.evaluation_formats import KITTI_STEP, class_table
from ps3d.engine.evaluation_report import print_results
from ps3d.metrics import OFFICIAL, count_panoptic_overlap, count_tubes_overlap, count_video_overlap, panoptic_overlap
from ps3d.metrics.result import total
from ps3d.metrics.segments import describe_raw, index_overlap
from ps3d.ops.overlap import count_overlap
from ps3d.structures import VOID, Panoptic

THINGS = np.array([10, 11, 15, 18, 20, 30, 31, 32])
STUFF = np.array([40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81])
KITTI_CLASSES = class_table(SEMANTIC_KITTI)


def make_scan(seed: int, points: int = 120_000, instances: int = 40, rings: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A labeled scan in ring order and a prediction of it: shifted borders, some other numbers, 1 % noise."""
    rng = np.random.default_rng(seed)
    per_ring = points // rings
    segments = instances + 20
    labels = np.concatenate([rng.choice(THINGS, instances) | np.arange(1, instances + 1) << 16, rng.choice(STUFF, 20)])
    labels = rng.permutation(labels)
    base = np.sort(rng.integers(0, per_ring, segments - 1))
    rows = []
    for _ in range(rings):
        edges = np.sort(np.clip(base + rng.integers(-6, 7, segments - 1), 0, per_ring))
        rows.append(labels[np.searchsorted(edges, np.arange(per_ring), side="right")])
    truth = np.concatenate(rows).astype(np.uint32)
    prediction = np.roll(truth, 3)
    swapped = rng.choice(labels, 6, replace=False)
    for label, other in zip(swapped[:3], swapped[3:], strict=True):
        prediction[prediction == label] = other
    noisy = rng.random(len(truth)) < 0.01
    prediction[noisy] = rng.choice(labels, noisy.sum())
    return truth, prediction


def make_image(seed: int, shift: int, size: tuple[int, int] = (1024, 2048), segments: int = 60) -> Panoptic:
    """Ellipses on a background of stuff, moved by `shift` pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: size[0], : size[1]]
    semantic, instance = np.zeros(size, np.uint8), np.zeros(size, np.int32)
    for number in range(1, segments):
        center, radius = rng.integers(0, size[1], 2) % size, rng.integers(20, 220, 2)
        inside = ((y - center[0]) / radius[0]) ** 2 + ((x - center[1] - shift) / radius[1]) ** 2 < 1
        semantic[inside] = rng.integers(0, 19)
        is_thing = semantic[inside][0] in (11, 13) if inside.any() else False
        instance[inside] = number if is_thing else 0
    return Panoptic(semantic, instance)


def pack(labels: Panoptic) -> np.ndarray:
    """class << 16 | instance of every pixel."""
    return labels.semantic.astype(np.uint32).ravel() << 16 | labels.instance.astype(np.uint32).ravel()


def unique_keys(left: np.ndarray, right: np.ndarray) -> object:
    return np.unique(left.astype(np.uint64) << np.uint64(32) | right, return_counts=True)


def official_scan(truth: np.ndarray, prediction: np.ndarray) -> None:
    """The way of the SemanticKITTI evaluator: mask and np.unique for every class."""
    classes = np.where(KITTI_CLASSES == VOID, 0, KITTI_CLASSES + 1)
    classes[classes > 19] = 0
    true_class, predicted_class = classes[truth & 0xFFFF], classes[prediction & 0xFFFF]
    confusion = np.zeros((20, 20), np.int64)
    np.add.at(confusion, (predicted_class, true_class), 1)
    keep = true_class != 0
    left, right = truth[keep].astype(np.int64) + 1, prediction[keep].astype(np.int64) + 1
    true_class, predicted_class = true_class[keep], predicted_class[keep]
    for c in range(1, 20):
        mine, theirs = left * (true_class == c), right * (predicted_class == c)
        np.unique(mine[mine > 0], return_counts=True)
        np.unique(theirs[theirs > 0], return_counts=True)
        both = (mine > 0) & (theirs > 0)
        np.unique(theirs[both] + 2**32 * mine[both], return_counts=True)


def official_tubes(truth: np.ndarray, prediction: np.ndarray) -> None:
    """The way of the 4D-PLS evaluator: per class sizes, small instances and intersections by np.unique."""
    classes = np.where(KITTI_CLASSES == VOID, 0, KITTI_CLASSES + 1)
    classes[classes > 19] = 0
    true_class, predicted_class = classes[truth & 0xFFFF], classes[prediction & 0xFFFF]
    np.add.at(np.zeros((20, 20), np.int64), (predicted_class, true_class), 1)
    left, right = (truth >> 16).astype(np.int64) + 1, (prediction >> 16).astype(np.int64) + 1
    for c in range(1, 20):
        mine, theirs = left * (true_class == c), right * (predicted_class == c)
        numbers, sizes = np.unique(mine[mine > 0], return_counts=True)
        np.unique(theirs[theirs > 0], return_counts=True)
        is_large = np.zeros(len(mine), bool)
        for number in numbers[sizes > 50]:
            is_large |= mine == number
        both = is_large & (right > 0)
        np.unique(right[both] + 2**32 * mine[both], return_counts=True)


def official_step(truth: np.ndarray, prediction: np.ndarray) -> None:
    """The way of deeplab2's STQ: full-size masks and np.unique for truth, prediction and intersection."""
    semantic, predicted = truth >> 16, prediction >> 16
    np.add.at(np.zeros((20, 20), np.int64), (semantic, predicted), 1)
    mine, theirs = np.isin(semantic, (11, 13)), np.isin(predicted, (11, 13))
    crowd = mine & (truth & 0xFFFF == 0)
    mine, theirs = mine & ~crowd, theirs & ~crowd
    for labels in (prediction[theirs], truth[mine], truth[mine & theirs] * 2**32 + prediction[mine & theirs]):
        np.unique(labels, return_counts=True)


def official_video(truths: list[np.ndarray], predictions: list[np.ndarray]) -> None:
    """The way of the VPS evaluator: every window of 1 to 4 frames is stacked and counted anew."""
    for k in range(1, 5):
        for start in range(len(truths) - k + 1):
            for prediction in predictions[start : start + k]:
                np.unique(prediction, return_counts=True)
            stack = np.stack(truths[start : start + k]).astype(np.uint64) * np.uint64(2**24)
            np.unique(stack + np.stack(predictions[start : start + k]).astype(np.uint64), return_counts=True)


def color_dicts(truth: Panoptic, prediction: Panoptic) -> None:
    """The way of torchmetrics: areas by unique (class, instance) rows of tensors, as dicts of Python tuples."""
    import torch

    sides = [
        torch.from_numpy(np.stack([p.semantic.ravel().astype(np.int64), p.instance.ravel().astype(np.int64)], 1))
        for p in (truth, prediction)
    ]
    for rows in (*sides, torch.cat(sides, -1)):
        colors, counts = torch.unique(rows, dim=0, return_counts=True)
        dict(zip(map(tuple, colors.tolist()), counts.tolist(), strict=True))


def read_once(left: np.ndarray, right: np.ndarray) -> object:
    return left.max(), right.max()


def interleaved(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Median CPU milliseconds of each function, run in turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats + 1):
        for function, found in zip(functions, times, strict=True):
            began = time.process_time()
            function()
            found.append(1e3 * (time.process_time() - began))
    return [float(np.median(found[1:])) for found in times]


def repeat(function: Callable[[], object], times: int) -> Callable[[], object]:
    """Short work is timed in bundles."""
    return lambda: [function() for _ in range(times)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--scans", type=int, default=200, help="scans of the run from files")
    options = parser.parse_args()
    table = Table("work", "ours ms", "compared with", "ms", "ratio", "asked")

    def compare(name: str, ours: Callable, theirs: Callable, what: str, asked: str, bundle: int = 1) -> None:
        mine, other = (t / bundle for t in interleaved(options.repeats, repeat(ours, bundle), repeat(theirs, bundle)))
        table.add_row(name, f"{mine:.3f}", what, f"{other:.3f}", f"{other / mine:.1f}", asked)

    truth, prediction = make_scan(0)
    order = np.random.default_rng(1).permutation(len(truth))
    shuffled = truth[order], prediction[order]
    image, moved = make_image(0, 0), make_image(0, 4)
    left, right = pack(image), pack(moved)
    overlap, unique = partial(count_overlap, truth, prediction), partial(unique_keys, truth, prediction)
    compare("overlap, scan of 120 k points in ring order", overlap, unique, "np.unique, packed keys", "5", 20)
    mixed, mixed_unique = partial(count_overlap, *shuffled), partial(unique_keys, *shuffled)
    compare("overlap, the same shuffled", mixed, mixed_unique, "np.unique, packed keys", "1", 10)
    pixels, pixels_unique = partial(count_overlap, left, right), partial(unique_keys, left, right)
    compare("overlap, image 1024 x 2048", pixels, pixels_unique, "np.unique, packed keys", "5", 2)
    compare("overlap, scan", overlap, partial(read_once, truth, prediction), "reading both arrays once", "", 20)
    compare("overlap, image", pixels, partial(read_once, left, right), "reading both arrays once", "", 2)

    describe = partial(describe_raw, KITTI_CLASSES)
    rules = OFFICIAL["semantic_kitti"]

    def score(count: Callable) -> object:
        """From raw labels to counts."""
        return count(index_overlap(count_overlap(truth, prediction), describe, describe), SEMANTIC_KITTI, rules)

    scan_pq, tubes = partial(score, count_panoptic_overlap), partial(score, count_tubes_overlap)
    asked = "PQ + mIoU of a scan (at most 0.2 ms asked)"
    compare(asked, scan_pq, partial(official_scan, truth, prediction), "np.unique per class", "50", 5)
    compare("LSTQ of a scan", tubes, partial(official_tubes, truth, prediction), "np.unique per class", "50", 5)

    step = OFFICIAL["kitti_step"]

    def score_image(count: Callable) -> object:
        return count(panoptic_overlap(image, moved), KITTI_STEP, step)

    wide = left.astype(np.int64), right.astype(np.int64)
    stq, image_pq = partial(score_image, count_tubes_overlap), partial(score_image, count_panoptic_overlap)
    compare("STQ of a frame 1024 x 2048", stq, partial(official_step, *wide), "masks and np.unique", "10")
    compare("PQ of an image 1024 x 2048", image_pq, partial(color_dicts, image, moved), "torch.unique of rows", "1000")
    video = [(make_image(0, 2 * k), make_image(0, 2 * k + 4)) for k in range(6)]
    packed = [[pack(pair[side]) for pair in video] for side in (0, 1)]

    def score_video() -> object:
        return total(count_video_overlap(panoptic_overlap(*pair), KITTI_STEP, step, "v") for pair in video)

    compare("VPQ of 6 frames 1024 x 2048", score_video, partial(official_video, *packed), "windows counted anew", "50")
    console = Console(width=150)
    console.print(table)
    time_files(options.scans, console)


def time_files(scans: int, console: Console) -> None:
    """From .label files to the printed table."""
    with tempfile.TemporaryDirectory() as name:
        for number in range(scans):
            for folder, labels in zip(("labels", "predictions"), make_scan(number % 8), strict=True):
                path = Path(name) / "sequences" / "08" / folder / f"{number:06d}.label"
                path.parent.mkdir(parents=True, exist_ok=True)
                labels.tofile(path)
        for _ in range(2):
            began, cpu = time.perf_counter(), time.process_time()
            counted = evaluate(name, name, "semantic_kitti", ["pq"], ["official"])
            assert counted is not None
            with open("/dev/null", "w") as nowhere:
                print_results(counted, Console(file=nowhere, width=160))
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        figures = f"{cpu:.2f} s CPU, {wall:.2f} s wall"
        console.print(f"{scans} scans from .label files to the table: {figures} (asked: 1 s for 200)")


if __name__ == "__main__":
    main()

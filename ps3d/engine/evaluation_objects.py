"""Benchmarks that are scored on lists of objects: MOTS text files, and KITTI-360's accumulated windows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360_windows import read_window
from ps3d.engine.evaluate import Evaluation
from ps3d.metrics import kitti360_ap
from ps3d.metrics.errors import WorstFrames
from ps3d.metrics.mots_files import read_mots, read_objects
from ps3d.metrics.result import total
from ps3d.structures import Category, Taxonomy

MOTS = Taxonomy("mots", tuple(Category(n, (i,), True, (128, 128, 128)) for i, n in ((1, "car"), (2, "pedestrian"))))
WINDOWS = Taxonomy(
    "kitti360_windows",
    tuple(Category(name, (label,), True, (128, 128, 128)) for name, label in kitti360_ap.CLASSES.items()),
)


def evaluate_objects(truth: Path, prediction: Path, benchmark: str) -> Evaluation:
    """Score by a key of `OBJECT_BENCHMARKS`.

    Raises:
        FileNotFoundError, ValueError: names the file.
    """
    for path in (truth, prediction):
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: no such folder")
    return OBJECT_BENCHMARKS[benchmark](truth, prediction)


def _evaluate_mots(truth: Path, prediction: Path) -> Evaluation:
    """Folders of `<sequence>.txt`. A sequence ends with the last frame that has an object on either side."""
    files = sorted(truth.glob("*.txt"))
    if not files:
        raise FileNotFoundError(f"{truth}: no <sequence>.txt")
    surplus = sorted({path.name for path in prediction.glob("*.txt")} - {path.name for path in files})
    if surplus:
        raise ValueError(f"{prediction / surplus[0]}: the truth has no such sequence; remove it")
    frames = {}
    for path in files:
        both = read_objects(path).keys() | read_objects(prediction / path.name).keys()
        frames[path.stem] = max(both, default=-1) + 1
    names = {category.raw_ids[0]: category.name for category in MOTS.categories}
    counts = read_mots(truth, prediction, frames, names)
    return Evaluation(MOTS, {("mots", "official"): counts}, sum(frames.values()), WorstFrames(0))


def _evaluate_windows(truth: Path, prediction: Path) -> Evaluation:
    """Truth: .ply windows, named `<start>_<end>.ply` under the folder of their drive. Prediction: for each window
    `<drive number>_<start>_<end>.npy` (1-based line per point) and `.txt` (`label-id score` per line)."""
    states = []
    windows = sorted(truth.rglob("*_*.ply"))
    # The official evaluation is on static windows.
    for path in [path for path in windows if path.parent.name == "static"] or windows:
        start, end = path.stem.split("_")[:2]
        drive = next((part for part in path.parts if part.endswith("_sync")), "")
        name = f"{int(drive.split('_')[-2]):04d}_{int(start):010d}_{int(end):010d}" if drive else path.stem
        masks, lists = sorted(prediction.rglob(f"{name}*.npy")), sorted(prediction.rglob(f"{name}*.txt"))
        if len(masks) != 1 or len(lists) != 1:
            raise FileNotFoundError(f"{prediction}: {path} needs one {name}*.npy and one .txt, not {len(masks)}")
        listed = [line.split() for line in lists[0].read_text().split("\n") if line.strip()]
        if any(len(words) != 2 for words in listed):
            raise ValueError(f"{lists[0]}: expected `label-id score` per line")
        points = read_window(path)
        names = points.dtype.names or ()
        confidence = points["confidence"] if "confidence" in names else np.ones(len(points), np.float32)
        arguments = [points["semantic"], points["instance"], confidence, np.load(masks[0])]
        labels, scores = [int(float(words[0])) for words in listed], [float(words[1]) for words in listed]
        states.append(kitti360_ap.count_window(*arguments, labels, scores, where=str(path)))
    if not states:
        raise FileNotFoundError(f"{truth}: no windows <start>_<end>.ply")
    return Evaluation(WINDOWS, {("kitti360_ap", "official"): total(states)}, len(states), WorstFrames(0))


OBJECT_BENCHMARKS: dict[str, Callable[[Path, Path], Evaluation]] = {
    "mots": _evaluate_mots,
    "kitti360_windows": _evaluate_windows,
}

"""MOTS text files: one object per line, `frame id class height width run-lengths`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ps3d.metrics.object_tracks import ObjectCounts, ObjectTable
from ps3d.ops import run_length

Object = tuple[int, int, run_length.Runs]


def read_mots(
    truth: Path, prediction: Path, frames: Mapping[str, int], classes: Mapping[int, str], ignored: int = 10
) -> ObjectCounts:
    """The objects of both sides, sequence by sequence.

    Args:
        truth, prediction: folders of `<sequence>.txt`; a missing prediction counts as empty.
        frames: number of frames of each sequence.
        classes: name of each class id to score.
        ignored: class id of regions in which predictions are not judged.

    Raises:
        FileNotFoundError: no truth of a sequence.
        ValueError: a damaged line.
    """
    counts: dict[str, dict[str, ObjectTable]] = {name: {} for name in classes.values()}
    for sequence, length in frames.items():
        true_objects = read_objects(truth / f"{sequence}.txt")
        predicted = read_objects(prediction / f"{sequence}.txt")
        for class_id, name in classes.items():
            counts[name][sequence] = _compare(true_objects, predicted, length, class_id, ignored)
    return ObjectCounts(counts)


def read_objects(path: Path) -> dict[int, list[Object]]:
    """(id, class, runs) of the objects of each frame."""
    objects: dict[int, list[Object]] = {}
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such sequence")
    for number, line in enumerate(path.read_text().split("\n"), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 6 or not all(word.lstrip("-").isdigit() for word in words[:5]):
            raise ValueError(
                f"{path}:{number}: expected `frame id class height width run-lengths`, found {line[:60]!r}"
            )
        runs = run_length.decode_runs(words[5])
        if int(runs.sum()) != int(words[3]) * int(words[4]):
            raise ValueError(
                f"{path}:{number}: frame {words[0]}, object {words[1]}: the run lengths cover {int(runs.sum())} "
                f"pixels, not {words[3]} x {words[4]}"
            )
        objects.setdefault(int(words[0]), []).append((int(words[1]), int(words[2]), runs))
    return objects


def _compare(
    truth: dict[int, list[Object]], prediction: dict[int, list[Object]], frames: int, class_id: int, ignored: int
) -> ObjectTable:
    """The table of one class; objects beyond the last frame are not looked at."""
    truth_rows, prediction_rows, shares, pairs = [], [], [], []
    for frame in sorted(f for f in truth.keys() | prediction.keys() if f < frames):
        region = run_length.union([runs for _, kind, runs in truth.get(frame, []) if kind == ignored])
        mine = [(number, runs) for number, kind, runs in truth.get(frame, []) if kind == class_id]
        theirs = [(number, runs) for number, kind, runs in prediction.get(frame, []) if kind == class_id]
        truth_rows += [(frame, number) for number, _ in mine]
        prediction_rows += [(frame, number) for number, _ in theirs]
        shares += [run_length.intersection(runs, region) / max(run_length.area(runs), 1) for _, runs in theirs]
        for number, runs in mine:
            for other, other_runs in theirs:
                if (overlap := run_length.iou(runs, other_runs)) > 0:
                    pairs.append((frame, number, other, overlap))
    table = np.array(pairs, dtype=float).reshape(-1, 4)
    ids = table[:, :3].astype(np.int64)
    return ObjectTable(
        frames,
        *np.array(truth_rows, np.int64).reshape(-1, 2).T,
        *np.array(prediction_rows, np.int64).reshape(-1, 2).T,
        np.array(shares, float),
        *ids.T,
        table[:, 3],
    )

"""Benchmarks scored on lists of objects: MOTS text files, KITTI-360's accumulated windows, COCO's scored masks."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ps3d.datasets.json_file import read_json
from ps3d.datasets.kitti360_windows import read_window
from ps3d.datasets.panoptic_folder import CLASSES, read_classes
from ps3d.datasets.panoptic_png import read_step
from ps3d.engine.evaluate import Evaluation
from ps3d.metrics import kitti360_ap
from ps3d.metrics.coco_files import read_id_map
from ps3d.metrics.errors import WorstFrames
from ps3d.metrics.mask_ap import Mask, ScoredMask, count_masks
from ps3d.metrics.mots_files import read_mots, read_objects
from ps3d.metrics.result import total
from ps3d.ops import run_length
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
        is_list = benchmark == "coco_masks"
        if not (path.is_file() if is_list else path.is_dir()) and not (is_list and (truth / CLASSES).is_file()):
            raise FileNotFoundError(f"{path}: no such {'file' if is_list else 'folder'}")
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


def _evaluate_scored_masks(truth: Path, prediction: Path) -> Evaluation:
    """Mask AP. Truth: COCO's panoptic JSON with its PNGs, an instance JSON of run lengths, or an own folder of
    pictures, whose images are named SEQUENCE/NAME. Prediction: COCO's list of results, `{"image_id", "category_id",
    "segmentation": {"size", "counts"}, "score"}`."""
    results = read_json(prediction)
    if not isinstance(results, list):
        raise ValueError(f"{prediction}: expected COCO's list of results, one object per mask with a score")
    if truth.is_dir():
        categories, masks = _folder_masks(truth, {str(entry["image_id"]).split("/")[0] for entry in results})
    else:
        categories, masks = _coco_masks(truth)
    name_of = {c["id"]: c["name"] for c in categories}
    found: dict[Any, dict[str, list[ScoredMask]]] = {image: {} for image in masks}
    for entry in results:
        if entry["image_id"] not in found or entry["category_id"] not in name_of:
            raise ValueError(
                f"{prediction}: image {entry['image_id']}, category {entry['category_id']}: not in {truth}"
            )
        scored = ScoredMask(_runs(entry["segmentation"], prediction), float(entry["score"]))
        found[entry["image_id"]].setdefault(name_of[entry["category_id"]], []).append(scored)
    names = list(name_of.values())
    counts = total(count_masks(masks[image], found[image], names) for image in sorted(masks))
    kept = tuple(Category(c["name"], (c["id"],), True, (128, 128, 128)) for c in categories)
    taxonomy = Taxonomy(truth.stem, kept, void_raw_ids=(-1,))
    return Evaluation(taxonomy, {("mask_ap", "official"): counts}, len(masks), WorstFrames(0))


_Masks = dict[Any, dict[str, list[Mask]]]


def _coco_masks(truth: Path) -> tuple[list[dict[str, Any]], _Masks]:
    """(categories of things, masks by image and class) of a JSON."""
    content = read_json(truth)
    categories = [c for c in content["categories"] if c.get("isthing", 1)]
    name_of = {c["id"]: c["name"] for c in categories}
    masks: _Masks = {image["id"]: {} for image in content["images"]}
    for entry in content["annotations"]:
        for category, mask in _true_masks(entry, truth):
            if category in name_of:
                masks[entry["image_id"]].setdefault(name_of[category], []).append(mask)
    return categories, masks


def _folder_masks(root: Path, sequences: set[str]) -> tuple[list[dict[str, Any]], _Masks]:
    """The same of an own folder; sequences without a prediction are left out."""
    taxonomy = read_classes(root)
    categories = [{"id": c.raw_ids[0], "name": c.name} for c in taxonomy.categories if c.is_thing]
    masks: _Masks = {}
    for path in sorted(path for name in sequences for path in (root / name / "labels").glob("*.png")):
        label = read_step(path)
        of_image = masks.setdefault(f"{path.parent.parent.name}/{path.stem}", {})
        key = label.semantic.astype(np.int64) << 32 | label.instance
        for value in np.unique(key[np.isin(label.semantic, taxonomy.thing_ids())]).tolist():
            mask = key == value
            of_image.setdefault(taxonomy.names[value >> 32], []).append(
                Mask(run_length.runs_of_mask(mask), int(mask.sum()), is_crowd=not value & 0xFFFFFFFF)
            )
    return categories, masks


def _true_masks(entry: Mapping[str, Any], truth: Path) -> list[tuple[int, Mask]]:
    """(category, mask) of one annotation: a single mask, or all segments of a panoptic picture."""
    if "segments_info" not in entry:
        runs = _runs(entry["segmentation"], truth)
        stated = entry.get("area", run_length.area(runs))
        return [(entry["category_id"], Mask(runs, stated, bool(entry.get("iscrowd"))))]
    ids = read_id_map(truth.with_suffix("") / entry["file_name"])
    return [
        (s["category_id"], Mask(run_length.runs_of_mask(ids == s["id"]), s["area"], bool(s.get("iscrowd"))))
        for s in entry["segments_info"]
    ]


def _runs(segmentation: Any, where: Path) -> run_length.Runs:
    """Run lengths, as COCO's text or as a list."""
    if not isinstance(segmentation, Mapping):
        raise ValueError(f"{where}: polygons; take the panoptic JSON, or write the masks as run lengths")
    counts = segmentation["counts"]
    return np.array(counts, np.int64) if isinstance(counts, list) else run_length.decode_runs(counts)


OBJECT_BENCHMARKS: dict[str, Callable[[Path, Path], Evaluation]] = {
    "mots": _evaluate_mots,
    "kitti360_windows": _evaluate_windows,
    "coco_masks": _evaluate_scored_masks,
}

"""Golden cases whose inputs are label arrays: how each metric's case is read and scored."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ps3d.metrics import OFFICIAL, PanopticCounts, SegmentOverlap, count_panoptic_overlap, panoptic_overlap, total
from ps3d.metrics.segments import describe_raw, index_overlap
from ps3d.ops.overlap import count_overlap
from ps3d.structures import VOID, Category, Panoptic, Taxonomy

KITTI = [
    ("car", (10, 252)),
    ("bicycle", (11,)),
    ("motorcycle", (15,)),
    ("truck", (18, 258)),
    ("other-vehicle", (13, 16, 20, 256, 257, 259)),
    ("person", (30, 254)),
    ("bicyclist", (31, 253)),
    ("motorcyclist", (32, 255)),
    ("road", (40, 60)),
    ("parking", (44,)),
    ("sidewalk", (48,)),
    ("other-ground", (49,)),
    ("building", (50,)),
    ("fence", (51,)),
    ("vegetation", (70,)),
    ("trunk", (71,)),
    ("terrain", (72,)),
    ("pole", (80,)),
    ("traffic-sign", (81,)),
]
SEMANTIC_KITTI = Taxonomy(
    "semantic_kitti", tuple(Category(name, raw, i < 8, (i, i, i)) for i, (name, raw) in enumerate(KITTI))
)


def plain_taxonomy(classes: int, things: set[int]) -> Taxonomy:
    """A taxonomy of numbered classes."""
    return Taxonomy("numbered", tuple(Category(f"c{i}", (i,), i in things, (0, 0, 0)) for i in range(classes)), ())


def kitti_classes() -> np.ndarray:
    table = np.full(65536, VOID, np.uint8)
    for class_id, (_, raw) in enumerate(KITTI):
        table[list(raw)] = class_id
    return table


def read_raw_scans(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(sequence, truth, prediction) of each scan, from inputs.npz or .label files."""
    if (folder / "inputs.npz").exists():
        data = np.load(folder / "inputs.npz")
        offsets, sequence = data["offsets"], data["sequence"]
        for k in range(len(offsets) - 1):
            part = slice(offsets[k], offsets[k + 1])
            yield str(sequence[k]), data["gt"][part], data["pred"][part]
        return
    for path in sorted(folder.glob("sequences/*/labels/*.label")):
        other = path.parent.parent / "predictions" / path.name
        yield path.parent.parent.name, np.fromfile(path, np.uint32), np.fromfile(other, np.uint32)


def raw_overlaps(folder: Path) -> Iterator[tuple[str, SegmentOverlap]]:
    describe = partial(describe_raw, kitti_classes())
    for sequence, truth, prediction in read_raw_scans(folder):
        yield sequence, index_overlap(count_overlap(truth, prediction), describe, describe)


def with_void_first(figures: np.ndarray) -> list[float]:
    """Learning index 0 is void, class id 0 is learning index 1."""
    return [0.0, *figures.tolist()]


def score_semkitti_pq(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    rules = replace(OFFICIAL["semantic_kitti"], minimum=case["params"]["min_inst_points"])
    counts: PanopticCounts = total(
        count_panoptic_overlap(overlap, SEMANTIC_KITTI, rules) for _, overlap in raw_overlaps(folder)
    )
    result = counts.result()
    scores = {f"{n}_{g}": result[n if g == "mean" else f"{n}_{g}"] for n in ("pq", "sq", "rq") for g in GROUPS}
    scores |= {"iou_mean": result["miou"], "pq_dagger": result["pq_dagger"]}
    names = {"PQ": "pq", "SQ": "sq", "RQ": "rq", "IoU": "iou"}
    per_class = {c: {n: result.per_class[k][i] for n, k in names.items()} for i, c in enumerate(result.names)}
    per_class["unlabeled"] = dict.fromkeys(names, 0.0)
    per_class["all"] = {n: result["miou" if n == "IoU" else k] for n, k in names.items()}
    confusion = np.roll(counts.confusion, (1, 1), (0, 1)).tolist()
    raw: dict[str, Any] = {n: with_void_first(getattr(counts, n)) for n in ("tp", "fp", "fn")}
    raw |= {"iou_sum": with_void_first(counts.iou), "confusion_rows_pred_cols_gt": confusion}
    return {"scores": scores, "per_class": per_class, "raw": raw}


GROUPS = ("mean", "things", "stuff")


def score_pq_torchmetrics(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    things, stuff = sorted(case["params"]["things"]), sorted(case["params"]["stuffs"])
    data = np.load(folder / "inputs.npz")
    order = np.full(256, VOID, np.int64)
    order[things + stuff] = np.arange(len(things + stuff))
    taxonomy = plain_taxonomy(len(things + stuff), set(range(len(things))))

    def labels(pair: np.ndarray) -> Panoptic:
        return Panoptic(order[pair[..., 0]].astype(np.uint8), pair[..., 1].astype(np.int32))

    rules = OFFICIAL["torchmetrics"]
    frames = zip(data["gt"], data["pred"], strict=True)
    overlaps = (panoptic_overlap(labels(truth), labels(prediction)) for truth, prediction in frames)
    result = total(count_panoptic_overlap(o, taxonomy, rules) for o in overlaps).result()
    return {
        "per_class_pq_sq_rq": np.stack([result.per_class[n] for n in ("pq", "sq", "rq")], 1).tolist(),
        "PQ_SQ_RQ": [result["pq"], result["sq"], result["rq"]],
        "modified_PQ": result["pq_porzi"],
    }


def read_case(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "expected.json").read_text())

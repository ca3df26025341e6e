"""Golden cases whose inputs are label arrays: how each metric's case is read and scored."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ps3d.metrics import (
    OFFICIAL,
    PanopticCounts,
    SegmentOverlap,
    count_panoptic_overlap,
    count_tubes,
    count_tubes_overlap,
    panoptic_overlap,
    total,
)
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


def score_lstq_4dpls(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    rules = replace(OFFICIAL["4dpls"], tube_minimum=case["params"]["min_inst_points"])
    frames = raw_overlaps(folder)
    result = total(count_tubes_overlap(overlap, SEMANTIC_KITTI, rules, name) for name, overlap in frames).result()
    counts = total(count_panoptic_overlap(overlap, SEMANTIC_KITTI, rules) for _, overlap in raw_overlaps(folder))
    valid = counts.confusion[:, :-1]
    present = (valid.sum(0) + valid.sum(1)[:-1] > 0).sum() + (valid[-1].sum() > 0)
    precision = valid.diagonal() / np.maximum(valid[:-1].sum(1), 1)
    recall = valid.diagonal() / np.maximum(valid.sum(0), 1)
    iou, things = result.per_class["iou"], SEMANTIC_KITTI.is_thing
    return {
        "LSTQ": result["lstq"],
        "S_assoc": result["s_assoc"],
        "S_cls": result["s_cls"],
        "assoc_per_class": with_void_first(result.per_class["s_assoc"]),
        "iou_per_class": with_void_first(iou),
        "AQ_p": result["pair_precision"],
        "AQ_r": result["pair_recall"],
        "iou_p": precision.sum() / present,
        "iou_r": recall.sum() / present,
        "things_iou": iou[things].mean(),
        "stuff_iou": iou[~things].mean(),
    }


def score_stq(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    params = case["params"]
    data = np.load(folder / "inputs.npz")
    classes, void = params["num_classes"], params["ignore_label"]
    taxonomy = plain_taxonomy(classes, set(params["things"]))
    bits = params["label_bit_shift"]

    def labels(packed: np.ndarray) -> Panoptic:
        semantic = np.where(packed >> bits == void, VOID, packed >> bits)
        return Panoptic(semantic.astype(np.uint8), (packed & ((1 << bits) - 1)).astype(np.int32))

    frames = zip(data["sequence"], data["gt"], data["pred"], strict=True)
    counts = total(
        count_tubes(labels(truth), labels(prediction), taxonomy, OFFICIAL["deeplab2"], str(name))
        for name, truth, prediction in frames
    )
    result, sequences = counts.result(), counts.sequence_results()
    names = {"STQ": "lstq", "AQ": "s_assoc", "IoU": "s_cls"}
    scores: dict[str, Any] = {shown: result[name] for shown, name in names.items()}
    scores |= {f"{shown}_per_seq": [r[name] for r in sequences.values()] for shown, name in names.items()}
    scores["ID_per_seq"] = [int(name) for name in sequences]
    scores["Length_per_seq"] = [table.frames for table in counts.sequences.values()]
    for version in ("numpy2_float32_version", "tensorflow_version"):
        scores[version] = scores
    return scores


def read_case(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "expected.json").read_text())

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
from ps3d.metrics.pat import count_track_quality_overlap
from ps3d.metrics.ptq import count_tracked_overlap, vote_objects
from ps3d.metrics.segments import UNLISTED, VOID_AREA, describe_raw, describe_thousands, index_overlap, sum_by
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


NUSCENES = [
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
]


def nuscenes_overlaps(folder: Path, params: dict[str, Any]) -> Iterator[tuple[str, SegmentOverlap]]:
    fine = np.full(100, VOID, np.int64)
    for coarse, ids in params["fine_to_coarse"].items():
        fine[ids] = int(coarse) - 1 if int(coarse) else VOID
    coarse = np.full(100, VOID, np.int64)
    coarse[1:17] = np.arange(16)
    data = np.load(folder / "inputs.npz")
    for k, scene in enumerate(data["scene"]):
        part = slice(data["offsets"][k], data["offsets"][k + 1])
        table = count_overlap(data["gt"][part], data["pred"][part])
        yield str(scene), index_overlap(table, partial(describe_thousands, fine), partial(describe_thousands, coarse))


def score_nuscenes_panoptic(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    taxonomy = Taxonomy("nuscenes", tuple(Category(n, (i + 1,), i < 10, (0, 0, 0)) for i, n in enumerate(NUSCENES)))
    minimum = case["params"]["min_inst_points"]
    rules = replace(OFFICIAL["nuscenes"], minimum=minimum, tube_minimum=minimum)
    frames = list(nuscenes_overlaps(folder, case["params"]))
    counts = total(count_panoptic_overlap(o, taxonomy, rules) for _, o in frames)
    tracked = total(count_tracked_overlap(o, taxonomy, rules, name) for name, o in frames)
    tubes = total(count_tubes_overlap(o, taxonomy, rules, name) for name, o in frames).result()
    pat = total(count_track_quality_overlap(o, taxonomy, rules, name) for name, o in frames).result()
    pq, ptq = counts.result(), tracked.result()
    segmentation = {
        "all": {"PQ": pq["pq"], "SQ": pq["sq"], "RQ": pq["rq"], "mIoU": pq["miou"], "PQ_dagger": pq["pq_dagger"]},
        "ignore": dict.fromkeys(("PQ", "SQ", "RQ", "IoU"), 0.0),
    }
    tracking = {
        "all": {
            "PAT": pat["pat"],
            "PQ": pat["pq"],
            "TQ": pat["tq"],
            "PTQ": ptq["ptq"],
            "sPTQ": ptq["sptq"],
            "LSTQ": tubes["lstq"],
            "mIoU": pq["miou"],
            "S_assoc": tubes["s_assoc"],
            "MOTSA": ptq["motsa"],
            "sMOTSA": ptq["smotsa"],
            "MOTSP": ptq["motsp"],
            "PTQ_dagger": ptq["ptq_dagger"],
        },
        "ignore": dict.fromkeys(("PTQ", "sPTQ", "IoU"), 0.0),
    }
    for i, name in enumerate(NUSCENES):
        segmentation[name] = {k: pq.per_class[k.lower()][i] for k in ("PQ", "SQ", "RQ", "IoU")}
        tracking[name] = {k: ptq.per_class[k.lower()][i] for k in ("PTQ", "sPTQ")} | {"IoU": pq.per_class["iou"][i]}
    raw: dict[str, Any] = {n: with_void_first(getattr(counts, n)) for n in ("tp", "fp", "fn")}
    raw["iou_sum"] = raw["iou_sum_float32"] = with_void_first(counts.iou)
    raw |= {"ids": with_void_first(tracked.switches), "soft_ids": with_void_first(tracked.soft_switches)}
    return {"segmentation": segmentation, "tracking": tracking, "raw_tracking": raw, "raw_segmentation": raw}


def score_mopt_4dpls(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    # A predicted object may be of class 0, void: a false positive of that class unless the truth is mostly void too.
    wrong_void, states = 0, []
    for _, overlap in raw_overlaps(folder):
        states.append(count_tracked_overlap(overlap, SEMANTIC_KITTI, OFFICIAL["4dpls_mopt"], "all"))
        voted = vote_objects(overlap, SEMANTIC_KITTI)
        on_void = voted.truth.kind[voted.truth_place] == VOID_AREA
        excused = sum_by(voted.prediction_place[on_void], voted.shared[on_void], len(voted.prediction))
        wrong_void += ((voted.prediction.kind == UNLISTED) & (2 * excused <= voted.prediction.area)).sum()
    counts = total(states)
    figures, truth = counts.result().per_class, counts.panoptic.tp + counts.panoptic.fn
    scores = {n: [figures[k][i] if truth[i] else None for i in range(8)] for n, k in MOTSA_NAMES.items()}
    scores["MOTSP_classes1to8"] = figures["motsp"][:8].tolist()
    scores |= {n: with_void_first(figures[n.lower()]) for n in ("PTQ", "sPTQ")}
    scores |= {"IDS": with_void_first(counts.switches), "iou_sum": with_void_first(counts.panoptic.iou)}
    scores |= {name: with_void_first(getattr(counts.panoptic, name)) for name in ("tp", "fp", "fn")}
    scores["fp"][0] = float(wrong_void)
    return scores


MOTSA_NAMES = {"MOTSA_classes1to8": "motsa", "sMOTSA_classes1to8": "smotsa"}


def read_case(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "expected.json").read_text())

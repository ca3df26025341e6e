"""Golden cases in the formats people exchange: MOTS text, COCO panoptic and instance JSON, frames of distances."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from golden_label_cases import plain_taxonomy

from ps3d.metrics import OFFICIAL, PanopticCounts, Rules, SegmentOverlap, coco_files, count_panoptic_overlap, total
from ps3d.metrics import object_tracking as tracking
from ps3d.metrics.kitti360_ap import OVERLAPS, count_window
from ps3d.metrics.mask_ap import Mask, ScoredMask, count_masks
from ps3d.metrics.mots_files import read_mots
from ps3d.metrics.segments import describe_encoded, index_overlap
from ps3d.metrics.vpq import count_video_overlap
from ps3d.ops.overlap import count_overlap
from ps3d.ops.run_length import decode_runs
from ps3d.structures import Taxonomy


def score_mots(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    named = case["params"]["classes"]
    frames = read_frames(folder)
    truth, prediction = folder / "gt" / "label_02", next((folder / "trackers").iterdir()) / "data"
    counts = read_mots(truth, prediction, frames, {v: k for k, v in named.items() if k != "ignore"}, named["ignore"])
    scores: dict[str, Any] = {sequence: {} for sequence in [*frames, "COMBINED_SEQ"]}
    official = {}
    for name, sequences in counts.classes.items():
        official[name] = tracking.mots(sequences)
        for sequence in scores:
            part = sequences if sequence == "COMBINED_SEQ" else {sequence: sequences[sequence]}
            scores[sequence][name] = score_trackeval(part)
    agree = {n: abs(official[n]["sMOTSA"] - scores["COMBINED_SEQ"][n]["CLEAR"]["sMOTA"]) < 1e-9 for n in official}
    return {"trackeval": scores, "mots_tools": official, "tools_agree_on_sMOTSA": agree}


def read_frames(folder: Path) -> dict[str, int]:
    """Frames of each sequence, from the map of the benchmark."""
    lines = (folder / "gt" / "evaluate_mots.seqmap.val").read_text().split("\n")
    return {line.split()[0]: int(line.split()[-1]) + 1 for line in lines if line.strip()}


def score_trackeval(sequences: dict[str, Any]) -> dict[str, Any]:
    tables = {name: tracking.without_ignored(table) for name, table in sequences.items()}
    figures = {k: v.tolist() for k, v in tracking.hota(tables).figures().items()}
    first = {f"{name}(0)": figures[name][0] for name in ("HOTA", "LocA")}
    first["HOTALocA(0)"] = first["HOTA(0)"] * first["LocA(0)"]
    count = {
        "Dets": sum(len(t.prediction_id) for t in tables.values()),
        "GT_Dets": sum(len(t.truth_id) for t in tables.values()),
        "IDs": sum(len(np.unique(t.prediction_id)) for t in tables.values()),
        "GT_IDs": sum(len(np.unique(t.truth_id)) for t in tables.values()),
        "Frames": sum(t.frames for t in tables.values()),
    }
    clear, identity = tracking.clear_mot(tables), tracking.identity(tables)
    return {"HOTA": figures | first, "CLEAR": clear, "Identity": identity, "Count": count}


def score_motmetrics(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    frames = []
    for frame in json.loads((folder / "frames.json").read_text()):
        shape = len(frame["gt_ids"]), len(frame["pred_ids"])
        distance = np.array(frame["distance"], dtype=float).reshape(shape)
        frames.append((np.array(frame["gt_ids"]), np.array(frame["pred_ids"]), distance))
    return tracking.score_distances([frames])


def coco_overlaps(folder: Path, taxonomy: Taxonomy, rules: Rules) -> list[SegmentOverlap]:
    pairs = coco_files.pair_images(folder / "gt.json", folder / "pred.json")
    return [coco_files.read_overlap(pair, taxonomy, rules) for pair in pairs]


def score_coco_pq(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    taxonomy, rules = coco_files.read_taxonomy(folder / "gt.json"), OFFICIAL["coco"]
    overlaps = coco_overlaps(folder, taxonomy, rules)
    counts = total(count_panoptic_overlap(overlap, taxonomy, rules) for overlap in overlaps)
    return coco_scores(counts, {"iou_sum": "iou", "tp": "tp", "fp": "fp", "fn": "fn"})


def coco_scores(counts: PanopticCounts, raw_names: dict[str, str]) -> dict[str, Any]:
    result, taxonomy = counts.result(), counts.taxonomy
    counted = counts.tp + counts.fp + counts.fn > 0
    scores: dict[str, Any] = {"per_class": {}, "raw": {}}
    for group, suffix, members in (
        ("All", "", np.ones(len(taxonomy), bool)),
        ("Things", "_things", taxonomy.is_thing),
        ("Stuff", "_stuff", ~taxonomy.is_thing),
    ):
        figures = {name: result[name + suffix] for name in ("pq", "sq", "rq")}
        scores[group] = figures | {"n": int((counted & members).sum())}
    for i, category in enumerate(taxonomy.categories):
        name = str(category.raw_ids[0])
        scores["per_class"][name] = {key: result.per_class[key][i] for key in ("pq", "sq", "rq")}
        scores["raw"][name] = {shown: getattr(counts, field)[i] for shown, field in raw_names.items()}
    return scores


def score_cityscapes_pq(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    params = case["params"]["deeplab2"]
    data = np.load(folder / "inputs.npz")
    frames = zip(data["gt_enc"], data["pred_enc"], strict=True)
    sizes = params["num_classes"], params["ignore"], params["divisor"]
    taxonomy = plain_taxonomy(params["num_classes"], set())
    overlaps = (encoded_overlap(*frame, *sizes) for frame in frames)
    counts = total(count_panoptic_overlap(overlap, taxonomy, OFFICIAL["deeplab2"]) for overlap in overlaps)
    return {
        "cityscapesscripts": score_coco_pq(folder, case),
        "deeplab2_panoptic_quality": deeplab2_scores(counts),
    }


def encoded_overlap(truth: np.ndarray, prediction: np.ndarray, *params: int) -> SegmentOverlap:
    describe = partial(describe_encoded, *params)
    return index_overlap(count_overlap(truth, prediction), describe, describe)


def deeplab2_scores(counts: PanopticCounts) -> dict[str, Any]:
    result, counted = counts.result(), counts.tp + counts.fp + counts.fn > 0
    means = {f"{name.upper()}_mean": getattr(counts, name)[counted].mean() for name in ("tp", "fn", "fp")}
    raw: dict[str, Any] = {name: getattr(counts, name).astype(float).tolist() for name in ("tp", "fn", "fp")}
    raw["iou_sum"] = counts.iou.tolist()
    return {"PQ": result["pq"], "SQ": result["sq"], "RQ": result["rq"], **means, "raw": raw}


def score_vpq_vps(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    taxonomy, rules = coco_files.read_taxonomy(folder / "gt.json"), OFFICIAL["vps"]
    length, windows = case["params"]["nframes_per_video"], tuple(case["params"]["windows"])
    overlaps = coco_overlaps(folder, taxonomy, rules)
    counts = total(
        count_video_overlap(overlap, taxonomy, rules, f"video {i // length}", windows)
        for i, overlap in enumerate(overlaps)
    )
    result = counts.result()
    names = {"iou": "iou", "tp": "tp", "fp": "fp", "fn": "fn"}
    scores: dict[str, Any] = {}
    for k, window in counts.windows.items():
        scores[f"window{k}"] = figures = coco_scores(window, names)
        for name, raw in figures.pop("raw").items():
            figures["per_class"][name] |= raw
    suffixes = {"All": "", "Things": "_things", "Stuff": "_stuff"}
    scores["VPQ"] = {group: result["vpq" + suffix] for group, suffix in suffixes.items()}
    return scores


def score_vpq_deeplab2(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    params = case["params"]
    data = np.load(folder / "inputs.npz")
    sizes = params["num_classes"], params["ignored_label"], params["max_instances_per_category"]
    taxonomy, rules = plain_taxonomy(params["num_classes"], set()), OFFICIAL["deeplab2"]
    windows = tuple(int(key.removeprefix("window")) for key in case["expected"] if key.startswith("window"))
    frames = zip(data["sequence"], data["gt"], data["pred"], strict=True)
    counts = total(
        count_video_overlap(encoded_overlap(truth, prediction, *sizes), taxonomy, rules, str(name), windows)
        for name, truth, prediction in frames
    )
    return {f"window{k}": deeplab2_scores(window) for k, window in counts.windows.items()}


def score_mask_ap(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    truth = json.loads((folder / "gt.json").read_text())
    names = [str(category["id"]) for category in truth["categories"]]
    images = sorted(image["id"] for image in truth["images"])
    masks: dict[Any, dict[str, list[Any]]] = {image: {} for image in images}
    found: dict[Any, dict[str, list[Any]]] = {image: {} for image in images}
    for entry in truth["annotations"]:
        mask = Mask(decode_runs(entry["segmentation"]["counts"]), entry["area"], bool(entry["iscrowd"]))
        masks[entry["image_id"]].setdefault(str(entry["category_id"]), []).append(mask)
    for entry in json.loads((folder / "dt.json").read_text()):
        scored = ScoredMask(decode_runs(entry["segmentation"]["counts"]), entry["score"])
        found[entry["image_id"]].setdefault(str(entry["category_id"]), []).append(scored)
    result = total(count_masks(masks[image], found[image], names) for image in images).result()
    order = ("ap", "ap50", "ap75", "ap_s", "ap_m", "ap_l", "ar_1", "ar_10", "ar_100", "ar_s", "ar_m", "ar_l")
    keys = {"AP": "ap", "AP50": "ap50", "AP75": "ap75"}
    return {
        "stats": [without_nan(result[name]) for name in order],
        "per_class": {
            name: {shown: without_nan(result.per_class[key][i]) for shown, key in keys.items()}
            for i, name in enumerate(result.names)
        },
    }


def without_nan(value: float) -> float:
    return -1.0 if np.isnan(value) else float(value)


def score_kitti360_ap(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    data = np.load(folder / "inputs.npz")
    states = []
    for window in sorted({name.split("_")[0] for name in data}, key=lambda name: int(name[1:])):
        columns = ("semantic", "instance", "confidence", "pred_mask", "pred_label_id", "pred_score")
        arrays = [data[f"{window}_{name}"] for name in columns]
        states.append(count_window(*arrays[:4], arrays[4].tolist(), arrays[5].tolist(), window))
    counts = total(states)
    result = counts.result()
    shown = {"ap": "ap", "ap50%": "ap50", "ap25%": "ap25"}
    classes = {name: {k: result.per_class[v][i] for k, v in shown.items()} for i, name in enumerate(result.names)}
    sizes = {
        name: {"gt": sum(len(w.truth_size) for w in windows), "pred": sum(len(w.size) for w in windows)}
        for name, windows in counts.classes.items()
    }
    return {
        "averages": {
            "allAp": result["ap"],
            "allAp50%": result["ap50"],
            "allAp25%": result["ap25"],
            "classes": classes,
        },
        "ap_matrix_dist_class_overlap": [counts.matrix().tolist()],
        "overlaps": OVERLAPS.tolist(),
        "classes": list(result.names),
        "counts": sizes,
    }

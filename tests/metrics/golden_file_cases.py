"""Golden cases in the formats people exchange: MOTS text, COCO panoptic and instance JSON, frames of distances."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ps3d.metrics import object_tracking as tracking
from ps3d.metrics.mots_files import read_mots


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

"""Every golden case: the official evaluators' numbers, to the tolerance of tests/golden/README.md.

PS3D_GOLDEN names another folder of the same layout; a case is scored by the `metric` of its expected.json.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden_file_cases as files
import golden_label_cases as labels
import numpy as np
import pytest

FOLDER = Path(os.environ.get("PS3D_GOLDEN", Path(__file__).parents[1] / "golden"))
CASES = sorted(path.parent for path in FOLDER.glob("*/*/expected.json"))


SCORERS: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
    "semkitti_pq": labels.score_semkitti_pq,
    "pq_torchmetrics": labels.score_pq_torchmetrics,
    "lstq_4dpls": labels.score_lstq_4dpls,
    "stq": labels.score_stq,
    "nuscenes_panoptic": labels.score_nuscenes_panoptic,
    "mopt_4dpls": labels.score_mopt_4dpls,
    "mots": files.score_mots,
    "motmetrics": files.score_motmetrics,
    "coco_pq": files.score_coco_pq,
    "cityscapes_pq": files.score_cityscapes_pq,
    "mask_ap": files.score_mask_ap,
    "kitti360_3d_instance_ap": files.score_kitti360_ap,
    "vpq_vps": files.score_vpq_vps,
    "vpq_deeplab2": files.score_vpq_deeplab2,
}
TOLERANCES = {"pq_torchmetrics": 1e-6, "mopt_4dpls": 1e-5, "vpq_deeplab2": 1e-6, "stq": 1e-9}
LOOSER = {
    "tracking": 2e-7,
    "raw_tracking": 2e-7,
    "deeplab2_panoptic_quality": 1e-6,
    "numpy2_float32_version": 1e-6,
    "tensorflow_version": 1e-6,
}
NOT_SCORED = {"class_order", "numpy", "warned", "stats_order"}
"""Remarks in expected.json, not figures."""


def compare(expected: Any, actual: Any, tolerance: float, path: str, wrong: list[str]) -> None:
    if isinstance(expected, dict):
        for key, value in expected.items():
            if key not in NOT_SCORED:
                if key not in actual:
                    wrong.append(f"{path}/{key}: not scored")
                else:
                    compare(value, actual[key], LOOSER.get(key, tolerance), f"{path}/{key}", wrong)
    elif isinstance(expected, list):
        if len(expected) != len(actual):
            wrong.append(f"{path}: {len(expected)} values expected, {len(actual)} scored")
            return
        for i, (one, other) in enumerate(zip(expected, actual, strict=True)):
            compare(one, other, tolerance, f"{path}[{i}]", wrong)
    elif isinstance(expected, (bool, str)):
        if expected != actual:
            wrong.append(f"{path}: {expected} expected, {actual} scored")
    elif expected is None or (isinstance(expected, float) and np.isnan(expected)):
        if actual is not None and not np.isnan(actual):
            wrong.append(f"{path}: nothing expected, {actual} scored")
    elif isinstance(expected, int) and float(actual).is_integer():
        if expected != actual:
            wrong.append(f"{path}: {expected} expected, {actual} scored")
    elif actual is None or not abs(expected - actual) <= tolerance * max(1.0, abs(expected) if tolerance > 1e-9 else 1):
        wrong.append(f"{path}: {expected} expected, {actual} scored")


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_the_official_numbers_are_reproduced(folder: Path) -> None:
    case = labels.read_case(folder)
    metric = case["metric"]
    assert metric in SCORERS, f"{folder}: no scorer for the metric {metric!r}"
    actual = SCORERS[metric](folder, case)
    wrong: list[str] = []
    compare(case["expected"], actual, TOLERANCES.get(metric, 1e-9), "", wrong)
    assert not wrong, f"{folder}: {len(wrong)} figures differ\n" + "\n".join(wrong[:20])

"""A model trained on simulated drives on real scans: SemanticKITTI 08/000000, and cars of KITTI-360 drive 0000.

PS3D_SAMPLES=FOLDER python tools/benchmark.py transfer --checkpoint small
"""

import argparse
import os
from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.semantic_kitti import SEMANTIC_KITTI, SemanticKitti
from ps3d.engine.checkpoint import load_lidar_model
from ps3d.engine.predict import LidarPredictor
from ps3d.engine.transfer import (
    CAR,
    CAR_TAXONOMY,
    SHARED_TAXONOMY,
    label_by_boxes,
    only_cars,
    read_car_boxes,
    to_shared,
)
from ps3d.metrics import PanopticCounts, count_panoptic, find_rules, total
from ps3d.structures.sequence import LIDAR

RULES = find_rules("semantic_kitti", is_strict=True)


def main() -> None:
    """Print mIoU, accuracy, PQ and the car's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="small")
    parser.add_argument("--samples", default=os.environ.get("PS3D_SAMPLES", ""))
    parser.add_argument("--tta", action="store_true", help="four views of each scan")
    options = parser.parse_args()
    if not options.samples:
        parser.error("name the folder of real samples with --samples or PS3D_SAMPLES")
    predictor = LidarPredictor(load_lidar_model(options.checkpoint), is_augmented=options.tta)
    report_semantic_kitti(predictor, Path(options.samples) / "semantic_kitti")
    report_kitti360(predictor, Path(options.samples) / "kitti360")


def report_semantic_kitti(predictor: LidarPredictor, root: Path) -> PanopticCounts:
    """Shared classes of the one labeled scan."""
    frame = SemanticKitti(root, 8)[0]
    truth = to_shared(frame.truth[LIDAR], SEMANTIC_KITTI)
    counts = count_panoptic(truth, to_shared(predictor(frame), predictor.model.taxonomy), SHARED_TAXONOMY, RULES)
    result = counts.result()
    occurs = counts.confusion[:, :-1].sum(0) > 0
    is_right = np.trace(counts.confusion[:-1, :-1]) / counts.confusion[:, :-1].sum()
    iou, pq = result.per_class["iou"], result.per_class["pq"]
    print(f"SemanticKITTI 08/000000: mIoU {iou[occurs[: len(iou)]].mean():.3f} accuracy {is_right:.3f}", end=" ")
    print(f"PQ {pq[occurs[: len(pq)]].mean():.3f}", end=" ")
    car = SHARED_TAXONOMY.index("car")
    print(f"car IoU {iou[car]:.3f} car PQ {pq[car]:.3f}")
    print("  IoU: " + ", ".join(f"{n} {v:.2f}" for n, v, o in zip(result.names, iou, occurs, strict=False) if o))
    return counts


def report_kitti360(predictor: LidarPredictor, root: Path) -> PanopticCounts:
    """Cars of drive 0000 against boxes."""
    boxes = {int(p.stem.split("_")[1]): read_car_boxes(p) for p in (root / "car_boxes_cam0").glob("BBoxes_*.json")}
    drive = Kitti360(root, 0, frames=boxes)
    camera = drive.calibration.cameras["image_00"].camera_from_lidar
    states = []
    for frame in drive:
        label = label_by_boxes(frame, boxes[frame.index], camera)
        states.append(count_panoptic(label, only_cars(predictor(frame), predictor.model.taxonomy), CAR_TAXONOMY, RULES))
    counts = total(states)
    result = counts.result()
    confusion = counts.confusion[:, :2]
    recall, precision = confusion[CAR, CAR] / confusion[:, CAR].sum(), confusion[CAR, CAR] / confusion[CAR].sum()
    print(f"KITTI-360 drive 0000, {len(states)} scans: car PQ {result.per_class['pq'][CAR]:.3f}", end=" ")
    print(f"IoU {result.per_class['iou'][CAR]:.3f} recall {recall:.2f} precision {precision:.2f}")
    return counts


if __name__ == "__main__":
    main()

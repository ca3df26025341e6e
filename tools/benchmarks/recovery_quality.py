"""How good recovered labels are: against the exact truth of a simulated drive, clean and with the faults of real data.

`python tools/benchmark.py recovery_quality --root ROOT [--drive 0] [--every 5]`, ROOT as `tools/simulate.py` writes it.
Only points within 30 m of the driven path count, because KITTI-360's windows end there. The faulty copy has 3 cm and
0.05 degrees of noise on every pose, boxes that are 10 cm too large on every side, and 2 % wrong labels in the windows.
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ps3d.curation.label_recovery import FAST, RecoveredScan, RecoverySettings
from ps3d.curation.recovery_job import DriveRecovery
from ps3d.datasets.kitti360 import Kitti360, encode_labels
from ps3d.datasets.kitti360_boxes import read_boxes, write_boxes
from ps3d.datasets.kitti360_files import read_poses, write_cam0_to_world, write_poses
from ps3d.datasets.kitti360_labels import INSTANCES_PER_LABEL, KITTI360_SCAN
from ps3d.datasets.kitti360_layout import Kitti360Layout
from ps3d.datasets.kitti360_windows import read_window, write_window
from ps3d.metrics import STRICT, count_panoptic, total
from ps3d.ops.motion import world_xyz
from ps3d.structures import VOID, Frame, Panoptic
from ps3d.structures.sequence import LIDAR

REACH = 30.0
"""Meters from the path beyond which KITTI-360's windows hold nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--drive", type=int, default=0)
    parser.add_argument("--every", type=int, default=5, help="score every n-th scan")
    options = parser.parse_args()
    table = Table(title=f"Recovered labels of drive {options.drive} against the exact truth, within {REACH:g} m")
    columns = ("", "PQ", "PQ things", "accuracy", "coverage", "instance agreement", "ghost points")
    for column in columns:
        table.add_column(column, justify="left" if column == "" else "right")
    with tempfile.TemporaryDirectory() as folder:
        faulty = spoil(options.root, options.drive, Path(folder) / "faulty")
        cases = {
            "exact mode": (options.root, RecoverySettings()),
            "--fast": (options.root, FAST),
            "faulty data, exact mode": (faulty, RecoverySettings()),
            "faulty data, --fast": (faulty, FAST),
        }
        for name, (root, settings) in cases.items():
            scores = score(root, options.root, options.drive, settings, options.every)
            table.add_row(name, *(f"{scores[c]:.4f}" for c in columns[1:-1]), f"{scores['ghost points']:.0f}")
    Console().print(table)


def score(root: Path, truth_root: Path, drive: int, settings: RecoverySettings, every: int) -> dict[str, float]:
    """Recover every n-th scan in memory and compare it with the truth."""
    recovery = DriveRecovery(root, drive, Path("unused"), settings)
    truth = Kitti360(truth_root, drive)
    path = cKDTree(np.stack(list(recovery.windows.positions.values()))[:, :2])
    counts, points, covered, right, on_things, agreeing, ghosts = [], 0, 0, 0, 0, 0, 0
    for position in range(0, len(truth), every):
        frame = truth[position]
        _, scan = recovery.recover(position)
        label = frame.truth[LIDAR]
        near = (path.query(world_xyz(frame)[:, :2])[0] <= REACH) & (label.semantic != VOID)
        prediction = as_panoptic(scan, frame)
        counts.append(count_panoptic(label.select(near), prediction.select(near), KITTI360_SCAN, STRICT["kitti360"]))
        points += int(near.sum())
        covered += int((scan.raw_id[near] > 0).sum())
        same = prediction.semantic == label.semantic
        right += int(same[near].sum())
        objects = near & (label.instance > 0) & same
        on_things += int(objects.sum())
        agreeing += int((prediction.instance == label.instance)[objects].sum())
        is_thing = np.append(KITTI360_SCAN.is_thing, np.zeros(256 - len(KITTI360_SCAN), bool))
        ghosts += int((is_thing[prediction.semantic] & ~is_thing[label.semantic])[near].sum())
    result = total(counts).result()
    return {
        "PQ": result["pq"],
        "PQ things": result["pq_things"],
        "accuracy": right / max(points, 1),
        "coverage": covered / max(points, 1),
        "instance agreement": agreeing / max(on_things, 1),
        "ghost points": ghosts,
    }


def as_panoptic(scan: RecoveredScan, frame: Frame) -> Panoptic:
    """Recovered ids in the classes of the truth."""
    return encode_labels(scan.raw_id, scan.number, KITTI360_SCAN, frame.source)


def spoil(root: Path, drive: int, out: Path) -> Path:
    """A copy of one drive with noisy poses, coarse boxes and wrong window labels."""
    rng = np.random.default_rng(0)
    source, target = Kitti360Layout(root), Kitti360Layout(out)
    name = next(d for d in source.drives() if int(d.split("_")[4]) == drive)
    shutil.copytree(source.calibration, target.calibration)
    target.scans(name).parent.parent.mkdir(parents=True)
    target.scans(name).parent.symlink_to(source.scans(name).parent.absolute())
    poses = {}
    for frame, pose in read_poses(source.poses(name)).items():
        noise = np.eye(4)
        noise[:3, :3] = Rotation.from_rotvec(np.deg2rad(0.05) * rng.normal(size=3)).as_matrix()
        noise[:3, 3] = 0.03 * rng.normal(size=3)
        poses[frame] = pose @ noise
    write_poses(target.poses(name), poses)
    write_cam0_to_world(target.cam0_to_world(name), poses)
    boxes = read_boxes(source.find_boxes(name) or source.boxes(name))
    larger = []
    for box in boxes:
        matrix = box.world_from_box.copy()
        matrix[:3, :3] *= (np.linalg.norm(matrix[:3, :3], axis=0) + 0.2) / np.linalg.norm(matrix[:3, :3], axis=0)
        larger.append(replace(box, world_from_box=matrix))
    write_boxes(target.boxes(name), larger)
    for window in source.find_windows(name):
        for kind, path in (("static", window.static), ("dynamic", window.dynamic)):
            if path is not None:
                points = read_window(path)
                wrong = np.flatnonzero(rng.random(len(points)) < 0.02)
                points["semantic"][wrong] = rng.choice([7, 8, 11, 21, 22, 26], len(wrong))
                points["instance"][wrong] = points["semantic"][wrong] * INSTANCES_PER_LABEL
                write_window(target.window(name, kind, window.start, window.end), points)
    return out


if __name__ == "__main__":
    main()

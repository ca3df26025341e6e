"""Label recovery of one scan, against the plain method of three unfiltered nearest-neighbor searches.

`python tools/benchmark.py recovery [--points 3000000]`: CPU seconds per scan on one core, interleaved in one process.
The window is a synthetic street (ground, facades, a car that drives through), points about five centimeters apart; the
scan is 120 k points of it in the order of the beams.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

from ps3d.curation.label_recovery import FAST, RecoverySettings, label_cloud, recover_scan
from ps3d.curation.moving_boxes import MovingBox

RECORD = [(axis, "<f4") for axis in "xyz"] + [("semantic", "<i4"), ("instance", "<i4"), ("confidence", "<f4")]
WORLD = np.array([1200.0, 3400.0, 110.0])
SENSOR = np.array([68.0, 0, 1.7])


def make_window(count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` labeled points of a street of 240 m."""
    along, across = rng.uniform(0, 240, count), rng.normal(0, 12, count)
    xyz = np.stack([along, across, 0.02 * rng.normal(size=count)], 1)
    is_wall = rng.random(count) < 0.35
    xyz[is_wall, 2] = rng.uniform(0, 8, is_wall.sum())
    xyz[is_wall, 1] = np.sign(across[is_wall]) * 10 + 0.05 * rng.normal(size=is_wall.sum())
    return record(xyz, np.where(is_wall, 11, 7), np.where(is_wall, 11001, 7000))


def record(xyz: np.ndarray, semantic: np.ndarray, instance: np.ndarray) -> np.ndarray:
    points = np.zeros(len(xyz), RECORD)
    for axis, name in enumerate("xyz"):
        points[name] = xyz[:, axis] + WORLD[axis]
    points["semantic"], points["instance"], points["confidence"] = semantic, instance, 1
    return points


def make_car(frame: int, rng: np.random.Generator, count: int = 1500) -> np.ndarray:
    xyz = rng.uniform(-0.5, 0.5, (count, 3)) * [4.2, 1.8, 1.5] + [20 + 0.8 * frame, 2, 0.85]
    return record(xyz, np.full(count, 26), np.full(count, 26001))


def positions(points: np.ndarray) -> np.ndarray:
    return np.stack([points[name] for name in "xyz"], 1).astype(np.float64)


def order_of_beams(local: np.ndarray) -> np.ndarray:
    """Beam after beam, each once around the sensor, as a file is."""
    elevation = np.arctan2(local[:, 2], np.linalg.norm(local[:, :2], axis=1))
    beam = np.digitize(elevation, np.quantile(elevation, np.linspace(0, 1, 65)[1:-1]))
    return np.lexsort((np.arctan2(local[:, 1], local[:, 0]), beam))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=3_000_000, help="points of the static window")
    parser.add_argument("--scans", type=int, default=5, help="scans that each method labels, in turn")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    window = make_window(options.points, rng)
    cars = {frame: make_car(frame, rng) for frame in range(120)}
    frame = 60
    static_part = positions(window[rng.choice(len(window), 118_500, replace=False)])
    scan = np.concatenate([static_part, positions(cars[frame])]) + rng.normal(0, 0.02, (120_000, 3))
    scan = scan[order_of_beams(scan - WORLD - SENSOR)]
    distance, seconds = np.linalg.norm(scan - WORLD - SENSOR, axis=1), np.zeros(len(scan))
    pose = np.eye(4)
    pose[:3, 3] = WORLD + np.array([20 + 0.8 * frame, 2, 0.85])
    boxes = [MovingBox(26001, pose, np.array([4.2, 1.8, 1.5]), np.array([8.0, 0, 0]))]

    began = time.process_time()
    exact_cloud = label_cloud(window)
    built = time.process_time() - began
    fast_cloud = label_cloud(window, FAST.thinning)
    everything = np.concatenate([window, *cars.values()])
    dynamic = [label_cloud(cars[frame])]
    numbers = np.repeat(list(cars), [len(car) for car in cars.values()])
    all_dynamic = [replace(label_cloud(np.concatenate(list(cars.values()))), is_current=numbers == frame)]
    began = time.process_time()
    tree = cKDTree(positions(everything) - WORLD, balanced_tree=False, compact_nodes=False)
    tree_built = time.process_time() - began

    def exact():
        return recover_scan(
            scan, distance, seconds, [exact_cloud], dynamic, all_dynamic, boxes, RecoverySettings()
        ).raw_id

    def fast():
        return recover_scan(scan, distance, seconds, [fast_cloud], dynamic, [], boxes, FAST).raw_id

    def plain():
        labels = np.zeros(len(scan), np.int32)
        for _ in ("previous", "next", "current"):
            far, place = tree.query(scan - WORLD, distance_upper_bound=0.5)
            labels[np.isfinite(far)] = everything["semantic"][place[np.isfinite(far)]]
        return labels

    methods = {"exact": exact, "--fast": fast, "plain, 3 trees": plain}
    spent: dict[str, list[float]] = {name: [] for name in methods}
    labels = {name: method() for name, method in methods.items()}
    for _ in range(options.scans):
        for name, method in methods.items():
            began = time.process_time()
            method()
            spent[name].append(time.process_time() - began)
    table = Table(title=f"Label recovery, 120 k points, window of {options.points / 1e6:.1f} M points, one core")
    for column in ("method", "CPU s per scan", "times the plain method", "points labeled as the exact mode does"):
        table.add_column(column, justify="right" if column != "method" else "left")
    slow = float(np.median(spent["plain, 3 trees"]))
    for name in methods:
        median = float(np.median(spent[name]))
        same = (labels[name] == labels["exact"]).mean()
        table.add_row(name, f"{median:.3f}", f"{slow / median:.1f}x", f"{same:.4f}")
    Console().print(table)
    print(f"once per window: grid {built:.2f} CPU s, k-d tree {tree_built:.2f} CPU s (the plain method builds three)")


if __name__ == "__main__":
    main()

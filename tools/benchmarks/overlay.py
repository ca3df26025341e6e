"""How well scans of a drive overlay in the world: with motion correction, without it, and with it reversed.

`python tools/benchmark.py overlay --root KITTI360 --drive 8`: centimeters from a point of the later scan to the nearest
point of the earlier one, median over points, mean over pairs.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

from ps3d.datasets.kitti360 import Kitti360
from ps3d.ops.geometry import invert
from ps3d.ops.motion import world_xyz
from ps3d.structures import Frame


def reverse_motion(frame: Frame) -> Frame:
    motion = frame.current_from_previous
    return frame if motion is None else replace(frame, current_from_previous=invert(motion))


WAYS: dict[str, Callable[[Frame], Frame]] = {
    "motion-corrected": lambda frame: frame,
    "as measured": lambda frame: replace(frame, current_from_previous=None),
    "corrected the wrong way": reverse_motion,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="a root of KITTI-360")
    parser.add_argument("--drive", type=int, default=8)
    parser.add_argument("--frames", type=int, default=10, help="so many consecutive frames")
    options = parser.parse_args()
    frames = [frame for frame in Kitti360(options.root, options.drive) if frame.world_from_lidar is not None]
    frames = frames[: options.frames]
    gaps = [gap for gap in (1, 3, 5, 9) if gap < len(frames)]
    table = Table("cm", *(f"{gap} frames apart" for gap in gaps))
    for name, change in WAYS.items():
        world = [world_xyz(change(frame)) for frame in frames]
        trees = [cKDTree(points, balanced_tree=False, compact_nodes=False) for points in world]
        table.add_row(name, *(f"{100 * distance(trees, world, gap):.2f}" for gap in gaps))
    Console().print(table)


def distance(trees: list[cKDTree], world: list[np.ndarray], gap: int) -> float:
    pairs = zip(trees, world[gap:], strict=False)
    return float(np.mean([np.median(tree.query(points[::3])[0]) for tree, points in pairs]))

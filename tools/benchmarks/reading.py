"""Reading scans, labels, windows and boxes, against the bare bytes of the same file.

`python tools/benchmark.py reading [--points 120000] [--window 3000000] [--rounds 20]`: CPU milliseconds on one core,
median over rounds in which all methods take turns, and the ratio to `numpy.fromfile` of the same file.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ps3d.datasets.kitti360 import encode_labels
from ps3d.datasets.kitti360_boxes import Box, read_boxes, write_boxes
from ps3d.datasets.kitti360_files import read_scan, write_scan
from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.kitti360_windows import STATIC_POINT, read_window, write_window
from ps3d.datasets.label_files import read_labels, write_labels
from ps3d.ops.geometry import correct_motion, sweep_fraction_from_azimuth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=120_000, help="points of a scan")
    parser.add_argument("--window", type=int, default=3_000_000, help="points of a window")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        methods = make_methods(Path(folder), options.points, options.window, np.random.default_rng(0))
        times = {name: [] for name in methods}
        for _ in range(options.rounds + 1):
            for name, (method, _) in methods.items():
                began = time.process_time()
                method()
                times[name].append(time.process_time() - began)
    medians = {name: 1e3 * float(np.median(seconds[1:])) for name, seconds in times.items()}
    table = Table("what", "CPU ms", "ratio to the bare bytes")
    for name, (_, bare) in methods.items():
        table.add_row(name, f"{medians[name]:.2f}", f"{medians[name] / medians[bare]:.1f}" if bare else "")
    Console().print(table)


def make_methods(
    folder: Path, points: int, window: int, rng: np.random.Generator
) -> dict[str, tuple[Callable[[], object], str]]:
    """Name -> (what to call, name of its bare-bytes partner or "")."""
    scan, label, ply, xml = (folder / name for name in ("a.bin", "a.label", "a.ply", "a.xml"))
    xyz = rng.uniform(-50, 50, (points, 3)).astype(np.float32)
    write_scan(scan, xyz, rng.random(points, np.float32))
    raw = rng.choice([7, 8, 11, 21, 22, 26], points)
    write_labels(label, raw, np.where(raw == 26, rng.integers(1, 30, points), 0))
    write_window(ply, np.zeros(window, STATIC_POINT))
    write_boxes(xml, [Box(26, i % 999 + 1, np.eye(4), index=i) for i in range(1000)])
    fraction = sweep_fraction_from_azimuth(xyz)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(0.05), -np.sin(0.05)], [np.sin(0.05), np.cos(0.05)]]
    motion[0, 3] = -1
    return {
        "scan, bare bytes": (lambda: np.fromfile(scan, "<f4"), ""),
        "scan": (lambda: read_scan(scan), "scan, bare bytes"),
        "labels, bare bytes": (lambda: np.fromfile(label, "<u4"), ""),
        "labels": (lambda: encode_labels(*read_labels(label), KITTI360_SCAN, ""), "labels, bare bytes"),
        "motion correction": (lambda: correct_motion(xyz, fraction, motion), ""),
        "window, bare bytes": (lambda: np.fromfile(ply, np.uint8), ""),
        "window": (lambda: read_window(ply), "window, bare bytes"),
        "1000 boxes": (lambda: read_boxes(xml), ""),
    }

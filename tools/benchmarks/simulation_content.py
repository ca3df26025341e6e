"""What simulated scans hold, beside real ones: shares, intensity, exact zeros and occurrence of every class.

`python tools/benchmark.py simulation_content [--drives 20] [--frames 2] [--seed 5] [--spacing 30]`. Nothing is
written. With --training-set the drives are those of a training: each has its number as its seed.
"""

import argparse
import time
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.table import Table

from ps3d.datasets.kitti360_labels import LABEL_OF_ID, LABEL_OF_NAME
from ps3d.simulation.drive import DriveSettings, take_sweep
from ps3d.simulation.lidar import Sweep
from ps3d.simulation.schedule import make_schedule

GROUND = ("ground", "road", "sidewalk", "parking", "rail track", "terrain")
SEEN = 10
"""Points in one scan from which on a class occurs in it."""

ASKED = {
    "road": (15, 25), "building": (10, 18), "sidewalk": (10, 18), "vegetation": (18, 30), "terrain": (5, 12),
    "car": (3, 7),
}  # fmt: skip
"""Shares in per cent that the simulator aims at."""
REAL_SHARE = {
    "road": 19.9, "building": 13.3, "sidewalk": 14.4, "vegetation": 27.3, "terrain": 7.8, "car": 4.3, "parking": 1.5,
    "fence": 7.2, "pole": 0.29, "person": 0.03, "bicycle": 0.03, "motorcycle": 0.04, "truck": 0.22,
    "traffic sign": 0.06,
}  # fmt: skip
"""SemanticKITTI's published label content in per cent; its fence includes walls, vegetation here includes trunks."""
REAL_INTENSITY = {
    "road": (0.20, 0.29), "sidewalk": (0.30, 0.30), "terrain": (0.33, 0.34), "building": (0.22, 0.32),
    "vegetation": (0.32, 0.42), "fence": (0.23, 0.27), "car": (0.09, 0.18), "pole": (0.20, 0.22),
    "traffic sign": (0.38, 0.40), "person": (0.30, 0.30),
}  # fmt: skip
"""Lowest and highest class mean of two labeled SemanticKITTI scans (08/000000 and 00/000000)."""
REAL_ZEROS = {
    "road": "11-12", "sidewalk": "2", "terrain": "3", "building": "2-14", "vegetation": "3-7", "fence": "7-22",
    "car": "40-50", "pole": "20-27", "traffic sign": "8-19",
}  # fmt: skip
"""Per cent of points whose intensity is exactly 0, in the same scans."""
TOLERANCE = 0.3


@dataclass
class Content:
    """Counts over scans; arrays have one entry for each KITTI-360 label id."""

    points: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    intensity: np.ndarray = field(default_factory=lambda: np.zeros(256))
    zeros: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    sizes: list[int] = field(default_factory=list)
    nearest: float = np.inf
    drives: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))

    def add_drive(self, sweeps: list[Sweep]) -> np.ndarray:
        """Count a drive's scans; returns their points by label."""
        mine, occurs = np.zeros(256, np.int64), np.zeros(256, bool)
        for sweep in sweeps:
            counts = np.bincount(sweep.semantic, minlength=256)
            mine += counts
            occurs |= counts >= SEEN
            self.intensity += np.bincount(sweep.semantic, sweep.intensity, 256)
            self.zeros += np.bincount(sweep.semantic[sweep.intensity == 0], minlength=256)
            self.sizes.append(len(sweep.semantic))
            above = ~np.isin(sweep.semantic, [LABEL_OF_NAME[name].id for name in GROUND])
            self.nearest = min(self.nearest, float(np.linalg.norm(sweep.xyz[above], axis=1).min()))
        self.points += mine
        self.drives += occurs
        return mine


def take_drive(number: int, options: argparse.Namespace) -> list[Sweep]:
    """Every `options.every`-th scan of a drive."""
    seed = number if options.training_set else options.seed
    settings = DriveSettings(number, options.frames, seed, 0, options.spacing)
    schedule = make_schedule(options.frames, options.spacing)
    wanted = set(schedule.frames[:: options.every])
    return [take_sweep(settings, s, frame) for s in schedule.stretches() for frame in s if frame in wanted]


def content_table(content: Content, drives: int) -> Table:
    table = Table("class", "share %", "asked", "real", "intensity", "real", "zeros %", "real", f"in drives of {drives}")
    shares = 100 * content.points / content.points.sum()
    for label in np.argsort(-shares):
        if content.points[label] == 0:
            continue
        name, count = LABEL_OF_ID[int(label)].name, content.points[label]
        mean = content.intensity[label] / count
        real = REAL_INTENSITY.get(name)
        table.add_row(
            name, f"{shares[label]:.2f}", _range(ASKED.get(name), float(shares[label])), f"{REAL_SHARE.get(name, '')}",
            f"{mean:.2f}", _range(real, float(mean), TOLERANCE), f"{100 * content.zeros[label] / count:.0f}",
            REAL_ZEROS.get(name, ""), f"{content.drives[label]}",
        )  # fmt: skip
    return table


def _range(limits: tuple[float, float] | None, value: float, tolerance: float = 0.0) -> str:
    """The limits as text, marked where the value is outside."""
    if limits is None:
        return ""
    low, high = limits
    is_inside = low * (1 - tolerance) <= value <= high * (1 + tolerance)
    text = f"{low:g}" if low == high else f"{low:g}-{high:g}"
    return text if is_inside else f"{text} (outside)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=20)
    parser.add_argument("--frames", type=int, default=2, help="frames of each drive")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--spacing", type=float, default=30.0, help="meters between frames")
    parser.add_argument("--every", type=int, default=1, help="count only every nth frame")
    parser.add_argument("--training-set", action="store_true", help="drive n has seed n, as in a training")
    options = parser.parse_args()
    content = Content()
    building = []
    began = time.process_time()
    for number in range(options.drives):
        points = content.add_drive(take_drive(number, options))
        building.append(100 * points[LABEL_OF_NAME["building"].id] / points.sum())
    console = Console()
    console.print(content_table(content, options.drives))
    console.print(
        f"{len(content.sizes)} scans of {min(content.sizes)}-{max(content.sizes)} points, mean "
        f"{np.mean(content.sizes):.0f} (asked: 105000-125000); the nearest point that is not ground is "
        f"{content.nearest:.2f} m from the sensor; building by drive: {', '.join(f'{x:.0f}' for x in building)} %. "
        f"{time.process_time() - began:.0f} CPU s.\n"
        f"Real shares: SemanticKITTI. Real intensity: two of its scans; outside = more than {TOLERANCE:.0%} beyond. "
        f"A class occurs where a scan has {SEEN} of its points."
    )


if __name__ == "__main__":
    main()

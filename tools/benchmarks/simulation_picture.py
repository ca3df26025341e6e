"""Draws simulated scans: intensity above, labels below; or a real scan's intensity beside a simulated one's.

`python tools/benchmark.py simulation_picture --out streets.png [--seeds 7 12]`
`python tools/benchmark.py simulation_picture --out beside.png --seeds 7 --real DATA/.../data/0000000250.bin`

Real scans are not ours to pass on: keep pictures of them out of the repository.
"""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from ps3d.datasets.kitti360_files import read_scan
from ps3d.datasets.kitti360_labels import COLORS
from ps3d.simulation.drive import DriveSettings, take_sweep
from ps3d.simulation.schedule import make_schedule
from ps3d.visualization.files import write_picture
from ps3d.visualization.points import View, color_by_intensity, look_at, render_points

SIZE = (450, 800)
BEHIND = View(look_at(np.array([-17.0, 0.0, 13.0]), np.array([8.0, 0.0, -1.5])))
"""From behind and above the sensor, looking forward."""


def draw(
    xyz: Float[np.ndarray, "points 3"], colors: UInt8[np.ndarray, "points 3"]
) -> UInt8[np.ndarray, "rows columns 3"]:
    return render_points(xyz, colors, BEHIND, SIZE, 2)


def draw_street(seed: int, frame: int, with_labels: bool) -> UInt8[np.ndarray, "rows columns 3"]:
    """Intensity, and labels below it, of one scan of the drive of that number and seed."""
    settings = DriveSettings(seed, frame + 1, seed, 0, 17.0)
    stretch = next(s for s in make_schedule(frame + 1, 17.0).stretches() if make_schedule(frame + 1, 17.0).last in s)
    scan = take_sweep(settings, stretch, stretch[-1])
    rows = [draw(scan.xyz, color_by_intensity(scan.intensity))]
    if with_labels:
        rows.append(draw(scan.xyz, COLORS[scan.semantic]))
    return np.concatenate(rows, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the picture")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 12], help="streets, side by side")
    parser.add_argument("--frame", type=int, default=3, help="17 m apart, counted from 0")
    parser.add_argument("--real", type=Path, help="a .bin of KITTI-360 or SemanticKITTI, drawn on the left")
    options = parser.parse_args()
    columns = [draw_street(seed, options.frame, options.real is None) for seed in options.seeds]
    if options.real:
        scan = read_scan(options.real)
        columns.insert(0, draw(scan.xyz, color_by_intensity(scan.intensity)))
    write_picture(options.out, np.concatenate(columns, 1))


if __name__ == "__main__":
    main()

"""Draws simulated scans: intensity above, labels below; a real scan beside a simulated one; or a camera's picture.

`python tools/benchmark.py simulation_picture --out streets.png [--seeds 7 12]`
`python tools/benchmark.py simulation_picture --out beside.png --seeds 7 --real DATA/.../data/0000000250.bin`
`python tools/benchmark.py simulation_picture --out street.png --camera data/sim` (and street_labels.png beside it)

Real scans are not ours to pass on: keep pictures of them out of the repository.
"""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from ps3d.datasets.kitti360_files import read_scan
from ps3d.datasets.kitti360_labels import COLORS, KITTI360_IMAGE
from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.both_sensors import write_small
from ps3d.simulation.drive import DriveSettings, take_sweep
from ps3d.simulation.schedule import make_schedule
from ps3d.visualization.colors import color_by_class
from ps3d.visualization.files import write_picture
from ps3d.visualization.points import View, color_by_intensity, look_at, render_points

SIZE = (450, 800)
WIDTH = 880
"""Of a camera's picture, pixels."""
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


def draw_camera(root: Path, position: int, out: Path) -> None:
    """The picture of one frame of a folder's first drive in `out`, its classes in `<out>_labels.png`."""
    frame = open_pictures(root)[0][position]
    (camera,) = frame.images
    write_small(out, frame.images[camera].rgb, WIDTH, 256)
    classes = color_by_class(frame.truth[camera], KITTI360_IMAGE)
    rows = np.linspace(0, len(classes) - 1, round(len(classes) * WIDTH / classes.shape[1])).round().astype(int)
    columns = np.linspace(0, classes.shape[1] - 1, WIDTH).round().astype(int)
    write_small(out.with_name(f"{out.stem}_labels.png"), np.ascontiguousarray(classes[rows][:, columns]), colors=64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the picture")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 12], help="streets, side by side")
    parser.add_argument("--frame", type=int, default=3, help="17 m apart, counted from 0")
    parser.add_argument("--real", type=Path, help="a .bin of KITTI-360 or SemanticKITTI, drawn on the left")
    parser.add_argument("--camera", type=Path, metavar="ROOT", help="draw a picture of this simulated folder instead")
    options = parser.parse_args()
    if options.camera:
        draw_camera(options.camera, options.frame, options.out)
        return
    columns = [draw_street(seed, options.frame, options.real is None) for seed in options.seeds]
    if options.real:
        scan = read_scan(options.real)
        columns.insert(0, draw(scan.xyz, color_by_intensity(scan.intensity)))
    write_picture(options.out, np.concatenate(columns, 1))


if __name__ == "__main__":
    main()

"""The LiDAR's labels beside the camera's: how far they agree, the same numbers for the same objects, and pictures.

python tools/compare_sensors.py --root data/simulated_images --drive 1000 --out out
python tools/compare_sensors.py --root DATA --drive 1000 --scan small --picture runs/image/small-1 --out out

--scan and --picture are checkpoints, or `truth` for the labels that come with the data. Of every frame one line, and
OUT/<drive>_<frame>.png: the scan's labels on the picture above, the picture's labels with shared numbers below.
"""

import argparse
from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_labels import KITTI360_IMAGE
from ps3d.engine.both_sensors import Label, compare_frame, draw_both, write_small
from ps3d.engine.command_line import run_command
from ps3d.structures import Taxonomy
from ps3d.structures.sequence import LIDAR


def main() -> None:
    """Parse, compare every frame, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="KITTI-360, real or simulated, with scans and pictures")
    parser.add_argument("--drive", type=int, required=True, help="its number")
    parser.add_argument("--frames", type=int, nargs="*", default=None, help="numbers; all by default")
    parser.add_argument("--scan", default="truth", help="LiDAR checkpoint, or truth")
    parser.add_argument("--picture", default="truth", help="image checkpoint, or truth")
    parser.add_argument("--camera", default="image_00")
    parser.add_argument("--out", required=True, help="folder for the pictures")
    parser.add_argument("--width", type=int, default=0, help="of the pictures drawn, pixels; 0 = as they are")
    parser.add_argument("--colors", type=int, default=0, help="in the palette of smaller files; 0 = all")
    options = parser.parse_args()
    drive = Kitti360(options.root, options.drive, KITTI360_IMAGE, [options.camera], frames=options.frames)
    if not len(drive):
        raise ValueError(f"{options.root}: {drive.name} has none of the frames {options.frames}")
    label_scan, label_picture = scan_labels(options.scan), picture_labels(options.picture, options.camera)
    same, compared, pairs = 0.0, 0, []
    for frame in drive:
        camera = drive.calibration.cameras[options.camera]
        both = compare_frame(frame, camera, label_scan(frame), label_picture(frame))
        found = both.agreement
        same, compared = same + found.compared * np.nan_to_num(found.same_class), compared + found.compared
        pairs += found.iou.tolist()
        drawn = draw_both(frame.images[options.camera].rgb, both, KITTI360_IMAGE)
        path = Path(options.out) / f"{drive.name}_{frame.index:010d}.png"
        write_small(path, drawn, options.width, options.colors)
        print(f"{path}: {found.compared} points, {100 * found.same_class:.1f} % same class, {len(found.pairs)} objects")
    if compared:
        overlap = f", median IoU {np.median(pairs):.2f}" if pairs else ""
        print(f"{len(drive)} frames: {100 * same / compared:.1f} % same class, {len(pairs)} objects in both{overlap}")


def scan_labels(source: str) -> Label:
    """What labels a frame's scan."""
    if source == "truth":
        return lambda frame: frame.truth[LIDAR]
    from ps3d.engine.checkpoint import load_lidar_model
    from ps3d.engine.predict import LidarPredictor

    model = load_lidar_model(source)
    check_classes(model.taxonomy)
    return LidarPredictor(model)


def picture_labels(source: str, camera: str) -> Label:
    """What labels a frame's picture."""
    if source == "truth":
        return lambda frame: frame.truth[camera]
    from ps3d.engine.image_models import load_image_predictor

    predictor = load_image_predictor(source)
    check_classes(predictor.taxonomy)
    return predictor


def check_classes(taxonomy: Taxonomy) -> None:
    """Class ids of both sensors must mean the same."""
    if taxonomy.names != KITTI360_IMAGE.names[: len(taxonomy)]:
        raise ValueError(f"{taxonomy.name}: classes other than those of {KITTI360_IMAGE.name} cannot be compared")


if __name__ == "__main__":
    run_command(main)

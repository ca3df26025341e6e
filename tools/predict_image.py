"""Label a picture, a folder, a video file or a data set; with tracks, a video, and scores where there is truth.

python tools/predict_image.py --checkpoint runs/image/small-1 --input street.mp4 --out out --track --video out/a.mp4
python tools/predict_image.py --checkpoint runs/image/small-1 --input /data/KITTI-360 --out out --track

Writes OUT/<sequence>/labels/<picture>.png: R = class id of the checkpoint's classes (255 = void), 256 G + B = number of
the object; and OUT/<sequence>/scores/<picture>.json, how sure the network is of each object. With --track an object
keeps its number through the sequence.
"""

import argparse

from ps3d.engine.command_line import run_command
from ps3d.engine.image_video import label_pictures


def main() -> None:
    """Parse, predict, print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="file, or folder of a run")
    parser.add_argument("--input", required=True, help="picture, folder, video, or root of a data set")
    parser.add_argument("--out", required=True, help="folder for the labels")
    parser.add_argument("--sequences", nargs="*", default=None, help="names; all by default")
    parser.add_argument("--camera", default="image_00", help="of data sets with several")
    parser.add_argument("--track", action="store_true", help="the same number for the same object in all pictures")
    parser.add_argument("--video", default="", help=".mp4 or .gif to draw; of several sequences the name is added")
    parser.add_argument("--masks", default="", help="JSON of overlapping masks with scores, COCO's list of results")
    o = parser.parse_args()
    label_pictures(o.checkpoint, o.input, o.out, o.sequences, o.camera, o.track, o.video, o.masks)


if __name__ == "__main__":
    run_command(main)

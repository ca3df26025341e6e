"""Label a picture, a folder, a video file or a data set; with tracks, a video, and scores where there is truth.

python tools/predict_image.py --checkpoint runs/image/small-1 --input street.mp4 --out out --track --video out/a.mp4
python tools/predict_image.py --checkpoint runs/image/small-1 --input /data/KITTI-360 --out out --track

Writes OUT/<sequence>/labels/<picture>.png: R = class id of the checkpoint's classes (255 = void), 256 G + B = number of
the object. With --track an object keeps its number through the sequence.
"""

import argparse
from pathlib import Path

import torch

from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.command_line import run_command
from ps3d.engine.image_models import load_image_predictor
from ps3d.engine.image_video import predict_video
from ps3d.tracking import Tracker


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
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    predictor = load_image_predictor(options.checkpoint, device)
    drives = open_pictures(options.input, options.sequences, options.camera, predictor.taxonomy)
    for drive in drives:
        if drive.taxonomy.names != predictor.taxonomy.names:
            raise ValueError(f"{drive.name} has the classes of {drive.taxonomy.name}, not those of the checkpoint")
        video = options.video
        if video and len(drives) > 1:
            video = str(Path(video).with_name(f"{Path(video).stem}_{drive.name}{Path(video).suffix}"))
        tracker = Tracker(predictor.taxonomy) if options.track else None
        scores = predict_video(drive, predictor, options.out, tracker, video)
        print(f"{drive.name}: {len(drive)} pictures")
        if scores is not None:
            print("  " + ", ".join(f"{name} {100 * value:.1f}" for name, value in scores.figures().items()))


if __name__ == "__main__":
    run_command(main)

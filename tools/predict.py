"""Label scans (KITTI-360, SemanticKITTI, a folder of any sensor) or, with an image checkpoint, pictures and videos.

    python tools/predict.py --checkpoint small --input /data/scans --out out/labels
    python tools/predict.py --checkpoint runs/lidar/small-1 --input /data/KITTI-360 --sequences 0 2 --out out --track
    torchrun --nproc-per-node 8 tools/predict.py ...                   shares the scans among processes
    python tools/predict.py --checkpoint runs/image/small-1 --input street.mp4 --out out --track --video out/a.mp4

Writes OUT/<sequence>/labels/<scan>.label in SemanticKITTI's format: class id of the checkpoint's data set in the lower
16 bits, number of the object in the upper 16. Labels that exist are kept, so a stopped call goes on where it was.
Of pictures: OUT/<sequence>/labels/<picture>.png, as tools/predict_image.py does; --track is in those labels.
"""

import argparse
import os

from lightning_fabric import Fabric

from ps3d.datasets.opening import open_sequences
from ps3d.engine.checkpoint import LIDAR_MODEL, checkpoint_kind, load_lidar_model
from ps3d.engine.command_line import run_command
from ps3d.engine.predict import LidarPredictor, predict_sequences, track_sequences
from ps3d.engine.threads import use_cores


def main() -> None:
    """Parse; hand over to the kind of network that the checkpoint is of."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="small", help="file, folder of a run, or a name that comes along")
    parser.add_argument("--input", required=True, help="data set, scan(s), picture(s) or video")
    parser.add_argument("--out", required=True, help="folder for the labels")
    parser.add_argument("--sequences", nargs="*", default=None, help="numbers or names; all by default")
    parser.add_argument("--tta", action="store_true", help="four views of each scan: better, four times slower")
    parser.add_argument(
        "--track", action="store_true", help="also write OUT/tracked: numbers that last through a drive"
    )
    parser.add_argument("--camera", default="image_00", help="pictures: of data sets with several")
    parser.add_argument("--video", default="", help="pictures: .mp4 or .gif to draw")
    options = parser.parse_args()
    if checkpoint_kind(options.checkpoint) == LIDAR_MODEL:
        label_scans(options)
        return
    from ps3d.engine.image_video import label_pictures  # needs the image extra, which scans do without

    o = options
    label_pictures(o.checkpoint, o.input, o.out, o.sequences, o.camera, o.track, o.video)


def label_scans(options: argparse.Namespace) -> None:
    """Everything with a LiDAR checkpoint."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    threads = use_cores(processes, is_sparse=True)
    fabric = Fabric(accelerator="auto", devices=processes)
    fabric.launch()
    model = load_lidar_model(options.checkpoint).to(fabric.device)
    drives = open_sequences(options.input, sequences=options.sequences)
    predictor = LidarPredictor(model, is_augmented=options.tta)
    timer = predict_sequences(
        predictor, drives, options.out, fabric.global_rank, fabric.world_size, fabric.is_global_zero
    )
    taxonomy = model.taxonomy
    if options.track:
        fabric.barrier()  # every process's labels are there
        tracked = track_sequences(
            drives, options.out, model.taxonomy, fabric.global_rank, fabric.world_size, fabric.is_global_zero
        )
        fabric.print(f"{tracked}: the same objects under numbers that last through each sequence")
    fabric.print(f"{options.out}: {timer} on {threads} threads; classes {taxonomy.name}")


if __name__ == "__main__":
    run_command(main)

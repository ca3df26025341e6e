"""Train a LiDAR panoptic network. Without arguments: simulate a data set, train ten to fifteen minutes, score, draw.

python tools/train_lidar.py                                        the embedded default
python tools/train_lidar.py --config configs/lidar_kitti360.yaml --data.root /data/KITTI-360
python tools/train_lidar.py --resume runs/lidar/small-1            go on exactly where it stopped
python tools/train_lidar.py --init small --data.root ...           begin with the weights that come along
torchrun --nproc-per-node 8 tools/train_lidar.py --config ...      several GPUs or hosts
"""

import sys

from ps3d.engine.command_line import parse_lidar_training, run_command
from ps3d.engine.lidar_run import run_lidar_training


def main() -> None:
    """Parse, train."""
    config, options = parse_lidar_training(sys.argv[1:], __doc__ or "")
    run_lidar_training(config, options.resume, options.init)


if __name__ == "__main__":
    run_command(main)

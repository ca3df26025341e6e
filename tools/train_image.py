"""Train an image panoptic network. Without arguments: simulate drives with a camera, train on them, score, draw.

python tools/train_image.py                                         the embedded default, under 15 minutes on a CPU
python tools/train_image.py --config configs/image_mask2former_small.yaml
python tools/train_image.py --config configs/image_own.yaml --data.root MY_FOLDER    own pictures, docs/images_branch.md
python tools/train_image.py --resume runs/image/small-1             go on exactly where it stopped
torchrun --nproc-per-node 8 tools/train_image.py --config ...       several GPUs or hosts
"""

import argparse
from dataclasses import replace
from pathlib import Path

import tyro

import ps3d.engine
from ps3d.engine.command_line import run_command
from ps3d.engine.config_files import ConfigError, read_config
from ps3d.engine.image_config import ImageTraining
from ps3d.engine.image_run import run_image_training

DEFAULT_CONFIG = Path(ps3d.engine.__file__).parent / "image_default.yaml"


def main() -> None:
    """Parse, train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False
    )
    parser.add_argument("--config", default="", help="YAML file; without one the embedded default")
    parser.add_argument("--resume", default="", help="folder of a run to go on with")
    parser.add_argument("--init", default="", help="checkpoint to take weights from")
    options, rest = parser.parse_known_args()
    if "-h" in rest or "--help" in rest:
        print(parser.format_help())
    if options.resume and (options.config or options.init):
        raise ConfigError(["--resume takes everything from the run's folder: give neither --config nor --init"])
    file = Path(options.resume) / "config.yaml" if options.resume else Path(options.config or DEFAULT_CONFIG)
    config = read_config(file, ImageTraining)
    if file == DEFAULT_CONFIG and any(argument.startswith("--data.root") for argument in rest):
        config = replace(config, simulation=replace(config.simulation, folder=""))
    config = tyro.cli(ImageTraining, args=rest, default=config, description=__doc__)
    run_image_training(config, options.resume, options.init)


if __name__ == "__main__":
    run_command(main)

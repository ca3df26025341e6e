"""From a command line to settings: a file, dotted changes, and errors that need no traceback."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.panel import Panel

from ps3d.engine.config import LidarTraining
from ps3d.engine.config_files import ConfigError, read_config
from ps3d.engine.lidar_run import with_gpu_settings

DEFAULT_CONFIG = Path(__file__).parent / "lidar_default.yaml"
"""The embedded default of tools/train_lidar.py; inside the package, so that it works from anywhere."""

USER_ERRORS = (ConfigError, FileNotFoundError, ValueError, ImportError)


def parse_lidar_training(arguments: Sequence[str], description: str) -> tuple[LidarTraining, argparse.Namespace]:
    """(settings, options): the file, then the dotted changes; a resumed run takes the settings of its folder.

    Raises:
        ConfigError: mistakes in the file.
        SystemExit: mistakes on the command line, already explained.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False
    )
    parser.add_argument("--config", default="", help="YAML file; without one the embedded default")
    parser.add_argument("--resume", default="", help="folder of a run to go on with")
    parser.add_argument("--init", default="", help="checkpoint to take weights from")
    options, rest = parser.parse_known_args(list(arguments))
    if "-h" in rest or "--help" in rest:
        print(parser.format_help())
    if options.resume and (options.config or options.init):
        raise ConfigError(["--resume takes everything from the run's folder: give neither --config nor --init"])
    file = Path(options.resume) / "config.yaml" if options.resume else Path(options.config or DEFAULT_CONFIG)
    config = read_config(file, LidarTraining)
    if file == DEFAULT_CONFIG:
        if torch.cuda.is_available():
            config = with_gpu_settings(config)
        if any(argument.startswith("--data.root") for argument in rest):
            config = replace(config, simulation=replace(config.simulation, folder=""))
    return tyro.cli(LidarTraining, args=rest, default=config, description=description), options


def run_command(main: Callable[[], None]) -> None:
    """Run a tool; what a user did wrong is shown in a panel, without a traceback unless PS3D_DEBUG is set."""
    try:
        main()
    except USER_ERRORS as error:
        if os.environ.get("PS3D_DEBUG"):
            raise
        Console(stderr=True).print(Panel(str(error), title=type(error).__name__, border_style="red", highlight=False))
        sys.exit(2)

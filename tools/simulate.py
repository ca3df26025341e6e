"""Simulate drives in the KITTI-360 layout, with exact truth for every point and pixel.

`python tools/simulate.py --out data/sim --drives 2 --frames 60 --seed 7 [--cameras 1] [--workers 2] [--spacing 17]`

The same arguments give the same bytes, whatever --workers; a call that was stopped goes on where it was.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ps3d.simulation import simulate_drive


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="root folder of the data set; made if missing")
    parser.add_argument("--drives", type=int, default=1, help="number of drives")
    parser.add_argument("--first-drive", type=int, default=0, help="number of the first drive")
    parser.add_argument("--frames", type=int, default=60, help="frames of each drive")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other streets")
    parser.add_argument(
        "--cameras", type=int, choices=(0, 1, 2), default=0, help="rectified cameras with label pictures"
    )
    parser.add_argument("--spacing", type=float, default=0.8, help="meters between frames; 17 suits training sets")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 8), help="processes")
    options = parser.parse_args(arguments)
    if options.drives < 1 or options.frames < 1 or options.workers < 1:
        parser.error("--drives, --frames and --workers must be at least 1")
    return options


def main() -> None:
    options = read_arguments()
    console = Console()
    began = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as bars:
            for drive in range(options.first_drive, options.first_drive + options.drives):
                bar = bars.add_task(f"drive {drive:04d}", total=options.frames)
                summary = simulate_drive(
                    options.out, drive, options.frames, options.seed, options.cameras, options.spacing, options.workers,
                    progress=lambda done, bar=bar: bars.update(bar, completed=done),
                )  # fmt: skip
                bars.update(bar, completed=options.frames)
                kept = f", {summary.skipped} were there" if summary.skipped else ""
                console.print(f"{summary.name}: {summary.written} frames written{kept}")
    except (ImportError, ValueError) as error:
        console.print(f"[red]error:[/red] {error}")
        sys.exit(1)
    console.print(
        f"{options.out.resolve()}: KITTI-360 layout, truth in ps3d_truth/ ({time.perf_counter() - began:.0f} s)"
    )


if __name__ == "__main__":
    main()

"""The main job, from nothing to panoptic labels: `make demo`.

Simulates a data set, trains the small network ten to fifteen minutes, labels drives it never saw, scores and tracks
them, and draws truth beside prediction. All of it is `python tools/train_lidar.py` without arguments; this adds the
clock.
"""

import os
import sys
import time
from pathlib import Path

from ps3d.engine.command_line import parse_lidar_training, run_command
from ps3d.engine.lidar_run import run_lidar_training
from ps3d.engine.threads import core_count


def main() -> None:
    """Run the embedded default and say how long it took."""
    begin = time.time()
    config, _ = parse_lidar_training(sys.argv[1:], __doc__ or "")
    is_first = int(os.environ.get("LOCAL_RANK", 0)) == 0  # the training starts this program once for each process
    if is_first and Path(config.simulation.folder).exists():
        print(f"simulated drives in {config.simulation.folder} are used again as far as they go")
    run = run_lidar_training(config)
    if is_first:
        minutes = (time.time() - begin) / 60
        print(f"\nall of it took {minutes:.1f} minutes on {core_count()} cores; results: {run}/report.html")


if __name__ == "__main__":
    run_command(main)

"""What a simulated sweep and a simulated picture cost: CPU seconds of one process on one core.

`python tools/benchmark.py simulate [--frames 12] [--pictures 4]`: the goals are 0.15 CPU s for a sweep with truth and
0.45 CPU s for a picture with its labels, files included. Building the street is shown beside them.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name
from ps3d.simulation import drive as simulation
from ps3d.simulation.schedule import make_schedule

SPACING = 6.0


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12, help="sweeps that are timed")
    parser.add_argument("--pictures", type=int, default=4, help="pictures that are timed")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    count = options.frames + 1
    settings = simulation.DriveSettings(0, count, options.seed, 0, SPACING)
    with_camera = simulation.DriveSettings(0, count, options.seed, 1, SPACING)
    (stretch, *_) = make_schedule(count, SPACING).stretches()
    planning = cpu_seconds(lambda: simulation.world_of(settings))
    building = cpu_seconds(lambda: simulation.scene_of(settings, stretch))
    static, origin = simulation.scene_of(settings, stretch)
    world = simulation.world_of(settings)
    with tempfile.TemporaryDirectory() as folder:
        layout, name = Kitti360Layout(Path(folder)), drive_name(0)

        def picture(frame: int) -> None:
            simulation.take_pictures(layout, name, with_camera, frame, world, static, origin)

        # The first of each compiles kernels and builds the scene's tree.
        simulation.take_frames(folder, settings, stretch, stretch[:1])
        picture(stretch[0])
        timed = stretch[1 : 1 + options.frames]
        sweeps = [cpu_seconds(lambda f=f: simulation.take_frames(folder, settings, stretch, (f,))) for f in timed]
        pictures = [cpu_seconds(lambda f=f: picture(f)) for f in timed[: options.pictures]]
    table = Table("work", "CPU s", "goal")
    table.add_row("plan the street", f"{planning:.2f}", "")
    table.add_row(f"meshes and ray tree of {stretch[-1] - stretch[0]} sweeps of travel", f"{building:.2f}", "")
    table.add_row("a sweep with truth, written", f"{sum(sweeps) / len(sweeps):.3f}", "0.15")
    table.add_row("a picture with labels, written", f"{sum(pictures) / len(pictures):.3f}", "0.45")
    Console().print(table)


if __name__ == "__main__":
    main()

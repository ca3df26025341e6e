"""The drives of a LiDAR training: simulated where asked, opened, divided into training and validation."""

import logging
from collections.abc import Sequence
from pathlib import Path

from lightning_fabric import Fabric
from rich.progress import Progress

from ps3d.datasets.kitti360_layout import drive_name
from ps3d.datasets.loading import FrameList
from ps3d.datasets.opening import open_sequences
from ps3d.engine.config import DataSettings, SimulationSettings
from ps3d.structures import Sequence as Drive

log = logging.getLogger("ps3d.data")

CLIP_SPACING = 0.8
"""Meters between the scans of the clip: every sweep of a car in town."""


def simulated_numbers(settings: SimulationSettings) -> tuple[list[int], list[int]]:
    """(drives to train on, drives to validate on).

    Raises:
        ValueError: a drive would be both.
    """
    train = list(range(settings.first_drive, settings.first_drive + settings.drives))
    if both := sorted(set(train) & {*settings.held_out, settings.clip}):
        raise ValueError(f"simulated drives {both} are both trained on and held out; change simulation.held_out")
    return train, list(settings.held_out)


def simulate_missing(settings: SimulationSettings, workers: int = 1) -> Path:
    """Simulate the drives that are not in the folder yet; a stopped call goes on where it was. Seed = number.

    Returns:
        The root of the simulated data set.
    """
    from ps3d.simulation import simulate_drives  # loads Open3D, which training on real data does not need

    root = Path(settings.folder)
    train, held_out = simulated_numbers(settings)
    jobs = [(number, settings.frames, settings.spacing) for number in (*held_out, *train)]
    if settings.clip_frames:
        jobs.append((settings.clip, settings.clip_frames, CLIP_SPACING))
    with Progress() as progress:
        task = progress.add_task(f"simulating {len(jobs)} drives in {root}", total=sum(job[1] for job in jobs))
        simulate_drives(root, jobs, workers=workers, progress=lambda frames: progress.advance(task, frames))
    return root


def with_simulation(data: DataSettings, simulation: SimulationSettings) -> DataSettings:
    """The data settings that name the simulated drives."""
    train, held_out = simulated_numbers(simulation)
    names = [tuple(drive_name(number) for number in numbers) for numbers in (train, held_out)]
    return DataSettings(**{**vars(data), "root": simulation.folder, "train": names[0], "validation": names[1]})


def prepare_data(fabric: Fabric, data: DataSettings, simulation: SimulationSettings, workers: int) -> DataSettings:
    """Simulate in the first process while the others wait."""
    if not simulation.folder:
        return data
    if fabric.is_global_zero:
        simulate_missing(simulation, workers)
    fabric.barrier()
    return with_simulation(data, simulation)


def open_training_drives(data: DataSettings) -> list[Drive]:
    """The drives to train on: the named ones, or all that are not validated on.

    Raises:
        FileNotFoundError: no such root or sequence.
        ValueError: no root given, or nothing left to train on.
    """
    if not data.root:
        raise ValueError("data.root: missing; name the folder of the data set, or simulation.folder to simulate one")
    drives = _open(data, data.train or None)
    if not data.train:
        names = {drive.name for drive in open_validation_drives(data)}
        drives = [drive for drive in drives if drive.name not in names]
    if not drives:
        raise ValueError(f"{data.root}: every sequence is validated on, none is left to train on")
    return drives


def open_validation_drives(data: DataSettings) -> list[Drive]:
    """The drives to validate on."""
    return _open(data, data.validation) if data.validation else []


def open_clip(simulation: SimulationSettings) -> Drive | None:
    """The drive of consecutive scans, where there is one."""
    if not simulation.folder or not simulation.clip_frames:
        return None
    return open_sequences(simulation.folder, sequences=[simulation.clip])[0]


def training_frames(data: DataSettings) -> FrameList:
    """The frames to train on."""
    return FrameList.of(open_training_drives(data), data.stride, data.limit or None)


class EveryNth:
    """Every n-th frame of a drive; a `ps3d.structures.Sequence`."""

    def __init__(self, drive: Drive, stride: int) -> None:
        self.drive, self.stride = drive, stride
        self.name, self.taxonomy, self.calibration = drive.name, drive.taxonomy, drive.calibration

    def __len__(self) -> int:
        return -(-len(self.drive) // self.stride)

    def __getitem__(self, position: int):
        if not 0 <= position < len(self):
            raise IndexError(position)
        return self.drive[position * self.stride]

    def __iter__(self):
        return (self[position] for position in range(len(self)))


def _open(data: DataSettings, sequences: Sequence[str] | None) -> list[Drive]:
    return open_sequences(data.root, data.taxonomy or None, sequences, labels=data.labels or None)

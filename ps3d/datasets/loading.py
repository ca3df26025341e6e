"""Feeding a training: frames of several drives, windows of scans, mixing and augmentation, workers, exact resume.

What happens to a sample depends on (seed, epoch, its place in the data) and on nothing else: neither on the number of
workers and processes, nor on what was read before. A resumed training therefore sees what it would have seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ps3d.datasets.augmentation import Augmentation, augment
from ps3d.datasets.mixing import mix
from ps3d.datasets.picture_augmentation import TrainingPictures
from ps3d.ops.geometry import invert, transform
from ps3d.ops.motion import corrected_xyz
from ps3d.structures import Frame, Panoptic, Scan
from ps3d.structures import Sequence as Drive
from ps3d.structures.sequence import LIDAR

CORRECTED_SHARE = 0.9
"""Share of windows whose scans are freed from the vehicle's motion; the rest stay raw, as when poses are missing."""


@dataclass(frozen=True)
class FrameList:
    """Frames of several drives in one numbering.

    Attributes:
        drives: sequences that share one taxonomy.
        places: (drive, position) of each frame.
    """

    drives: tuple[Drive, ...]
    places: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, drives: Sequence[Drive], stride: int = 1, limit: int | None = None) -> "FrameList":
        """All frames, or every `stride`-th of each drive; at most `limit` of all, evenly spread.

        Raises:
            ValueError: no drives, no frames, or drives of different classes.
        """
        if len({drive.taxonomy.names for drive in drives}) > 1:
            raise ValueError("drives of different classes: " + ", ".join(f"{d.name} {d.taxonomy.name}" for d in drives))
        places = [(d, position) for d, drive in enumerate(drives) for position in range(0, len(drive), stride)]
        if limit is not None and len(places) > limit:
            places = [places[i] for i in np.linspace(0, len(places) - 1, limit).round().astype(int)]
        if not places:
            raise ValueError("no frames to train on: check the root, the sequences and the stride")
        return cls(tuple(drives), tuple(places))

    def __len__(self) -> int:
        return len(self.places)

    def read(self, index: int, window: int = 1, is_corrected: bool = True) -> Frame:
        """One frame, with the scans before it superimposed where `window` is larger than 1."""
        drive, position = self.places[index]
        if window == 1:
            return self.drives[drive][position]
        earlier = range(max(0, position - window + 1), position)
        return superimpose([self.drives[drive][p] for p in (*earlier, position)], is_corrected)


def superimpose(frames: Sequence[Frame], is_corrected: bool = True) -> Frame:
    """Several scans in the last one's frame, the earlier ones placed by pose.

    Frames without a pose are left out, except the last. Each point's time says which scan it came from.

    Args:
        is_corrected: free every scan from the vehicle's motion first.
    """
    last = frames[-1]
    parts, labels = [], []
    for frame in frames:
        if frame.scan is None:
            raise ValueError(f"frame {frame.index} ({frame.source}) has no scan")
        if frame is not last and (frame.world_from_lidar is None or last.world_from_lidar is None):
            continue
        xyz = corrected_xyz(frame) if is_corrected else frame.scan.xyz
        if frame is not last and frame.world_from_lidar is not None and last.world_from_lidar is not None:
            xyz = transform(invert(last.world_from_lidar) @ frame.world_from_lidar, xyz)
        time = frame.scan.time + np.float32(frame.timestamp - last.timestamp)
        parts.append(Scan(xyz.astype(np.float32), frame.scan.intensity, time.astype(np.float32)))
        labels.append(frame.truth.get(LIDAR))
    scan = Scan(*(np.concatenate([getattr(part, f) for part in parts]) for f in ("xyz", "intensity", "time")))
    truth = {**last.truth}
    if all(label is not None for label in labels):
        known = [label for label in labels if label is not None]
        semantic, instance = (np.concatenate([getattr(label, f) for label in known]) for f in ("semantic", "instance"))
        truth[LIDAR] = Panoptic(semantic, instance)
    else:
        truth.pop(LIDAR, None)
    return replace(last, scan=scan, truth=truth, current_from_previous=None)


class TrainingFrames(Dataset):
    """Augmented frames; asked for by (epoch, index).

    Args:
        frames: what to train on.
        augmentation: what happens to them.
        seed: of all randomness.
        window: scans superimposed by pose.
    """

    def __init__(self, frames: FrameList, augmentation: Augmentation, seed: int = 0, window: int = 1) -> None:
        self.frames, self.augmentation, self.seed, self.window = frames, augmentation, seed, window

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, key: tuple[int, int]) -> Frame:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        is_corrected = rng.uniform() < CORRECTED_SHARE
        donor = int(rng.integers(len(self.frames)))
        frame = self.frames.read(index, self.window, is_corrected)
        if self.augmentation.needs_donor:
            # Mixed scans should not share their vehicle's axis: each is turned on its own first.
            turned = replace(self.augmentation, drop_points=0.0, drop_rings=0.0, drop_intensity=0.0)

            def read_donor() -> Frame:
                return augment(self.frames.read(donor, self.window, is_corrected), turned, rng)

            frame = mix(frame, read_donor, self.frames.drives[0].taxonomy, self.augmentation, rng)
        return augment(frame, self.augmentation, rng)


class StepSampler(Sampler):
    """The samples of each step: one permutation per epoch, cut into steps; each process takes its share of a step.

    Args:
        samples: length of the data.
        batch: samples per step over all processes.
        seed: of the permutations.
        rank, processes: which share to take.
        first_step: where to begin, for a resumed training.
        last_step: where to stop.

    Yields:
        Lists of (epoch, index), one list per step.
    """

    def __init__(
        self,
        samples: int,
        batch: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        first_step: int = 0,
        last_step: int = 2**31,
    ) -> None:
        if batch % processes:
            raise ValueError(f"{batch} scans per step cannot be shared evenly by {processes} processes")
        self.samples, self.batch, self.seed = samples, batch, seed
        self.rank, self.processes = rank, processes
        self.first_step, self.last_step = first_step, last_step

    def __len__(self) -> int:
        return max(0, self.last_step - self.first_step)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        current, order = -1, np.zeros(0, np.int64)
        for step in range(self.first_step, self.last_step):
            keys = []
            for sample in range(step * self.batch, (step + 1) * self.batch):
                epoch, place = divmod(sample, self.samples)
                if epoch != current:
                    current, order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.samples)
                keys.append((epoch, int(order[place])))
            yield keys[self.rank :: self.processes]


class _Listed:
    """Collates each micro-batch of a step by itself; a class, so that workers can be started in any way."""

    def __init__(self, collate: Callable[[Sequence[Frame]], Any], size: int) -> None:
        self.collate, self.size = collate, size

    def __call__(self, frames: list[Frame]) -> list[Any]:
        return [self.collate(frames[i : i + self.size]) for i in range(0, len(frames), self.size)]


def training_loader(
    frames: TrainingFrames | TrainingPictures,
    collate: Callable[[Sequence[Frame]], Any],
    sampler: StepSampler,
    scans_per_pass: int = 1,
    workers: int = 0,
) -> DataLoader:
    """Yields one list of batches per step; each batch holds `scans_per_pass` scans."""
    items: Dataset[list[Frame]] = frames  # pyright: ignore[reportAssignmentType]
    return DataLoader(
        items,
        batch_sampler=sampler,
        collate_fn=_Listed(collate, scans_per_pass),
        num_workers=workers,
        worker_init_fn=_one_thread if workers else None,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=4 if workers else None,
    )


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)


def count_classes(frames: FrameList, limit: int = 100) -> np.ndarray:
    """Points of each class in at most `limit` frames, evenly spread (float64)."""
    counts = np.zeros(256)
    for index in np.linspace(0, len(frames) - 1, min(limit, len(frames))).round().astype(int):
        label = frames.read(int(index)).truth.get(LIDAR)
        if label is not None:
            counts += np.bincount(label.semantic, minlength=256)
    return counts[: len(frames.drives[0].taxonomy)]

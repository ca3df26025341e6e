"""Prediction of whole sequences: scans in, one .label file per scan out; sharded over processes, resumable."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress, track

from ps3d.datasets.augmentation import move, turn_about
from ps3d.datasets.label_files import read_labels, write_panoptic
from ps3d.fusion import OffsetFusion, fuse_offsets
from ps3d.models.lidar_panoptic import LidarPanoptic
from ps3d.structures import Frame, OffsetPrediction, Panoptic, Taxonomy
from ps3d.structures import Sequence as Drive
from ps3d.tracking import Tracker

PARTS = ("reading", "voxelizing", "network", "fusion", "writing")

VIEWS = ((0.0, False), (75.0, True), (165.0, False), (255.0, True))
"""Test-time augmentation: (degrees about the vertical, mirrored). Odd angles, so that the grids differ."""


@dataclass
class Timer:
    """Seconds spent in each part."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    scans: int = 0
    skipped: int = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the duration of a block to a part."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def __str__(self) -> str:
        total = sum(self.seconds.values())
        already = f" ({self.skipped} were there already)" if self.skipped else ""
        if not self.scans or not total:
            return f"0 scans{already}"
        shares = ", ".join(f"{name} {1000 * s / self.scans:.0f} ms" for name, s in self.seconds.items())
        return f"{self.scans} scans{already}, {self.scans / total:.2f} scans/s; per scan: {shares}"


class LidarPredictor:
    """From frames to labels: the network on one or several views of a scan, then fusion.

    Args:
        model: on its device, ready to predict.
        fusion: settings of `fuse_offsets`.
        is_augmented: sum the network's opinions of four turned and mirrored copies of each scan.
    """

    def __init__(self, model: LidarPanoptic, fusion: OffsetFusion = OffsetFusion(), is_augmented: bool = False) -> None:
        self.model = model.eval()
        self.fusion = fusion
        self.views = VIEWS if is_augmented else VIEWS[:1]
        self.device = next(model.parameters()).device

    def __call__(self, frame: Frame, timer: Timer | None = None) -> Panoptic:
        """The panoptic labels of a frame's scan.

        Raises:
            ValueError: a frame without a scan, named.
        """
        timer = timer or Timer()
        prediction = self.predict(frame, timer)
        assert frame.scan is not None
        with timer.part("fusion"):
            return fuse_offsets(prediction, frame.scan.xyz, self.model.taxonomy, self.fusion)

    @torch.inference_mode()
    def predict(self, frame: Frame, timer: Timer) -> OffsetPrediction:
        """The mean of the network's outputs over the views, offsets turned back."""
        if frame.scan is None:
            raise ValueError(f"frame {frame.index} ({frame.source}) has no scan to predict")
        logits, offsets = [], []
        for degrees, is_mirrored in self.views:
            matrix = turn_about(2, np.deg2rad(degrees)) @ np.diag([1.0, -1.0 if is_mirrored else 1.0, 1.0])
            with timer.part("voxelizing"):
                view = frame if (degrees, is_mirrored) == VIEWS[0] else move(frame, matrix)
                batch = self.model.collate([replace(view, truth={})]).to(self.device)
            with timer.part("network"):
                (prediction,) = self.model.predict(batch)
            logits.append(prediction.class_logits)
            offsets.append(prediction.offsets @ torch.from_numpy(matrix.astype(np.float32)))
        if len(self.views) == 1:
            return OffsetPrediction(logits[0], offsets[0])
        mean = torch.stack([view.softmax(dim=1) for view in logits]).mean(dim=0).clamp(min=1e-8).log()
        return OffsetPrediction(mean, torch.stack(offsets).mean(dim=0))


def label_path(out: str | Path, drive: Drive, frame: Frame) -> Path:
    """`<out>/<sequence>/labels/<name of the scan>.label`."""
    name = Path(frame.source).name.split(".")[0] if frame.source else f"{frame.index:010d}"
    return Path(out) / drive.name / "labels" / f"{name}.label"


def predict_sequences(
    predictor: LidarPredictor,
    drives: Sequence[Drive],
    out: str | Path,
    rank: int = 0,
    processes: int = 1,
    is_shown: bool = True,
) -> Timer:
    """Write the labels of every scan that has none yet.

    Sequences stay together where there are as many as processes; else scans are dealt out in blocks.

    Args:
        rank, processes: which share of the work is this process's.
        is_shown: draw a progress bar.
    """
    timer = Timer()
    work = list(_share(drives, rank, processes))
    with Progress(disable=not is_shown) as progress:
        task = progress.add_task("predicting", total=len(work))
        for drive, position in work:
            with timer.part("reading"):
                frame = drive[position]
            path = label_path(out, drive, frame)
            if _is_done(path, frame):
                timer.skipped += 1
            else:
                panoptic = predictor(frame, timer)
                with timer.part("writing"):
                    write_panoptic(path, panoptic, predictor.model.taxonomy)
                timer.scans += 1
            progress.advance(task)
    return timer


def read_prediction(out: str | Path, drive: Drive, frame: Frame, taxonomy: Taxonomy) -> Panoptic:
    """The labels `predict_sequences` wrote for a frame.

    Raises:
        FileNotFoundError: there are none.
        ValueError: another number of points.
    """
    path = label_path(out, drive, frame)
    raw, instance = read_labels(path, None if frame.scan is None else len(frame.scan))
    return Panoptic(taxonomy.encode(raw, str(path)), instance)


def track_sequences(
    drives: Sequence[Drive],
    out: str | Path,
    taxonomy: Taxonomy,
    rank: int = 0,
    processes: int = 1,
    is_shown: bool = True,
) -> Path:
    """Give the objects of finished predictions numbers that last through each sequence.

    Reads `out`/<sequence>/labels and writes `out`/tracked/<sequence>/labels. Whole sequences are dealt out to
    processes; a finished one is skipped, an interrupted one starts over, because a tracker needs its past.

    Returns:
        The folder of the tracked labels.
    """
    folder = Path(out) / "tracked"
    for drive in list(drives)[rank::processes]:
        last = label_path(folder, drive, drive[len(drive) - 1])
        if last.exists():
            continue
        tracker = Tracker(taxonomy)
        for frame in track(drive, f"tracking {drive.name}", disable=not is_shown):
            tracked = tracker.update(read_prediction(out, drive, frame, taxonomy), frame)
            write_panoptic(label_path(folder, drive, frame), tracked, taxonomy)
    return folder


def _is_done(path: Path, frame: Frame) -> bool:
    return path.exists() and frame.scan is not None and path.stat().st_size == 4 * len(frame.scan)


def _share(drives: Sequence[Drive], rank: int, processes: int) -> Iterable[tuple[Drive, int]]:
    if len(drives) >= processes:
        for drive in drives[rank::processes]:
            yield from ((drive, position) for position in range(len(drive)))
        return
    for drive in drives:
        begin, end = (len(drive) * r // processes for r in (rank, rank + 1))
        yield from ((drive, position) for position in range(begin, end))

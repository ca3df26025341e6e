"""A training that takes seconds: a linear model on tiny scans, run by the real loop. Also a script for torchrun."""

import os
import sys
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from ps3d.datasets.augmentation import Augmentation
from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.loading import FrameList, TrainingFrames
from ps3d.engine.config import TrainSettings
from ps3d.engine.run_folder import RunFolder
from ps3d.engine.train import train
from ps3d.structures import Calibration, Frame, Panoptic, Scan
from ps3d.structures.sequence import LIDAR


class ToyDrive:
    """Random scans of a road with two cars."""

    def __init__(self, frames=5, points=300, seed=0):
        self.name, self.taxonomy, self.calibration = f"toy{seed}", KITTI360_SCAN, Calibration()
        self.frames, self.points, self.seed = frames, points, seed

    def __len__(self):
        return self.frames

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, position):
        if position >= self.frames:
            raise IndexError(position)
        rng = np.random.default_rng([self.seed, position])
        road = rng.uniform((-12, -12, -1.8), (12, 12, -1.7), (self.points, 3))
        cars = [rng.uniform((-2, -0.9, -1.5), (2, 0.9, 0), (60, 3)) + (6 * s, 4 * s, 0) for s in (-1, 1)]  # noqa: RUF005
        xyz = np.concatenate([road, *cars]).astype(np.float32)
        sizes = [self.points, 60, 60]
        semantic = np.repeat([KITTI360_SCAN.index(n) for n in ("road", "car", "car")], sizes).astype(np.uint8)
        instance = np.repeat([0, 1, 2], sizes).astype(np.int32)
        pose = np.eye(4)
        pose[0, 3] = position
        scan = Scan(xyz, rng.random(len(xyz), np.float32), np.zeros(len(xyz), np.float32))
        truth = {LIDAR: Panoptic(semantic, instance)}
        return Frame(position, 0.1 * position, scan, {}, pose, None, False, truth, f"{self.name}/{position:06d}.bin")


@dataclass
class ToyBatch:
    xyz: torch.Tensor
    semantic: torch.Tensor
    sources: tuple[str, ...]

    def to(self, device):
        return ToyBatch(self.xyz.to(device), self.semantic.to(device), self.sources)


class ToyModel(nn.Module):
    """Classes of points from their positions; `on_collate(frames)` is called for each batch."""

    def __init__(self, on_collate=None):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, len(KITTI360_SCAN)))
        self.on_collate = on_collate

    def collate(self, frames):
        if self.on_collate:
            self.on_collate(frames)
        xyz = torch.from_numpy(np.concatenate([f.scan.xyz for f in frames]))
        semantic = torch.from_numpy(np.concatenate([f.truth[LIDAR].semantic for f in frames]).astype(np.int64))
        return ToyBatch(xyz, semantic, tuple(f.source for f in frames))

    def loss(self, batch):
        return {"class": nn.functional.cross_entropy(self.layers(batch.xyz), batch.semantic)}


def run_toy(path, steps=12, on_collate=None, model=None, fabric=None, **settings):
    """Losses of every step so far, from the run's metrics.csv."""
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    run = RunFolder(path)
    run.weights.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = model or ToyModel(on_collate)
    defaults = {"steps": steps, "batch": 2, "lr": 0.01, "log_every": 1, "save_every": 5, "ema": 0.9}
    frames = TrainingFrames(FrameList.of([ToyDrive()]), Augmentation(polar_mix=0.5), seed=7)
    train(fabric, model, frames, TrainSettings(**{**defaults, **settings}), run)
    return losses(run)


def losses(run):
    return np.loadtxt(run.metrics, delimiter=",", skiprows=1, usecols=_columns(run))


def _columns(run):
    header = run.metrics.read_text().splitlines()[0].split(",")
    return header.index("step"), header.index("loss/total")


if __name__ == "__main__":
    processes = int(os.environ["WORLD_SIZE"])
    fabric = Fabric(accelerator="cpu", strategy="ddp", devices=processes)
    fabric.launch()
    run_toy(sys.argv[1], fabric=fabric)

"""Where the time of a LiDAR network goes: shares of a training step and of a prediction, on random or given scans."""

import argparse
import time

import numpy as np
import torch

from ps3d.datasets.augmentation import Augmentation, augment
from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.opening import open_sequences
from ps3d.engine.checkpoint import build_lidar_model
from ps3d.engine.config import ModelSettings
from ps3d.fusion import fuse_offsets
from ps3d.structures import Frame


def main() -> None:
    """Print seconds and shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, help="scans to measure on, with labels for the training step")
    parser.add_argument("--voxel-size", type=float, default=0.2)
    parser.add_argument("--scans", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    drive = open_sequences(options.input, KITTI360_SCAN)[0]
    frames = [drive[i] for i in np.linspace(0, len(drive) - 1, options.scans + 1).astype(int)]
    model = build_lidar_model(ModelSettings(voxel_size=options.voxel_size), KITTI360_SCAN)
    optimizer = torch.optim.AdamW(model.parameters())
    _report("training step", [_train(model, optimizer, frame) for frame in frames][1:])
    model.eval()
    _report("prediction", [_predict(model, frame) for frame in frames][1:])


class _Clock:
    """Process time (all threads) of consecutive parts."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self.last = time.process_time()

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.parts[name] = now - self.last
        self.last = now


def _train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, frame: Frame) -> dict[str, float]:
    clock = _Clock()
    frame = augment(frame, Augmentation(), np.random.default_rng(0))
    clock.lap("augmentation")
    batch = model.collate([frame])  # type: ignore[operator]
    clock.lap("voxelizing")
    losses = model.loss(batch)  # type: ignore[operator]
    clock.lap("forward and loss")
    torch.stack(list(losses.values())).sum().backward()
    clock.lap("backward")
    optimizer.step()
    optimizer.zero_grad()
    clock.lap("optimizer")
    return clock.parts


def _predict(model: torch.nn.Module, frame: Frame) -> dict[str, float]:
    assert frame.scan is not None
    clock = _Clock()
    batch = model.collate([frame])  # type: ignore[operator]
    clock.lap("voxelizing")
    with torch.inference_mode():
        outputs = model(batch)
        clock.lap("network")
        prediction = model.to_points(batch, *outputs)[0]  # type: ignore[operator]
    clock.lap("voxels to points")
    fuse_offsets(prediction, frame.scan.xyz, KITTI360_SCAN)
    clock.lap("fusion")
    return clock.parts


def _report(name: str, laps: list[dict[str, float]]) -> None:
    means = {part: float(np.median([lap[part] for lap in laps])) for part in laps[0]}
    whole = sum(means.values())
    shares = ", ".join(f"{part} {1000 * s:.0f} ms ({100 * s / whole:.0f} %)" for part, s in means.items())
    print(f"{name}: {1000 * whole:.0f} ms of CPU per scan: {shares}")

"""A whole LiDAR training: data, network, loop, prediction of the validated drives, scores, pictures, report."""

import inspect
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from rich.console import Console
from rich.table import Table
from torch.nn.parallel import DistributedDataParallel

from ps3d.datasets.label_files import write_panoptic
from ps3d.datasets.loading import FrameList, TrainingFrames, count_classes
from ps3d.engine.checkpoint import (
    build_lidar_model,
    find_weights,
    init_from,
    load_lidar_model,
    read_weights,
    save_lidar_weights,
)
from ps3d.engine.config import LidarTraining
from ps3d.engine.evaluate_tracks import evaluate_tracks
from ps3d.engine.image_config import ImageTraining
from ps3d.engine.lidar_data import EveryNth, open_clip, open_validation_drives, prepare_data, training_frames
from ps3d.engine.pictures import draw_comparisons
from ps3d.engine.predict import LidarPredictor, label_path, predict_sequences, read_prediction
from ps3d.engine.run_folder import RunFolder
from ps3d.engine.threads import core_count, use_cores
from ps3d.engine.train import train
from ps3d.metrics import PanopticCounts, Result, count_panoptic, find_rules, total
from ps3d.models.lidar_panoptic import LidarPanoptic
from ps3d.models.losses import class_weights
from ps3d.structures import Frame, Panoptic
from ps3d.structures import Sequence as Drive
from ps3d.structures.sequence import LIDAR
from ps3d.tracking import Tracker
from ps3d.visualization.plots import plot_class_bars, plot_confusion, plot_curves
from ps3d.visualization.report import write_report

log = logging.getLogger("ps3d.run")


def make_fabric(config: LidarTraining | ImageTraining) -> Fabric:
    """Devices, processes and precision of a run; torchrun and srun decide the processes where they started us."""
    has_gpu = torch.cuda.is_available()
    # On a CPU two processes of one thread do more than one process of two threads: see docs/training.md.
    devices = config.train.processes or (torch.cuda.device_count() if has_gpu else min(2, core_count()))
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", 0)) or devices
    world = int(os.environ.get("WORLD_SIZE", devices))
    if not has_gpu:
        use_cores(devices, is_sparse=isinstance(config, LidarTraining))
    precision: Any = config.train.precision
    if precision == "auto":
        precision = "bf16-mixed" if has_gpu and torch.cuda.is_bf16_supported() else "32-true"
    strategy: Any = "auto"
    if world > 1:
        # Each process keeps normalization statistics of its own; train.py averages them where they are needed.
        known = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # its older name
        options: dict[str, Any] = {name: False, "process_group_backend": "nccl" if has_gpu else "gloo"}
        strategy = DDPStrategy(**options)
    return Fabric(
        accelerator="cuda" if has_gpu else "cpu",
        strategy=strategy,
        devices=devices,
        num_nodes=max(1, world // devices),
        precision=precision,
    )


def run_lidar_training(config: LidarTraining, resume: str = "", init: str = "") -> Path:
    """Everything `tools/train_lidar.py` does.

    Args:
        resume: folder of a run to go on with.
        init: checkpoint whose weights to begin with.

    Returns:
        The run's folder.
    """
    fabric = make_fabric(config)
    fabric.launch()
    fabric.seed_everything(config.seed, verbose=False)
    path = ""
    if fabric.is_global_zero:
        path = resume or str(RunFolder.create(config.runs, config.name, config).path)
    run = RunFolder.open(fabric.broadcast(path))
    if fabric.is_global_zero:
        run.log_to_file()
        fabric.print(f"run: {run.path}")
    data = prepare_data(fabric, config.data, config.simulation, core_count())
    frames = training_frames(data)
    drives: list[Drive] = [EveryNth(drive, data.validation_stride) for drive in open_validation_drives(data)]
    model = prepare_model(config, frames, init, fabric)

    def validate() -> dict[str, float]:
        counts = score_directly(fabric, model, config, drives)
        if counts is None:
            return {}
        result = counts.result()
        if fabric.is_global_zero:
            keep_best(run, model, config, result["pq"])
        return {name: result[name] for name in ("pq", "pq_things", "miou")}

    samples = TrainingFrames(frames, config.augmentation, config.seed, data.window)
    state = train(fabric, model, samples, config.train, run, validate if drives else None)
    last = run.weights / "last.safetensors"
    if fabric.is_global_zero:
        facts = {
            "name": config.name,
            "seed": config.seed,
            "frames": len(frames),
            "augmentation": vars(config.augmentation),
        }
        save_lidar_weights(last, state, config.model, model.taxonomy, facts)
    fabric.barrier()
    finish(fabric, run, find_weights(run.path), config, drives)
    return run.path


def keep_best(run: RunFolder, model: LidarPanoptic, config: LidarTraining, pq: float) -> None:
    """Write weights/best.safetensors if the model is better than the one there."""
    path = run.weights / "best.safetensors"
    before = json.loads(read_weights(path)[1]["facts"])["pq"] if path.exists() else -1.0
    if pq > before:
        save_lidar_weights(path, model.state_dict(), config.model, model.taxonomy, {"name": config.name, "pq": pq})


def prepare_model(config: LidarTraining, frames: FrameList, init: str, fabric: Fabric) -> LidarPanoptic:
    """The network with its class weights, counted on the training frames."""
    taxonomy = frames.drives[0].taxonomy
    model = build_lidar_model(config.model, taxonomy, config.loss)
    counts = torch.from_numpy(count_classes(frames)).float()
    if not counts.sum():
        raise ValueError(
            f"no labels in {len(frames)} training frames; KITTI-360 needs data.labels or recover_labels.py"
        )
    model.class_weights.copy_(class_weights(counts))
    if init:
        left = init_from(model, init)
        fabric.print(f"weights of {init}; fresh: {', '.join(left) or 'none'}")
    return model


def score_directly(
    fabric: Fabric, model: LidarPanoptic, config: LidarTraining, drives: Sequence[Drive]
) -> PanopticCounts | None:
    """Counts of the model as it is on the validated drives, without writing; None where there is no truth."""
    rules = find_rules(config.evaluation.rules, config.evaluation.is_strict)
    predictor = LidarPredictor(model, config.fusion)
    work = [(drive, i) for drive in drives for i in range(len(drive))][fabric.global_rank :: fabric.world_size]
    states = []
    for drive, position in work:
        frame = drive[position]
        if LIDAR in frame.truth:
            states.append(count_panoptic(frame.truth[LIDAR], predictor(frame), drive.taxonomy, rules, frame.source))
    counts = total(states) if states else None
    return _gather(fabric, counts)


def _gather(fabric: Fabric, counts: PanopticCounts | None) -> PanopticCounts | None:
    """The sum over all processes."""
    if fabric.world_size == 1:
        return counts
    parts: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(parts, counts)
    found = [part for part in parts if part is not None]
    return total(found) if found else None


def finish(fabric: Fabric, run: RunFolder, weights: Path, config: LidarTraining, drives: Sequence[Drive]) -> None:
    """Predict the validated drives with the weights on disk, score them, draw, and say what to do next."""
    clip = open_clip(config.simulation)
    if drives:
        predictor = LidarPredictor(load_lidar_model(weights).to(fabric.device), config.fusion)
        wanted = [*drives, clip] if clip else drives
        share = (fabric.global_rank, fabric.world_size, fabric.is_global_zero)
        timer = predict_sequences(predictor, wanted, run.predictions, *share)
        fabric.print(f"predicted {timer}")
        fabric.barrier()
    if fabric.is_global_zero:
        if drives:
            evaluate_run(run, config, drives)
        if clip:
            track_clip(run, clip)
        if run.metrics.exists():
            plot_curves(run.metrics, run.plots / "curves.png")
        write_report(run.path)
        print_next_commands(run, weights, config)


def evaluate_run(run: RunFolder, config: LidarTraining, drives: Sequence[Drive]) -> Result | None:
    """Score the predictions on disk: one JSON for each drive and one for all, a table, bars, the confusion matrix."""
    taxonomy = drives[0].taxonomy
    rules = find_rules(config.evaluation.rules, config.evaluation.is_strict)
    counts: dict[str, PanopticCounts] = {}
    scans: list[tuple[float, Drive, int]] = []
    for drive in drives:
        states = []
        for position in range(len(drive)):
            frame = drive[position]
            if LIDAR in frame.truth:
                label = read_prediction(run.predictions, drive, frame, taxonomy)
                states.append(count_panoptic(frame.truth[LIDAR], label, taxonomy, rules, frame.source))
                scans.append((states[-1].result()["pq"], drive, position))
        if states:
            counts[drive.name] = total(states)
    if not counts:
        return None
    everything = total(counts.values())
    results = {name: c.result().to_json() for name, c in counts.items()} | {"all": everything.result().to_json()}
    results["mean"] = _mean_of_drives([c.result() for c in counts.values()])
    (run.path / "evaluation.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print_scores(everything.result(), results["mean"])
    plot_class_bars(everything.result().to_json(), run.plots / "classes.png")
    plot_confusion(everything.confusion, taxonomy.names, run.plots / "confusion.png")
    worst = sorted(scans, key=lambda scan: scan[0])
    draw_comparisons(run, taxonomy, worst, config.evaluation.pictures)
    return everything.result()


def track_clip(run: RunFolder, clip: Drive) -> None:
    """Number the objects of the clip's predictions through the sequence, write and score them."""
    tracker = Tracker(clip.taxonomy)

    def track(frame: Frame) -> Panoptic:
        tracked = tracker.update(read_prediction(run.predictions, clip, frame, clip.taxonomy), frame)
        write_panoptic(label_path(run.path / "tracked", clip, frame), tracked, clip.taxonomy)
        return tracked

    result = evaluate_tracks(clip, track, is_strict=True).result()
    (run.path / "tracking.json").write_text(json.dumps(result.to_json(), indent=1), encoding="utf-8")
    shown = ", ".join(f"{name} {100 * result[name]:.1f}" for name in ("lstq", "s_assoc", "s_cls", "ptq", "hota"))
    print(f"tracking of {len(clip)} consecutive scans: {shown}")


def _mean_of_drives(results: Sequence[Result]) -> dict[str, float]:
    """The headline figures averaged over drives, and the car's PQ, which is what people ask first."""
    figures = {
        key: float(np.nanmean([r[key] for r in results])) for key in ("pq", "sq", "rq", "pq_things", "pq_stuff", "miou")
    }
    if "car" in results[0].names:
        place = results[0].names.index("car")
        figures["pq_car"] = float(np.mean([r.per_class["pq"][place] for r in results]))
    return figures


def print_scores(result: Result, mean: dict[str, float]) -> None:
    """One table: class, PQ, SQ, RQ, IoU, support."""
    table = Table("class", *("PQ", "SQ", "RQ", "IoU", "segments"), title=f"validation ({result.rules})")
    columns = result.per_class
    for place, name in enumerate(result.names):
        support = columns["tp"][place] + columns["fn"][place]
        if support + columns["fp"][place]:
            table.add_row(
                name, *(f"{100 * columns[c][place]:.1f}" for c in ("pq", "sq", "rq", "iou")), f"{support:.0f}"
            )
    table.add_section()
    values = (result[key] for key in ("pq", "sq", "rq", "miou"))
    table.add_row("all", *(f"{100 * value:.1f}" for value in values))
    things = (f"{100 * result[f'{key}_things']:.1f}" for key in ("pq", "sq", "rq"))
    table.add_row("things", *things)
    Console().print(table)
    print("mean of the drives: " + ", ".join(f"{name} {100 * value:.1f}" for name, value in mean.items()))


def print_next_commands(run: RunFolder, weights: Path, config: LidarTraining) -> None:
    """What one may want to type now."""
    root = config.simulation.folder or config.data.root
    print("\nnext:")
    print(f"  {run.path}/report.html                 everything about this run on one page")
    print(f"  python tools/predict.py --checkpoint {weights} --input YOUR_SCANS --out out/labels")
    print(f"  python tools/evaluate.py --help          more metrics on {run.predictions}")
    print(f"  python tools/visualize.py --help         look at scans of {root} and their labels")
    print(f"  python tools/train_lidar.py --init {weights} --train.minutes 60   train on from these weights")


def with_gpu_settings(config: LidarTraining) -> LidarTraining:
    """The embedded default on a machine with a GPU: finer voxels, more drives, more scans per step."""
    return replace(
        config,
        model=replace(config.model, voxel_size=0.1),
        simulation=replace(config.simulation, drives=4 * config.simulation.drives),
        train=replace(config.train, steps=2 * config.train.steps, batch=4, scans_per_pass=4, workers=8),
    )

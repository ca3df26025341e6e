"""A whole image training: data, network, the loop of LiDAR trainings, prediction, scores, pictures, report."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from rich.progress import Progress, track
from torch import nn

from ps3d.datasets.kitti360_layout import drive_name
from ps3d.datasets.loading import FrameList
from ps3d.datasets.object_scores import write_scored
from ps3d.datasets.panoptic_png import prediction_path, read_step
from ps3d.datasets.picture_augmentation import TrainingPictures
from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.checkpoint import init_from
from ps3d.engine.config import SimulationSettings
from ps3d.engine.image_config import ImageTraining, PictureSettings
from ps3d.engine.image_models import (
    PicturePredictor,
    build_image_model,
    load_image_predictor,
    save_image_weights,
    shrink,
)
from ps3d.engine.lidar_data import EveryNth, simulated_numbers
from ps3d.engine.lidar_run import make_fabric, print_scores
from ps3d.engine.run_folder import RunFolder
from ps3d.engine.train import train
from ps3d.metrics import PanopticCounts, Result, count_panoptic, find_rules, total
from ps3d.models.image_batch import only_camera
from ps3d.structures import Frame, Panoptic
from ps3d.structures import Sequence as Drive
from ps3d.visualization.images import overlay_panoptic, write_picture
from ps3d.visualization.plots import plot_class_bars, plot_confusion, plot_curves
from ps3d.visualization.report import write_report


def run_image_training(config: ImageTraining, resume: str = "", init: str = "") -> Path:
    """Everything `tools/train_image.py` does.

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
    data = prepare_pictures(fabric, config.data, config.simulation)
    training, drives = open_training(data)
    frames = FrameList.of(training, data.stride, data.limit or None)
    model = build_image_model(config.model, training[0].taxonomy)
    if init:
        fresh = init_from(model, init)
        fabric.print(f"weights of {init}; fresh: {', '.join(fresh) or 'none'}")

    def validate() -> dict[str, float]:
        predictor = PicturePredictor(model, config.model, config.fusion)
        counts = count_drives(config, drives, lambda _drive, frame: predictor(frame))
        return {} if counts is None else {key: counts.result()[key] for key in ("pq", "pq_things", "miou")}

    def read(index: int) -> Frame:
        return shrink(frames.read(index), config.model.scale)

    samples = TrainingPictures(read, len(frames), config.augmentation, config.seed, data.keep)
    state = train(fabric, model, samples, config.train, run, validate if drives else None)
    last = run.weights / "last.safetensors"
    if fabric.is_global_zero:
        facts = {"name": config.name, "seed": config.seed, "frames": len(frames)}
        save_image_weights(last, state, config.model, config.fusion, training[0].taxonomy, facts)
    fabric.barrier()
    if fabric.is_global_zero:
        finish(run, last, config, drives, model)
    return run.path


def prepare_pictures(fabric: Fabric, data: PictureSettings, simulation: SimulationSettings) -> PictureSettings:
    """The data settings; where drives are to be simulated, the first process does so while the others wait."""
    if not simulation.folder:
        return data
    if fabric.is_global_zero:
        simulate_missing_pictures(simulation)
    fabric.barrier()
    train_numbers, held_out = simulated_numbers(simulation)
    names = [tuple(drive_name(number) for number in numbers) for numbers in (train_numbers, held_out)]
    return PictureSettings(**{**vars(data), "root": simulation.folder, "train": names[0], "validation": names[1]})


def simulate_missing_pictures(settings: SimulationSettings) -> None:
    """Simulate the drives with one camera that are not in the folder yet. Seed = number."""
    from ps3d.simulation import simulate_drives  # loads Open3D, which training on real data does not need

    train_numbers, held_out = simulated_numbers(settings)
    numbers = [*held_out, *train_numbers]
    workers = max(1, os.cpu_count() or 1)
    with Progress() as progress:
        name = f"simulating {len(numbers)} drives with a camera in {settings.folder}"
        task = progress.add_task(name, total=len(numbers) * settings.frames)
        plans = [(number, settings.frames, settings.spacing) for number in numbers]
        simulate_drives(settings.folder, plans, 1, workers, lambda frames: progress.advance(task, frames))


def open_training(data: PictureSettings) -> tuple[list[Drive], list[Drive]]:
    """(sequences to train on, sequences to validate on).

    Raises:
        ValueError: no root, nothing left to train on, or pictures without labels.
    """
    if not data.root:
        raise ValueError("data.root: missing; name the folder of the data set, or simulation.folder to simulate one")
    validation = open_pictures(data.root, data.validation, data.camera) if data.validation else []
    names = {drive.name for drive in validation}
    training = open_pictures(data.root, data.train or None, data.camera)
    if not data.train:
        training = [drive for drive in training if drive.name not in names]
    if not training:
        raise ValueError(f"{data.root}: every sequence is validated on, none is left to train on")
    if not training[0][0].truth:
        raise ValueError(f"{training[0][0].source}: this picture has no label; training needs labels")
    return training, [EveryNth(drive, 1) for drive in validation]


def count_drives(config: ImageTraining, drives: Sequence[Drive], predict) -> PanopticCounts | None:
    """Counts over all labeled pictures; `predict(drive, frame)` gives the labels. None where there is no truth."""
    rules = find_rules(config.evaluation.rules, config.evaluation.is_strict)
    states = []
    for drive in drives:
        for frame in drive:
            camera = only_camera(frame)
            if camera in frame.truth:
                label = predict(drive, frame)
                states.append(count_panoptic(frame.truth[camera], label, drive.taxonomy, rules, frame.source))
    return total(states) if states else None


def predict_pictures(predictor: PicturePredictor, drives: Sequence[Drive], out: str | Path) -> int:
    """Write the labels of every picture that has none yet; returns how many were written."""
    written = 0
    work = [(drive, position) for drive in drives for position in range(len(drive))]
    for drive, position in track(work, "predicting"):
        frame = drive[position]
        path = prediction_path(out, drive, frame)
        if not path.exists():
            write_scored(path, predictor(frame))
            written += 1
    return written


def finish(run: RunFolder, weights: Path, config: ImageTraining, drives: Sequence[Drive], model: nn.Module) -> None:
    """Predict the validated sequences with the weights on disk, score them, draw, and say what to do next."""
    if drives:
        device = next(model.parameters()).device
        predict_pictures(load_image_predictor(weights, device), drives, run.predictions)
        evaluate_run(run, config, drives)
    if run.metrics.exists():
        plot_curves(run.metrics, run.plots / "curves.png")
    write_report(run.path)
    print("\nnext:")
    print(f"  {run.path}/report.html       everything about this run on one page")
    print(f"  {run.path}/pictures          truth beside prediction")
    print(f"  python tools/train_image.py --init {weights} --train.minutes 60   train on from these weights")


def evaluate_run(run: RunFolder, config: ImageTraining, drives: Sequence[Drive]) -> Result | None:
    """Score the predictions on disk: a table, JSON, bars, the confusion matrix, pictures."""

    def read(drive: Drive, frame: Frame) -> Panoptic:
        return read_step(prediction_path(run.predictions, drive, frame))

    counts = {drive.name: count_drives(config, [drive], read) for drive in drives}
    known = {name: state for name, state in counts.items() if state is not None}
    if not known:
        return None
    everything = total(known.values())
    results = {name: state.result().to_json() for name, state in known.items()}
    keys = ("pq", "sq", "rq", "pq_things", "pq_stuff", "miou")
    mean = {key: float(np.nanmean([state.result()[key] for state in known.values()])) for key in keys}
    content = json.dumps({**results, "all": everything.result().to_json(), "mean": mean}, indent=1)
    (run.path / "evaluation.json").write_text(content, encoding="utf-8")
    print_scores(everything.result(), mean)
    plot_class_bars(everything.result().to_json(), run.plots / "classes.png")
    plot_confusion(everything.confusion, drives[0].taxonomy.names, run.plots / "confusion.png")
    draw_comparisons(run, config, drives)
    return everything.result()


def draw_comparisons(run: RunFolder, config: ImageTraining, drives: Sequence[Drive]) -> None:
    """Truth above prediction, for evenly spread pictures of every validated sequence."""
    for drive in drives:
        places = np.unique(np.linspace(0, len(drive) - 1, config.evaluation.pictures).round().astype(int))
        for position in places.tolist():
            frame = drive[position]
            camera = only_camera(frame)
            rgb = frame.images[camera].rgb
            labels = [frame.truth.get(camera), read_step(prediction_path(run.predictions, drive, frame))]
            rows = [overlay_panoptic(rgb, label, drive.taxonomy) for label in labels if label is not None]
            write_picture(run.path / "pictures" / f"{drive.name}_{position:04d}.png", np.concatenate(rows))

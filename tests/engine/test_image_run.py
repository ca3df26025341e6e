"""An image training from a folder of own pictures to the table, for the two kinds of network."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from painted_pictures import PAINTED, paint_frame

from ps3d.datasets.panoptic_folder import read_picture, write_classes, write_frame
from ps3d.datasets.picture_augmentation import NONE
from ps3d.datasets.picture_inspection import check_folder
from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.config import EvaluationSettings, SimulationSettings, TrainSettings
from ps3d.engine.config_files import read_config
from ps3d.engine.image_config import ImageModelSettings, ImageTraining, PictureFusion, PictureSettings
from ps3d.engine.image_models import build_image_model, load_image_predictor, save_image_weights
from ps3d.engine.image_run import run_image_training
from ps3d.engine.image_video import predict_video
from ps3d.structures import Panoptic
from ps3d.tracking import Tracker
from ps3d.visualization.files import write_video


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_tool", Path(__file__).parents[2] / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def own_data(tmp_path):
    root = tmp_path / "own"
    write_classes(root, PAINTED)
    for sequence, indices in (("one", range(4)), ("two", range(4, 6))):
        for index in indices:
            frame = paint_frame(index, (64, 96))
            write_frame(root, sequence, f"{index:06d}", frame.images["camera"].rgb, frame.truth["camera"])
    return root


@pytest.mark.parametrize("architecture", ["deeplab", pytest.param("mask2former", marks=pytest.mark.slow)])
def test_own_pictures_are_trained_predicted_scored_and_drawn(own_data, tmp_path, architecture):
    assert check_folder(own_data) == []
    config = ImageTraining(
        runs=str(tmp_path / "runs"),
        simulation=SimulationSettings(folder=""),
        data=PictureSettings(root=str(own_data), validation=("two",)),
        model=ImageModelSettings(architecture=architecture, backbone="tiny", scale=0.5, queries=10),
        augmentation=replace(NONE, flip=0.5),
        train=TrainSettings(steps=3, batch=2, scans_per_pass=2, processes=1, log_every=1),
        evaluation=EvaluationSettings(rules="cityscapes", pictures=1),
    )
    run = run_image_training(config)
    scores = json.loads((run / "evaluation.json").read_text())
    assert 0 <= scores["all"]["values"]["pq"] <= 1
    assert (run / "report.html").exists()
    assert list((run / "pictures").glob("*.png"))
    predictor = load_image_predictor(run)
    frame = open_pictures(own_data, ["two"])[0][0]
    assert predictor(frame).shape == frame.images["camera"].size
    written = sorted(path.name for path in (run / "predictions" / "two" / "labels").glob("*.png"))
    assert written == ["000004.png", "000005.png"]


def test_predict_labels_a_picture_a_folder_and_a_video_with_an_image_checkpoint(
    own_data, tmp_path, capsys, monkeypatch
):
    settings = ImageModelSettings(backbone="tiny", scale=0.5)
    model = build_image_model(settings, PAINTED)
    save_image_weights(tmp_path / "a.safetensors", model.state_dict(), settings, PictureFusion(), PAINTED)
    pictures = own_data / "one" / "images"
    write_video(tmp_path / "a.mp4", (read_picture(path) for path in sorted(pictures.glob("*.png"))))
    tool = load_tool("predict")
    checkpoint = ["--checkpoint", str(tmp_path / "a.safetensors"), "--out", str(tmp_path / "out")]
    for source, name, count in ((pictures / "000001.png", "000001", 1), (pictures, "images", 4), (own_data, "two", 2)):
        monkeypatch.setattr(sys, "argv", ["predict.py", *checkpoint, "--input", str(source)])
        tool.main()
        assert len(list((tmp_path / "out" / name / "labels").glob("*.png"))) == count
    assert "vpq" in capsys.readouterr().out  # own data has truth
    track = ["--input", str(tmp_path / "a.mp4"), "--track", "--video", str(tmp_path / "b.mp4")]
    monkeypatch.setattr(sys, "argv", ["predict.py", *checkpoint, *track])
    tool.main()
    assert len(list((tmp_path / "out" / "a" / "labels").glob("*.png"))) == 4
    assert len(open_pictures(tmp_path / "b.mp4", taxonomy=PAINTED)[0]) == 4


def test_a_folder_of_bare_pictures_opens_without_labels(own_data):
    (sequence,) = open_pictures(own_data / "one" / "images", taxonomy=PAINTED)
    assert len(sequence) == 4
    assert not sequence[0].truth


def test_mistakes_of_own_labels_are_named(own_data):
    from ps3d.datasets.panoptic_png import write_step

    path = own_data / "one" / "labels" / "000001.png"
    write_step(path, Panoptic(np.full((64, 96), 9, np.uint8), np.zeros((64, 96), np.int32)))
    (own_data / "two" / "labels" / "000004.png").unlink()
    bad = Panoptic(np.full((64, 96), 1, np.uint8), np.ones((64, 96), np.int32))
    bad.semantic[:5] = 3
    write_step(own_data / "one" / "labels" / "000002.png", bad)
    findings = "\n".join(check_folder(own_data))
    assert "classes [9]" in findings
    assert "1 of 2 pictures have no label" in findings
    assert "object 1 has several classes" in findings


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "configs").glob("image*.yaml")), ids=lambda p: p.stem
)
def test_every_image_configuration_can_be_read_and_built(path):
    config = read_config(path, ImageTraining)
    with torch.device("meta"):
        model = build_image_model(config.model, PAINTED)
    assert next(model.parameters()).is_meta


def moving_pictures(tmp_path: Path) -> Path:
    """Six pictures in which two discs move to the right, with the same numbers in the truth."""
    root = tmp_path / "moving"
    write_classes(root, PAINTED)
    row, column = np.mgrid[:64, :96]
    for index in range(6):
        semantic, instance = np.zeros((64, 96), np.uint8), np.zeros((64, 96), np.int32)
        for number, y in ((1, 20), (2, 45)):
            inside = (row - y) ** 2 + (column - 20 - 4 * index) ** 2 < 81
            semantic[inside], instance[inside] = 1, number
        write_frame(root, "drive", f"{index:06d}", PAINTED.colors[semantic], Panoptic(semantic, instance))
    return root


def test_tracking_mends_numbers_that_change_from_picture_to_picture(tmp_path):
    (drive,) = open_pictures(moving_pictures(tmp_path))

    def forgetful(frame):
        """The truth, but the two objects change their numbers in every other picture."""
        label = frame.truth["camera"]
        swapped = np.where(label.instance > 0, 3 - label.instance, 0).astype(np.int32)
        return Panoptic(label.semantic, swapped if frame.index % 2 else label.instance)

    untracked = predict_video(drive, forgetful, tmp_path / "untracked")
    tracked = predict_video(drive, forgetful, tmp_path / "tracked", Tracker(PAINTED), tmp_path / "video.mp4")
    assert untracked is not None
    assert tracked is not None
    assert tracked.figures()["vpq"] == pytest.approx(1.0)
    assert tracked.figures()["stq"] == pytest.approx(1.0)
    assert untracked.figures()["vpq"] < 0.9
    assert untracked.figures()["stq"] < 0.9
    (video,) = open_pictures(tmp_path / "video.mp4", taxonomy=PAINTED)
    assert len(video) == 6
    assert video[3].images["camera"].size == (64, 96)
    assert video[1].index == 1

"""Real samples of every data set: read, predicted by a tiny untrained network, written, evaluated and drawn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from ps3d.datasets.kitti360_files import read_png
from ps3d.datasets.object_scores import scores_path, write_scored
from ps3d.datasets.panoptic_folder import PanopticFolder, read_picture, write_classes, write_frame
from ps3d.datasets.panoptic_png import prediction_path, write_step
from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.evaluate import evaluate
from ps3d.engine.image_config import ImageModelSettings, PictureFusion
from ps3d.engine.image_models import PicturePredictor, build_image_model
from ps3d.models.image_batch import only_camera
from ps3d.structures import VOID, Category, Panoptic, Sequence, Taxonomy
from ps3d.visualization.files import write_picture
from ps3d.visualization.images import overlay_panoptic

PREDICTED = 1
"""Pictures of a sample that the network sees; the labels of the others are empty, which saves seconds."""

NUCLEI = Taxonomy(
    "nuclei", (Category("background", (0,), False, (0, 0, 0)), Category("nucleus", (1,), True, (200, 40, 40))), (VOID,)
)


def open_coco(folder: Path, _: Path) -> list[Sequence]:
    return open_pictures(folder / "panoptic_examples.json")


def open_nuclei(folder: Path, scratch: Path) -> list[Sequence]:
    """Medical pictures as an own folder."""
    mask = read_png(folder / "mask2d.tif").astype(np.int32)
    write_classes(scratch, NUCLEI)
    label = Panoptic((mask > 0).astype(np.uint8), mask)
    write_frame(scratch, "slide", "a", read_picture(folder / "img2d.tif"), label)
    return [PanopticFolder(scratch / "slide", NUCLEI)]


def open_known(folder: Path, _: Path) -> list[Sequence]:
    return open_pictures(folder)


# Folder below the samples, how it is opened, pictures with a label, what else can be scored over time.
SAMPLES: dict[str, tuple[str, Callable[[Path, Path], list[Sequence]], int, tuple[str, ...]]] = {
    "coco": ("coco_panoptic", open_coco, 2, ()),
    "cityscapes": ("cityscapes_small", open_known, 1, ()),
    "deeplab2": ("deeplab2_testdata", open_known, 1, ("stq",)),
    "ade20k": ("ade20k_sceneparsing/sampleData", open_known, 3, ()),
    "waymo": ("waymo_pvps", open_known, 5, ("vpq", "stq")),
    "bdd100k": ("bdd100k/panoptic", open_known, 1, ()),
    "vipseg": ("vipseg_deva", open_known, 4, ("vpq", "stq")),
    "nuclei": ("nuclei_stardist", open_nuclei, 1, ()),
    "kitti360": ("kitti360", open_known, 0, ()),
}


def make_predictor(taxonomy: Taxonomy) -> PicturePredictor:
    """Untrained; everything it takes for an object is one, so that scores and areas vary."""
    torch.manual_seed(0)
    settings = ImageModelSettings(backbone="tiny", scale=0.1)
    return PicturePredictor(build_image_model(settings, taxonomy), settings, PictureFusion(heat=0.0))


@pytest.mark.parametrize("name", SAMPLES)
def test_real_pictures_are_read_predicted_written_evaluated_and_drawn(samples, tmp_path, name):
    folder, opener, labeled, over_time = SAMPLES[name]
    drives = opener(samples / folder, tmp_path / "scratch")
    taxonomy = drives[0].taxonomy
    predictor = make_predictor(taxonomy)
    write_classes(tmp_path / "truth", taxonomy)
    pictures, seen = [(drive, position) for drive in drives for position in range(min(len(drive), 5))], 0
    for place, (drive, position) in enumerate(pictures):
        frame = drive[position]
        camera = only_camera(frame)
        rgb = frame.images[camera].rgb
        label = predictor(frame) if place < PREDICTED else nothing(rgb.shape[:2])
        assert label.shape == rgb.shape[:2]
        path = prediction_path(tmp_path / "found", drive, frame)
        write_scored(path, label)
        assert scores_path(path).exists() == bool(label.scores)
        if camera in frame.truth:
            seen += 1
            # Cameras of one moment share their numbers, so they are one sequence.
            parts = ("street", f"{drive.name}_{path.stem}") if len(drives) > 1 else (drive.name, path.stem)
            write_step(tmp_path / "truth" / parts[0] / "labels" / f"{parts[1]}.png", frame.truth[camera])
            write_scored(tmp_path / "answer" / parts[0] / "labels" / f"{parts[1]}.png", label)
        drawn = overlay_panoptic(rgb[::2, ::2], halve(frame.truth.get(camera, label)), taxonomy)
        assert read_picture(write_picture(tmp_path / f"{drive.name}_{path.stem}.png", drawn)).std() > 5
    assert seen == labeled
    if not labeled:
        return
    metrics = ("pq", "ap", *over_time)
    found = evaluate(tmp_path / "truth", tmp_path / "answer", "folder", metrics)
    same = evaluate(tmp_path / "truth", tmp_path / "truth", "folder", metrics)
    assert found is not None
    assert same is not None
    figures = {"pq": "pq", "vpq": "vpq", "stq": "lstq"}
    for mode in ("official", "strict"):
        assert 0 <= found.states["pq", mode].result()["pq"] < 0.5
        for metric in ("pq", *over_time):
            state = figures[metric]
            assert same.states[state, mode].result()[state] == pytest.approx(1.0)


def nothing(size: tuple[int, ...]) -> Panoptic:
    return Panoptic(np.full(size, VOID, np.uint8), np.zeros(size, np.int32))


def halve(label: Panoptic) -> Panoptic:
    """Every second pixel of every second row."""
    return Panoptic(np.ascontiguousarray(label.semantic[::2, ::2]), np.ascontiguousarray(label.instance[::2, ::2]))

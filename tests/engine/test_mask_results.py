"""Overlapping masks with scores, from a checkpoint to mask AP."""

import json
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from painted_pictures import PAINTED, paint_frame

from ps3d.datasets.coco import CocoPanoptic, write_coco
from ps3d.datasets.panoptic_folder import write_classes, write_frame
from ps3d.engine.evaluation_objects import evaluate_objects
from ps3d.engine.image_config import ImageModelSettings, PictureFusion
from ps3d.engine.image_models import build_image_model, save_image_weights
from ps3d.engine.image_video import label_pictures
from ps3d.engine.mask_results import image_id
from ps3d.ops.run_length import encode_runs, runs_of_mask


@pytest.fixture
def own_data(tmp_path):
    write_classes(tmp_path / "own", PAINTED)
    for index in range(2):
        frame = paint_frame(index, (64, 96), things=2)
        name = f"{index:06d}"
        write_frame(tmp_path / "own", "dish", name, frame.images["camera"].rgb, frame.truth["camera"])
    return tmp_path / "own"


def write_checkpoint(path: Path, architecture: Literal["deeplab", "mask2former"]) -> Path:
    settings = ImageModelSettings(architecture=architecture, backbone="tiny", scale=0.5, queries=10)
    state = build_image_model(settings, PAINTED).state_dict()
    save_image_weights(path, state, settings, PictureFusion(), PAINTED)
    return path


def test_masks_of_a_query_network_are_written_and_scored_against_an_own_folder(own_data, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "a.safetensors", "mask2former")
    masks = tmp_path / "out" / "masks.json"
    label_pictures(checkpoint, own_data, tmp_path / "out", masks=str(masks))
    entries = json.loads(masks.read_text())
    assert {entry["image_id"] for entry in entries} <= {"dish/000000", "dish/000001"}
    assert all(0 <= entry["score"] <= 1 for entry in entries)
    assert {entry["category_id"] for entry in entries} <= set(PAINTED.thing_ids())
    result = evaluate_objects(own_data, masks, "coco_masks").states["mask_ap", "official"].result()
    assert 0 <= result["ap"] < 0.5


def test_a_network_without_masks_says_what_to_do_instead(own_data, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "a.safetensors", "deeplab")
    with pytest.raises(ValueError, match="--benchmark folder"):
        label_pictures(checkpoint, own_data, tmp_path / "out", masks=str(tmp_path / "masks.json"))


def test_the_masks_of_the_truth_have_an_average_precision_of_one(own_data, tmp_path):
    entries = []
    for index in range(2):
        label = paint_frame(index, (64, 96), things=2).truth["camera"]
        for number in np.unique(label.instance[label.instance > 0]).tolist():
            mask = label.instance == number
            counts = encode_runs(runs_of_mask(mask))
            entry = {"image_id": f"dish/{index:06d}", "category_id": int(label.semantic[mask][0]), "score": 0.5}
            entries.append({**entry, "segmentation": {"size": [64, 96], "counts": counts}})
    results = tmp_path / "results.json"
    results.write_text(json.dumps(entries))
    result = evaluate_objects(own_data, results, "coco_masks").states["mask_ap", "official"].result()
    assert result["ap"] == pytest.approx(1.0)


def test_pictures_of_coco_keep_their_own_ids(own_data, tmp_path):
    label = paint_frame(0, (64, 96)).truth["camera"]
    write_coco(tmp_path / "panoptic_val.json", {"000000.png": label}, PAINTED)
    sequence = CocoPanoptic(tmp_path / "panoptic_val.json", own_data / "dish" / "images", taxonomy=PAINTED)
    assert image_id(sequence, sequence[0]) == 1

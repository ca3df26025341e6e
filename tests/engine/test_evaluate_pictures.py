"""Predictions of `tools/predict.py` scored against the truth of every data set of pictures, as it lies on the disk."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))

from picture_samples import FORMATS

from ps3d.datasets.object_scores import write_scored
from ps3d.datasets.panoptic_png import prediction_path
from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.evaluate import evaluate

NAMES = [name for name in FORMATS if not name.endswith("json")]


@pytest.mark.parametrize("name", NAMES)
def test_predictions_are_scored_against_any_data_set(tmp_path, name):
    FORMATS[name][0](tmp_path / "data")
    (drive,) = open_pictures(tmp_path / "data")
    (truth,) = drive[0].truth.values()
    path = prediction_path(tmp_path / "out", drive, drive[0])
    numbers = np.unique(truth.instance[truth.instance > 0]).tolist()
    write_scored(path, replace(truth, scores={number: 0.5 for number in numbers}))
    found = evaluate(tmp_path / "data", tmp_path / "out", "pictures")
    assert found is not None
    for mode in ("official", "strict"):
        assert found.states["pq", mode].result()["pq"] == pytest.approx(1.0)
        assert found.states["mask_ap", mode].result()["ap"] == pytest.approx(1.0)
    write_scored(path, replace(truth, instance=np.where(truth.instance == numbers[0], 0, truth.instance), scores={}))
    worse = evaluate(tmp_path / "data", tmp_path / "out", "pictures")
    assert worse is not None
    assert worse.states["mask_ap", "official"].result()["ap"] < 0.6


def test_predictions_of_other_pictures_are_named(tmp_path):
    FORMATS["kitti step"][0](tmp_path / "data")
    (drive,) = open_pictures(tmp_path / "data")
    (truth,) = drive[0].truth.values()
    write_scored(tmp_path / "out" / drive.name / "labels" / "000099.png", truth)
    with pytest.raises(ValueError, match="no prediction of sequence 0002, frame 000003"):
        evaluate(tmp_path / "data", tmp_path / "out", "pictures")
    write_scored(prediction_path(tmp_path / "out", drive, drive[0]), truth)
    with pytest.raises(ValueError, match=r"000099\.png: .* has no such picture"):
        evaluate(tmp_path / "data", tmp_path / "out", "pictures")

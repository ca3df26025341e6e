"""All tracking metrics of a drive from one pass."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tracking"))
from street_scenes import STREET, make_drive, shuffle_numbers

from ps3d.engine.evaluate_tracks import COLUMNS, count_frame, evaluate_streaming, evaluate_tracks
from ps3d.metrics.result import total
from ps3d.structures import Frame
from ps3d.structures.calibration import Calibration
from ps3d.structures.sequence import LIDAR


class Drive:
    """Frames in memory as a sequence."""

    name, taxonomy, calibration = "street", STREET, Calibration()

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, position: int) -> Frame:
        return self.frames[position]

    def __iter__(self):
        return iter(self.frames)


@pytest.fixture(scope="module")
def drive() -> Drive:
    return Drive(make_drive(8, 0))


def test_truth_against_itself_is_perfect(drive: Drive):
    figures = evaluate_tracks(drive, lambda frame: frame.truth[LIDAR], is_strict=True).result().values
    assert tuple(figures) == COLUMNS
    for name in ("s_assoc", "tq", "motsa", "smotsa", "idf1", "hota"):
        assert figures[name] == pytest.approx(1.0), name


def test_shuffled_numbers_cost_association_and_not_segmentation(drive: Drive):
    rng = np.random.default_rng(0)
    perfect = evaluate_tracks(drive, lambda frame: frame.truth[LIDAR]).result().values
    shuffled = evaluate_tracks(drive, lambda frame: shuffle_numbers(frame.truth[LIDAR], rng)).result().values
    assert shuffled["pq"] == perfect["pq"]
    assert shuffled["s_cls"] == perfect["s_cls"]
    for name in ("s_assoc", "ptq", "tq", "motsa", "idf1", "hota"):
        assert shuffled[name] < 0.6 * perfect[name], name


def test_frames_without_a_prediction_count_as_void_and_stretches_add(drive: Drive):
    half = evaluate_tracks(drive, lambda frame: frame.truth[LIDAR] if frame.index < 4 else None).result().values
    assert half["s_assoc"] < 0.7
    frames = [count_frame(f.truth[LIDAR], f.truth[LIDAR], STREET, "street", f.index) for f in drive]
    assert total(frames).result().values == (total(frames[:3]) + total(frames[3:])).result().values


def test_a_late_answer_scores_less_and_an_early_one_the_same(drive: Drive):
    whole = evaluate_tracks(drive, lambda frame: frame.truth[LIDAR]).result().values
    early, age = evaluate_streaming(drive, lambda frame: frame.truth[LIDAR], 0.05)
    assert early.result().values == whole
    assert age.max() == 0
    late, age = evaluate_streaming(drive, lambda frame: frame.truth[LIDAR], 0.15)
    assert np.nanmean(age) > 0.5
    assert late.result().values["lstq"] < whole["lstq"]

"""tools/track.py and tools/evaluate_tracks.py on a drive in KITTI-360's layout."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from street_scenes import make_drive, shuffle_numbers

from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION, write_calibration
from ps3d.datasets.kitti360_files import write_poses, write_scan
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name
from ps3d.datasets.label_files import read_labels, write_labels
from ps3d.ops.geometry import invert
from ps3d.structures.sequence import LIDAR

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import evaluate_tracks
import track

RAW_IDS = np.array([7, 11, 26, 24, 27])


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive with truth, and predictions with shuffled numbers that miss one frame."""
    root = tmp_path_factory.mktemp("drive")
    layout, name, rng = Kitti360Layout(root / "data"), drive_name(0), np.random.default_rng(0)
    poses, vehicle_from_lidar = {}, KITTI360_CALIBRATION.vehicle_from_lidar
    write_calibration(layout.calibration, KITTI360_CALIBRATION)
    for frame in make_drive(8, 0):
        scan, pose, truth = frame.scan, frame.world_from_lidar, frame.truth[LIDAR]
        assert scan is not None
        assert pose is not None
        poses[frame.index] = pose @ invert(vehicle_from_lidar)
        write_scan(layout.scan(name, frame.index), scan.xyz, scan.intensity)
        write_labels(layout.truth(name) / f"{frame.index:010d}.label", RAW_IDS[truth.semantic], truth.instance)
        if frame.index != 4:
            given = shuffle_numbers(truth, rng)
            path = root / "predictions" / name / "labels" / f"{frame.index:010d}.label"
            write_labels(path, RAW_IDS[given.semantic], given.instance)
    write_poses(layout.poses(name), poses)
    return root


def call(tool: object, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tool", *arguments])
    tool.main()  # pyright: ignore


def test_predictions_of_a_drive_get_tracks_and_a_second_run_skips_them(
    drive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    arguments = ["--input", str(drive / "predictions"), "--data", str(drive / "data"), "--out", str(drive / "tracked")]
    call(track, arguments, monkeypatch)
    folder = drive / "tracked" / drive_name(0)
    first, last = (read_labels(folder / "labels" / f"{i:010d}.label") for i in (0, 7))
    assert set(first[1].tolist()) & set(last[1].tolist()) - {0}
    summary = json.loads((folder / "tracks.json").read_text())
    assert (summary["frames"], summary["missing_frames"]) == (7, 1)
    assert summary["tracks"]["1"]["class"] in ("car", "person")
    assert not (folder / "labels" / f"{4:010d}.label").exists()
    capsys.readouterr()
    call(track, arguments, monkeypatch)
    assert "skipped" in capsys.readouterr().err


def test_the_tracked_drive_is_scored_with_latency(
    drive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    call(track, ["--input", str(drive / "predictions"), "--data", str(drive / "data"), "--out", str(drive / "again")],
         monkeypatch)  # fmt: skip
    figures = drive / "figures.json"
    folders = [str(drive / "predictions"), str(drive / "again")]
    call(evaluate_tracks, ["--predictions", *folders, "--data", str(drive / "data"), "--latency", "150", "--strict",
                           "--json", str(figures)], monkeypatch)  # fmt: skip
    rows = json.loads(figures.read_text())
    shuffled, _, tracked, streamed = rows
    assert tracked["s_assoc"] > 2 * shuffled["s_assoc"]
    assert tracked["hota"] > shuffled["hota"]
    assert 0 < streamed["lstq"] < tracked["lstq"]
    assert "streaming" in streamed["name"]


def test_wrong_folders_are_answered_with_a_remedy(
    tmp_path: Path, drive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    with pytest.raises(SystemExit):
        call(
            track, ["--input", str(tmp_path), "--data", str(drive / "data"), "--out", str(tmp_path / "o")], monkeypatch
        )
    assert "no <sequence>/labels" in capsys.readouterr().err.replace("\n", " ")

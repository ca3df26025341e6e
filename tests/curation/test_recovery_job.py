"""Whole drives: exact labels come back, jobs resume, odd input is counted, and the result trains elsewhere."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from street_drive import DRIVE, FRAMES, write_street_drive

from ps3d.curation.label_recovery import FAST, RecoverySettings
from ps3d.curation.recovery_job import DriveRecovery, Share, read_journal, report_drive
from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_boxes import read_boxes, write_boxes
from ps3d.datasets.kitti360_files import read_poses, write_poses
from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name
from ps3d.datasets.kitti360_windows import read_window, write_window
from ps3d.datasets.semantic_kitti import SemanticKitti
from ps3d.metrics import STRICT, count_panoptic, total
from ps3d.structures.sequence import LIDAR

NAME = drive_name(DRIVE)
TOOL = Path(__file__).parents[2] / "tools" / "recover_labels.py"


@pytest.fixture
def street(tmp_path) -> Path:
    write_street_drive(tmp_path / "street")
    return tmp_path / "street"


def run_all(root, out, settings=RecoverySettings(), share=Share()):
    recovery = DriveRecovery(root, DRIVE, out, settings)
    finished = []
    recovery.run(share, lambda frame, was_done: finished.append((frame, was_done)))
    return recovery, finished


def score(root, labels):
    pairs = zip(Kitti360(root, DRIVE), Kitti360(root, DRIVE, labels=labels), strict=True)
    return total(
        count_panoptic(a.truth[LIDAR], b.truth[LIDAR], KITTI360_SCAN, STRICT["kitti360"]) for a, b in pairs
    ).result()


@pytest.mark.parametrize("settings", [RecoverySettings(), FAST])
def test_labels_and_objects_come_back(street, tmp_path, settings):
    run_all(street, tmp_path / "out", settings)
    result = score(street, tmp_path / "out")
    assert result["pq"] > 0.985
    assert result["miou"] > 0.985
    numbers = set()
    for frame in Kitti360(street, DRIVE, labels=tmp_path / "out"):
        numbers |= set(np.unique(frame.truth[LIDAR].instance).tolist())
    assert numbers == {0, 26005, 26007}


def test_without_motion_correction_it_would_be_far_worse(street, tmp_path):
    """The sweep is really bent: recovery on poses that stand still loses the parked car's edges."""
    layout = Kitti360Layout(street)
    poses = read_poses(layout.poses(NAME))
    run_all(street, tmp_path / "good")
    # Without a predecessor the reader knows no motion.
    for frame in FRAMES:
        write_poses(layout.poses(NAME), {frame: poses[frame]})
        recovery = DriveRecovery(street, DRIVE, tmp_path / "bad", RecoverySettings())
        recovery._write(frame - 1, lambda line: None, lambda: None)
    write_poses(layout.poses(NAME), poses)
    assert score(street, tmp_path / "bad")["pq"] < score(street, tmp_path / "good")["pq"] - 0.02


def test_a_killed_job_goes_on_and_counts_every_scan_once(street, tmp_path):
    recovery, finished = run_all(street, tmp_path / "out")
    assert finished == [(frame, False) for frame in FRAMES]
    whole = report_drive(recovery)
    before = {path: path.read_bytes() for path in (tmp_path / "out" / NAME / "labels").iterdir()}
    for frame in (3, 7):
        recovery.label_path(frame).unlink()
    with (tmp_path / "out" / NAME / "journal" / "0000.jsonl").open("a") as journal:
        journal.write('{"frame": 7, "cou')  # as a kill leaves it
    again, finished = run_all(street, tmp_path / "out")
    assert [frame for frame, was_done in finished if not was_done] == [3, 7]
    assert {path: path.read_bytes() for path in (tmp_path / "out" / NAME / "labels").iterdir()} == before
    assert report_drive(again) == whole
    assert len(read_journal(tmp_path / "out" / NAME)) == len(FRAMES)


def test_processes_share_a_drive_and_write_what_one_writes(street, tmp_path, monkeypatch):
    monkeypatch.setattr("ps3d.curation.recovery_job.BLOCK", 3)
    run_all(street, tmp_path / "one")
    done = [run_all(street, tmp_path / "two", share=Share(rank, 2))[1] for rank in range(2)]
    assert sorted(frame for part in done for frame, _ in part) == list(FRAMES)
    assert min(len(part) for part in done) >= 3
    for path in (tmp_path / "one" / NAME / "labels").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / NAME / "labels" / path.name).read_bytes()


def test_the_share_comes_from_torchrun_or_an_array_job(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN"):
        monkeypatch.delenv(name, raising=False)
    assert Share.from_environment() == Share(0, 1)
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "8")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert Share.from_environment() == Share(2, 8)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "1")
    assert Share.from_environment() == Share(1, 4)


def test_odd_input_is_handled_and_counted(street, tmp_path):
    layout = Kitti360Layout(street)
    window = layout.find_windows(NAME)[0]
    assert window.dynamic is not None
    late = read_window(window.dynamic)
    late["timestamp"][late["timestamp"] == FRAMES[-1]] = FRAMES[-1] + 4
    write_window(window.dynamic, late)
    boxes = [b for b in read_boxes(layout.boxes(NAME)) if b.timestamp in (-1, 6)]
    write_boxes(layout.boxes(NAME), boxes)
    layout.scan(NAME, 5).unlink()
    layout.scan(NAME, 9).write_bytes(np.full((1, 4), np.nan, "<f4").tobytes())
    poses = read_poses(layout.poses(NAME))
    del poses[8]
    write_poses(layout.poses(NAME), poses)
    with pytest.warns(UserWarning, match="not finite"):
        recovery, finished = run_all(street, tmp_path / "out")
    report = report_drive(recovery)
    assert [frame for frame, _ in finished] == [frame for frame in FRAMES if frame != 5]
    assert report["objects_with_one_box"] == 1
    assert report["frames_labeled_beyond_their_window"] == 1
    assert report["frames_with_interpolated_pose"] == 1
    assert report["not_finite"] == 1


def test_a_drive_without_moving_points_is_recovered(street, tmp_path):
    window = Kitti360Layout(street).find_windows(NAME)[0]
    assert window.dynamic is not None
    write_window(window.dynamic, read_window(window.dynamic)[:0])
    recovery, _ = run_all(street, tmp_path / "out")
    report = report_drive(recovery)
    assert report["windows_without_moving_points"] == 1
    assert report["from_boxes"] > 3000  # the boxes answer for the car that moves
    assert score(street, tmp_path / "out")["pq"] > 0.9


def test_scans_far_from_any_pose_stay_unlabeled(street, tmp_path):
    layout = Kitti360Layout(street)
    poses = read_poses(layout.poses(NAME))
    write_poses(layout.poses(NAME), {frame: pose for frame, pose in poses.items() if frame < 6})
    recovery, _ = run_all(street, tmp_path / "out")
    assert report_drive(recovery)["frames_without_pose"] == FRAMES[-1] - 5


def test_a_drive_without_windows_says_what_is_missing(street, tmp_path):
    with pytest.raises(FileNotFoundError, match="no scans"):
        DriveRecovery(street, 8, tmp_path / "out", RecoverySettings())
    window = Kitti360Layout(street).find_windows(NAME)[0]
    window.static.unlink()
    with pytest.raises(FileNotFoundError, match="data_3d_semantics of the download page"):
        DriveRecovery(street, DRIVE, tmp_path / "out", RecoverySettings())


def test_the_tool_writes_labels_report_splits_and_a_tree_that_our_reader_reads(street, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, str(TOOL), "--root", str(street), "--out", str(out), "--layout", "semantic_kitti"]
    subprocess.run(command, check=True, capture_output=True)
    report = json.loads((out / "report.json").read_text())
    assert report["drives"][NAME]["frames"] == len(FRAMES)
    assert report["splits"]["official"]["train_frames"] == len(FRAMES)
    page = (out / "report.html").read_text()
    assert "data:image/png;base64" in page
    assert NAME in page
    assert len((out / "splits" / "official_train.txt").read_text().split("\n")) == len(FRAMES) + 1
    tree = SemanticKitti(out / "semantic_kitti", DRIVE, KITTI360_SCAN)
    own = Kitti360(street, DRIVE, labels=out)
    assert len(tree) == len(own)
    np.testing.assert_array_equal(tree[2].truth[LIDAR].semantic, own[2].truth[LIDAR].semantic)
    assert len(np.unique(tree[2].truth[LIDAR].instance)) == 3
    assert tree[2].world_from_lidar is not None
    assert (out / "semantic_kitti" / "train_scans.txt").read_text().startswith("03/velodyne/000000.bin\n")


def test_the_tool_names_what_is_wrong_with_a_root(tmp_path):
    command = [sys.executable, str(TOOL), "--root", str(tmp_path), "--out", str(tmp_path / "out")]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 2
    assert "no drive with labeled windows" in failed.stderr

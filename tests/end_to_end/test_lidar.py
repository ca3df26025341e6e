"""The whole chain on a few simulated scans: simulate, train, predict, score, draw, resume, label a folder of scans."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ps3d.datasets.label_files import read_labels
from ps3d.engine.command_line import DEFAULT_CONFIG
from ps3d.engine.config import LidarTraining
from ps3d.engine.config_files import read_config
from ps3d.engine.lidar_run import run_lidar_training

pytest.importorskip("open3d")
TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run, and the data it was trained on."""
    folder = tmp_path_factory.mktemp("whole")
    config = read_config(DEFAULT_CONFIG, LidarTraining)
    config = replace(
        config,
        runs=str(folder / "runs"),
        simulation=replace(
            config.simulation, folder=str(folder / "data"), drives=1, held_out=(9,), frames=2, clip_frames=3
        ),
        model=replace(config.model, voxel_size=0.5),
        train=replace(config.train, steps=20, batch=1, processes=1, log_every=5),
        evaluation=replace(config.evaluation, pictures=1),
    )
    return run_lidar_training(config), folder / "data"


def test_the_run_folder_holds_what_it_promises(run):
    path, _ = run
    names = (
        "config.yaml",
        "environment.json",
        "train.log",
        "metrics.csv",
        "evaluation.json",
        "tracking.json",
        "report.html",
    )
    assert all((path / name).stat().st_size > 0 for name in names)
    assert (path / "weights" / "last.safetensors").exists()
    assert {p.name for p in (path / "plots").iterdir()} >= {"curves.png", "classes.png", "confusion.png"}
    assert list((path / "pictures").glob("worst_*.png"))


def test_twenty_steps_learn_something(run):
    path, _ = run
    results = json.loads((path / "evaluation.json").read_text())
    assert results["mean"]["miou"] > 0.05
    rows = np.genfromtxt(path / "metrics.csv", delimiter=",", names=True)
    assert rows["losstotal"][-1] < rows["losstotal"][0]


def test_the_tool_labels_a_folder_of_scans_and_keeps_what_is_there(run, tmp_path):
    path, data = run
    scans = next(data.glob("data_3d_raw/*/velodyne_points/data"))
    command = [sys.executable, str(TOOLS / "predict.py"), "--checkpoint", str(path), "--out", str(tmp_path)]
    outputs = [
        subprocess.run([*command, "--input", str(scans)], capture_output=True, text=True, timeout=300) for _ in range(2)
    ]
    assert outputs[0].returncode == 0, outputs[0].stderr[-2000:]
    assert "scans/s" in outputs[0].stdout
    assert "0 scans (2 were there already)" in outputs[1].stdout
    for file in scans.glob("*.bin"):
        raw, _ = read_labels(tmp_path / "data" / "labels" / f"{file.stem}.label", file.stat().st_size // 16)
        assert raw.max() > 0


def test_a_finished_run_can_be_resumed_and_changes_nothing(run):
    path, _ = run
    config = read_config(path / "config.yaml", LidarTraining)
    before = (path / "metrics.csv").read_text()
    assert run_lidar_training(config, resume=str(path)) == path
    assert (path / "metrics.csv").read_text() == before

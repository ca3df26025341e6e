"""The training loop: resume, signals, processes, and losses that are not finite."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toy import ToyModel, losses, run_toy

from ps3d.engine.run_folder import RunFolder
from ps3d.engine.train import Interrupted, NonFiniteLossError, learning_rate


def test_the_loss_falls(tmp_path):
    found = run_toy(tmp_path, steps=40)
    assert found[-5:, 1].mean() < 0.8 * found[:5, 1].mean()


@pytest.mark.parametrize("stop_at", [1, 4, 7])
def test_a_training_stopped_by_sigterm_resumes_with_the_same_losses(tmp_path, stop_at):
    expected = run_toy(tmp_path / "whole")
    calls = []

    def stop(_frames):
        calls.append(1)
        if len(calls) == 2 * stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        run_toy(tmp_path / "parts", on_collate=stop)
    assert caught.value.code == 128 + signal.SIGTERM
    assert len(losses(RunFolder(tmp_path / "parts"))) < len(expected)
    np.testing.assert_array_equal(run_toy(tmp_path / "parts"), expected)


def test_a_training_that_was_killed_repeats_the_steps_since_the_last_save(tmp_path):
    expected = run_toy(tmp_path / "whole")

    def die(frames, calls=[]):  # noqa: B006
        calls.append(1)
        if len(calls) == 16:
            raise KeyError("the machine lost power")

    with pytest.raises(KeyError):
        run_toy(tmp_path / "parts", on_collate=die)
    np.testing.assert_array_equal(run_toy(tmp_path / "parts"), expected)


def test_a_loss_that_is_not_finite_names_the_step_and_the_frames(tmp_path):
    class Broken(ToyModel):
        def loss(self, batch):
            scale = float("nan") if any("000003" in name for name in batch.sources) else 1.0
            return {name: value * scale for name, value in super().loss(batch).items()}

    with pytest.raises(NonFiniteLossError, match=r"step \d+; frames of this process: .*000003"):
        run_toy(tmp_path, model=Broken())


def test_workers_change_nothing(tmp_path):
    one = run_toy(tmp_path / "a", steps=4)
    np.testing.assert_array_equal(run_toy(tmp_path / "b", steps=4, workers=1), one)


def test_two_processes_have_the_losses_of_one(tmp_path):
    expected = run_toy(tmp_path / "one")
    script = Path(__file__).with_name("engine_toy.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, str(script), str(tmp_path / "two")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(losses(RunFolder(tmp_path / "two")), expected, rtol=1e-5)


def test_the_learning_rate_rises_then_falls():
    rates = [learning_rate(p, 1.0, 0.1) for p in np.linspace(0, 1, 101)]
    assert np.argmax(rates) == 10
    assert rates[10] == pytest.approx(1)
    assert rates[0] < 0.02
    assert rates[100] == pytest.approx(0.001)
    assert (np.diff(rates[10:]) < 0).all()


def test_a_run_never_overwrites_another(tmp_path):
    from ps3d.engine.config import LidarTraining

    runs = [RunFolder.create(tmp_path, "small", LidarTraining()) for _ in range(3)]
    assert [run.path.name for run in runs] == ["small-1", "small-2", "small-3"]
    with pytest.raises(FileNotFoundError, match="not the folder of a run"):
        RunFolder.open(tmp_path)


def test_the_state_loads_without_running_code(tmp_path):
    run_toy(tmp_path, steps=2)
    state = torch.load(RunFolder(tmp_path).state, weights_only=True)
    assert state["step"] == 2

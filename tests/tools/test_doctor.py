"""`tools/doctor.py` as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ps3d.datasets.kitti360_files import write_scan
from ps3d.engine import machine

ROOT = Path(__file__).parents[2]


def run_doctor(*arguments: str, python: tuple[str, ...] = ()) -> tuple[int, str]:
    command = [sys.executable, *python, str(ROOT / "tools/doctor.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    return answer.returncode, answer.stdout + answer.stderr


@pytest.fixture
def scans(tmp_path) -> Path:
    for frame in range(2):
        write_scan(tmp_path / f"{frame:06d}.bin", np.ones((50, 3), np.float32), np.zeros(50, np.float32))
    return tmp_path


def test_it_describes_the_machine_and_a_whole_folder_and_ends_well(scans):
    status, text = run_doctor("--root", str(scans))
    for word in ("Python", "PyTorch", "GPU", "spconv", "Open3D", "video writer", "What can run", "2 files"):
        assert word in text
    assert status == int("does not load" in text or "no simulator" in text)


def test_damage_ends_with_1_and_no_data_with_2(scans):
    (scans / "000001.bin").write_bytes(b"torn")
    status, text = run_doctor("--no-machine", "--root", str(scans))
    assert status == 1
    assert f"damaged: {scans / '000001.bin'}" in text
    status, text = run_doctor("--no-machine", "--root", str(scans / "nowhere"))
    assert status == 2
    assert "no such file or folder" in text


def test_without_any_package_it_still_names_the_lines_to_type():
    status, text = run_doctor(python=("-S",))
    assert status == 1
    assert "-m pip install torch" in text
    assert "-m pip install numpy numba scipy" in text


def test_a_library_that_lacks_a_system_package_gets_the_apt_line(monkeypatch):
    monkeypatch.setattr(machine, "_try_in_process", lambda code: (False, "libusb-1.0.so.0: cannot open shared object"))
    monkeypatch.setattr(machine, "_version", lambda name: "0.20.0")
    part = machine._open3d()
    assert not part.is_there
    assert part.remedy.endswith("apt-get install -y --no-install-recommends libusb-1.0-0")


def test_a_gpu_that_torch_does_not_see_gets_the_pip_line(monkeypatch):
    monkeypatch.setattr(machine, "_nvidia_smi", lambda: "NVIDIA H100, 550.54")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert machine._gpu().remedy.endswith("pip install torch --index-url https://download.pytorch.org/whl/cu126")
    monkeypatch.setattr(machine, "_version", lambda name: "")
    assert "pip install spconv-" in machine._spconv().remedy
    assert machine._open3d().remedy.endswith("pip install open3d")


def test_a_crash_in_a_probe_is_a_finding_not_a_crash():
    is_working, answer = machine._try_in_process("import os; os.abort()")
    assert not is_working
    assert "ended with" in answer

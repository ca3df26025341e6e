"""`tools/doctor.py` as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ps3d.datasets.inspection import inspect_data
from ps3d.datasets.kitti360_files import write_scan
from ps3d.datasets.panoptic_folder import write_classes, write_frame
from ps3d.datasets.panoptic_png import write_step
from ps3d.engine import machine
from ps3d.structures import Category, Panoptic, Taxonomy

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


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Two labeled pictures of a cell on background."""
    classes = (Category("background", (0,), False, (0, 0, 0)), Category("cell", (1,), True, (200, 40, 40)))
    write_classes(tmp_path, Taxonomy("cells", classes, (255,)))
    cell = np.zeros((8, 12), np.uint8)
    cell[2:5, 3:7] = 1
    for name in ("a", "b"):
        write_frame(tmp_path, "one", name, np.zeros((8, 12, 3), np.uint8), Panoptic(cell, 5 * cell.astype(np.int32)))
    return tmp_path


def test_a_folder_of_own_pictures_is_counted_and_can_be_trained_on(pictures):
    status, text = run_doctor("--no-machine", "--root", str(pictures))
    assert status == 0
    assert "2 pictures; of 2 read 2 have labels, with 2 objects" in text
    assert "2, 1 of them things" in text


def test_every_mistake_of_own_pictures_is_named(pictures):
    labels = pictures / "one" / "labels"
    write_step(labels / "a.png", Panoptic(np.zeros((8, 12), np.uint8), np.ones((8, 12), np.int32)))
    write_step(labels / "b.png", Panoptic(np.full((8, 12), 7, np.uint8), np.zeros((8, 12), np.int32)))
    write_step(labels / "c.png", Panoptic(np.zeros((8, 12), np.uint8), np.zeros((8, 12), np.int32)))
    write_frame(pictures, "one", "d", np.zeros((8, 12, 3), np.uint8))
    inventory = inspect_data(pictures)
    text = "\n".join(f"{f.severity} {f.path.name}: {f.message}" for f in inventory.findings)
    for wanted in (
        "damaged a.png: its label has stuff or void with an object number",
        "classes [7] are not in classes.yaml",
        "damaged c.png: a label without a picture",
        "missing labels: 1 of 3 pictures have no label, e.g. d.png",
    ):
        assert wanted in text
    (pictures / "classes.yaml").write_text("- cell")
    assert inspect_data(pictures).is_damaged


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

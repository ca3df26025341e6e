"""The window opens on a virtual display and shows the drive; without a display it says what works instead."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ps3d.datasets.kitti360_files import write_scan
from ps3d.datasets.label_files import write_labels
from ps3d.visualization import viewer
from ps3d.visualization.viewer import NoWindow, check_window

TOOL = Path(__file__).parents[2] / "tools" / "visualize.py"


def test_without_a_display_the_message_tells_what_works(monkeypatch):
    pytest.importorskip("open3d")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(NoWindow, match=r"no display.*--save"):
        check_window()


def test_without_open3d_the_message_tells_what_to_install(monkeypatch):
    monkeypatch.setattr(viewer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoWindow, match=r"pip install open3d.*--save"):
        check_window()


def test_a_driver_that_aborts_does_not_take_the_program_with_it(monkeypatch):
    pytest.importorskip("open3d")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(viewer, "_PROBE", "import os, sys; print('no device', file=sys.stderr); os.abort()")
    with pytest.raises(NoWindow, match=r"no device; apt-get install libvulkan1"):
        check_window()


@pytest.fixture
def display():
    """Name of a virtual display."""
    if not shutil.which("Xvfb") or not shutil.which("import"):
        pytest.skip("no virtual display on this machine: apt-get install xvfb imagemagick")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x900x24"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            yield f":{pipe.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_the_window_shows_truth_beside_prediction(display, tmp_path, monkeypatch):
    pytest.importorskip("open3d")
    monkeypatch.setenv("DISPLAY", display)
    try:
        check_window()
    except NoWindow as reason:
        pytest.skip(str(reason))
    xyz = np.random.default_rng(0).uniform((-10, -8, -1.8), (30, 8, -1.7), (40000, 3))
    write_scan(tmp_path / "scans" / "0.bin", xyz, xyz[:, 0] * 0)
    for folder, raw_id in (("truth", 7), ("found", 8)):
        write_labels(tmp_path / folder / "0.label", np.full(40000, raw_id), np.zeros(40000, np.int32))
    arguments = [tmp_path / "scans", "--labels", tmp_path / "truth", "--prediction", tmp_path / "found", "--truth"]
    window = subprocess.Popen([sys.executable, str(TOOL), *map(str, arguments)], stderr=subprocess.PIPE, text=True)
    try:
        left, right = _wait_for_pictures(tmp_path / "screen.png", window)
    finally:
        window.terminate()
        window.communicate(timeout=30)
    # KITTI-360's own colors of road and sidewalk, exactly.
    assert (left == (128, 64, 128)).all(-1).mean() > 0.1
    assert (right == (244, 35, 232)).all(-1).mean() > 0.1
    assert not (left == (244, 35, 232)).all(-1).any()


def _wait_for_pictures(path: Path, window: subprocess.Popen) -> tuple[np.ndarray, np.ndarray]:
    """Both views of the window, once something is in them."""
    for _ in range(90):
        time.sleep(1)
        assert window.poll() is None, window.communicate()[1]
        subprocess.run(["import", "-window", "root", str(path)], check=True)
        screen = np.asarray(Image.open(path).convert("RGB"))
        views = screen[100:, :600], screen[100:, 620:1200]
        if all((view == (128, 64, 128)).all(-1).any() or (view == (244, 35, 232)).all(-1).any() for view in views):
            return views
    raise AssertionError("the window showed nothing within 90 s")

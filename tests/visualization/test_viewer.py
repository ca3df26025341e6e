"""The window opens on a virtual display and shows the drive; without a display it says what works instead."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageGrab, features

from ps3d.datasets.kitti360_files import write_scan
from ps3d.datasets.label_files import write_labels
from ps3d.visualization import window_check
from ps3d.visualization.frames import COLOR_MODES
from ps3d.visualization.window_check import NoWindow, check_window

TOOL = Path(__file__).parents[2] / "tools" / "visualize.py"


def test_without_a_display_the_message_tells_what_works(monkeypatch):
    pytest.importorskip("open3d")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(NoWindow, match=r"no display.*--save"):
        check_window()


def test_without_open3d_the_message_tells_what_to_install(monkeypatch):
    monkeypatch.setattr(window_check.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoWindow, match=r"pip install open3d.*--save"):
        check_window()


def test_a_driver_that_aborts_does_not_take_the_program_with_it(monkeypatch):
    pytest.importorskip("open3d")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(window_check, "_PROBE", "import os, sys; print('no device', file=sys.stderr); os.abort()")
    with pytest.raises(NoWindow, match=r"no device; apt-get install libvulkan1"):
        check_window()


@pytest.fixture
def display():
    """Name of a virtual display."""
    if not shutil.which("Xvfb"):
        pytest.skip("no virtual display on this machine: apt-get install xvfb")
    if not features.check("xcb"):
        pytest.skip("this Pillow cannot take pictures of the screen (it was built without xcb)")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x900x24", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            yield f":{pipe.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def seen(display):
    """What the window showed after each step of `window_actions.py`."""
    pytest.importorskip("open3d")
    environment = {**os.environ, "DISPLAY": display, "PYTHONPATH": str(TOOL.parents[1])}
    program = [sys.executable, str(Path(__file__).parent / "window_actions.py")]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode and "vulkan" in done.stderr.lower() and "Selected physical device" not in done.stderr:
        pytest.skip("no Vulkan driver: apt-get install libvulkan1 mesa-vulkan-drivers")
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_everything_in_the_window_does_what_it_says(seen):
    assert seen["start"]["frame"] == 10
    assert seen["start"]["views"] == ["truth", "prediction"]
    assert seen["start"]["road"] > 1000
    assert seen["start"]["car"] > 1000
    # Keys: frames, play (runs around), color modes.
    assert seen["right"] == {"frame": 11, "text": "toy drive, frame 11, 23000 points", "slider": 1}
    assert seen["left, left"] == 13
    assert seen["play"] == {"frames": [10, 11, 12, 13], "is_playing": False, "button": "Play"}
    modes = [seen[f"color {key}"] for key in ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX")]
    assert modes == [[mode, mode] for mode in COLOR_MODES]
    assert min(seen["objects"]) > 1000
    # Classes that are hidden are neither drawn nor picked; points grow.
    assert seen["hidden"]["road"] == 0
    assert seen["hidden"]["car"] > 1000
    assert seen["pick hidden"].strip() == "nothing under the mouse"
    assert seen["shown"]["road"] == pytest.approx(seen["start"]["road"], rel=0.02)
    assert seen["large"]["road"] > 3 * seen["shown"]["road"]
    # The picked point, its labels, and the cross that marks it.
    x, y, z = seen["pick"]["point"]
    text = seen["pick"]["text"]
    assert f"x {x:.2f}  y {y:.2f}  z {z:.2f} m" in text
    assert np.linalg.norm([x - 8, y, z + 0.1]) < 0.3
    assert "truth: car, object 5" in text
    assert "prediction: car, object 9" in text
    assert "3000 points of this object" in text
    assert seen["pick"]["white"] > 15
    # Turning one view turns the other.
    assert seen["linked"]["gap"] < 1e-6
    assert seen["linked"]["road"][0] == pytest.approx(seen["linked"]["road"][1], rel=0.02)
    assert abs(seen["linked"]["road"][0] - seen["shown"]["road"]) > 100
    assert seen["reset"] > 1
    assert seen["lines"] == [True, True]
    assert seen["damaged"] == [12, "scan 4 is damaged"]
    # The camera's picture beside it, with the points in it.
    assert seen["camera"]["visible"]
    assert seen["camera"]["car"] > 50
    assert seen["camera"]["road"] > 500


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
        upper, lower = _wait_for_pictures(display, window)
    finally:
        window.terminate()
        window.communicate(timeout=30)
    # KITTI-360's own colors of road and sidewalk, exactly.
    assert (upper == (128, 64, 128)).all(-1).mean() > 0.05
    assert (lower == (244, 35, 232)).all(-1).mean() > 0.05
    assert not (upper == (244, 35, 232)).all(-1).any()


def _wait_for_pictures(display: str, window: subprocess.Popen) -> tuple[np.ndarray, np.ndarray]:
    """Both views of the window, once something is in them."""
    for _ in range(90):
        time.sleep(1)
        assert window.poll() is None, window.communicate()[1]
        screen = np.asarray(ImageGrab.grab(xdisplay=display).convert("RGB"))
        views = screen[60:440, :1200], screen[510:, :1200]
        if all((view == (128, 64, 128)).all(-1).any() or (view == (244, 35, 232)).all(-1).any() for view in views):
            return views
    raise AssertionError("the window showed nothing within 90 s")

"""The program that `test_viewer.py` runs on a virtual display: use the window, and print what it shows after each step.

The steps go through the callbacks that keys, buttons and the mouse are bound to.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import open3d.visualization.gui as gui
from PIL import ImageGrab

from ps3d.structures import Calibration, Camera, Category, Frame, Image, Panoptic, Scan, Taxonomy
from ps3d.visualization.frames import PREDICTION, TRUTH, Style
from ps3d.visualization.viewer import Viewer

TAXONOMY = Taxonomy("toy", (Category("road", (1,), False, (128, 64, 128)), Category("car", (2,), True, (0, 200, 250))))
CAMERA = Camera(
    np.array([[100.0, 0, 79.5], [0, 100, 39.5], [0, 0, 1]]),
    np.array([[0, -1.0, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]),
    (80, 160),
)

PATIENCE = 8.0
"""Seconds that a picture may take to arrive on the screen."""


def read(position: int) -> tuple[Frame, dict[str, Panoptic]]:
    """A road with one car on it, which the prediction has found under another number."""
    if position == 4:
        raise ValueError("scan 4 is damaged")
    rng = np.random.default_rng(position)
    road, car = (
        rng.uniform((-10, -8, -1.8), (30, 8, -1.7), (20000, 3)),
        rng.uniform((8, -1, -1.6), (12, 1, 0), (3000, 3)),
    )
    xyz = np.concatenate([road, car]).astype(np.float32)
    semantic, instance = np.repeat([0, 1], [20000, 3000]).astype(np.uint8), np.repeat([0, 5], [20000, 3000])
    pose = np.eye(4)
    pose[0, 3] = position
    scan = Scan(xyz, rng.uniform(0, 1, len(xyz)).astype(np.float32), np.zeros(len(xyz), np.float32))
    images = {"front": Image(np.full((80, 160, 3), 90, np.uint8))}
    frame = Frame(10 + position, 0.1 * position, scan, images, world_from_lidar=pose)
    found = Panoptic(semantic, np.where(instance == 5, 9, 0).astype(np.int32))
    return frame, {TRUTH: Panoptic(semantic, instance.astype(np.int32)), PREDICTION: found}


class Session:
    """A window and what a person does with it."""

    def __init__(self) -> None:
        self.app = gui.Application.instance
        self.app.initialize()
        self.viewer = Viewer(read, range(4), TAXONOMY, Calibration({"front": CAMERA}), Style(), "toy drive")
        self.wait(4)

    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self.app.run_one_tick()

    def press(self, name: str) -> None:
        key = getattr(gui.KeyName, name)
        assert self.viewer.press(SimpleNamespace(type=gui.KeyEvent.Type.DOWN, key=key))
        self.wait(2)

    def ctrl_click(self, point: tuple[float, float, float]) -> None:
        """Click where the right view shows a point."""
        scene = self.viewer.scenes[-1]
        camera, area = scene.scene.camera, scene.frame
        clip = np.asarray(camera.get_projection_matrix()) @ np.asarray(camera.get_view_matrix()) @ [*point, 1]
        x, y = clip[:2] / clip[3]
        mouse = SimpleNamespace(
            type=gui.MouseEvent.Type.BUTTON_DOWN,
            is_modifier_down=lambda key: key == gui.KeyModifier.CTRL,
            x=area.x + (x + 1) / 2 * area.width,
            y=area.y + (1 - y) / 2 * area.height,
        )
        self.viewer.click(mouse, scene)
        self.wait(2)

    def pixels(self, source: int = 0) -> np.ndarray:
        """What a view shows now, taken from the screen, without the heading in its corner."""
        self.wait(1)
        area = self.viewer.scenes[source].frame
        box = (area.x, area.y + 40, area.x + area.width, area.y + area.height)
        return np.asarray(ImageGrab.grab(box, xdisplay=os.environ["DISPLAY"]).convert("RGB"))

    def count(self, color: tuple[int, int, int], is_enough: Callable[[int], bool], source: int = 0) -> int:
        """Pixels of a color, as soon as they are enough: without a GPU a picture takes its time to arrive."""
        until = time.monotonic() + PATIENCE
        while not is_enough(found := int((self.pixels(source) == color).all(-1).sum())) and time.monotonic() < until:
            pass
        return found


def some(count: int) -> bool:
    return count > 15


def none(count: int) -> bool:
    return count == 0


def main() -> None:
    """Print one JSON line: what each action left behind."""
    session = Session()
    viewer, seen = session.viewer, {}
    road, car = TAXONOMY.categories[0].color, TAXONOMY.categories[1].color
    seen["start"] = {
        "frame": viewer.frame.index,
        "views": viewer.sources,
        "road": session.count(road, some),
        "car": session.count(car, some),
    }
    session.press("RIGHT")
    seen["right"] = {"frame": viewer.frame.index, "text": viewer.info.text, "slider": viewer.slider.int_value}
    session.press("LEFT")
    session.press("LEFT")
    seen["left, left"] = viewer.frame.index
    session.press("SPACE")
    played = {viewer.frame.index}
    until = time.monotonic() + 10
    while len(played) < 4 and time.monotonic() < until:
        session.wait(1)
        played.add(viewer.frame.index)
    session.press("SPACE")
    seen["play"] = {"frames": sorted(played), "is_playing": viewer.is_playing, "button": viewer.play.text}
    viewer.go_to(0)
    for key in ("TWO", "THREE", "FOUR", "FIVE", "SIX", "ONE"):
        session.press(key)
        seen[f"color {key}"] = [viewer.artist.style.color, viewer.modes.selected_text]
    viewer.set_color("instance")
    seen["objects"] = [
        session.count(tuple(viewer.artist.instance_colors[source].of(1, number).tolist()), some, view)
        for view, (source, number) in enumerate([(TRUTH, 5), (PREDICTION, 9)])
    ]
    viewer.set_color("class")
    viewer.hide("road", True)
    seen["hidden"] = {"road": session.count(road, none), "car": session.count(car, some)}
    session.ctrl_click((2, -6, -1.75))
    seen["pick hidden"] = viewer.picked.text
    viewer.hide("road", False)
    seen["shown"] = {"road": session.count(road, some)}
    viewer.set_point_size(6)
    seen["large"] = {"road": session.count(road, lambda n: n > 1.5 * seen["shown"]["road"])}
    viewer.set_point_size(2)
    target = int(np.argmin(np.linalg.norm(viewer.xyz - [8, 0, -0.1], axis=1)))
    session.ctrl_click(tuple(viewer.xyz[target].tolist()))
    seen["pick"] = {
        "text": viewer.picked.text,
        "white": session.count((255, 255, 255), some),
        "point": viewer.xyz[viewer.picked_point].tolist(),
    }
    viewer.scenes[0].look_at(np.array([9.0, 0, 0]), np.array([-5.0, 3, 20]), np.array([0, 0, 1.0]))
    session.wait(3)
    matrices = [np.asarray(scene.scene.camera.get_view_matrix()) for scene in viewer.scenes]
    seen["linked"] = {
        "gap": float(np.abs(matrices[0] - matrices[1]).max()),
        "road": [session.count(road, lambda n: some(n) and n != seen["shown"]["road"], view) for view in (0, 1)],
    }
    viewer.reset_view()
    session.wait(2)
    seen["reset"] = float(np.abs(np.asarray(viewer.scenes[0].scene.camera.get_view_matrix()) - matrices[0]).max())
    viewer.boxes.checked = viewer.trails.checked = True
    viewer.set_lines()
    session.press("RIGHT")
    session.press("RIGHT")
    seen["lines"] = [viewer.scenes[0].scene.has_geometry(name) for name in ("lines 0", "lines 1")]
    viewer.positions = range(1, 6)
    viewer.go_to(3)
    seen["damaged"] = [viewer.frame.index, viewer.info.text]
    picture = viewer.camera_picture
    seen["camera"] = {
        "visible": viewer.picture.visible,
        "car": int((picture == car).all(-1).sum()),
        "road": int((picture == road).all(-1).sum()),
    }
    print(json.dumps(seen))
    sys.stdout.flush()
    # Open3D may hang while Python takes it down with a window that is still open.
    os._exit(0)


if __name__ == "__main__":
    main()

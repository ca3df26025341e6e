"""The interactive window (Open3D): frames of a drive, truth beside prediction, with linked cameras."""

import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ps3d.ops.motion import corrected_xyz
from ps3d.structures import Calibration, Frame, Panoptic, Taxonomy
from ps3d.visualization.frames import COLOR_MODES, PREDICTION, TRUTH, FrameArtist, Style
from ps3d.visualization.images import class_legend
from ps3d.visualization.picking import describe_point, pick_point
from ps3d.visualization.points import BACKGROUND
from ps3d.visualization.text import resize
from ps3d.visualization.window_check import check_window

Read = Callable[[int], tuple[Frame, Mapping[str, Panoptic]]]
"""The frame at a position and its labelings."""

PLAY_SECONDS = 0.1
PICTURE_WIDTH = 1000
"""Pixels of the camera's picture, before it is fitted into the panel."""

MARK_METERS = 0.6
NO_TEXT = 5 * "\n"
"""Keeps the place of what is known about a point."""
HELP = "arrows: frame   space: play   1-6: colors   Ctrl+click: pick a point"


def show(
    read: Read,
    positions: range,
    taxonomy: Taxonomy,
    calibration: Calibration | None = None,
    style: Style | None = None,
    title: str = "ps3d",
) -> None:
    """Open a window and stay until it is closed.

    Raises:
        NoWindow: see `check_window`.
        OSError, ValueError: the first frame cannot be read.
    """
    check_window()
    # What cannot be read is said before a window is there, which would not close by itself.
    read(positions[0])
    import open3d.visualization.gui as gui

    gui.Application.instance.initialize()
    Viewer(read, positions, taxonomy, calibration or Calibration(), style or Style(), title)
    gui.Application.instance.run()


class Viewer:
    """The window: one 3D view for each labeling, and a panel with everything that can be changed."""

    def __init__(
        self,
        read: Read,
        positions: range,
        taxonomy: Taxonomy,
        calibration: Calibration,
        style: Style,
        title: str,
    ) -> None:
        import open3d as o3d
        import open3d.visualization.gui as gui
        import open3d.visualization.rendering as rendering

        self.o3d, self.gui, self.rendering = o3d, gui, rendering
        self.read, self.positions, self.title = read, positions, title
        self.taxonomy, self.calibration = taxonomy, calibration
        self.artist = FrameArtist(taxonomy, calibration, style)
        self.is_playing, self.place, self._next_time = False, 0, 0.0
        self.picked_point: int | None = None
        self.frame, self.labelings = read(positions[0])
        self.window = gui.Application.instance.create_window(title, 1600, 900)
        self.sources = [source for source in (TRUTH, PREDICTION) if source in self.labelings] or [""]
        self.scenes = [self._make_scene() for _ in self.sources]
        self.headings = [gui.Label(source or "scan") for source in self.sources]
        self._cameras: list[np.ndarray] = []
        self._make_panel()
        for widget in (*self.scenes, *self.headings, self.panel):
            self.window.add_child(widget)
        self.window.set_on_layout(self._layout)
        self.window.set_on_key(self.press)
        self.window.set_on_tick_event(self._tick)
        self.go_to(0)
        self.reset_view()

    def go_to(self, place: int) -> None:
        """Show the frame at a place of the chosen positions; runs around at both ends.

        A frame that cannot be read is named in the panel, and the present one stays.
        """
        place %= len(self.positions)
        if place != self.place + 1:
            self.artist.forget_trails()
        try:
            self.frame, self.labelings = self.read(self.positions[place])
        except (OSError, ValueError) as error:
            self.is_playing, self.play.text = False, "Play"
            self.info.text = textwrap.fill(str(error), 60)
            return
        self.place, self.picked_point = place, None
        self.xyz = corrected_xyz(self.frame)
        self.artist.meet(self.frame, self.xyz, self.labelings)
        self.slider.int_value, self.picked.text = self.place, NO_TEXT
        self.info.text = f"{self.title}, frame {self.frame.index}, {len(self.xyz)} points"
        self.redraw()

    def redraw(self) -> None:
        """Draw the current frame again, after a change of frame, colors or classes."""
        mode = self.artist.style.color
        for scene, heading, source in zip(self.scenes, self.headings, self.sources, strict=True):
            labeling = self.labelings.get(source)
            shown = self.artist.shown(self.xyz, labeling)
            colors = self.artist.colors(self.frame, self.labelings, source)
            cloud = self.o3d.geometry.PointCloud(self.o3d.utility.Vector3dVector(self.xyz[shown].astype(np.float64)))
            cloud.colors = self.o3d.utility.Vector3dVector(colors[shown] / 255)
            scene.scene.remove_geometry("points")
            if shown.any():
                scene.scene.add_geometry("points", cloud, self._material())
            self._draw_lines(scene, labeling, source)
            self._mark(scene)
            heading.text = f" {source or 'scan'}, color: {mode} "
        self._draw_camera()
        self._write_legend()
        self.window.post_redraw()

    def reset_view(self) -> None:
        """Behind and above the car, in all views."""
        low, high = np.array([-60.0, -60, -5]), np.array([60.0, 60, 10])
        bounds = self.o3d.geometry.AxisAlignedBoundingBox(low, high)
        for scene in self.scenes:
            scene.setup_camera(55, bounds, np.array([5.0, 0, -1]))
            scene.look_at(np.array([9.0, 0, -1.5]), np.array([-17.0, 0, 9]), np.array([0.0, 0, 1]))
        self._cameras = [scene.scene.camera.get_view_matrix() for scene in self.scenes]

    def _make_scene(self) -> Any:
        scene = self.gui.SceneWidget()
        scene.scene = self.rendering.Open3DScene(self.window.renderer)
        scene.scene.set_background([*(value / 255 for value in BACKGROUND), 1])
        # Without these two the colors would be tone-mapped instead of the data set's own.
        scene.scene.view.set_post_processing(False)
        scene.scene.show_axes(False)
        scene.set_view_controls(self.gui.SceneWidget.Controls.ROTATE_CAMERA)
        scene.set_on_mouse(lambda event, scene=scene: self.click(event, scene))
        return scene

    def _material(self, is_line: bool = False) -> Any:
        material = self.rendering.MaterialRecord()
        material.shader = "unlitLine" if is_line else "defaultUnlit"
        material.sRGB_color = False
        material.point_size = float(self.artist.style.point_size * self.window.scaling)
        material.line_width = 2.0 * self.window.scaling
        return material

    def _draw_lines(self, scene: Any, labeling: Panoptic | None, source: str) -> None:
        for name in ("lines 0", "lines 1"):
            scene.scene.remove_geometry(name)
        if source not in (TRUTH, PREDICTION):
            return
        for number, (segments, paint) in enumerate(self.artist.lines(self.frame, self.xyz, labeling, source)):
            if len(segments):
                self._add_lines(scene, f"lines {number}", segments, paint)

    def _add_lines(self, scene: Any, name: str, segments: np.ndarray, paint: np.ndarray) -> None:
        lines = self.o3d.geometry.LineSet()
        lines.points = self.o3d.utility.Vector3dVector(segments.reshape(-1, 3).astype(np.float64))
        lines.lines = self.o3d.utility.Vector2iVector(np.arange(2 * len(segments)).reshape(-1, 2))
        lines.colors = self.o3d.utility.Vector3dVector(paint / 255)
        scene.scene.add_geometry(name, lines, self._material(is_line=True))

    def _mark(self, scene: Any) -> None:
        """A white cross at the picked point."""
        scene.scene.remove_geometry("picked")
        if self.picked_point is not None:
            arms = MARK_METERS * np.stack([-np.eye(3), np.eye(3)], 1)
            self._add_lines(scene, "picked", arms + self.xyz[self.picked_point], np.full((3, 3), 255, np.uint8))

    def _draw_camera(self) -> None:
        self.picture.visible = any(self.artist.cameras(self.frame))
        self.camera_picture = None
        if not self.picture.visible:
            return
        labeling = self.labelings.get(self.sources[-1])
        shown = self.artist.shown(self.xyz, labeling)
        colors = self.artist.colors(self.frame, self.labelings, self.sources[-1])
        lines = self.artist.lines(self.frame, self.xyz, labeling, self.sources[-1])
        picture = self.camera_picture = self.artist.draw_cameras(self.frame, self.xyz[shown], colors[shown], lines)
        fitted = resize(picture, (round(picture.shape[0] * PICTURE_WIDTH / picture.shape[1]), PICTURE_WIDTH))
        self.picture.update_image(self.o3d.geometry.Image(np.ascontiguousarray(fitted)))

    def _make_panel(self) -> None:
        gui, em = self.gui, self.window.theme.font_size
        self.panel = gui.ScrollableVert(0.4 * em, gui.Margins(0.6 * em, 0.6 * em, 0.6 * em, 0.6 * em))
        self.info = gui.Label("")
        self.slider = gui.Slider(gui.Slider.INT)
        self.slider.set_limits(0, max(1, len(self.positions) - 1))
        self.slider.set_on_value_changed(lambda value: self.go_to(int(value)))
        self.play = gui.Button("Play")
        self.play.set_on_clicked(self.toggle_play)
        row = gui.Horiz(0.4 * em)
        for text, step in (("<", -1), (">", 1)):
            button = gui.Button(text)
            button.set_on_clicked(lambda step=step: self.go_to(self.place + step))
            row.add_child(button)
        row.add_child(self.play)
        view = gui.Button("Reset view")
        view.set_on_clicked(self.reset_view)
        row.add_child(view)
        self.modes = gui.Combobox()
        for mode in COLOR_MODES:
            self.modes.add_item(mode)
        self.modes.selected_text = self.artist.style.color
        self.modes.set_on_selection_changed(lambda text, _: self.set_color(text))
        size = gui.Slider(gui.Slider.DOUBLE)
        size.set_limits(1, 8)
        size.double_value = float(self.artist.style.point_size)
        size.set_on_value_changed(self.set_point_size)
        self.boxes, self.trails = gui.Checkbox("boxes"), gui.Checkbox("trajectories")
        self.boxes.checked, self.trails.checked = self.artist.style.has_boxes, self.artist.style.has_trails
        boxes = gui.Horiz(em)
        for box in (self.boxes, self.trails):
            box.set_on_checked(lambda _: self.set_lines())
            boxes.add_child(box)
        self.picked, self.picture = gui.Label(NO_TEXT), gui.ImageWidget()
        self.legend = gui.Vert(0.15 * em)
        parts = [self.info, self.slider, row, gui.Label("Color"), self.modes, gui.Label("Point size"), size, boxes]
        for widget in (*parts, gui.Label("Picked (Ctrl+click)"), self.picked, self.picture, self.legend):
            self.panel.add_child(widget)
        self.panel.add_child(gui.Label(HELP))
        self._make_legend()

    def _make_legend(self) -> None:
        """A checkbox for each class, in its color: unchecked = hidden."""
        gui = self.gui
        self.class_boxes = {}
        for name, color in zip(self.taxonomy.names, self.artist.taxonomy.colors, strict=False):
            row = gui.Horiz(0.4 * self.window.theme.font_size)
            swatch = gui.Button("    ")
            swatch.vertical_padding_em = 0
            swatch.background_color = gui.Color(*(color / 255))
            box = gui.Checkbox(name)
            box.checked = name not in self.artist.style.hidden
            box.set_on_checked(lambda is_shown, name=name: self.hide(name, not is_shown))
            row.add_child(swatch)
            row.add_child(box)
            self.legend.add_child(row)
            self.class_boxes[name] = row
        self.other = gui.Label("")
        self.legend.add_child(self.other)

    def _write_legend(self) -> None:
        """Classes that occur in this frame; the meaning of the colors in modes that do not show classes."""
        present = {name for name, _ in class_legend(self.taxonomy, *self.labelings.values())}
        if not self.labelings:
            present = set()
        for name, row in self.class_boxes.items():
            row.visible = name in present or name in self.artist.style.hidden
        mode = self.artist.style.color
        self.other.text = "" if mode == "class" else "\n".join(_MEANINGS[mode])
        self.window.set_needs_layout()

    def _layout(self, context: Any) -> None:
        area = self.window.content_rect
        wide = round((36 if self.picture.visible else 24) * context.theme.font_size)
        self.panel.frame = self.gui.Rect(area.get_right() - wide, area.y, wide, area.height)
        width, height, count = area.width - wide, area.height, len(self.scenes)
        # Streets are wide: below each other where a view would become narrower than high.
        is_stacked = width < count * height
        step = (0, height // count) if is_stacked else (width // count, 0)
        for number, (scene, heading) in enumerate(zip(self.scenes, self.headings, strict=True)):
            x, y = area.x + number * step[0], area.y + number * step[1]
            scene.frame = self.gui.Rect(x, y, (step[0] or width) - 2, (step[1] or height) - 2)
            size = heading.calc_preferred_size(context, self.gui.Widget.Constraints())
            heading.frame = self.gui.Rect(x, y, size.width, size.height)

    def _tick(self) -> bool:
        if self.is_playing and time.monotonic() >= self._next_time:
            self._next_time = time.monotonic() + PLAY_SECONDS
            self.go_to(self.place + 1)
        return self._link_cameras()

    def _link_cameras(self) -> bool:
        """The view that has moved moves the others; tells whether one did."""
        now = [scene.scene.camera.get_view_matrix() for scene in self.scenes]
        moved = [i for i, (new, old) in enumerate(zip(now, self._cameras, strict=False)) if not np.allclose(new, old)]
        if moved and len(self.scenes) > 1:
            for i, scene in enumerate(self.scenes):
                if i != moved[0]:
                    scene.scene.camera.copy_from(self.scenes[moved[0]].scene.camera)
                    scene.force_redraw()
            now = [scene.scene.camera.get_view_matrix() for scene in self.scenes]
        self._cameras = now
        return bool(moved)

    def press(self, event: Any) -> bool:
        """A key of `HELP` goes down; tells whether it meant something."""
        if event.type != self.gui.KeyEvent.Type.DOWN:
            return False
        key, name = event.key, self.gui.KeyName
        if key in (name.LEFT, name.RIGHT):
            self.go_to(self.place + (1 if key == name.RIGHT else -1))
        elif key == name.SPACE:
            self.toggle_play()
        elif ord("1") <= int(key) < ord("1") + len(COLOR_MODES):
            self.set_color(COLOR_MODES[int(key) - ord("1")])
        else:
            return False
        return True

    def click(self, event: Any, scene: Any) -> Any:
        """Ctrl+click picks the point under the mouse among those that are shown."""
        results = self.gui.SceneWidget.EventCallbackResult
        is_pick = event.type == self.gui.MouseEvent.Type.BUTTON_DOWN and event.is_modifier_down(
            self.gui.KeyModifier.CTRL
        )
        if not is_pick:
            return results.IGNORED
        shown = np.flatnonzero(self.artist.shown(self.xyz, self.labelings.get(self.sources[self.scenes.index(scene)])))
        camera, area = scene.scene.camera, scene.frame
        clip = np.asarray(camera.get_projection_matrix(), np.float64) @ np.asarray(camera.get_view_matrix(), np.float64)
        pixel = (event.x - area.x, event.y - area.y)
        found = pick_point(self.xyz[shown], clip, pixel, (area.height, area.width))
        self.pick(None if found is None else int(shown[found]))
        return results.CONSUMED

    def pick(self, place: int | None) -> None:
        """Describe a point in the panel."""
        nothing = f"nothing under the mouse{NO_TEXT}"
        text = describe_point(self.frame, place, dict(self.labelings), self.taxonomy) if place is not None else nothing
        self.picked.text, self.picked_point = text, place
        for scene in self.scenes:
            self._mark(scene)
            scene.force_redraw()
        self.window.set_needs_layout()

    def toggle_play(self) -> None:
        """Play, or stop playing."""
        self.is_playing = not self.is_playing
        self.play.text = "Pause" if self.is_playing else "Play"

    def set_color(self, mode: str) -> None:
        """Color by one of `COLOR_MODES`."""
        if mode == "error" and len(self.labelings) < 2:
            self.info.text = "error needs truth and prediction"
            mode = self.artist.style.color
        self.artist.restyle(replace(self.artist.style, color=mode))
        self.modes.selected_text = mode
        self.redraw()

    def set_lines(self) -> None:
        """Boxes and trajectories as their checkboxes say."""
        self.artist.restyle(replace(self.artist.style, has_boxes=self.boxes.checked, has_trails=self.trails.checked))
        self.redraw()

    def set_point_size(self, size: float) -> None:
        """Edge of a point in pixels."""
        self.artist.restyle(replace(self.artist.style, point_size=size))
        self.redraw()

    def hide(self, name: str, is_hidden: bool) -> None:
        """Leave out the points of a class, or show them again."""
        hidden = {*self.artist.style.hidden} | {name} if is_hidden else {*self.artist.style.hidden} - {name}
        self.artist.restyle(replace(self.artist.style, hidden=tuple(sorted(hidden))))
        self.redraw()


_MEANINGS = {
    "instance": ["each object has a color of its own,", "stuff a pale color of its class"],
    "track": ["each track has a color of its own"],
    "intensity": ["dark = 0, yellow = 1"],
    "height": ["dark = -2.5 m, yellow = 4 m"],
    "error": ["gray: right, blue: missed, orange: invented,", "pink: taken for another, yellow: border"],
}

"""One frame of a drive as a picture: points from a view, labelings beside each other, title and legend."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from ps3d.ops.geometry import invert
from ps3d.ops.motion import corrected_xyz
from ps3d.structures import Calibration, Camera, Frame, Panoptic, Taxonomy
from ps3d.visualization.boxes import Trails, object_boxes
from ps3d.visualization.colors import (
    STUFF_GRAY,
    InstanceColors,
    color_by_class,
    color_by_height,
    color_by_instance,
    color_by_intensity,
    color_by_track,
)
from ps3d.visualization.differences import OUTCOME_COLORS, OUTCOME_NAMES, color_by_error
from ps3d.visualization.images import OUTCOME_LEGEND, class_legend, overlay_panoptic
from ps3d.visualization.palettes import color_blind_safe, scale_color
from ps3d.visualization.points import draw_lines, draw_points, shade
from ps3d.visualization.renderers import NumpyRenderer, Renderer
from ps3d.visualization.text import Entry, add_legend, add_title, as_color, resize, side_by_side, stacked
from ps3d.visualization.views import View, find_view

COLOR_MODES = ("class", "instance", "track", "intensity", "height", "error")
TRUTH, PREDICTION = "truth", "prediction"


@dataclass(frozen=True)
class Style:
    """How frames are drawn.

    Attributes:
        color: one of `COLOR_MODES`.
        hidden: names of classes whose points are left out.
        size: (height, width) of one panel in pixels.
        point_size: edge of a point in pixels.
        is_safe: colors for color-blind people in place of the data set's.
        has_boxes: boxes around objects.
        has_trails: the paths of objects and of the car, where poses are known.
        is_shaded: darken what lies behind edges of depth.
        has_full_legend: name all classes, so that all frames of a video have one size.
    """

    color: str = "class"
    hidden: tuple[str, ...] = ()
    size: tuple[int, int] = (720, 1280)
    point_size: float | int = 2.0
    is_safe: bool = False
    has_boxes: bool = False
    has_trails: bool = False
    is_shaded: bool = True
    has_full_legend: bool = False


@dataclass
class FrameArtist:
    """Draws the frames of one sequence in their order, so that objects keep their colors and leave trails.

    Attributes:
        taxonomy: the sequence's classes.
        calibration: cameras of the sequence.
        style: how to draw.
        renderer: who draws the points.
    """

    taxonomy: Taxonomy
    calibration: Calibration = field(default_factory=Calibration)
    style: Style = field(default_factory=Style)
    renderer: Renderer = field(default_factory=NumpyRenderer)

    def __post_init__(self) -> None:
        self.restyle(self.style)
        if self.style.is_safe:
            self.taxonomy = color_blind_safe(self.taxonomy)
        self.instance_colors = {name: InstanceColors(self.style.is_safe) for name in (TRUTH, PREDICTION)}
        self.forget_trails()

    def restyle(self, style: Style) -> None:
        """Draw differently from now on; objects keep their colors.

        Raises:
            KeyError: an unknown color mode, or a hidden class that does not exist.
        """
        if style.color not in COLOR_MODES:
            raise KeyError(f"no color mode {style.color!r}; known are {', '.join(COLOR_MODES)}")
        self._hidden = [self.taxonomy.index(name) for name in style.hidden]
        self.style = style

    def forget_trails(self) -> None:
        """Start the paths anew, after a jump to another frame."""
        self._trails = {name: Trails() for name in (TRUTH, PREDICTION)}

    def meet(self, frame: Frame, xyz: Float32[np.ndarray, "points 3"], labelings: Mapping[str, Panoptic]) -> None:
        """Give colors to the objects that are new, and remember where all of them are; `draw` does it by itself."""
        if TRUTH in labelings:
            self.instance_colors[TRUTH].meet(labelings[TRUTH], self.taxonomy, xyz)
        if PREDICTION in labelings:
            self._meet_prediction(xyz, labelings)
        for source, labeling in labelings.items():
            if frame.world_from_lidar is not None and self.style.has_trails:
                self._trails[source].meet(xyz, labeling, self.taxonomy, frame.world_from_lidar)

    def _meet_prediction(self, xyz: Float32[np.ndarray, "points 3"], labelings: Mapping[str, Panoptic]) -> None:
        colors, found = self.instance_colors[PREDICTION], labelings[PREDICTION]
        if TRUTH not in labelings:
            colors.meet(found, self.taxonomy, xyz)
            return
        is_for_good = self.style.color == "track"
        colors.meet_beside(
            found, self.taxonomy, xyz, labelings[TRUTH], self.instance_colors[TRUTH], is_for_good=is_for_good
        )

    def draw(
        self, frame: Frame, labelings: Mapping[str, Panoptic], view: str | View, name: str = ""
    ) -> UInt8[np.ndarray, "height width 3"]:
        """One picture of a frame with a scan.

        Args:
            labelings: `TRUTH` and / or `PREDICTION` of the scan's points; both stand side by side.
            view: "follow", "bird", "image" (over the camera's pictures), or a view of one's own.
            name: of the sequence, for the title.

        Raises:
            ValueError: the frame has no scan; "error" without both labelings; "image" without camera pictures.
        """
        xyz = corrected_xyz(frame)
        mode = self._mode(labelings)
        self.meet(frame, xyz, labelings)
        panels = []
        for source in self._sources(labelings, mode):
            colors = self.colors(frame, labelings, source)
            panel = self._draw_panel(frame, xyz, colors, labelings.get(source), source, view)
            panels.append(add_title(panel, _title(frame, source, name, mode)))
        picture = side_by_side(panels) if panels[0].shape[1] < 2 * panels[0].shape[0] else stacked(panels)
        return add_legend(picture, self.legend(*labelings.values()))

    def colors(self, frame: Frame, labelings: Mapping[str, Panoptic], source: str) -> UInt8[np.ndarray, "points 3"]:
        """Colors of the frame's points in the style's mode; modes that need labels show the height without them."""
        assert frame.scan is not None
        mode = self._mode(labelings)
        if mode == "intensity":
            return color_by_intensity(frame.scan.intensity)
        if mode == "height":
            return color_by_height(frame.scan.xyz)
        if mode == "error":
            return color_by_error(labelings[TRUTH], labelings[PREDICTION], self.taxonomy)
        labeling = labelings[source]
        if mode == "class":
            return color_by_class(labeling, self.taxonomy)
        paint = color_by_track if mode == "track" else color_by_instance
        return paint(labeling, self.taxonomy, self.instance_colors[source])

    def legend(self, *labelings: Panoptic) -> list[Entry]:
        """What the colors mean."""
        if self.style.color == "error":
            return [(OUTCOME_NAMES[1], as_color(OUTCOME_COLORS[1])), *OUTCOME_LEGEND]
        if self.style.color in ("intensity", "height") or not labelings:
            texts = ["0", "0.06", "0.25", "0.56", "1"] if self.style.color == "intensity" else _HEIGHTS
            return [(text, as_color(color)) for text, color in zip(texts, scale_color(_STEPS), strict=True)]
        if self.style.color == "track":
            return [("no object; every object has a color of its own", STUFF_GRAY)]
        entries = class_legend(self.taxonomy) if self.style.has_full_legend else class_legend(self.taxonomy, *labelings)
        if self.style.color == "instance":
            names = [self.taxonomy.names[i] for i in self.taxonomy.thing_ids()]
            entries = [entry for entry in entries if entry[0] not in names]
        return [entry for entry in entries if entry[0] not in self.style.hidden]

    def _mode(self, labelings: Mapping[str, Panoptic]) -> str:
        if self.style.color == "error" and len(labelings) < 2:
            raise ValueError("colors by error compare the truth with a prediction: give both, e.g. --prediction DIR")
        return self.style.color if labelings or self.style.color == "intensity" else "height"

    def _sources(self, labelings: Mapping[str, Panoptic], mode: str) -> list[str]:
        """One panel for each labeling; one in all where the colors do not depend on them."""
        return [*labelings][-1:] or [""] if mode in ("intensity", "height", "error") else [*labelings]

    def shown(self, xyz: Float32[np.ndarray, "points 3"], labeling: Panoptic | None) -> Bool[np.ndarray, "points"]:
        """Points that no hidden class leaves out."""
        if labeling is None or not self._hidden:
            return np.ones(len(xyz), bool)
        return ~np.isin(labeling.semantic, self._hidden)

    def _draw_panel(
        self,
        frame: Frame,
        xyz: Float32[np.ndarray, "points 3"],
        colors: UInt8[np.ndarray, "points 3"],
        labeling: Panoptic | None,
        source: str,
        view: str | View,
    ) -> UInt8[np.ndarray, "height width 3"]:
        lines = self.lines(frame, xyz, labeling, source)
        if self._hidden:
            shown = self.shown(xyz, labeling)
            xyz, colors = xyz[shown], colors[shown]
        if view == "image":
            return self.draw_cameras(frame, xyz, colors, lines)
        chosen = find_view(view) if isinstance(view, str) else view
        picture, depth = self.renderer.render(xyz, colors, chosen, self.style.size, self.style.point_size)
        if self.style.is_shaded and chosen.height is None:
            picture = shade(picture, depth)
        for segments, paint in lines:
            picture = draw_lines(picture, segments, paint, chosen, 2)
        return picture

    def lines(
        self, frame: Frame, xyz: Float32[np.ndarray, "points 3"], labeling: Panoptic | None, source: str
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes and paths, as far as the style wants them: segments in the LiDAR frame and their colors."""
        lines = []
        if labeling is not None and self.style.has_boxes:
            lines.append(object_boxes(xyz, labeling, self.taxonomy, self.instance_colors[source]))
        if labeling is not None and self.style.has_trails and frame.world_from_lidar is not None:
            pose = invert(frame.world_from_lidar)
            lines.append(self._trails[source].segments(pose, self.instance_colors[source]))
        return lines

    def draw_cameras(
        self, frame: Frame, xyz: np.ndarray, colors: np.ndarray, lines: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """The frame's camera pictures: their own labels where they have some, and the points over them.

        Raises:
            ValueError: no picture of a calibrated camera.
        """
        pictures = []
        for camera_name, camera in self.cameras(frame):
            picture = frame.images[camera_name].rgb
            if camera_name in frame.truth:
                pictures.append(overlay_panoptic(picture, frame.truth[camera_name], self.taxonomy))
            picture = draw_points(picture, xyz, colors, camera, max(2.0, picture.shape[0] / 180))
            for segments, paint in lines:
                picture = draw_lines(picture, segments, paint, camera, 2)
            pictures.append(picture)
        if not pictures:
            raise ValueError(
                f"frame {frame.index} ({frame.source}): no calibrated camera pictures; ask for --cameras image_00"
            )
        width = max(picture.shape[1] for picture in pictures)
        fitted = [resize(p, (round(p.shape[0] * width / p.shape[1]), width)) for p in pictures]
        return stacked(fitted)

    def cameras(self, frame: Frame) -> Iterator[tuple[str, Camera]]:
        """The calibrated cameras of which the frame has a picture."""
        for name, camera in self.calibration.cameras.items():
            if name in frame.images and isinstance(camera, Camera):
                yield name, camera


def _title(frame: Frame, source: str, name: str, mode: str) -> str:
    what = "" if mode in ("intensity", "height") else "prediction against truth" if mode == "error" else source
    return " · ".join(filter(None, [name, f"frame {frame.index}", what, f"color: {mode}"]))


_STEPS = np.linspace(0, 1, 5)
_HEIGHTS = [f"{low:.1f} m" for low in np.linspace(-2.5, 4, 5)]

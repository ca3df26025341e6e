"""LiDAR and camera of one drive side by side: how far they agree, object numbers shared, and a picture of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture

from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.motion import corrected_xyz
from ps3d.ops.sensor_overlap import Agreement, SeenPoints, compare_labels, see_points, share_numbers
from ps3d.structures import VOID, Camera, Frame, Panoptic, Taxonomy
from ps3d.visualization.colors import InstanceColors
from ps3d.visualization.images import overlay_panoptic
from ps3d.visualization.text import add_title

Label = Callable[[Frame], Panoptic]


@dataclass(frozen=True)
class BothSensors:
    """One frame as both sensors see it.

    Attributes:
        seen: the points in the picture.
        scan: the LiDAR's labels of those points.
        picture: the picture's labels, with the LiDAR's numbers for objects that both see.
        agreement: of the two at the seen points.
    """

    seen: SeenPoints
    scan: Panoptic
    picture: Panoptic
    agreement: Agreement


def compare_frame(frame: Frame, camera: Camera, scan: Panoptic, picture: Panoptic) -> BothSensors:
    """Compare the labels of a frame's scan with those of its picture; class ids must mean the same in both.

    Raises:
        ValueError: labels that do not fit the scan or the picture.
    """
    xyz = corrected_xyz(frame)
    if len(scan) != len(xyz) or picture.shape != camera.size:
        where = f"frame {frame.index} ({frame.source})"
        raise ValueError(
            f"{where}: {len(scan)} labels for {len(xyz)} points, {picture.shape} labels for {camera.size} pixels"
        )
    seen = see_points(xyz, camera)
    visible = scan.select(seen.point)
    agreement = compare_labels(visible, seen.labels(picture))
    first_free = int(scan.instance.max(initial=0)) + 1
    return BothSensors(seen, visible, share_numbers(picture, agreement, first_free), agreement)


def draw_both(
    rgb: UInt8[np.ndarray, "height width 3"], both: BothSensors, taxonomy: Taxonomy, point_size: int = 5
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The LiDAR's labels as squares on the dimmed picture, above the picture's own labels; one color per number."""
    semantic, instance = np.full(rgb.shape[:2], VOID, np.uint8), np.zeros(rgb.shape[:2], np.int32)
    reach = range(-(point_size // 2), point_size // 2 + 1)
    far_first = np.argsort(-both.seen.depth)
    row, column = both.seen.row[far_first], both.seen.column[far_first]
    for down in reach:
        for right in reach:
            r = np.clip(row + down, 0, rgb.shape[0] - 1)
            c = np.clip(column + right, 0, rgb.shape[1] - 1)
            semantic[r, c], instance[r, c] = both.scan.semantic[far_first], both.scan.instance[far_first]
    colors, gray = InstanceColors(), np.repeat((0.5 * rgb.mean(-1, keepdims=True)).astype(np.uint8), 3, -1)
    points = overlay_panoptic(gray, Panoptic(semantic, instance), taxonomy, 1.0, colors, has_contours=False)
    pixels = overlay_panoptic(rgb, both.picture, taxonomy, colors=colors)
    objects, alike = len(both.agreement.pairs), 100 * both.agreement.same_class
    found = f"camera: {objects} objects in both, {alike:.0f} % of the points have the same class"
    return np.concatenate([add_title(points, "LiDAR"), add_title(pixels, found)])


def write_small(path: Path, rgb: UInt8[np.ndarray, "height width 3"], width: int = 0, colors: int = 0) -> Path:
    """Write a PNG, perhaps of another width and with a palette of so many colors; 0 = as it is."""
    picture = Picture.fromarray(rgb)
    if width:
        picture = picture.resize((width, round(rgb.shape[0] * width / rgb.shape[1])), Picture.Resampling.LANCZOS)
    if colors:
        picture = picture.quantize(colors, dither=Picture.Dither.NONE)
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
    return path

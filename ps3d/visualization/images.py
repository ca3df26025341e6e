"""Drawing labels on pictures, for cameras and for scans seen from above."""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from ps3d.structures import VOID, Panoptic, Taxonomy
from ps3d.visualization.colors import InstanceColors, class_colors, color_by_class
from ps3d.visualization.differences import OUTCOME_COLORS, OUTCOME_NAMES, Outcome, compare
from ps3d.visualization.files import write_picture, write_video
from ps3d.visualization.object_index import objects
from ps3d.visualization.points import render_points
from ps3d.visualization.text import INK, Entry, add_legend, add_title, as_color, font, side_by_side
from ps3d.visualization.views import bird_view

__all__ = [
    "add_legend",
    "add_title",
    "bird_eye",
    "class_legend",
    "find_contours",
    "overlay_colors",
    "overlay_difference",
    "overlay_panoptic",
    "side_by_side",
    "write_picture",
    "write_video",
]

OUTCOME_LEGEND: list[Entry] = [
    (OUTCOME_NAMES[outcome], as_color(OUTCOME_COLORS[outcome]))
    for outcome in Outcome
    if outcome not in (Outcome.IGNORED, Outcome.RIGHT)
]


def overlay_panoptic(
    image: UInt8[np.ndarray, "height width 3"],
    panoptic: Panoptic,
    taxonomy: Taxonomy,
    opacity: float | int = 0.55,
    colors: InstanceColors | None = None,
    has_contours: bool = True,
    has_labels: bool = True,
) -> UInt8[np.ndarray, "height width 3"]:
    """Labels over a picture: classes in the data set's colors, objects with an outline and a name.

    Args:
        opacity: of the labels, 0..1.
        colors: give objects a color of their own; the same value for all frames of a sequence keeps them stable.
        has_labels: write the class and the number of each object that is big enough.
    """
    paint = color_by_class(panoptic, taxonomy)
    if colors is not None:
        paint = colors.over(paint, panoptic, taxonomy)
    drawn = overlay_colors(image, paint, panoptic.semantic != VOID, opacity)
    if has_contours:
        contour = find_contours(panoptic)
        is_object = objects(panoptic, taxonomy)
        # Objects stand out by a bright outline; between stuff a thin line of the class's color is enough.
        drawn[contour] = paint[contour]
        drawn[contour & is_object] = 255
    return _write_names(drawn, panoptic, taxonomy) if has_labels else drawn


def overlay_colors(
    image: UInt8[np.ndarray, "height width 3"],
    colors: UInt8[np.ndarray, "height width 3"],
    where: Bool[np.ndarray, "height width"],
    opacity: float | int = 0.55,
) -> UInt8[np.ndarray, "height width 3"]:
    """Mix colors into a picture where a mask says so."""
    drawn = image.copy()
    mixed = (1 - opacity) * image[where] + opacity * colors[where]
    drawn[where] = mixed.round().astype(np.uint8)
    return drawn


def overlay_difference(
    image: UInt8[np.ndarray, "height width 3"],
    truth: Panoptic,
    prediction: Panoptic,
    taxonomy: Taxonomy,
    opacity: float | int = 0.75,
) -> UInt8[np.ndarray, "height width 3"]:
    """What was missed, invented, confused or drawn beyond the border, over a gray picture; legend: OUTCOME_LEGEND."""
    outcome = compare(truth, prediction, taxonomy)
    gray = np.repeat(image.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    return overlay_colors(gray, OUTCOME_COLORS[outcome], outcome > Outcome.RIGHT, opacity)


def class_legend(taxonomy: Taxonomy, *labelings: Panoptic) -> list[Entry]:
    """Legend of the classes that occur, in the taxonomy's order; of all classes where no labeling is given."""
    present = np.ones(256, bool)
    if labelings:
        present = np.zeros(256, bool)
        for labeling in labelings:
            present[np.unique(labeling.semantic)] = True
    colors = class_colors(taxonomy)
    entries = [(name, as_color(colors[i])) for i, name in enumerate(taxonomy.names) if present[i]]
    if labelings and present[VOID]:
        entries.append(("void", as_color(colors[VOID])))
    return entries


def find_contours(panoptic: Panoptic) -> Bool[np.ndarray, "height width"]:
    """Pixels whose right or lower neighbor lies in another segment, and those neighbors."""
    contour = np.zeros(panoptic.shape, bool)
    for axis in (0, 1):
        below = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        above = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        differs = panoptic.semantic[below] != panoptic.semantic[above]
        differs |= panoptic.instance[below] != panoptic.instance[above]
        contour[below] |= differs
        contour[above] |= differs
    return contour


def bird_eye(
    xyz: Float[np.ndarray, "points 3"],
    colors: UInt8[np.ndarray, "points 3"],
    size: tuple[int, int] = (800, 800),
    width: float | int = 80.0,
    center: tuple[float | int, float | int] = (0.0, 0.0),
    point_size: float | int = 2.0,
) -> UInt8[np.ndarray, "height width 3"]:
    """Points of the LiDAR frame from above, driving direction upward; the highest point wins.

    Args:
        width: meters from top to bottom.
        center: x, y of the middle of the picture in meters.
    """
    return render_points(xyz, colors, bird_view(width, center), size, point_size)


def _write_names(
    image: UInt8[np.ndarray, "height width 3"], panoptic: Panoptic, taxonomy: Taxonomy
) -> UInt8[np.ndarray, "height width 3"]:
    """Class and number of each object at its center, largest objects first, without covering each other."""
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    size = int(np.clip(image.shape[0] / 45, 10, 22))
    taken: list[tuple[float, float, float, float]] = []
    for class_id, number, row, column, count in _objects_by_size(panoptic, taxonomy):
        name = f"{taxonomy.names[class_id]} {number}"
        box = draw.textbbox((column, row), name, font(size), anchor="mm")
        if count < 4 * size * size or any(_overlaps(box, other) for other in taken):
            continue
        taken.append(box)
        draw.text((column, row), name, INK, font(size), anchor="mm", stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(canvas).copy()


def _objects_by_size(panoptic: Panoptic, taxonomy: Taxonomy) -> list[tuple[int, int, float, float, int]]:
    """(class, number, row, column, pixels) of each object, largest first; the place is the pixel nearest the mean."""
    rows, columns = np.nonzero(objects(panoptic, taxonomy))
    if not len(rows):
        return []
    key = panoptic.semantic[rows, columns].astype(np.int64) << 32 | panoptic.instance[rows, columns]
    keys, place, count = np.unique(key, return_inverse=True, return_counts=True)
    center_row = np.bincount(place, rows) / count
    center_column = np.bincount(place, columns) / count
    order = np.argsort(-count)
    return [
        (int(keys[i] >> 32), int(keys[i] & 0xFFFFFFFF), float(center_row[i]), float(center_column[i]), int(count[i]))
        for i in order
    ]


def _overlaps(box: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]

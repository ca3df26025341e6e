"""The same object in both sensors: points projected into a picture, labels compared, object numbers shared."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int32, Int64

from ps3d.ops.geometry import project
from ps3d.ops.overlap import count_overlap
from ps3d.structures import NO_INSTANCE, VOID, Camera, Panoptic

CELL = 8
"""Pixels of the square in which a nearer point hides farther ones: about the distance of two beams at 20 m."""

HIDDEN = 0.07
"""A point is hidden if another in its cell is nearer by this share of its distance."""


@dataclass(frozen=True)
class SeenPoints:
    """The points that a camera sees.

    Attributes:
        point: their places in the scan.
        row, column: the pixel that each falls on.
        depth: along the camera's axis, meters.
    """

    point: Int64[np.ndarray, "seen"]
    row: Int64[np.ndarray, "seen"]
    column: Int64[np.ndarray, "seen"]
    depth: Float[np.ndarray, "seen"]

    def labels(self, picture: Panoptic) -> Panoptic:
        """The picture's labels at the points."""
        return Panoptic(picture.semantic[self.row, self.column], picture.instance[self.row, self.column])


def see_points(xyz: Float[np.ndarray, "points 3"], camera: Camera) -> SeenPoints:
    """The points in a picture, without those behind something nearer.

    LiDAR and camera stand apart, so the LiDAR sees things that the camera does not.

    Args:
        xyz: motion-corrected points in the LiDAR frame.
    """
    pixel, depth, is_inside = project(xyz, camera.camera_from_lidar, camera.intrinsics, camera.size)
    is_inside &= np.isfinite(depth)
    point = np.flatnonzero(is_inside)
    column, row = np.rint(pixel[point]).astype(np.int64).T
    is_visible = _is_nearest(row // CELL, column // CELL, depth[point])
    return SeenPoints(point[is_visible], row[is_visible], column[is_visible], depth[point][is_visible])


def _is_nearest(
    row: Int64[np.ndarray, "n"], column: Int64[np.ndarray, "n"], depth: Float[np.ndarray, "n"]
) -> Bool[np.ndarray, "n"]:
    if not len(depth):
        return np.zeros(0, bool)
    columns = int(column.max()) + 1
    cell = row * columns + column
    nearest = np.full(int(cell.max()) + 1, np.inf)
    np.minimum.at(nearest, cell, depth)
    return depth <= nearest[cell] * (1 + HIDDEN)


@dataclass(frozen=True)
class Agreement:
    """How far two labelings of the same elements say the same.

    Attributes:
        compared: elements that neither calls VOID.
        same_class: share of them with equal classes; NaN without any.
        pairs: (number in the LiDAR's labels, number in the picture's) of objects that are the same.
        iou: of each pair, over the compared elements.
    """

    compared: int
    same_class: float
    pairs: Int64[np.ndarray, "pairs 2"]
    iou: Float[np.ndarray, "pairs"]


def compare_labels(scan: Panoptic, picture: Panoptic, least: float = 0.25) -> Agreement:
    """Compare two labelings of the same points, and find which objects correspond, one to one.

    Args:
        scan: the LiDAR's labels of the seen points.
        picture: the picture's labels of the same points.
        least: intersection over union of objects that correspond.
    """
    is_compared = (scan.semantic != VOID) & (picture.semantic != VOID)
    scan, picture = scan.select(is_compared), picture.select(is_compared)
    compared = len(scan)
    same = float((scan.semantic == picture.semantic).mean()) if compared else float("nan")
    table = count_overlap(scan.instance, picture.instance)
    left_numbers, left_place = np.unique(table.left, return_inverse=True)
    right_numbers, right_place = np.unique(table.right, return_inverse=True)
    left_area = np.bincount(left_place, weights=table.shared, minlength=len(left_numbers))[left_place]
    right_area = np.bincount(right_place, weights=table.shared, minlength=len(right_numbers))[right_place]
    iou = table.shared / np.maximum(left_area + right_area - table.shared, 1)
    is_object = (table.left != NO_INSTANCE) & (table.right != NO_INSTANCE) & (iou >= least)
    pairs, kept = [], []
    used_left: set[int] = set()
    used_right: set[int] = set()
    for row in np.argsort(-iou, kind="stable"):
        left, right = int(table.left[row]), int(table.right[row])
        if is_object[row] and left not in used_left and right not in used_right:
            used_left.add(left)
            used_right.add(right)
            pairs.append((left, right))
            kept.append(float(iou[row]))
    return Agreement(compared, same, np.array(pairs, np.int64).reshape(-1, 2), np.array(kept, np.float64))


def share_numbers(picture: Panoptic, agreement: Agreement, first_free: int) -> Panoptic:
    """The picture with the LiDAR's numbers for objects that both see, and new ones for the others.

    Args:
        first_free: smallest number that the LiDAR's labels do not use; more follow from it.
    """
    numbers = np.unique(picture.instance)
    known = {int(right): int(left) for left, right in agreement.pairs}
    table = np.zeros(len(numbers), np.int32)
    free = first_free
    for place, number in enumerate(numbers.tolist()):
        if number == NO_INSTANCE:
            continue
        if number in known:
            table[place] = known[number]
        else:
            table[place], free = free, free + 1
    renumbered: Int32[np.ndarray, "height width"] = table[np.searchsorted(numbers, picture.instance)]
    return Panoptic(picture.semantic, renumbered)

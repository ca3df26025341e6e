"""Elements to instances: connected components of points seen from above.

Points are first gathered into cells, so that the cost does not depend on how densely a near object was sampled, and so
that no number of neighbors has to be chosen. Two cells belong together when their mean positions lie closer than a
radius; the radius shrinks where the class is doubtful, by the geometric mean of the two cells' confidences (the
training-free clustering of Sautier et al., "ALPINE", with its edges weighted).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from ps3d.ops.compiled import compiled

CELL = 0.1
"""Side of a cell in meters: an eighth to a third of the radii in use."""

DIRECTIONS = 18
"""Orientations tried for the smallest rectangle: every 5 degrees, which makes a car's at most 1 % too large."""


@dataclass(frozen=True)
class Cells:
    """Points gathered on a grid seen from above, sorted by row, then column.

    Attributes:
        of_point: the cell of each point.
        key: row * columns + column, ascending.
        columns: number of columns (with a margin, so that rows do not touch).
        xy: mean position of a cell's points, meters.
        confidence: mean confidence of its points.
        size: how many points it holds.
    """

    of_point: Int64[np.ndarray, "points"]
    key: Int64[np.ndarray, "cells"]
    columns: int
    xy: Float32[np.ndarray, "cells 2"]
    confidence: Float32[np.ndarray, "cells"]
    size: Int64[np.ndarray, "cells"]


def gather_cells(
    xy: Float32[np.ndarray, "points 2"], confidence: Float32[np.ndarray, "points"], cell: float = CELL
) -> Cells:
    """Points into cells; positions must be finite."""
    place = np.floor((xy - xy.min(axis=0)) / np.float32(cell)).astype(np.int64) if len(xy) else np.zeros((0, 2), int)
    columns = int(place[:, 0].max(initial=0)) + 1 + _MARGIN
    key, of_point = np.unique(place[:, 1] * columns + place[:, 0], return_inverse=True)
    of_point = of_point.reshape(-1).astype(np.int64)
    size = np.bincount(of_point, minlength=len(key))
    means = [
        (np.bincount(of_point, weights=values, minlength=len(key)) / size).astype(np.float32)
        for values in (xy[:, 0], xy[:, 1], confidence)
    ]
    return Cells(of_point, key, columns, np.stack(means[:2], axis=1), means[2], size)


def connect_cells(
    cells: Cells, radius: float, within: Int32[np.ndarray, "cells"], cell: float = CELL
) -> Int32[np.ndarray, "cells"]:
    """Components of the cells nearer than `radius` times the geometric mean of their confidences.

    Args:
        within: only cells with the same number here are joined; negative = leave alone (component -1).

    Returns:
        Numbers from 0 in the order of the cells.
    """
    reach = min(int(np.ceil(radius / cell)) + 1, _MARGIN)
    return _connect(cells.key, cells.columns, cells.xy, cells.confidence, within, radius, reach)


def cluster_points(
    xy: Float32[np.ndarray, "points 2"],
    confidence: Float32[np.ndarray, "points"],
    radius: float,
    box: Float32[np.ndarray, "points 2"],
    minimum: int = 5,
    slack: float = 1.3,
) -> Int32[np.ndarray, "points"]:
    """Points seen from above into objects.

    Args:
        xy: positions in meters, usually moved by the predicted offsets.
        confidence: 0..1, how sure the class is.
        radius: farthest step within an object, meters.
        box: (length, width) of a usual object of each point's class; a cluster `slack` times larger than the mean of
            its points is split where it is thinnest.
        minimum: a cluster of fewer points joins the nearest larger one within twice the radius.

    Returns:
        Object numbers from 0; -1 for clusters that stayed too small.
    """
    if not len(xy):
        return np.zeros(0, np.int32)
    cells = gather_cells(xy, confidence)
    everything = np.zeros(len(cells.key), np.int32)
    cluster = connect_cells(cells, radius, everything)
    boxes = [np.bincount(cells.of_point, weights=side, minlength=len(cells.key)) for side in box.T]
    cluster = split_oversized(cells, cluster, radius, slack * np.stack(boxes, axis=1), minimum)
    cluster = _join_small(cells.xy, cells.size, cluster, minimum, np.float32(2 * radius))
    return cluster[cells.of_point]


def split_oversized(
    cells: Cells,
    cluster: Int32[np.ndarray, "cells"],
    radius: float,
    limit: Float[np.ndarray, "cells 2"],
    minimum: int,
) -> Int32[np.ndarray, "cells"]:
    """Split clusters larger than allowed at the largest radius that leaves two or more sizable parts.

    Args:
        limit: (length, width) in meters, summed over each cell's points; a cluster may be as large as their mean.
    """
    for share in _LADDER:
        clusters = int(cluster.max(initial=-1)) + 1
        points = np.bincount(cluster, weights=cells.size, minlength=clusters)
        allowed = np.stack([np.bincount(cluster, weights=side, minlength=clusters) / points for side in limit.T], 1)
        is_oversized = np.any(smallest_rectangles(cells.xy, cluster) > allowed, axis=1)
        if not is_oversized.any():
            break
        within = np.where(is_oversized[cluster], cluster, -1).astype(np.int32)
        parts = connect_cells(cells, share * radius, within)
        cluster = _accept_parts(cells.xy, cells.size, cluster, parts, max(minimum, _SIZABLE))
    return cluster


def smallest_rectangles(
    xy: Float32[np.ndarray, "points 2"], cluster: Int32[np.ndarray, "points"]
) -> Float[np.ndarray, "clusters 2"]:
    """(length, width) in meters of the smallest rectangle around each cluster 0..k-1, length >= width."""
    return _rectangles(xy, cluster, int(cluster.max(initial=-1)) + 1)


_MARGIN = 32
_LADDER = (0.8, 0.65, 0.5, 0.4, 0.3, 0.2)
_SIZABLE = 20


@compiled
def _find(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def _connect(key, columns, xy, confidence, within, radius, reach):
    count = len(key)
    parent = np.arange(count)
    for step in range(reach + 1):  # rows below
        begin = 0
        for i in range(count):
            lowest = key[i] + step * columns - reach
            while begin < count and key[begin] < lowest:
                begin += 1
            if within[i] < 0:
                continue
            j = max(begin, i + 1)
            while j < count and key[j] <= lowest + 2 * reach:
                if within[j] == within[i]:
                    dx, dy = xy[i, 0] - xy[j, 0], xy[i, 1] - xy[j, 1]
                    if dx * dx + dy * dy <= radius * radius * confidence[i] * confidence[j]:
                        a, b = _find(parent, i), _find(parent, j)
                        if a != b:
                            parent[max(a, b)] = min(a, b)
                j += 1
    component = np.full(count, -1, np.int32)
    found = 0
    for i in range(count):
        if within[i] >= 0:
            root = _find(parent, i)
            if root == i:
                component[i] = found
                found += 1
            else:
                component[i] = component[root]
    return component


@compiled
def _rectangles(xy, cluster, clusters):
    best = np.full((clusters, 2), np.inf)
    for direction in range(DIRECTIONS):
        angle = 0.5 * np.pi * direction / DIRECTIONS
        cosine, sine = np.cos(angle), np.sin(angle)
        low, high = np.full((clusters, 2), np.inf), np.full((clusters, 2), -np.inf)
        for i in range(len(cluster)):
            c = cluster[i]
            if c >= 0:
                u, v = cosine * xy[i, 0] + sine * xy[i, 1], cosine * xy[i, 1] - sine * xy[i, 0]
                low[c, 0], high[c, 0] = min(low[c, 0], u), max(high[c, 0], u)
                low[c, 1], high[c, 1] = min(low[c, 1], v), max(high[c, 1], v)
        for c in range(clusters):
            a, b = high[c, 0] - low[c, 0], high[c, 1] - low[c, 1]
            if direction == 0 or a * b < best[c, 0] * best[c, 1]:
                best[c, 0], best[c, 1] = max(a, b), min(a, b)
    return best


@compiled
def _accept_parts(xy, size, cluster, parts, minimum):
    """The clusters, with those replaced by their parts that fell into two or more sizable ones."""
    count = len(cluster)
    clusters, pieces = cluster.max() + 1, parts.max() + 1
    points, owner = np.zeros(pieces, np.int64), np.full(pieces, -1, np.int64)
    for i in range(count):
        if parts[i] >= 0:
            points[parts[i]] += size[i]
            owner[parts[i]] = cluster[i]
    sizable = np.zeros(clusters, np.int64)
    for p in range(pieces):
        if points[p] >= minimum:
            sizable[owner[p]] += 1
    number = np.full(pieces, -1, np.int32)
    is_first = np.ones(clusters, np.bool_)
    following = clusters
    for p in range(pieces):
        c = owner[p]
        if sizable[c] >= 2 and points[p] >= minimum:
            if is_first[c]:
                number[p] = c
                is_first[c] = False
            else:
                number[p] = following
                following += 1
    result = cluster.copy()
    for i in range(count):
        if parts[i] >= 0 and sizable[cluster[i]] >= 2:
            result[i] = number[parts[i]]
            if result[i] < 0:  # a crumb goes to the nearest sizable part of its cluster
                nearest = np.inf
                for j in range(count):
                    if cluster[j] == cluster[i] and parts[j] >= 0 and number[parts[j]] >= 0:
                        dx, dy = xy[i, 0] - xy[j, 0], xy[i, 1] - xy[j, 1]
                        if dx * dx + dy * dy < nearest:
                            nearest = dx * dx + dy * dy
                            result[i] = number[parts[j]]
    return result


@compiled
def _join_small(xy, size, cluster, minimum, reach):
    """Clusters below the minimum join the nearest larger one within reach, or become -1; the rest from 0 on."""
    count, clusters = len(cluster), cluster.max() + 1
    points = np.zeros(clusters, np.int64)
    for i in range(count):
        points[cluster[i]] += size[i]
    target, nearest = np.full(clusters, -1, np.int64), np.full(clusters, reach * reach)
    for i in range(count):
        c = cluster[i]
        if points[c] < minimum:
            for j in range(count):
                if points[cluster[j]] >= minimum:
                    dx, dy = xy[i, 0] - xy[j, 0], xy[i, 1] - xy[j, 1]
                    if dx * dx + dy * dy <= nearest[c]:
                        nearest[c] = dx * dx + dy * dy
                        target[c] = cluster[j]
    number = np.full(clusters, -1, np.int32)
    found = 0
    for c in range(clusters):
        if points[c] >= minimum:
            number[c] = found
            found += 1
    result = np.empty(count, np.int32)
    for i in range(count):
        c = cluster[i]
        if points[c] >= minimum:
            result[i] = number[c]
        else:
            result[i] = -1 if target[c] < 0 else number[target[c]]
    return result

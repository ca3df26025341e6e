"""Boxes around labeled objects, and the paths that objects and the car take."""

from collections import deque
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int64, UInt8

from ps3d.ops.compiled import compiled
from ps3d.structures import Panoptic, Taxonomy
from ps3d.visualization.colors import InstanceColors
from ps3d.visualization.object_index import Key, index_objects


def object_points(panoptic: Panoptic, taxonomy: Taxonomy) -> dict[Key, Int64[np.ndarray, "points"]]:
    """The elements of each object, by (class, number)."""
    return index_objects(panoptic, taxonomy).groups()


def fit_box(xyz: Float[np.ndarray, "points 3"], steps: int = 45) -> Float[np.ndarray, "8 3"]:
    """Corners of the upright box with the smallest base around points (search over the heading, 2 degrees apart)."""
    angle = np.arange(steps) * (np.pi / 2 / steps)
    cos, sin = np.cos(angle), np.sin(angle)
    flat = np.ascontiguousarray(xyz[:, :2].T, np.float64)
    spans = _spans(flat[0], flat[1], cos, sin)
    best = int(((spans[:, 1] - spans[:, 0]) * (spans[:, 3] - spans[:, 2])).argmin())
    ends = spans[best].reshape(2, 2)
    low, high = float(xyz[:, 2].min()), float(xyz[:, 2].max())
    turn = np.array([[cos[best], -sin[best]], [sin[best], cos[best]]])
    base = np.array([(u, v) for u in ends[0] for v in ends[1]]) @ turn.T
    corners = [(x, y, z) for x, y in base for z in (low, high)]
    return np.array(corners, xyz.dtype)


@compiled(fastmath={"nnan", "nsz"})
def _spans(x, y, cos, sin):
    """For each heading the lowest and highest coordinate along it, then across."""
    spans = np.empty((len(cos), 4))
    for k in range(len(cos)):
        low_u = low_v = np.inf
        high_u = high_v = -np.inf
        for i in range(len(x)):
            u, v = x[i] * cos[k] + y[i] * sin[k], y[i] * cos[k] - x[i] * sin[k]
            low_u, high_u = min(low_u, u), max(high_u, u)
            low_v, high_v = min(low_v, v), max(high_v, v)
        spans[k] = low_u, high_u, low_v, high_v
    return spans


def object_boxes(
    xyz: Float[np.ndarray, "points 3"],
    panoptic: Panoptic,
    taxonomy: Taxonomy,
    colors: InstanceColors,
    fewest: int = 10,
) -> tuple[Float[np.ndarray, "segments 2 3"], UInt8[np.ndarray, "segments 3"]]:
    """Edges of a box around each object of at least `fewest` points, in the object's color."""
    edges, paint = [], []
    for key, place in object_points(panoptic, taxonomy).items():
        if len(place) >= fewest:
            corners = fit_box(xyz[place])
            edges += [(corners[i], corners[j]) for i, j in _EDGES]
            paint += [colors.of(*key)] * len(_EDGES)
    return np.array(edges, xyz.dtype).reshape(-1, 2, 3), np.array(paint, np.uint8).reshape(-1, 3)


# Corners are numbered by the bits (u, v, z): an edge changes one bit.
_EDGES = [(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit]


class Trails:
    """Where the objects of a sequence were in its last frames."""

    def __init__(self, length: int = 20) -> None:
        """
        Args:
            length: frames to look back.
        """
        self._length = length
        self._paths: dict[Key, deque[tuple[int, np.ndarray]]] = {}
        self._car: deque[np.ndarray] = deque(maxlen=20 * length)
        self._now = 0

    def meet(
        self,
        xyz: Float[np.ndarray, "points 3"],
        panoptic: Panoptic,
        taxonomy: Taxonomy,
        world_from_lidar: Float[np.ndarray, "4 4"],
    ) -> None:
        """Remember where the objects of the next frame are; points in the LiDAR frame."""
        self._now += 1
        self._car.append(world_from_lidar[:3, 3].copy())
        for key, place in object_points(panoptic, taxonomy).items():
            center = xyz[place].astype(np.float64).mean(0)
            path = self._paths.setdefault(key, deque(maxlen=self._length))
            path.append((self._now, world_from_lidar[:3, :3] @ center + world_from_lidar[:3, 3]))

    def segments(
        self,
        lidar_from_world: Float[np.ndarray, "4 4"],
        colors: InstanceColors,
        car: tuple[int, int, int] = (255, 255, 255),
    ) -> tuple[Float[np.ndarray, "segments 2 3"], UInt8[np.ndarray, "segments 3"]]:
        """The paths of the objects of the newest frame, and the car's own, as lines in that frame's LiDAR."""
        lines: list[tuple[np.ndarray, np.ndarray]] = list(pairwise(self._car))
        paint: list[np.ndarray | tuple[int, int, int]] = [car] * len(lines)
        for key, path in self._paths.items():
            places = [place for when, place in path if when > self._now - self._length]
            if path[-1][0] == self._now and len(places) > 1:
                lines += pairwise(places)
                paint += [colors.of(*key)] * (len(places) - 1)
        world = np.array(lines, np.float64).reshape(-1, 2, 3)
        return world @ lidar_from_world[:3, :3].T + lidar_from_world[:3, 3], np.array(paint, np.uint8).reshape(-1, 3)

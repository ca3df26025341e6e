"""What one frame shows of each object, in one form for points, pixels and boxes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32, Int64

from ps3d.ops.compiled import compiled
from ps3d.ops.geometry import transform
from ps3d.ops.motion import corrected_xyz
from ps3d.ops.overlap import count_overlap
from ps3d.structures import NO_INSTANCE, Frame, Panoptic, Taxonomy
from ps3d.tracking.cells import thin

_THINNING = 0.75  # cells of the thinning against cells of the overlap
_QUANTILE = 0.02  # an object ends where this share of its points lies beyond: masks bleed onto what stands behind


@dataclass(frozen=True)
class Observations:
    """The objects of one frame.

    Attributes:
        semantic: class of each object.
        number: the number each object had in the labeling; with `semantic` it names the object.
        weight: elements of each object.
        center: middle of the axis-parallel box around each object; z = 0 for pictures; NaN = no finite point.
        size: edges of that box.
        xyz: thinned points of all objects.
        owner: place of the object each point belongs to, ascending.
        embedding: one row per object, NaN where none was given; or None.
        confidence: how sure the network was of each object, infinite where it did not say; or None.
    """

    semantic: Int64[np.ndarray, "objects"]
    number: Int64[np.ndarray, "objects"]
    weight: Int64[np.ndarray, "objects"]
    center: Float64[np.ndarray, "objects 3"]
    size: Float64[np.ndarray, "objects 3"]
    xyz: Float64[np.ndarray, "points 3"]
    owner: Int32[np.ndarray, "points"]
    embedding: Float64[np.ndarray, "objects dimensions"] | None = None
    confidence: Float64[np.ndarray, "objects"] | None = None

    def is_sure(self, least: float) -> Bool[np.ndarray, "objects"]:
        """Objects that may begin a track; all of them where nothing is known."""
        return np.ones(len(self), bool) if self.confidence is None else self.confidence >= least

    def __len__(self) -> int:
        return len(self.semantic)

    def points_of(self, place: int) -> Float64[np.ndarray, "points 3"]:
        """The thinned points of one object."""
        begin, end = np.searchsorted(self.owner, [place, place + 1])
        return self.xyz[begin:end]


@dataclass(frozen=True)
class Objects:
    """The objects of a labeling: which there are and which element belongs to which.

    Attributes:
        semantic, number, weight: class, number and elements of each object.
        place: for each element (flat) the place of its object; -1 = none.
    """

    semantic: Int64[np.ndarray, "objects"]
    number: Int64[np.ndarray, "objects"]
    weight: Int64[np.ndarray, "objects"]
    place: Int32[np.ndarray, "elements"]

    def __len__(self) -> int:
        return len(self.semantic)


def find_objects(panoptic: Panoptic, taxonomy: Taxonomy) -> Objects:
    """The things with a number. Numbers on stuff and void mean nothing to a tracker."""
    table = count_overlap(panoptic.semantic, panoptic.instance)
    is_thing = np.zeros(256, bool)
    is_thing[: len(taxonomy)] = taxonomy.is_thing
    is_object = is_thing[table.left] & (table.right != NO_INSTANCE)
    semantic, number, weight = table.left[is_object], table.right[is_object], table.shared[is_object]
    keys = (semantic << 32) | number
    flat = panoptic.flatten()
    return Objects(semantic, number, weight.astype(np.int64), _place(flat.semantic, flat.instance, is_thing, keys))


@compiled
def _place(semantic, instance, is_thing, keys):
    place = np.full(len(semantic), np.int32(-1))
    last_key, last_place = np.int64(-1), np.int32(-1)
    for i in range(len(semantic)):
        if instance[i] != 0 and is_thing[semantic[i]]:
            key = (np.int64(semantic[i]) << 32) | np.int64(instance[i])
            if key != last_key:
                last_key, last_place = key, np.int32(np.searchsorted(keys, key))
            place[i] = last_place
    return place


def observe_points(
    objects: Objects, frame: Frame, world_from_lidar: Float64[np.ndarray, "4 4"], cell: float, most: int
) -> Observations:
    """Objects of a scan, motion-corrected where the frame knows the motion, in the frame `world_from_lidar` leads to.

    Raises:
        ValueError: a frame without a scan, or labels of another scan.
    """
    if frame.scan is None:
        raise ValueError(f"frame {frame.index} ({frame.source}) has no scan: points cannot be tracked without it")
    if len(frame.scan) != len(objects.place):
        raise ValueError(
            f"frame {frame.index} ({frame.source}): {len(frame.scan)} points but {len(objects.place)} labels; "
            "the labels are of another scan"
        )
    kept = thin(frame.scan.xyz, objects.place, len(objects), cell * _THINNING, most)
    owner = objects.place[kept]
    order = np.argsort(owner, kind="stable")
    thinned = replace(frame, scan=frame.scan.select(kept[order]), truth={}, images={})
    return _observe(objects, transform(world_from_lidar, corrected_xyz(thinned).astype(np.float64)), owner[order])


def observe_pixels(objects: Objects, size: tuple[int, int], cell: float, most: int) -> Observations:
    """Objects of a picture: x = column, y = row, z = 0, in pixels."""
    place, (_, width) = objects.place, size
    elements = np.flatnonzero(place >= 0)
    xyz = np.zeros((len(elements), 3), np.float32)
    xyz[:, 0], xyz[:, 1] = elements % width, elements // width
    kept = thin(xyz, place[elements], len(objects), cell * _THINNING, most)
    owner = place[elements][kept]
    order = np.argsort(owner, kind="stable")
    return _observe(objects, xyz[kept[order]].astype(np.float64), owner[order])


def observe_boxes(
    semantic: Int64[np.ndarray, "boxes"],
    center: Float[np.ndarray, "boxes 3"],
    size: Float[np.ndarray, "boxes 3"],
    yaw: Float[np.ndarray, "boxes"],
    cell: float,
    confidence: Float[np.ndarray, "boxes"] | None = None,
) -> Observations:
    """Boxes as objects: each is filled with a grid of points, so that shared cells mean what box overlap means.

    Args:
        size: length (along yaw), width and height, meters.
        yaw: heading around z, radians.
        confidence: scores of the detector, on any scale.
    """
    xyz, owner = [np.zeros((0, 3))], [np.zeros(0, np.int32)]
    for place in range(len(center)):
        steps = [np.linspace(-0.5, 0.5, max(2, int(np.ceil(edge / cell)) + 1)) * edge for edge in size[place]]
        grid = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, 3)
        cosine, sine = np.cos(yaw[place]), np.sin(yaw[place])
        turned = np.stack([cosine * grid[:, 0] - sine * grid[:, 1], sine * grid[:, 0] + cosine * grid[:, 1]], 1)
        xyz.append(np.concatenate([turned, grid[:, 2:]], 1) + center[place])
        owner.append(np.full(len(grid), place, np.int32))
    count = len(semantic)
    numbers = np.arange(1, count + 1)
    ones = np.ones(count, np.int64)
    edges = np.sort(np.asarray(size, np.float64)[:, :2], axis=1)[:, ::-1]
    edges = np.concatenate([edges, np.asarray(size, np.float64)[:, 2:]], 1)
    return Observations(
        semantic.astype(np.int64), numbers, ones, center.astype(np.float64), edges, np.concatenate(xyz),
        np.concatenate(owner), None, None if confidence is None else confidence.astype(np.float64),
    )  # fmt: skip


def attach_embeddings(
    observations: Observations, embeddings: Mapping[int, Float[np.ndarray, "dimensions"]] | None
) -> Observations:
    """The same objects with the embeddings that are known for their numbers."""
    if not embeddings or len(observations) == 0:
        return observations
    width = len(next(iter(embeddings.values())))
    rows = np.full((len(observations), width), np.nan)
    for place, number in enumerate(observations.number.tolist()):
        if number in embeddings:
            rows[place] = embeddings[number]
    return replace(observations, embedding=rows)


def attach_confidences(observations: Observations, confidences: Mapping[int, float] | None) -> Observations:
    """The same objects with the confidences that are known for their numbers."""
    if not confidences:
        return observations
    return replace(
        observations, confidence=np.array([confidences.get(n, np.inf) for n in observations.number.tolist()], float)
    )


def _observe(
    objects: Objects, xyz: Float64[np.ndarray, "points 3"], owner: Int32[np.ndarray, "points"]
) -> Observations:
    """Objects without a single finite point are kept, nowhere (NaN): they get a number and no match."""
    low, high = np.full((len(objects), 3), np.nan), np.full((len(objects), 3), np.nan)
    _measure(xyz, owner, _QUANTILE, low, high)
    return Observations(
        objects.semantic, objects.number, objects.weight, (low + high) / 2, high - low, xyz, owner.astype(np.int32)
    )


@compiled
def _smallest(values, rank, low, high):
    """The value of a rank (0 = least) among `values[low : high + 1]`, which are reordered: those before it are not
    larger, those behind it not smaller. Hoare's selection (Algorithm 65, CACM 1961): a full sort costs seven times as
    much for the few hundred points of an object."""
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@compiled
def _measure(xyz, owner, quantile, low, high):
    begin = 0
    while begin < len(owner):
        end = begin
        while end < len(owner) and owner[end] == owner[begin]:
            end += 1
        skip = np.int64(quantile * (end - begin))
        for axis in range(3):
            values = xyz[begin:end, axis].copy()
            last = len(values) - 1
            high[owner[begin], axis] = _smallest(values, last - skip, 0, last)
            low[owner[begin], axis] = _smallest(values, skip, 0, last - skip)
        begin = end

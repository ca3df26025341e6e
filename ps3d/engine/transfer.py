"""How well a model does on another data set: classes that two taxonomies share, and cars against boxes."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from ps3d.ops.geometry import transform
from ps3d.ops.motion import corrected_xyz
from ps3d.structures import NO_INSTANCE, VOID, Category, Frame, Panoptic, Taxonomy

SHARED = {
    "road": ("road",),
    "sidewalk": ("sidewalk",),
    "building": ("building",),
    "fence": ("fence", "wall"),
    "vegetation": ("vegetation", "trunk"),
    "terrain": ("terrain",),
    "pole": ("pole",),
    "traffic sign": ("traffic sign", "traffic-sign", "traffic light"),
    "person": ("person",),
    "rider": ("rider", "bicyclist", "motorcyclist"),
    "car": ("car",),
    "truck": ("truck",),
    "other vehicle": ("other-vehicle", "bus", "train", "caravan/trailer"),
    "bicycle": ("bicycle",),
    "motorcycle": ("motorcycle",),
}
"""Classes of SemanticKITTI and KITTI-360 that mean the same. Parking and other-ground have no partner: void."""

_THINGS = ("person", "rider", "car", "truck", "other vehicle", "bicycle", "motorcycle")

SHARED_TAXONOMY = Taxonomy(
    "shared",
    tuple(Category(name, (i + 1,), name in _THINGS, (0, 0, 0)) for i, name in enumerate(SHARED)),
)

CAR_TAXONOMY = Taxonomy("cars", (Category("rest", (1,), False, (0, 0, 0)), Category("car", (2,), True, (0, 0, 0))))

REST, CAR = 0, 1


def to_shared(panoptic: Panoptic, taxonomy: Taxonomy) -> Panoptic:
    """A labeling in the shared classes; what has no partner becomes VOID."""
    table = np.full(256, VOID, np.uint8)
    for place, names in enumerate(SHARED.values()):
        for name in names:
            if name in taxonomy.names:
                table[taxonomy.index(name)] = place
    semantic = table[panoptic.semantic]
    return Panoptic(semantic, np.where(semantic == VOID, NO_INSTANCE, panoptic.instance).astype(np.int32))


def only_cars(panoptic: Panoptic, taxonomy: Taxonomy) -> Panoptic:
    """A labeling as cars and the rest."""
    is_car = panoptic.semantic == taxonomy.index("car")
    return Panoptic(is_car.astype(np.uint8), np.where(is_car, panoptic.instance, NO_INSTANCE).astype(np.int32))


@dataclass(frozen=True)
class CarBoxes:
    """Boxes of one frame.

    Attributes:
        numbers: of the cars, the same in all frames.
        corners: in the rectified camera 0, meters, in the order of KITTI-360's unit cube.
    """

    numbers: tuple[int, ...]
    corners: Float[np.ndarray, "cars 8 3"]


def read_car_boxes(path: str | Path) -> CarBoxes:
    """Read a JSON list of {"index", "corners_cam0"}."""
    boxes = json.loads(Path(path).read_text(encoding="utf-8"))
    return CarBoxes(tuple(box["index"] for box in boxes), np.array([box["corners_cam0"] for box in boxes], float))


def label_by_boxes(
    frame: Frame, boxes: CarBoxes, camera_from_lidar: Float[np.ndarray, "4 4"], shell: float = 0.3
) -> Panoptic:
    """Cars and the rest from boxes; points within `shell` meters of a box's surface, and low ones in it, are VOID.

    Boxes are drawn generously and hold some road; cars without a box count as the rest, so a score is a lower bound.
    """
    points = transform(camera_from_lidar, corrected_xyz(frame).astype(np.float64))
    semantic = np.full(len(points), REST, np.uint8)
    instance = np.zeros(len(points), np.int32)
    for number, corners in zip(boxes.numbers, boxes.corners, strict=True):
        place = _meters_inside(points, corners)
        semantic[(place > -shell) & (semantic != CAR)] = VOID
        is_core = _is_core(points, corners, shell)
        semantic[is_core], instance[is_core] = CAR, number + 1
    return Panoptic(semantic, instance)


def _axes(corners: Float[np.ndarray, "8 3"]) -> tuple[np.ndarray, np.ndarray]:
    """(unit vectors, lengths) of the three edges at corner 0."""
    edges = corners[[5, 2, 1]] - corners[0]
    lengths = np.linalg.norm(edges, axis=1)
    return edges / lengths[:, None], lengths


def _meters_inside(points: np.ndarray, corners: np.ndarray) -> Float[np.ndarray, "points"]:
    """Distance to the nearest face, positive inside."""
    axes, lengths = _axes(corners)
    along = (points - corners[0]) @ axes.T
    return np.minimum(along, lengths - along).min(axis=1)


def _is_core(points: np.ndarray, corners: np.ndarray, shell: float) -> Bool[np.ndarray, "points"]:
    """Inside the box, and not among the road points at its bottom (the camera's y points down)."""
    bottom = corners[:, 1].max()
    return (_meters_inside(points, corners) > 0) & (points[:, 1] < bottom - shell)

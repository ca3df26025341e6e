"""A street: road, ground, everything that stands still and everything that moves, all from one seed."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from ps3d.simulation.ground import Ground, safety_floor
from ps3d.simulation.items import MAKERS, InstanceNumbers, Item
from ps3d.simulation.layout import furnish, number_items
from ps3d.simulation.meshes import Mesh, Real, bounds, merge
from ps3d.simulation.road import MARGIN, Road, make_road
from ps3d.simulation.sections import plan_sections
from ps3d.simulation.traffic import Traffic, plan_traffic

FOLLOWS_SLOPE = (
    "car",
    "truck",
    "bus",
    "train",
    "trailer",
    "caravan",
    "motorcycle",
    "bicycle",
    "wall",
    "fence",
    "hedge",
)


@dataclass(frozen=True)
class World:
    """One drive's street. The frame of all positions is the drive's own, with small coordinates.

    Attributes:
        seed: everything follows from [seed, drive].
        road: the axis; the ego vehicle drives along d = 0 from s = 0.
        ground: the surface.
        items: what stands still, numbered.
        traffic: what moves, the ego vehicle included.
    """

    seed: list[int]
    road: Road
    ground: Ground
    items: tuple[Item, ...]
    traffic: Traffic
    _shapes: dict[int, Mesh] = field(default_factory=dict, repr=False)

    def place(self, item: Item) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
        """Rotation and position of an item."""
        rotation = self.road.frame(item.s, item.yaw, item.kind in FOLLOWS_SLOPE)
        return rotation, self.road.to_world(item.s, item.d, self.ground.height(item.s, item.d))

    def static_mesh(self, start: Real, end: Real) -> Mesh:
        """Ground and items between two places along the road."""
        parts = [self.ground.mesh(start, end), safety_floor(self.road, start, end)]
        for item in self.items:
            if start <= item.s <= end:
                parts.append(item.shape().moved(*self.place(item)))
        return merge(parts)

    def static_boxes(self) -> list[tuple[int, int, float, Float64[np.ndarray, "4 4"]]]:
        """(label, number, s, world_from_box) of every numbered object that stands still."""
        found = []
        for item in self.items:
            if not item.instance_of:
                continue
            mesh = item.shape()
            rotation, position = self.place(item)
            for label, number in item.instance_of.items():
                if (extent := bounds(mesh, label)) is not None:
                    found.append((label, number, item.s, box_transform(extent, rotation, position)))
        return found


def box_transform(extent: tuple[np.ndarray, np.ndarray], rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Unit cube to world for the lowest and highest corner of a shape in its own frame."""
    low, high = (corner.astype(np.float64) for corner in extent)
    size = np.maximum(high - low, 0.02)
    transform = np.eye(4)
    transform[:3, :3] = rotation * size
    transform[:3, 3] = position + rotation @ ((low + high) / 2)
    return transform


def make_world(seed: list[int], length: Real, seconds: Real, speed: Real) -> World:
    """Plan a street whose ego vehicle drives `length` meters in `seconds` at about `speed` m/s."""
    rng = np.random.default_rng([*seed, 1])
    road = make_road(length, rng)
    sections = plan_sections(-MARGIN, length + MARGIN, np.random.default_rng([*seed, 2]))
    ground = Ground(road, sections, int(np.random.default_rng([*seed, 3]).integers(2**31)))
    numbers = InstanceNumbers()
    planned = []
    rare: list[str] = []
    for section in sections:
        if section.start < 0 <= section.end:
            # Every drive should meet these; they are parked along its first meters.
            rare = [str(kind) for kind in rng.permutation(["trailer", "caravan", "motorcycle", "truck"])]
        planned += furnish(section, [*seed, 4], rare)
    items = number_items(planned, numbers)
    traffic = plan_traffic(road, ground, items, length, seconds, speed, [*seed, 5], numbers)
    return World(seed, road, ground, tuple(items), traffic)


__all__ = ["MAKERS", "World", "box_transform", "make_world"]

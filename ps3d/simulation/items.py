"""What can stand in a street: a maker of its shape for each kind, and the objects it consists of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ps3d.datasets.kitti360_labels import LABEL_OF_ID
from ps3d.simulation import buildings, furniture, people, plants, vehicles
from ps3d.simulation.meshes import Mesh


def _parked_bicycles(rng: np.random.Generator) -> Mesh:
    return vehicles.make_bicycle(rng)


MAKERS: Mapping[str, tuple[Callable[..., Mesh], tuple[int, ...]]] = {
    "car": (vehicles.make_car, (26,)),
    "truck": (vehicles.make_truck, (27,)),
    "bus": (vehicles.make_bus, (28,)),
    "caravan": (vehicles.make_caravan, (29,)),
    "trailer": (vehicles.make_trailer, (30,)),
    "train": (vehicles.make_train, (31,)),
    "motorcycle": (vehicles.make_motorcycle, (32,)),
    "bicycle": (_parked_bicycles, (33,)),
    "person": (people.make_person, (24,)),
    "tree": (plants.make_tree, ()),
    "bush": (plants.make_bush, ()),
    "hedge": (plants.make_hedge, ()),
    "weeds": (plants.make_grass_tufts, ()),
    "building": (buildings.make_building, (11,)),
    "hall": (buildings.make_hall, (11,)),
    "garage": (buildings.make_garage, (11,)),
    "wall": (buildings.make_wall, ()),
    "fence": (buildings.make_fence, ()),
    "gate": (buildings.make_gate, ()),
    "guard rail": (buildings.make_guard_rail, ()),
    "lamp": (furniture.make_lamp_post, (17, 38)),
    "pole": (furniture.make_utility_pole, (17,)),
    "sign": (furniture.make_sign, (17, 20)),
    "street name": (furniture.make_street_name, (17, 20)),
    "billboard": (furniture.make_billboard, (17, 20)),
    "traffic light": (furniture.make_traffic_light, (17, 19)),
    "bollard": (furniture.make_bollard, (37,)),
    "bin": (furniture.make_bin, (39,)),
    "cabinet": (furniture.make_cabinet, (41,)),
    "vending machine": (furniture.make_vending_machine, (40,)),
    "bus stop": (furniture.make_bus_stop, (36,)),
    "bench": (furniture.make_bench, ()),
    "container": (furniture.make_container, ()),
}
"""Maker of each kind, and the labels of the numbered objects it makes."""


VARIANTS = {"tree": 16, "bush": 60, "bicycle": 40, "car": 160, "person": 60, "bollard": 20, "bin": 30}
"""Kinds of which this many shapes are made and used again; trees and bushes are scaled."""
SIZED = {"tree": "height", "bush": "radius"}


@dataclass(frozen=True)
class Item:
    """Something that stands still.

    Attributes:
        kind: a name in `MAKERS`.
        s: meters along the road.
        d: meters to the left of the axis.
        yaw: turn relative to the road, radians.
        seed: of its shape.
        options: arguments of its maker.
        half: half the room it takes along and across the road, meters.
        instance_of: number of each of its objects within the label; set by `number_items`.
    """

    kind: str
    s: float
    d: float
    yaw: float
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    half: tuple[float, float] = (0.3, 0.3)
    instance_of: Mapping[int, int] = field(default_factory=dict)

    def shape(self) -> Mesh:
        """Its mesh in its own frame, looks numbered."""
        options = dict(self.options)
        variants = VARIANTS.get(self.kind)
        if variants is None:
            mesh = MAKERS[self.kind][0](np.random.default_rng([self.seed, 17]), **options)
            return mesh.numbered(dict(self.instance_of))
        size = options.pop(SIZED.get(self.kind, ""), None)
        mesh = _variant(self.kind, self.seed % variants, tuple(sorted(options.items())))
        if size is not None:
            nominal = np.abs(mesh.vertices[:, 2]).max() if self.kind == "tree" else mesh.vertices[:, 0].max()
            mesh = Mesh(mesh.vertices * np.float32(size / nominal), mesh.faces, mesh.look_of_face, mesh.looks)
        return mesh.numbered(dict(self.instance_of))


@lru_cache(maxsize=1500)
def _variant(kind: str, number: int, options: tuple[tuple[str, Any], ...]) -> Mesh:
    return MAKERS[kind][0](np.random.default_rng([number, 19]), **dict(options))


class InstanceNumbers:
    """Hands out numbers 1..999 within each label.

    Raises:
        ValueError: a label has more objects than KITTI-360 can number in one drive.
    """

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def take(self, labels: tuple[int, ...]) -> dict[int, int]:
        taken = {}
        for label in labels:
            if not LABEL_OF_ID[label].has_instances:
                continue
            number = self._last.get(label, 0) + 1
            if number > 999:
                raise ValueError(
                    f"the drive has more than 999 objects of the label {LABEL_OF_ID[label].name!r}; "
                    "make more and shorter drives: fewer frames or a smaller spacing"
                )
            self._last[label] = taken[label] = number
        return taken

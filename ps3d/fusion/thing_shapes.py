"""How large things are and which classes are mistaken for one another: what clustering knows about the world."""

from dataclasses import dataclass

from ps3d.structures import Taxonomy


@dataclass(frozen=True)
class ThingShape:
    """One class as clustering sees it.

    Attributes:
        group: classes of one group are clustered together, and the object's class is voted on.
        length: of the largest usual one seen from above, meters.
        width: the same, meters.
        radius: farthest step between neighboring cells of one object, meters.
    """

    group: str
    length: float
    width: float
    radius: float


_VEHICLE = 0.7
_TWO_WHEELER = 0.45

SHAPES: dict[str, ThingShape] = {
    "car": ThingShape("vehicle", 4.8, 2.0, _VEHICLE),
    "truck": ThingShape("vehicle", 10.0, 3.0, _VEHICLE),
    "bus": ThingShape("vehicle", 13.0, 3.0, _VEHICLE),
    "train": ThingShape("vehicle", 30.0, 3.5, _VEHICLE),
    "caravan/trailer": ThingShape("vehicle", 8.0, 3.0, _VEHICLE),
    "caravan": ThingShape("vehicle", 8.0, 3.0, _VEHICLE),
    "trailer": ThingShape("vehicle", 8.0, 3.0, _VEHICLE),
    "other-vehicle": ThingShape("vehicle", 10.0, 3.0, _VEHICLE),
    "construction-vehicle": ThingShape("vehicle", 10.0, 3.0, _VEHICLE),
    "person": ThingShape("human", 1.0, 1.0, 0.35),
    "rider": ThingShape("human", 1.2, 1.0, 0.35),
    "pedestrian": ThingShape("human", 1.0, 1.0, 0.35),
    # SemanticKITTI's riders include what they ride.
    "bicyclist": ThingShape("mounted", 1.9, 0.9, _TWO_WHEELER),
    "motorcyclist": ThingShape("mounted", 2.3, 1.0, _TWO_WHEELER),
    "bicycle": ThingShape("two-wheeler", 1.9, 0.8, _TWO_WHEELER),
    "motorcycle": ThingShape("two-wheeler", 2.3, 1.0, _TWO_WHEELER),
    "building": ThingShape("building", 60.0, 60.0, 1.5),
}
"""Boxes as the field measured them on its data sets (the sizes of ALPINE and PANet), joined by group."""


def shape_of(name: str) -> ThingShape:
    """The shape of a class; a class nobody measured is clustered alone, as an object of at most 4 m."""
    return SHAPES.get(name, ThingShape(name, 4.0, 4.0, 0.5))


def thing_groups(taxonomy: Taxonomy) -> dict[str, list[int]]:
    """Class ids of the things by group."""
    groups: dict[str, list[int]] = {}
    for class_id in taxonomy.thing_ids():
        groups.setdefault(shape_of(taxonomy.names[class_id]).group, []).append(class_id)
    return groups

"""Augmentations that take from a second scan: sectors, bands of elevation, single objects."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32

from ps3d.datasets.augmentation import Augmentation, elevations, is_in_sector, select, turn_about
from ps3d.structures import NO_INSTANCE, VOID, Frame, Panoptic, Scan, Taxonomy
from ps3d.structures.sequence import LIDAR

GROUND = ("road", "sidewalk", "terrain", "parking", "other-ground")
"""Names of the classes an object can stand on."""

BEAM = np.deg2rad(0.6)
"""Angle in which a pasted object hides what lies behind it: about one gap between rings."""

CLEARANCE = 0.5
"""Side of the cells, meters, in which a pasted object may meet nothing but ground."""

FEWEST_POINTS = 30
"""Objects with fewer points are not worth pasting."""


def mix(
    frame: Frame,
    read_donor: Callable[[], Frame],
    taxonomy: Taxonomy,
    settings: Augmentation,
    rng: np.random.Generator,
) -> Frame:
    """PolarMix or LaserMix by their probabilities, then pasted objects; the donor is read only where it takes part."""
    choice = rng.uniform()
    is_polar, is_mixed = choice < settings.polar_mix, choice < settings.polar_mix + settings.laser_mix
    if not is_mixed and not settings.populate:
        return frame
    donor = read_donor()
    if is_mixed:
        frame = polar_mix(frame, donor, rng) if is_polar else laser_mix(frame, donor, rng)
    return populate(frame, donor, taxonomy, settings.populate, rng) if settings.populate else frame


def polar_mix(frame: Frame, donor: Frame, rng: np.random.Generator) -> Frame:
    """A sector of 90 to 180 degrees comes from the donor (scene-level swapping of PolarMix)."""
    begin, width = rng.uniform(-np.pi, np.pi), rng.uniform(0.5, 1.0) * np.pi
    ours = ~is_in_sector(_scan(frame).xyz, begin, width)
    return join(select(frame, ours), select(donor, is_in_sector(_scan(donor).xyz, begin, width)))


def laser_mix(frame: Frame, donor: Frame, rng: np.random.Generator) -> Frame:
    """Every other of three to six bands of equal elevation comes from the donor (LaserMix)."""
    bands = int(rng.integers(3, 7))
    is_first_ours = bool(rng.integers(2))
    low, high = np.deg2rad(-25.0), np.deg2rad(3.0)

    def is_ours(scan: Scan) -> Bool[np.ndarray, "points"]:
        band = np.clip((elevations(scan.xyz) - low) / (high - low) * bands, 0, bands - 1).astype(np.int64)
        return (band % 2 == 0) == is_first_ours

    return join(select(frame, is_ours(_scan(frame))), select(donor, ~is_ours(_scan(donor))))


def join(frame: Frame, donor: Frame) -> Frame:
    """The points of both; the donor's objects get numbers of their own."""
    ours, theirs = _scan(frame), _scan(donor)
    scan = Scan(*(np.concatenate([getattr(ours, f), getattr(theirs, f)]) for f in ("xyz", "intensity", "time")))
    label, other = _label(frame), _label(donor)
    first = int(label.instance.max(initial=0))
    number = np.where(other.instance > 0, other.instance + first, NO_INSTANCE).astype(np.int32)
    truth = Panoptic(np.concatenate([label.semantic, other.semantic]), np.concatenate([label.instance, number]))
    return replace(
        frame,
        scan=scan,
        truth={LIDAR: truth},
        world_from_lidar=None,
        current_from_previous=None,
        source=f"{frame.source} with {donor.source}",
    )


def populate(frame: Frame, donor: Frame, taxonomy: Taxonomy, objects: int, rng: np.random.Generator) -> Frame:
    """Paste up to `objects` of the donor's objects, rare classes first, where they collide with nothing.

    An object keeps its distance to the sensor, so that it stays as densely sampled as it was measured; it is turned
    around the sensor, put on the ground, and hides the points behind it.
    """
    table = np.zeros(256, bool)
    table[[i for i, name in enumerate(taxonomy.names) if name in GROUND]] = True
    for member in _objects(donor, objects, rng):
        part = select(donor, member)
        placed = _place(frame, part, table, rng)
        if placed is not None:
            frame = join(select(frame, ~_is_hidden(_scan(frame).xyz, _scan(placed).xyz)), placed)
    return frame


def _objects(donor: Frame, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Points of some of the donor's objects; each class is as likely as any other."""
    label = _label(donor)
    segment = label.semantic.astype(np.int64) << 32 | label.instance
    found, sizes = np.unique(segment[label.instance > 0], return_counts=True)
    found = found[sizes >= FEWEST_POINTS]
    if not len(found):
        return []
    classes = found >> 32
    weight = 1 / np.bincount(classes)[classes]
    chosen = rng.choice(found, size=min(count, len(found)), replace=False, p=weight / weight.sum())
    return [np.flatnonzero(segment == number) for number in chosen]


def _place(frame: Frame, part: Frame, is_ground: np.ndarray, rng: np.random.Generator) -> Frame | None:
    """The object at a free place on the ground, or None if ten tries found none."""
    scan, label = _scan(frame), _label(frame)
    obstacle = ~is_ground[label.semantic] & (label.semantic != VOID) & (scan.xyz[:, 2] < 2.5)
    taken = _cells(scan.xyz[obstacle])
    ground = scan.xyz[is_ground[label.semantic]]
    for angle in rng.uniform(-np.pi, np.pi, 10):
        xyz = _scan(part).xyz @ turn_about(2, angle).T.astype(np.float32)
        center, reach = xyz[:, :2].mean(axis=0), np.ptp(xyz[:, :2], axis=0).max() / 2 + CLEARANCE
        below = ground[(np.abs(ground[:, :2] - center) < reach).all(axis=1)]
        if len(below) < 5 or len(np.intersect1d(_cells(xyz), taken)):
            continue
        xyz[:, 2] += np.median(below[:, 2]) - xyz[:, 2].min()
        placed = _scan(part)
        return replace(part, scan=Scan(xyz, placed.intensity, placed.time))
    return None


def _cells(xyz: Float32[np.ndarray, "points 3"]) -> np.ndarray:
    """Numbers of the cells seen from above."""
    place = np.floor(xyz[:, :2] / CLEARANCE).astype(np.int64)
    return np.unique(place[:, 0] * 100_003 + place[:, 1])


def _is_hidden(
    xyz: Float32[np.ndarray, "points 3"], near: Float32[np.ndarray, "others 3"]
) -> Bool[np.ndarray, "points"]:
    """Which points lie behind the others, seen from the sensor."""

    def direction(points: np.ndarray) -> np.ndarray:
        azimuth = np.floor(np.arctan2(points[:, 1], points[:, 0]) / BEAM).astype(np.int64)
        return azimuth * 4096 + np.floor(elevations(points) / BEAM).astype(np.int64)

    beams, place = np.unique(direction(near), return_inverse=True)
    nearest = np.full(len(beams), np.inf)
    np.minimum.at(nearest, place.reshape(-1), np.linalg.norm(near, axis=1))
    ours = direction(xyz)
    found = np.minimum(np.searchsorted(beams, ours), len(beams) - 1)
    return (beams[found] == ours) & (np.linalg.norm(xyz, axis=1) > nearest[found])


def _scan(frame: Frame) -> Scan:
    if frame.scan is None:
        raise ValueError(f"frame {frame.index} ({frame.source}) has no scan to mix")
    return frame.scan


def _label(frame: Frame) -> Panoptic:
    """The frame's labels; VOID where it has none."""
    if LIDAR in frame.truth:
        return frame.truth[LIDAR]
    points = len(_scan(frame))
    return Panoptic(np.full(points, VOID, np.uint8), np.zeros(points, np.int32))

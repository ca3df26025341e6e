"""What moves: the ego vehicle, vehicles that keep their lanes and distances, cyclists, people who walk and cross.

Vehicles of one lane share one speed profile, so their gaps stay as planned; people and cyclists on sidewalks are
planned one by one and kept only if they never meet anything. Nobody passes through anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from ps3d.simulation import people, vehicles
from ps3d.simulation.ground import Ground
from ps3d.simulation.items import MAKERS, InstanceNumbers, Item
from ps3d.simulation.meshes import Mesh, Real, merge
from ps3d.simulation.road import MARGIN, Road
from ps3d.simulation.sections import ONCOMING, ROAD, SIDEWALK, VERGE

EGO_HEIGHT = 0.89
"""Height of the vehicle's frame (GPS/IMU) over the road, meters."""
EGO_LEFT = 0.2985
"""The vehicle's frame runs this far left of d = 0, so that the LiDAR runs along d = 0."""
STRIDE = 1.45
"""Meters that someone walks in one cycle of the gait."""

LENGTH = {"car": 4.8, "truck": 12.5, "bus": 13.0, "motorcycle": 2.2, "bicycle": 1.9, "person": 0.6, "train": 40.0}
WIDTH = {"car": 2.0, "truck": 2.6, "bus": 2.6, "motorcycle": 0.9, "bicycle": 0.8, "person": 0.7, "train": 2.7}


@dataclass(frozen=True)
class SpeedProfile:
    """Distance traveled at time t: a mean speed with slow waves."""

    speed: float
    wave: float = 0.0
    period: float = 12.0
    phase: float = 0.0

    def distance(self, t):
        turn = 2 * np.pi / self.period
        swing = self.wave * self.speed / turn
        return self.speed * np.asarray(t, float) + swing * (np.sin(turn * t + self.phase) - np.sin(self.phase))


@dataclass(frozen=True)
class Actor:
    """Something that moves.

    Attributes:
        kind: car, truck, bus, motorcycle, bicycle, train or person; two-wheelers carry a rider.
        seed: of its shape.
        start: s at time 0.
        direction: +1 along the road, -1 against it, 0 = crosses at s = `start`.
        profile: its travel.
        offset: d of its path (vehicles), or place on the sidewalk 0..1 with the side in `sidewalk`.
        sidewalk: 0 = on the road at d = `offset`; +1 or -1 = on that sidewalk.
        crossing: (start time, d at the start, d at the end) of someone who crosses.
        wave: amplitude (m) and period (s) of a slowly changing gap.
        instance_of: number of each of its objects by label.
    """

    kind: str
    seed: int
    start: float
    direction: int
    profile: SpeedProfile
    offset: float
    sidewalk: int = 0
    crossing: tuple[float, float, float] | None = None
    wave: tuple[float, float] = (0.0, 20.0)
    instance_of: dict[int, int] = field(default_factory=dict, hash=False, compare=False)

    @property
    def half(self) -> tuple[float, float]:
        """Half length and half width, with nothing to spare."""
        return LENGTH[self.kind] / 2, WIDTH[self.kind] / 2

    def along(self, t):
        """s at time t."""
        if self.crossing:
            return np.full(np.shape(t), self.start)
        swing = self.wave[0] * np.sin(2 * np.pi * np.asarray(t, float) / self.wave[1] + self.seed % 7)
        return self.start + self.direction * self.profile.distance(t) + swing

    def across(self, t, ground: Ground):
        """d at time t."""
        if self.crossing:
            begin, d0, d1 = self.crossing
            walked = np.clip(self.profile.speed * (np.asarray(t, float) - begin), 0, abs(d1 - d0))
            return d0 + np.sign(d1 - d0) * walked
        if not self.sidewalk:
            return np.full(np.shape(t), self.offset)
        edges = ground.edges(np.atleast_1d(self.along(t)), self.sidewalk)
        d = edges[:, VERGE] + self.offset * (edges[:, SIDEWALK] - edges[:, VERGE])
        return self.sidewalk * (d if np.ndim(t) else d[0])

    @property
    def yaw(self) -> float:
        """Turn relative to the road, radians."""
        if self.crossing:
            return np.pi / 2 * float(np.sign(self.crossing[2] - self.crossing[1]))
        return 0.0 if self.direction >= 0 else np.pi

    def stride(self, t: Real) -> float | None:
        """Place in the gait, 0..1; None for those who stand."""
        if self.kind != "person":
            return None
        if self.crossing:
            begin, d0, d1 = self.crossing
            walked = self.profile.speed * (t - begin)
            return float(walked / STRIDE % 1) if 0 < walked < abs(d1 - d0) else None
        return float(self.profile.distance(t) / STRIDE % 1)

    def shape_key(self, t: Real) -> tuple:
        """What its shape depends on at time t, for a cache."""
        stride = self.stride(t)
        step = -1 if stride is None else int(stride * people.GAIT_STEPS) % people.GAIT_STEPS
        return self.kind, self.seed, step, tuple(sorted(self.instance_of.items()))

    def shape(self, t: Real) -> Mesh:
        """Its mesh in its own frame at time t."""
        return actor_shape(*self.shape_key(t))


@lru_cache(maxsize=600)
def actor_shape(kind: str, seed: int, step: int, instance_of: tuple[tuple[int, int], ...]) -> Mesh:
    """The mesh of an actor: see `Actor.shape_key`."""
    rng = np.random.default_rng([seed, 23])
    if kind == "person":
        mesh = people.make_person(rng, None if step < 0 else step / people.GAIT_STEPS)
    elif kind == "bicycle":
        mesh = merge([vehicles.make_bicycle(rng), people.make_rider(rng, 0.92, 0.32)])
    elif kind == "motorcycle":
        mesh = merge([vehicles.make_motorcycle(rng), people.make_rider(rng, 0.78, 0.36)])
    else:
        mesh = MAKERS[kind][0](rng)
    return mesh.numbered(dict(instance_of))


@dataclass(frozen=True)
class Traffic:
    """All actors and the ego vehicle's travel."""

    road: Road
    ground: Ground
    ego: SpeedProfile
    actors: tuple[Actor, ...]
    wobble: tuple[float, ...]

    def pose(self, actor: Actor, t: Real) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
        """Rotation and position of an actor at time t."""
        rotation, position = self.poses([actor], np.array([float(t)]))
        return rotation[0, 0], position[0, 0]

    def poses(
        self, actors: Sequence[Actor], times: Float64[np.ndarray, "times"]
    ) -> tuple[Float64[np.ndarray, "actors times 3 3"], Float64[np.ndarray, "actors times 3"]]:
        """Rotations and positions of many actors, each at all times."""
        s = np.array([actor.along(times) for actor in actors]).reshape(-1, len(times))
        d = np.array([actor.across(times, self.ground) for actor in actors]).reshape(s.shape)
        yaw = np.array([[actor.yaw] for actor in actors]).reshape(-1, 1)
        on_wheels = np.array([[actor.kind != "person"] for actor in actors], bool).reshape(-1, 1)
        height = self.ground.heights(s.reshape(-1), d.reshape(-1)).reshape(s.shape)
        return self.road.frame(s, yaw, on_wheels), self.road.to_world(s, d, height)

    def world_from_vehicle(self, t: Real) -> Float64[np.ndarray, "4 4"]:
        """Pose of the ego vehicle's frame (x forward, y right, z down) at time t, with a little sway."""
        s = float(self.ego.distance(t))
        a, b, c, d = self.wobble
        rotation = self.road.frame(s, 0.004 * np.sin(0.9 * t + a), True)
        pitch, roll = 0.004 * np.sin(2.1 * t + b), 0.005 * np.sin(1.7 * t + c)
        forward, left, up = (
            rotation[:, 0] + pitch * rotation[:, 2],
            rotation[:, 1] + roll * rotation[:, 2],
            rotation[:, 2],
        )
        forward = forward / np.linalg.norm(forward)
        left = left - forward * (forward @ left)
        left = left / np.linalg.norm(left)
        up = np.cross(forward, left)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([forward, -left, -up], 1)
        pose[:3, 3] = self.road.to_world(s, EGO_LEFT, EGO_HEIGHT + 0.01 * np.sin(2.6 * t + d))
        return pose

    def near(self, t: Real, reach: Real = 90.0) -> list[Actor]:
        """Actors within `reach` meters along the road of the ego vehicle."""
        s = float(self.ego.distance(t))
        return [actor for actor in self.actors if abs(float(actor.along(t)) - s) < reach]


def plan_traffic(
    road: Road, ground: Ground, items: list[Item], length: Real, seconds: Real, speed: Real, seed: list[int],
    numbers: InstanceNumbers,
) -> Traffic:  # fmt: skip
    """Everything that moves during `seconds`."""
    rng = np.random.default_rng(seed)
    ego = SpeedProfile(speed, 0.10, float(rng.uniform(9, 16)), float(rng.uniform(0, 6)))
    actors = _own_lane(ego, rng)
    if ground.sections[0].has_oncoming:
        actors += _oncoming_lane(length, seconds, rng)
    planner = _Planner(ground, ego, items, seconds, actors)
    planner.add_crossing_people(length, rng)
    planner.add_walkers(length, rng)
    labels = {"bicycle": (33, 25), "motorcycle": (32, 25), "person": (24,)}
    numbered = []
    for actor in planner.actors:
        mine = labels.get(actor.kind) or MAKERS[actor.kind][1]
        numbered.append(
            Actor(
                **{
                    **{name: getattr(actor, name) for name in Actor.__dataclass_fields__},
                    "instance_of": numbers.take(mine),
                }
            )
        )
    return Traffic(road, ground, ego, tuple(numbered), tuple(rng.uniform(0, 6, 4).tolist()))


RARE = ("truck", "bus", "motorcycle", "bicycle", "bicycle")


def _row_of_kinds(rng: np.random.Generator, count: int, rare: list[str]) -> list[str]:
    """Kinds of vehicles in a lane; the rare ones take every second place until none is left."""
    kinds = []
    for number in range(count):
        if number % 2 == 0 and rare:
            kinds.append(rare.pop())
        else:
            kinds.append(
                str(rng.choice(["car", "truck", "bus", "motorcycle", "bicycle"], p=[0.76, 0.07, 0.04, 0.05, 0.08]))
            )
    return kinds


def _own_lane(ego: SpeedProfile, rng: np.random.Generator) -> list[Actor]:
    """Vehicles before and behind the ego vehicle, at distances that breathe but never close."""
    actors = []
    rare = [str(kind) for kind in rng.permutation(RARE)]
    for direction in (1, -1):
        place = 6.0 + rng.uniform(5, 26)
        # Every drive meets each rare kind, before or behind.
        for kind in _row_of_kinds(rng, 5, rare if direction < 0 else [rare.pop(), rare.pop(), rare.pop()]):
            swing = float(rng.uniform(0.5, 2.0))
            place += LENGTH[kind] / 2 + swing
            seed = int(rng.integers(2**31))
            offset = float(rng.uniform(-0.9, -0.3)) if kind == "bicycle" else float(rng.normal(0, 0.12))
            actors.append(
                Actor(kind, seed, direction * place, 1, ego, offset, wave=(swing, float(rng.uniform(12, 25))))
            )
            place += LENGTH[kind] / 2 + swing + rng.uniform(6, 30)
    return actors


def _oncoming_lane(length: Real, seconds: Real, rng: np.random.Generator) -> list[Actor]:
    """A row of vehicles that comes toward the ego vehicle, all with one speed profile."""
    profile = SpeedProfile(float(rng.uniform(6.5, 11)), 0.12, float(rng.uniform(9, 16)), float(rng.uniform(0, 6)))
    actors = []
    place = -40.0
    end = length + MARGIN + float(profile.distance(seconds))
    rare = [str(kind) for kind in rng.permutation(RARE)]
    kinds = iter(_row_of_kinds(rng, int((end + 40) / 8) + 1, rare))
    while place < end:
        kind = next(kinds)
        place += LENGTH[kind] / 2
        offset = ONCOMING + (
            float(rng.uniform(0.1, 0.9)) if kind in ("bicycle", "motorcycle") else float(rng.uniform(-0.05, 0.2))
        )
        actors.append(Actor(kind, int(rng.integers(2**31)), place, -1, profile, offset))
        place += LENGTH[kind] / 2 + 4 + rng.exponential(26)
    return actors


class _Planner:
    """Adds people and cyclists one by one if they never meet anything."""

    def __init__(
        self, ground: Ground, ego: SpeedProfile, items: list[Item], seconds: Real, actors: list[Actor]
    ) -> None:
        self.ground, self.ego, self.seconds = ground, ego, seconds
        self.times = np.arange(-0.2, seconds + 0.3, 0.1)
        self.actors: list[Actor] = []
        self._paths: list[tuple[np.ndarray, np.ndarray, float, float]] = []
        self._items = np.array([(x.s, x.d, *x.half) for x in items if x.kind != "weeds"]).reshape(-1, 4)
        self._keep((ego.distance(self.times), np.zeros(len(self.times)), 2.6, 1.2), None)
        for actor in actors:
            self._keep(self._path(actor), actor)

    def _path(self, actor: Actor) -> tuple[np.ndarray, np.ndarray, float, float]:
        return actor.along(self.times), actor.across(self.times, self.ground), *actor.half

    def _keep(self, path, actor: Actor | None) -> None:
        self._paths.append(path)
        if actor is not None:
            self.actors.append(actor)

    def add(self, actor: Actor) -> bool:
        """Keep the actor if its way is free."""
        s, d, half_s, half_d = path = self._path(actor)
        for other_s, other_d, other_half_s, other_half_d in self._paths:
            is_near = (np.abs(s - other_s) < half_s + other_half_s + 0.5) & (
                np.abs(d - other_d) < half_d + other_half_d + 0.4
            )
            if is_near.any():
                return False
        if self._meets_item(s, d, half_s, half_d) or np.abs(d[np.abs(s - path_ego(self)) < 3.5]).min(initial=9.0) < 3.2:
            return False
        self._keep(path, actor)
        return True

    def _meets_item(self, s: np.ndarray, d: np.ndarray, half_s: Real, half_d: Real) -> bool:
        is_close = (self._items[:, 0] > s.min() - 8) & (self._items[:, 0] < s.max() + 8)
        for item_s, item_d, item_half_s, item_half_d in self._items[is_close]:
            if ((np.abs(s - item_s) < half_s + item_half_s + 0.1) & (np.abs(d - item_d) < half_d + item_half_d)).any():
                return True
        return False

    def add_walkers(self, length: Real, rng: np.random.Generator) -> None:
        """People, and some cyclists, on the sidewalks; each direction of each side has its own line and speed."""
        for side in (1, -1):
            for direction, offset in ((1, 0.36), (-1, 0.68)):
                profile = SpeedProfile(float(rng.uniform(1.0, 1.6)))
                place = -60 + rng.uniform(0, 20)
                while place < length + 80:
                    kind = "bicycle" if rng.random() < 0.07 else "person"
                    speed = SpeedProfile(float(rng.uniform(3, 5))) if kind == "bicycle" else profile
                    start = place - direction * float(speed.distance(self.seconds / 2))
                    is_wide = self._narrowest(start, direction, speed, side) > 1.35
                    for k in range(1 + int(rng.random() < 0.3)):
                        actor = Actor(kind, int(rng.integers(2**31)), start + 0.9 * k, direction, speed, offset, side)
                        if is_wide:
                            self.add(actor)
                    place += rng.exponential(13) + 1.2

    def _narrowest(self, start: Real, direction: int, profile: SpeedProfile, side: int) -> float:
        places = np.linspace(start, start + direction * float(profile.distance(self.seconds)), 30)
        edges = self.ground.edges(places, side)
        return float((edges[:, SIDEWALK] - edges[:, VERGE]).min())

    def add_crossing_people(self, length: Real, rng: np.random.Generator) -> None:
        """People who cross the road well before or after the ego vehicle passes."""
        s = rng.uniform(8, 30)
        while s < length + 60:
            passes = s / self.ego.speed
            for _ in range(3):
                edges = [float(self.ground.edges(np.array([s]), side)[0, ROAD]) for side in (1, -1)]
                ends = (edges[0] + rng.uniform(0.6, 1.6), -edges[1] - rng.uniform(0.6, 1.6))
                d0, d1 = ends if rng.random() < 0.5 else ends[::-1]
                speed = float(rng.uniform(1.1, 1.7))
                begin = passes - rng.uniform(2.2, 5.5) - abs(d1 - d0) / speed
                profile = SpeedProfile(speed)
                self.add(
                    Actor(
                        "person",
                        int(rng.integers(2**31)),
                        s + rng.uniform(-1, 1),
                        0,
                        profile,
                        0.0,
                        crossing=(begin, d0, d1),
                    )
                )
            s += rng.uniform(14, 45)


def path_ego(planner: _Planner) -> np.ndarray:
    """s of the ego vehicle at the planner's times."""
    return planner._paths[0][0]

"""A small street in four dimensions: boxes that stand, drive and walk, seen by a spinning LiDAR on a moving vehicle."""

from dataclasses import dataclass

import numpy as np

from ps3d.structures import Category, Frame, Panoptic, Scan, Taxonomy

STREET = Taxonomy(
    "street",
    (
        Category("road", (7,), False, (128, 64, 128)),
        Category("building", (11,), False, (70, 70, 70)),
        Category("car", (26,), True, (0, 0, 142)),
        Category("person", (24,), True, (220, 20, 60)),
        Category("truck", (27,), True, (0, 0, 70)),
    ),
)
ROAD, BUILDING, CAR, PERSON, TRUCK = range(5)
SENSOR_HEIGHT = 1.7


@dataclass(frozen=True)
class Mover:
    """One object: a box at constant velocity."""

    semantic: int
    number: int
    begin: tuple[float, float]
    velocity: tuple[float, float]
    size: tuple[float, float, float]


def make_movers(rng: np.random.Generator, parked: int = 14, driving: int = 6, walking: int = 8) -> list[Mover]:
    """Cars at both curbs and in both lanes, and people who cross the street or walk beside it."""
    movers = []

    def add(semantic: int, begin: tuple[float, float], velocity: tuple[float, float], size: tuple) -> None:
        movers.append(Mover(semantic, len(movers) + 1, begin, velocity, size))

    for place in range(parked):
        side = 1 if place % 2 else -1
        add(CAR, (-15.0 + 6.0 * (place // 2) + rng.uniform(-0.4, 0.4), 5.5 * side), (0.0, 0.0), (4.3, 1.8, 1.5))
    for place in range(driving):
        side = 1 if place % 2 else -1
        speed = rng.uniform(6, 14) * -side
        add(CAR, (25.0 * (place // 2) - 10 + (40 if side > 0 else -20), 1.9 * side), (speed, 0.0), (4.3, 1.8, 1.5))
    for place in range(walking):
        if place % 2:
            add(PERSON, (8 + 3.0 * place, -8.0), (rng.uniform(-0.2, 0.2), rng.uniform(1.0, 1.8)), (0.6, 0.6, 1.75))
        else:
            add(PERSON, (5 + 4.0 * place, 8.0), (rng.uniform(-0.2, 0.2), -rng.uniform(1.0, 1.8)), (0.6, 0.6, 1.75))
    return movers


def make_drive(
    frames: int = 30,
    seed: int = 0,
    period: float = 0.1,
    speed: float = 5.0,
    movers: list[Mover] | None = None,
    has_poses: bool = True,
) -> list[Frame]:
    """Frames with truth; the vehicle drives along x and turns a little."""
    rng = np.random.default_rng(seed)
    movers = make_movers(rng) if movers is None else movers
    return [_see(movers, index, index * period, speed, has_poses, rng) for index in range(frames)]


def _see(
    movers: list[Mover], index: int, seconds: float, speed: float, has_poses: bool, rng: np.random.Generator
) -> Frame:
    yaw = 0.05 * np.sin(seconds)
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:3, 3] = [speed * seconds, 0.0, SENSOR_HEIGHT]
    parts = [_background(pose[0, 3], rng)] + [_surface(mover, seconds, pose[:3, 3], rng) for mover in movers]
    xyz = (np.concatenate([p[0] for p in parts]) - pose[:3, 3]) @ pose[:3, :3]
    semantic, instance = np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts])
    kept = _visible(xyz)
    xyz = (xyz[kept] + rng.normal(0, 0.02, (len(kept), 3))).astype(np.float32)
    zeros = np.zeros(len(xyz), np.float32)
    return Frame(
        index,
        seconds,
        Scan(xyz, zeros, zeros),
        world_from_lidar=pose if has_poses else None,
        truth={"lidar": Panoptic(semantic[kept].astype(np.uint8), instance[kept].astype(np.int32))},
        source=f"frame {index}",
    )


def _background(x: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Road and two facades with bays."""
    reach = 25 * np.sqrt(rng.random(4000))
    angle = rng.uniform(0, 2 * np.pi, 4000)
    road = np.stack([x + reach * np.cos(angle), reach * np.sin(angle), np.zeros(4000)], 1)
    road = road[np.abs(road[:, 1]) < 9]
    along = rng.uniform(x - 40, x + 40, 3000)
    side = np.where(np.arange(3000) % 2, 1.0, -1.0)
    bay = np.where(np.floor(along / 5) % 2, 0.0, 1.2)
    wall = np.stack([along, side * (10 + bay), rng.uniform(0, 6, 3000)], 1)
    count = len(road) + len(wall)
    semantic = np.where(np.arange(count) < len(road), ROAD, BUILDING)
    return np.concatenate([road, wall]), semantic, np.zeros(count, int)


def _surface(mover: Mover, seconds: float, eye: np.ndarray, rng: np.random.Generator):
    """Points on the sides of a box that face the sensor; fewer with distance."""
    center = np.array([*mover.begin, 0.0]) + seconds * np.array([*mover.velocity, 0.0])
    center[2] = mover.size[2] / 2
    distance = np.linalg.norm(center - eye)
    area = mover.size[0] * mover.size[2] + mover.size[1] * mover.size[2]
    count = int(np.clip(area * 1.5e4 / max(distance, 3) ** 2, 0, 1500)) if distance < 50 else 0
    unit = rng.uniform(-0.5, 0.5, (count, 3))
    toward = np.sign(eye[:2] - center[:2])
    on_x = rng.random(count) < mover.size[1] / (mover.size[0] + mover.size[1])
    unit[on_x, 0], unit[~on_x, 1] = toward[0] / 2, toward[1] / 2
    return unit * mover.size + center, np.full(count, mover.semantic), np.full(count, mover.number)


def _visible(local: np.ndarray) -> np.ndarray:
    """Places of the points that nothing hides: the nearest of each beam, and what lies just behind it."""
    distance = np.linalg.norm(local, axis=1)
    azimuth = np.floor(np.degrees(np.arctan2(local[:, 1], local[:, 0])) / 0.6).astype(int) + 300
    elevation = np.floor(np.degrees(np.arcsin(local[:, 2] / np.maximum(distance, 1e-6))) / 1.0).astype(int) + 90
    beam = azimuth * 200 + elevation
    nearest = np.full(beam.max() + 1, np.inf)
    np.minimum.at(nearest, beam, distance)
    return np.flatnonzero(distance < nearest[beam] + 0.5)


def shuffle_numbers(truth: Panoptic, rng: np.random.Generator) -> Panoptic:
    """Perfect segments, unknown identity."""
    numbers = np.unique(truth.instance[truth.instance > 0])
    table = np.zeros(int(truth.instance.max()) + 1, np.int32)
    table[numbers] = rng.permutation(len(numbers)) + 1
    return Panoptic(truth.semantic, table[truth.instance])

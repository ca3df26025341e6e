"""A street with exact truth in KITTI-360's layout: ground, a facade, a parked car, and a car that overtakes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ps3d.datasets.kitti360_boxes import Box, write_boxes
from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION, write_calibration
from ps3d.datasets.kitti360_files import write_list, write_poses, write_scan, write_timestamps
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name
from ps3d.datasets.kitti360_windows import DYNAMIC_POINT, STATIC_POINT, write_window
from ps3d.datasets.label_files import write_labels
from ps3d.ops.geometry import invert, sweep_fraction_from_azimuth

DRIVE = 3
FRAMES = range(1, 13)
PERIOD = 0.1
ORIGIN = np.array([1200.0, -800.0, 100.0])
CAR_SIZE = np.array([4.2, 1.8, 1.5])
CAR_SPEED = 14.0


def world_from_vehicle(frame: float) -> np.ndarray:
    """8 m/s along a slight curve; x forward, y right, z down."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("ZX", [0.01 * frame, np.pi]).as_matrix()
    pose[:3, 3] = ORIGIN + np.array([0.8 * frame, 0.004 * frame**2, 0.9])
    return pose


def moving_car(frame: float) -> np.ndarray:
    """Center of the overtaking car."""
    return ORIGIN + np.array([CAR_SPEED * PERIOD * frame - 4.0, 4.0, CAR_SIZE[2] / 2 + 0.1])


PARKED = ORIGIN + np.array([8.0, -6.0, CAR_SIZE[2] / 2 + 0.1])


@dataclass(frozen=True)
class Sampled:
    """World points with KITTI-360 ids and object numbers."""

    xyz: np.ndarray
    semantic: np.ndarray
    number: np.ndarray


def on_box(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points on the sides and the roof of a unit box."""
    points = rng.uniform(-0.5, 0.5, (count, 3))
    side = rng.integers(0, 5, count)
    points[np.arange(count), [0, 0, 1, 1, 2] @ np.eye(5, dtype=int)[side].T] = np.where(side % 2, 0.5, -0.5)
    points[side == 4, 2] = 0.5
    return points


def static_world(rng: np.random.Generator, density: float) -> Sampled:
    """Points that stand still; `density` scales their number."""
    ground = np.column_stack([rng.uniform(-15, 30, int(9000 * density)), rng.uniform(-10, 12, int(9000 * density))])
    ground = np.column_stack([ground, np.zeros(len(ground))])
    wall = np.column_stack([rng.uniform(-15, 30, int(3000 * density)), np.full(int(3000 * density), 12.0)])
    wall = np.column_stack([wall, rng.uniform(0, 6, len(wall))])
    car = on_box(rng, int(800 * density)) * CAR_SIZE
    xyz = np.concatenate([ground + ORIGIN, wall + ORIGIN, car + PARKED])
    semantic = np.repeat([7, 11, 26], [len(ground), len(wall), len(car)])
    return Sampled(xyz, semantic, np.repeat([0, 2, 5], [len(ground), len(wall), len(car)]))


def measure(world: np.ndarray, frame: int, velocity: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Raw points of a sweep that sees `world` points, and those points motion-corrected, in the world.

    Args:
        velocity: of the points, world frame; they are where `world` says at the sweep's reference time.
    """
    vehicle_from_lidar = KITTI360_CALIBRATION.cameras().vehicle_from_lidar
    lidar = world_from_vehicle(frame) @ vehicle_from_lidar
    previous = world_from_vehicle(frame - 1) @ vehicle_from_lidar
    motion = invert(lidar) @ previous
    vector = Rotation.from_matrix(motion[:3, :3]).as_rotvec()
    fraction = np.zeros(len(world))
    seen = world
    raw = world
    for _ in range(8):
        seen = world if velocity is None else world - PERIOD * fraction[:, None] * velocity
        local = (seen - lidar[:3, 3]) @ lidar[:3, :3]
        turn = Rotation.from_rotvec(fraction[:, None] * vector)
        raw = turn.inv().apply(local - fraction[:, None] * motion[:3, 3])
        fraction = sweep_fraction_from_azimuth(raw)
    return raw, seen


def write_street_drive(root: Path) -> None:
    """Scans, exact labels, poses, calibration, time stamps, one window, boxes."""
    layout, name, rng = Kitti360Layout(root), drive_name(DRIVE), np.random.default_rng(0)
    dynamic = []
    boxes = [Box(26, 5, box_matrix(PARKED), start_frame=FRAMES[0], end_frame=FRAMES[-1], label="car")]
    for frame in FRAMES:
        still = static_world(rng, 0.5)
        raw, _ = measure(still.xyz, frame)
        car = on_box(rng, 500) * CAR_SIZE + moving_car(frame)
        velocity = np.array([CAR_SPEED, 0.0, 0.0])
        raw_car, seen_car = measure(car, frame, velocity)
        xyz = np.concatenate([raw, raw_car]).astype(np.float32)
        write_scan(layout.scan(name, frame), xyz, np.full(len(xyz), 0.3, np.float32))
        write_labels(
            layout.truth(name) / f"{frame:010d}.label",
            np.append(still.semantic, np.full(500, 26)),
            np.append(still.number, np.full(500, 7)),
        )
        dynamic.append(as_window(Sampled(seen_car, np.full(500, 26), np.full(500, 7)), DYNAMIC_POINT, frame))
        boxes.append(
            Box(26, 7, box_matrix(moving_car(frame)), frame, FRAMES[0], FRAMES[-1], is_dynamic=True, label="car")
        )
    write_window(layout.window(name, "static", FRAMES[0], FRAMES[-1]), as_window(static_world(rng, 20), STATIC_POINT))
    write_window(layout.window(name, "dynamic", FRAMES[0], FRAMES[-1]), np.concatenate(dynamic))
    write_boxes(layout.boxes(name), boxes)
    write_timestamps(layout.scan_timestamps(name), 1369730762904483072 + 100_000_000 * np.arange(FRAMES[-1] + 1))
    write_poses(layout.poses(name), {frame: world_from_vehicle(frame) for frame in range(0, FRAMES[-1] + 1)})
    write_calibration(layout.calibration, KITTI360_CALIBRATION)
    window = f"data_3d_semantics/train/{name}/static/{FRAMES[0]:010d}_{FRAMES[-1]:010d}.ply"
    write_list(layout.window_list("train"), [(window,)])


def box_matrix(center: np.ndarray) -> np.ndarray:
    matrix = np.diag([*CAR_SIZE, 1.0])
    matrix[:3, 3] = center
    return matrix


def as_window(sampled: Sampled, kind: np.dtype, frame: int | None = None) -> np.ndarray:
    points = np.zeros(len(sampled.xyz), kind)
    for axis, name in enumerate("xyz"):
        points[name] = sampled.xyz[:, axis]
    points["semantic"], points["instance"] = sampled.semantic, sampled.semantic * 1000 + sampled.number
    points["confidence"], points["visible"] = 1, 1
    if frame is not None:
        points["timestamp"] = frame
    return points

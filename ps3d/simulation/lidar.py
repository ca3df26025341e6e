"""A spinning LiDAR of 64 beams (modeled on the Velodyne HDL-64E): rays of a rolling sweep, returns, intensity.

The sweep turns clockwise seen from above, so points on the left (+y) are measured before the reference time, when the
beam looks forward. Points are NOT motion-corrected, like KITTI-360's raw scans.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32

from ps3d.ops.compiled import compiled
from ps3d.simulation.materials import material_table
from ps3d.simulation.raycasting import MISSED, RayScene
from ps3d.simulation.traffic import Actor, Traffic
from ps3d.structures import SWEEP_SECONDS


@dataclass(frozen=True)
class LidarModel:
    """The sensor. Sources of the numbers are in docs/simulation.md.

    Attributes:
        firings: azimuths in one revolution.
        ticks: steps of the angle encoder in one revolution; azimuths are whole steps.
        upper: (elevation of the first beam, step) of the upper 32 beams, degrees.
        lower: the same for the lower 32 beams.
        reach: largest range that is reported, meters.
        shortest: smallest range that is reported, meters.
        range_noise: standard deviation, meters.
        bias: standard deviation of each beam's constant range error, meters.
        jitter: standard deviation of each pulse's direction, radians.
        threshold: reflected power at which half the pulses are detected.
        gain_spread: standard deviation of the beams' relative intensity.
    """

    firings: int = 2083
    ticks: int = 4000
    upper: tuple[float, float] = (2.65, 0.3365)
    lower: tuple[float, float] = (-8.40, 0.4950)
    reach: float = 80.0
    shortest: float = 1.8
    range_noise: float = 0.013
    bias: float = 0.006
    jitter: float = 0.0004
    threshold: float = 3.2e-5
    gain_spread: float = 0.13

    @property
    def elevations(self) -> Float64[np.ndarray, "64"]:
        """From the highest beam to the lowest, radians."""
        blocks = [first - step * np.arange(32) for first, step in (self.upper, self.lower)]
        return np.radians(np.concatenate(blocks))


@dataclass(frozen=True)
class Beams:
    """One unit's own properties, drawn once for each drive: every real unit differs.

    Attributes:
        elevation: of each beam, radians.
        azimuth_offset: of each beam, radians.
        bias: range error of each beam, meters.
        gain: relative intensity of each beam.
    """

    elevation: Float64[np.ndarray, "beams"]
    azimuth_offset: Float64[np.ndarray, "beams"]
    bias: Float64[np.ndarray, "beams"]
    gain: Float64[np.ndarray, "beams"]


def draw_beams(model: LidarModel, rng: np.random.Generator) -> Beams:
    """A unit of this model: a few of its beams are weak."""
    elevation = model.elevations
    count = len(elevation)
    gain = np.clip(rng.normal(1.0, model.gain_spread, count), 0.7, 1.3)
    gain[rng.choice(count, 5, replace=False)] *= rng.uniform(0.62, 0.8, 5)
    return Beams(
        elevation + np.radians(rng.normal(0, 0.05, count)),
        np.radians(rng.uniform(0, 0.09, count)),
        rng.normal(0, model.bias, count),
        gain / gain.mean(),
    )


@dataclass(frozen=True)
class Sweep:
    """One raw sweep with its truth, in the order of KITTI's files: beams from the top, azimuth growing from 0.

    Attributes:
        xyz: LiDAR frame, as measured while the vehicle drove on.
        intensity: 0..0.99 in steps of 0.01.
        semantic: KITTI-360 label id.
        instance: number within the label, 0 = none.
        actor: place in the list of actors, -1 for what stands still.
    """

    xyz: Float32[np.ndarray, "points 3"]
    intensity: Float32[np.ndarray, "points"]
    semantic: Int32[np.ndarray, "points"]
    instance: Int32[np.ndarray, "points"]
    actor: Int32[np.ndarray, "points"]


def _column_poses(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and positions between two poses that are a sweep apart."""
    w = share[:, None, None]
    return start[:3, :3] * (1 - w) + end[:3, :3] * w, start[:3, 3] * (1 - w[:, 0]) + end[:3, 3] * w[:, 0]


def _as_pose(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, position
    return pose


def sweep(
    model: LidarModel,
    beams: Beams,
    static: RayScene,
    origin: Float64[np.ndarray, "3"],
    traffic: Traffic,
    time: float,
    vehicle_from_lidar: Float64[np.ndarray, "4 4"],
    actor_scene,
    rng: np.random.Generator,
) -> Sweep:
    """One revolution around `time`.

    Args:
        static: everything that stands still, relative to `origin`.
        origin: subtracted from positions before anything is rounded to float32.
        actor_scene: from (actor, time) to the `RayScene` of its shape.
    """
    half = SWEEP_SECONDS / 2
    tick = np.unique(np.floor((np.arange(model.firings) + rng.random()) * model.ticks / model.firings).astype(np.int64))
    azimuth = tick % model.ticks * (2 * np.pi / model.ticks)
    azimuth = np.sort(azimuth)
    signed = np.where(azimuth > np.pi, azimuth - 2 * np.pi, azimuth)
    share = 0.5 - signed / (2 * np.pi)
    ends = [traffic.world_from_vehicle(time + dt) @ vehicle_from_lidar for dt in (-half, half)]
    for pose in ends:
        pose[:3, 3] -= origin
    rotation, position = _column_poses(ends[0], ends[1], share)
    count = len(beams.elevation)
    noise = rng.standard_normal((2, count, len(azimuth)), np.float32) * np.float32(model.jitter)
    local = np.empty((count, len(azimuth), 3), np.float32)
    rays = np.empty((count, len(azimuth), 6), np.float32)
    _aim(
        beams.elevation, beams.azimuth_offset, azimuth, noise, np.ascontiguousarray(rotation, np.float32),
        np.ascontiguousarray(position, np.float32), local, rays,
    )  # fmt: skip
    hits = static.cast(rays.reshape(-1, 6))
    distance, look = hits.distance, hits.look
    incidence = np.abs(np.einsum("ij,ij->i", hits.normal, rays.reshape(-1, 6)[:, 3:]))
    tables, first, actor_of_ray = [static.looks], len(static.looks), np.full(len(distance), -1, np.int32)
    for number, actor in enumerate(traffic.actors):
        found = _cast_actor(number, actor, traffic, time, origin, actor_scene, signed, share, rays, beams, ends)
        if found is None:
            continue
        index, hit, cosine, scene = found
        closer = hit.distance < distance[index]
        index = index[closer]
        distance[index] = hit.distance[closer]
        incidence[index] = cosine[closer]
        look[index] = hit.look[closer] + first
        actor_of_ray[index] = number
        tables.append(scene.looks)
        first += len(scene.looks)
    table = np.concatenate(tables)
    return _returns(
        model, beams, table, rays.reshape(-1, 6), local, signed, distance, look, incidence, actor_of_ray, rng
    )


@compiled
def _aim(elevation, azimuth_offset, azimuth, noise, rotation, position, local, rays):
    """Directions in the LiDAR's frame at each firing, and rays in the world."""
    beams, columns = local.shape[0], local.shape[1]
    for i in range(beams):
        for j in range(columns):
            e = elevation[i] + noise[0, i, j]
            a = azimuth[j] + azimuth_offset[i] + noise[1, i, j]
            c = np.cos(e)
            x, y, z = np.float32(c * np.cos(a)), np.float32(c * np.sin(a)), np.float32(np.sin(e))
            local[i, j, 0] = x
            local[i, j, 1] = y
            local[i, j, 2] = z
            for k in range(3):
                rays[i, j, k] = position[j, k]
                rays[i, j, 3 + k] = rotation[j, k, 0] * x + rotation[j, k, 1] * y + rotation[j, k, 2] * z


def _cast_actor(number, actor: Actor, traffic: Traffic, time, origin, actor_scene, signed, share, rays, beams, ends):
    """Rays of a window around an actor, in its own frame at each ray's own time."""
    half = SWEEP_SECONDS / 2
    s_ego = float(traffic.ego.distance(time))
    if abs(float(actor.along(time)) - s_ego) > 95:
        return None
    poses = [_as_pose(*traffic.pose(actor, time + dt)) for dt in (-half, half)]
    for pose in poses:
        pose[:3, 3] -= origin
    scene: RayScene = actor_scene(actor, time)
    middle = 0.5 * (ends[0] + ends[1])
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    corners = scene.low + corners * (scene.high - scene.low)
    seen = np.concatenate([corners @ pose[:3, :3].T + pose[:3, 3] for pose in poses])
    seen = (seen - middle[:3, 3]) @ middle[:3, :3]
    flat = np.hypot(seen[:, 0], seen[:, 1])
    center = np.arctan2(seen[:, 1].mean(), seen[:, 0].mean())
    turn = np.arctan2(seen[:, 1], seen[:, 0]) - center
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    slack = min(0.02 + 0.8 / max(flat.min(), 1.0), 0.6)
    away = (signed - center + np.pi) % (2 * np.pi) - np.pi
    columns = np.flatnonzero((away > turn.min() - slack) & (away < turn.max() + slack))
    tilt = np.arctan2(seen[:, 2], flat)
    rows = np.flatnonzero((beams.elevation > tilt.min() - slack) & (beams.elevation < tilt.max() + slack))
    if len(columns) == 0 or len(rows) == 0:
        return None
    index = rows[:, None] * rays.shape[1] + columns
    block = rays.reshape(-1, 6)[index]
    rotation, position = _column_poses(poses[0], poses[1], share[columns])
    rotation = rotation.astype(np.float32)
    start = np.einsum("ijk,jkl->ijl", block[..., :3] - position.astype(np.float32), rotation)
    direction = np.einsum("ijk,jkl->ijl", block[..., 3:], rotation)
    inside = np.concatenate([start, direction], -1).reshape(-1, 6)
    hits = scene.cast(inside)
    is_hit = hits.look != MISSED
    cosine = np.abs(np.einsum("ij,ij->i", hits.normal, inside[:, 3:]))
    index = index.reshape(-1)[is_hit]
    kept = type(hits)(hits.distance[is_hit], hits.look[is_hit], hits.normal[is_hit])
    return (index, kept, cosine[is_hit], scene) if len(index) else None


def _returns(model, beams, table, rays, local, signed, distance, look, incidence, actor_of_ray, rng) -> Sweep:
    """Which pulses come back, from where, and how bright."""
    count, columns = local.shape[:2]
    uniform = rng.random((3, count * columns), np.float32)
    normal = rng.standard_normal((2, count * columns), np.float32)
    xyz = np.empty((count * columns, 3), np.float32)
    intensity = np.empty(count * columns, np.float32)
    is_kept = np.empty(count * columns, np.bool_)
    _answer(
        rays, local.reshape(-1, 3), distance, look, incidence, np.ascontiguousarray(table["material"]),
        np.ascontiguousarray(table["gain"]), material_table(),
        beams.gain, beams.bias, np.degrees(signed), np.degrees(beams.elevation), uniform, normal, model.reach,
        model.shortest, model.range_noise, model.threshold, xyz, intensity, is_kept,
    )  # fmt: skip
    rows = table[look[is_kept]]
    return Sweep(
        xyz[is_kept], intensity[is_kept], rows["semantic"].astype(np.int32), rows["instance"].astype(np.int32),
        actor_of_ray[is_kept],
    )  # fmt: skip


@compiled
def _is_blind(azimuth, elevation, chance):
    """Rays that the vehicle itself stops: roof edge at the back, hood in front, camera mounts at the sides."""
    a = abs(azimuth)
    if a > 166 and elevation < -11.6 - 0.25 * (180 - a):
        return True
    if a > 150 and elevation < -12.4 - 0.55 * (180 - a) + 2.0:
        return chance < 0.9
    if a < 36 and elevation < -21.6 - 2.2 * (a / 36) ** 2:
        return True
    if abs(a - 93) < 2.6:
        return chance < 0.8
    return abs(a - 99) < 1.2 and chance < 0.5


@compiled(inline="always")
def _patch(x, y, z):
    """Stains: neighboring points of a surface are alike. Unit variance, roughly, over decimeters and meters."""
    coarse = np.sin(1.3 * x + 1.7 * np.sin(0.9 * y + 0.7 * z)) * np.sin(1.1 * y + 1.5 * np.sin(0.8 * x + z))
    fine = np.sin(9.1 * x + 2.0 * np.sin(5.3 * y)) * np.sin(8.3 * y + 2.0 * np.sin(6.1 * z + 1.2 * x))
    return 1.4 * (coarse + fine)


@compiled
def _answer(
    rays, local, distance, look, incidence, material, gain, materials, beam_gain, beam_bias, azimuth, elevation,
    uniform,
    normal, reach, shortest, range_noise, threshold, xyz, intensity, is_kept,
):  # fmt: skip
    columns = len(azimuth)
    for i in range(len(distance)):
        is_kept[i] = False
        r = distance[i]
        if look[i] < 0 or r > reach + 0.2:
            continue
        beam, column = i // columns, i % columns
        if _is_blind(azimuth[column], elevation[beam], uniform[2, i]):
            continue
        m = material[look[i]]
        reflectivity, spread, zero_share, drop_share, roughness = materials[m]
        cosine = incidence[i]
        # Power falls with the square of the range; the chance of detection is logistic in its logarithm.
        albedo = max(0.08, 0.2 + 0.8 * min(1.0, reflectivity * gain[look[i]]))
        power = albedo * (0.35 + 0.65 * cosine) / (r * r)
        detected = 1.0 / (1.0 + (threshold / power) ** 3.0)
        if uniform[0, i] > detected * (1 - drop_share):
            continue
        measured = r + beam_bias[beam] + normal[0, i] * np.sqrt(range_noise * range_noise + roughness * roughness)
        if measured < shortest or measured > reach:
            continue
        # Intensity holds up to about 15 m, then a growing offset eats it, sooner where the beam grazes.
        value = reflectivity * gain[look[i]] * beam_gain[beam] * (1 + 0.62 * spread * normal[1, i])
        x, y, z = rays[i, 0] + r * rays[i, 3], rays[i, 1] + r * rays[i, 4], rays[i, 2] + r * rays[i, 5]
        value *= 1 + 0.55 * spread * _patch(x, y, z)
        value -= 0.0055 * max(0.0, r - 20.0) + 0.15 * max(0.0, 0.085 - cosine) / 0.085
        if uniform[1, i] < zero_share:
            value = 0.0
        intensity[i] = np.floor(min(max(value, 0.0), 0.99) * 100 + 0.5) / 100
        for k in range(3):
            xyz[i, k] = local[i, k] * measured
        is_kept[i] = True

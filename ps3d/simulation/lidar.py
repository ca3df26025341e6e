"""A spinning LiDAR of 64 beams (modeled on the Velodyne HDL-64E): rays of a rolling sweep, returns, intensity.

The sweep turns clockwise seen from above, so points on the left (+y) are measured before the reference time, when the
beam looks forward. Points are NOT motion-corrected, like KITTI-360's raw scans.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32

from ps3d.ops.compiled import compiled
from ps3d.simulation.materials import material_table
from ps3d.simulation.raycasting import CORNERS, RayScene
from ps3d.simulation.sine import sine
from ps3d.simulation.traffic import Traffic
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


def _column_poses(
    rotation: Float64[np.ndarray, "2 3 3"], position: Float64[np.ndarray, "2 3"], share: Float64[np.ndarray, "columns"]
) -> tuple[Float32[np.ndarray, "columns 3 3"], Float32[np.ndarray, "columns 3"]]:
    """Rotations and positions between two that are a sweep apart."""
    w = share[:, None, None]
    turned = rotation[0] * (1 - w) + rotation[1] * w
    return turned.astype(np.float32), (position[0] * (1 - w[:, 0]) + position[1] * w[:, 0]).astype(np.float32)


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
    ends = np.stack([traffic.world_from_vehicle(time + dt) @ vehicle_from_lidar for dt in (-half, half)])
    ends[:, :3, 3] -= origin
    rotation, position = _column_poses(ends[:, :3, :3], ends[:, :3, 3], share)
    count = len(beams.elevation)
    noise = rng.standard_normal((2, count, len(azimuth)), np.float32) * np.float32(model.jitter)
    local = np.empty((count, len(azimuth), 3), np.float32)
    rays = np.empty((count, len(azimuth), 6), np.float32)
    _aim(beams.elevation, beams.azimuth_offset, azimuth, noise, rotation, position, local, rays)
    hits = static.cast(rays.reshape(-1, 6))
    answer = _Answer(hits.distance, hits.look, hits.normal, np.full(len(hits.look), -1, np.int32))
    tables, first = [static.looks], len(static.looks)
    actors = traffic.near(time, 95)
    number_of = {id(actor): number for number, actor in enumerate(traffic.actors)}
    turns, places = traffic.poses(actors, np.array([time - half, time + half]))
    places = places - origin
    for k, actor in enumerate(actors):
        scene: RayScene = actor_scene(actor, time)
        rows, columns = _window_around(scene, turns[k], places[k], ends, signed, beams, model)
        if len(rows) == 0 or len(columns) == 0:
            continue
        pose = _column_poses(turns[k], places[k], share[columns])
        if _cast_actor(scene, pose, rows, columns, rays, answer, first, number_of[id(actor)]):
            tables.append(scene.looks)
            first += len(scene.looks)
    table = np.concatenate(tables)
    return _returns(model, beams, table, rays.reshape(-1, 6), local, signed, answer, rng)


@dataclass(frozen=True)
class _Answer:
    """What the rays met, in the order of the rays: as `Hits`, normals in each one's own frame of casting.

    Attributes:
        actor: place in the list of actors, -1 for what stands still.
    """

    distance: Float32[np.ndarray, "rays"]
    look: Int32[np.ndarray, "rays"]
    normal: Float32[np.ndarray, "rays 3"]
    actor: Int32[np.ndarray, "rays"]


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


def _window_around(
    scene: RayScene, rotation: Float64[np.ndarray, "2 3 3"], position: Float64[np.ndarray, "2 3"], ends, signed,
    beams: Beams, model: LidarModel,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(beams, azimuths) that may meet a shape during the sweep: its box as seen at both ends, with some slack.

    Args:
        rotation, position: of the shape at the sweep's ends.
        ends: poses of the sensor at the sweep's ends.
        signed: azimuth of each firing, -pi..pi.
    """
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64)
    corners = np.where(CORNERS, scene.high, scene.low).astype(np.float64)
    seen, gaps = [], []
    for turn, place, pose in zip(rotation, position, ends, strict=True):
        sensor = (pose[:3, 3] - place) @ turn
        gaps.append(np.maximum(np.maximum(scene.low - sensor, sensor - scene.high), 0))
        seen.append((corners @ turn.T + place - pose[:3, 3]) @ pose[:3, :3])
    if min(np.linalg.norm(gap) for gap in gaps) > model.reach + 1:
        return nothing
    local = np.concatenate(seen)
    middle = local.mean(0)
    center = np.arctan2(middle[1], middle[0])
    turns = (np.arctan2(local[:, 1], local[:, 0]) - center + np.pi) % (2 * np.pi) - np.pi
    nearest, farthest = min(np.hypot(gap[0], gap[1]) for gap in gaps), np.hypot(local[:, 0], local[:, 1]).max()
    slack = 0.02 + 0.1 / max(nearest, 1.0)
    away = (signed - center + np.pi) % (2 * np.pi) - np.pi
    columns = np.flatnonzero((away > turns.min() - slack) & (away < turns.max() + slack))
    low, high = local[:, 2].min(), local[:, 2].max()
    lowest = np.arctan2(low, nearest if low < 0 else farthest) - 0.04
    highest = np.arctan2(high, nearest if high > 0 else farthest) + 0.04
    return np.flatnonzero((beams.elevation > lowest) & (beams.elevation < highest)), columns


def _cast_actor(scene: RayScene, pose, rows, columns, rays, answer: _Answer, first: int, number: int) -> bool:
    """Cast the rays of a window in an actor's own frame at each ray's own time; whether it stands before others.

    Args:
        pose: rotation and position of the actor for each of `columns`.
        first: added to the looks.
        number: of the actor.
    """
    rotation, position = pose
    inside = np.empty((len(rows) * len(columns), 6), np.float32)
    _into(rays, rows, columns, rotation, position, inside)
    hits = scene.cast(inside)
    return _keep_closer(
        hits.distance, hits.look, hits.normal, rows, columns, rays.shape[1], rotation, first, number,
        answer.distance, answer.look, answer.normal, answer.actor,
    )  # fmt: skip


@compiled
def _into(rays, rows, columns, rotation, position, inside):
    """Rays (beams, azimuths, 6) of a window, in the frame that stands at rotation, position at each azimuth."""
    n = 0
    for i in rows:
        for j in range(len(columns)):
            ray, turn = rays[i, columns[j]], rotation[j]
            x, y, z = ray[0] - position[j, 0], ray[1] - position[j, 1], ray[2] - position[j, 2]
            for k in range(3):
                inside[n, k] = x * turn[0, k] + y * turn[1, k] + z * turn[2, k]
                inside[n, 3 + k] = ray[3] * turn[0, k] + ray[4] * turn[1, k] + ray[5] * turn[2, k]
            n += 1


@compiled
def _keep_closer(
    new_distance, new_look, new_normal, rows, columns, width, rotation, first, number, distance, look, normal, actor
):  # fmt: skip
    """Put what a window's rays met in place of what lies behind it; whether there was any."""
    n = 0
    is_any = False
    for i in rows:
        for j in range(len(columns)):
            place = i * width + columns[j]
            if new_look[n] >= 0 and new_distance[n] < distance[place]:
                distance[place] = new_distance[n]
                look[place] = new_look[n] + first
                actor[place] = number
                x, y, z = new_normal[n, 0], new_normal[n, 1], new_normal[n, 2]
                for k in range(3):
                    normal[place, k] = rotation[j, k, 0] * x + rotation[j, k, 1] * y + rotation[j, k, 2] * z
                is_any = True
            n += 1
    return is_any


def _returns(model: LidarModel, beams: Beams, table, rays, local, signed, answer: _Answer, rng) -> Sweep:
    """Which pulses come back, from where, and how bright."""
    count = len(rays)
    uniform = rng.random((3, count), np.float32)
    normal = rng.standard_normal((2, count), np.float32)
    xyz = np.empty((count, 3), np.float32)
    intensity = np.empty(count, np.float32)
    semantic, instance, actor = (np.empty(count, np.int32) for _ in range(3))
    kept = _answer(
        rays, local.reshape(-1, 3), answer.distance, answer.look, answer.normal, answer.actor,
        *(np.ascontiguousarray(table[name]) for name in ("material", "gain", "semantic", "instance")),
        material_table(), beams.gain, beams.bias, np.degrees(signed), np.degrees(beams.elevation), uniform, normal,
        model.reach, model.shortest, model.range_noise, model.threshold, xyz, intensity, semantic, instance, actor,
    )  # fmt: skip
    return Sweep(xyz[:kept], intensity[:kept], semantic[:kept], instance[:kept], actor[:kept])


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
    coarse = sine(1.3 * x + 1.7 * sine(0.9 * y + 0.7 * z)) * sine(1.1 * y + 1.5 * sine(0.8 * x + z))
    fine = sine(9.1 * x + 2.0 * sine(5.3 * y)) * sine(8.3 * y + 2.0 * sine(6.1 * z + 1.2 * x))
    return 1.4 * (coarse + fine)


@compiled
def _answer(
    rays, local, distance, look, surface, actor, material, gain, semantic, instance, materials, beam_gain, beam_bias,
    azimuth, elevation, uniform, normal, reach, shortest, range_noise, threshold, xyz, intensity, semantic_out,
    instance_out, actor_out,
):  # fmt: skip
    """Fill the last five arrays with what came back, one after another; how many."""
    columns = len(azimuth)
    n = 0
    for i in range(len(distance)):
        r = distance[i]
        if look[i] < 0 or r > reach + 0.2:
            continue
        beam, column = i // columns, i % columns
        if _is_blind(azimuth[column], elevation[beam], uniform[2, i]):
            continue
        m = material[look[i]]
        reflectivity, spread, zero_share, drop_share, roughness = materials[m]
        cosine = abs(surface[i, 0] * rays[i, 3] + surface[i, 1] * rays[i, 4] + surface[i, 2] * rays[i, 5])
        # Power falls with the square of the range; the chance of detection is logistic in its logarithm.
        albedo = max(0.08, 0.2 + 0.8 * min(1.0, reflectivity * gain[look[i]]))
        odds = threshold * r * r / (albedo * (0.35 + 0.65 * cosine))
        detected = 1.0 / (1.0 + odds * odds * odds)
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
        intensity[n] = np.floor(min(max(value, 0.0), 0.99) * 100 + 0.5) / 100
        for k in range(3):
            xyz[n, k] = local[i, k] * measured
        semantic_out[n], instance_out[n], actor_out[n] = semantic[look[i]], instance[look[i]], actor[i]
        n += 1
    return n

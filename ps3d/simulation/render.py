"""Rectified perspective pictures of a street with exact labels: one ray per pixel, one toward the sun."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8, UInt16

from ps3d.simulation.raycasting import CORNERS, MISSED, RayScene
from ps3d.simulation.shading import aim, aim_at_sun, between_neighbors, near_balls, pattern_table, shade
from ps3d.simulation.traffic import Traffic

_LIFT = 0.012
"""Meters from a surface toward the sun where its shadow ray starts."""


@dataclass(frozen=True)
class Daylight:
    """The drive's weather.

    Attributes:
        sun: direction to the sun, unit length.
        is_overcast: True for diffuse light without shadows.
    """

    sun: Float64[np.ndarray, "3"]
    is_overcast: bool


def draw_daylight(rng: np.random.Generator) -> Daylight:
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(24, 62))
    flat = np.cos(elevation)
    sun = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    return Daylight(sun, bool(rng.random() < 0.25))


@dataclass(frozen=True)
class Picture:
    """A picture and its labels.

    Attributes:
        rgb: the picture.
        semantic: KITTI-360 label id of each pixel.
        instance: id * 1000 + number, number 0 for none.
    """

    rgb: UInt8[np.ndarray, "height width 3"]
    semantic: UInt8[np.ndarray, "height width"]
    instance: UInt16[np.ndarray, "height width"]


def _pixel_rays(intrinsics: np.ndarray, pose: np.ndarray, size: tuple[int, int]) -> Float32[np.ndarray, "pixels 6"]:
    """A ray through the center of each pixel; its direction has length 1 along the camera's axis."""
    height, width = size
    u = ((np.arange(width) - intrinsics[0, 2]) / intrinsics[0, 0]).astype(np.float32)
    v = ((np.arange(height) - intrinsics[1, 2]) / intrinsics[1, 1]).astype(np.float32)
    rays = np.empty((height * width, 6), np.float32)
    aim(u, v, pose[:3, :3].astype(np.float32), pose[:3, 3].astype(np.float32), rays)
    return rays


def render(
    intrinsics: Float64[np.ndarray, "3 3"],
    world_from_camera: Float64[np.ndarray, "4 4"],
    size: tuple[int, int],
    static: RayScene,
    origin: Float64[np.ndarray, "3"],
    traffic: Traffic,
    time: float,
    daylight: Daylight,
    actor_scene,
    rng: np.random.Generator,
) -> Picture:
    """One picture at one instant (global shutter), in the drive's own frame.

    Args:
        static: everything that stands still, relative to `origin`.
        actor_scene: from (actor, time) to the `RayScene` of its shape.
    """
    pose = world_from_camera.copy()
    pose[:3, 3] -= origin
    rays = _pixel_rays(intrinsics, pose, size)
    hits = static.cast(rays)
    distance, look, normals = hits.distance, hits.look, hits.normal.copy()
    tables, first = [static.looks], len(static.looks)
    nearby: list[tuple[RayScene, np.ndarray, np.ndarray]] = []
    for actor in traffic.near(time):
        rotation, position = traffic.pose(actor, time)
        position = position - origin
        scene: RayScene = actor_scene(actor, time)
        nearby.append((scene, rotation, position))
        index = _pixels_around(scene, rotation, position, pose, intrinsics, size)
        if len(index) == 0:
            continue
        seen = scene.cast(_into(rays[index], rotation, position))
        closer = (seen.look != MISSED) & (seen.distance < distance[index])
        if not closer.any():
            continue
        chosen = index[closer]
        distance[chosen], look[chosen] = seen.distance[closer], seen.look[closer] + first
        normals[chosen] = seen.normal[closer] @ rotation.T.astype(np.float32)
        tables.append(scene.looks)
        first += len(scene.looks)
    lit = _sunlit(rays, distance, look, normals, static, nearby, daylight, size[1])
    table = np.concatenate(tables)
    return _paint(rays, distance, look, normals, lit, table, daylight, size, rng)


def _into(rays: np.ndarray, rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Rays in the frame of something that stands at `position`."""
    turn = rotation.astype(np.float32)
    return np.concatenate([(rays[:, :3] - position.astype(np.float32)) @ turn, rays[:, 3:] @ turn], 1)


def _pixels_around(scene: RayScene, rotation, position, pose, intrinsics, size) -> np.ndarray:
    """Places of the pixels in the rectangle around a shape."""
    corners = np.where(CORNERS, scene.high, scene.low).astype(np.float64)
    local = _in_front((corners @ rotation.T + position - pose[:3, 3]) @ pose[:3, :3])
    if len(local) == 0:
        return np.zeros(0, np.int64)
    height, width = size
    pixel = local[:, :2] / local[:, 2:] * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]
    low, high = np.maximum(pixel.min(0) - 1, 0), np.minimum(pixel.max(0) + 2, [width - 1, height - 1])
    if (low > high).any():
        return np.zeros(0, np.int64)
    columns = np.arange(int(low[0]), int(high[0]) + 1)
    rows = np.arange(int(low[1]), int(high[1]) + 1)
    return (rows[:, None] * width + columns).reshape(-1)


def _in_front(corners: Float64[np.ndarray, "8 3"], depth: float = 0.1) -> Float64[np.ndarray, "points 3"]:
    """Corners of the part of a box that lies beyond a depth, and some points inside it."""
    z = corners[:, 2]
    behind, ahead = np.nonzero((z[:, None] < depth) & (z >= depth))
    share = ((depth - z[behind]) / (z[ahead] - z[behind]))[:, None]
    return np.concatenate([corners[z >= depth], corners[behind] * (1 - share) + corners[ahead] * share])


def _sunlit(
    rays, distance, look, normals, static: RayScene, nearby, daylight: Daylight, width: int
) -> Float32[np.ndarray, "pixels"]:
    """How much of the sun reaches a pixel's surface, 0..1.

    Shadow rays cost as much as all others together, so every second pixel (as on a chessboard) takes the mean of its
    left and right neighbors where both show the same look and face the sun: edges of shadows get one pixel softer.
    """
    lit = np.zeros(len(distance), np.float32)
    if daylight.is_overcast:
        lit[:] = 1
        return lit
    sun = daylight.sun.astype(np.float32)
    shadow, pixel = np.empty((len(distance), 6), np.float32), np.empty(len(distance), np.int64)
    count = aim_at_sun(rays, distance, look, normals, sun, np.float32(_LIFT), shadow, pixel)
    facing = pixel[:count]
    is_between = between_neighbors(facing, look, width)
    shadow, pixel = shadow[:count][~is_between], facing[~is_between]
    is_free = ~static.is_covered(shadow, 80.0)
    shadow, pixel = shadow[is_free], pixel[is_free]
    lit[pixel] = 1
    for (scene, rotation, position), near in zip(nearby, _near_actors(shadow, sun, nearby), strict=True):
        chosen = np.flatnonzero(near)
        if len(chosen):
            cast = _into(shadow[chosen], rotation, position)
            lit[pixel[chosen[scene.is_covered(cast)]]] = 0
    between = facing[is_between]
    lit[between] = 0.5 * (lit[between - 1] + lit[between + 1])
    return lit


def _near_actors(shadow: np.ndarray, sun: np.ndarray, nearby) -> np.ndarray:
    """For each actor, which shadow rays come near it."""
    centers = [rotation @ (0.5 * (scene.low + scene.high)) + position for scene, rotation, position in nearby]
    radii = [0.5 * np.linalg.norm(scene.high - scene.low) for scene, _, _ in nearby]
    across = np.cross(sun, np.array([0, 0, 1], np.float32))
    across /= np.linalg.norm(across)
    return near_balls(
        shadow, sun, across, np.cross(across, sun), np.array(centers, np.float32).reshape(-1, 3),
        np.array(radii, np.float32),
    )  # fmt: skip


def _paint(rays, distance, look, normals, lit, table, daylight: Daylight, size, rng) -> Picture:
    count = len(distance)
    rgb, semantic = np.empty((count, 3), np.uint8), np.empty(count, np.uint8)
    instance = np.empty(count, np.uint16)
    shade(
        rays[:, 3:], distance, look, normals, lit, rays[0, :3], daylight.sun, daylight.is_overcast,
        np.ascontiguousarray(table["color"]), np.ascontiguousarray(table["material"]), pattern_table(),
        np.ascontiguousarray(table["semantic"]), np.ascontiguousarray(table["instance"]),
        rng.standard_normal(count, np.float32), rgb, semantic, instance,
    )  # fmt: skip
    return Picture(rgb.reshape(*size, 3), semantic.reshape(size), instance.reshape(size))

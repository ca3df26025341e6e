"""The color of a pixel: sun, sky light, shadow, haze, and patterns on materials. Compiled, one pass over all pixels."""

import math

import numpy as np

from ps3d.ops.compiled import compiled
from ps3d.simulation.materials import MATERIALS
from ps3d.simulation.sine import sine

PATTERNS = ("noise", "slabs", "bricks", "tiles", "planks", "glass", "paint")


def pattern_table() -> np.ndarray:
    """(pattern number, grain) of each material."""
    rows = [(PATTERNS.index(material.texture), material.grain) for material in MATERIALS.values()]
    return np.array(rows, np.float32)


@compiled(inline="always")
def _hash(a, b, c):
    mixed = (np.int64(a) * 73856093) ^ (np.int64(b) * 19349663) ^ (np.int64(c) * 83492791)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return ((mixed ^ (mixed >> 16)) & 0xFFFF) / 65535.0


@compiled(inline="always")
def _cell(x):
    return np.int64(math.floor(x))


@compiled
def _pattern(kind, u, z, x, y):
    """Brightness of joints: u along the surface, z up, x and y on the ground."""
    if kind == 1:
        fx, fy = x / 0.5 - math.floor(x / 0.5), y / 0.5 - math.floor(y / 0.5)
        return 0.78 if fx < 0.05 or fy < 0.05 else 0.94 + 0.12 * _hash(_cell(x / 0.5), _cell(y / 0.5), 5)
    if kind == 2:
        row = _cell(z / 0.09)
        along = u / 0.27 + 0.5 * (row % 2)
        is_joint = along - math.floor(along) < 0.06 or z / 0.09 - row < 0.14
        return 1.15 if is_joint else 0.86 + 0.28 * _hash(_cell(along), row, 3)
    if kind == 3:
        row = _cell(z / 0.22)
        return 0.82 if z / 0.22 - row < 0.2 else 0.9 + 0.2 * _hash(_cell(u / 0.25), row, 9)
    if kind == 4:
        plank = _cell(u / 0.14)
        return 0.75 if u / 0.14 - plank < 0.08 else 0.85 + 0.3 * _hash(plank, 1, 2)
    return 1.0


@compiled
def _sky(dx, dy, dz, sun, is_overcast, out):
    """Sky in a direction: blue above, pale below, a glow around the sun, soft clouds."""
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    up = max(dz / length, 0.0)
    fade = (1 - up) ** 3
    toward = max((dx * sun[0] + dy * sun[1] + dz * sun[2]) / length, 0.0)
    a, b = dx / length * 3.1 / (up + 0.25), dy / length * 3.1 / (up + 0.25)
    cloud = 0.5 + 0.25 * sine(1.9 * a + 1.3 * sine(1.1 * b)) + 0.25 * sine(2.3 * b + 1.7 * sine(0.9 * a))
    cloud = max(cloud - 0.55, 0.0) * 1.6
    if is_overcast:
        cloud = 0.75 + 0.25 * cloud
    base = (0.36 + 0.42 * fade, 0.55 + 0.29 * fade, 0.82 + 0.09 * fade)
    glow = 0.5 * toward**24
    for k in range(3):
        out[k] = base[k] * (1 - cloud) + 0.86 * cloud + (0.0 if is_overcast else glow)


@compiled(fastmath=True)
def shade(
    directions, distance, look, normals, lit, camera, sun, is_overcast, color, material, patterns, semantic, instance,
    grain_noise, rgb, semantic_out, instance_out,
):  # fmt: skip
    """Fill the picture and its labels; all arrays run over pixels. Colors are mixed in linear light."""
    sky = np.zeros(3)
    ambient = (0.50, 0.54, 0.60) if not is_overcast else (0.74, 0.76, 0.80)
    sunlight = (0.98, 0.92, 0.80) if not is_overcast else (0.12, 0.12, 0.12)
    for i in range(len(distance)):
        dx, dy, dz = directions[i, 0], directions[i, 1], directions[i, 2]
        if look[i] < 0:
            _sky(dx, dy, dz, sun, is_overcast, sky)
            for k in range(3):
                rgb[i, k] = np.uint8(255 * min(max(sky[k] + 0.008 * grain_noise[i], 0.0), 1.0))
            semantic_out[i] = 23
            instance_out[i] = 23000
            continue
        n = look[i]
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        if nx * dx + ny * dy + nz * dz > 0:
            nx, ny, nz = -nx, -ny, -nz
        d = distance[i]
        x, y, z = camera[0] + dx * d, camera[1] + dy * d, camera[2] + dz * d
        kind = int(patterns[material[n], 0])
        grain = patterns[material[n], 1]
        along = x * -ny + y * nx if abs(nz) < 0.8 else x + y
        strength = 1.0 / (1.0 + (d / 28.0) ** 2)
        fine = _hash(_cell(x * 60), _cell(y * 60), _cell(z * 60)) - 0.5
        coarse = sine(x * 0.9 + 1.7 * sine(y * 0.7)) * sine(y * 1.1 + 1.3 * sine(x * 0.6 + z))
        shine = 1.0 + grain * (1.3 * fine * strength + 0.45 * coarse)
        if kind > 0:
            shine *= 1.0 + (_pattern(kind, along, z, x, y) - 1.0) * min(1.0, 1.6 * strength)
        facing = max(nx * sun[0] + ny * sun[1] + nz * sun[2], 0.0) * lit[i]
        above = 0.62 + 0.38 * nz
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        mirror = 0.0
        if kind >= 5:
            # Panes and paint mirror the sky, more at grazing angles.
            cosine = min(abs(nx * dx + ny * dy + nz * dz) / length, 1.0)
            mirror = (0.10 if kind == 6 else 0.16) + 0.7 * (1 - cosine) ** 4
            back = 2 * (nx * dx + ny * dy + nz * dz)
            _sky(dx - back * nx, dy - back * ny, max(dz - back * nz, 0.02), sun, is_overcast, sky)
        haze = 1 - math.exp(-d * length / 420.0)
        for k in range(3):
            light = ambient[k] * above + sunlight[k] * facing
            value = color[n, k] * shine * light
            if mirror > 0:
                value = value * (1 - mirror) + mirror * (0.75 * sky[k] * sky[k] + 0.02)
            value = value * (1 - haze) + haze * 0.62
            value = math.sqrt(max(value, 0.0)) * 1.03 - 0.02
            rgb[i, k] = np.uint8(255 * min(max(value + 0.010 * grain_noise[i], 0.0), 1.0))
        semantic_out[i] = semantic[n]
        instance_out[i] = np.uint16(semantic[n]) * 1000 + instance[n]


@compiled
def aim(u, v, rotation, position, rays):
    """Rays (pixels, 6) through all pixels: u and v are columns and rows at depth 1."""
    n = 0
    for i in range(len(v)):
        for j in range(len(u)):
            for k in range(3):
                rays[n, k] = position[k]
                rays[n, 3 + k] = v[i] * rotation[k, 1] + rotation[k, 2] + u[j] * rotation[k, 0]
            n += 1


@compiled
def aim_at_sun(rays, distance, look, normals, sun, lift, shadow, pixel):
    """Fill `shadow` with rays toward the sun from what faces it, and `pixel` with their pixels; how many."""
    count = 0
    for i in range(len(distance)):
        if look[i] < 0:
            continue
        facing = normals[i, 0] * sun[0] + normals[i, 1] * sun[1] + normals[i, 2] * sun[2]
        away = normals[i, 0] * rays[i, 3] + normals[i, 1] * rays[i, 4] + normals[i, 2] * rays[i, 5]
        if (facing >= 0) if away > 0 else (facing <= 0):
            continue
        for k in range(3):
            shadow[count, k] = rays[i, k] + rays[i, 3 + k] * distance[i] * np.float32(0.9995) + lift * sun[k]
            shadow[count, 3 + k] = sun[k]
        pixel[count] = i
        count += 1
    return count


@compiled
def between_neighbors(pixel, look, width):
    """Which of these pixels (ascending) are black on a chessboard and have a left and a right one of their look."""
    between = np.zeros(len(pixel), np.bool_)
    for place in range(1, len(pixel) - 1):
        i = pixel[place]
        row, column = i // width, i % width
        if (row + column) % 2 == 0 or column == 0 or column == width - 1:
            continue
        if pixel[place - 1] == i - 1 and pixel[place + 1] == i + 1:
            between[place] = look[i - 1] == look[i] and look[i + 1] == look[i]
    return between


@compiled
def near_balls(starts, along, across, up, centers, radii):
    """Which balls (rows) the rays (columns) meet that start at `starts` and all go `along`; three axes of length 1."""
    near = np.zeros((len(radii), len(starts)), np.bool_)
    places = np.empty((len(radii), 3), centers.dtype)
    for b in range(len(radii)):
        for k, axis in enumerate((along, across, up)):
            places[b, k] = centers[b, 0] * axis[0] + centers[b, 1] * axis[1] + centers[b, 2] * axis[2]
    for i in range(len(starts)):
        x, y, z = starts[i, 0], starts[i, 1], starts[i, 2]
        ahead = x * along[0] + y * along[1] + z * along[2]
        right = x * across[0] + y * across[1] + z * across[2]
        high = x * up[0] + y * up[1] + z * up[2]
        for b in range(len(radii)):
            u, v, r = right - places[b, 1], high - places[b, 2], radii[b]
            if u * u + v * v < r * r and places[b, 0] - ahead > -r:
                near[b, i] = True
    return near

"""Shapes of what stands along streets: poles, lamps, signs, lights, bins, cabinets, stops. Feet at z = 0."""

import numpy as np

from ps3d.simulation.materials import Look
from ps3d.simulation.meshes import Mesh, Real, box, merge, tube

POLE, LIGHT, SIGN, STOP, SMALL_POLE, LAMP, BIN, VENDING, BOX, UNKNOWN = 17, 19, 20, 36, 37, 38, 39, 40, 41, 44


def _steel(rng: np.random.Generator, semantic: int = POLE) -> Look:
    tone = rng.uniform(0.25, 0.6)
    return Look(semantic, "metal", (tone, tone, tone * 1.03), float(rng.uniform(0.7, 1.25)))


def make_lamp_post(rng: np.random.Generator) -> Mesh:
    """A street light; its head counts as lamp, its post as pole. The arm reaches along +y, over the street."""
    height, reach = rng.uniform(5.0, 9.0), float(rng.choice([0.0, 0.9, 1.8]))
    steel = _steel(rng)
    head = Look(LAMP, "plastic", (0.5, 0.5, 0.5), 1.4)
    parts = [tube((0, 0, -0.3), (0, 0, height), rng.uniform(0.06, 0.10), steel, 8, 0.045)]
    if reach:
        parts.append(tube((0, 0, height - 0.05), (0, reach, height + 0.2), 0.035, steel, 6))
        parts.append(box((0.28, 0.7, 0.14), head, (0, reach + 0.2), height + 0.12))
    else:
        parts.append(tube((0, 0, height), (0, 0, height + 0.45), 0.10, head, 8, 0.24))
    return merge(parts)


def make_utility_pole(rng: np.random.Generator) -> Mesh:
    """A wooden or concrete mast with a cross arm."""
    wood = Look(POLE, "wood", (0.3, 0.22, 0.15), 0.75)
    height = rng.uniform(6.5, 9.0)
    parts = [tube((0, 0, -0.3), (0, 0, height), rng.uniform(0.11, 0.16), wood, 8, 0.09)]
    parts.append(box((0.1, 1.4, 0.1), wood, (0, 0), height - 0.5))
    return merge(parts)


def _disc(radius: Real, z: Real, look: Look, x: Real, sides: int = 14) -> Mesh:
    return tube((x, 0, z), (x + 0.012, 0, z), radius, look, sides)


SIGN_COLORS = ((0.75, 0.08, 0.08), (0.1, 0.25, 0.65), (0.9, 0.9, 0.9), (0.9, 0.75, 0.1), (0.1, 0.45, 0.25))


def make_sign(rng: np.random.Generator) -> Mesh:
    """One or two traffic signs on a post; the face looks along -x, toward arriving traffic."""
    steel = _steel(rng)
    height = rng.uniform(2.2, 2.9)
    parts = [tube((0, 0, -0.3), (0, 0, height + 0.5), 0.035, steel, 6)]
    z = height
    for _ in range(int(rng.integers(1, 3))):
        color = SIGN_COLORS[int(rng.integers(len(SIGN_COLORS)))]
        face = Look(SIGN, "sign", color, float(rng.uniform(0.55, 1.2)))
        back = Look(SIGN, "sign_back", (0.55, 0.55, 0.56))
        radius = rng.uniform(0.28, 0.40)
        sides = int(rng.choice([3, 4, 4, 8, 16, 16]))
        parts += [_disc(radius, z, face, -0.065, sides), _disc(radius, z, back, -0.05, sides)]
        z -= 2 * radius + 0.05
    return merge(parts)


def make_street_name(rng: np.random.Generator) -> Mesh:
    """A street name plate or direction sign."""
    face = Look(SIGN, "sign", ((0.1, 0.2, 0.6), (0.9, 0.9, 0.9), (0.9, 0.8, 0.2))[int(rng.integers(3))])
    width = rng.uniform(0.8, 1.6)
    return merge(
        [
            tube((0, 0, -0.3), (0, 0, 2.7), 0.035, _steel(rng), 6),
            box((width, 0.03, rng.uniform(0.2, 0.45)), face, (0, 0), 2.3),
        ]
    )


def make_billboard(rng: np.random.Generator) -> Mesh:
    """A town sign or information board on two posts, across the view of arriving traffic."""
    steel = _steel(rng)
    width, height = rng.uniform(1.0, 2.2), rng.uniform(0.8, 1.5)
    face = Look(SIGN, "sign", SIGN_COLORS[int(rng.integers(len(SIGN_COLORS)))], float(rng.uniform(0.5, 1.0)))
    parts = [tube((0, s * 0.4 * width, -0.3), (0, s * 0.4 * width, 1.2 + height), 0.045, steel, 6) for s in (1, -1)]
    return merge([*parts, box((0.05, width, height), face, (-0.05, 0), 1.1)])


def make_traffic_light(rng: np.random.Generator) -> Mesh:
    """Signal heads on a post, sometimes one on an arm over the street (+y)."""
    steel = _steel(rng)
    height = rng.uniform(3.0, 3.8)
    shell = Look(LIGHT, "plastic", (0.05, 0.10, 0.08), 1.3)
    plate = Look(LIGHT, "sign_back", (0.08, 0.08, 0.08))
    parts = [tube((0, 0, -0.3), (0, 0, height), 0.07, steel, 8)]
    heads = [(0.0, 0.18, height - 1.0)] + ([(0.0, -0.18, height - 1.2)] if rng.random() < 0.5 else [])
    if rng.random() < 0.4:
        parts = [tube((0, 0, -0.3), (0, 0, 5.6), 0.09, steel, 8), tube((0, 0, 5.5), (0, 3.2, 5.6), 0.05, steel, 6)]
        heads.append((0.0, 3.2, 4.9))
    colors = ((0.8, 0.1, 0.05), (0.25, 0.2, 0.02), (0.02, 0.2, 0.05))
    for x, y, z in heads:
        parts += [box((0.22, 0.30, 0.95), shell, (x, y), z), box((0.02, 0.42, 1.08), plate, (x + 0.05, y), z - 0.06)]
        for n, color in enumerate(colors):
            lens = Look(LIGHT, "lamp_glass", color)
            parts.append(tube((x - 0.115, y, z + 0.78 - 0.3 * n), (x - 0.13, y, z + 0.78 - 0.3 * n), 0.09, lens, 8))
    return merge(parts)


def make_bollard(rng: np.random.Generator) -> Mesh:
    """A bollard or small post."""
    height = rng.uniform(0.7, 1.1)
    look = Look(SMALL_POLE, "metal" if rng.random() < 0.6 else "concrete", (0.45, 0.42, 0.4), 1.1)
    band = Look(SMALL_POLE, "reflector", (0.85, 0.85, 0.85), 0.8)
    radius = rng.uniform(0.05, 0.11)
    return merge(
        [
            tube((0, 0, -0.2), (0, 0, height), radius, look, 8),
            tube((0, 0, 0.75 * height), (0, 0, 0.88 * height), radius + 0.006, band, 8),
        ]
    )


def make_bin(rng: np.random.Generator) -> Mesh:
    """A wheeled bin or litter basket."""
    color = ((0.10, 0.11, 0.10), (0.10, 0.20, 0.45), (0.45, 0.28, 0.10), (0.65, 0.55, 0.10), (0.1, 0.3, 0.15))
    look = Look(BIN, "plastic", color[int(rng.integers(len(color)))], float(rng.uniform(0.9, 1.7)))
    if rng.random() < 0.25:
        return merge([tube((0, 0, 0), (0, 0, 0.8), 0.22, look, 10, 0.26), tube((0, 0, 0), (0, 0, 1.2), 0.03, look, 5)])
    size = (0.7, 1.2, 1.2) if rng.random() < 0.2 else (0.58, 0.52, 1.0)
    return merge(
        [box(size, look, (0, 0), 0.06), box((size[0] + 0.06, size[1] + 0.04, 0.07), look, (0, 0), size[2] + 0.04)]
    )


def make_cabinet(rng: np.random.Generator) -> Mesh:
    """A cable cabinet or mailbox."""
    look = Look(BOX, "plastic", ((0.6, 0.6, 0.58), (0.85, 0.7, 0.05), (0.35, 0.37, 0.36))[int(rng.integers(3))], 1.8)
    size = (rng.uniform(0.5, 1.4), rng.uniform(0.3, 0.5), rng.uniform(0.9, 1.4))
    return merge([box(size, look, (0, 0), 0.0), box((size[0] + 0.06, size[1] + 0.06, 0.06), look, (0, 0), size[2])])


def make_vending_machine(rng: np.random.Generator) -> Mesh:
    """A ticket or cigarette machine."""
    look = Look(VENDING, "paint", tuple(rng.uniform(0.1, 0.7, 3).tolist()), 0.9)
    return merge(
        [
            box((0.75, 0.45, rng.uniform(1.5, 1.8)), look),
            box((0.6, 0.02, 0.6), Look(VENDING, "window", (0.1, 0.1, 0.1)), (0, -0.23), 0.8),
        ]
    )


def make_bus_stop(rng: np.random.Generator) -> Mesh:
    """A shelter: frame, panes, bench, roof. Opens toward -y."""
    steel, glass = _steel(rng, STOP), Look(STOP, "glass", (0.25, 0.3, 0.3))
    wood = Look(STOP, "wood", (0.4, 0.3, 0.2))
    length = rng.uniform(3.0, 4.6)
    parts = [
        tube((s * length / 2, y, -0.2), (s * length / 2, y, 2.4), 0.04, steel, 6) for s in (1, -1) for y in (0, 1.2)
    ]
    parts += [box((length + 0.3, 1.7, 0.12), steel, (0, 0.55), 2.4), box((length, 0.03, 1.9), glass, (0, 1.2), 0.3)]
    parts += [box((0.03, 1.1, 1.9), glass, (s * length / 2, 0.6), 0.3) for s in (1, -1)]
    parts += [box((0.7 * length, 0.4, 0.08), wood, (0, 0.85), 0.45)]
    return merge(parts)


def make_bench(rng: np.random.Generator) -> Mesh:
    """A park bench."""
    wood = Look(UNKNOWN, "wood", (0.4, 0.28, 0.18), float(rng.uniform(0.8, 1.1)))
    return merge(
        [box((1.7, 0.45, 0.07), wood, (0, 0), 0.42), box((1.7, 0.06, 0.4), wood, (0, 0.24), 0.48)]
        + [box((0.08, 0.4, 0.42), wood, (x, 0), 0) for x in (-0.7, 0.7)]
    )


def make_container(rng: np.random.Generator) -> Mesh:
    """A freight or waste container."""
    look = Look(UNKNOWN, "metal", tuple(rng.uniform(0.1, 0.6, 3).tolist()), float(rng.uniform(0.9, 1.4)))
    size = (6.0, 2.4, 2.5) if rng.random() < 0.5 else (3.6, 1.8, rng.uniform(1.2, 1.7))
    return box(size, look, (0, 0), 0.05)

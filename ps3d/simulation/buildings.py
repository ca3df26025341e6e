"""Shapes of buildings, garages, walls, fences and gates. x along the street, y away from it, front at y = 0."""

import numpy as np

from ps3d.simulation.materials import Look
from ps3d.simulation.meshes import Mesh, Real, box, merge, of_one_look, tube

BUILDING, WALL, FENCE, GUARD_RAIL, GATE = 11, 12, 13, 14, 35
GARAGE = BUILDING
"""Not 34: the official image evaluator merges garages into buildings in the truth but drops them as predictions."""

FACADES = (
    (0.82, 0.78, 0.68), (0.88, 0.87, 0.84), (0.75, 0.60, 0.45), (0.80, 0.70, 0.50), (0.62, 0.45, 0.38),
    (0.72, 0.74, 0.74), (0.70, 0.52, 0.42), (0.55, 0.60, 0.62), (0.85, 0.80, 0.72), (0.60, 0.66, 0.55),
)  # fmt: skip


def _facade(rng: np.random.Generator, semantic: int = BUILDING) -> Look:
    material = ("plaster", "plaster", "plaster", "brick", "concrete")[int(rng.integers(5))]
    color = (0.52, 0.27, 0.20) if material == "brick" else FACADES[int(rng.integers(len(FACADES)))]
    return Look(semantic, material, color, float(rng.uniform(0.78, 1.22)))


def _quads(corners: list[np.ndarray], look: Look) -> Mesh:
    """One mesh of separate quads, four corners each."""
    vertices = np.concatenate(corners).reshape(-1, 3)
    first = np.arange(0, len(vertices), 4)
    faces = np.concatenate([np.stack([first, first + 1, first + 2], 1), np.stack([first, first + 2, first + 3], 1)])
    return of_one_look(vertices, faces, look)


def _wall_with_windows(
    rng: np.random.Generator, start: np.ndarray, end: np.ndarray, height: Real, look: Look, storey: Real, shop: bool
) -> list[Mesh]:
    """A vertical wall from start to end (x, y) with recessed windows and perhaps doors or shop windows."""
    along = end - start
    length = float(np.linalg.norm(along))
    along = along / length
    inward = np.array([-along[1], along[0]])
    columns = max(1, int(length / rng.uniform(2.2, 3.6)))
    rows = max(1, int(height / storey))
    share = rng.uniform(0.35, 0.55)
    x = np.linspace(0, length, columns + 1)
    wall, panes, sills, depth = [], [], [], 0.14

    def point(u: Real, z: Real, inset: Real = 0.0) -> np.ndarray:
        xy = start + along * u + inward * inset
        return np.array([xy[0], xy[1], z])

    def quad(u0: Real, u1: Real, z0: Real, z1: Real, inset: Real = 0.0) -> np.ndarray:
        return np.array([point(u0, z0, inset), point(u1, z0, inset), point(u1, z1, inset), point(u0, z1, inset)])

    wall.append(quad(0, length, -0.6, 0.0))
    door = int(rng.integers(columns)) if rng.random() < 0.8 else -1
    for row in range(rows):
        z0, z1 = row * storey, (row + 1) * storey if row < rows - 1 else height
        low, high = z0 + 0.85, z0 + min(storey - 0.4, 2.2)
        for column in range(columns):
            u0, u1 = x[column], x[column + 1]
            half = 0.5 * share * (u1 - u0)
            a, b = 0.5 * (u0 + u1) - half, 0.5 * (u0 + u1) + half
            bottom, top = low, high
            if row == 0 and shop:
                a, b, bottom, top = u0 + 0.2, u1 - 0.2, 0.35, min(2.7, storey - 0.4)
            if row == 0 and column == door:
                bottom = 0.02
            elif rng.random() < 0.12:
                wall.append(quad(u0, u1, z0, z1))
                continue
            wall += [quad(u0, a, z0, z1), quad(b, u1, z0, z1), quad(a, b, z0, bottom), quad(a, b, top, z1)]
            panes.append(quad(a, b, bottom, top, depth))
            for edge in ((a, a), (b, b)):
                sills.append(
                    np.array([point(edge[0], bottom), point(edge[0], top), point(edge[0], top, depth),
                              point(edge[0], bottom, depth)])
                )  # fmt: skip
            for z in (bottom, top):
                sills.append(np.array([point(a, z), point(b, z), point(b, z, depth), point(a, z, depth)]))
    glass = Look(look.semantic, "window", (0.12, 0.14, 0.16))
    frame = Look(look.semantic, "plaster", (0.85, 0.85, 0.83), 0.9)
    blind = Look(look.semantic, "plastic", (0.75, 0.74, 0.70), 1.6)
    meshes = [_quads(wall, look)]
    if panes:
        closed = rng.random(len(panes)) < 0.25
        for selected, appearance in ((~closed, glass), (closed, blind)):
            if selected.any():
                meshes.append(_quads([p for p, keep in zip(panes, selected, strict=True) if keep], appearance))
        meshes.append(_quads(sills, frame))
    return meshes


def make_building(
    rng: np.random.Generator, width: Real, depth: Real, height: Real, roof: str = "gable", shop: bool = False
) -> Mesh:
    """A house, block or hall.

    Args:
        width: along the street, meters.
        depth: away from the street, meters.
        height: of the eaves, meters.
        roof: gable (ridge along the street), cross (ridge toward the street), hip or flat.
        shop: True for shop windows on the ground floor.
    """
    look = _facade(rng)
    storey = float(rng.uniform(2.7, 3.2)) if height < 14 else 3.0
    w, d = width / 2, depth
    corners = [np.array([-w, 0.0]), np.array([w, 0.0]), np.array([w, d]), np.array([-w, d])]
    parts: list[Mesh] = []
    for number in range(4):
        start, end = corners[number], corners[(number + 1) % 4]
        parts += _wall_with_windows(rng, start, end, height, look, storey, shop and number == 0)
    parts += _roof(rng, roof, w, d, height, look)
    if rng.random() < 0.5 and height < 8:
        # A porch, bay or conservatory breaks the flat front.
        size = (rng.uniform(1.5, 3.5), rng.uniform(0.8, 1.6), rng.uniform(2.3, min(height, 4.5)))
        parts.append(box(size, look, (rng.uniform(-0.3, 0.3) * width, -size[1] / 2 + 0.01), -0.3))
    if height > 6 and rng.random() < 0.45:
        parts += _balconies(rng, w, height, storey)
    return merge(parts)


def _balconies(rng: np.random.Generator, half: Real, height: Real, storey: Real) -> list[Mesh]:
    slab = Look(BUILDING, "concrete", (0.6, 0.6, 0.6))
    rail = Look(BUILDING, "metal", (0.3, 0.3, 0.32), 1.3)
    x, parts = rng.uniform(-0.5, 0.5) * half, []
    for storey_number in range(1, int(height / storey)):
        z = storey_number * storey
        parts.append(box((2.6, 1.1, 0.14), slab, (x, -0.55), z))
        parts.append(box((2.6, 0.04, 0.95), rail, (x, -1.08), z))
        parts += [box((0.04, 1.1, 0.95), rail, (x + s * 1.28, -0.55), z) for s in (1, -1)]
    return parts


def _roof(rng: np.random.Generator, kind: str, w: Real, d: Real, height: Real, facade: Look) -> list[Mesh]:
    colors = ((0.45, 0.20, 0.14), (0.35, 0.16, 0.12), (0.20, 0.20, 0.22), (0.30, 0.26, 0.24))
    tiles = Look(BUILDING, "tiles", colors[int(rng.integers(len(colors)))], float(rng.uniform(0.7, 1.3)))
    over, rise = 0.35, float(rng.uniform(0.55, 0.95))
    if kind == "flat":
        slab = box((2 * w + 0.3, d + 0.3, 0.35), Look(BUILDING, "concrete", (0.5, 0.5, 0.5)), (0, d / 2), height - 0.05)
        hut = box((2.5, 2.5, 2.0), facade, (rng.uniform(-0.4, 0.4) * w, d / 2), height)
        return [slab, hut] if height > 8 else [slab]
    if kind == "cross":
        ridge = height + rise * w
        z = height - over * rise
        a, b = np.array([-w - over, 0, z]), np.array([w + over, 0, z])
        out = [
            np.array([[x[0], -over, z], [0, -over, ridge], [0, d + over, ridge], [x[0], d + over, z]]) for x in (a, b)
        ]
        gables = [
            np.array([[-w, y, height], [w, y, height], [0, y, ridge - 0.05], [0, y, ridge - 0.05]]) for y in (0, d)
        ]
    else:
        ridge = height + rise * d / 2
        z = height - over * rise
        cut = min(w, d / 2) if kind == "hip" else -over
        top = [np.array([-w + cut, d / 2, ridge]), np.array([w - cut, d / 2, ridge])]
        out = []
        for y in (-over, d + over):
            out.append(np.array([[-w - over, y, z], [w + over, y, z], top[1], top[0]]))
        ends = [(-w - over, top[0]), (w + over, top[1])]
        if kind == "hip":
            out += [np.array([[x, -over, z], [x, d + over, z], t, t]) for x, t in ends]
        gables = [
            np.array([[x, 0, height], [x, d, height], [x, d / 2, ridge - 0.05], [x, d / 2, ridge - 0.05]])
            for x in (-w, w)
        ]
        gables = [] if kind == "hip" else gables
    parts = [_quads(out, tiles)]
    if gables:
        parts.append(_quads(gables, facade))
    if rng.random() < 0.7:
        chimney = Look(BUILDING, "brick", (0.4, 0.25, 0.2))
        parts.append(
            box(
                (0.6, 0.6, 1.6 + rise * d / 4), chimney, (rng.uniform(-0.5, 0.5) * w, d / 2), ridge - rise * d / 4 - 0.4
            )
        )
    return parts


def make_hall(rng: np.random.Generator, width: Real, depth: Real, height: Real) -> Mesh:
    """An industrial hall with ribs, gates and a strip of windows."""
    color = ((0.65, 0.68, 0.70), (0.35, 0.45, 0.55), (0.75, 0.72, 0.65), (0.45, 0.50, 0.42))[int(rng.integers(4))]
    skin = Look(BUILDING, ("metal", "concrete", "brick")[int(rng.integers(3))], color, float(rng.uniform(1.0, 1.4)))
    gate = Look(BUILDING, "plastic", (0.25, 0.3, 0.4), 1.5)
    strip = Look(BUILDING, "window", (0.15, 0.18, 0.2))
    parts = [box((width, depth, height + 0.5), skin, (0, depth / 2), -0.5)]
    x = -width / 2 + 2
    while x < width / 2 - 4:
        kind = rng.random()
        if kind < 0.4:
            parts.append(box((3.4, 0.08, 3.8), gate, (x + 1.7, -0.03), 0))
        elif kind < 0.8:
            parts.append(box((3.0, 0.06, 1.0), strip, (x + 1.6, -0.02), height - 2.0))
        parts.append(box((0.25, 0.25, height), skin, (x - 0.4, -0.1), 0))
        x += rng.uniform(4.2, 7)
    return merge(parts)


def make_garage(rng: np.random.Generator, width: Real = 3.0, depth: Real = 6.0) -> Mesh:
    """A flat garage with a door."""
    look = _facade(rng, GARAGE)
    door = Look(GARAGE, "plastic", tuple((rng.uniform(0.3, 0.85) * np.ones(3)).tolist()), 1.6)
    height = rng.uniform(2.4, 2.9)
    return merge(
        [
            box((width, depth, height + 0.3), look, (0, depth / 2), -0.3),
            box((0.82 * width, 0.06, 2.1), door, (0, -0.02), 0),
            box((width + 0.2, depth + 0.3, 0.15), Look(GARAGE, "concrete", (0.5, 0.5, 0.5)), (0, depth / 2), height),
        ]
    )


def make_wall(rng: np.random.Generator, length: Real, height: Real = 0.0) -> Mesh:
    """A free-standing wall: plaster, brick, stone or concrete, often with a cap and pillars."""
    height = height or float(rng.uniform(0.5, 2.2))
    kind = ("plaster", "brick", "stone", "concrete")[int(rng.integers(4))]
    colors = {
        "plaster": (0.75, 0.72, 0.65),
        "brick": (0.5, 0.27, 0.2),
        "stone": (0.5, 0.48, 0.44),
        "concrete": (0.6, 0.6, 0.58),
    }
    look = Look(WALL, kind, colors[kind], float(rng.uniform(0.8, 1.2)))
    cap = Look(WALL, "concrete", (0.55, 0.54, 0.52))
    thick = rng.uniform(0.18, 0.4)
    parts = [box((length, thick, height + 0.5), look, (0, 0), -0.5)]
    if rng.random() < 0.6:
        parts.append(box((length, thick + 0.1, 0.08), cap, (0, 0), height))
    if rng.random() < 0.5:
        count = max(2, int(length / 3))
        parts += [
            box((0.4, 0.4, height + 0.2), look, (x, 0), -0.1)
            for x in np.linspace(-length / 2 + 0.2, length / 2 - 0.2, count)
        ]
    return merge(parts)


def make_fence(rng: np.random.Generator, length: Real, kind: str = "", height: Real = 0.0) -> Mesh:
    """A fence: pickets, planks, rails, wire mesh, panels of bars, or bars on a low plinth."""
    kinds = ("picket", "plank", "rail", "mesh", "bars", "bars", "ranch")
    kind = kind or kinds[int(rng.integers(len(kinds)))]
    limits = {
        "picket": (0.8, 1.2),
        "plank": (1.3, 1.9),
        "rail": (0.9, 1.2),
        "mesh": (1.0, 2.2),
        "bars": (1.0, 1.8),
        "ranch": (0.9, 1.3),
    }
    height = height or float(rng.uniform(*limits[kind]))
    wood = Look(
        FENCE,
        "wood",
        tuple((rng.uniform(0.5, 1.6) * np.array([0.36, 0.25, 0.15])).tolist()),
        float(rng.uniform(0.75, 1.1)),
    )
    tone = rng.uniform(0.05, 0.5)
    metal = Look(FENCE, "wire", (tone, tone + 0.05 * rng.random(), tone), float(rng.uniform(0.8, 1.3)))
    look = metal if kind in ("mesh", "bars", "rail") else wood
    posts = np.linspace(-length / 2, length / 2, max(2, int(length / 2.4) + 1))
    parts = [box((0.09, 0.09, height + 0.35), look, (x, 0), -0.3) for x in posts]
    if kind == "picket":
        parts += [box((length, 0.04, 0.08), look, (0, 0), z) for z in (0.25 * height, 0.75 * height)]
        parts.append(_slats(length, 0.16, 0.09, 0.05, height, look))
    elif kind == "plank":
        parts.append(_slats(length, 0.155, 0.145, 0.02, height, look))
    elif kind == "ranch":
        parts += [box((length, 0.04, 0.16), look, (0, 0), z) for z in np.linspace(0.25, height - 0.16, 3)]
    elif kind == "rail":
        parts += [tube((-length / 2, 0, z), (length / 2, 0, z), 0.03, look, 5) for z in (0.5 * height, height)]
    elif kind == "mesh":
        parts += [_slats(length, 0.20, 0.035, 0.0, height, look)]
        parts += [box((length, 0.012, 0.03), look, (0, 0), z) for z in np.arange(0.1, height, 0.2)]
    else:
        plinth = 0.0 if rng.random() < 0.5 else float(rng.uniform(0.2, 0.45))
        if plinth:
            parts.append(box((length, 0.22, plinth + 0.3), Look(FENCE, "concrete", (0.55, 0.54, 0.5)), (0, 0), -0.3))
        parts += [box((length, 0.03, 0.05), look, (0, 0), z) for z in (plinth + 0.12, height - 0.08)]
        parts.append(_slats(length, 0.125, 0.045, plinth, height, look))
    return merge(parts)


def _slats(length: Real, pitch: Real, width: Real, bottom: Real, top: Real, look: Look) -> Mesh:
    """Upright slats as flat quads, side by side."""
    x = np.arange(-length / 2 + pitch / 2, length / 2, pitch)
    quad = np.array([[-width / 2, 0, bottom], [width / 2, 0, bottom], [width / 2, 0, top], [-width / 2, 0, top]])
    return _quads([quad + np.array([u, 0, 0]) for u in x], look)


def make_gate(rng: np.random.Generator, length: Real) -> Mesh:
    """Two pillars and a wing of bars or planks."""
    height = rng.uniform(1.0, 1.8)
    look = Look(GATE, "wire" if rng.random() < 0.6 else "wood", (0.2, 0.2, 0.22), float(rng.uniform(0.9, 1.2)))
    pillar = Look(GATE, "concrete", (0.6, 0.58, 0.55))
    parts = [box((0.3, 0.3, height + 0.4), pillar, (s * (length / 2 - 0.15), 0), -0.3) for s in (1, -1)]
    parts.append(_slats(length - 0.6, 0.13, 0.07, 0.1, height, look))
    parts += [box((length - 0.6, 0.04, 0.06), look, (0, 0), z) for z in (0.2, height - 0.1)]
    return merge(parts)


def make_guard_rail(rng: np.random.Generator, length: Real) -> Mesh:
    """A steel barrier on posts."""
    look = Look(GUARD_RAIL, "metal", (0.55, 0.56, 0.58), float(rng.uniform(1.0, 1.4)))
    posts = np.linspace(-length / 2 + 0.3, length / 2 - 0.3, max(2, int(length / 2)))
    parts = [box((0.1, 0.1, 0.9), look, (x, 0.06), -0.2) for x in posts]
    return merge([*parts, box((length, 0.06, 0.3), look, (0, 0), 0.45)])

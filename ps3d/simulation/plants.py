"""Shapes of plants: trees of several kinds, bushes, hedges. Trunks count as vegetation, as in KITTI-360."""

import numpy as np

from ps3d.simulation.materials import Look
from ps3d.simulation.meshes import Mesh, Real, grid_faces, merge, of_one_look, scatter_leaves, tube

VEGETATION = 21

TREE_HEIGHTS: dict[str, tuple[float, float]] = {
    "round": (6.0, 11.0), "columnar": (7.0, 13.0), "conifer": (6.0, 14.0),
    "spreading": (8.0, 14.0), "young": (3.0, 5.5), "stems": (4.0, 8.0),
}  # fmt: skip
TREE_WIDTHS: dict[str, float] = {
    "round": 0.30, "columnar": 0.14, "conifer": 0.19, "spreading": 0.36, "young": 0.20, "stems": 0.32,
}  # fmt: skip
"""Radius of the crown over the height; it varies by a fifth. Crowns end at 4.5 m."""


def _shades(rng: np.random.Generator, hue: tuple[float, float, float] | None = None) -> tuple[Look, ...]:
    greens = ((0.16, 0.27, 0.07), (0.22, 0.33, 0.10), (0.11, 0.21, 0.08), (0.28, 0.34, 0.11), (0.20, 0.26, 0.13))
    base = np.array(hue or greens[int(rng.integers(len(greens)))])
    gain = float(rng.uniform(0.82, 1.2))
    return tuple(
        Look(VEGETATION, "leaves", tuple((base * f).tolist()), gain * (0.85 + 0.3 * n / 3))
        for n, f in enumerate((0.7, 0.9, 1.1, 1.35))
    )


def _in_ellipsoid(count: int, radii: np.ndarray, rng: np.random.Generator, hollow: Real = 0.5) -> np.ndarray:
    """Points in an ellipsoid, denser toward its skin."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = rng.uniform(hollow**3, 1.0, count) ** (1 / 3)
    return direction * radius[:, None] * radii


def make_tree(rng: np.random.Generator, kind: str = "", height: Real = 0.0, crown_base: Real = 0.0) -> Mesh:
    """A tree: round, columnar, conifer, spreading, young or multi-stemmed.

    Args:
        height: meters; 0 = by kind.
        crown_base: lowest leaves, meters; 0 = by kind.
    """
    kind = kind or tuple(TREE_WIDTHS)[int(rng.integers(len(TREE_WIDTHS)))]
    height = height or float(rng.uniform(*TREE_HEIGHTS[kind]))
    bases = {"round": (1.7, 2.6), "columnar": (0.8, 2.2), "conifer": (0.3, 1.2), "spreading": (2.0, 3.2)}
    base = min(crown_base or float(rng.uniform(*bases.get(kind, (1.2, 1.9)))), 0.6 * height)
    radius = min(height * TREE_WIDTHS[kind] * rng.uniform(0.8, 1.15), 4.3)
    bark = Look(VEGETATION, "bark", tuple((rng.uniform(0.6, 1.3) * np.array([0.20, 0.15, 0.10])).tolist()))
    parts = _trunks(rng, kind, height, base, radius, bark)
    shades = _shades(rng, (0.09, 0.17, 0.08) if kind == "conifer" else None)
    parts.append(scatter_leaves(_crown(rng, kind, height, base, radius), *_leaf(kind), shades, rng))
    return merge(parts)


def _leaf(kind: str) -> tuple[float]:
    return (0.26 if kind == "young" else 0.36,)


def _trunks(rng, kind: str, height: Real, base: Real, radius: Real, bark: Look) -> list[Mesh]:
    thickness = 0.035 if kind == "young" else 0.012 * height + 0.05
    if kind == "stems":
        feet = [rng.uniform(-0.3, 0.3, 2) for _ in range(3)]
        return [tube((x, y, -0.1), (x * 5, y * 5, 0.6 * height), 0.6 * thickness, bark, 6, 0.02) for x, y in feet]
    lean = rng.normal(0, 0.02, 2) * height
    parts = [tube((0, 0, -0.2), (lean[0], lean[1], 0.85 * height), thickness, bark, 8, 0.25 * thickness)]
    for _ in range(0 if kind in ("young", "conifer") else 5):
        angle, start = rng.uniform(0, 2 * np.pi), rng.uniform(0.8 * base, 0.6 * height)
        out = 0.7 * radius
        end = (out * np.cos(angle), out * np.sin(angle), start + rng.uniform(0.3, 0.9) * out)
        parts.append(tube((lean[0] * 0.5, lean[1] * 0.5, start), end, 0.4 * thickness, bark, 5, 0.015))
    return parts


def _crown(rng, kind: str, height: Real, base: Real, radius: Real) -> np.ndarray:
    tall = (height - base) / 2
    if kind == "conifer":
        count = int(280 + 55 * height)
        share = 1 - np.sqrt(rng.uniform(0, 1, count))
        angle, out = rng.uniform(0, 2 * np.pi, count), radius * (1 - share) * rng.uniform(0.55, 1.0, count)
        return np.stack([out * np.cos(angle), out * np.sin(angle), base + share * (height - base)], 1)
    count = int(min(1500, 240 + 150 * radius * tall))
    main = _in_ellipsoid(count, np.array([radius, radius, tall]), rng) + np.array([0, 0, base + tall])
    if kind in ("columnar", "young"):
        return main
    # Clumps give the crown the lobes and holes that real scans show.
    lobes = _in_ellipsoid(9, np.array([0.75 * radius, 0.75 * radius, 0.7 * tall]), rng) + np.array([0, 0, base + tall])
    pick = rng.integers(0, len(lobes), count)
    clumps = lobes[pick] + _in_ellipsoid(count, np.full(3, 0.42 * radius), rng, 0.6) * [1, 1, 0.8]
    keep = rng.random(count) < 0.75
    crown = np.where(keep[:, None], clumps, main)
    crown[:, 2] = np.maximum(crown[:, 2], base)
    return crown


def make_bush(rng: np.random.Generator, radius: Real = 0.0, height: Real = 0.0) -> Mesh:
    """A round bush down to the ground."""
    radius, height = radius or rng.uniform(0.4, 1.2), height or rng.uniform(0.8, 2.3)
    count = int(130 + 160 * radius * height)
    points = _in_ellipsoid(count, np.array([radius, radius, height / 2]), rng, 0.7) + np.array([0, 0, height / 2])
    points[:, 2] = np.maximum(points[:, 2], 0.03)
    flower = (0.4, 0.25, 0.25) if rng.random() < 0.1 else None
    return scatter_leaves(points, 0.22, _shades(rng, flower), rng)


def make_hedge(rng: np.random.Generator, length: Real, height: Real, thickness: Real) -> Mesh:
    """A trimmed hedge along x: a bumpy solid with leaves on its skin."""
    shades = _shades(rng)
    columns = max(3, int(length / 0.35))
    x = np.linspace(-length / 2, length / 2, columns)
    half = thickness / 2
    profile = np.array(
        [(-half, 0), (-1.05 * half, 0.5 * height), (-0.9 * half, 0.93 * height), (0, height),
         (0.9 * half, 0.93 * height), (1.05 * half, 0.5 * height), (half, 0)]
    )  # fmt: skip
    surface = np.zeros((columns, len(profile), 3))
    surface[:, :, 0] = x[:, None]
    surface[:, :, 1:] = profile
    surface += rng.normal(0, 0.045, surface.shape) * [0.5, 1, 1]
    surface[:, [0, -1], 2] = 0
    surface[[0, -1], :, 1] *= 0.6
    body = of_one_look(surface.reshape(-1, 3), grid_faces(columns, len(profile)), shades[1])
    ends = [
        of_one_look(surface[i], np.stack([np.zeros(5, int), np.arange(1, 6), np.arange(2, 7)], 1), shades[1])
        for i in (0, -1)
    ]
    count = int(length * (2 * height + thickness) * 14)
    row, column = rng.integers(0, columns, count), rng.integers(0, len(profile) - 1, count)
    t = rng.random((count, 1))
    leaf = surface[row, column] * (1 - t) + surface[row, column + 1] * t
    leaf += rng.normal(0, 0.05, leaf.shape)
    leaf[:, 0] += rng.uniform(-0.2, 0.2, count)
    leaf[:, 2] = np.maximum(leaf[:, 2], 0.04)
    return merge([body, *ends, scatter_leaves(leaf, 0.13, shades, rng)])


def make_grass_tufts(rng: np.random.Generator, length: Real, width: Real) -> Mesh:
    """Low weeds along a verge or a wall, x along."""
    count = int(60 * length * width) + 8
    points = np.stack(
        [rng.uniform(-length / 2, length / 2, count), rng.uniform(-width / 2, width / 2, count),
         np.abs(rng.normal(0, 0.14, count)) + 0.03], 1
    )  # fmt: skip
    return scatter_leaves(points, 0.10, _shades(rng, (0.30, 0.36, 0.15)), rng)

"""Triangle meshes with a look for every face, and the solids everything is built from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32

from ps3d.simulation.materials import Look

Real = float | int
Point = Sequence[Real] | np.ndarray
"""x, y, z."""


@dataclass(frozen=True)
class Mesh:
    """Triangles.

    Attributes:
        vertices: meters.
        faces: three vertices each, counterclockwise seen from outside.
        look_of_face: place in `looks`.
        looks: the appearances.
    """

    vertices: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    look_of_face: Int32[np.ndarray, "faces"]
    looks: tuple[Look, ...]

    def moved(self, rotation: Float[np.ndarray, "3 3"], translation: Float[np.ndarray, "3"]) -> "Mesh":
        """Rotated, then shifted."""
        vertices = self.vertices @ rotation.T.astype(np.float32) + translation.astype(np.float32)
        return Mesh(vertices, self.faces, self.look_of_face, self.looks)

    def shifted(self, x: Real = 0.0, y: Real = 0.0, z: Real = 0.0) -> "Mesh":
        return Mesh(self.vertices + np.array([x, y, z], np.float32), self.faces, self.look_of_face, self.looks)

    def turned(self, yaw: Real) -> "Mesh":
        """Rotated about the vertical by `yaw` radians."""
        return self.moved(yaw_matrix(yaw), np.zeros(3))

    def numbered(self, instance_of: dict[int, int]) -> "Mesh":
        """Every look with the object number that its label has."""
        return Mesh(self.vertices, self.faces, self.look_of_face, tuple(x.numbered(instance_of) for x in self.looks))


def yaw_matrix(yaw: Real) -> Float[np.ndarray, "3 3"]:
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def merge(meshes: Iterable[Mesh]) -> Mesh:
    """One mesh of all; an empty list gives an empty mesh."""
    vertices, faces, look_of_face = (
        [np.zeros((0, 3), np.float32)],
        [np.zeros((0, 3), np.int32)],
        [np.zeros(0, np.int32)],
    )
    looks: list[Look] = []
    count = 0
    for mesh in meshes:
        vertices.append(mesh.vertices)
        faces.append(mesh.faces + np.int32(count))
        look_of_face.append(mesh.look_of_face + np.int32(len(looks)))
        looks.extend(mesh.looks)
        count += len(mesh.vertices)
    return Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(look_of_face), tuple(looks))


def of_one_look(vertices: np.ndarray, faces: np.ndarray, look: Look) -> Mesh:
    """All faces alike."""
    faces = np.ascontiguousarray(faces, np.int32)
    return Mesh(np.ascontiguousarray(vertices, np.float32), faces, np.zeros(len(faces), np.int32), (look,))


_BOX_CORNERS = np.array(
    [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], np.float32
) * np.array([0.5, 0.5, 1], np.float32)
_BOX_FACES = np.array(
    [
        [0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4],
        [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7],
    ],
    np.int32,
)  # fmt: skip


def box(size: Sequence[Real], look: Look, center: Sequence[Real] = (0, 0), z: Real = 0.0, yaw: Real = 0.0) -> Mesh:
    """A box of (length, width, height) whose bottom's middle is at (center, z)."""
    corners = _BOX_CORNERS * np.asarray(size, np.float32)
    if yaw:
        corners = corners @ yaw_matrix(yaw).T.astype(np.float32)
    return of_one_look(corners + np.array([center[0], center[1], z], np.float32), _BOX_FACES, look)


def tube(start: Point, end: Point, radius: Real, look: Look, sides: int = 6, end_radius: Real = -1.0) -> Mesh:
    """A tapered tube with end caps between two points."""
    start_, end_ = np.asarray(start, float), np.asarray(end, float)
    axis = (end_ - start_) / max(float(np.linalg.norm(end_ - start_)), 1e-9)
    u = _cross(axis, (1.0, 0.0, 0.0) if abs(axis[0]) < 0.9 else (0.0, 1.0, 0.0))
    u /= np.linalg.norm(u)
    v = _cross(axis, u)
    cosine, sine, faces = _round(sides)
    ring = cosine * u + sine * v
    top = radius if end_radius < 0 else end_radius
    vertices = np.empty((2 * sides + 2, 3))
    vertices[:sides] = start_ + radius * ring
    vertices[sides:-2] = end_ + top * ring
    vertices[-2], vertices[-1] = start_, end_
    return of_one_look(vertices, faces, look)


def _cross(a: Point, b: Point) -> Float64[np.ndarray, "3"]:
    """numpy's takes ten times as long for one pair, and people are made of hundreds of tubes."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


@lru_cache(maxsize=32)
def _round(sides: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(cosines, sines, faces) of a tube's two rings, whose last two vertices are the ends' middles."""
    i = np.arange(sides)
    angle = i * (2 * np.pi / sides)
    j = (i + 1) % sides
    n = np.full(sides, 2 * sides)
    faces = np.concatenate(
        [
            np.stack([i, j, j + sides], 1),
            np.stack([i, j + sides, i + sides], 1),
            np.stack([j, i, n], 1),
            np.stack([i + sides, j + sides, n + 1], 1),
        ]
    )
    return np.cos(angle)[:, None], np.sin(angle)[:, None], faces.astype(np.int32)


def grid_faces(rows: int, columns: int) -> Int32[np.ndarray, "faces 3"]:
    """Two triangles for each cell of a grid of vertices (row-major); up is the side that rows x columns points to."""
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    return np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)


def loft(rings: Float[np.ndarray, "rings corners 3"], looks: Sequence[Sequence[Look]], cap: Look) -> Mesh:
    """A closed body through cross-sections of equal corner count.

    Args:
        rings: corners of each cross-section, counterclockwise seen from the front (the last ring).
        looks: appearance of the skin piece between ring i and i+1 at side j (corner j to j+1).
        cap: the two ends.
    """
    count, corners, _ = rings.shape
    i, j = np.meshgrid(np.arange(count - 1), np.arange(corners), indexing="ij")
    k = (j + 1) % corners
    a, b, c, d = i * corners + j, i * corners + k, (i + 1) * corners + k, (i + 1) * corners + j
    skin = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
    names = [look for row in looks for look in row]
    palette = list(dict.fromkeys([*names, cap]))
    place = {look: n for n, look in enumerate(palette)}
    look_of_face = np.repeat([place[look] for look in names], 2)
    first, last = np.arange(1, corners - 1), np.arange(1, corners - 1) + (count - 1) * corners
    ends = np.concatenate(
        [
            np.stack([np.zeros_like(first), first + 1, first], 1),
            np.stack([np.full_like(first, (count - 1) * corners), last, last + 1], 1),
        ]
    )
    faces = np.concatenate([skin, ends]).astype(np.int32)
    look_of_face = np.concatenate([look_of_face, np.full(len(ends), place[cap])]).astype(np.int32)
    return Mesh(rings.reshape(-1, 3).astype(np.float32), faces, look_of_face, tuple(palette))


def scatter_leaves(
    centers: Float[np.ndarray, "leaves 3"], size: Real, shades: Sequence[Look], rng: np.random.Generator
) -> Mesh:
    """A triangle at each center, in random directions and sizes around `size` meters."""
    count = len(centers)
    corners = rng.normal(size=(count, 3, 3))
    corners -= corners.mean(1, keepdims=True)
    corners *= (size * rng.uniform(0.6, 1.4, count) / np.linalg.norm(corners, axis=2).max(1))[:, None, None]
    vertices = (centers[:, None] + corners).reshape(-1, 3).astype(np.float32)
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    return Mesh(vertices, faces, rng.integers(0, len(shades), count).astype(np.int32), tuple(shades))


def bounds(mesh: Mesh, semantic: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Lowest and highest corner of the faces of one label, or None."""
    of_label = np.array([look.semantic == semantic for look in mesh.looks], bool)
    used = mesh.faces[of_label[mesh.look_of_face]]
    if len(used) == 0:
        return None
    vertices = mesh.vertices[used.reshape(-1)]
    return vertices.min(0), vertices.max(0)

"""The ground: one closed surface along the road, and markings painted on it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from ps3d.simulation.materials import Look
from ps3d.simulation.meshes import Mesh, Real, grid_faces, merge
from ps3d.simulation.road import Road
from ps3d.simulation.sections import BANDS, FAR, HINTERLAND, ROAD, VERGE, YARD, Section

COLUMNS = (3, 1, 2, 2, 6, 5)
"""Cells across each band."""
_BLEND = 3.0
_CURB = 0.03

COLORS = {
    "asphalt": (0.27, 0.27, 0.28), "pavement": (0.50, 0.48, 0.46), "gravel": (0.48, 0.44, 0.38),
    "grass": (0.22, 0.30, 0.11), "soil": (0.36, 0.29, 0.20), "curb": (0.58, 0.57, 0.55),
}  # fmt: skip


def lattice_noise(a, b, seed: int) -> np.ndarray:
    """A number in -1..1 for each pair of coordinates, the same wherever it is asked for."""
    mixed = np.sin(np.asarray(a) * 127.1 + np.asarray(b) * 311.7 + seed % 1000 * 7.3) * 43758.5453
    return 2 * (mixed - np.floor(mixed)) - 1


@dataclass(frozen=True)
class Ground:
    """Heights and edges of all bands along the road."""

    road: Road
    sections: tuple[Section, ...]
    seed: int

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.array([section.start for section in self.sections])

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.array([section.end for section in self.sections])

    @cached_property
    def _tables(self) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Edges, slope and curb of each section, by side."""
        sides = {sign: [self._side(section, sign) for section in self.sections] for sign in (1, -1)}
        return {
            sign: (
                np.array([x.edges for x in row]),
                np.array([[x.slope] for x in row]),
                np.array([x.curb for x in row]),
            )
            for sign, row in sides.items()
        }

    def _blended(self, s: np.ndarray, table: np.ndarray) -> np.ndarray:
        """Per-section rows of `table` at s, faded over a few meters around each boundary."""
        starts = self._starts
        here = np.clip(np.searchsorted(starts, s, side="right") - 1, 0, len(starts) - 1)
        ends = self._ends
        before, after = np.maximum(here - 1, 0), np.minimum(here + 1, len(starts) - 1)
        low = np.clip(0.5 - 0.5 * (s - starts[here]) / _BLEND, 0, 0.5)[:, None]
        high = np.clip(0.5 - 0.5 * (ends[here] - s) / _BLEND, 0, 0.5)[:, None]
        return table[here] * (1 - low - high) + table[before] * low + table[after] * high

    def edges(self, s: np.ndarray, sign: int) -> Float64[np.ndarray, "places 6"]:
        """Outer edge of each band of the left (+1) or right (-1) side."""
        return self._blended(s, self._tables[sign][0])

    @staticmethod
    def _side(section: Section, sign: int):
        return section.left if sign > 0 else section.right

    def _heights(self, s: np.ndarray, sign: int, across: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Height over the axis at distances `across` (places, columns), without unevenness."""
        slope = self._blended(s, self._tables[sign][1])
        starts = self._starts
        here = np.clip(np.searchsorted(starts, s, side="right") - 1, 0, len(starts) - 1)
        curb = self._tables[sign][2][here][:, None]
        lane_edge, curb_edge = edges[:, ROAD : ROAD + 1], edges[:, 1:2]
        height = -0.02 * np.minimum(across, lane_edge) - 0.005 * np.clip(across - lane_edge, 0, None)
        height += curb * np.clip((across - curb_edge) / _CURB, 0, 1)
        height += 0.02 * np.clip(across - curb_edge, 0, edges[:, 3:4] - curb_edge)
        beyond = np.clip(across - edges[:, 3:4], 0, None)
        return height + slope * beyond - 0.0004 * beyond**2 * (slope > 0)

    def height(self, s: Real, d: Real) -> float:
        """Height of the ground over the axis at one place."""
        return float(self.heights(np.array([s]), np.array([d]))[0])

    def heights(
        self, s: Float64[np.ndarray, "places"], d: Float64[np.ndarray, "places"]
    ) -> Float64[np.ndarray, "places"]:
        """Height of the ground over the axis at many places."""
        height = np.empty(len(s))
        for sign, here in ((1, d >= 0), (-1, d < 0)):
            if here.any():
                edges = self.edges(s[here], sign)
                height[here] = self._heights(s[here], sign, np.abs(d[here])[:, None], edges)[:, 0]
        return height

    def mesh(self, start: Real, end: Real) -> Mesh:
        """The surface between two places."""
        rows = self._rows(start, end)
        return merge([self._half(rows, 1), self._half(rows, -1), self._markings(start, end)])

    def _rows(self, start: Real, end: Real) -> np.ndarray:
        """Places of the cross lines: each meter, and close pairs at every boundary, where curbs end."""
        borders = self._starts
        borders = borders[(borders > start) & (borders < end)]
        regular = np.arange(np.ceil(start), np.floor(end) + 0.5)
        return np.unique(np.concatenate([regular, borders - 0.015, borders + 0.015]))

    def _half(self, s: np.ndarray, sign: int) -> Mesh:
        edges = self.edges(s, sign)
        across, band_of_cell = [np.zeros((len(s), 1))], []
        inner = np.zeros((len(s), 1))
        for band in range(BANDS):
            outer = edges[:, band : band + 1]
            if band == VERGE:  # after the parking band comes the curb
                across.append(inner + _CURB)
                band_of_cell.append(-1)
                inner = inner + _CURB
            share = np.linspace(0, 1, COLUMNS[band] + 1)[1:]
            across.append(inner + np.maximum(outer - inner, 0) * share)
            band_of_cell += [band] * COLUMNS[band]
            inner = np.maximum(outer, inner)
        distance = np.concatenate(across, 1)
        height = self._heights(s, sign, distance, edges)
        columns = np.arange(distance.shape[1])
        noise = lattice_noise(s[:, None], sign * columns[None], self.seed)
        slow = np.sin(s[:, None] * 0.21 + columns * 1.7) * np.sin(s[:, None] * 0.083 + columns * 0.9)
        rough = np.array([0.004, 0.004, 0.0, 0.02, 0.006, 0.045, 0.12])
        band_of_column = np.array([0, *band_of_cell])
        size = rough[np.where(band_of_column < 0, 2, band_of_column + (band_of_column > 1))]
        size = np.where(np.array([0, *band_of_cell]) == HINTERLAND, 0.15, size)
        far = (band_of_column >= YARD)[None]
        height = height + noise * size + slow * np.where(far, 0.05 * (1 + (band_of_column == HINTERLAND) * 4), 0)
        height[:, 0] = 0.0
        vertices = self.road.to_world(np.repeat(s[:, None], distance.shape[1], 1), sign * distance, height)
        faces = grid_faces(len(s), distance.shape[1])
        # A band without width must not leave slivers.
        has_width = np.maximum(np.diff(distance[1:], axis=1), np.diff(distance[:-1], axis=1)) > 1e-3
        return self._colored(vertices.reshape(-1, 3), faces, s, np.array(band_of_cell), sign, has_width.reshape(-1))

    def _colored(self, vertices, faces, s: np.ndarray, band_of_cell: np.ndarray, sign: int, keep) -> Mesh:
        looks: list[Look] = []
        place: dict[Look, int] = {}
        table = np.zeros((len(self.sections), BANDS + 1), np.int32)
        for number, section in enumerate(self.sections):
            side = self._side(section, sign)
            rng = np.random.default_rng([self.seed, number, sign + 1])
            tones = rng.uniform(0.85, 1.15, BANDS + 1)
            for band in range(-1, BANDS):
                semantic, material = (8, "curb") if band < 0 else side.surfaces[band]
                if band < 0 and side.use == "street":
                    semantic, material = 7, "asphalt"
                gain = section.asphalt if material == "asphalt" else float(rng.uniform(0.92, 1.08))
                tone = section.asphalt if material == "asphalt" else tones[band]
                look = Look(semantic, material, tuple((np.array(COLORS[material]) * tone).tolist()), round(gain, 3))
                table[number, band] = place.setdefault(look, len(looks))
                if place[look] == len(looks):
                    looks.append(look)
        starts = self._starts
        middle = 0.5 * (s[1:] + s[:-1])
        here = np.clip(np.searchsorted(starts, middle, side="right") - 1, 0, len(starts) - 1)
        look_of_cell = table[here[:, None], band_of_cell[None]]
        look_of_face = np.repeat(look_of_cell.reshape(-1)[keep], 2).astype(np.int32)
        return Mesh(vertices.astype(np.float32), faces[np.repeat(keep, 2)], look_of_face, tuple(looks))

    def _stripe(self, start: Real, end: Real, d0: Real, d1: Real, look: Look) -> Mesh:
        """A painted quad strip just above the road."""
        s = np.linspace(start, end, max(2, int((end - start) / 2) + 1))
        d = np.array([d0, d1])
        grid_s, grid_d = np.repeat(s[:, None], 2, 1), np.repeat(d[None], len(s), 0)
        height = np.array([[self.height(a, b) + 0.012 for b in d] for a in s])
        vertices = self.road.to_world(grid_s, grid_d, height).reshape(-1, 3)
        faces = grid_faces(len(s), 2)
        return Mesh(vertices.astype(np.float32), faces, np.zeros(len(faces), np.int32), (look,))

    def _markings(self, start: Real, end: Real) -> Mesh:
        paint = Look(7, "marking", (0.82, 0.82, 0.80))
        rail = Look(10, "metal", (0.35, 0.33, 0.31), 1.2)
        parts = []
        for section in self.sections:
            a, b = max(section.start, start), min(section.end, end)
            if b - a < 1:
                continue
            is_busy = section.quarter in ("urban", "industrial", "parkland")
            if section.has_oncoming and is_busy and not section.is_junction:
                middle = (section.left.edges[0] - section.right.edges[0]) / 2
                parts += [
                    self._stripe(u, min(u + 3, b), middle - 0.06, middle + 0.06, paint) for u in np.arange(a, b - 3, 7)
                ]
            for side, sign in ((section.left, 1), (section.right, -1)):
                if side.has_track:
                    mid = 0.5 * (side.inner(VERGE) + side.edges[VERGE])
                    for x in (mid - 0.72, mid + 0.72):
                        parts.append(self._stripe(a, b, sign * x - 0.035, sign * x + 0.035, rail))
            if section.is_junction and section.number % 2 == 0:
                for k in range(-4, 6):
                    d = 0.75 * k
                    if -section.right.edges[0] < d < section.left.edges[0] - 0.4:
                        parts.append(self._stripe(section.start - 1.9, section.start + 1.0, d, d + 0.4, paint))
        return merge(parts)


def safety_floor(road: Road, start: Real, end: Real) -> Mesh:
    """A sheet far below, so that no gap shows the sky."""
    s = np.arange(start, end + 4, 4.0)
    d = np.array([-FAR, 0.0, FAR])
    vertices = road.to_world(np.repeat(s[:, None], 3, 1), np.repeat(d[None], len(s), 0), np.full((len(s), 3), -1.2))
    faces = grid_faces(len(s), 3)
    look = Look(22, "grass", COLORS["grass"])
    return Mesh(vertices.reshape(-1, 3).astype(np.float32), faces, np.zeros(len(faces), np.int32), (look,))

"""The plan of a street: a row of sections, each with a cross-section of bands and a kind of use on either side.

From the middle outward a side has these bands: road, parking, verge, sidewalk, yard, hinterland. All sections share
them, and an unused band has no width; so the ground is one closed surface.
"""

from dataclasses import dataclass, replace

import numpy as np

ROAD, PARKING, VERGE, SIDEWALK, YARD, HINTERLAND = range(6)
BANDS = 6
FAR = 75.0
"""Where the ground ends, meters from the axis."""
ONCOMING = 3.85
"""Distance of the oncoming lane from the ego's, meters."""

USES = ("houses", "row", "park", "industrial", "green")
QUARTERS: dict[str, tuple[float, ...]] = {
    "residential": (0.58, 0.18, 0.12, 0.01, 0.11),
    "urban": (0.12, 0.66, 0.13, 0.02, 0.07),
    "parkland": (0.24, 0.10, 0.38, 0.02, 0.26),
    "industrial": (0.12, 0.24, 0.13, 0.36, 0.15),
    "village": (0.42, 0.34, 0.10, 0.03, 0.11),
}
"""Shares of the uses in each quarter."""


@dataclass(frozen=True)
class Side:
    """One side of a section.

    Attributes:
        use: one of `USES`, or "street" where a side street leaves, or "corner" beside one.
        edges: outer edge of each band, meters from the axis, growing.
        surfaces: (semantic, material) of each band.
        slope: rise of yard and hinterland per meter outward.
        curb: height of the curb, meters.
        has_track: True if the verge is a tram's or train's track.
    """

    use: str
    edges: tuple[float, ...]
    surfaces: tuple[tuple[int, str], ...]
    slope: float
    curb: float
    has_track: bool = False

    def width(self, band: int) -> float:
        return self.edges[band] - (self.edges[band - 1] if band else 0.0)

    def inner(self, band: int) -> float:
        return self.edges[band - 1] if band else 0.0


@dataclass(frozen=True)
class Section:
    """A piece of street from `start` to `end` with constant cross-section."""

    number: int
    start: float
    end: float
    quarter: str
    left: Side
    right: Side
    is_junction: bool = False
    has_oncoming: bool = True
    asphalt: float = 1.0

    @property
    def length(self) -> float:
        return self.end - self.start

    @property
    def middle(self) -> float:
        return 0.5 * (self.start + self.end)


def _draw_side(rng: np.random.Generator, use: str, half_road: float, has_parking: bool, has_track: bool) -> Side:
    parking = rng.uniform(2.05, 2.4) if has_parking else 0.0
    verge = 3.6 if has_track else (rng.uniform(0.8, 2.2) if rng.random() < {"row": 0.08}.get(use, 0.48) else 0.0)
    walks = {"row": (2.4, 4.4), "industrial": (1.4, 2.4), "green": (1.5, 2.5), "park": (1.8, 3.2), "houses": (1.5, 2.7)}
    walk = rng.uniform(*walks[use]) if rng.random() > {"green": 0.35}.get(use, 0.0) else 0.0
    yard = rng.uniform(14, 22)
    edges = np.cumsum([half_road, parking, verge, walk, yard])
    soft = "grass" if rng.random() < 0.8 else "soil"
    yards = {
        "houses": (22, soft) if rng.random() < 0.85 else (22, "gravel"),
        "row": (22, "gravel") if rng.random() < 0.5 else (22, "grass"),
        "park": (22, "grass"),
        "green": (22, soft),
        "industrial": (9, "asphalt") if rng.random() < 0.12 else (22, "gravel"),
    }
    lot = (9, "asphalt" if rng.random() < 0.5 else "pavement")
    surfaces = (
        (7, "asphalt"),
        lot,
        (10, "gravel") if has_track else (22, "grass"),
        (8, "pavement"),
        yards[use],
        (22, "grass"),
    )
    curb = 0.03 if rng.random() < 0.15 else rng.uniform(0.07, 0.15)
    slope = rng.normal(0.0, 0.02) + (rng.uniform(-0.06, 0.12) if use in ("green", "park") else 0.0)
    return Side(use, (*edges.tolist(), FAR), surfaces, float(np.clip(slope, -0.06, 0.14)), float(curb), has_track)


def _paved(side: Side, use: str, surface: tuple[int, str], first: int, curb: float) -> Side:
    """The same bands, but from band `first` outward all of one surface and level."""
    surfaces = (*side.surfaces[:first], *(surface for _ in range(BANDS - first)))
    return replace(side, use=use, surfaces=surfaces, curb=curb, slope=0.35 * side.slope, has_track=False)


def plan_sections(start: float, end: float, rng: np.random.Generator) -> tuple[Section, ...]:
    """Sections from `start` to `end` (both in meters along the road), blocks divided by junctions."""
    sections: list[Section] = []
    s = start - rng.uniform(0, 30)
    quarters = tuple(QUARTERS)
    quarter = quarters[int(rng.integers(len(quarters)))]
    # Traffic that comes toward us needs its lane all the way.
    has_oncoming = bool(rng.random() < 0.4)
    while s < end:
        if rng.random() < 0.45:
            quarter = quarters[int(rng.integers(len(quarters)))]
        block = _plan_block(len(sections), s, quarter, has_oncoming, rng)
        sections += block
        sections += _plan_junction(len(sections), sections[-1], rng)
        s = sections[-1].end
    return tuple(sections)


def _plan_block(number: int, s: float, quarter: str, has_oncoming: bool, rng: np.random.Generator) -> list[Section]:
    """One to three sections of one road width."""
    right, left = (
        rng.uniform(2.62, 2.85),
        (ONCOMING + rng.uniform(1.45, 1.7) if has_oncoming else rng.uniform(2.62, 2.85)),
    )
    likes_parking = quarter in ("residential", "urban", "village")
    parks = rng.random(2) < (0.48 if likes_parking else 0.18)
    # Tracks are rare in streets, but every second drive should meet one.
    often = 0.25 if -20 < s < 60 else 0.0
    track = rng.random() < often + {"urban": 0.30, "parkland": 0.22, "industrial": 0.22}.get(quarter, 0.10)
    track_side = int(rng.integers(2))
    asphalt = rng.uniform(0.86, 1.16)
    sections = []
    shares = QUARTERS[quarter]
    for _ in range(int(rng.integers(1, 4))):
        length = rng.uniform(24, 52)
        sides = []
        for k, half in enumerate((left, right)):
            use = USES[int(rng.choice(len(USES), p=shares))]
            sides.append(_draw_side(rng, use, half, bool(parks[k]), bool(track and track_side == k)))
        sections.append(
            Section(number + len(sections), s, s + length, quarter, sides[0], sides[1], False, has_oncoming, asphalt)
        )
        s += length
    return sections


def _plan_junction(number: int, before: Section, rng: np.random.Generator) -> list[Section]:
    """A strip of sidewalk, the side streets, a strip of sidewalk; or a bend without one."""
    open_sides = [(True, True), (True, False), (False, True)][int(rng.choice(3, p=[0.4, 0.3, 0.3]))]
    width = rng.uniform(6.5, 10)
    sections = []
    s = before.end
    for part, length in (("corner", 2.2), ("street", width), ("corner", 2.2)):
        sides = []
        for side, is_open in zip((before.left, before.right), open_sides, strict=True):
            if not is_open:
                sides.append(replace(side, has_track=False))
            elif part == "street":
                sides.append(_paved(side, "street", (7, "asphalt"), 1, 0.0))
            else:
                sides.append(_paved(side, "corner", (8, "pavement"), 2, 0.1))
        left, right = sides
        sections.append(
            replace(before, number=number + len(sections), start=s, end=s + length, left=left, right=right,
                    is_junction=part == "street")
        )  # fmt: skip
        s += length
    return sections

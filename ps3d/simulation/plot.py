"""One side of one section of a street while it is furnished: what is taken, and how something is put down."""

from dataclasses import dataclass, field

import numpy as np

from ps3d.simulation.items import Item
from ps3d.simulation.meshes import Real
from ps3d.simulation.plants import TREE_HEIGHTS, TREE_WIDTHS
from ps3d.simulation.sections import Section, Side

KEEP_OUT = 2.6
"""Nothing of height stands nearer to the ego vehicle's path than this, meters."""

SOLIDS = ("building", "hall", "garage")

Rectangle = tuple[Real, Real, Real, Real]


def _meets(area: Rectangle, others: list[Rectangle]) -> bool:
    s0, s1, d0, d1 = area
    return any(s1 > a and s0 < b and d1 > c and d0 < e for a, b, c, e in others)


@dataclass
class Plot:
    """One side of one section while it is furnished; `sign` is +1 for the left side.

    `taken` holds the rectangles (s0, s1, d0, d1) in use, d outward; `solids` those of buildings and `crowns` those of
    trees' crowns, which must not meet, while a crown may hang over anything lower.
    """

    section: Section
    side: Side
    sign: int
    rng: np.random.Generator
    rare: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    taken: list[Rectangle] = field(default_factory=list)
    solids: list[Rectangle] = field(default_factory=list)
    crowns: list[Rectangle] = field(default_factory=list)

    def is_free(self, s: Real, d: Real, half_s: Real, half_d: Real) -> bool:
        if d - half_d < KEEP_OUT:
            return False
        return not _meets((s - half_s, s + half_s, d - half_d, d + half_d), self.taken)

    def take(self, s: Real, d: Real, half_s: Real, half_d: Real) -> None:
        self.taken.append((s - half_s, s + half_s, d - half_d, d + half_d))

    def put(
        self, name: str, s: Real, d: Real, half: tuple[Real, Real] = (0.3, 0.3), yaw: Real = 0.0,
        inside: bool = True, reserve: bool = True, **options,
    ) -> bool:  # fmt: skip
        """Place an item if its rectangle is free. `yaw` is for the left side; the right side is turned by half a turn.

        Args:
            half: half the extent along and across the road.
            inside: True if it must not reach over the section's ends.
            reserve: False if others may stand in it.
        """
        half_s, half_d = half
        if inside and not (self.section.start + half_s <= s <= self.section.end - half_s):
            return False
        if not self.is_free(s, d, half_s, half_d):
            return False
        area = (s - half_s, s + half_s, d - half_d, d + half_d)
        if name in SOLIDS:
            if _meets(area, self.crowns):
                return False
            self.solids.append(area)
        if reserve:
            self.taken.append(area)
        turn = yaw if self.sign > 0 else yaw + np.pi
        self.items.append(Item(name, s, self.sign * d, turn, int(self.rng.integers(2**31)), options, half))
        return True

    def plant(self, s: Real, d: Real, kinds: tuple[str, ...], height: Real = 0.0, **options) -> bool:
        """Place the first of these kinds of trees whose crown reaches into no building."""
        for kind in kinds:
            low, high = TREE_HEIGHTS[kind]
            tall = height or float(self.rng.uniform(low, high))
            radius = min(1.2 * tall * TREE_WIDTHS[kind], 4.5)
            crown = (s - radius, s + radius, d - radius, d + radius)
            is_inside = self.section.start + radius <= s <= self.section.end - radius
            hangs_low = d - radius < KEEP_OUT and options.get("crown_base", 0.0) < 4.0
            if not is_inside or hangs_low or _meets(crown, self.solids) or not self.is_free(s, d, 0.35, 0.35):
                continue
            self.crowns.append(crown)
            return self.put("tree", s, d, (0.35, 0.35), kind=kind, height=tall, **options)
        return False

    def spots(self, spacing: Real, jitter: Real = 0.35) -> np.ndarray:
        """Places along the section about `spacing` meters apart."""
        count = max(0, int((self.section.length - 1) / spacing))
        middle = self.section.start + (np.arange(count) + 0.5 + self.rng.uniform(-jitter, jitter, count)) * (
            self.section.length / max(count, 1)
        )
        return middle

"""The road's axis: a smooth curve with slopes, along which everything is placed as (s along, d to the left)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from ps3d.simulation.meshes import Real

STEP = 0.5
MARGIN = 130.0
"""Meters of street before the first and after the last place of the ego vehicle."""


@dataclass(frozen=True)
class Road:
    """Samples every `STEP` meters from s = -MARGIN; the ego vehicle drives along d = 0 toward larger s.

    Attributes:
        xyz: position of the axis in the drive's own frame (x east, y north, z up), meters.
        heading: direction of travel, radians.
        grade: rise per meter.
    """

    xyz: Float64[np.ndarray, "samples 3"]
    heading: Float64[np.ndarray, "samples"]
    grade: Float64[np.ndarray, "samples"]

    @property
    def last(self) -> float:
        """Largest s."""
        return (len(self.heading) - 1) * STEP - MARGIN

    def _sample(self, s, values):
        place = np.clip((np.asarray(s, float) + MARGIN) / STEP, 0, len(values) - 1.001)
        low = place.astype(np.int64)
        share = place - low
        if values.ndim == 2:
            share = share[..., None]
        return np.asarray(values[low] * (1 - share) + values[low + 1] * share)

    def position(self, s) -> Float64[np.ndarray, "*places 3"]:
        return self._sample(s, self.xyz)

    def direction(self, s) -> Float64[np.ndarray, "*places"]:
        """Heading at s."""
        return self._sample(s, self.heading)

    def slope(self, s) -> Float64[np.ndarray, "*places"]:
        """Rise per meter at s."""
        return self._sample(s, self.grade)

    def to_world(self, s, d, height) -> Float64[np.ndarray, "*places 3"]:
        """(s, d, height above the axis) to the drive's frame."""
        heading = self.direction(s)
        left = np.stack([-np.sin(heading), np.cos(heading), np.zeros_like(heading)], -1)
        point = self.position(s) + left * np.asarray(d, float)[..., None]
        point[..., 2] += height
        return point

    def frame(
        self, s, yaw: Real | np.ndarray = 0.0, follows_slope: bool | np.ndarray = False
    ) -> Float64[np.ndarray, "*places 3 3"]:
        """Axes (columns: forward, left, up) of something that stands at s, turned by `yaw` from the road.

        Args:
            s: one place or many; yaw and follows_slope are for all of them or for each.
        """
        angle = self.direction(s) + yaw
        cosine, sine = np.cos(angle), np.sin(angle)
        rise = np.where(follows_slope, self.slope(s) * np.cos(yaw), 0.0)
        long = np.hypot(1, rise)
        x, y, z = cosine / long, sine / long, rise / long
        up = (-z * cosine, -z * sine, x * cosine + y * sine)
        rows = [np.stack(row, -1) for row in ((x, -sine, up[0]), (y, cosine, up[1]), (z, np.zeros_like(x), up[2]))]
        return np.stack(rows, -2)


def _smooth_steps(rng: np.random.Generator, count: int, spacing: tuple[float, float], draw, window: Real):
    """A piecewise constant signal of random levels, smoothed over `window` meters."""
    levels: list[np.ndarray] = []
    total = 0
    while total < count:
        length = int(rng.uniform(*spacing) / STEP)
        levels.append(np.full(length, draw()))
        total += length
    signal = np.concatenate(levels)[:count]
    width = int(window / STEP)
    padded = np.pad(signal, width, mode="edge")
    kernel = np.hanning(width)
    return np.convolve(padded, kernel / kernel.sum(), mode="same")[width:-width]


def make_road(length: Real, rng: np.random.Generator) -> Road:
    """A street whose ego vehicle drives `length` meters."""
    count = int((length + 2 * MARGIN) / STEP) + 2

    def draw_curvature() -> float:
        return 0.0 if rng.random() < 0.45 else float(rng.choice([-1, 1])) / rng.uniform(95, 420)

    def draw_grade() -> float:
        return 0.0 if rng.random() < 0.3 else float(rng.normal(0, 0.03))

    curvature = _smooth_steps(rng, count, (45.0, 160.0), draw_curvature, 36.0)
    grade = np.clip(_smooth_steps(rng, count, (80.0, 220.0), draw_grade, 70.0), -0.08, 0.08)
    heading = rng.uniform(-np.pi, np.pi) + np.cumsum(curvature) * STEP
    step = np.stack([np.cos(heading), np.sin(heading), grade], 1) * STEP
    xyz = np.cumsum(step, 0)
    xyz -= xyz[int(MARGIN / STEP)]
    return Road(xyz, heading, grade)

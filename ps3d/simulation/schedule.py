"""When and where the ego vehicle takes its frames."""

from dataclasses import dataclass

import numpy as np

from ps3d.structures import SWEEP_SECONDS

FIRST_FRAME = 1
"""Frame numbers count sweeps of 0.1 s; the first has a pose before it, which motion correction needs."""
LARGEST_STEP = 1.6
"""Meters from frame to frame up to which every sweep is kept; beyond, sweeps in between are left out."""
CRUISE = 8.5
"""Speed in m/s where sweeps are left out."""
STRETCH = 260.0
"""Meters of travel whose surroundings are cast as one scene; independent of the number of workers."""
EPOCH = 1_369_747_230_000_000_000
"""Time of frame 0 in nanoseconds since 1970: a day in May 2013, like the real drives."""


@dataclass(frozen=True)
class Schedule:
    """Frames at equal distances.

    Attributes:
        frames: numbers of the frames that are taken, growing.
        speed: mean speed in m/s.
    """

    frames: tuple[int, ...]
    speed: float

    @property
    def last(self) -> int:
        return self.frames[-1]

    @property
    def seconds(self) -> float:
        """Time of the last frame."""
        return self.last * SWEEP_SECONDS

    @property
    def length(self) -> float:
        """Travel in meters, with room for the waves of the speed."""
        return self.seconds * self.speed + 6.0

    def stretches(self) -> list[tuple[int, ...]]:
        """Frames grouped by `STRETCH` of travel."""
        places = np.array(self.frames) * SWEEP_SECONDS * self.speed
        group = (places / STRETCH).astype(int)
        return [tuple(f for f, g in zip(self.frames, group, strict=True) if g == k) for k in np.unique(group)]

    def timestamps(self) -> np.ndarray:
        """Nanoseconds of every frame number from 0 to the last."""
        return EPOCH + (np.arange(self.last + 1) * SWEEP_SECONDS * 1e9).astype(np.int64)


def make_schedule(frames: int, spacing: float) -> Schedule:
    """`frames` frames about `spacing` meters apart; sweeps always take 0.1 s at a realistic speed.

    Raises:
        ValueError: no frame, or a spacing outside 0.1..200 m.
    """
    if frames < 1:
        raise ValueError(f"frames is {frames}; a drive needs at least 1")
    if not 0.1 <= spacing <= 200:
        raise ValueError(f"spacing is {spacing} m; use 0.1 to 200 (0.8 = every sweep at 29 km/h)")
    stride = 1 if spacing <= LARGEST_STEP else max(1, round(spacing / (CRUISE * SWEEP_SECONDS)))
    return Schedule(tuple(FIRST_FRAME + stride * i for i in range(frames)), float(spacing / (stride * SWEEP_SECONDS)))

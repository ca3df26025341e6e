"""Poses of frames that have none: interpolation between measured neighbors, within limits."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from ps3d.ops.geometry import interpolate_pose

LONGEST_GAP_SECONDS = 0.5
LONGEST_GAP_METERS = 2.0


@dataclass(frozen=True)
class Trajectory:
    """Measured poses by frame number, and what lies between them.

    Attributes:
        measured: world_from_vehicle by frame.
        seconds: when a frame was taken.
        longest_seconds: measured neighbors further apart in time are not interpolated between.
        longest_meters: nor neighbors further apart in space.
    """

    measured: Mapping[int, Float64[np.ndarray, "4 4"]]
    seconds: Callable[[int], float]
    longest_seconds: float = LONGEST_GAP_SECONDS
    longest_meters: float = LONGEST_GAP_METERS

    def __post_init__(self) -> None:
        object.__setattr__(self, "_frames", sorted(self.measured))

    def pose(self, frame: int) -> tuple[Float64[np.ndarray, "4 4"] | None, bool]:
        """(pose, is it interpolated); the pose is None outside the measured frames and in gaps beyond the limits."""
        if frame in self.measured:
            return self.measured[frame], False
        frames: list[int] = self._frames  # type: ignore[attr-defined]
        place = bisect_left(frames, frame)
        if place == 0 or place == len(frames):
            return None, False
        before, after = frames[place - 1], frames[place]
        start, end = self.seconds(before), self.seconds(after)
        distance = float(np.linalg.norm(self.measured[after][:3, 3] - self.measured[before][:3, 3]))
        # Time stamps carry noise of microseconds; a gap of exactly the limit must pass.
        if end - start > self.longest_seconds + 1e-6 or distance > self.longest_meters or end <= start:
            return None, False
        fraction = (self.seconds(frame) - start) / (end - start)
        return interpolate_pose(self.measured[before], self.measured[after], float(np.clip(fraction, 0, 1))), True

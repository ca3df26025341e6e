"""Constant-velocity Kalman filters of many tracks at once.

The axes are independent and share one covariance, so a track's uncertainty is three numbers. All noise is in units of
the object's own size: a bus turns up and moves in larger steps than a child, in meters as in pixels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

SPEED = 2.5  # sizes per second: standard deviation of the velocity of a new object ...
LEAST_SPEED = 8.0  # ... and at least so many cells per second: a rider is small and fast
ACCELERATION = 1.0  # sizes per second squared
SHARPNESS = 0.05  # sizes: noise of a measured center ...
SPARSENESS = 0.5  # ... and what the noise would be if the object had a single element
SLOWEST = 1.0  # cells per second: slower objects count as standing
GROWTH = 0.5  # of a change of the measured size: half of it may be the center's shift as an object gets hidden


@dataclass(frozen=True)
class Motion:
    """State of the filters.

    Attributes:
        center, velocity: per second.
        variance: of position, of position with velocity, and of velocity; the same for all axes.
    """

    center: Float64[np.ndarray, "tracks 3"]
    velocity: Float64[np.ndarray, "tracks 3"]
    variance: Float64[np.ndarray, "tracks 3"]

    def __len__(self) -> int:
        return len(self.center)

    def select(self, keep: np.ndarray) -> "Motion":
        return Motion(self.center[keep], self.velocity[keep], self.variance[keep])

    def append(self, other: "Motion") -> "Motion":
        return Motion(
            np.concatenate([self.center, other.center]),
            np.concatenate([self.velocity, other.velocity]),
            np.concatenate([self.variance, other.variance]),
        )


def scale_of(size: Float64[np.ndarray, "objects 3"], cell: float) -> Float64[np.ndarray, "objects"]:
    """The length that noise is measured in: the diagonal of the object's footprint, at least one cell."""
    return np.maximum(np.hypot(size[:, 0], size[:, 1]), cell)


def start(
    center: Float64[np.ndarray, "objects 3"],
    scale: Float64[np.ndarray, "objects"],
    weight: Int64[np.ndarray, "objects"],
    cell: float,
) -> Motion:
    """Filters of new objects: at their center, velocity unknown."""
    variance = np.zeros((len(center), 3))
    variance[:, 0] = measurement_variance(scale, weight, cell)
    variance[:, 2] = np.maximum(SPEED * scale, LEAST_SPEED * cell) ** 2
    return Motion(center.copy(), np.zeros_like(center), variance)


def measurement_variance(
    scale: Float64[np.ndarray, "objects"], weight: Int64[np.ndarray, "objects"], cell: float
) -> Float64[np.ndarray, "objects"]:
    """Variance of a measured center: larger objects, and those of which few elements were seen, are less certain."""
    return (SHARPNESS * scale) ** 2 + (SPARSENESS * scale) ** 2 / np.maximum(weight, 1) + (0.25 * cell) ** 2


def growth_variance(growth: Float64[np.ndarray, "*pairs"]) -> Float64[np.ndarray, "*pairs"]:
    """What a change of the measured size adds."""
    return (GROWTH * growth) ** 2


def predict(motion: Motion, seconds: float, scale: Float64[np.ndarray, "tracks"], cell: float) -> Motion:
    """The filters some seconds later; an object that does not clearly move stays."""
    noise = (ACCELERATION * scale + 2 * cell) ** 2
    position, mixed, speed = motion.variance.T
    variance = np.stack(
        [
            position + 2 * seconds * mixed + seconds**2 * speed + noise * seconds**4 / 4,
            mixed + seconds * speed + noise * seconds**3 / 2,
            speed + noise * seconds**2,
        ],
        1,
    )
    step = np.where(is_moving(motion, cell)[:, None], motion.velocity * seconds, 0.0)
    return Motion(motion.center + step, motion.velocity, variance)


def is_moving(motion: Motion, cell: float) -> Bool[np.ndarray, "tracks"]:
    """Whether a velocity stands out from its own uncertainty and is more than a creep."""
    speed = np.linalg.norm(motion.velocity, axis=1)
    return (speed > 2 * np.sqrt(motion.variance[:, 2])) & (speed > SLOWEST * cell)


def correct(
    motion: Motion, measured: Float64[np.ndarray, "tracks 3"], variance: Float64[np.ndarray, "tracks"]
) -> Motion:
    """The filters after a measurement of their centers."""
    position, mixed, speed = motion.variance.T
    total = position + variance
    gain, gain_speed = position / total, mixed / total
    surprise = measured - motion.center
    corrected = np.stack([position * (1 - gain), mixed * (1 - gain), speed - gain_speed * mixed], 1)
    return Motion(motion.center + gain[:, None] * surprise, motion.velocity + gain_speed[:, None] * surprise, corrected)

"""Augmentations of single scans, Frame -> Frame; randomness comes in as an argument.

A moved frame forgets its pose and its motion, which describe the scan as it was measured.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ps3d.structures import Frame, Scan
from ps3d.structures.sequence import LIDAR


@dataclass(frozen=True)
class Augmentation:
    """What happens to a scan before training; probabilities 0..1, 0 switches a part off.

    Attributes:
        rotation: largest turn about the vertical, degrees.
        tilt: largest turn about the horizontal axes, degrees.
        flip: probability of mirroring left and right.
        scale: sizes are multiplied by 1 - scale .. 1 + scale.
        jitter: standard deviation of the noise of each coordinate, meters.
        shift_height: standard deviation of a vertical shift, meters: sensors are not mounted equally high.
        drop_points: largest share of points left out.
        drop_rings: largest share of rings (rows of equal elevation) left out.
        intensity_gain: intensities are multiplied by 1 / (1 + gain) .. 1 + gain.
        intensity_power: intensities are raised to 1 / (1 + power) .. 1 + power: sensors are not equally linear.
        intensity_noise: standard deviation of the noise of each intensity.
        drop_intensity: probability that a sector of random width knows no intensities.
        polar_mix: probability of swapping a sector with another scan (Xiao et al., NeurIPS 2022).
        laser_mix: probability of taking every other band of elevation from another scan (Kong et al., CVPR 2023).
        populate: number of objects pasted from another scan.
    """

    rotation: float = 180.0
    tilt: float = 0.0
    flip: float = 0.5
    scale: float = 0.08
    jitter: float = 0.01
    shift_height: float = 0.1
    drop_points: float = 0.1
    drop_rings: float = 0.0
    intensity_gain: float = 0.5
    intensity_power: float = 0.0
    intensity_noise: float = 0.0
    drop_intensity: float = 0.2
    polar_mix: float = 0.5
    laser_mix: float = 0.0
    populate: int = 0

    @property
    def needs_donor(self) -> bool:
        """Whether another scan takes part."""
        return self.polar_mix > 0 or self.laser_mix > 0 or self.populate > 0


NO_AUGMENTATION = Augmentation(
    rotation=0.0,
    flip=0.0,
    scale=0.0,
    jitter=0.0,
    shift_height=0.0,
    drop_points=0.0,
    intensity_gain=0.0,
    drop_intensity=0.0,
    polar_mix=0.0,
)


def augment(frame: Frame, settings: Augmentation, rng: np.random.Generator) -> Frame:
    """All augmentations that need no second scan. The random numbers drawn do not depend on the scan's content."""
    frame = drop_rings(frame, rng.uniform(0, settings.drop_rings), rng)
    frame = drop_points(frame, rng.uniform(0, settings.drop_points), rng)
    frame = rotate(frame, settings.rotation, rng)
    if settings.tilt:
        frame = tilt(frame, settings.tilt, rng)
    frame = flip(frame, settings.flip, rng)
    frame = scale(frame, settings.scale, rng)
    frame = shift_height(frame, settings.shift_height, rng)
    frame = jitter(frame, settings.jitter, rng)
    frame = change_intensity(frame, settings.intensity_gain, settings.intensity_power, settings.intensity_noise, rng)
    return drop_intensity(frame, settings.drop_intensity, rng)


def rotate(frame: Frame, degrees: float, rng: np.random.Generator) -> Frame:
    """Turn about the vertical by up to `degrees` either way."""
    angle = np.deg2rad(rng.uniform(-degrees, degrees))
    return move(frame, turn_about(2, angle))


def tilt(frame: Frame, degrees: float, rng: np.random.Generator) -> Frame:
    """Turn about x and about y by up to `degrees` either way."""
    roll, pitch = np.deg2rad(rng.uniform(-degrees, degrees, 2))
    return move(frame, turn_about(0, roll) @ turn_about(1, pitch))


def flip(frame: Frame, probability: float, rng: np.random.Generator) -> Frame:
    """Mirror left and right."""
    return move(frame, np.diag([1.0, -1.0, 1.0])) if rng.uniform() < probability else frame


def scale(frame: Frame, share: float, rng: np.random.Generator) -> Frame:
    """Multiply all positions by one number between 1 - share and 1 + share."""
    return move(frame, np.eye(3) * rng.uniform(1 - share, 1 + share))


def shift_height(frame: Frame, deviation: float, rng: np.random.Generator) -> Frame:
    """Raise or lower the scan, normally distributed but at most three deviations."""
    height = np.clip(rng.normal(0, deviation), -3 * deviation, 3 * deviation)
    scan = _scan(frame)
    return _with_xyz(frame, scan.xyz + np.array([0, 0, height], np.float32))


def jitter(frame: Frame, deviation: float, rng: np.random.Generator) -> Frame:
    """Noise on every coordinate."""
    scan = _scan(frame)
    seed = rng.integers(2**63)
    if not deviation:
        return frame
    noise = np.random.default_rng(seed).standard_normal(scan.xyz.shape, np.float32)
    return _with_xyz(frame, scan.xyz + np.float32(deviation) * noise)


def drop_points(frame: Frame, share: float, rng: np.random.Generator) -> Frame:
    """Leave out a share of the points at random."""
    seed = rng.integers(2**63)
    if not share:
        return frame
    keep = np.random.default_rng(seed).random(len(_scan(frame)), np.float32) >= share
    return select(frame, keep)


def drop_rings(frame: Frame, share: float, rng: np.random.Generator, rings: int = 64) -> Frame:
    """Leave out a share of the rings, found as bands of elevation between the lowest and the highest beam."""
    dropped = rng.random(rings) < share
    scan = _scan(frame)
    if not dropped.any() or not len(scan):
        return frame
    elevation = elevations(scan.xyz)
    low, high = np.nanmin(elevation), np.nanmax(elevation)
    place = np.nan_to_num((elevation - low) / max(high - low, 1e-6) * (rings - 1e-3))
    return select(frame, ~dropped[place.astype(np.int64)])


def change_intensity(frame: Frame, gain: float, power: float, noise: float, rng: np.random.Generator) -> Frame:
    """Another gain and another linearity for the whole scan, noise for each point; 0..1 stays 0..1, and 0 stays 0."""
    factor = (1 + gain) ** rng.uniform(-1, 1)
    exponent = (1 + power) ** rng.uniform(-1, 1)
    seed = rng.integers(2**63)
    scan = _scan(frame)
    intensity = scan.intensity if exponent == 1 else np.power(scan.intensity, np.float32(exponent))
    intensity = intensity * np.float32(factor)
    if noise:
        scatter = np.random.default_rng(seed).standard_normal(len(scan), np.float32)
        intensity = intensity + np.where(intensity > 0, np.float32(noise) * scatter, 0)
    return replace(frame, scan=Scan(scan.xyz, np.clip(intensity, 0, 1).astype(np.float32), scan.time))


def drop_intensity(frame: Frame, probability: float, rng: np.random.Generator) -> Frame:
    """Forget the intensities (NaN) of a sector of random direction and width.

    By sector, never of the whole scan: where batches are single scans, normalization would otherwise see two kinds of
    statistics, and running statistics fit neither.
    """
    is_dropped = rng.uniform() < probability
    begin, width = rng.uniform(-np.pi, np.pi), rng.uniform(0.25, 1.25) * np.pi
    if not is_dropped:
        return frame
    scan = _scan(frame)
    intensity = np.where(is_in_sector(scan.xyz, begin, width), np.float32(np.nan), scan.intensity)
    return replace(frame, scan=Scan(scan.xyz, intensity, scan.time))


def is_in_sector(xyz: np.ndarray, begin: float, width: float) -> np.ndarray:
    """Which points lie between the azimuths begin and begin + width, radians."""
    return np.mod(np.arctan2(xyz[:, 1], xyz[:, 0]) - np.float32(begin), np.float32(2 * np.pi)) < width


def elevations(xyz: np.ndarray) -> np.ndarray:
    """Angle of each point over the horizontal, radians."""
    return np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1]))


def turn_about(axis: int, angle: float) -> Float[np.ndarray, "3 3"]:
    """Rotation matrix about x (0), y (1) or z (2)."""
    turn = np.eye(3)
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    turn[first, first] = turn[second, second] = np.cos(angle)
    turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
    return turn


def move(frame: Frame, matrix: Float[np.ndarray, "3 3"]) -> Frame:
    """The scan's positions times a matrix."""
    return _with_xyz(frame, _scan(frame).xyz @ matrix.T.astype(np.float32))


def select(frame: Frame, keep: np.ndarray) -> Frame:
    """The points (and their labels) that `keep` names."""
    truth = {**frame.truth}
    if LIDAR in truth:
        truth[LIDAR] = truth[LIDAR].select(keep)
    return replace(frame, scan=_scan(frame).select(keep), truth=truth)


def _scan(frame: Frame) -> Scan:
    if frame.scan is None:
        raise ValueError(f"frame {frame.index} ({frame.source}) has no scan to augment")
    return frame.scan


def _with_xyz(frame: Frame, xyz: np.ndarray) -> Frame:
    scan = _scan(frame)
    moved = Scan(xyz.astype(np.float32), scan.intensity, scan.time)
    return replace(frame, scan=moved, world_from_lidar=None, current_from_previous=None)

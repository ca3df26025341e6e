"""A frame's points, freed from the vehicle's own motion and brought into the world."""

import numpy as np
from jaxtyping import Float32, Float64

from ps3d.ops.geometry import correct_motion, transform
from ps3d.structures import SWEEP_SECONDS, Frame


def corrected_xyz(frame: Frame) -> Float32[np.ndarray, "points 3"]:
    """The scan's points where the vehicle would have seen them at the reference time, in the LiDAR frame.

    The points as they are where the frame knows no motion, or where the scan carries no times (it is corrected).

    Raises:
        ValueError: a frame without a scan.
    """
    if frame.scan is None:
        raise ValueError(f"frame {frame.index} ({frame.source}) has no scan")
    if frame.current_from_previous is None or not frame.scan.time.any():
        return frame.scan.xyz
    return correct_motion(frame.scan.xyz, -frame.scan.time / np.float32(SWEEP_SECONDS), frame.current_from_previous)


def world_xyz(frame: Frame) -> Float64[np.ndarray, "points 3"]:
    """The scan's motion-corrected points in the world, meters.

    Raises:
        ValueError: a frame without a scan or without a pose.
    """
    if frame.world_from_lidar is None:
        raise ValueError(
            f"frame {frame.index} ({frame.source}) has no pose: it lies in a gap of the poses; leave the frame out"
        )
    return transform(frame.world_from_lidar, corrected_xyz(frame).astype(np.float64))

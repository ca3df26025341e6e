"""Streaming evaluation: what a system answers when the next scan does not wait for it.

Frames arrive at their time stamps. One worker takes the newest frame whenever it is free, and skips what it could not
begin. A frame's answer is due when the next one arrives; if its own result is not ready, the last finished one answers
(streaming perception: Li et al., ECCV 2020; for 4D panoptic segmentation: 4DSegStreamer, ICCV 2025). An old answer is
carried over to the points of the scan that asks, in the world where poses are known, else as if the vehicle stood.
"""

import numpy as np
from jaxtyping import Float, Int64

from ps3d.ops.motion import corrected_xyz, world_xyz
from ps3d.ops.nearest import MISSING, index_points, nearest
from ps3d.structures import NO_INSTANCE, VOID, Frame, Panoptic

NO_ANSWER = -1
"""Source of a frame that is due before anything was ever finished."""

REACH = 1.0
"""Meters: points farther from everything in the old answer stay void."""

_SAME_TIME = 1e-9


def schedule(
    arrival: Float[np.ndarray, "frames"], latency: Float[np.ndarray, "frames"], due: float | None = None
) -> Int64[np.ndarray, "frames"]:
    """For each frame, the frame whose result answers for it.

    Args:
        arrival: seconds, ascending.
        latency: seconds of work each frame takes.
        due: seconds after its arrival an answer is wanted; None = when the next frame arrives (for the last frame, one
            median period after it).

    Returns:
        Places of frames, `NO_ANSWER` before the first result.
    """
    count = len(arrival)
    period = float(np.median(np.diff(arrival))) if count > 1 else 0.0
    deadline = arrival + due if due is not None else np.append(arrival[1:], arrival[-1:] + period)
    finished, free = [], -np.inf
    place = 0
    while place < count:
        begin = max(free, arrival[place])
        # The newest frame that has arrived when the worker becomes free; the ones before it are never worked on.
        place = int(np.searchsorted(arrival, begin + _SAME_TIME, side="right")) - 1
        free = begin + latency[place]
        finished.append((free, place))
        place += 1
    times = np.array([time for time, _ in finished])
    sources = np.array([source for _, source in finished], np.int64)
    answer = np.searchsorted(times, deadline + _SAME_TIME, side="right") - 1
    return np.where(answer >= 0, sources[np.maximum(answer, 0)], NO_ANSWER)


def carry_over(label: Panoptic, old: Frame, new: Frame) -> Panoptic:
    """An old answer on the points of a newer scan: each point takes the label of the nearest old point."""
    has_poses = old.world_from_lidar is not None and new.world_from_lidar is not None
    old_xyz, new_xyz = (world_xyz(f) if has_poses else corrected_xyz(f) for f in (old, new))
    if len(old_xyz) == 0:
        return no_answer(new)
    place, _ = nearest(index_points(old_xyz, 0.3), new_xyz, REACH)
    is_found = place != MISSING
    place = np.where(is_found, place, 0)
    return Panoptic(
        np.where(is_found, label.semantic[place], VOID).astype(np.uint8),
        np.where(is_found, label.instance[place], NO_INSTANCE).astype(np.int32),
    )


def no_answer(frame: Frame) -> Panoptic:
    """Void for every point."""
    count = 0 if frame.scan is None else len(frame.scan)
    return Panoptic(np.full(count, VOID, np.uint8), np.zeros(count, np.int32))

"""Boxes of moving objects at the instant a point was measured: KITTI-360 has one per frame, a sweep takes 0.1 s."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.spatial.transform import Rotation

OUTSIDE = -1
"""Box of a point that lies in none."""


@dataclass(frozen=True)
class MovingBox:
    """One object at the reference time of one sweep.

    Attributes:
        global_id: KITTI-360 id * 1000 + number.
        world_from_object: rigid pose of the box's center.
        size: full extent along its axes in meters.
        velocity: of the center, world frame, meters per second.
        turn_rate: about the vertical, radians per second.
    """

    global_id: int
    world_from_object: Float64[np.ndarray, "4 4"]
    size: Float64[np.ndarray, "3"]
    velocity: Float64[np.ndarray, "3"]
    turn_rate: float = 0.0


def find_box(
    boxes: list[MovingBox],
    world: Float[np.ndarray, "points 3"],
    time: Float[np.ndarray, "points"],
    margin: float,
) -> Int64[np.ndarray, "points"]:
    """Which box each point lies in; the smallest where boxes overlap (a rider on a bicycle), else `OUTSIDE`.

    Args:
        world: motion-corrected points.
        time: seconds from the sweep's reference time; the box is moved to where the object was then.
        margin: boxes grow by this on every side, in meters.
    """
    inside = np.full(len(world), OUTSIDE, np.int64)
    # The biggest first, so that the smallest writes last.
    for place in sorted(range(len(boxes)), key=lambda i: -float(np.prod(boxes[i].size))):
        box = boxes[place]
        center = box.world_from_object[:3, 3]
        reach = np.linalg.norm(box.size) / 2 + margin + np.linalg.norm(box.velocity) * (np.abs(time).max(initial=0))
        near = np.flatnonzero((np.abs(world[:, :2] - center[:2]) <= reach).all(1))
        if not len(near):
            continue
        local = _to_object(box, world[near], time[near])
        inside[near[(np.abs(local) <= box.size / 2 + margin).all(1)]] = place
    return inside


def _to_object(box: MovingBox, world: np.ndarray, time: np.ndarray) -> np.ndarray:
    seconds = time.astype(np.float64)[:, None]
    offset = world - box.world_from_object[:3, 3] - box.velocity * seconds
    if box.turn_rate:
        angle = -box.turn_rate * seconds[:, 0]
        cos, sin = np.cos(angle), np.sin(angle)
        offset = np.stack(
            [cos * offset[:, 0] - sin * offset[:, 1], sin * offset[:, 0] + cos * offset[:, 1], offset[:, 2]], 1
        )
    return offset @ box.world_from_object[:3, :3]


def track_motion(
    frames: Int64[np.ndarray, "boxes"],
    poses: Float64[np.ndarray, "boxes 4 4"],
    seconds: Float64[np.ndarray, "boxes"],
    frame: int,
    longest_gap: float = 1.0,
) -> tuple[Float64[np.ndarray, "4 4"], Float64[np.ndarray, "3"], float] | None:
    """Pose, velocity and turn rate of one object at a frame that has a box; None if the frame has none.

    Central differences between the neighboring boxes; a neighbor more than `longest_gap` seconds away is not used, and
    an object with a single box stands still.
    """
    found = np.flatnonzero(frames == frame)
    if not len(found):
        return None
    here = int(found[0])
    before, after = max(here - 1, 0), min(here + 1, len(frames) - 1)
    if seconds[here] - seconds[before] > longest_gap:
        before = here
    if seconds[after] - seconds[here] > longest_gap:
        after = here
    elapsed = seconds[after] - seconds[before]
    if elapsed <= 0:
        return poses[here], np.zeros(3), 0.0
    velocity = (poses[after][:3, 3] - poses[before][:3, 3]) / elapsed
    turn = Rotation.from_matrix(poses[after][:3, :3] @ poses[before][:3, :3].T).as_rotvec()[2] / elapsed
    return poses[here], velocity, float(turn)

"""Labels of one raw scan from accumulated windows and boxes: the algorithm, on arrays.

KITTI-360 labels accumulated windows, never single scans. A scan gets its labels back in four steps: correct the motion
of the vehicle, go to the world frame, take the nearest labeled point of what stands still and of what moved *in this
frame*, and ask the boxes of moving objects for the points nobody answered for.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64

from ps3d.curation.moving_boxes import MovingBox, find_box
from ps3d.datasets.kitti360_labels import INSTANCES_PER_LABEL, LABELS
from ps3d.ops.nearest import MISSING, NearestIndex, index_points, nearest

UNLABELED = 0
"""KITTI-360 id of a point that got no label."""


@dataclass(frozen=True)
class RecoverySettings:
    """What decides a label.

    Attributes:
        static_radius: meters a point may lie from the labeled static point it takes its label from.
        dynamic_radius: the same for points of moving objects of the same frame.
        box_margin: meters by which the boxes of moving objects are inflated.
        box_distance: a box decides only for points at least this far from every labeled static point, in meters.
        minimum_confidence: labels less certain than this stay unlabeled.
        blind_range: points nearer to the sensor than this are the vehicle itself, in meters.
        reach: windows whose path comes this near to the sensor are asked, in meters.
        thinning: replace static windows by one point per cell of this edge in meters (0 = take every point).
    """

    static_radius: float = 0.3
    dynamic_radius: float = 0.2
    box_margin: float = 0.08
    box_distance: float = 0.08
    minimum_confidence: float = 0.0
    blind_range: float = 0.0
    reach: float = 80.0
    thinning: float = 0.0


FAST = RecoverySettings(thinning=0.1)


@dataclass(frozen=True)
class LabeledCloud:
    """World points with KITTI-360 labels, ready to be asked.

    Attributes:
        index: the points.
        global_id: id * 1000 + number of the object (0 = none) of each point.
        confidence: 0..1.
        is_current: whether a point was measured in the frame at hand; None where that does not matter.
        is_thinned: about one point per cell of the index is left; the first cell that holds a point answers.
    """

    index: NearestIndex
    global_id: Int32[np.ndarray, "points"]
    confidence: Float32[np.ndarray, "points"]
    is_current: Bool[np.ndarray, "points"] | None = None
    is_thinned: bool = False

    def __len__(self) -> int:
        return len(self.global_id)


@dataclass(frozen=True)
class RecoveryCounts:
    """What happened to the points of some frames; counts of frames and of drives add.

    Attributes:
        frames, points, labeled: totals.
        from_static, from_dynamic, from_boxes: which source gave the label.
        ghosts_avoided: points that a search without regard to time would have given to an object that was there earlier
            or later.
        ghosts_removed: static candidates rejected: another object's trace inside the box of one that moves here.
        disagreements: points of moving objects whose box and whose window point name different objects.
        frames_without_pose, frames_with_interpolated_pose, empty_scans: frames.
        not_finite: points that are NaN or infinite.
    """

    frames: int = 0
    points: int = 0
    labeled: int = 0
    from_static: int = 0
    from_dynamic: int = 0
    from_boxes: int = 0
    ghosts_avoided: int = 0
    ghosts_removed: int = 0
    disagreements: int = 0
    frames_without_pose: int = 0
    frames_with_interpolated_pose: int = 0
    empty_scans: int = 0
    not_finite: int = 0

    def __add__(self, other: "RecoveryCounts") -> "RecoveryCounts":
        return RecoveryCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True)
class RecoveredScan:
    """Labels of one scan.

    Attributes:
        raw_id: KITTI-360 id, `UNLABELED` where nothing is known.
        number: number of the object within its class, 0 = none.
        confidence: 0..1: the window's own confidence, less the farther its point lies.
        counts: where the labels came from.
    """

    raw_id: Int32[np.ndarray, "points"]
    number: Int32[np.ndarray, "points"]
    confidence: Float32[np.ndarray, "points"]
    counts: RecoveryCounts


def label_cloud(points: np.ndarray, thinning: float = 0.0) -> LabeledCloud:
    """Index the records of a window file (fields x, y, z, semantic, instance, and confidence where it exists)."""
    xyz = np.stack([points["x"], points["y"], points["z"]], 1)
    finite = np.isfinite(xyz).all(1)
    if not finite.all():
        points, xyz = points[finite], xyz[finite]
    global_id = np.where(
        points["instance"] // INSTANCES_PER_LABEL == points["semantic"],
        points["instance"],
        points["semantic"] * INSTANCES_PER_LABEL,
    ).astype(np.int32)
    named = points.dtype.names or ()
    confidence = points["confidence"].astype(np.float32) if "confidence" in named else np.ones(len(points), np.float32)
    if thinning > 0:
        keep = _one_per_cell(xyz, thinning)
        index = index_points(xyz[keep], cell=thinning)
        return LabeledCloud(index, global_id[keep], confidence[keep], is_thinned=True)
    return LabeledCloud(index_points(xyz), global_id, confidence)


def recover_scan(
    world: Float[np.ndarray, "points 3"],
    distance_to_sensor: Float[np.ndarray, "points"],
    time: Float[np.ndarray, "points"],
    static: list[LabeledCloud],
    dynamic: list[LabeledCloud],
    all_dynamic: list[LabeledCloud],
    boxes: list[MovingBox],
    settings: RecoverySettings,
) -> RecoveredScan:
    """Label the points of one scan.

    Args:
        world: motion-corrected points in the world frame, float64; points that are not finite stay unlabeled.
        distance_to_sensor: meters.
        time: when each point was measured, in seconds from the sweep's reference time.
        static: what stands still, of every window in reach.
        dynamic: what moved, measured in this very frame.
        all_dynamic: what moved, measured in any frame; it labels nothing and only counts the ghosts that were avoided.
        boxes: objects that move in this frame, at the sweep's reference time.
        settings: radii and margins.
    """
    finite = np.isfinite(world).all(1)
    near = _search_all(static, world, settings.static_radius)
    moving = _search_all(dynamic, world, settings.dynamic_radius)
    inside = find_box(boxes, world, time, settings.box_margin)

    is_ghost = (inside >= 0) & _can_move(near.global_id) & (moving.distance >= near.distance)
    if is_ghost.any():
        # A thing that stands still cannot be where another one is driving: the window kept a trace of it.
        in_box = np.array([box.global_id for box in boxes], np.int32)[inside[is_ghost]]
        is_ghost[is_ghost] = near.global_id[is_ghost] != in_box
    near_distance = np.where(is_ghost, np.inf, near.distance)

    is_moving = moving.distance < near_distance
    global_id = np.where(is_moving, moving.global_id, np.where(np.isfinite(near_distance), near.global_id, 0))
    confidence = np.where(is_moving, moving.confidence, np.where(np.isfinite(near_distance), near.confidence, 0))

    disagreements = 0
    from_box = np.zeros(len(world), bool)
    if boxes:
        box_ids = np.array([box.global_id for box in boxes], np.int32)[inside]
        # The point names the class, the box names the object, where they speak of the same class.
        same_class = is_moving & (inside >= 0) & (box_ids // INSTANCES_PER_LABEL == global_id // INSTANCES_PER_LABEL)
        disagreements = int((is_moving & (inside >= 0) & (box_ids != global_id)).sum())
        has_no_number = same_class & (global_id % INSTANCES_PER_LABEL == 0)
        global_id = np.where(has_no_number, box_ids, global_id)
        from_box = (inside >= 0) & ~is_moving & (near_distance > settings.box_distance)
        global_id = np.where(from_box, box_ids, global_id)
        confidence = np.where(from_box, 0.5, confidence)

    keep = finite & (distance_to_sensor >= settings.blind_range) & (confidence >= settings.minimum_confidence)
    global_id = np.where(keep, global_id, 0).astype(np.int32)
    confidence = np.where(global_id > 0, confidence, 0).astype(np.float32)
    labeled = global_id > 0
    counts = RecoveryCounts(
        frames=1,
        points=len(world),
        labeled=int(labeled.sum()),
        from_static=int((labeled & ~is_moving & ~from_box).sum()),
        from_dynamic=int((labeled & is_moving).sum()),
        from_boxes=int((labeled & from_box).sum()),
        ghosts_avoided=_count_ghosts(all_dynamic, world, np.minimum(near_distance, moving.distance), settings),
        ghosts_removed=int(is_ghost.sum()),
        disagreements=disagreements,
        empty_scans=int(len(world) == 0),
        not_finite=int((~finite).sum()),
    )
    return RecoveredScan(global_id // INSTANCES_PER_LABEL, global_id % INSTANCES_PER_LABEL, confidence, counts)


@dataclass(frozen=True)
class _Neighbors:
    """The nearest labeled point of each point over several clouds; distance inf and id 0 where there is none."""

    distance: Float32[np.ndarray, "points"]
    global_id: Int32[np.ndarray, "points"]
    confidence: Float32[np.ndarray, "points"]


def _search_all(clouds: list[LabeledCloud], world: np.ndarray, radius: float) -> _Neighbors:
    distance = np.full(len(world), np.inf, np.float32)
    global_id = np.zeros(len(world), np.int32)
    confidence = np.zeros(len(world), np.float32)
    for cloud in clouds:
        place, far = nearest(cloud.index, world, radius, approximate=cloud.is_thinned)
        better = np.flatnonzero((place != MISSING) & (far < distance))
        distance[better] = far[better]
        global_id[better] = cloud.global_id[place[better]]
        confidence[better] = cloud.confidence[place[better]]
    # Half as sure at half the radius.
    return _Neighbors(distance, global_id, confidence * np.exp2(-2 * np.minimum(distance, radius) / radius))


def _count_ghosts(clouds: list[LabeledCloud], world: np.ndarray, limit: np.ndarray, settings: RecoverySettings) -> int:
    """Points whose nearest labeled point of all belongs to an object that was there in another frame."""
    ghosts = np.zeros(len(world), bool)
    for cloud in clouds:
        assert cloud.is_current is not None
        place, far = nearest(cloud.index, world, settings.static_radius)
        found = np.flatnonzero((place != MISSING) & (far < limit))
        ghosts[found[~cloud.is_current[place[found]]]] = True
    return int(ghosts.sum())


_CAN_MOVE = np.zeros(256, bool)
_CAN_MOVE[[label.id for label in LABELS if label.category in ("human", "vehicle") and label.id >= 0]] = True


def _can_move(global_id: Int32[np.ndarray, "points"]) -> Bool[np.ndarray, "points"]:
    return _CAN_MOVE[global_id // INSTANCES_PER_LABEL]


def _one_per_cell(xyz: np.ndarray, cell: float) -> Int64[np.ndarray, "kept"]:
    """The point nearest to the center of each occupied cell."""
    scaled = (xyz - xyz.min(0, initial=np.inf)) / cell if len(xyz) else xyz
    corner = np.floor(scaled).astype(np.int64)
    key = (corner[:, 0] << 42) | (corner[:, 1] << 21) | corner[:, 2]
    off_center = ((scaled - corner - 0.5) ** 2).sum(1)
    order = np.lexsort((off_center, key))
    is_first = np.ones(len(key), bool)
    is_first[1:] = key[order[1:]] != key[order[:-1]]
    return order[is_first]


def summarize(counts: RecoveryCounts) -> dict[str, Any]:
    """The counts and the share of labeled points, for a report."""
    report: dict[str, Any] = {f.name: getattr(counts, f.name) for f in fields(counts)}
    report["coverage"] = counts.labeled / max(counts.points, 1)
    return report

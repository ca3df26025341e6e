"""Argoverse 2: true boxes with forgotten identity, in the points of consecutive sweeps and over a whole log."""

from pathlib import Path

import numpy as np
from rich.table import Table
from scipy.spatial.transform import Rotation

from ps3d.ops.geometry import invert, transform
from ps3d.structures import Category, Frame, Panoptic, Scan, Taxonomy
from ps3d.tracking import ObjectTracker, Tracker, TrackerOptions
from ps3d.tracking.observations import observe_boxes


def track_log(log: Path) -> Table:
    """Steps from one appearance of an object to the next in which it keeps its number."""
    boxes, poses = read_log(log)
    table = Table("what", "objects", "steps", "kept", "share", title="Argoverse 2, true boxes, shuffled")
    for name, step in (("boxes, 10 Hz", 1), ("boxes, 2 Hz", 5)):
        table.add_row(name, *track_boxes(boxes, poses, step))
    table.add_row("points of two sweeps", *track_sweeps(log, boxes, poses))
    return table


def read_log(log: Path) -> tuple[dict[int, dict[str, np.ndarray]], dict[int, np.ndarray]]:
    """Boxes by time, vehicle frame; and city_from_vehicle by time (nanoseconds)."""
    try:
        from pyarrow import feather
    except ImportError as error:
        raise ImportError("Argoverse 2 is stored as feather files; pip install pyarrow") from error
    columns = {k: np.array(v) for k, v in feather.read_table(log / "annotations.feather").to_pydict().items()}
    times = columns["timestamp_ns"]
    boxes = {int(t): {k: v[times == t] for k, v in columns.items()} for t in np.unique(times)}
    rows = feather.read_table(log / "city_SE3_egovehicle.feather").to_pydict()
    poses = {}
    for place, time in enumerate(rows["timestamp_ns"]):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_quat([rows[k][place] for k in ("qx", "qy", "qz", "qw")]).as_matrix()
        pose[:3, 3] = [rows[k][place] for k in ("tx_m", "ty_m", "tz_m")]
        poses[int(time)] = pose
    return boxes, poses


def vehicle_boxes(rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Center, size (length, width, height) and rotation of each box."""
    center = np.stack([rows[k] for k in ("tx_m", "ty_m", "tz_m")], 1)
    size = np.stack([rows[k] for k in ("length_m", "width_m", "height_m")], 1)
    return center, size, Rotation.from_quat(np.stack([rows[k] for k in ("qx", "qy", "qz", "qw")], 1)).as_matrix()


def track_boxes(boxes: dict, poses: dict[int, np.ndarray], step: int) -> tuple[str, ...]:
    kinds = sorted({kind for rows in boxes.values() for kind in rows["category"]})
    tracker, rng, options = ObjectTracker(len(kinds)), np.random.default_rng(0), TrackerOptions()
    seen: list[dict[str, int]] = []
    for time in sorted(boxes)[::step]:
        order = rng.permutation(len(boxes[time]["category"]))
        rows = {key: values[order] for key, values in boxes[time].items()}
        center, size, turn = vehicle_boxes(rows)
        yaw = np.arctan2(*(poses[time][:3, :3] @ turn)[:, [1, 0], 0].T)
        semantic = np.array([kinds.index(kind) for kind in rows["category"]], np.int64)
        observed = observe_boxes(semantic, transform(poses[time], center), size, yaw, options.cell)
        number, _ = tracker.step(observed, time * 1e-9)
        seen.append(dict(zip(rows["track_uuid"].tolist(), number.tolist(), strict=True)))
    return kept_steps(seen)


def track_sweeps(log: Path, boxes: dict, poses: dict[int, np.ndarray]) -> tuple[str, ...]:
    from pyarrow import feather

    car = Taxonomy("objects", (Category("object", (1,), True, (0, 0, 255)),))
    tracker, rng, seen = Tracker(car), np.random.default_rng(0), []
    for index, path in enumerate(sorted((log / "sensors" / "lidar").glob("*.feather"))):
        rows = feather.read_table(path).to_pydict()
        xyz = np.stack([np.array(rows[axis], np.float32) for axis in "xyz"], 1)
        time = int(path.stem)
        center, size, turn = vehicle_boxes(boxes[time])
        number = np.zeros(len(xyz), np.int32)
        order = rng.permutation(len(center)) + 1
        for place in range(len(center)):
            local = np.abs((xyz - center[place]) @ turn[place])
            number[(local <= size[place] / 2).all(1)] = order[place]
        nothing = np.zeros(len(xyz), np.float32)
        # The points already are in the vehicle's frame and motion-corrected.
        pose = invert(poses[min(poses)]) @ poses[time]
        frame = Frame(index, time * 1e-9, Scan(xyz, nothing, nothing), world_from_lidar=pose)
        tracked = tracker.update(Panoptic(np.zeros(len(xyz), np.uint8), number), frame)
        names = boxes[time]["track_uuid"]
        seen.append(
            {
                str(names[place]): int(np.bincount(tracked.instance[number == order[place]]).argmax())
                for place in range(len(center))
                if (number == order[place]).sum() >= 5
            }
        )
    return kept_steps(seen)


def kept_steps(seen: list[dict[str, int]]) -> tuple[str, ...]:
    """Objects, steps between consecutive appearances, those with the same number, and their share."""
    last: dict[str, int] = {}
    steps = kept = 0
    for frame in seen:
        for name, number in frame.items():
            if name in last:
                steps += 1
                kept += last[name] == number
            last[name] = number
    return str(len(last)), str(steps), str(kept), f"{kept / max(steps, 1):.4f}"

"""Accumulated windows and boxes of a simulated drive, made the way KITTI-360's were.

As the data set's tool does: scans are motion-corrected, a sector behind the vehicle and points outside 3..80 m are
left out, points count only within 30 m of the path, and points nearer than the spacing to another are thinned.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32
from scipy.spatial import cKDTree

from ps3d.datasets.kitti360_boxes import STATIC, Box, write_boxes
from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION
from ps3d.datasets.kitti360_files import read_png, read_poses, read_scan, write_list
from ps3d.datasets.kitti360_labels import INSTANCES_PER_LABEL
from ps3d.datasets.kitti360_layout import Kitti360Layout
from ps3d.datasets.kitti360_windows import DYNAMIC_POINT, STATIC_POINT, write_window
from ps3d.datasets.label_files import read_labels
from ps3d.ops.geometry import correct_motion, invert, project, sweep_fraction_from_azimuth, transform
from ps3d.simulation.meshes import bounds
from ps3d.simulation.world import World, box_transform
from ps3d.structures import SWEEP_SECONDS

LENGTH, OVERLAP = 200.0, 10.0
"""Meters of travel in a window, and shared by two that follow each other."""
SPACING = 0.02
"""Thinning: one point in a cell of this edge, meters; the default of KITTI-360's own tool."""
PADDING = 20.0
"""Meters of travel at a drive's start whose sweeps keep the sector behind: in the data set a window starts amid a
drive, and the sweeps before it have seen what lies there."""
NEAREST, FARTHEST, FROM_PATH = 3.0, 80.0, 30.0
_BLIND = np.pi / 16


@dataclass(frozen=True)
class Accumulated:
    """Labeled points in the world.

    Attributes:
        xyz: world, meters.
        rgb: from the picture where the point is seen, else gray by intensity.
        semantic: label id.
        instance: number within the label.
        is_visible: whether a picture shows it.
        frame: in which it was measured.
        is_moving: whether it belongs to an actor.
    """

    xyz: Float64[np.ndarray, "points 3"]
    rgb: np.ndarray
    semantic: Int32[np.ndarray, "points"]
    instance: Int32[np.ndarray, "points"]
    is_visible: np.ndarray
    frame: Int32[np.ndarray, "points"]
    is_moving: np.ndarray

    def select(self, keep: np.ndarray) -> "Accumulated":
        return Accumulated(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


def window_ranges(frames: tuple[int, ...], travel: Float64[np.ndarray, "frames"]) -> list[tuple[int, int]]:
    """(first frame, last frame) of each window: `LENGTH` meters of travel, `OVERLAP` shared."""
    ranges = []
    start = 0
    while True:
        inside = np.flatnonzero(travel <= travel[start] + LENGTH)
        end = int(inside[-1])
        if travel[-1] - travel[end] < LENGTH / 4:
            end = len(frames) - 1
        ranges.append((frames[start], frames[end]))
        if end == len(frames) - 1:
            return ranges
        back = int(np.flatnonzero(travel >= travel[end] - OVERLAP)[0])
        start = back if back > start else end


def write_windows(layout: Kitti360Layout, name: str, world: World, frames: tuple[int, ...]) -> None:
    """Windows, boxes and split lists of a finished drive. `frames` are all frames that were taken."""
    travel = np.array([float(world.traffic.ego.distance(f * SWEEP_SECONDS)) for f in frames])
    ranges = window_ranges(frames, travel)
    poses = read_poses(layout.poses(name))
    path = cKDTree(np.array([pose[:3, 3] for pose in poses.values()]))
    moving = moving_keys(world)
    blind = {f: 0.0 if meters - travel[0] < PADDING else _BLIND for f, meters in zip(frames, travel, strict=True)}
    taken = {frame: _accumulate(layout, name, frame, poses, path, moving, blind[frame]) for frame in frames}
    for first, last in ranges:
        inside = [taken[f] for f in frames if first <= f <= last]
        window = Accumulated(
            *(np.concatenate([getattr(x, field) for x in inside]) for field in Accumulated.__dataclass_fields__)
        )
        still = window.select(~window.is_moving)
        still = still.select(_thin(still.xyz, np.zeros(len(still.xyz), np.int64)))
        moves = window.select(window.is_moving)
        moves = moves.select(_thin(moves.xyz, moves.frame))
        write_window(layout.window(name, "static", first, last), _records(still, False))
        write_window(layout.window(name, "dynamic", first, last), _records(moves, True))
    offset = poses[frames[0]][:3, 3] - world.traffic.world_from_vehicle(frames[0] * SWEEP_SECONDS)[:3, 3]
    write_boxes(layout.boxes(name), make_boxes(world, frames, travel, ranges, np.round(offset)))
    write_split_lists(layout)


def moving_keys(world: World) -> Int32[np.ndarray, "objects"]:
    """Global instance numbers of everything that moves."""
    keys = [i * INSTANCES_PER_LABEL + k for actor in world.traffic.actors for i, k in actor.instance_of.items()]
    return np.array(sorted(keys), np.int32)


def _accumulate(
    layout: Kitti360Layout, name: str, frame: int, poses, path: cKDTree, moving, blind: float
) -> Accumulated:
    """One scan's points in the world, as far as windows hold them; `blind` is half the sector left out behind."""
    scan = read_scan(layout.scan(name, frame))
    semantic, instance = read_labels(layout.truth(name) / f"{frame:010d}.label", len(scan))
    vehicle_from_lidar = KITTI360_CALIBRATION.vehicle_from_lidar
    world_from_lidar = poses[frame] @ vehicle_from_lidar
    previous = poses[max(frame - 1, 0)] @ vehicle_from_lidar
    reach = np.linalg.norm(scan.xyz, axis=1)
    azimuth = np.abs(np.arctan2(scan.xyz[:, 1], scan.xyz[:, 0]))
    keep = (reach >= NEAREST) & (reach <= FARTHEST) & (azimuth <= np.pi - blind)
    near = np.flatnonzero(keep)
    local = correct_motion(
        scan.xyz[near], sweep_fraction_from_azimuth(scan.xyz[near]), invert(world_from_lidar) @ previous
    )
    xyz = transform(world_from_lidar, local.astype(np.float64))
    inside = np.isfinite(path.query(xyz, distance_upper_bound=FROM_PATH, eps=0.05)[0])
    near, xyz, local = near[inside], xyz[inside], local[inside]
    first = _thin(xyz, np.zeros(len(xyz), np.int64))
    near, xyz, local = near[first], xyz[first], local[first]
    gray = (np.clip(scan.intensity[near], 0, 0.6) * 400).astype(np.uint8)
    rgb, visible = _colors(layout, name, frame, local, semantic[near], np.repeat(gray[:, None], 3, 1))
    key = semantic[near] * INSTANCES_PER_LABEL + instance[near]
    stamp = np.full(len(near), frame, np.int32)
    return Accumulated(xyz, rgb, semantic[near], instance[near], visible, stamp, np.isin(key, moving))


def _colors(layout: Kitti360Layout, name: str, frame: int, local: Float32[np.ndarray, "points 3"], semantic, rgb):
    """Colors from camera 0 where its label agrees, so that nothing takes the color of what hides it."""
    visible = np.zeros(len(local), bool)
    labels = layout.image_labels(name, "image_00", "semantic", frame)
    if not labels.exists():
        return rgb, visible
    camera = KITTI360_CALIBRATION.cameras().cameras["image_00"]
    pixel, _, is_inside = project(local, camera.camera_from_lidar, camera.intrinsics, camera.size)
    column, row = np.round(pixel[is_inside]).astype(int).T
    is_same = read_png(labels)[row, column] == semantic[is_inside]
    chosen = np.flatnonzero(is_inside)[is_same]
    rgb[chosen] = read_png(layout.image(name, "image_00", frame))[row[is_same], column[is_same]]
    visible[chosen] = True
    return rgb, visible


def _thin(xyz: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Places of the first point in each cell of `SPACING`, group by group, in their order."""
    if len(xyz) == 0:
        return np.zeros(0, np.int64)
    cell = np.floor((xyz - xyz.min(0)) / SPACING).astype(np.int64)
    size = cell.max(0) + 1
    key = ((group * size[0] + cell[:, 0]) * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    return np.sort(np.unique(key, return_index=True)[1])


def _records(points: Accumulated, has_time: bool) -> np.ndarray:
    """Points as the records of a window file."""
    out = np.zeros(len(points.xyz), DYNAMIC_POINT if has_time else STATIC_POINT)
    for axis, field in enumerate("xyz"):
        out[field] = points.xyz[:, axis]
    for channel, field in enumerate(("red", "green", "blue")):
        out[field] = points.rgb[:, channel]
    out["semantic"] = points.semantic
    out["instance"] = points.semantic * INSTANCES_PER_LABEL + points.instance
    out["visible"] = points.is_visible
    out["confidence"] = 1.0
    if has_time:
        out["timestamp"] = points.frame
    return out


def make_boxes(world: World, frames, travel, ranges, offset: Float64[np.ndarray, "3"]) -> list[Box]:
    """Static boxes with the window nearest to them, and a box per frame for what moves."""
    at = dict(zip(frames, travel, strict=True))
    middles = np.array([0.5 * (at[a] + at[b]) for a, b in ranges])
    boxes: list[Box] = []

    def add(label: int, number: int, transform_: np.ndarray, stamp: int, window: tuple[int, int]) -> None:
        moved = transform_.copy()
        moved[:3, 3] += offset
        boxes.append(Box(label, number, moved, stamp, *window, is_dynamic=stamp != STATIC, index=len(boxes)))

    for label, number, s, transform_ in world.static_boxes():
        add(label, number, transform_, STATIC, ranges[int(np.argmin(np.abs(middles - s)))])
    for actor in world.traffic.actors:
        stamps = [f for f in frames if abs(float(actor.along(f * SWEEP_SECONDS)) - at[f]) < 90]
        if len(stamps) == 1:
            # The official reader drops an object with a single box: its place one sweep earlier is the second.
            stamps = [stamps[0] - 1, stamps[0]]
        for stamp in stamps:
            time = stamp * SWEEP_SECONDS
            rotation, position = world.traffic.pose(actor, time)
            shape = actor.shape(time)
            window = next((r for r in ranges if r[0] <= stamp <= r[1]), ranges[0])
            for label, number in actor.instance_of.items():
                if (extent := bounds(shape, label)) is not None:
                    add(label, number, box_transform(extent, rotation, position), stamp, window)
    return boxes


def write_split_lists(layout: Kitti360Layout) -> None:
    """Lists of all drives under the root: the last drive is for validation, a single drive for both."""
    drives = layout.drives()
    splits = {"train": drives[:-1] or drives, "val": drives[-1:]}
    for split, names in splits.items():
        windows = [w.static for name in names for w in layout.find_windows(name)]
        write_list(layout.window_list(split), [(str(w.relative_to(layout.root)),) for w in windows])
        pairs = []
        for name in names:
            for picture in sorted(layout.images(name, "image_00").glob("*.png")):
                label = layout.image_labels(name, "image_00", "semantic", int(picture.stem))
                pairs.append((str(picture.relative_to(layout.root)), str(label.relative_to(layout.root))))
        if pairs:
            write_list(layout.image_list(split), pairs)

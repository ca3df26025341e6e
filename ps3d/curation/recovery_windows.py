"""The labeled windows and boxes of one drive, loaded when a scan comes near and forgotten when it has left."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int32, Int64
from scipy.spatial import cKDTree

from ps3d.curation.label_recovery import LabeledCloud, RecoverySettings, label_cloud
from ps3d.curation.moving_boxes import MovingBox, track_motion
from ps3d.datasets.kitti360_boxes import STATIC, Box
from ps3d.datasets.kitti360_layout import WindowFiles
from ps3d.datasets.kitti360_windows import read_window


@dataclass(frozen=True)
class _LoadedWindow:
    """A window in memory: what stands still, and what moved by the frame in which it was measured."""

    static: LabeledCloud
    dynamic: dict[int, LabeledCloud]
    all_dynamic: LabeledCloud | None
    dynamic_frames: Int32[np.ndarray, "points"]


class DriveWindows:
    """Windows of one drive, chosen by the distance of the sensor to the path they were recorded on.

    Args:
        windows: files of the drive.
        positions: where the sensor was, by frame, in world meters.
        settings: reach and thinning.
        capacity: windows kept in memory; about 150 MB each for 3 M points.
    """

    def __init__(
        self,
        windows: list[WindowFiles],
        positions: Mapping[int, Float64[np.ndarray, "3"]],
        settings: RecoverySettings,
        capacity: int = 6,
    ) -> None:
        self.windows = windows
        self.positions = positions
        self.settings = settings
        self.capacity = capacity
        self._paths = [_path(window, positions) for window in windows]
        self._loaded: OrderedDict[int, _LoadedWindow] = OrderedDict()

    def near(self, position: Float64[np.ndarray, "3"]) -> list[int]:
        """Windows whose path comes within reach, the nearest first."""
        distances = [path.query(position)[0] if path is not None else np.inf for path in self._paths]
        order = [int(i) for i in np.argsort(distances, kind="stable") if distances[i] <= self.settings.reach]
        return order[: self.capacity]

    def clouds(
        self, position: Float64[np.ndarray, "3"], frame: int
    ) -> tuple[list[LabeledCloud], list[LabeledCloud], list[LabeledCloud]]:
        """(static, dynamic of this frame, dynamic of all frames) of the windows near a position."""
        loaded = [self._load(i) for i in self.near(position)]
        dynamic = [window.dynamic[frame] for window in loaded if frame in window.dynamic]
        all_dynamic = [
            replace(window.all_dynamic, is_current=window.dynamic_frames == frame)
            for window in loaded
            if window.all_dynamic is not None
        ]
        return [window.static for window in loaded], dynamic, all_dynamic

    def _load(self, place: int) -> _LoadedWindow:
        if place in self._loaded:
            self._loaded.move_to_end(place)
            return self._loaded[place]
        files = self.windows[place]
        static = label_cloud(_labeled(files, read_window(files.static)), self.settings.thinning)
        points = np.zeros(0, [("timestamp", "<i4")])
        if files.dynamic is not None:
            points = _labeled(files, read_window(files.dynamic))
            points = points[np.isfinite(points["x"]) & np.isfinite(points["y"]) & np.isfinite(points["z"])]
        dynamic: dict[int, LabeledCloud] = {}
        if len(points):
            order = np.argsort(points["timestamp"], kind="stable")
            frames, starts = np.unique(points["timestamp"][order], return_index=True)
            ends = [*starts[1:], len(points)]
            for frame, start, end in zip(frames.tolist(), starts, ends, strict=True):
                dynamic[frame] = label_cloud(points[order[start:end]])
        while len(self._loaded) >= self.capacity:
            self._loaded.popitem(last=False)
        all_dynamic = label_cloud(points) if len(points) else None
        self._loaded[place] = _LoadedWindow(static, dynamic, all_dynamic, points["timestamp"].astype(np.int32))
        return self._loaded[place]


class MovingObjects:
    """The boxes of everything that moves in one drive, asked by frame.

    Args:
        boxes: all boxes of the drive.
        seconds: time of each frame by number.
    """

    def __init__(self, boxes: list[Box], seconds: Float64[np.ndarray, "frames"]) -> None:
        tracks: dict[int, list[Box]] = {}
        for box in boxes:
            if box.timestamp != STATIC and box.semantic > 0 and box.instance > 0:
                tracks.setdefault(box.global_instance, []).append(box)
        self._tracks: dict[int, tuple[Int64[np.ndarray, "boxes"], Float64[np.ndarray, "boxes 4 4"], np.ndarray]] = {}
        self.objects_with_one_box = 0
        self._objects_of_frame: dict[int, list[int]] = {}
        for number, track in sorted(tracks.items()):
            # Windows overlap: the same box may be listed twice.
            by_frame = {box.timestamp: box for box in track}
            frames = np.array(sorted(by_frame), np.int64)
            self.objects_with_one_box += len(frames) == 1
            poses = np.stack([_rigid(by_frame[int(f)]) for f in frames])
            sizes = np.stack([by_frame[int(f)].size for f in frames])
            self._tracks[number] = (frames, poses, sizes)
            for f in frames.tolist():
                self._objects_of_frame.setdefault(f, []).append(number)
        self._seconds = seconds

    def __len__(self) -> int:
        return len(self._tracks)

    def at(self, frame: int) -> list[MovingBox]:
        """The moving objects of a frame, with their speed from the boxes before and after."""
        found = []
        for number in self._objects_of_frame.get(frame, ()):
            frames, poses, sizes = self._tracks[number]
            motion = track_motion(frames, poses, self._time(frames), frame)
            if motion is not None:
                pose, velocity, turn = motion
                found.append(MovingBox(number, pose, sizes[int(np.flatnonzero(frames == frame)[0])], velocity, turn))
        return found

    def _time(self, frames: Int64[np.ndarray, "boxes"]) -> Float64[np.ndarray, "boxes"]:
        # A box may carry a frame past the last time stamp: extrapolate at 10 Hz.
        last = len(self._seconds) - 1
        return self._seconds[np.minimum(frames, last)] + 0.1 * np.maximum(frames - last, 0)


def _path(window: WindowFiles, positions: Mapping[int, Float64[np.ndarray, "3"]]) -> cKDTree | None:
    frames = [frame for frame in range(window.start, window.end + 1) if frame in positions]
    return cKDTree(np.stack([positions[frame] for frame in frames])) if frames else None


def _labeled(files: WindowFiles, points: np.ndarray) -> np.ndarray:
    if "semantic" not in (points.dtype.names or ()) or "instance" not in (points.dtype.names or ()):
        raise ValueError(
            f"{files.static}: no labels in this window (a test window?); only labeled drives can be recovered"
        )
    return points


def _rigid(box: Box) -> Float64[np.ndarray, "4 4"]:
    pose = np.eye(4)
    pose[:3, :3] = box.world_from_box[:3, :3] / np.linalg.norm(box.world_from_box[:3, :3], axis=0)
    pose[:3, 3] = box.center
    return pose

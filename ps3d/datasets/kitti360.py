"""One drive of KITTI-360 as a sequence of frames."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, Integer

from ps3d.datasets.kitti360_boxes import Box, read_boxes
from ps3d.datasets.kitti360_calibration import FISHEYE, PERSPECTIVE, Kitti360Calibration, read_calibration
from ps3d.datasets.kitti360_files import read_png, read_poses, read_scan, read_timestamps
from ps3d.datasets.kitti360_labels import INSTANCES_PER_LABEL, KITTI360_SCAN
from ps3d.datasets.kitti360_layout import Kitti360Layout, WindowFiles, drive_name, drive_number, numbered_files
from ps3d.datasets.label_files import read_labels
from ps3d.ops.geometry import invert
from ps3d.ops.trajectory import LONGEST_GAP_METERS, LONGEST_GAP_SECONDS, Trajectory
from ps3d.structures import VOID, Calibration, Frame, Image, Panoptic, Scan, Taxonomy
from ps3d.structures.sequence import LIDAR

NOMINAL_PERIOD = 0.1045
"""Seconds between frames where no file of time stamps is there: the mean of the data set's own."""


class Kitti360:
    """A drive; a `ps3d.structures.Sequence`.

    Frames are the scans on disk (or the pictures, where a copy holds no scans), under their own sparse numbers.
    Scans are as measured; `ps3d.ops.motion.corrected_xyz` frees them from the vehicle's motion.

    Pose: the measured one of poses.txt; interpolated (and marked) where it lies within the limits; else None.
    Motion: `current_from_previous` as the devkit's: from the poses of this frame and the one before; for frame 0 or 1
    without a predecessor, from this one and the next; no motion where the pose before is unknown. One difference: a
    predecessor whose pose can be interpolated counts as known.
    Truth: of the scan from `labels`, else from ps3d_truth/; of each camera from data_2d_semantics/. Things carry the
    number id * 1000 + k, the same in windows, boxes and pictures.
    """

    def __init__(
        self,
        root: str | Path,
        drive: int | str,
        taxonomy: Taxonomy = KITTI360_SCAN,
        cameras: Iterable[str] = (),
        labels: str | Path | None = None,
        frames: Iterable[int] | None = None,
        longest_gap: tuple[float, float] = (LONGEST_GAP_SECONDS, LONGEST_GAP_METERS),
        reads_truth: bool = True,
    ) -> None:
        """
        Args:
            root: the folder that holds data_3d_raw/, data_poses/, calibration/ ...
            drive: number or folder name.
            cameras: pictures to read with each scan: image_00, image_01 (rectified), image_02, image_03 (fisheye).
            labels: folder of per-scan labels, `<labels>/<drive>/labels/%010d.label`.
            frames: only these frame numbers, as far as they exist.
            longest_gap: (seconds, meters) between measured poses that are interpolated between.
            reads_truth: False leaves labels unread, for who makes them.

        Raises:
            FileNotFoundError: not a root of KITTI-360, no such drive, camera or labels; names what is there.
        """
        self.layout = Kitti360Layout(Path(root))
        self.name = drive_name(drive) if isinstance(drive, int) else drive
        self.number = drive_number(self.name)
        self.taxonomy = taxonomy
        self.camera_names = tuple(cameras)
        self._longest_gap = longest_gap
        self._reads_truth = reads_truth
        self._images = {camera: self._find_images(camera) for camera in self.camera_names}
        self._scans = numbered_files(self.layout.scans(self.name), ".bin")
        found = self._scans or {frame: path for images in self._images.values() for frame, path in images.items()}
        if not found:
            raise FileNotFoundError(self._nothing_found())
        wanted = found.keys() if frames is None else found.keys() & set(frames)
        self.frames = sorted(wanted)
        self._labels = self._find_labels(labels)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> Frame:
        """Read the frame at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, named.
        """
        index = self.frames[position]
        scan = read_scan(self._scans[index]) if index in self._scans else None
        images = {camera: Image(read_png(files[index])) for camera, files in self._images.items() if index in files}
        pose, is_interpolated = self.trajectory.pose(index)
        return Frame(
            index=index,
            timestamp=self.seconds(index),
            scan=scan,
            images=images,
            world_from_lidar=None if pose is None else pose @ self.calibration.vehicle_from_lidar,
            current_from_previous=self._motion(index),
            is_pose_interpolated=is_interpolated,
            truth=self._truth(index, scan) if self._reads_truth else {},
            source=str(self._scans.get(index) or next((f[index] for f in self._images.values() if index in f), "")),
        )

    @cached_property
    def raw_calibration(self) -> Kitti360Calibration:
        return read_calibration(self.layout.calibration)

    @property
    def calibration(self) -> Calibration:
        return self._calibration

    @cached_property
    def _calibration(self) -> Calibration:
        return self.raw_calibration.cameras()

    @cached_property
    def trajectory(self) -> Trajectory:
        """world_from_vehicle of every frame; empty where the copy holds no poses."""
        path = self.layout.poses(self.name)
        return Trajectory(read_poses(path) if path.exists() else {}, self.seconds, *self._longest_gap)

    def windows(self) -> list[WindowFiles]:
        """The accumulated windows of this drive."""
        return self.layout.find_windows(self.name)

    def boxes(self) -> list[Box]:
        """All 3D boxes of this drive.

        Raises:
            FileNotFoundError: the copy holds no boxes of this drive.
        """
        path = self.layout.find_boxes(self.name)
        if path is None:
            missing = self.layout.boxes(self.name)
            raise FileNotFoundError(f"{missing}: missing; get '3D Bounding Boxes' from the KITTI-360 download page")
        return read_boxes(path)

    def seconds(self, frame: int) -> float:
        """When a frame was taken; counted in nominal periods where the copy has no time stamps."""
        if self._nanoseconds is None:
            return frame * NOMINAL_PERIOD
        path, nanoseconds = self._nanoseconds
        if frame >= len(nanoseconds):
            raise ValueError(
                f"{path}: {len(nanoseconds)} lines, but frame {frame} needs line {frame + 1}; "
                "download it again, or remove it to count on nominal times"
            )
        return float(nanoseconds[frame]) * 1e-9

    @cached_property
    def _nanoseconds(self) -> tuple[Path, Int64[np.ndarray, "frames"]] | None:
        candidates = [self.layout.scan_timestamps(self.name)]
        candidates += [self.layout.image_timestamps(self.name, camera) for camera in (*PERSPECTIVE, *FISHEYE)]
        path = next((path for path in candidates if path.exists()), None)
        return None if path is None else (path, read_timestamps(path))

    def _motion(self, frame: int) -> Float64[np.ndarray, "4 4"] | None:
        """The LiDAR one sweep earlier, seen from now; see the class."""
        now, _ = self.trajectory.pose(frame)
        before, _ = self.trajectory.pose(frame - 1)
        if before is None and frame <= 1:
            before, now = now, self.trajectory.pose(frame + 1)[0]
        if now is None or before is None:
            return np.eye(4) if self.trajectory.measured else None
        vehicle_from_lidar = self.calibration.vehicle_from_lidar
        return invert(vehicle_from_lidar) @ invert(now) @ before @ vehicle_from_lidar

    def _truth(self, frame: int, scan: Scan | None) -> dict[str, Panoptic]:
        truth = {}
        path = self._labels / f"{frame:010d}.label"
        if scan is not None and path.exists():
            raw, number = read_labels(path, len(scan))
            label = encode_labels(raw, number, self.taxonomy, str(path))
            truth[LIDAR] = _forget_labels_at_origin(label, scan)
        for camera, files in self._images.items():
            if frame in files and (picture := self._camera_truth(camera, frame)) is not None:
                truth[camera] = picture
        return truth

    def _camera_truth(self, camera: str, frame: int) -> Panoptic | None:
        path = self.layout.find_image_labels(self.name, camera, "semantic", frame)
        if path is None:
            return None
        raw = read_png(path)
        instances = self.layout.find_image_labels(self.name, camera, "instance", frame)
        number = np.zeros(raw.shape, np.uint16) if instances is None else read_png(instances)
        if number.shape != raw.shape:
            raise ValueError(f"{instances}: {number.shape} pixels, but {path} has {raw.shape}")
        return encode_labels(raw, number, self.taxonomy, str(path))

    def _find_images(self, camera: str) -> dict[int, Path]:
        if camera not in (*PERSPECTIVE, *FISHEYE):
            raise ValueError(f"KITTI-360 has no camera {camera!r}; it has {', '.join((*PERSPECTIVE, *FISHEYE))}")
        folder = self.layout.images(self.name, camera)
        images = numbered_files(folder, ".png")
        if not images:
            raise FileNotFoundError(f"{folder}: no pictures; leave {camera} out of `cameras`, or download them")
        return images

    def _find_labels(self, labels: str | Path | None) -> Path:
        if labels is None:
            return self.layout.truth(self.name)
        folder = Path(labels) / self.name / "labels"
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder}: no such folder; per-scan labels are <labels>/{self.name}/labels/*.label"
            )
        return folder

    def _nothing_found(self) -> str:
        folder = self.layout.scans(self.name)
        there = ", ".join(self.layout.drives())
        if there:
            return f"{folder}: no scans; this copy holds {there}"
        return (
            f"{folder}: no scans, and {self.layout.root} holds no drive at all; name the folder with data_3d_raw/, "
            "or make a drive with `python tools/simulate.py --out ROOT`"
        )


def _forget_labels_at_origin(label: Panoptic, scan: Scan) -> Panoptic:
    """Void where nothing was measured: `read_scan` puts broken points to the origin."""
    is_nothing = (scan.xyz[:, 0] == 0) & (scan.xyz[:, 1] == 0)
    if not is_nothing.any():
        return label
    return Panoptic(np.where(is_nothing, np.uint8(VOID), label.semantic), np.where(is_nothing, 0, label.instance))


def encode_labels(
    raw: Integer[np.ndarray, "*elements"], number: Integer[np.ndarray, "*elements"], taxonomy: Taxonomy, where: str
) -> Panoptic:
    """Raw label ids and object numbers to a labeling in which every object has the number id * 1000 + k.

    Args:
        number: k (1..999 within the label, 0 = none), or already id * 1000 + k.

    Raises:
        ValueError: an id outside the taxonomy; the message starts with `where`.
    """
    semantic = taxonomy.encode(raw, where)
    is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))
    objects = np.flatnonzero((number.reshape(-1) != 0) & is_thing[semantic].reshape(-1))
    k = number.reshape(-1)[objects].astype(np.int32) % INSTANCES_PER_LABEL
    instance = np.zeros(raw.size, np.int32)
    instance[objects] = np.where(k > 0, raw.reshape(-1)[objects].astype(np.int32) * INSTANCES_PER_LABEL + k, 0)
    return Panoptic(semantic, instance.reshape(raw.shape))

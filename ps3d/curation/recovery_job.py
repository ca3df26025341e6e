"""Label recovery of whole drives: blocks of frames over processes, atomic, resumable, with a report."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from ps3d.curation.label_recovery import RecoveredScan, RecoveryCounts, RecoverySettings, recover_scan, summarize
from ps3d.curation.recovery_windows import DriveWindows, MovingObjects
from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_labels import LABEL_OF_ID
from ps3d.datasets.label_files import write_labels
from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.geometry import transform
from ps3d.ops.motion import corrected_xyz
from ps3d.structures import Frame

BLOCK = 100
"""Frames that one process labels in one go: neighbors share windows."""

RANGES = (0, 10, 20, 30, 50, np.inf)
"""Bounds of the distance bins of the report, in meters."""


@dataclass(frozen=True)
class Share:
    """Which part of the work this process does: `rank` of `world_size`."""

    rank: int = 0
    world_size: int = 1

    @classmethod
    def from_environment(cls) -> "Share":
        """torchrun's RANK and WORLD_SIZE, or the place in a SLURM array job, or everything."""
        if "WORLD_SIZE" in os.environ:
            return cls(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        if "SLURM_ARRAY_TASK_COUNT" in os.environ:
            first = int(os.environ.get("SLURM_ARRAY_TASK_MIN", "0"))
            return cls(int(os.environ["SLURM_ARRAY_TASK_ID"]) - first, int(os.environ["SLURM_ARRAY_TASK_COUNT"]))
        return cls()


class DriveRecovery:
    """Recovers the labels of one drive.

    Args:
        root: KITTI-360.
        drive: number or folder name.
        out: where `<drive>/labels/%010d.label` and `<drive>/confidence/%010d.conf` are written.
        settings: radii and margins.

    Raises:
        FileNotFoundError: the drive has no labeled windows; names where they are expected.
    """

    def __init__(self, root: Path, drive: int | str, out: Path, settings: RecoverySettings) -> None:
        self.sequence = Kitti360(root, drive, reads_truth=False)
        self.name = self.sequence.name
        self.folder = out / self.name
        self.settings = settings
        if not self.sequence.windows():
            expected = self.sequence.layout.window(self.name, "static", 0, 0).parent
            raise FileNotFoundError(
                f"{expected}: no windows of {self.name}; label recovery needs data_3d_semantics of the download page, "
                "and drives 0008 and 0018 have none (they are the test set)"
            )

    @cached_property
    def windows(self) -> DriveWindows:
        positions = {}
        for frame in self.sequence.frames:
            pose, _ = self.sequence.trajectory.pose(frame)
            if pose is not None:
                positions[frame] = (pose @ self.sequence.calibration.vehicle_from_lidar)[:3, 3]
        return DriveWindows(self.sequence.windows(), positions, self.settings)

    @cached_property
    def objects(self) -> MovingObjects:
        path = self.sequence.layout.find_boxes(self.name)
        last = max(self.sequence.frames)
        seconds = np.array([self.sequence.seconds(frame) for frame in range(last + 1)])
        return MovingObjects(self.sequence.boxes() if path is not None else [], seconds)

    def label_path(self, frame: int) -> Path:
        return self.folder / "labels" / f"{frame:010d}.label"

    def recover(self, position: int) -> tuple[Frame, RecoveredScan]:
        """Label the frame at a position of the sequence, in memory."""
        frame = self.sequence[position]
        assert frame.scan is not None
        if frame.world_from_lidar is None:
            return frame, _without_pose(len(frame.scan))
        xyz = corrected_xyz(frame).astype(np.float64)
        # The reader moves points that are not finite to the origin, and a LiDAR measures nothing there.
        is_measured = frame.scan.xyz.any(1)
        world = transform(frame.world_from_lidar, xyz)
        world[~is_measured] = np.nan
        static, dynamic, all_dynamic = self.windows.clouds(frame.world_from_lidar[:3, 3], frame.index)
        distance = np.linalg.norm(frame.scan.xyz, axis=1)
        boxes = self.objects.at(frame.index)
        scan = recover_scan(world, distance, frame.scan.time, static, dynamic, all_dynamic, boxes, self.settings)
        if frame.is_pose_interpolated:
            scan = replace(scan, counts=replace(scan.counts, frames_with_interpolated_pose=1))
        return frame, scan

    def run(self, share: Share, on_scan: Callable[[int, bool], None]) -> None:
        """Write the labels of this process's blocks; finished frames are skipped.

        Args:
            on_scan: called with the frame's number and whether it was finished before.
        """
        frames = self.sequence.frames
        blocks = [range(start, min(start + BLOCK, len(frames))) for start in range(0, len(frames), BLOCK)]
        mine = np.array_split(np.arange(len(blocks)), share.world_size)[share.rank]
        journal = self.folder / "journal" / f"{share.rank:04d}.jsonl"
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("a") as lines:
            for block in mine:
                for position in blocks[block]:
                    is_done = self.label_path(frames[position]).exists()
                    if not is_done:
                        self._write(position, lines.write, lines.flush)
                    on_scan(frames[position], is_done)

    def _write(self, position: int, write_line: Callable[[str], object], flush: Callable[[], None]) -> None:
        frame, scan = self.recover(position)
        assert frame.scan is not None
        with atomic_write(self.folder / "confidence" / f"{frame.index:010d}.conf") as name:
            np.round(scan.confidence * 255).astype(np.uint8).tofile(name)
        # The line comes before the labels: labels on disk always have their counts.
        write_line(json.dumps(_journal_line(frame, scan)) + "\n")
        flush()
        write_labels(self.label_path(frame.index), scan.raw_id, scan.number)


def _without_pose(points: int) -> RecoveredScan:
    nothing = np.zeros(points, np.int32)
    counts = RecoveryCounts(frames=1, points=points, frames_without_pose=1)
    return RecoveredScan(nothing, nothing, nothing.astype(np.float32), counts)


def _journal_line(frame: Frame, scan: RecoveredScan) -> dict[str, object]:
    assert frame.scan is not None
    bins = np.digitize(np.linalg.norm(frame.scan.xyz, axis=1), RANGES[1:-1])
    labeled = scan.raw_id > 0
    return {
        "frame": frame.index,
        "counts": summarize(scan.counts),
        "points_by_class": {str(i): int(n) for i, n in zip(*np.unique(scan.raw_id, return_counts=True), strict=True)},
        "points_by_range": np.bincount(bins, minlength=len(RANGES) - 1).tolist(),
        "labeled_by_range": np.bincount(bins[labeled], minlength=len(RANGES) - 1).tolist(),
    }


def read_journal(folder: Path) -> list[dict]:
    """The last line of each frame of a drive, by frame, over all processes that worked on it."""
    by_frame: dict[int, dict] = {}
    for path in sorted(folder.glob("journal/*.jsonl")):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # A job was killed while it wrote this line; its frame is done again.
            by_frame[entry["frame"]] = entry
    return [by_frame[frame] for frame in sorted(by_frame)]


def report_drive(recovery: DriveRecovery) -> dict:
    """What a drive's recovery did, from its journal: totals, coverage by class and by distance, what needed care."""
    entries = read_journal(recovery.folder)
    total = RecoveryCounts()
    by_class: dict[int, int] = {}
    points, labeled = np.zeros(len(RANGES) - 1, np.int64), np.zeros(len(RANGES) - 1, np.int64)
    for entry in entries:
        counts = {name: value for name, value in entry["counts"].items() if name != "coverage"}
        total = total + RecoveryCounts(**counts)
        points += entry["points_by_range"]
        labeled += entry["labeled_by_range"]
        for raw, number in entry["points_by_class"].items():
            by_class[int(raw)] = by_class.get(int(raw), 0) + number
    names = [f"{low:g}-{high:g} m" for low, high in pairwise(RANGES)]
    return {
        **summarize(total),
        "points_by_class": {LABEL_OF_ID[raw].name: by_class[raw] for raw in sorted(by_class)},
        "coverage_by_range": dict(zip(names, np.round(labeled / np.maximum(points, 1), 5).tolist(), strict=True)),
        "moving_objects": len(recovery.objects),
        "objects_with_one_box": recovery.objects.objects_with_one_box,
        "windows": len(recovery.sequence.windows()),
        "windows_without_moving_points": count_empty_dynamic(recovery),
        "frames_labeled_beyond_their_window": count_late_frames(recovery),
    }


def count_empty_dynamic(recovery: DriveRecovery) -> int:
    """Windows without a dynamic file or with an empty one."""
    return sum(not len(frames) for _, frames in _dynamic_frames(recovery))


def count_late_frames(recovery: DriveRecovery) -> int:
    """Frames that a dynamic file labels although they lie outside its window."""
    return sum(int(((f < w.start) | (f > w.end)).sum()) for w, f in _dynamic_frames(recovery))


def _dynamic_frames(recovery: DriveRecovery) -> Iterable:
    from ps3d.datasets.kitti360_windows import read_window

    for window in recovery.sequence.windows():
        points = read_window(window.dynamic) if window.dynamic is not None else np.zeros(0, [("timestamp", "<i4")])
        yield window, np.unique(points["timestamp"])


def sensor_positions(recovery: DriveRecovery) -> tuple[list[int], Float64[np.ndarray, "frames 3"]]:
    """Frames with a pose and where the LiDAR was, in world meters."""
    windows = recovery.windows
    return list(windows.positions), np.stack(list(windows.positions.values())) if windows.positions else np.zeros(
        (0, 3)
    )

"""Where each file of KITTI-360 lies under its root, for reading and for writing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PREFIX, _SUFFIX = "2013_05_28_drive_", "_sync"
SPLITS = ("train", "test", "test1", "")
"""Folders between data_3d_semantics and the drive: some copies of the data set have none, some scripts say test1."""


def drive_name(number: int) -> str:
    """The folder name of a drive, e.g. 2013_05_28_drive_0008_sync for 8."""
    return f"{_PREFIX}{number:04d}{_SUFFIX}"


def drive_number(name: str) -> int:
    """The number in a drive's folder name.

    Raises:
        ValueError: another kind of name.
    """
    digits = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    if drive_name(int(digits) if digits.isdigit() else -1) != name:
        raise ValueError(f"{name!r} is no drive of KITTI-360, which are called like {drive_name(8)}")
    return int(digits)


@dataclass(frozen=True)
class WindowFiles:
    """One accumulated window: frames `start`..`end`, static points, and moving points where there are any."""

    start: int
    end: int
    static: Path
    dynamic: Path | None


@dataclass(frozen=True)
class Kitti360Layout:
    """Paths under a root. `drive` is the folder name; paths are for writing, and `find_*` look where files are."""

    root: Path

    def drives(self) -> list[str]:
        """Drives that have scans, pictures or windows, by number."""
        folders = [self.root / "data_3d_raw", self.root / "data_2d_raw", self.root / "data_3d_bboxes"]
        folders += [self.root / "data_3d_semantics" / split for split in SPLITS]
        found = {path.name for folder in folders for path in folder.glob(f"{_PREFIX}*{_SUFFIX}") if path.is_dir()}
        return sorted(found)

    @property
    def calibration(self) -> Path:
        return self.root / "calibration"

    def scans(self, drive: str) -> Path:
        """Folder of %010d.bin."""
        return self.root / "data_3d_raw" / drive / "velodyne_points" / "data"

    def scan(self, drive: str, frame: int) -> Path:
        return self.scans(drive) / f"{frame:010d}.bin"

    def scan_timestamps(self, drive: str) -> Path:
        return self.root / "data_3d_raw" / drive / "velodyne_points" / "timestamps.txt"

    def images(self, drive: str, camera: str) -> Path:
        """Folder of %010d.png: rectified for image_00 and image_01, fisheye for image_02 and image_03."""
        is_rectified = camera in ("image_00", "image_01")
        return self.root / "data_2d_raw" / drive / camera / ("data_rect" if is_rectified else "data_rgb")

    def image(self, drive: str, camera: str, frame: int) -> Path:
        return self.images(drive, camera) / f"{frame:010d}.png"

    def image_timestamps(self, drive: str, camera: str) -> Path:
        return self.root / "data_2d_raw" / drive / camera / "timestamps.txt"

    def image_labels(self, drive: str, camera: str, kind: str, frame: int) -> Path:
        """kind: semantic (8-bit label id), instance (16-bit id * 1000 + k), semantic_rgb, confidence (16-bit)."""
        return self.root / "data_2d_semantics" / "train" / drive / camera / kind / f"{frame:010d}.png"

    def find_image_labels(self, drive: str, camera: str, kind: str, frame: int) -> Path | None:
        """The label picture where there is one; copies without train/ count."""
        path = self.image_labels(drive, camera, kind, frame)
        without_split = self.root / "data_2d_semantics" / drive / camera / kind / path.name
        return next((candidate for candidate in (path, without_split) if candidate.exists()), None)

    def image_list(self, split: str) -> Path:
        """split: train or val; lines of image and semantic map."""
        return self.root / "data_2d_semantics" / "train" / f"2013_05_28_drive_{split}_frames.txt"

    def window_list(self, split: str) -> Path:
        """split: train or val; lines of static windows."""
        return self.root / "data_3d_semantics" / "train" / f"2013_05_28_drive_{split}.txt"

    def window(self, drive: str, kind: str, start: int, end: int, split: str = "train") -> Path:
        """kind: static or dynamic."""
        return self.root / "data_3d_semantics" / split / drive / kind / f"{start:010d}_{end:010d}.ply"

    def find_windows(self, drive: str) -> list[WindowFiles]:
        """The windows of a drive by their first frame; the first of `SPLITS` that has any counts."""
        for split in SPLITS:
            folder = self.root / "data_3d_semantics" / split / drive
            if windows := sorted(_windows(folder), key=lambda window: window.start):
                return windows
        return []

    def boxes(self, drive: str, split: str = "train") -> Path:
        """split: train, or train_full with more labels."""
        return self.root / "data_3d_bboxes" / split / f"{drive}.xml"

    def find_boxes(self, drive: str) -> Path | None:
        """train/ (its labels carry ids), then train_full/ (drive 0004 has only that), then a copy without split."""
        candidates = [self.boxes(drive, split) for split in ("train", "train_full", "")]
        return next((path for path in candidates if path.exists()), None)

    def poses(self, drive: str) -> Path:
        """world_from_vehicle by frame."""
        return self.root / "data_poses" / drive / "poses.txt"

    def cam0_to_world(self, drive: str) -> Path:
        return self.root / "data_poses" / drive / "cam0_to_world.txt"

    def truth(self, drive: str) -> Path:
        """Folder of ps3d's exact labels of each scan, %010d.label; the simulator writes it."""
        return self.root / "ps3d_truth" / drive / "velodyne_points" / "labels"


def numbered_files(folder: Path, suffix: str) -> dict[int, Path]:
    """Files named by a frame number, sorted by it; other names are passed over."""
    numbered = {int(path.stem): path for path in folder.glob(f"*{suffix}") if path.stem.isdigit()}
    return dict(sorted(numbered.items()))


def _windows(folder: Path) -> Iterator[WindowFiles]:
    for static in folder.glob("static/*.ply"):
        start, _, end = static.stem.partition("_")
        if start.isdigit() and end.isdigit():
            dynamic = folder / "dynamic" / static.name
            yield WindowFiles(int(start), int(end), static, dynamic if dynamic.exists() else None)

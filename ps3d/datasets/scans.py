"""A folder of scans of any sensor, or a single scan file, as a sequence."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.label_files import read_labels
from ps3d.datasets.point_files import READERS, read_any_scan
from ps3d.datasets.semantic_kitti_files import read_kitti_poses
from ps3d.structures import SWEEP_SECONDS, Calibration, Frame, Panoptic, Taxonomy
from ps3d.structures.sequence import LIDAR

_LONGEST_FRAME_NUMBER = 10
"""Digits. A longer number in a file name is a time in milli-, micro- or nanoseconds."""


class ScanFolder:
    """Scans in the order of their names; a `ps3d.structures.Sequence`.

    A file name that is a number of at most 10 digits is the frame's index; other scans are counted from 0.
    `poses.txt` in the folder, 12 numbers per line and one line per scan, gives world_from_lidar.
    """

    def __init__(
        self,
        path: str | Path,
        taxonomy: Taxonomy = KITTI360_SCAN,
        labels: str | Path | None = None,
        columns: int | None = None,
    ) -> None:
        """
        Args:
            path: a folder, or one file.
            taxonomy: the classes of `labels` and of what a model will say.
            labels: folder of `<name of the scan>.label`.
            columns: numbers per point of .bin files; None = find out.

        Raises:
            FileNotFoundError: nothing there that can be read.
        """
        self.path = Path(path)
        self.name = self.path.stem if self.path.is_file() else self.path.resolve().name
        self.taxonomy = taxonomy
        self.calibration = Calibration()
        self._files = find_scans(self.path)
        self._columns = columns
        if not self._files:
            raise FileNotFoundError(f"{self.path}: no scans; files of {', '.join(READERS)} are read")
        self._labels = Path(labels) if labels else None
        stems = [path.name.split(".")[0] for path in self._files]
        is_numbered = all(stem.isdigit() and len(stem) <= _LONGEST_FRAME_NUMBER for stem in stems)
        self.frames = [int(stem) for stem in stems] if is_numbered else list(range(len(stems)))
        self._seconds = [index * SWEEP_SECONDS for index in self.frames] if is_numbered else _times(stems)

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Frame]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> Frame:
        """Read the scan at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, named.
        """
        path = self._files[position]
        scan = read_any_scan(path, self._columns)
        truth = {}
        label = None if self._labels is None else self._labels / f"{path.name.split('.')[0]}.label"
        if label is not None and label.exists():
            raw, number = read_labels(label, len(scan))
            truth[LIDAR] = Panoptic(self.taxonomy.encode(raw, str(label)), number)
        return Frame(
            index=self.frames[position],
            timestamp=self._seconds[position],
            scan=scan,
            world_from_lidar=self._poses[position] if len(self._poses) else None,
            truth=truth,
            source=str(path),
        )

    @cached_property
    def _poses(self) -> np.ndarray:
        path = self.path / "poses.txt"
        if not path.is_file():
            return np.zeros((0, 4, 4))
        poses = read_kitti_poses(path)
        if len(poses) != len(self):
            raise ValueError(f"{path}: {len(poses)} poses for {len(self)} scans; one line per scan is expected")
        return poses


def find_scans(path: Path) -> list[Path]:
    """The scan files of a folder by number or name, or the file itself."""
    if path.is_file():
        return [path] if path.suffix.lower() in READERS else []
    found = [file for file in path.glob("*") if file.suffix.lower() in READERS and not file.name.startswith(".")]
    return sorted(found, key=lambda file: (len(file.stem) if file.stem.isdigit() else 0, file.name))


def _times(stems: list[str]) -> list[float]:
    """Seconds from names that end in a time stamp (nanoseconds, microseconds or milliseconds), else nominal ones."""
    endings = [stem.rsplit("_", 1)[-1] for stem in stems]
    digits = {len(ending) if ending.isdigit() else 0 for ending in endings}
    units = {19: 1e-9, 18: 1e-9, 16: 1e-6, 13: 1e-3}
    if len(digits) == 1 and (unit := units.get(digits.pop())):
        return [int(ending) * unit for ending in endings]
    return [position * SWEEP_SECONDS for position in range(len(stems))]

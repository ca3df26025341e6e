"""One sequence of SemanticKITTI, its 19 classes and its split (Behley et al., ICCV 2019)."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Integer

from ps3d.datasets.kitti360_files import read_png, read_scan
from ps3d.datasets.kitti360_layout import numbered_files
from ps3d.datasets.label_files import read_labels
from ps3d.datasets.semantic_kitti_files import read_kitti_calibration, read_kitti_poses, read_times
from ps3d.ops.geometry import invert
from ps3d.structures import SWEEP_SECONDS, Calibration, Camera, Category, Frame, Image, Panoptic, Scan, Taxonomy
from ps3d.structures.sequence import LIDAR

SEMANTIC_KITTI = Taxonomy(
    "semantic_kitti",
    (
        Category("car", (10, 252), True, (100, 150, 245)),
        Category("bicycle", (11,), True, (100, 230, 245)),
        Category("motorcycle", (15,), True, (30, 60, 150)),
        Category("truck", (18, 258), True, (80, 30, 180)),
        Category("other-vehicle", (20, 13, 16, 256, 257, 259), True, (0, 0, 255)),
        Category("person", (30, 254), True, (255, 30, 30)),
        Category("bicyclist", (31, 253), True, (255, 40, 200)),
        Category("motorcyclist", (32, 255), True, (150, 30, 90)),
        Category("road", (40, 60), False, (255, 0, 255)),
        Category("parking", (44,), False, (255, 150, 255)),
        Category("sidewalk", (48,), False, (75, 0, 75)),
        Category("other-ground", (49,), False, (175, 0, 75)),
        Category("building", (50,), False, (255, 200, 0)),
        Category("fence", (51,), False, (255, 120, 50)),
        Category("vegetation", (70,), False, (0, 175, 0)),
        Category("trunk", (71,), False, (135, 60, 0)),
        Category("terrain", (72,), False, (150, 240, 80)),
        Category("pole", (80,), False, (255, 240, 150)),
        Category("traffic-sign", (81,), False, (255, 0, 0)),
    ),
    void_raw_ids=(0, 1, 52, 99),
)
"""The benchmark's learning map: moving and standing objects are one class; class id = the benchmark's id - 1."""

TRAIN = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10)
VALIDATION = (8,)
TEST = tuple(range(11, 22))


class SemanticKitti:
    """A sequence; a `ps3d.structures.Sequence`.

    Scans are motion-corrected already, so frames carry no motion. The world is the first frame's LiDAR.
    Objects have the number (raw id of the class) * 65536 + (number on disk), so that classes never share one.
    """

    def __init__(
        self,
        root: str | Path,
        sequence: int | str,
        taxonomy: Taxonomy = SEMANTIC_KITTI,
        cameras: Iterable[str] = (),
        labels: str | Path | None = None,
    ) -> None:
        """
        Args:
            root: the folder that holds sequences/, or that folder itself.
            sequence: number or folder name.
            cameras: pictures to read: image_2, image_3 (and image_0, image_1 where they are there).
            labels: folder of %06d.label in place of the sequence's own labels/.

        Raises:
            FileNotFoundError: no such sequence, camera or labels; names what is there.
        """
        folder = sequences_folder(Path(root))
        self.name = f"{sequence:02d}" if isinstance(sequence, int) else sequence
        self.path = folder / self.name
        self.taxonomy = taxonomy
        self._scans = numbered_files(self.path / "velodyne", ".bin")
        if not self._scans:
            there = ", ".join(sorted(path.parent.name for path in folder.glob("*/velodyne"))) or "no sequence"
            raise FileNotFoundError(f"{self.path / 'velodyne'}: no scans; {folder} holds {there}")
        self.frames = list(self._scans)
        self._images = {camera: numbered_files(self.path / camera, ".png") for camera in cameras}
        if empty := [camera for camera, files in self._images.items() if not files]:
            raise FileNotFoundError(f"{self.path / empty[0]}: no pictures; leave {empty[0]} out, or download them")
        self._labels = Path(labels) if labels else self.path / "labels"
        if labels and not self._labels.is_dir():
            raise FileNotFoundError(f"{labels}: no such folder of labels")

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
        scan = read_scan(self._scans[index], has_sweep=False)
        return Frame(
            index=index,
            timestamp=float(self._times[index]) if index < len(self._times) else index * SWEEP_SECONDS,
            scan=scan,
            images={camera: Image(read_png(files[index])) for camera, files in self._images.items() if index in files},
            world_from_lidar=self._pose(index),
            truth=self._truth(index, scan),
            source=str(self._scans[index]),
        )

    @property
    def calibration(self) -> Calibration:
        """Pinhole cameras image_0 .. image_3; without calib.txt there are none."""
        return self._calibration

    @cached_property
    def _calibration(self) -> Calibration:
        entries = self._entries
        cameras = {
            f"image_{name[1:]}": _camera(matrix, entries["Tr"], self._size(f"image_{name[1:]}"))
            for name, matrix in entries.items()
            if name in ("P0", "P1", "P2", "P3") and matrix[0, 0] > 0
        }
        return Calibration(cameras)

    @cached_property
    def _entries(self) -> dict[str, Float64[np.ndarray, "4 4"]]:
        path = self.path / "calib.txt"
        return read_kitti_calibration(path) if path.exists() else {}

    @cached_property
    def _poses(self) -> Float64[np.ndarray, "frames 4 4"]:
        path = self.path / "poses.txt"
        return read_kitti_poses(path) if path.exists() and self._entries else np.zeros((0, 4, 4))

    @cached_property
    def _times(self) -> Float64[np.ndarray, "frames"]:
        path = self.path / "times.txt"
        return read_times(path) if path.exists() else np.zeros(0)

    def _pose(self, frame: int) -> Float64[np.ndarray, "4 4"] | None:
        if frame >= len(self._poses):
            return None
        camera_from_lidar = self._entries["Tr"]
        return invert(camera_from_lidar) @ self._poses[frame] @ camera_from_lidar

    def _truth(self, frame: int, scan: Scan) -> dict[str, Panoptic]:
        path = self._labels / f"{frame:06d}.label"
        if not path.exists():
            return {}
        raw, number = read_labels(path, len(scan))
        return {LIDAR: encode_labels(raw, number, self.taxonomy, str(path))}

    def _size(self, camera: str) -> tuple[int, int]:
        """Pixels of a camera's pictures; KITTI's own size where there are none."""
        pictures = numbered_files(self.path / camera, ".png")
        return read_png(next(iter(pictures.values()))).shape[:2] if pictures else (376, 1241)


def sequences_folder(root: Path) -> Path:
    """The folder with 00/, 01/ ... : root/sequences, or root itself."""
    return root / "sequences" if (root / "sequences").is_dir() else root


def encode_labels(
    raw: Integer[np.ndarray, "points"], number: Integer[np.ndarray, "points"], taxonomy: Taxonomy, where: str
) -> Panoptic:
    """Raw ids and numbers on disk to a labeling in which every object has its own number.

    Raises:
        ValueError: an id outside the taxonomy; the message starts with `where`.
    """
    semantic = taxonomy.encode(raw, where)
    first_raw = np.zeros(256, np.int32)
    first_raw[: len(taxonomy)] = [c.raw_ids[0] if c.is_thing else 0 for c in taxonomy.categories]
    class_part = first_raw[semantic] << 16
    return Panoptic(semantic, np.where((class_part > 0) & (number > 0), class_part | number, 0).astype(np.int32))


def _camera(
    projection: Float64[np.ndarray, "4 4"], camera_0_from_lidar: Float64[np.ndarray, "4 4"], size: tuple[int, int]
) -> Camera:
    """Split a projection from camera 0 into the camera's own intrinsics and its place."""
    camera_from_camera_0 = np.eye(4)
    camera_from_camera_0[:3, 3] = np.linalg.solve(projection[:3, :3], projection[:3, 3])
    return Camera(projection[:3, :3].copy(), camera_from_camera_0 @ camera_0_from_lidar, size)

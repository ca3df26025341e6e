"""One camera of a drive of KITTI-360, real or simulated, as a sequence of pictures without scans."""

from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from ps3d.datasets.kitti360 import NOMINAL_PERIOD, encode_labels
from ps3d.datasets.kitti360_calibration import read_calibration
from ps3d.datasets.kitti360_files import read_png, read_poses
from ps3d.datasets.kitti360_labels import KITTI360_IMAGE
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name, numbered_files
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.structures import Calibration, Frame, Image, Panoptic, Taxonomy


class Kitti360Images(PictureSequence):
    """The pictures of one camera; a `ps3d.structures.Sequence`. Labels come from data_2d_semantics/ where they are."""

    def __init__(
        self, root: str | Path, drive: int | str, camera: str = "image_00", taxonomy: Taxonomy = KITTI360_IMAGE
    ) -> None:
        """
        Args:
            root: the folder that holds data_2d_raw/.
            drive: number or folder name.

        Raises:
            FileNotFoundError: no pictures of this camera; says which folder was searched.
        """
        self.layout = Kitti360Layout(Path(root))
        self.name = drive_name(drive) if isinstance(drive, int) else drive
        self.camera = camera
        self.taxonomy = taxonomy
        folder = self.layout.images(self.name, camera)
        numbered = numbered_files(folder, ".png")
        if not numbered:
            raise FileNotFoundError(
                f"{folder}: no pictures; download them, or simulate a drive with cameras: "
                "python tools/simulate.py --cameras 1"
            )
        self.frames = sorted(numbered)
        self.files = [numbered[index] for index in self.frames]

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, named.
        """
        index = self.frames[position]
        label = self._label(index)
        pose = self._poses.get(index)
        return Frame(
            index=index,
            timestamp=index * NOMINAL_PERIOD,
            images={self.camera: Image(read_png(self.files[position]))},
            world_from_lidar=None if pose is None else pose @ self.calibration.vehicle_from_lidar,
            truth={} if label is None else {self.camera: label},
            source=str(self.files[position]),
        )

    @property
    def calibration(self) -> Calibration:
        """Empty where the copy holds no calibration."""
        return self._calibration

    @cached_property
    def _calibration(self) -> Calibration:
        folder = self.layout.calibration
        return read_calibration(folder).cameras() if folder.is_dir() else Calibration()

    @cached_property
    def _poses(self) -> dict[int, Float64[np.ndarray, "4 4"]]:
        path = self.layout.poses(self.name)
        return read_poses(path) if path.exists() else {}

    def _label(self, frame: int) -> Panoptic | None:
        path = self.layout.find_image_labels(self.name, self.camera, "semantic", frame)
        if path is None:
            return None
        raw = read_png(path)
        instances = self.layout.find_image_labels(self.name, self.camera, "instance", frame)
        number = np.zeros(raw.shape, np.uint16) if instances is None else read_png(instances)
        if number.shape != raw.shape:
            raise ValueError(f"{instances}: {number.shape} pixels, but {path} has {raw.shape}")
        return encode_labels(raw, number, self.taxonomy, str(path))

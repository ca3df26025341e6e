"""A drive: frames in the order of time, read one at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from ps3d.structures.calibration import Calibration
from ps3d.structures.panoptic import Panoptic
from ps3d.structures.scan import Image, Scan
from ps3d.structures.taxonomy import Taxonomy

LIDAR = "lidar"
"""Key of the LiDAR's labels in `Frame.truth`; cameras use their own names, e.g. "image_00"."""


@dataclass(frozen=True)
class Frame:
    """One instant of all sensors.

    Attributes:
        index: the data set's own frame number; numbers may have gaps.
        timestamp: seconds; only differences mean anything.
        scan: the LiDAR sweep, or None for a frame of pictures only.
        images: pictures by camera name.
        world_from_lidar: pose at the sweep's reference time, or None where it is unknown.
        current_from_previous: the LiDAR frame one sweep earlier, seen from this one; None where unknown.
            It carries the vehicle's motion during the sweep (see `ps3d.ops.geometry.correct_motion`).
        is_pose_interpolated: True if the pose was filled in between measured ones.
        truth: labels by sensor: `LIDAR` or a camera name.
        source: what to name in an error message, usually the file of the scan.
    """

    index: int
    timestamp: float
    scan: Scan | None = None
    images: Mapping[str, Image] = field(default_factory=dict)
    world_from_lidar: Float64[np.ndarray, "4 4"] | None = None
    current_from_previous: Float64[np.ndarray, "4 4"] | None = None
    is_pose_interpolated: bool = False
    truth: Mapping[str, Panoptic] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        label = self.truth.get(LIDAR)
        if self.scan is not None and label is not None and len(self.scan) != len(label):
            raise ValueError(f"frame {self.index} ({self.source}): {len(self.scan)} points but {len(label)} labels")


@runtime_checkable
class Sequence(Protocol):
    """One drive, lazy: a frame is read when it is asked for."""

    @property
    def name(self) -> str: ...

    @property
    def taxonomy(self) -> Taxonomy: ...

    @property
    def calibration(self) -> Calibration: ...

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> Frame:
        """The frame at a position 0..len-1 (not its `index`)."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

"""The LiDAR network: a sparse backbone, a class and an offset for each point."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from ps3d.models.lidar_batch import LidarBatch, VoxelizedScan, collate_lidar
from ps3d.models.losses import cross_entropy, lovasz, offset_loss
from ps3d.ops.voxel_interpolation import interpolate_voxels
from ps3d.sparse import SparseTensor
from ps3d.structures import Frame, OffsetPrediction, Taxonomy


class OffsetHead(nn.Module):
    """The way to the center of a voxel's object, meters.

    Shapes: (voxels, in_channels) -> (voxels, 3).
    """

    def __init__(self, in_channels: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_channels, width), nn.ReLU(inplace=True), nn.Linear(width, 3))
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "voxels channels"]) -> Float[Tensor, "voxels 3"]:
        """Offsets in meters."""
        return self.layers(features)


@dataclass(frozen=True)
class LossWeights:
    """How much each part of the loss counts.

    Attributes:
        cross_entropy, lovasz: of the classes.
        distance: of the offsets' error in meters.
        direction: of 1 - cosine of the offsets.
    """

    cross_entropy: float = 1.0
    lovasz: float = 1.0
    distance: float = 0.3
    direction: float = 0.1


class LidarPanoptic(nn.Module):
    """Voxels in, classes and offsets of points out.

    Args:
        backbone: takes a `SparseTensor` with `len(FEATURES)` channels and returns one on the same voxels with
            `backbone.out_channels` channels.
        taxonomy: the classes.
        voxel_size: meters.
        max_range: points beyond are VOID, meters.
        sensor_height: over the road, meters; 1.73 is KITTI's.
        loss_weights: of the parts of the loss.
        is_interpolated: points take their values from the eight voxels around them, not only from their own.
    """

    def __init__(
        self,
        backbone: nn.Module,
        taxonomy: Taxonomy,
        voxel_size: float = 0.2,
        max_range: float = 120.0,
        sensor_height: float = 1.73,
        loss_weights: LossWeights = LossWeights(),
        is_interpolated: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.taxonomy = taxonomy
        self.voxel_size, self.max_range, self.sensor_height = voxel_size, max_range, sensor_height
        self.loss_weights = loss_weights
        self.is_interpolated = is_interpolated
        channels: int = backbone.out_channels  # type: ignore[assignment]
        self.class_head = nn.Linear(channels, len(taxonomy))
        self.offset_head = OffsetHead(channels)
        self.class_weights: Tensor
        self.register_buffer("class_weights", torch.ones(len(taxonomy)))

    def collate(self, frames: Sequence[Frame]) -> LidarBatch:
        """Frames (numpy) to a batch (torch)."""
        return collate_lidar(frames, self.voxel_size, self.max_range, self.sensor_height)

    def forward(self, batch: LidarBatch) -> tuple[Float[Tensor, "voxels classes"], Float[Tensor, "voxels 3"]]:
        """Class logits and offsets in meters of each voxel."""
        grid = SparseTensor(batch.features, batch.coordinates, batch.spatial_shape, batch.batch_size)
        features = self.backbone(grid).features
        return self.class_head(features), self.offset_head(features)

    def loss(self, batch: LidarBatch) -> dict[str, Float[Tensor, ""]]:
        """The parts of the loss, weighted: their sum is what is minimized."""
        logits, offsets = self(batch)
        distance, direction = offset_loss(offsets, batch.offsets, batch.is_thing)
        weights = self.loss_weights
        return {
            "cross_entropy": weights.cross_entropy * cross_entropy(logits, batch.semantic, self.class_weights),
            "lovasz": weights.lovasz * lovasz(logits, batch.semantic),
            "distance": weights.distance * distance,
            "direction": weights.direction * direction,
        }

    @torch.no_grad()
    def predict(self, batch: LidarBatch) -> list[OffsetPrediction]:
        """Class logits and offsets of every point of every scan, on the CPU."""
        if not len(batch.features):
            return self.to_points(batch, torch.zeros(0, len(self.taxonomy)), torch.zeros(0, 3))
        return self.to_points(batch, *self(batch))

    def to_points(
        self, batch: LidarBatch, logits: Float[Tensor, "voxels classes"], offsets: Float[Tensor, "voxels 3"]
    ) -> list[OffsetPrediction]:
        """The network's outputs as predictions of the points of each scan."""
        sizes = [len(scan.voxels) for scan in batch.scans]
        parts = zip(batch.scans, logits.float().cpu().split(sizes), offsets.float().cpu().split(sizes), strict=True)
        return [self._to_points(*part) for part in parts]

    def _to_points(
        self, scan: VoxelizedScan, logits: Float[Tensor, "voxels classes"], offsets: Float[Tensor, "voxels 3"]
    ) -> OffsetPrediction:
        """From voxels to points; the logits of points out of range are NaN, which fusion makes VOID."""
        usable = scan.xyz if scan.is_usable.all() else scan.xyz[scan.is_usable]
        place = scan.voxels.voxel_of_point
        if self.is_interpolated:
            of_points = interpolate_voxels(scan.voxels, usable, logits.numpy())
        else:
            of_points = logits.numpy()[place]
        # The offset leads from the voxel's mean to the center; a point of the voxel goes to the same center.
        shift = offsets.numpy()[place] + scan.mean[place] - usable
        return OffsetPrediction(
            torch.from_numpy(_spread(of_points, scan.is_usable, np.nan)),
            torch.from_numpy(_spread(shift, scan.is_usable, 0.0)),
        )


def _spread(values: Float32[np.ndarray, "usable channels"], is_usable: np.ndarray, fill: float) -> np.ndarray:
    """Values of the usable points in the places of all points."""
    if is_usable.all():
        return values
    spread = np.full((len(is_usable), values.shape[1]), fill, np.float32)
    spread[is_usable] = values
    return spread

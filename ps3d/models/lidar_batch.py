"""Frames to a batch of voxels: the inputs, and the truth, of a LiDAR network."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64
from torch import Tensor

from ps3d.ops.overlap import count_overlap
from ps3d.ops.voxelize import Voxels, voxelize
from ps3d.structures import VOID, Frame, Panoptic, Scan
from ps3d.structures.sequence import LIDAR

FEATURES = ("intensity", "has_intensity", "height", "range", "count", "inside_x", "inside_y", "inside_z")
"""What a voxel tells the network. Nothing here depends on where in the world it lies, or on which ring measured it."""

RANGE_SCALE = 50.0
"""Meters that count as 1 in the feature "range"."""


@dataclass(frozen=True)
class LidarBatch:
    """Several scans as voxels.

    Attributes:
        features: columns as in `FEATURES`.
        coordinates: [scan, z, y, x], sorted.
        spatial_shape: cells along z, y, x that hold all scans.
        batch_size: number of scans.
        semantic: the class most of a voxel's points have, or VOID.
        offsets: from the mean of the voxel's points to the center of its object, meters; 0 for stuff.
        is_thing: whether the voxel belongs to an object.
        scans: for each scan what leads back to its points.
        sources: names of the frames for error messages.
    """

    features: Float32[Tensor, "voxels features"]
    coordinates: Int32[Tensor, "voxels 4"]
    spatial_shape: tuple[int, int, int]
    batch_size: int
    semantic: Int64[Tensor, "voxels"]
    offsets: Float32[Tensor, "voxels 3"]
    is_thing: Bool[Tensor, "voxels"]
    scans: "tuple[VoxelizedScan, ...]"
    sources: tuple[str, ...]

    def to(self, device: torch.device | str) -> "LidarBatch":
        """The batch with its tensors on another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)})


@dataclass(frozen=True)
class VoxelizedScan:
    """One scan's voxels and the way back to its points.

    Attributes:
        voxels: of the points that are usable.
        is_usable: which points are finite and in range; the others are VOID.
        xyz: positions of all points.
        mean: mean position of each voxel's points, meters.
    """

    voxels: Voxels
    is_usable: Bool[np.ndarray, "points"]
    xyz: Float32[np.ndarray, "points 3"]
    mean: Float32[np.ndarray, "voxels 3"]


def voxelize_scan(scan: Scan, voxel_size: float, max_range: float) -> VoxelizedScan:
    """Voxels of the points that are finite and nearer than `max_range` meters."""
    xyz = scan.xyz
    with np.errstate(invalid="ignore", over="ignore"):
        is_usable = np.einsum("ij,ij->i", xyz, xyz) < max_range**2
    usable = xyz if is_usable.all() else xyz[is_usable]
    voxels = voxelize(usable, voxel_size)
    return VoxelizedScan(voxels, is_usable, xyz, voxels.mean(usable))


def voxel_features(
    scan: Scan, voxelized: VoxelizedScan, sensor_height: float
) -> Float32[np.ndarray, "voxels features"]:
    """One row of `FEATURES` per voxel.

    Intensity is the mean of the points that have one (it may be NaN where it is unknown); a scan whose intensity is 0
    everywhere has none.

    Args:
        sensor_height: of the sensor over the road, meters; heights then count from the road.
    """
    voxels, mean = voxelized.voxels, voxelized.mean
    intensity = scan.intensity[voxelized.is_usable]
    is_known = np.isfinite(intensity) & bool(np.nan_to_num(intensity).any())
    known = voxels.mean(np.stack([np.where(is_known, intensity, 0), is_known], axis=1).astype(np.float32))
    features = np.empty((len(voxels), len(FEATURES)), np.float32)
    features[:, 0] = known[:, 0] / np.maximum(known[:, 1], 1e-6)
    features[:, 1] = known[:, 1]
    features[:, 2] = 0.5 * (mean[:, 2] + np.float32(sensor_height))
    features[:, 3] = np.linalg.norm(mean, axis=1) / RANGE_SCALE
    features[:, 4] = 0.5 * np.log(voxels.count())
    features[:, 5:8] = (mean - voxels.centers()) / np.float32(voxels.voxel_size)
    return features


def instance_centers(label: Panoptic, xyz: Float32[np.ndarray, "points 3"]) -> Float32[np.ndarray, "points 3"]:
    """The mean of each point's object, NaN for points without one."""
    center = np.full(xyz.shape, np.nan, np.float32)
    member = np.flatnonzero((label.instance > 0) & np.isfinite(xyz.sum(axis=1)))
    segment = label.instance[member].astype(np.int64) << 8 | label.semantic[member]
    _, place = np.unique(segment, return_inverse=True)
    size = np.bincount(place)
    for axis in range(3):
        center[member, axis] = (np.bincount(place, weights=xyz[member, axis]) / size)[place]
    return center


def voxel_truth(
    label: Panoptic | None, voxelized: VoxelizedScan
) -> tuple[Int64[np.ndarray, "voxels"], Float32[np.ndarray, "voxels 3"], Bool[np.ndarray, "voxels"]]:
    """(class, offset, whether it belongs to an object) of each voxel: what most of its points say."""
    voxels = voxelized.voxels
    semantic = np.full(len(voxels), VOID, np.int64)
    offsets, is_thing = np.zeros((len(voxels), 3), np.float32), np.zeros(len(voxels), bool)
    if label is None or not len(voxels):
        return semantic, offsets, is_thing
    usable = label.select(voxelized.is_usable)
    semantic = _majority(voxels.voxel_of_point, usable.semantic, len(voxels))
    center = instance_centers(label, voxelized.xyz)[voxelized.is_usable]
    # Only points of the voxel's own class tell where its object is.
    counts = np.isfinite(center[:, 0]) & (usable.semantic == semantic[voxels.voxel_of_point])
    place = voxels.voxel_of_point[counts]
    size = np.bincount(place, minlength=len(voxels))
    is_thing = size > 0
    for axis in range(3):
        total = np.bincount(place, weights=center[counts, axis], minlength=len(voxels))
        offsets[is_thing, axis] = total[is_thing] / size[is_thing] - voxelized.mean[is_thing, axis]
    return semantic, offsets, is_thing


def _majority(voxel_of_point: np.ndarray, semantic: np.ndarray, voxels: int) -> Int64[np.ndarray, "voxels"]:
    """The most frequent class of each voxel; VOID only where there is nothing else."""
    overlap = count_overlap(voxel_of_point, semantic)
    weight = np.where(overlap.right == VOID, 0, overlap.shared)
    order = np.argsort(weight, kind="stable")
    majority = np.full(voxels, VOID, np.int64)
    majority[overlap.left[order]] = overlap.right[order]  # the last one written has the most points
    return majority


def collate_lidar(frames: Sequence[Frame], voxel_size: float, max_range: float, sensor_height: float) -> LidarBatch:
    """Frames into one batch; frames without labels have VOID everywhere.

    Raises:
        ValueError: a frame without a scan, named.
    """
    scans, features, coordinates, truths, shapes = [], [], [], [], []
    for place, frame in enumerate(frames):
        if frame.scan is None:
            raise ValueError(f"frame {frame.index} ({frame.source}) has no scan")
        scan = voxelize_scan(frame.scan, voxel_size, max_range)
        scans.append(scan)
        features.append(voxel_features(frame.scan, scan, sensor_height))
        row = np.full((len(scan.voxels), 1), place, np.int32)
        coordinates.append(np.concatenate([row, scan.voxels.coordinates], axis=1))
        truths.append(voxel_truth(frame.truth.get(LIDAR), scan))
        shapes.append(scan.voxels.spatial_shape)
    semantic, offsets, is_thing = (np.concatenate(parts) for parts in zip(*truths, strict=True))
    return LidarBatch(
        torch.from_numpy(np.concatenate(features)),
        torch.from_numpy(np.concatenate(coordinates)),
        (max(s[0] for s in shapes), max(s[1] for s in shapes), max(s[2] for s in shapes)),
        len(frames),
        torch.from_numpy(semantic),
        torch.from_numpy(offsets),
        torch.from_numpy(is_thing),
        tuple(scans),
        tuple(f"frame {frame.index} ({frame.source})" for frame in frames),
    )

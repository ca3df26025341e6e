"""Fusion: from what a network predicts to one panoptic labeling, for points and pixels alike."""

from ps3d.fusion.boxes import BoxFusion, fuse_boxes, paint_objects
from ps3d.fusion.centers import CenterFusion, fuse_centers
from ps3d.fusion.masks import LogitFusion, MaskFusion, fuse_mask_logits, fuse_masks
from ps3d.fusion.offsets import OffsetFusion, fuse_offsets
from ps3d.fusion.thing_shapes import SHAPES, ThingShape

__all__ = [
    "SHAPES",
    "BoxFusion",
    "CenterFusion",
    "LogitFusion",
    "MaskFusion",
    "OffsetFusion",
    "ThingShape",
    "fuse_boxes",
    "fuse_centers",
    "fuse_mask_logits",
    "fuse_masks",
    "fuse_offsets",
    "paint_objects",
]

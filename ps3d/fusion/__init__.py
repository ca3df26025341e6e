"""Fusion: from what a network predicts to one panoptic labeling, for points and pixels alike."""

from ps3d.fusion.offsets import OffsetFusion, fuse_offsets
from ps3d.fusion.thing_shapes import SHAPES, ThingShape

__all__ = ["SHAPES", "OffsetFusion", "ThingShape", "fuse_offsets"]

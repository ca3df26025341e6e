"""Scores of panoptic segmentation and tracking: counts on overlap tables that add, with results per class."""

from ps3d.metrics.object_tracks import ObjectCounts, count_objects, count_objects_overlap
from ps3d.metrics.panoptic_quality import PanopticCounts, count_panoptic, count_panoptic_overlap
from ps3d.metrics.pat import TrackQualityCounts, count_track_quality, count_track_quality_overlap
from ps3d.metrics.ptq import TrackedCounts, count_tracked, count_tracked_overlap
from ps3d.metrics.result import Counts, Result, total
from ps3d.metrics.rules import OFFICIAL, STRICT, Rules, find_rules
from ps3d.metrics.segments import SegmentOverlap, Segments, panoptic_overlap
from ps3d.metrics.semantic_iou import SemanticCounts, count_semantic
from ps3d.metrics.tracking_quality import TubeCounts, count_tubes, count_tubes_overlap
from ps3d.metrics.vpq import VideoCounts, count_video, count_video_overlap

__all__ = [
    "OFFICIAL",
    "STRICT",
    "Counts",
    "ObjectCounts",
    "PanopticCounts",
    "Result",
    "Rules",
    "SegmentOverlap",
    "Segments",
    "SemanticCounts",
    "TrackQualityCounts",
    "TrackedCounts",
    "TubeCounts",
    "VideoCounts",
    "count_objects",
    "count_objects_overlap",
    "count_panoptic",
    "count_panoptic_overlap",
    "count_semantic",
    "count_track_quality",
    "count_track_quality_overlap",
    "count_tracked",
    "count_tracked_overlap",
    "count_tubes",
    "count_tubes_overlap",
    "count_video",
    "count_video_overlap",
    "find_rules",
    "panoptic_overlap",
    "total",
]

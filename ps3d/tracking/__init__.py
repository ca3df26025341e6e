"""The same instance keeps its number through a sequence."""

from ps3d.tracking.options import IMAGE_TRACKING, TrackerOptions
from ps3d.tracking.stitching import WindowStitcher
from ps3d.tracking.tracker import ObjectTracker, Tracker, track_sequence

__all__ = ["IMAGE_TRACKING", "ObjectTracker", "Tracker", "TrackerOptions", "WindowStitcher", "track_sequence"]

"""Procedural streets, ray-cast into drives in the KITTI-360 layout.

`simulate_drive` (in `drive.py`) writes one drive; everything else is what it is made of. Only casting rays
needs Open3D, and it is imported when the first ray is cast.
"""

from ps3d.simulation.drive import DriveSettings, DriveSummary, simulate_drive

__all__ = ["DriveSettings", "DriveSummary", "simulate_drive"]

"""Procedural streets, ray-cast into drives in the KITTI-360 layout.

`simulate_drive` (in `drive.py`) writes one drive and `simulate_drives` several; everything else is what they are made
of. Only casting rays needs Open3D, and it is imported when the first ray is cast.
"""

from ps3d.simulation.drive import DriveSettings, DriveSummary, simulate_drive, simulate_drives

__all__ = ["DriveSettings", "DriveSummary", "simulate_drive", "simulate_drives"]

"""Procedural streets, ray-cast into drives in the KITTI-360 layout."""

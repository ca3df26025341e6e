"""ps3d: 3D LiDAR and video panoptic segmentation."""

__version__ = "0.1.0"

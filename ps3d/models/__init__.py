"""Networks: the parts of LiDAR and image models."""

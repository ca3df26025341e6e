"""Fusion: from what a network predicts to one panoptic labeling, for points and pixels alike."""

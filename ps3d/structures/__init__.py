"""The language of ps3d: small frozen dataclasses that every other package speaks."""

from ps3d.structures.calibration import Calibration, Camera, FisheyeCamera
from ps3d.structures.panoptic import NO_INSTANCE, VOID, Panoptic
from ps3d.structures.prediction import BoxPrediction, CenterPrediction, MaskPrediction, OffsetPrediction, Prediction
from ps3d.structures.scan import SWEEP_SECONDS, Image, Scan
from ps3d.structures.sequence import Frame, Sequence
from ps3d.structures.taxonomy import Category, Taxonomy

__all__ = [
    "NO_INSTANCE",
    "SWEEP_SECONDS",
    "VOID",
    "BoxPrediction",
    "Calibration",
    "Camera",
    "Category",
    "CenterPrediction",
    "FisheyeCamera",
    "Frame",
    "Image",
    "MaskPrediction",
    "OffsetPrediction",
    "Panoptic",
    "Prediction",
    "Scan",
    "Sequence",
    "Taxonomy",
]

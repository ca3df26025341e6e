"""The language of ps3d: small frozen dataclasses that every other package speaks.

The predictions of networks are loaded when they are first asked for: they need torch, whose import takes longer than
many a tool that has no use for it.
"""

from typing import TYPE_CHECKING, Any

from ps3d.structures.calibration import Calibration, Camera, FisheyeCamera
from ps3d.structures.panoptic import NO_INSTANCE, VOID, Panoptic
from ps3d.structures.scan import SWEEP_SECONDS, Image, Scan
from ps3d.structures.sequence import Frame, Sequence
from ps3d.structures.taxonomy import Category, Taxonomy

if TYPE_CHECKING:
    from ps3d.structures.prediction import (
        BoxPrediction,
        CenterPrediction,
        MaskPrediction,
        OffsetPrediction,
        Prediction,
    )

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

_PREDICTIONS = frozenset(("BoxPrediction", "CenterPrediction", "MaskPrediction", "OffsetPrediction", "Prediction"))


def __getattr__(name: str) -> Any:
    if name not in _PREDICTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ps3d.structures import prediction

    return getattr(prediction, name)

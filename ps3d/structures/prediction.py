"""What a network's heads say about the elements of one scan or image, before fusion."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class MaskPrediction:
    """Set prediction: queries that each claim a class and a mask (Cheng et al., NeurIPS 2021).

    Attributes:
        class_logits: the last class means "no object".
        mask_logits: positive inside the mask.
    """

    class_logits: Float[Tensor, "queries classes_plus_one"]
    mask_logits: Float[Tensor, "queries *elements"]


@dataclass(frozen=True)
class OffsetPrediction:
    """Bottom-up prediction: the class of each element and the way to its instance's center.

    Attributes:
        class_logits: one row per element.
        offsets: center minus element, in meters (points) or pixels (images).
    """

    class_logits: Float[Tensor, "*elements classes"]
    offsets: Float[Tensor, "*elements dimensions"]

"""What a network's heads say about the elements of one scan or image, before fusion.

Networks for pictures answer on a coarser grid. `size` says which picture the answer is stretched to during fusion, so
that no hundred masks of full size ever lie in memory; None means that the elements are as they are.
"""

from dataclasses import dataclass, replace

from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class MaskPrediction:
    """Set prediction: queries that each claim a class and a mask (Cheng et al., NeurIPS 2021).

    Attributes:
        class_logits: the last class means "no object".
        mask_logits: positive inside the mask.
        size: (height, width) of the picture, pixels; None for points and for masks of full size.
    """

    class_logits: Float[Tensor, "queries classes_plus_one"]
    mask_logits: Float[Tensor, "queries *elements"]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class OffsetPrediction:
    """Bottom-up prediction: the class of each element and the way to its instance's center.

    Attributes:
        class_logits: one row per element.
        offsets: center minus element, in meters (points) or pixels (images).
    """

    class_logits: Float[Tensor, "*elements classes"]
    offsets: Float[Tensor, "*elements dimensions"]


@dataclass(frozen=True)
class CenterPrediction:
    """Bottom-up prediction for a picture: classes, a heat map of centers, offsets (Cheng et al., CVPR 2020).

    Attributes:
        class_logits: channels first, as networks make them.
        heat: 0..1, high at the centers of things.
        offsets: center minus pixel as (rows, columns), in pixels of this grid.
        size: (height, width) of the picture, pixels; None if this grid is the picture's.
    """

    class_logits: Float[Tensor, "classes rows columns"]
    heat: Float[Tensor, "rows columns"]
    offsets: Float[Tensor, "2 rows columns"]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class BoxPrediction:
    """Two-stage prediction for a picture: objects in boxes beside a map of classes (Kirillov et al., CVPR 2019).

    Attributes:
        class_logits: channels first. A network that knows all things as one class repeats its logit in each.
        scores: confidence of each object, 0..1.
        classes: class id of each object.
        boxes: left, top, right, bottom in pixels of the picture; pixel (0, 0) covers 0..1.
        mask_logits: positive inside the object, on a grid over its box.
        size: (height, width) of the picture, pixels; None if the map of classes is of full size.
    """

    class_logits: Float[Tensor, "classes rows columns"]
    scores: Float[Tensor, "objects"]
    classes: Int64[Tensor, "objects"]
    boxes: Float[Tensor, "objects 4"]
    mask_logits: Float[Tensor, "objects grid_rows grid_columns"]
    size: tuple[int, int] | None = None

    def stretched(self, size: tuple[int, int]) -> "BoxPrediction":
        """The same for the picture in another (height, width); boxes are stretched with it."""
        height, width = self.size or tuple(self.class_logits.shape[1:])
        factors = self.boxes.new_tensor([size[1] / width, size[0] / height] * 2)
        return replace(self, boxes=self.boxes * factors, size=size)


Prediction = MaskPrediction | OffsetPrediction | CenterPrediction | BoxPrediction

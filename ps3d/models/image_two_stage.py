"""Two-stage panoptic networks: Mask R-CNN for things beside a map of classes for stuff.

`PanopticFpn` reads both off one pyramid (Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019);
`FcnMaskRcnn` is the classic pair of two networks (Kirillov et al., "Panoptic Segmentation", CVPR 2019), the map of
classes from a fully convolutional network with dilated last stages (Long et al., CVPR 2015).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from ps3d.models.image_backbones import build_backbone, can_dilate
from ps3d.models.image_batch import ImageBatch
from ps3d.models.image_mask_rcnn import PAPER, SMALL, STRIDES, MaskRcnn, TwoStageSizes
from ps3d.structures import VOID, BoxPrediction, Taxonomy

__all__ = ["PAPER", "SMALL", "FcnMaskRcnn", "PanopticFpn", "TwoStageSizes"]


class SemanticHead(nn.Module):
    """All but the coarsest pyramid level brought to stride 4, summed, classified: any thing, and stuff."""

    def __init__(self, inside: int, width: int, classes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList([self._level(inside, width, max(1, level)) for level in range(4)])
        self.classify = nn.Conv2d(width, classes, 1)

    @staticmethod
    def _level(inside: int, width: int, count: int) -> nn.ModuleList:
        widths = [inside] + [width] * count
        return nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(widths[i], width, 3, padding=1, bias=False), nn.GroupNorm(min(32, width), width), nn.ReLU()
            )
            for i in range(count)
        )

    def forward(self, maps: Sequence[Tensor]) -> Float[Tensor, "b classes h w"]:
        size = maps[0].shape[2:]
        total = torch.zeros((), device=maps[0].device)
        for place, (layers, features) in enumerate(zip(self.levels, maps[:4], strict=True)):
            for layer in layers:  # type: ignore[union-attr]
                features = layer(features)
                if place:
                    features = functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            total = total + functional.interpolate(features, size, mode="bilinear", align_corners=False)
        return self.classify(total)


class PanopticFpn(MaskRcnn):
    """Pictures in, a `BoxPrediction` for each out; arguments as of `MaskRcnn`."""

    def __init__(
        self,
        taxonomy: Taxonomy,
        backbone: str = "small",
        sizes: TwoStageSizes = SMALL,
        scale: float = 1.0,
        weights: str = "",
    ) -> None:
        super().__init__(taxonomy, backbone, sizes, scale, weights)
        self.stuff = [i for i in range(len(taxonomy)) if i not in set(self.things)]
        self.semantic = SemanticHead(sizes.pyramid, sizes.semantic, len(self.stuff) + 1)

    def loss(self, batch: ImageBatch) -> dict[str, Float[Tensor, ""]]:
        """Semantic, proposal, box and mask losses; the semantic one weighs half, as in the paper."""
        maps = self(batch)
        with torch.autocast(batch.pixels.device.type, enabled=False):
            return {"semantic": 0.5 * self._semantic_loss(maps, batch), **self.object_loss(maps, batch)}

    @torch.no_grad()
    def predict(self, batch: ImageBatch, least: float = 0.05, most: int = 100) -> list[BoxPrediction]:
        """One prediction per picture, to be stretched to its size on disk; at most so many objects at least so sure."""
        maps = self(batch)
        return self.detect(maps, batch, self._spread(self.semantic(maps)), STRIDES[0], least, most)

    def _spread(self, logits: Tensor) -> Tensor:
        """Logits of "any thing" and stuff into the taxonomy's order; every thing has the logit of "any thing"."""
        spread = logits[:, :1].repeat(1, len(self.taxonomy), 1, 1)
        spread[:, self.stuff] = logits[:, 1:]
        return spread

    def _semantic_loss(self, maps: list[Tensor], batch: ImageBatch) -> Tensor:
        table = torch.full((256,), VOID, dtype=torch.long, device=batch.semantic.device)
        table[self.things] = 0
        table[self.stuff] = torch.arange(1, len(self.stuff) + 1, device=table.device)
        return classify_pixels(self.semantic(maps), table[batch.semantic.long()])


class FcnHead(nn.Sequential):
    """Classes from one map: a 3 x 3 convolution to a quarter of the channels, dropout, a 1 x 1 convolution."""

    def __init__(self, inside: int, classes: int) -> None:
        width = max(16, inside // 4)
        super().__init__(
            nn.Conv2d(inside, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(width, classes, 1),
        )


class FcnMaskRcnn(MaskRcnn):
    """Two networks with backbones of their own; arguments as of `MaskRcnn`.

    The semantic one classifies every pixel into all classes, things too, at stride 8 (backbones that cannot be dilated:
    32). A second head on the third stage has a loss of its own during training, as torchvision's FCN has.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        backbone: str = "small",
        sizes: TwoStageSizes = SMALL,
        scale: float = 1.0,
        weights: str = "",
    ) -> None:
        super().__init__(taxonomy, backbone, sizes, scale, weights)
        self.stride = 8 if can_dilate(backbone) else 32
        self.fcn_backbone, channels = build_backbone(backbone, weights, self.stride)
        self.fcn = FcnHead(channels[-1], len(taxonomy))
        self.auxiliary = FcnHead(channels[-2], len(taxonomy))

    def loss(self, batch: ImageBatch) -> dict[str, Float[Tensor, ""]]:
        """Semantic, auxiliary, proposal, box and mask losses; the auxiliary one weighs half."""
        maps = self(batch)
        *_, third, last = self.fcn_backbone(batch.pixels).feature_maps
        logits, more = self.fcn(last).float(), self.auxiliary(third).float()
        with torch.autocast(batch.pixels.device.type, enabled=False):
            target = batch.semantic.long()
            semantic = {"semantic": classify_pixels(logits, target), "auxiliary": 0.5 * classify_pixels(more, target)}
            return {**semantic, **self.object_loss(maps, batch)}

    @torch.no_grad()
    def predict(self, batch: ImageBatch, least: float = 0.05, most: int = 100) -> list[BoxPrediction]:
        """One prediction per picture, to be stretched to its size on disk; at most so many objects at least so sure."""
        logits = self.fcn(self.fcn_backbone(batch.pixels).feature_maps[-1]).float()
        return self.detect(self(batch), batch, logits, self.stride, least, most)


def classify_pixels(
    logits: Float[Tensor, "images classes rows columns"], target: Int64[Tensor, "images height width"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy over the pixels that have a class, the logits stretched to them; 0 without any such pixel."""
    logits = functional.interpolate(logits, tuple(target.shape[1:]), mode="bilinear", align_corners=False)
    error = functional.cross_entropy(logits, target, ignore_index=VOID, reduction="sum")
    return error / (target != VOID).sum().clamp(min=1)

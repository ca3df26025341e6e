"""Panoptic-DeepLab: classes, a heat map of centers, and offsets (Cheng et al., CVPR 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional

from ps3d.models.image_backbones import build_backbone
from ps3d.models.image_batch import ImageBatch, collate_images
from ps3d.structures import VOID, CenterPrediction, Frame, Taxonomy


class Separable(nn.Sequential):
    """A filter of each channel, then a mixture of channels, both normalized."""

    def __init__(self, inside: int, outside: int, kernel: int, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inside, inside, kernel, padding=padding, dilation=dilation, groups=inside, bias=False),
            nn.BatchNorm2d(inside),
            nn.ReLU(inplace=True),
            *pointwise(inside, outside),
        )


class Dense(nn.Sequential):
    """A filter over all channels, normalized: more arithmetic than `Separable`, yet several times faster on a CPU."""

    def __init__(self, inside: int, outside: int, kernel: int, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inside, outside, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )


def pointwise(inside: int, outside: int) -> nn.Sequential:
    """A mixture of channels, normalized."""
    return nn.Sequential(nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: the same map seen at several distances; (b, inside, h, w) -> (b, width, h, w)."""

    def __init__(self, inside: int, width: int, sizes: "DeepLabSizes") -> None:
        super().__init__()
        rates, filtered = sizes.rates, Dense if sizes.is_dense else Separable
        branches = [pointwise(inside, width), *(filtered(inside, width, 3, rate) for rate in rates)]
        self.branches = nn.ModuleList(branches)
        # One value per picture cannot be batch-normalized when it is alone, so the pooled branch is not.
        self.pooled = nn.Sequential(nn.Conv2d(inside, width, 1), nn.ReLU(inplace=True))
        self.project = nn.Sequential(*pointwise(width * (len(rates) + 2), width), nn.Dropout(0.1))

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width h w"]:
        whole = self.pooled(features.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])
        return self.project(torch.cat([*(branch(features) for branch in self.branches), whole], dim=1))


class Decoder(nn.Module):
    """From the pyramid at the coarsest stride up to the finest, joined by the backbone's finer maps."""

    def __init__(self, channels: Sequence[int], width: int, lateral: tuple[int, ...], sizes: "DeepLabSizes") -> None:
        super().__init__()
        self.pyramid = Pyramid(channels[3], sizes.pyramid, sizes)
        finer = [channels[place] for place in range(len(lateral))][::-1]
        self.lateral = nn.ModuleList(
            [pointwise(inside, outside) for inside, outside in zip(finer, lateral, strict=True)]
        )
        inner = [sizes.pyramid, *[width] * (len(lateral) - 1)]
        self.fuse = nn.ModuleList(
            [sizes.wide(before + more, width) for before, more in zip(inner, lateral, strict=True)]
        )

    def forward(self, maps: Sequence[Tensor]) -> Float[Tensor, "b width h w"]:
        """`maps` from fine to coarse."""
        joined = self.pyramid(maps[3])
        for lateral, fuse, finer in zip(self.lateral, self.fuse, maps[: len(self.lateral)][::-1], strict=True):
            joined = functional.interpolate(joined, finer.shape[2:], mode="bilinear", align_corners=False)
            joined = fuse(torch.cat([joined, lateral(finer)], dim=1))
        return joined


@dataclass(frozen=True)
class DeepLabSizes:
    """Widths of the decoders: the paper's, or narrower ones for a CPU.

    Attributes:
        pyramid: channels of both pyramids.
        semantic: channels of the decoder of classes.
        instance: channels of the decoder of centers and offsets.
        semantic_lateral, instance_lateral: channels taken from the backbone's maps, the finest map last.
        head: inner channels of the center and offset heads.
        rates: distances of the pyramids' filters at the coarsest stride.
        is_dense: filters of 3 x 3 over all channels instead of 5 x 5 of each.
        finer: rows and columns of the heads' output for each of their input.
        unit: pixels of the heads' output that an answer of 1 means in the offsets. Objects are tens of pixels wide, and
            a short training does not bring weights that begin around zero so far.
    """

    pyramid: int = 256
    semantic: int = 256
    instance: int = 128
    semantic_lateral: tuple[int, ...] = (64, 32)
    instance_lateral: tuple[int, ...] = (32, 16)
    head: int = 32
    rates: tuple[int, ...] = (6, 12, 18)
    is_dense: bool = False
    finer: int = 1
    unit: float = 1.0

    def wide(self, inside: int, outside: int) -> nn.Sequential:
        """A filter of the decoders and heads."""
        return Dense(inside, outside, 3) if self.is_dense else Separable(inside, outside, 5)

    def make_head(self, width: int, inner: int, outputs: int) -> nn.Sequential:
        """A wide filter and a linear answer for each pixel, or for each of the finer pixels inside it."""
        layers = [self.wide(width, inner), nn.Conv2d(inner, outputs * self.finer**2, 1)]
        return nn.Sequential(*layers, *([nn.PixelShuffle(self.finer)] if self.finer > 1 else []))


PAPER = DeepLabSizes()
SMALL = DeepLabSizes(64, 64, 48, (32, 16), (24, 16), 24, (2, 4, 8))
FINE = DeepLabSizes(64, 64, 48, (48, 32, 32), (48, 32, 32), 32, (2, 4), True, 2, 8.0)
"""For small objects and a CPU: twice as fine, with filters that a CPU is fast at."""


@dataclass(frozen=True)
class DeepLabLoss:
    """The parts of the loss and what they are made of.

    Attributes:
        semantic: weight of the cross entropy.
        hardest: share of the pixels that count in it, the worst ones.
        small_weight: of pixels of objects smaller than `small_area`.
        small_area: pixels.
        center: weight of the squared error of the heat map.
        offset: weight of the offsets' error in pixels.
        sigma: spread of a center in the heat map, pixels.
        spread: the same as a share of the square root of the object's area, where that is more.
        smallest: objects of fewer pixels have neither a center nor offsets; their pixels are left out of both.
        balance: a pixel counts as its class's share of the batch to the power of minus this; 0 = all classes alike.
    """

    semantic: float = 1.0
    hardest: float = 0.2
    small_weight: float = 3.0
    small_area: int = 4096
    center: float = 200.0
    offset: float = 0.01
    sigma: float = 8.0
    spread: float = 0.0
    smallest: int = 0
    balance: float = 0.0


SMALL_LOSS = DeepLabLoss(hardest=1.0, small_area=256, sigma=3.0)
"""For shrunken pictures and short trainings: every pixel counts, and centers are as much narrower as objects are."""
FINE_LOSS = DeepLabLoss(hardest=1.0, small_area=1024, offset=0.05, sigma=1.5, spread=0.12, smallest=8, balance=0.2)
"""For `FINE` on pictures of half the size, where half of all objects have fewer than 20 pixels."""


class PanopticDeepLab(nn.Module):
    """Pictures in, a `CenterPrediction` for each out.

    Args:
        taxonomy: the classes.
        backbone: a name in `ps3d.models.image_backbones.FAMILIES`.
        sizes: widths of the decoders.
        output_stride: of the backbone, 16 or 32.
        scale: of the network's input to the pictures on disk.
        loss_settings: of the training.
        weights: folder of pretrained weights of the backbone.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        backbone: str = "small",
        sizes: DeepLabSizes = SMALL,
        output_stride: int = 16,
        scale: float = 1.0,
        loss_settings: DeepLabLoss = DeepLabLoss(),
        weights: str = "",
    ) -> None:
        super().__init__()
        self.taxonomy, self.scale, self.loss_settings = taxonomy, scale, loss_settings
        self.backbone, channels = build_backbone(backbone, weights, output_stride, is_patched=sizes.finer > 1)
        self.head_stride, self.unit = 4 // sizes.finer, sizes.unit
        self.semantic = Decoder(channels, sizes.semantic, sizes.semantic_lateral, sizes)
        self.instance = Decoder(channels, sizes.instance, sizes.instance_lateral, sizes)
        self.class_head = sizes.make_head(sizes.semantic, sizes.semantic, len(taxonomy))
        self.center_head = sizes.make_head(sizes.instance, sizes.head, 1)
        self.offset_head = sizes.make_head(sizes.instance, sizes.head, 2)
        if sizes.is_dense:
            self.to(memory_format=torch.channels_last)  # which these filters are faster in

    def collate(self, frames: Sequence[Frame]) -> ImageBatch:
        """Frames (numpy) to a batch (torch)."""
        return collate_images(frames, self.scale)

    def forward(self, batch: ImageBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(class logits, heat, offsets in pixels of the output) at `head_stride`."""
        maps = self.backbone(batch.pixels).feature_maps
        semantic, instance = self.semantic(maps), self.instance(maps)
        return self.class_head(semantic), self.center_head(instance), self.unit * self.offset_head(instance)

    def loss(self, batch: ImageBatch) -> dict[str, Float[Tensor, ""]]:
        """The parts of the loss, weighted: their sum is what is minimized."""
        size = tuple(batch.pixels.shape[2:])
        logits, heat, offsets = (
            functional.interpolate(output.float(), size, mode="bilinear", align_corners=False) for output in self(batch)
        )
        settings = self.loss_settings
        targets = make_targets(batch, self.taxonomy, settings)
        error = functional.cross_entropy(logits, batch.semantic.long(), ignore_index=VOID, reduction="none")
        weight = targets.weight * balance_classes(batch.semantic, settings.balance)
        center_error = targets.is_known * (heat[:, 0] - targets.heat).square()
        offset_error = targets.is_object[:, None] * (self.head_stride * offsets - targets.offsets).abs()
        return {
            "semantic": settings.semantic * hardest_mean(error * weight, batch.semantic != VOID, settings.hardest),
            "center": settings.center * center_error.sum() / targets.is_known.sum().clamp(min=1),
            "offset": settings.offset * offset_error.sum() / targets.is_object.sum().clamp(min=1),
        }

    @torch.no_grad()
    def predict(self, batch: ImageBatch) -> list[CenterPrediction]:
        """One prediction per picture, to be stretched to its size on disk."""
        outputs = zip(*self(batch), batch.sizes, batch.pictures, strict=True)
        predictions = []
        for logits, heat, offsets, size, picture in outputs:
            rows, columns = (-(-side // self.head_stride) for side in size)
            part = (slice(None), slice(rows), slice(columns))
            maps = logits[part].float(), heat[part][0].float(), offsets[part].float()
            predictions.append(CenterPrediction(*maps, picture))
        return predictions


@dataclass(frozen=True)
class CenterTargets:
    """What Panoptic-DeepLab should answer.

    Attributes:
        heat: the largest of all objects' bells.
        offsets: center minus pixel (rows, columns), 0 outside objects.
        is_object: pixels of numbered objects.
        is_known: pixels where the heat map counts: labeled, and no crowd.
        weight: of the pixel in the cross entropy.
    """

    heat: Float32[Tensor, "images height width"]
    offsets: Float32[Tensor, "images 2 height width"]
    is_object: Bool[Tensor, "images height width"]
    is_known: Bool[Tensor, "images height width"]
    weight: Float32[Tensor, "images height width"]


def make_targets(batch: ImageBatch, taxonomy: Taxonomy, settings: DeepLabLoss) -> CenterTargets:
    """Targets of a batch. A center is the mean position of an object's pixels, rounded."""
    table = torch.zeros(256, dtype=torch.bool, device=batch.semantic.device)
    table[: len(taxonomy)] = torch.from_numpy(taxonomy.is_thing).to(table.device)
    is_thing = table[batch.semantic.long()]
    is_object = is_thing & (batch.instance > 0)
    is_known = (batch.semantic != VOID) & (~is_thing | is_object)
    height, width = batch.semantic.shape[1:]
    rows = torch.arange(height, device=table.device, dtype=torch.float32)
    columns = torch.arange(width, device=table.device, dtype=torch.float32)
    heat = torch.zeros(batch.semantic.shape, device=table.device)
    offsets = torch.zeros(len(heat), 2, height, width, device=table.device)
    weight = torch.ones_like(heat)
    for image in range(len(heat)):
        row, column = torch.nonzero(is_object[image], as_tuple=True)
        key = batch.semantic[image, row, column].long() << 32 | batch.instance[image, row, column].long()
        keys, place, area = torch.unique(key, return_inverse=True, return_counts=True)
        if not len(keys):
            continue
        is_object[image, row, column] &= area[place] >= settings.smallest
        is_known[image, row, column] &= area[place] >= settings.smallest
        weight[image, row, column] = torch.where(area[place] < settings.small_area, settings.small_weight, 1.0)
        zeros = torch.zeros(len(keys), device=table.device)
        center_row = zeros.index_add(0, place, rows[row]).div_(area).round_()
        center_column = zeros.index_add(0, place, columns[column]).div_(area).round_()
        offsets[image, 0, row, column] = center_row[place] - rows[row]
        offsets[image, 1, row, column] = center_column[place] - columns[column]
        sigma = (settings.spread * area.sqrt()).clamp(min=settings.sigma)
        is_large = area >= settings.smallest
        bells = center_row[is_large], center_column[is_large], sigma[is_large]
        heat[image] = draw_bells(*bells, rows, columns)
    offsets *= is_object[:, None]
    return CenterTargets(heat, offsets, is_object, is_known, weight)


def draw_bells(
    center_row: Tensor, center_column: Tensor, sigmas: Tensor, rows: Tensor, columns: Tensor
) -> Float32[Tensor, "height width"]:
    """The largest of the bells around each center, cut off at three sigma and two pixels as the published code does."""
    heat = torch.zeros(len(rows), len(columns), device=rows.device)
    for y, x, sigma in zip(center_row, center_column, sigmas, strict=True):
        reach = 3 * sigma + 1
        dy, dx = rows - y, columns - x
        down = torch.exp(-dy.square() / (2 * sigma**2)) * (dy.abs() <= reach)
        across = torch.exp(-dx.square() / (2 * sigma**2)) * (dx.abs() <= reach)
        heat = torch.maximum(heat, down[:, None] * across)
    return heat


def balance_classes(
    semantic: UInt8[Tensor, "images height width"], power: float
) -> Float32[Tensor, "images height width"]:
    """Weight of each pixel by its class's share of the batch to the power of -`power`; 1 on average, 0 for VOID."""
    count = torch.bincount(semantic.reshape(-1).long(), minlength=256).float()
    count[VOID] = 0
    share = count / count.sum().clamp(min=1)
    weight = torch.where(share > 0, share.clamp(min=1e-9).pow(-power), 0.0)
    return (weight / (share * weight).sum().clamp(min=1e-9))[semantic.long()]


def hardest_mean(error: Float[Tensor, "*n"], is_counted: Bool[Tensor, "*n"], share: float) -> Float[Tensor, ""]:
    """Mean of the largest errors; 0 where nothing counts."""
    errors = error[is_counted]
    if not len(errors):
        return error.sum() * 0
    if share >= 1:
        return errors.mean()
    return errors.topk(max(1, int(share * len(errors)))).values.mean()

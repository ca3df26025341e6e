"""Mask R-CNN in plain torch (He et al., ICCV 2017): proposals, boxes, classes and masks on a pyramid."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ps3d.models.image_backbones import build_backbone
from ps3d.models.image_batch import ImageBatch, collate_images, segment_masks
from ps3d.ops.boxes import (
    box_area,
    box_iou,
    clip_boxes,
    crop_features,
    crop_masks,
    decode_boxes,
    encode_boxes,
    suppress,
)
from ps3d.structures import BoxPrediction, Frame, Taxonomy

STRIDES = (4, 8, 16, 32, 64)
RATIOS = (0.5, 1.0, 2.0)
_RPN, _BOX = (1.0, 1.0), (10.0, 5.0)
"""How much shifts and sizes weigh in the two stages' regression."""


@dataclass(frozen=True)
class TwoStageSizes:
    """Widths and counts: the paper's, or smaller ones for a CPU.

    Attributes:
        pyramid: channels of the pyramid, the RPN and the mask head.
        semantic: channels of the semantic head.
        inner: channels of the box head.
        anchor: side of the anchors at stride 4, pixels; doubled from level to level.
        proposals: per picture, after suppression.
        rpn_samples, box_samples: anchors and boxes that the losses look at, per picture.
    """

    pyramid: int = 256
    semantic: int = 128
    inner: int = 1024
    anchor: float = 32.0
    proposals: int = 1000
    rpn_samples: int = 256
    box_samples: int = 512


PAPER = TwoStageSizes()
SMALL = TwoStageSizes(64, 64, 128, 16.0, 200, 128, 128)


@dataclass(frozen=True)
class Objects:
    """True objects of one picture: class among the things (0 = first thing), box, mask."""

    classes: Tensor
    boxes: Tensor
    masks: Tensor


class Pyramid(nn.Module):
    """Feature pyramid (Lin et al., CVPR 2017): five maps at `STRIDES`."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(c, width, 1) for c in channels])
        self.smooth = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1) for _ in channels])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        joined = [lateral(features) for lateral, features in zip(self.lateral, maps, strict=True)]
        for level in range(len(joined) - 2, -1, -1):
            joined[level] = joined[level] + functional.interpolate(joined[level + 1], joined[level].shape[2:])
        smooth = [layer(features) for layer, features in zip(self.smooth, joined, strict=True)]
        return [*smooth, functional.max_pool2d(smooth[-1], 1, 2)]


class MaskRcnn(nn.Module):
    """The part that finds things; two-stage networks add a map of classes.

    Args:
        taxonomy: the classes, at least one of them a thing.
        backbone: a name in `ps3d.models.image_backbones.FAMILIES`.
        sizes: widths and counts.
        scale: of the network's input to the pictures on disk.
        weights: folder of pretrained weights of the backbone.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        backbone: str = "small",
        sizes: TwoStageSizes = SMALL,
        scale: float = 1.0,
        weights: str = "",
    ) -> None:
        super().__init__()
        self.taxonomy, self.sizes, self.scale = taxonomy, sizes, scale
        self.things = [int(i) for i in taxonomy.thing_ids()]
        if not self.things:
            raise ValueError(f"{taxonomy.name}: no class is a thing; a two-stage network needs at least one")
        self.backbone, channels = build_backbone(backbone, weights)
        width, things = sizes.pyramid, len(self.things)
        self.pyramid = Pyramid(channels, width)
        self.rpn = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.rpn_score, self.rpn_step = nn.Conv2d(width, len(RATIOS), 1), nn.Conv2d(width, 4 * len(RATIOS), 1)
        self.box = nn.Sequential(
            nn.Flatten(), nn.Linear(49 * width, sizes.inner), nn.ReLU(), nn.Linear(sizes.inner, sizes.inner), nn.ReLU()
        )
        self.box_class, self.box_step = nn.Linear(sizes.inner, things + 1), nn.Linear(sizes.inner, 4 * (things + 1))
        convolutions = [layer for _ in range(4) for layer in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU())]
        self.mask = nn.Sequential(*convolutions, nn.ConvTranspose2d(width, width, 2, 2), nn.ReLU())
        self.mask_class = nn.Conv2d(width, things + 1, 1)
        for layer in (self.rpn_score, self.rpn_step, self.box_class, self.box_step):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def collate(self, frames: Sequence[Frame]) -> ImageBatch:
        """Frames (numpy) to a batch (torch)."""
        return collate_images(frames, self.scale, STRIDES[-1])

    def forward(self, batch: ImageBatch) -> list[Tensor]:
        """The pyramid's maps."""
        return [features.float() for features in self.pyramid(self.backbone(batch.pixels).feature_maps)]

    def object_loss(self, maps: list[Tensor], batch: ImageBatch) -> dict[str, Float[Tensor, ""]]:
        """Losses of proposals (score, box), classes, boxes and masks, each a mean over pictures."""
        scores, steps, anchors = self._propose(maps)
        parts: dict[str, list[Tensor]] = {"rpn_score": [], "rpn_box": [], "class": [], "box": [], "mask": []}
        for image, size in enumerate(batch.sizes):
            truth = self._objects(batch, image)
            self._rpn_loss(parts, scores[image], steps[image], anchors, truth)
            boxes = self._select(scores[image].detach(), steps[image].detach(), anchors, size, maps)
            self._box_loss(parts, [features[image] for features in maps], boxes, truth)
        return {name: torch.stack(values).mean() for name, values in parts.items()}

    def detect(
        self,
        maps: list[Tensor],
        batch: ImageBatch,
        class_logits: Float[Tensor, "images classes rows columns"],
        stride: int,
        least: float,
        most: int,
    ) -> list[BoxPrediction]:
        """One prediction per picture: its objects beside the map of classes.

        Args:
            class_logits: of the whole batch, in the order of the taxonomy.
            stride: of the map of classes, pixels of the network's input.
            least: objects less sure are left out.
            most: objects per picture.
        """
        scores, steps, anchors = self._propose(maps)
        predictions = []
        for image, (size, picture) in enumerate(zip(batch.sizes, batch.pictures, strict=True)):
            features = [level[image] for level in maps]
            boxes = self._select(scores[image], steps[image], anchors, size, maps)
            found, sure, classes = self._detect(features, boxes, size, least, most)
            masks = self._masks(features, found)[torch.arange(len(found)), classes]
            stretch = torch.tensor([picture[1] / size[1], picture[0] / size[0]] * 2, device=found.device)
            rows, columns = (-(-side // stride) for side in size)
            ids = torch.tensor(self.things, device=found.device)[classes]
            part = class_logits[image, :, :rows, :columns]
            predictions.append(BoxPrediction(part, sure, ids, found * stretch, masks, picture))
        return predictions

    def _objects(self, batch: ImageBatch, image: int) -> Objects:
        classes, masks = segment_masks(batch.semantic[image], batch.instance[image], self.taxonomy)
        is_thing = torch.isin(classes, torch.tensor(self.things, device=classes.device))
        classes, masks = classes[is_thing], masks[is_thing]
        place = torch.full((256,), -1, device=classes.device)
        place[self.things] = torch.arange(len(self.things), device=classes.device)
        boxes = torch.zeros(len(masks), 4, device=masks.device)
        for number, mask in enumerate(masks):
            row, column = torch.nonzero(mask, as_tuple=True)
            boxes[number] = torch.stack([column.min(), row.min(), column.max() + 1, row.max() + 1]).float()
        return Objects(place[classes], boxes, masks)

    def _propose(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(scores, steps, anchors) of all levels: (images, anchors), (images, anchors, 4), (anchors, 4)."""
        scores, steps, anchors = [], [], []
        for features, stride in zip(maps, STRIDES, strict=True):
            hidden = self.rpn(features)
            scores.append(self.rpn_score(hidden).permute(0, 2, 3, 1).flatten(1))
            steps.append(self.rpn_step(hidden).permute(0, 2, 3, 1).reshape(len(features), -1, 4))
            anchors.append(make_anchors(features.shape[2:], stride, self.sizes.anchor * stride / STRIDES[0]).to(hidden))
        return torch.cat(scores, 1), torch.cat(steps, 1), torch.cat(anchors)

    def _select(
        self, scores: Tensor, steps: Tensor, anchors: Tensor, size: tuple[int, int], maps: list[Tensor]
    ) -> Tensor:
        """The surest proposals of a picture, suppressed level by level."""
        counts = [features.shape[2] * features.shape[3] * len(RATIOS) for features in maps]
        level = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(scores.device)
        chosen = torch.cat(
            [
                part.topk(min(len(part), self.sizes.proposals)).indices + start
                for part, start in zip(scores.split(counts), [sum(counts[:i]) for i in range(len(counts))], strict=True)
            ]
        )
        boxes = clip_boxes(decode_boxes(anchors[chosen], steps[chosen], _RPN), size)
        is_box = box_area(boxes) > 1
        boxes, chosen = boxes[is_box], chosen[is_box]
        kept = suppress(boxes, scores[chosen], level[chosen], 0.7)
        return boxes[kept[: self.sizes.proposals]]

    def _rpn_loss(
        self, parts: dict[str, list[Tensor]], scores: Tensor, steps: Tensor, anchors: Tensor, truth: Objects
    ) -> None:
        best, owner = _best_match(anchors, truth.boxes)
        positive = best >= 0.7
        if len(truth.boxes):
            iou = box_iou(anchors, truth.boxes)
            positive |= ((iou == iou.max(dim=0).values) & (iou > 1e-3)).any(dim=1)
        chosen, count = _sample(positive, best < 0.3, self.sizes.rpn_samples, 0.5)
        target = positive[chosen].float()
        parts["rpn_score"].append(functional.binary_cross_entropy_with_logits(scores[chosen], target))
        hit = chosen[:count]
        goal = encode_boxes(anchors[hit], truth.boxes[owner[hit]], _RPN) if count else steps[hit]
        error = functional.smooth_l1_loss(steps[hit], goal.detach(), beta=1 / 9, reduction="sum")
        parts["rpn_box"].append(error / max(1, len(chosen)))

    def _box_loss(self, parts: dict[str, list[Tensor]], features: list[Tensor], boxes: Tensor, truth: Objects) -> None:
        boxes = torch.cat([boxes, truth.boxes])
        best, owner = _best_match(boxes, truth.boxes)
        chosen, count = _sample(best >= 0.5, best < 0.5, self.sizes.box_samples, 0.25)
        nothing = len(self.things)
        classes = torch.full((len(chosen),), nothing, device=boxes.device)
        boxes, owner = boxes[chosen], owner[chosen]
        classes[:count] = truth.classes[owner[:count]]
        logits, steps = self._box_head(features, boxes)
        parts["class"].append(functional.cross_entropy(logits, classes) if len(chosen) else logits.sum())
        own = steps[torch.arange(count), classes[:count]]
        goal = encode_boxes(boxes[:count], truth.boxes[owner[:count]], _BOX) if count else own
        error = functional.smooth_l1_loss(own, goal.detach(), beta=1.0, reduction="sum")
        parts["box"].append(error / max(1, len(chosen)))
        masks = self._masks(features, boxes[:count])
        if not count:
            parts["mask"].append(masks.sum() * 0)
            return
        goals = crop_masks(truth.masks, owner[:count], boxes[:count], 28)
        own_mask = masks[torch.arange(count), classes[:count]]
        parts["mask"].append(functional.binary_cross_entropy_with_logits(own_mask, (goals >= 0.5).float()))

    def _box_head(self, features: list[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.box(crop_levels(features, boxes, 7))
        return self.box_class(hidden), self.box_step(hidden).reshape(len(boxes), len(self.things) + 1, 4)

    def _masks(self, features: list[Tensor], boxes: Tensor) -> Float[Tensor, "n things_plus_one 28 28"]:
        return self.mask_class(self.mask(crop_levels(features, boxes, 14)))

    def _detect(
        self, features: list[Tensor], boxes: Tensor, size: tuple[int, int], least: float, most: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(boxes, scores, classes among the things) of a picture's objects, the surest first."""
        logits, steps = self._box_head(features, boxes)
        probability = logits.softmax(dim=1)[:, :-1]
        place, classes = torch.nonzero(probability > least, as_tuple=True)
        found = clip_boxes(decode_boxes(boxes[place], steps[place, classes], _BOX), size)
        sure = probability[place, classes]
        top = sure.topk(min(len(sure), 1000)).indices
        found, sure, classes = found[top], sure[top], classes[top]
        kept = suppress(found, sure, classes, 0.5)[:most]
        return found[kept], sure[kept], classes[kept]


def make_anchors(grid: Sequence[int], stride: int, side: float | int) -> Float[Tensor, "anchors 4"]:
    """Boxes of one level: at each cell, one per ratio of height to width, all of the same area."""
    row, column = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    center = (torch.stack([column, row], dim=-1).float() + 0.5) * stride
    half = torch.tensor([[side / ratio**0.5, side * ratio**0.5] for ratio in RATIOS]) / 2
    corners = torch.cat([center[:, :, None] - half, center[:, :, None] + half], dim=-1)
    return corners.reshape(-1, 4)


def crop_levels(features: list[Tensor], boxes: Float[Tensor, "n 4"], side: int) -> Float[Tensor, "n c s s"]:
    """Features over each box from the level that fits its size: 224 pixels belong to stride 16."""
    level = torch.floor(4 + torch.log2(box_area(boxes).sqrt().clamp(min=1) / 224)).long().clamp(2, 5) - 2
    result = torch.zeros(len(boxes), features[0].shape[0], side, side, device=boxes.device)
    for number in range(4):
        member = torch.nonzero(level == number).flatten()
        if len(member):
            cropped = crop_features(features[number], boxes[member], STRIDES[number], side)
            result = result.index_copy(0, member, cropped.float())
    return result


def _best_match(boxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Best intersection over union of each box with a true one, and which; (0, 0) without any."""
    if not len(truth):
        return torch.zeros(len(boxes), device=boxes.device), torch.zeros(len(boxes), dtype=torch.long)
    best, owner = box_iou(boxes, truth).max(dim=1)
    return best, owner


def _sample(positive: Tensor, negative: Tensor, count: int, share: float) -> tuple[Tensor, int]:
    """Places of random positives (at most `share` of `count`), then of negatives; and how many positives."""
    hit, miss = torch.nonzero(positive).flatten(), torch.nonzero(negative & ~positive).flatten()
    hit = hit[torch.randperm(len(hit), device=hit.device)[: int(count * share)]]
    miss = miss[torch.randperm(len(miss), device=miss.device)[: count - len(hit)]]
    return torch.cat([hit, miss]), len(hit)

"""Fusion of two-stage networks: objects are painted one over another, stuff fills what is left.

Elements are flat: `paint_objects` takes any elements that objects claim, so it serves pixels and points.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor
from torch.nn import functional

from ps3d.fusion.centers import best_class
from ps3d.structures import NO_INSTANCE, VOID, BoxPrediction, Panoptic, Taxonomy


@dataclass(frozen=True)
class BoxFusion:
    """The heuristic merge of Panoptic FPN (Kirillov et al., CVPR 2019).

    Attributes:
        score: objects below are dropped.
        overlap: objects of which a larger share is already painted are dropped.
        stuff_minimum: stuff classes of fewer free elements become VOID.
    """

    score: float = 0.5
    overlap: float = 0.5
    stuff_minimum: int = 4096


def fuse_boxes(prediction: BoxPrediction, taxonomy: Taxonomy, settings: BoxFusion = BoxFusion()) -> Panoptic:
    """The panoptic labeling of a picture: sure objects first, each on free pixels only, then stuff.

    Pixels whose best class is a thing but which no object claims are VOID. Objects keep the scores of their boxes.
    Masks are pasted into their boxes one at a time and only there, so the memory does not grow with their number.

    Raises:
        ValueError: logits for another number of classes.
    """
    if prediction.class_logits.shape[0] != len(taxonomy):
        raise ValueError(f"{prediction.class_logits.shape[0]} class logits, but {taxonomy.name} has {len(taxonomy)}")
    size = prediction.size or (prediction.class_logits.shape[1], prediction.class_logits.shape[2])
    scores = prediction.scores.detach().float().cpu().numpy()
    order = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= settings.score]
    boxes, masks = prediction.boxes.detach().float().cpu(), prediction.mask_logits.detach().float().cpu()
    claims = (paste_mask(masks[i].sigmoid(), boxes[i], size) for i in order)
    semantic = best_class(prediction.class_logits, size)
    classes = prediction.classes.cpu().numpy()[order]
    fused = paint_objects(semantic.reshape(-1), classes, claims, taxonomy, settings, scores[order])
    return Panoptic(fused.semantic.reshape(size), fused.instance.reshape(size), fused.scores)


def paint_objects(
    semantic: UInt8[np.ndarray, "elements"],
    classes: Integer[np.ndarray, "objects"],
    claims: Iterable[Integer[np.ndarray, "..."]],
    taxonomy: Taxonomy,
    settings: BoxFusion,
    scores: Float[np.ndarray, "objects"] | None = None,
) -> Panoptic:
    """The merge on flat elements.

    Args:
        semantic: best class of each element.
        classes: of each object, the surest first.
        claims: places of the elements that each object claims.
        scores: of each object, in the same order.
    """
    painted, instance = np.full(len(semantic), VOID, np.uint8), np.zeros(len(semantic), np.int32)
    kept: list[int] = []
    for place, (class_id, claim) in enumerate(zip(classes, claims, strict=True)):
        free = claim[instance[claim] == NO_INSTANCE]
        if not len(claim) or len(claim) - len(free) > settings.overlap * len(claim) or not len(free):
            continue
        kept.append(place)
        painted[free], instance[free] = class_id, len(kept)
    is_free = instance == NO_INSTANCE
    area = np.bincount(semantic[is_free], minlength=256)
    fill = np.full(256, VOID, np.uint8)
    for class_id in np.flatnonzero(~taxonomy.is_thing):
        if area[class_id] >= settings.stuff_minimum:
            fill[class_id] = class_id
    painted[is_free] = fill[semantic[is_free]]
    return Panoptic(painted, instance, {} if scores is None else dict(enumerate(scores[kept].tolist(), 1)))


def paste_mask(
    mask: Tensor, box: Float[Tensor, "4"], size: tuple[int, int], threshold: float = 0.5
) -> Integer[np.ndarray, "pixels"]:
    """Flat places of the pixels where a mask stretched over its box reaches the threshold.

    Args:
        mask: (rows, columns) probabilities over the box.
        box: left, top, right, bottom; pixel (0, 0) covers 0..1.
    """
    left, top, right, bottom = box.tolist()
    first_row, last_row = max(int(np.floor(top)), 0), min(int(np.ceil(bottom)), size[0])
    first_column, last_column = max(int(np.floor(left)), 0), min(int(np.ceil(right)), size[1])
    if first_row >= last_row or first_column >= last_column or right <= left or bottom <= top:
        return np.zeros(0, np.int64)
    y = (torch.arange(first_row, last_row) + 0.5 - top) / (bottom - top) * 2 - 1
    x = (torch.arange(first_column, last_column) + 0.5 - left) / (right - left) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    value = functional.grid_sample(mask[None, None].float(), grid[None], align_corners=False)[0, 0]
    row, column = np.nonzero(value.numpy() >= threshold)
    return (row + first_row) * size[1] + column + first_column

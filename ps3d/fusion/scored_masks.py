"""The objects a network sees before they are merged: masks that may overlap, each with a class and a score."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ps3d.fusion.boxes import paste_mask
from ps3d.fusion.masks import stretched_mask
from ps3d.structures import BoxPrediction, MaskPrediction, Taxonomy


@dataclass(frozen=True)
class ScoredObject:
    """One object of a picture."""

    class_id: int
    score: float
    mask: Bool[np.ndarray, "height width"]


def scored_masks(
    prediction: MaskPrediction | BoxPrediction, taxonomy: Taxonomy, least: float = 0.05, most: int = 100
) -> Iterator[ScoredObject]:
    """The surest objects, one at a time; masks without a pixel are left out.

    Query networks: every pair of a query and a thing is an object, as Mask2Former counts instances; its score is the
    class probability times the mean probability inside the mask. Two-stage networks: the boxes with their scores.

    Args:
        least: class probability or box score that an object needs.
        most: objects at most, the surest.
    """
    if isinstance(prediction, BoxPrediction):
        yield from _boxes(prediction, least, most)
        return
    things = list(taxonomy.thing_ids())
    probability = prediction.class_logits.detach().float().softmax(dim=1)[:, things]
    if not probability.numel():
        return
    order = probability.flatten().argsort(descending=True)[:most].tolist()
    masks: dict[int, Tensor] = {}
    for place in order:
        query, thing = divmod(place, len(things))
        sure = float(probability[query, thing])
        if sure < least:
            return
        if query not in masks:
            masks[query] = stretched_mask(prediction, query).sigmoid()
        inside = masks[query] >= 0.5
        if inside.any():
            yield ScoredObject(things[thing], sure * float(masks[query][inside].mean()), inside.cpu().numpy())


def _boxes(prediction: BoxPrediction, least: float, most: int) -> Iterator[ScoredObject]:
    size = prediction.size or (prediction.class_logits.shape[1], prediction.class_logits.shape[2])
    scores = prediction.scores.detach().float().cpu()
    boxes, masks = prediction.boxes.detach().float().cpu(), prediction.mask_logits.detach().float().cpu()
    for place in torch.argsort(scores, descending=True, stable=True)[:most].tolist():
        claim = paste_mask(masks[place].sigmoid(), boxes[place], size)
        if scores[place] < least or not len(claim):
            continue
        mask = np.zeros(size[0] * size[1], bool)
        mask[claim] = True
        yield ScoredObject(int(prediction.classes[place]), float(scores[place]), mask.reshape(size))

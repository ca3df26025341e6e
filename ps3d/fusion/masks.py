"""Fusion of masks: queries that each claim a class and a mask become one panoptic labeling.

One query at a time is stretched to the picture and compared with the best so far, so the memory does not grow with the
number of queries: about 20 bytes per element.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from torch.nn import functional

from ps3d.structures import NO_INSTANCE, VOID, MaskPrediction, Panoptic, Taxonomy

NOBODY = -1


@dataclass(frozen=True)
class MaskFusion:
    """What becomes of a query (the names of the published parameters differ from paper to paper).

    Attributes:
        score: queries whose best class is not more probable than this are dropped.
        kept: a mask that wins a smaller share of its own area is dropped.
        inside: a won element is painted if its mask's probability is at least this. 0.5 is Mask2Former's rule; with
            0, MaskFormer's, every element goes to some query.
    """

    score: float = 0.8
    kept: float = 0.8
    inside: float = 0.5


MASK_FORMER = MaskFusion(inside=0.0)
MASK2_FORMER = MaskFusion()


def fuse_masks(prediction: MaskPrediction, taxonomy: Taxonomy, settings: MaskFusion = MASK2_FORMER) -> Panoptic:
    """Each element goes to the query with the largest class probability times mask probability.

    The merge of MaskFormer and Mask2Former (Cheng et al., NeurIPS 2021 and CVPR 2022). Masks of one stuff class become
    one segment; instances are numbered from 1 in the order of the queries. The score of an object is its class
    probability times the mean probability of its mask where it is painted, as Mask2Former scores instances.

    Raises:
        ValueError: logits for another number of classes.
    """
    scores, classes = _best_classes(prediction, taxonomy)
    queries = torch.nonzero((classes < len(taxonomy)) & (scores > settings.score)).flatten().tolist()
    best = torch.full(_elements(prediction), -1.0, device=prediction.mask_logits.device)
    probability = torch.zeros_like(best)
    winner = torch.full_like(best, NOBODY, dtype=torch.int16)
    own_area = []
    for place, query in enumerate(queries):
        mask = stretched_mask(prediction, query).sigmoid_()
        own_area.append(int((mask >= 0.5).sum()))
        value = mask * scores[query]
        is_better = value > best
        torch.maximum(best, value, out=best)
        torch.where(is_better, mask, probability, out=probability)
        winner.masked_fill_(is_better, place)
    won = _areas(winner, len(queries))
    winner[probability < settings.inside] = NOBODY
    own = np.array(own_area, np.int64).reshape(-1)
    is_kept = (own > 0) & (won >= settings.kept * own)
    sure = scores[queries].cpu().numpy() * _means(probability, winner, len(queries))
    return _paint(winner, classes[queries].cpu().numpy(), is_kept, sure, taxonomy)


@dataclass(frozen=True)
class LogitFusion:
    """DETR's reading of a set of masks.

    Attributes:
        score: queries whose best class is not more probable than this are dropped.
        minimum: segments of at most this many elements are dropped, and their elements go to the next best query.
    """

    score: float = 0.85
    minimum: int = 4


DETR = LogitFusion()


def fuse_mask_logits(prediction: MaskPrediction, taxonomy: Taxonomy, settings: LogitFusion = DETR) -> Panoptic:
    """Each element goes to the query with the largest mask logit, whatever the query's score.

    The merge of DETR (Carion et al., ECCV 2020). Where several queries claim one stuff class they are one segment
    before small ones are dropped; the published code first empties all but one of them and then drops them as too
    small, which gives their elements away. The score of an object is its class probability.

    Raises:
        ValueError: logits for another number of classes.
    """
    scores, classes = _best_classes(prediction, taxonomy)
    queries = torch.nonzero((classes < len(taxonomy)) & (scores > settings.score)).flatten().tolist()
    while True:
        winner = _largest_logit(prediction, queries)
        chosen = classes[queries].cpu().numpy()
        area = _areas(winner, len(queries))
        segment = _segments(chosen, taxonomy)
        area_of_segment = np.bincount(segment, weights=area, minlength=len(queries))
        is_kept = area_of_segment[segment] > settings.minimum
        if is_kept.all():
            return _paint(winner, chosen, is_kept, scores[queries].cpu().numpy(), taxonomy)
        queries = [query for query, keep in zip(queries, is_kept, strict=True) if keep]


def _largest_logit(prediction: MaskPrediction, queries: list[int]) -> Tensor:
    """Place in `queries` of the largest logit at each element, NOBODY without queries."""
    best = torch.full(_elements(prediction), -torch.inf, device=prediction.mask_logits.device)
    winner = torch.full_like(best, NOBODY, dtype=torch.int16)
    for place, query in enumerate(queries):
        logit = stretched_mask(prediction, query)
        is_better = logit > best
        torch.maximum(best, logit, out=best)
        winner.masked_fill_(is_better, place)
    return winner


def _best_classes(prediction: MaskPrediction, taxonomy: Taxonomy) -> tuple[Tensor, Tensor]:
    """Probability and number of each query's best class, "no object" included."""
    logits = prediction.class_logits.detach().float()
    if logits.shape[1] != len(taxonomy) + 1:
        raise ValueError(
            f"{logits.shape[1]} class logits, but the {len(taxonomy)} classes of {taxonomy.name} and "
            f"'no object' are {len(taxonomy) + 1}"
        )
    return logits.softmax(dim=1).max(dim=1)


def _elements(prediction: MaskPrediction) -> tuple[int, ...]:
    return tuple(prediction.mask_logits.shape[1:]) if prediction.size is None else prediction.size


def stretched_mask(prediction: MaskPrediction, query: int) -> Tensor:
    """A copy of one query's mask logits in full size, float32; a logit that is not a number is far outside."""
    logits = prediction.mask_logits[query].detach().float()
    if prediction.size is not None and tuple(logits.shape) != prediction.size:
        logits = functional.interpolate(logits[None, None], prediction.size, mode="bilinear", align_corners=False)
        logits = logits[0, 0]
    return torch.nan_to_num(logits, nan=-1e4)


def _areas(winner: Tensor, queries: int) -> Int64[np.ndarray, "queries"]:
    counts = torch.bincount(winner.flatten().long() + 1, minlength=queries + 1)
    return counts[1:].cpu().numpy()


def _means(probability: Tensor, winner: Tensor, queries: int) -> Float64[np.ndarray, "queries"]:
    """Mean mask probability of the elements each query has won; 0 for one without any."""
    place = winner.flatten().long() + 1
    total = torch.bincount(place, weights=probability.flatten(), minlength=queries + 1)[1:]
    area = torch.bincount(place, minlength=queries + 1)[1:]
    return (total.double() / area.clamp(min=1)).cpu().numpy()


def _segments(classes: Int64[np.ndarray, "queries"], taxonomy: Taxonomy) -> Int64[np.ndarray, "queries"]:
    """The query that stands for each query's segment: itself, or the first of its stuff class."""
    segment = np.arange(len(classes))
    for class_id in np.unique(classes[~taxonomy.is_thing[classes]]):
        member = np.flatnonzero(classes == class_id)
        segment[member] = member[0]
    return segment


def _paint(
    winner: Tensor,
    classes: Int64[np.ndarray, "queries"],
    is_kept: Bool[np.ndarray, "queries"],
    scores: Float[np.ndarray, "queries"],
    taxonomy: Taxonomy,
) -> Panoptic:
    """Classes and numbers of the kept queries at the elements they won."""
    place = winner.cpu().numpy()
    is_kept = is_kept & (np.bincount(place.reshape(-1) + 1, minlength=len(classes) + 1)[1:] > 0)
    is_object = is_kept & taxonomy.is_thing[classes]
    # The last row is NOBODY's.
    semantic = np.append(np.where(is_kept, classes, VOID), VOID).astype(np.uint8)
    instance = np.append(np.where(is_object, np.cumsum(is_object), NO_INSTANCE), NO_INSTANCE).astype(np.int32)
    return Panoptic(semantic[place], instance[place], dict(enumerate(scores[is_object].tolist(), 1)))


MASK_FUSIONS: dict[str, Callable[[MaskPrediction, Taxonomy], Panoptic]] = {
    "mask2former": fuse_masks,
    "maskformer": lambda prediction, taxonomy: fuse_masks(prediction, taxonomy, MASK_FORMER),
    "detr": fuse_mask_logits,
}
"""By the paper that published the merge."""

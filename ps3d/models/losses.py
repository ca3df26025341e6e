"""Losses on elements: classes (cross-entropy, Lovasz) and offsets (L1, direction); weights of classes from counts."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from ps3d.structures import VOID

LOVASZ_BINS = 2048
"""Errors are told apart to one part in this many."""

QUIET = 0.1
"""Offsets shorter than this many meters have little direction."""


def class_weights(
    counts: Float[Tensor, "classes"], lowest: float = 0.3, highest: float = 10.0
) -> Float[Tensor, "classes"]:
    """Weights 1 / sqrt(frequency), clipped, the geometric mean of the classes that occur being about 1.

    A class that never occurs gets the weight 1.
    """
    frequency = counts / counts.sum().clamp(min=1)
    weights = frequency.clamp(min=1e-9).rsqrt()
    is_present = counts > 0
    if is_present.any():
        weights = weights / weights[is_present].log().mean().exp()
    return torch.where(is_present, weights.clamp(lowest, highest), torch.ones_like(weights))


def cross_entropy(
    logits: Float[Tensor, "elements classes"],
    semantic: Int64[Tensor, "elements"],
    weights: Float[Tensor, "classes"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the elements that have a class, weighted by class; 0 without any such element."""
    if not (semantic != VOID).any():
        return logits.sum() * 0.0
    return functional.cross_entropy(logits.float(), semantic, weights, ignore_index=VOID)


def lovasz(
    logits: Float[Tensor, "elements classes"], semantic: Int64[Tensor, "elements"], bins: int = LOVASZ_BINS
) -> Float[Tensor, ""]:
    """Lovasz-softmax (Berman et al., CVPR 2018), averaged over the classes that occur; 0 without labeled elements.

    The weight of an error is the growth of the Jaccard loss when elements are taken in the order of their errors.
    Instead of sorting the elements of each class, errors are counted in bins: elements of one bin share its growth
    evenly. For errors that are equal this is the exact extension, so only errors less than 1 / bins apart are affected;
    and counting is several times faster than sorting, on a CPU and on a GPU.
    """
    is_labeled = semantic != VOID
    if not is_labeled.any():
        return logits.sum() * 0.0
    probability = logits[is_labeled].float().softmax(dim=1)
    truth = semantic[is_labeled]
    classes = truth.unique()
    is_truth = truth[None, :] == classes[:, None]
    probability = probability.t()[classes]
    errors = torch.where(is_truth, 1 - probability, probability)
    return (errors * _jaccard_growth(errors.detach(), is_truth, bins)).sum() / len(classes)


def _jaccard_growth(
    errors: Float[Tensor, "classes elements"], is_truth: Bool[Tensor, "classes elements"], bins: int
) -> Float[Tensor, "classes elements"]:
    """How much the Jaccard loss of each class grows with each element, in the order of falling errors."""
    classes = len(errors)
    place = ((1 - errors) * bins).long().clamp_(0, bins - 1)  # the largest errors first
    slot = place + torch.where(is_truth, bins, 0) + torch.arange(classes, device=errors.device)[:, None] * 2 * bins
    counts = torch.bincount(slot.reshape(-1), minlength=2 * bins * classes).view(classes, 2, bins)
    passed = counts.cumsum(dim=2).double()
    truths = passed[:, 1, -1:]
    jaccard = 1 - (truths - passed[:, 1]) / (truths + passed[:, 0])
    growth = torch.diff(jaccard, dim=1, prepend=jaccard.new_zeros(classes, 1))
    share = growth / counts.sum(dim=1).clamp(min=1)
    return share.float().gather(1, place)


def offset_loss(
    predicted: Float[Tensor, "elements dimensions"],
    target: Float[Tensor, "elements dimensions"],
    is_thing: Bool[Tensor, "elements"],
    beta: float = 0.2,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """(distance, direction) of the offsets of things, as PointGroup has them (Jiang et al., CVPR 2020).

    Args:
        beta: below this many meters the distance is squared, which quiets the noise of small errors.

    Returns:
        Smooth L1 summed over the dimensions, and 1 - cosine, which leaves out targets nearer than 0.1 m; 0 where there
        are no things.
    """
    if not is_thing.any():
        nothing = predicted.sum() * 0.0
        return nothing, nothing
    predicted, target = predicted[is_thing].float(), target[is_thing].float()
    distance = functional.smooth_l1_loss(predicted, target, beta=beta, reduction="none").sum(dim=1).mean()
    is_far = target.norm(dim=1) > 0.1
    if not is_far.any():
        return distance, predicted.sum() * 0.0
    # The cosine's gradient grows as 1 / length: a network that starts with offsets near 0 would see nothing else.
    predicted, target = predicted[is_far], target[is_far]
    length = (predicted.square().sum(dim=1) + QUIET**2).sqrt()
    return distance, (1 - (predicted * target).sum(dim=1) / (length * target.norm(dim=1))).mean()

"""Losses on elements, against plain forms of the same formulas."""

import pytest
import torch

from ps3d.models.losses import class_weights, cross_entropy, lovasz, offset_loss
from ps3d.structures import VOID


def sorted_lovasz(logits, semantic):
    """The published form: sort the errors of each class."""
    logits, semantic = logits[semantic != VOID], semantic[semantic != VOID]
    probability, total, classes = logits.softmax(1), 0.0, semantic.unique()
    for c in classes:
        is_truth = (semantic == c).double()
        errors, order = (is_truth - probability[:, c]).abs().sort(descending=True)
        is_truth = is_truth[order]
        union = is_truth.sum() + (1 - is_truth).cumsum(0)
        jaccard = 1 - (is_truth.sum() - is_truth.cumsum(0)) / union
        total = total + errors @ torch.diff(jaccard, prepend=jaccard.new_zeros(1))
    return total / len(classes)


def example(elements=3000, classes=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    semantic = torch.randint(0, classes - 1, (elements,), generator=generator)
    semantic[::17] = VOID
    logits = 2 * torch.randn(elements, classes, generator=generator)
    return logits, semantic


def test_lovasz_by_counting_equals_lovasz_by_sorting():
    logits, semantic = example()
    ours, theirs = logits.clone().requires_grad_(), logits.double().requires_grad_()
    a, b = lovasz(ours, semantic, bins=2**20), sorted_lovasz(theirs, semantic)
    assert a.item() == pytest.approx(b.item(), abs=1e-5)
    a.backward()
    b.backward()
    difference = (ours.grad - theirs.grad.float()).norm() / theirs.grad.float().norm()
    assert float(difference) < 0.02


def test_lovasz_with_few_bins_has_the_same_value():
    logits, semantic = example()
    assert lovasz(logits, semantic).item() == pytest.approx(sorted_lovasz(logits.double(), semantic).item(), abs=1e-3)


def test_lovasz_of_a_perfect_prediction_is_zero_and_of_a_wrong_one_is_one():
    semantic = torch.tensor([0, 0, 1, 1, 2])
    right = 60.0 * torch.nn.functional.one_hot(semantic, 4)
    assert float(lovasz(right, semantic)) == pytest.approx(0, abs=1e-6)
    assert float(lovasz(right.roll(1, dims=1), semantic)) == pytest.approx(1, abs=1e-6)


def test_unlabeled_elements_give_no_gradient_and_no_nan():
    logits, semantic = example(50)
    semantic[:] = VOID
    logits.requires_grad_()
    loss = cross_entropy(logits, semantic) + lovasz(logits, semantic)
    loss.backward()
    assert float(loss) == 0
    assert not logits.grad.any()
    assert float(lovasz(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))) == 0


def test_weights_favor_rare_classes_within_limits():
    weights = class_weights(torch.tensor([1e6, 1e4, 1.0, 0.0]))
    assert weights[0] < weights[1] < weights[2]
    assert weights[0] >= 0.3
    assert weights[2] <= 10
    assert weights[3] == 1


def test_offsets_of_stuff_do_not_count():
    predicted, target = torch.zeros(4, 3), torch.zeros(4, 3)
    target[:2] = torch.tensor([1.0, 0, 0])
    distance, direction = offset_loss(predicted, target, torch.tensor([False, False, True, True]))
    assert float(distance) == float(direction) == 0
    distance, direction = offset_loss(target, target, torch.tensor([True] * 4))
    assert float(distance) == pytest.approx(0)
    assert float(direction) == pytest.approx(0, abs=0.01)
    distance, direction = offset_loss(-target, target, torch.tensor([True, True, False, False]))
    assert float(direction) == pytest.approx(2, abs=0.01)
    assert float(distance) == pytest.approx(2 - 0.1)


def test_offsets_that_start_at_zero_have_a_small_gradient():
    predicted = torch.zeros(100, 3, requires_grad=True)
    distance, direction = offset_loss(predicted, torch.ones(100, 3), torch.ones(100, dtype=torch.bool))
    (distance + direction).backward()
    assert predicted.grad is not None
    assert predicted.grad.norm() < 2

"""Fusion of masks, centers and boxes against the published merges, written out plainly as loops."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ps3d.fusion import (
    BoxFusion,
    CenterFusion,
    LogitFusion,
    MaskFusion,
    fuse_boxes,
    fuse_centers,
    fuse_mask_logits,
    fuse_masks,
)
from ps3d.fusion.boxes import paste_mask
from ps3d.fusion.masks import MASK_FORMER
from ps3d.fusion.scored_masks import scored_masks
from ps3d.structures import VOID, BoxPrediction, CenterPrediction, MaskPrediction, Panoptic
from ps3d.structures.taxonomy import Category, Taxonomy

TAXONOMY = Taxonomy(
    "street",
    tuple(
        Category(name, (i + 1,), i >= 3, (i, i, i)) for i, name in enumerate(["road", "tree", "sky", "car", "person"])
    ),
)
ROAD, TREE, SKY, CAR, PERSON = range(5)


def random_masks(seed: int, elements: tuple[int, ...], queries: int = 12) -> MaskPrediction:
    """Blob-like masks: smooth noise, shifted so that about a quarter of the elements lie inside."""
    generator = torch.Generator().manual_seed(seed)
    class_logits = 6 * torch.rand(queries, len(TAXONOMY) + 1, generator=generator)
    noise = torch.randn(queries, 1, *elements, generator=generator)
    smooth = functional.avg_pool1d if len(elements) == 1 else functional.avg_pool2d
    return MaskPrediction(class_logits, 12 * smooth(noise, 5, 1, 2)[:, 0] - 1.0)


def segments(panoptic: Panoptic) -> set[tuple[int, int, bytes]]:
    """A labeling as a set of (class, is it numbered, mask), whatever the numbers are."""
    pair = panoptic.semantic.astype(np.int64) << 32 | panoptic.instance
    return {
        (int(key >> 32), int(key & 0xFFFFFFFF) > 0, (pair == key).tobytes())
        for key in np.unique(pair)
        if key >> 32 != VOID
    }


def merge_as_mask_former(prediction: MaskPrediction, score: float, kept: float, needs_half: bool) -> Panoptic:
    """The loop over queries of the papers."""
    probability, label = prediction.class_logits.softmax(-1).max(-1)
    masks = prediction.mask_logits.sigmoid()
    chosen = [q for q in range(len(label)) if label[q] != len(TAXONOMY) and probability[q] > score]
    semantic = np.full(masks.shape[1:], VOID, np.uint8)
    instance = np.zeros(masks.shape[1:], np.int32)
    if not chosen:
        return Panoptic(semantic, instance)
    winner = (probability[chosen].reshape(-1, *[1] * (masks.ndim - 1)) * masks[chosen]).argmax(0)
    number = 0
    for place, q in enumerate(chosen):
        won = winner == place
        own = masks[q] >= 0.5
        painted = won & own if needs_half else won
        if won.sum() == 0 or own.sum() == 0 or painted.sum() == 0 or won.sum() / own.sum() < kept:
            continue
        semantic[painted.numpy()] = int(label[q])
        if TAXONOMY.is_thing[label[q]]:
            number += 1
            instance[painted.numpy()] = number
    return Panoptic(semantic, instance)


@pytest.mark.parametrize("elements", [(300,), (24, 31)])
@pytest.mark.parametrize("settings", [MaskFusion(0.3, 0.5), MaskFusion(0.3, 0.5, inside=0.0)])
def test_masks_are_merged_as_the_papers_loop_over_queries(elements, settings):
    for seed in range(25):
        prediction = random_masks(seed, elements)
        expected = merge_as_mask_former(prediction, 0.3, 0.5, settings.inside > 0)
        fused = fuse_masks(prediction, TAXONOMY, settings)
        np.testing.assert_array_equal(fused.semantic, expected.semantic)
        np.testing.assert_array_equal(fused.instance, expected.instance)


def hand_made_queries() -> MaskPrediction:
    """Stuff, thing, thing, the same stuff again, thing: five stripes that the library's merge numbers 1 2 3 1 2."""
    class_logits = torch.full((5, 6), -9.0)
    for query, class_id in enumerate([ROAD, CAR, CAR, ROAD, PERSON]):
        class_logits[query, class_id] = 9.0
    mask_logits = torch.full((5, 4, 12), -9.0)
    for query in range(5):
        mask_logits[query, :, 2 * query : 2 * query + 2] = 9.0
    return MaskPrediction(class_logits, mask_logits)


def test_things_after_a_merged_stuff_segment_keep_numbers_of_their_own():
    fused = fuse_masks(hand_made_queries(), TAXONOMY)
    assert fused.semantic[0].tolist() == [ROAD] * 2 + [CAR] * 4 + [ROAD] * 2 + [PERSON] * 2 + [VOID] * 2
    assert fused.instance[0].tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 3, 3, 0, 0]


def test_elements_under_no_mask_stay_void_unless_the_rule_is_mask_formers():
    assert (fuse_masks(hand_made_queries(), TAXONOMY).semantic[:, 10:] == VOID).all()
    assert (fuse_masks(hand_made_queries(), TAXONOMY, MaskFusion(kept=0.5, inside=0.0)).semantic != VOID).all()


def test_masks_of_points_and_pixels_are_fused_alike():
    picture = random_masks(3, (20, 30))
    points = MaskPrediction(picture.class_logits, picture.mask_logits.reshape(12, -1))
    for settings in (MaskFusion(0.3), MASK_FORMER):
        flat = fuse_masks(picture, TAXONOMY, settings).flatten()
        assert segments(flat) == segments(fuse_masks(points, TAXONOMY, settings))


def test_coarse_masks_are_stretched_as_if_all_at_once():
    coarse = random_masks(5, (16, 20))
    full = functional.interpolate(coarse.mask_logits[None], (61, 83), mode="bilinear", align_corners=False)[0]
    expected = fuse_masks(MaskPrediction(coarse.class_logits, full), TAXONOMY, MaskFusion(0.3))
    fused = fuse_masks(MaskPrediction(coarse.class_logits, coarse.mask_logits, (61, 83)), TAXONOMY, MaskFusion(0.3))
    np.testing.assert_array_equal(fused.semantic, expected.semantic)
    np.testing.assert_array_equal(fused.instance, expected.instance)


def test_nothing_sure_means_all_void():
    prediction = MaskPrediction(torch.zeros(4, 6), torch.zeros(4, 5, 7))
    for fuse in (fuse_masks, fuse_mask_logits):
        fused = fuse(prediction, TAXONOMY)
        assert (fused.semantic == VOID).all()
        assert not fused.instance.any()


def test_half_precision_and_logits_that_are_no_numbers_are_survived():
    prediction = random_masks(7, (10, 10))
    prediction.mask_logits[2, :5] = float("nan")
    fused = fuse_masks(
        MaskPrediction(prediction.class_logits.half(), prediction.mask_logits.half()), TAXONOMY, MaskFusion(0.3)
    )
    assert fused.shape == (10, 10)


def test_wrong_number_of_classes_is_named():
    with pytest.raises(ValueError, match="6 class logits"):
        fuse_masks(MaskPrediction(torch.zeros(4, 6), torch.zeros(4, 5)), Taxonomy("two", TAXONOMY.categories[:2]))
    with pytest.raises(ValueError, match="3 class logits"):
        fuse_centers(CenterPrediction(torch.zeros(3, 4, 4), torch.zeros(4, 4), torch.zeros(2, 4, 4)), TAXONOMY)


def merge_as_detr(prediction: MaskPrediction, score: float, minimum: int) -> Panoptic:
    """The published loop, valid where no stuff class is claimed twice."""
    probability, label = prediction.class_logits.softmax(-1).max(-1)
    chosen = [q for q in range(len(label)) if label[q] != len(TAXONOMY) and probability[q] > score]
    shape = tuple(prediction.mask_logits.shape[1:])
    semantic, instance = np.full(shape, VOID, np.uint8), np.zeros(shape, np.int32)
    while chosen:
        winner = prediction.mask_logits[chosen].flatten(1).T.softmax(-1).argmax(-1).reshape(shape)
        small = [(winner == place).sum() <= minimum for place in range(len(chosen))]
        if not any(small):
            break
        chosen = [q for q, is_small in zip(chosen, small, strict=True) if not is_small]
    number = 0
    for place, q in enumerate(chosen):
        semantic[(winner == place).numpy()] = int(label[q])
        if TAXONOMY.is_thing[label[q]]:
            number += 1
            instance[(winner == place).numpy()] = number
    return Panoptic(semantic, instance)


def test_mask_logits_are_merged_as_detr_does():
    compared = 0
    for seed in range(60):
        prediction = random_masks(seed, (18, 22), queries=10)
        label = prediction.class_logits.argmax(1)[prediction.class_logits.softmax(1).max(1).values > 0.4]
        stuff = [int(c) for c in label if c < len(TAXONOMY) and not TAXONOMY.is_thing[int(c)]]
        if len(stuff) != len(set(stuff)):
            continue
        compared += 1
        expected = merge_as_detr(prediction, 0.4, 30)
        fused = fuse_mask_logits(prediction, TAXONOMY, LogitFusion(0.4, 30))
        np.testing.assert_array_equal(fused.semantic, expected.semantic)
        np.testing.assert_array_equal(fused.instance, expected.instance)
    assert compared > 10


def test_a_stuff_class_claimed_twice_keeps_the_elements_of_both():
    fused = fuse_mask_logits(hand_made_queries(), TAXONOMY)
    assert (fused.semantic[:, 6:8] == ROAD).all()


def random_centers(seed: int, rows: int = 40, columns: int = 52) -> CenterPrediction:
    """Four objects whose offsets point at their centers with noise, over random classes."""
    rng = np.random.default_rng(seed)
    logits = functional.avg_pool2d(torch.from_numpy(rng.normal(size=(5, rows, columns))).float(), 7, 1, 3)
    heat = functional.avg_pool2d(torch.from_numpy(rng.random((1, rows, columns))).float(), 3, 1, 1)[0]
    offsets = torch.from_numpy(rng.normal(size=(2, rows, columns)) * 6).float()
    return CenterPrediction(logits, heat, offsets)


def merge_as_panoptic_deeplab(prediction: CenterPrediction, settings: CenterFusion) -> Panoptic:
    """The published steps: max pooling, distances to every center, a vote for each object, stuff by area."""
    semantic = prediction.class_logits.argmax(0)
    heat = torch.where(prediction.heat > settings.heat, prediction.heat, torch.tensor(-1.0))
    pooled = functional.max_pool2d(heat[None], settings.kernel, 1, settings.kernel // 2)[0]
    heat = torch.where(heat == pooled, heat, torch.tensor(-1.0))
    centers = torch.nonzero(heat > 0).float()
    centers = centers[heat[centers[:, 0].long(), centers[:, 1].long()].argsort(descending=True, stable=True)]
    rows, columns = semantic.shape
    place = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).float()
    moved = (place + prediction.offsets).flatten(1).T
    nearest = torch.stack([(moved - center).pow(2).sum(1) for center in centers]).argmin(0).reshape(rows, columns)
    thing = torch.isin(semantic, torch.tensor([CAR, PERSON]))
    result = np.full((rows, columns), VOID, np.uint8)
    instance = np.zeros((rows, columns), np.int32)
    number = 0
    for center in range(len(centers)):
        mask = thing & (nearest == center)
        if mask.any():
            number += 1
            result[mask.numpy()] = int(torch.mode(semantic[mask]).values)
            instance[mask.numpy()] = number
    for class_id in (ROAD, TREE, SKY):
        mask = semantic == class_id
        if mask.sum() >= settings.stuff_minimum:
            result[mask.numpy()] = class_id
    return Panoptic(result, instance)


def test_centers_are_merged_as_panoptic_deeplab_does():
    settings = CenterFusion(heat=0.5, kernel=7, stuff_minimum=400)
    for seed in range(20):
        prediction = random_centers(seed)
        expected = merge_as_panoptic_deeplab(prediction, settings)
        fused = fuse_centers(prediction, TAXONOMY, settings)
        np.testing.assert_array_equal(fused.semantic, expected.semantic)
        np.testing.assert_array_equal(fused.instance, expected.instance)


def test_a_flat_top_is_one_center():
    logits = torch.zeros(5, 20, 20)
    logits[CAR] = 1
    heat = torch.zeros(20, 20)
    heat[8:10, 8:11] = 1.0
    fused = fuse_centers(CenterPrediction(logits, heat, torch.zeros(2, 20, 20)), TAXONOMY)
    assert (fused.instance == 1).all()


def test_things_without_any_center_are_void():
    logits = torch.zeros(5, 20, 20)
    logits[CAR, 5:] = 1
    prediction = CenterPrediction(logits, torch.zeros(20, 20), torch.zeros(2, 20, 20))
    fused = fuse_centers(prediction, TAXONOMY, CenterFusion(stuff_minimum=1))
    assert (fused.semantic[5:] == VOID).all()
    assert (fused.semantic[:5] == ROAD).all()
    assert not fused.instance.any()


def two_cars() -> CenterPrediction:
    """Side by side on a coarse grid; every pixel points exactly at its car's center."""
    logits, heat, offsets = torch.zeros(5, 16, 32), torch.zeros(16, 32), torch.zeros(2, 16, 32)
    logits[CAR] = 1
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(32.0), indexing="ij")
    for start, center in ((0, 8), (16, 24)):
        heat[8, center] = 1
        offsets[0, :, start : start + 16] = 8 - row[:, start : start + 16]
        offsets[1, :, start : start + 16] = center - column[:, start : start + 16]
    return CenterPrediction(logits, heat, offsets, (64, 128))


def check_two_cars(fused: Panoptic) -> None:
    assert fused.shape == (64, 128)
    left, right = fused.instance[:, :60], fused.instance[:, 68:]
    assert len(np.unique(left)) == 1
    assert len(np.unique(right)) == 1
    assert left[0, 0] != right[0, 0]


def test_offsets_of_a_coarse_grid_are_scaled_with_the_picture():
    check_two_cars(fuse_centers(two_cars(), TAXONOMY))


def test_votes_of_offsets_are_centers_without_a_heat_map():
    cars = two_cars()
    bare = CenterPrediction(cars.class_logits, torch.zeros(16, 32), cars.offsets, cars.size)
    check_two_cars(fuse_centers(bare, TAXONOMY, CenterFusion(kernel=13, votes=2.0, least_votes=100.0)))
    too_few = fuse_centers(bare, TAXONOMY, CenterFusion(kernel=13, votes=2.0, least_votes=300.0))
    assert (too_few.semantic == VOID).all()  # each car has 256 pixels of the grid
    road = torch.zeros(5, 16, 32)
    road[ROAD] = 1
    empty = fuse_centers(CenterPrediction(road, bare.heat, bare.offsets), TAXONOMY, CenterFusion(votes=2.0))
    assert not empty.instance.any()


def random_boxes(seed: int, size: tuple[int, int] = (50, 70), objects: int = 15) -> BoxPrediction:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-5, 45, (objects, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 30, (objects, 2))], axis=1)
    logits = functional.avg_pool2d(torch.from_numpy(rng.normal(size=(5, *size))).float(), 9, 1, 4)
    return BoxPrediction(
        logits,
        torch.from_numpy(rng.uniform(0.2, 1, objects)).float(),
        torch.from_numpy(rng.choice([CAR, PERSON], objects)),
        torch.from_numpy(boxes).float(),
        torch.from_numpy(rng.normal(1, 2, (objects, 14, 14))).float(),
    )


def merge_as_panoptic_fpn(prediction: BoxPrediction, settings: BoxFusion) -> Panoptic:
    """The published loop over instances by score, then over stuff classes."""
    semantic = prediction.class_logits.argmax(0).numpy()
    size = semantic.shape
    painted, instance = np.full(size, VOID, np.uint8), np.zeros(size, np.int32)
    number = 0
    for i in torch.argsort(-prediction.scores).tolist():
        if prediction.scores[i] < settings.score:
            break
        mask = np.zeros(size, bool)
        mask.reshape(-1)[paste_mask(prediction.mask_logits[i].sigmoid(), prediction.boxes[i], size)] = True
        taken = (mask & (instance > 0)).sum()
        if not mask.sum() or taken / mask.sum() > settings.overlap or taken == mask.sum():
            continue
        number += 1
        free = mask & (instance == 0)
        painted[free], instance[free] = int(prediction.classes[i]), number
    for class_id in (ROAD, TREE, SKY):
        free = (semantic == class_id) & (instance == 0)
        if free.sum() >= settings.stuff_minimum:
            painted[free] = class_id
    return Panoptic(painted, instance)


def test_boxes_are_merged_as_panoptic_fpn_does():
    settings = BoxFusion(stuff_minimum=300)
    for seed in range(20):
        prediction = random_boxes(seed)
        expected = merge_as_panoptic_fpn(prediction, settings)
        fused = fuse_boxes(prediction, TAXONOMY, settings)
        np.testing.assert_array_equal(fused.semantic, expected.semantic)
        np.testing.assert_array_equal(fused.instance, expected.instance)


def test_a_pasted_mask_lies_where_its_box_does():
    claim = paste_mask(torch.ones(28, 28), torch.tensor([10.0, 5.0, 20.0, 12.0]), (30, 40))
    mask = np.zeros((30, 40), bool)
    mask.reshape(-1)[claim] = True
    assert mask[5:12, 10:20].all()
    assert mask.sum() == 70
    outside = paste_mask(torch.ones(28, 28), torch.tensor([100.0, 5.0, 120.0, 12.0]), (30, 40))
    assert len(outside) == 0


def test_a_picture_without_objects_is_stuff():
    prediction = random_boxes(1)
    empty = BoxPrediction(
        prediction.class_logits,
        torch.zeros(0),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, 4),
        torch.zeros(0, 14, 14),
        (100, 140),
    )
    fused = fuse_boxes(empty, TAXONOMY)
    assert fused.shape == (100, 140)
    assert not fused.instance.any()


def test_objects_of_query_networks_are_as_sure_as_their_class_and_their_mask():
    """Class probability 1 at these logits; the masks' is 0.6 in one half of the last object and 0.9 in the other."""
    queries = hand_made_queries()
    queries.mask_logits[4, :, 8], queries.mask_logits[4, :, 9] = np.log(0.6 / 0.4), np.log(0.9 / 0.1)
    fused = fuse_masks(queries, TAXONOMY)
    assert fused.scores.keys() == {1, 2, 3}
    assert fused.scores[1] == pytest.approx(1.0, abs=1e-3)
    assert fused.scores[3] == pytest.approx(0.75, abs=1e-3)
    assert fuse_mask_logits(queries, TAXONOMY).scores[3] == pytest.approx(1.0, abs=1e-3)


def test_objects_in_boxes_keep_the_scores_of_their_boxes():
    prediction = random_boxes(3)
    fused = fuse_boxes(prediction, TAXONOMY, BoxFusion(stuff_minimum=300))
    numbers = set(np.unique(fused.instance[fused.instance > 0]).tolist())
    assert fused.scores.keys() == numbers
    assert set(fused.scores.values()) <= set(prediction.scores.tolist())
    assert list(fused.scores.values()) == sorted(fused.scores.values(), reverse=True)


def test_objects_around_centers_are_as_sure_as_the_center_is_high_and_the_class_probable():
    logits, heat, offsets = torch.zeros(5, 16, 32), torch.zeros(16, 32), torch.zeros(2, 16, 32)
    logits[CAR] = 20
    logits[CAR, :, 16:] = logits[PERSON, :, 16:] = 20
    logits[CAR, :, 16:] += np.log(3)  # three quarters car
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(32.0), indexing="ij")
    for start, center, height in ((0, 8, 0.5), (16, 24, 0.8)):
        heat[8, center] = height
        offsets[0, :, start : start + 16] = 8 - row[:, start : start + 16]
        offsets[1, :, start : start + 16] = center - column[:, start : start + 16]
    fused = fuse_centers(CenterPrediction(logits, heat, offsets), TAXONOMY)
    assert fused.scores[int(fused.instance[0, 0])] == pytest.approx(0.5, abs=1e-4)
    assert fused.scores[int(fused.instance[0, 31])] == pytest.approx(0.6, abs=1e-4)


def test_scores_follow_objects_to_other_numbers():
    fused = fuse_masks(hand_made_queries(), TAXONOMY)
    renumbered = Panoptic(fused.semantic, np.where(fused.instance > 0, 40 - fused.instance, 0).astype(np.int32))
    again = renumbered.with_scores_of(fused)
    assert again.scores == {40 - number: score for number, score in fused.scores.items()}
    assert renumbered.with_scores_of(renumbered).scores == {}


def test_objects_before_the_merge_overlap_and_are_sorted_by_class_probability():
    queries = hand_made_queries()
    queries.mask_logits[2] = queries.mask_logits[1]  # two cars in one place: the merge keeps one of them
    queries.class_logits[2, CAR] = 3.0
    found = list(scored_masks(queries, TAXONOMY))
    assert [(o.class_id, int(o.mask.sum())) for o in found] == [(CAR, 8), (PERSON, 8), (CAR, 8)]
    assert found[0].score == pytest.approx(1.0, abs=1e-3)
    assert (found[0].mask == found[2].mask).all()
    assert len(np.unique(fuse_masks(queries, TAXONOMY).instance)) == 3  # none, one car, the person
    assert next(iter(scored_masks(queries, TAXONOMY, most=1))).class_id == CAR


def test_boxes_before_the_merge_keep_their_whole_masks():
    prediction = random_boxes(2)
    found = list(scored_masks(prediction, TAXONOMY, least=0.3))
    scores = [o.score for o in found]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.3
    place = int(prediction.scores.argmax())
    claim = paste_mask(prediction.mask_logits[place].sigmoid(), prediction.boxes[place], (50, 70))
    np.testing.assert_array_equal(np.flatnonzero(found[0].mask), np.sort(claim))
    assert sum(o.mask.sum() for o in found) > np.any([o.mask for o in found], axis=0).sum()

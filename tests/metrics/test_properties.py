"""What must hold for any labels: perfect is 1, names and order do not matter, counts add."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ps3d.metrics import (
    OFFICIAL,
    STRICT,
    Rules,
    count_objects,
    count_panoptic,
    count_semantic,
    count_track_quality,
    count_tracked,
    count_tubes,
    count_video,
    total,
)
from ps3d.metrics.object_tracking import clear_mot, hota, identity, motmetrics_scores, mots
from ps3d.structures import VOID, Category, Panoptic, Taxonomy

CLASSES = Taxonomy("five", tuple(Category(f"c{i}", (i,), i < 3, (i, i, i)) for i in range(5)), void_raw_ids=(255,))
Frames = list[tuple[Panoptic, Panoptic]]


def draw_labels(rng: np.random.Generator, size: int) -> Panoptic:
    """Runs of (class, instance); some void, some things without an instance."""
    lengths = rng.integers(1, 12, size)
    semantic = np.repeat(rng.choice([0, 1, 2, 3, 4, VOID], size), lengths)[:size].astype(np.uint8)
    instance = np.repeat(rng.integers(0, 4, size), lengths)[:size].astype(np.int32)
    return Panoptic(semantic, np.where(semantic < 3, instance, 0).astype(np.int32))


def disturb(rng: np.random.Generator, truth: Panoptic) -> Panoptic:
    """A prediction that is mostly right."""
    other = draw_labels(rng, len(truth))
    wrong = np.repeat(rng.random(len(truth)) < 0.3, 5)[: len(truth)]
    semantic, instance = (
        np.where(wrong, other.semantic, truth.semantic),
        np.where(wrong, other.instance, truth.instance),
    )
    return Panoptic(semantic.astype(np.uint8), instance.astype(np.int32))


@st.composite
def sequences(draw: Any, frames: int = 5) -> Frames:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truths = [draw_labels(rng, int(rng.integers(1, 120))) for _ in range(frames)]
    return [(truth, disturb(rng, truth)) for truth in truths]


def small(rules: Rules) -> Rules:
    """The same rules with thresholds that these small frames reach."""
    from dataclasses import replace

    return replace(rules, minimum=min(rules.minimum, 4), tube_minimum=min(rules.tube_minimum, 4))


Metric = Callable[[Panoptic, Panoptic, Rules, int], Any]
METRICS: dict[str, Metric] = {
    "pq": lambda truth, prediction, rules, frame: count_panoptic(truth, prediction, CLASSES, rules),
    "miou": lambda truth, prediction, rules, frame: count_semantic(truth, prediction, CLASSES, rules),
    "lstq": lambda truth, prediction, rules, frame: count_tubes(truth, prediction, CLASSES, rules, "a"),
    "vpq": lambda truth, prediction, rules, frame: count_video(truth, prediction, CLASSES, rules, "a"),
    "ptq": lambda truth, prediction, rules, frame: count_tracked(truth, prediction, CLASSES, rules, "a"),
    "pat": lambda truth, prediction, rules, frame: count_track_quality(truth, prediction, CLASSES, rules, "a"),
}
HEADLINES = {
    "pq": ("pq", "sq", "rq", "pq_things", "pq_stuff", "pq_dagger", "pq_porzi", "miou"),
    "miou": ("miou",),
    "lstq": ("lstq", "s_assoc", "s_cls"),
    "vpq": ("vpq",),
    "ptq": ("ptq", "sptq", "motsa", "smotsa", "motsp"),
    "pat": ("pat", "tq"),
}
RULES = ("semantic_kitti", "nuscenes", "coco", "kitti_step", "torchmetrics")


def values(metric: str, frames: Frames, rules: Rules) -> dict[str, float]:
    states = (METRICS[metric](*frame, rules, number) for number, frame in enumerate(frames))
    return dict(total(states).result().values)


def same(first: dict[str, float], second: dict[str, float]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=4, deadline=None)
@given(sequences())
def test_truth_against_itself_is_1_in_strict(metric: str, name: str, frames: Frames) -> None:
    result = values(metric, [(truth, truth) for truth, _ in frames], small(STRICT[name]))
    for headline in HEADLINES[metric]:
        assert np.isnan(result[headline]) or result[headline] == pytest.approx(1, abs=1e-12), headline


def renumber(labels: Panoptic, names: np.ndarray) -> Panoptic:
    return Panoptic(labels.semantic, names[labels.instance].astype(np.int32))


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=4, deadline=None)
@given(sequences(), st.integers(0, 2**32 - 1), st.sampled_from(RULES))
def test_numbers_of_instances_do_not_matter(metric: str, frames: Frames, seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    mine, theirs = (np.append(0, rng.choice(2**31 - 1, 3, replace=False) + 1) for _ in range(2))
    renamed = [(renumber(truth, mine), renumber(prediction, theirs)) for truth, prediction in frames]
    for rules in (small(OFFICIAL[name]), small(STRICT[name])):
        same(values(metric, frames, rules), values(metric, renamed, rules))


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=4, deadline=None)
@given(sequences(), st.integers(0, 2**32 - 1), st.sampled_from(RULES))
def test_the_order_of_elements_does_not_matter(metric: str, frames: Frames, seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(truth)) for truth, _ in frames]
    moved = [(t.select(order), p.select(order)) for (t, p), order in zip(frames, orders, strict=True)]
    for rules in (small(OFFICIAL[name]), small(STRICT[name])):
        same(values(metric, frames, rules), values(metric, moved, rules))


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=4, deadline=None)
@given(sequences(6), st.integers(1, 5), st.sampled_from(RULES))
def test_stretches_counted_apart_add_to_the_whole(metric: str, frames: Frames, cut: int, name: str) -> None:
    for rules in (small(OFFICIAL[name]), small(STRICT[name])):
        states = [METRICS[metric](*frame, rules, number) for number, frame in enumerate(frames)]
        whole = states[0]
        for state in states[1:]:
            whole = whole + state
        halves = total(states[:cut]) + total(states[cut:])
        same(dict(whole.result().values), dict(halves.result().values))


@settings(max_examples=10, deadline=None)
@given(sequences(2), st.sampled_from(RULES))
def test_pq_is_sq_times_rq(frames: Frames, name: str) -> None:
    figures = total(count_panoptic(*frame, CLASSES, small(OFFICIAL[name])) for frame in frames).result().per_class
    np.testing.assert_allclose(figures["pq"], figures["sq"] * figures["rq"], atol=1e-15)


@settings(max_examples=6, deadline=None)
@given(sequences(3))
def test_objects_tracked_perfectly_score_1(frames: Frames) -> None:
    counts = total(count_objects(truth, truth, CLASSES, "a", number) for number, (truth, _) in enumerate(frames))
    for sequences_of_class in counts.classes.values():
        if not any(len(table.truth_id) for table in sequences_of_class.values()):
            continue
        official = mots(sequences_of_class)
        assert (official["MOTSA"], official["sMOTSA"], official["MOTSP"]) == (1, 1, 1)
        assert clear_mot(sequences_of_class)["MOTA"] == identity(sequences_of_class)["IDF1"] == 1
        assert hota(sequences_of_class).figures()["HOTA"] == pytest.approx(1)


def test_motmetrics_agrees_with_our_identity_score() -> None:
    rng = np.random.default_rng(3)
    frames = [(truth, disturb(rng, truth)) for truth in (draw_labels(rng, 400) for _ in range(6))]
    counts = total(count_objects(*frame, CLASSES, "a", number) for number, frame in enumerate(frames))
    for sequences_of_class in counts.classes.values():
        assert motmetrics_scores(sequences_of_class)["idf1"] == pytest.approx(identity(sequences_of_class)["IDF1"])


def test_a_long_sequence_does_not_grow_the_state() -> None:
    rng = np.random.default_rng(4)
    frames = [(truth, disturb(rng, truth)) for truth in (draw_labels(rng, 300) for _ in range(4))]

    def size(state: Any) -> int:
        import pickle

        return len(pickle.dumps(state))

    for metric in METRICS:
        short, long = (
            total(METRICS[metric](*frames[i % 4], STRICT["semantic_kitti"], i) for i in range(length))
            for length in (8, 48)
        )
        assert size(long) < 1.3 * size(short), metric


def test_different_lengths_are_named() -> None:
    truth, short = (Panoptic(np.zeros(n, np.uint8), np.zeros(n, np.int32)) for n in (5, 4))
    with pytest.raises(ValueError, match=r"scan 7: the truth has \(5,\) elements, the prediction \(4,\)"):
        count_panoptic(truth, short, CLASSES, where="scan 7")


def test_counts_by_different_rules_do_not_add() -> None:
    labels = draw_labels(np.random.default_rng(0), 50)
    one, other = (count_panoptic(labels, labels, CLASSES, OFFICIAL[name]) for name in ("coco", "nuscenes"))
    with pytest.raises(ValueError, match="coco official and by nuscenes official"):
        one + other

"""The overlap table against np.unique, in ring order and shuffled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ps3d.ops.overlap import INSTANCE_BITS, count_class_overlap, count_overlap


def reference(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    key = left.reshape(-1).astype(np.uint64) << np.uint64(32) | right.reshape(-1).astype(np.uint64)
    return np.unique(key, return_counts=True)


def check(left: np.ndarray, right: np.ndarray) -> None:
    table = count_overlap(left, right)
    keys, counts = reference(left, right)
    np.testing.assert_array_equal(table.left.astype(np.uint64) << np.uint64(32) | table.right.astype(np.uint64), keys)
    np.testing.assert_array_equal(table.shared, counts)


def in_runs(rng: np.random.Generator, size: int, labels: int, length: int) -> np.ndarray:
    values = rng.integers(0, labels, size // length + 1)
    return np.repeat(values, length)[:size].astype(np.uint32)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 9, 4095, 4096, 4097, 4098, 8193, 50_001])
def test_runs_of_any_size_are_counted_like_unique(size: int) -> None:
    rng = np.random.default_rng(size)
    check(in_runs(rng, size, 40, 23), in_runs(rng, size, 50, 17))


def test_shuffled_elements_give_the_same_table() -> None:
    rng = np.random.default_rng(0)
    left, right = in_runs(rng, 30_000, 40, 23), in_runs(rng, 30_000, 50, 17)
    order = rng.permutation(len(left))
    ordered, shuffled = count_overlap(left, right), count_overlap(left[order], right[order])
    for name in ("left", "right", "shared"):
        np.testing.assert_array_equal(getattr(ordered, name), getattr(shuffled, name))


@pytest.mark.parametrize("labels", [3000, 30_000, 2**32])
def test_a_table_outgrows_its_first_size(labels: int) -> None:
    rng = np.random.default_rng(1)
    left = rng.integers(0, labels, 100_000, dtype=np.uint32) if labels == 2**32 else rng.integers(0, labels, 100_000)
    check(left, left)
    check(np.repeat(left[:20_000], 5), np.repeat(left[:20_000], 5))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_every_integer_type_and_shape_is_taken(dtype: type) -> None:
    left = np.arange(60, dtype=dtype).reshape(6, 10) // 7
    check(left, left.T.reshape(6, 10) // 2)


def test_the_largest_label_is_counted() -> None:
    label = np.array([2**32 - 1, 0, 2**32 - 1], np.uint32)
    check(label, label[::-1])


def test_weights_are_summed_per_pair() -> None:
    rng = np.random.default_rng(2)
    left, right = in_runs(rng, 5000, 9, 5), in_runs(rng, 5000, 7, 3)
    weight = rng.random(5000).astype(np.float32)
    table = count_overlap(left, right, weight)
    keys, place = np.unique(left.astype(np.int64) << 32 | right.astype(np.int64), return_inverse=True)
    np.testing.assert_array_equal(table.left << 32 | table.right, keys)
    np.testing.assert_allclose(table.shared, np.bincount(place, weights=weight.astype(np.float64)), rtol=1e-12)
    many = rng.integers(0, 2**31, 90_000)
    sums = count_overlap(many, many, np.ones(90_000))
    assert sums.shared.sum() == 90_000


def test_a_wrong_length_or_label_is_named() -> None:
    with pytest.raises(ValueError, match="3 labels with 2"):
        count_overlap(np.zeros(3, np.uint32), np.zeros(2, np.uint32))
    with pytest.raises(ValueError, match="-1"):
        count_overlap(np.array([-1]), np.array([0]))
    with pytest.raises(ValueError, match="2 weights for 3"):
        count_overlap(np.zeros(3, np.uint32), np.zeros(3, np.uint32), np.zeros(2))


pairs = hnp.arrays(np.uint32, st.tuples(st.just(2), st.integers(0, 300)), elements=st.integers(0, 5))


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_any_labels_are_counted_like_unique(labels: np.ndarray) -> None:
    check(labels[0], labels[1])


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4095, 4096, 4097, 20_000])
@pytest.mark.parametrize("repeats", [1, 2, 50])
@pytest.mark.parametrize("labels", [1, 60, 6000])
def test_runs_ends_of_blocks_and_growth_of_the_table_are_exact(size: int, repeats: int, labels: int) -> None:
    rng = np.random.default_rng((size, repeats, labels))
    left, right = (np.repeat(rng.integers(0, labels, size), repeats)[:size].astype(np.uint32) for _ in range(2))
    left[left == 59] = right[right == 59] = 2**32 - 1
    check(left, right)
    sides = [((x % 7 + 249).astype(np.uint8), (x % 2**INSTANCE_BITS).astype(np.int32)) for x in (left, right)]
    packed = [s.astype(np.uint32) << INSTANCE_BITS | i.astype(np.uint32) for s, i in sides]
    found = count_class_overlap(*sides[0], *sides[1])
    assert found is not None
    keys, counts = reference(*packed)
    np.testing.assert_array_equal(found.left.astype(np.uint64) << np.uint64(32) | found.right.astype(np.uint64), keys)
    np.testing.assert_array_equal(found.shared, counts)


@pytest.mark.parametrize("number", [-1, 2**INSTANCE_BITS])
def test_an_instance_that_does_not_fit_is_reported(number: int) -> None:
    semantic, instance = np.zeros(9000, np.uint8), np.zeros(9000, np.int32)
    other = instance.copy()
    other[8500] = number
    assert count_class_overlap(semantic, instance, semantic, other) is None

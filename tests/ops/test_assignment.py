"""Gated one-to-one matching."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from ps3d.ops.assignment import match


@pytest.mark.parametrize("seed", range(5))
def test_the_total_score_equals_that_of_one_large_assignment(seed: int):
    rng = np.random.default_rng(seed)
    score = np.where(rng.random((30, 40)) < 0.1, rng.random((30, 40)), 0.0)
    rows, columns = match(score)
    i, j = linear_sum_assignment(score, maximize=True)
    assert score[rows, columns].sum() == pytest.approx(score[i, j].sum())
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    assert (score[rows, columns] > 0).all()


def test_pairs_without_a_score_never_match():
    rows, columns = match(np.array([[0.0, -1.0], [np.nan, 0.5]]))
    assert (rows.tolist(), columns.tolist()) == ([1], [1])
    assert len(match(np.zeros((0, 3)))[0]) == 0


def test_a_good_pair_is_not_given_up_for_two_bad_ones():
    rows, columns = match(np.array([[0.9, 0.2], [0.2, 0.0]]))
    assert (rows.tolist(), columns.tolist()) == ([0], [0])

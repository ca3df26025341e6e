"""The sorted grid finds what a k-d tree finds."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ps3d.ops.nearest import MISSING, index_points, nearest


@pytest.mark.parametrize("cell", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("radius", [0.03, 0.3, 0.9])
def test_it_equals_a_kd_tree(cell, radius):
    rng = np.random.default_rng(0)
    points = rng.uniform(-4, 4, (6000, 3)) * [1, 1, 0.2] + [2000.0, -3000.0, 110.0]
    queries = points[rng.integers(0, 6000, 1500)] + rng.normal(0, radius / 2, (1500, 3))
    place, distance = nearest(index_points(points, cell), queries, radius)
    expected, _ = cKDTree(points).query(queries, distance_upper_bound=radius)
    # Relative to the mean of the points float32 resolves less than a micrometer here.
    is_clear = np.abs(np.nan_to_num(expected, posinf=9) - radius) > 1e-5
    assert ((place != MISSING) == np.isfinite(expected))[is_clear].all()
    found = is_clear & np.isfinite(expected)
    assert found.sum() > 30
    np.testing.assert_allclose(distance[found], expected[found], atol=2e-6)
    np.testing.assert_allclose(
        np.linalg.norm(points[place[found]] - queries[found], axis=1), expected[found], atol=2e-6
    )


def test_nothing_is_found_where_nothing_is():
    queries = np.array([[0.0, 0, 0], [np.nan, 0, 0], [1e7, 0, 0]])
    for points in (np.zeros((0, 3)), np.array([[5.0, 0, 0]])):
        place, distance = nearest(index_points(points), queries, 0.3)
        assert (place == MISSING).all()
        assert np.isinf(distance).all()


def test_points_that_are_not_finite_cannot_be_indexed():
    with pytest.raises(ValueError, match="1 points"):
        index_points(np.array([[0.0, 0, 0], [np.inf, 0, 0]]))

"""Clustering of points seen from above."""

import time

import numpy as np
import pytest

from ps3d.ops.clustering import cluster_points, connect_cells, gather_cells, smallest_rectangles

sklearn_cluster = pytest.importorskip("sklearn.cluster")
CAR = (4.8, 2.0)


def cluster(xy, radius=0.7, box=CAR, minimum=5, confidence=1.0):
    xy = np.asarray(xy, np.float32)
    sure = np.full(len(xy), confidence, np.float32)
    return cluster_points(xy, sure, radius, np.tile(np.float32(box), (len(xy), 1)), minimum)


def filled_box(rng, center, points=400, length=4.2, width=1.8):
    return rng.uniform(-0.5, 0.5, (points, 2)) * (length, width) + center


def is_same_partition(a, b):
    pairs = {(int(x), int(y)) for x, y in zip(a, b, strict=True)}
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


def test_connected_cells_are_the_clusters_dbscan_finds():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 40, (1500, 2)).astype(np.float32)
    cells = gather_cells(xy, np.ones(len(xy), np.float32))
    ours = connect_cells(cells, 0.7, np.zeros(len(cells.key), np.int32))
    theirs = sklearn_cluster.DBSCAN(eps=0.7, min_samples=1).fit_predict(cells.xy)
    assert is_same_partition(ours, theirs)


def test_separate_cars_are_separate_objects():
    rng = np.random.default_rng(1)
    centers = [(0, 0), (6, 0), (0, 3), (-20, 11)]
    xy = np.concatenate([filled_box(rng, center) for center in centers])
    assert is_same_partition(cluster(xy), np.repeat(np.arange(4), 400))


def test_two_cars_that_almost_touch_are_split_by_their_box():
    rng = np.random.default_rng(2)
    xy = np.concatenate([filled_box(rng, (0, 0)), filled_box(rng, (4.7, 0))])
    assert len(np.unique(cluster(xy, box=(30.0, 30.0)))) == 1
    found = cluster(xy)
    assert is_same_partition(found, np.repeat([0, 1], 400))


def test_doubtful_points_need_to_be_nearer():
    xy = np.concatenate([np.zeros((9, 2)), np.full((9, 2), 0.4)])
    assert len(np.unique(cluster(xy, confidence=1.0))) == 1
    assert len(np.unique(cluster(xy, confidence=0.5))) == 2


def test_a_crumb_joins_the_near_object_and_a_lost_one_is_no_object():
    rng = np.random.default_rng(3)
    xy = np.concatenate([filled_box(rng, (0, 0)), [(3.0, 0.0)], [(30.0, 0.0)]])
    found = cluster(xy)
    assert found[-2] == 0
    assert found[-1] == -1


def test_no_points_are_no_objects():
    assert len(cluster(np.zeros((0, 2)))) == 0


def test_numbers_do_not_depend_on_the_order_of_points():
    rng = np.random.default_rng(4)
    xy = np.concatenate([filled_box(rng, center) for center in [(0, 0), (4.6, 0), (9, 2.5), (30, 3)]])
    order = rng.permutation(len(xy))
    assert is_same_partition(cluster(xy)[order], cluster(xy[order]))


def test_the_smallest_rectangle_of_a_turned_car():
    rng = np.random.default_rng(5)
    turn = np.deg2rad(25.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    xy = (filled_box(rng, (0, 0), points=5000) @ rotation.T).astype(np.float32)
    (found,) = smallest_rectangles(xy, np.zeros(len(xy), np.int32))
    assert found == pytest.approx((4.2, 1.8), rel=0.02)


def test_thirty_thousand_points_of_cars_take_milliseconds():
    rng = np.random.default_rng(6)
    xy = np.concatenate([filled_box(rng, (7.0 * i, 4.0 * (i % 5)), points=1000) for i in range(30)])
    cluster(xy)
    begin = time.process_time()
    found = cluster(xy)
    assert time.process_time() - begin < 0.5  # 0.02 s measured; the rest is for busy machines
    assert len(np.unique(found)) == 30

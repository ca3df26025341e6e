"""Rigid transforms, projection and motion correction."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ps3d.ops.geometry import correct_motion, interpolate_pose, invert, project, sweep_fraction_from_azimuth, transform


def pose(rotation_vector, translation):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rotation_vector).as_matrix()
    matrix[:3, 3] = translation
    return matrix


def test_a_transform_and_its_inverse_cancel():
    a_from_b = pose([0.1, -0.4, 2.0], [3.0, -1.0, 7.0])
    points = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(transform(invert(a_from_b), transform(a_from_b, points)), points, atol=1e-12)


def test_half_way_between_two_poses():
    middle = interpolate_pose(np.eye(4), pose([0, 0, 1.0], [2.0, 0, 0]), 0.5)
    np.testing.assert_allclose(middle, pose([0, 0, 0.5], [1.0, 0, 0]), atol=1e-12)


def test_motion_correction_moves_each_point_by_its_share_of_the_sweep():
    motion = pose([0.02, -0.01, 0.3], [-1.2, 0.1, 0.05])
    xyz = np.random.default_rng(1).normal(size=(200, 3)) * 20
    fraction = sweep_fraction_from_azimuth(xyz)
    vector = Rotation.from_matrix(motion[:3, :3]).as_rotvec()
    expected = np.stack(
        [Rotation.from_rotvec(s * vector).apply(p) + s * motion[:3, 3] for s, p in zip(fraction, xyz, strict=True)]
    )
    np.testing.assert_allclose(correct_motion(xyz, fraction, motion), expected, atol=1e-12)


def test_points_straight_ahead_stay_and_points_on_the_left_are_earlier():
    fraction = sweep_fraction_from_azimuth(np.array([[10.0, 0, 0], [0, 10.0, 0], [0, -10.0, 0]]))
    np.testing.assert_allclose(fraction, [0, 0.25, -0.25])


def test_projection_hits_the_principal_point_and_refuses_what_lies_behind():
    intrinsics = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    points = np.array([[0.0, 0, 10], [0, 0, -10], [10, 0, 10]])
    pixel, depth, is_seen = project(points, np.eye(4), intrinsics, (480, 640))
    np.testing.assert_allclose(pixel[0], [320, 240])
    assert depth[0] == pytest.approx(10)
    assert is_seen.tolist() == [True, False, False]

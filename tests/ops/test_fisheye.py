"""The omnidirectional model."""

import numpy as np
import pytest

from ps3d.ops.fisheye import project_fisheye
from ps3d.structures import FisheyeCamera

PERFECT = FisheyeCamera(0.0, 0.0, 0.0, 0.0, 0.0, 500.0, 510.0, 320.0, 240.0, np.eye(4), (480, 640))


def test_without_mirror_and_distortion_it_is_a_pinhole():
    points = np.array([[1.0, -0.5, 4.0], [0, 0, 9]])
    pixel, distance, is_seen = project_fisheye(points, PERFECT)
    np.testing.assert_allclose(pixel, [[320 + 500 / 4, 240 - 510 / 8], [320, 240]])
    np.testing.assert_allclose(distance, np.linalg.norm(points, axis=1))
    assert is_seen.all()


def test_what_lies_behind_is_not_seen():
    assert not project_fisheye(np.array([[0.0, 0, -3]]), PERFECT)[2].any()


def test_radial_terms_equal_the_official_devkit():
    project = pytest.importorskip("kitti360scripts.helpers.project", reason="the devkit extra is not installed")
    from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION

    ours = KITTI360_CALIBRATION.fisheye["image_02"]
    theirs = project.CameraFisheye.__new__(project.CameraFisheye)
    theirs.fi = {
        "mirror_parameters": {"xi": ours.xi},
        "distortion_parameters": {"k1": ours.k1, "k2": ours.k2},
        "projection_parameters": {"gamma1": ours.gamma1, "gamma2": ours.gamma2, "u0": ours.u0, "v0": ours.v0},
    }
    points = np.random.default_rng(0).normal(size=(200, 3)) + np.array([0, 0, 2])
    points = points[points[:, 2] > 0.1]
    column, row, _ = theirs.cam2image(points.T.copy())
    pixel, _, _ = project_fisheye(points, ours)
    np.testing.assert_allclose(pixel, np.stack([column, row], 1), atol=0.6)

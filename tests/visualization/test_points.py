"""The renderer: the right pixel, the nearest point, lines and boxes."""

import itertools

import numpy as np
import pytest

from ps3d.structures import Camera
from ps3d.visualization.points import BACKGROUND, draw_lines, draw_points, render_points
from ps3d.visualization.views import View, bird_view, camera_view, follow_view, look_at

RED, GREEN = (255, 0, 0), (0, 255, 0)


def test_a_point_on_the_axis_is_in_the_middle_and_the_nearest_wins():
    xyz = np.array([[5, 0, 0], [9, 0, 0], [-5, 0, 0]], np.float32)
    colors = np.array([RED, GREEN, GREEN], np.uint8)
    view = View(look_at(np.zeros(3), np.array([1.0, 0, 0])))
    for order in itertools.permutations(range(3)):
        image = render_points(xyz[list(order)], colors[list(order)], view, (21, 31), point_size=1)
        assert image[10, 15].tolist() == list(RED)
        assert (image != np.array(BACKGROUND)).any(-1).sum() == 1


def test_left_is_left_and_up_is_up():
    view = View(look_at(np.zeros(3), np.array([1.0, 0, 0])))
    image = render_points(
        np.array([[10, 2, 0], [10, 0, 2]], np.float32), np.array([RED, GREEN], np.uint8), view, (21, 21)
    )
    red, green = (np.argwhere((image == color).all(-1)).mean(0) for color in (RED, GREEN))
    assert red[1] < 9
    assert red[0] == pytest.approx(10, abs=0.6)
    assert green[0] < 9
    assert green[1] == pytest.approx(10, abs=0.6)


def test_points_that_are_not_finite_are_left_out():
    xyz = np.array([[np.nan, 0, 0], [np.inf, 0, 0], [5, np.nan, 0], [5, -np.inf, 1]], np.float32)
    image = render_points(xyz, np.full((4, 3), 255, np.uint8), follow_view(), (20, 20))
    assert (image == np.array(BACKGROUND)).all()


def test_bird_view_measures_meters():
    xyz = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0]], np.float32)
    image = render_points(xyz, np.array([RED, GREEN, (0, 0, 255)], np.uint8), bird_view(40, (0, 0)), (81, 81), 1)
    center, ahead, left = (np.argwhere((image == color).all(-1))[0] for color in (RED, GREEN, (0, 0, 255)))
    assert center.tolist() == [40, 40]
    assert ahead.tolist() == [20, 40]
    assert left.tolist() == [40, 20]


def test_a_radius_closes_surfaces_near_the_camera():
    xyz = np.array([[2, 0, 0]], np.float32)
    view = View(look_at(np.zeros(3), np.array([1.0, 0, 0])))
    size = [
        (render_points(xyz * far, np.array([RED], np.uint8), view, (200, 200), 1, radius=0.1) == RED).all(-1).sum()
        for far in (1, 2, 1000)
    ]
    assert size[0] == pytest.approx(4 * size[1], rel=0.3)
    assert size[2] == 1


def test_world_coordinates_keep_their_millimeters():
    offset = np.array([4_000_000.0, -2_000_000.0, 100.0])
    xyz = offset + np.array([[5, 0.02, 0]])
    near = View(look_at(offset, offset + np.array([1.0, 0, 0])), np.deg2rad(1))
    image = render_points(xyz, np.array([RED], np.uint8), near, (101, 101), 1)
    # 0.02 m at 5 m are 0.229 degrees to the left.
    column = np.argwhere((image == RED).all(-1))[0][1]
    assert column == pytest.approx(50 - 101 / 2 * np.tan(0.004) / np.tan(np.deg2rad(0.5)), abs=1)


def _camera() -> Camera:
    pose = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    return Camera(np.array([[50.0, 0, 40], [0, 50, 30], [0, 0, 1]]), pose, (60, 80))


def test_points_over_a_picture_land_where_the_camera_sees_them():
    picture = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_points(picture, np.array([[10, 2, -1]], np.float32), np.array([RED], np.uint8), _camera(), 1)
    assert np.argwhere(drawn.any(-1)).tolist() == [[35, 30]]
    halved = draw_points(
        picture[:30, :40], np.array([[10, 2, -1]], np.float32), np.array([RED], np.uint8), _camera(), 1
    )
    assert np.abs(np.argwhere(halved.any(-1))[0] - [17.5, 15]).max() <= 0.5
    assert not picture.any()


def test_the_view_of_a_camera_sees_what_the_camera_sees():
    camera = Camera(np.array([[50.0, 0, 39.5], [0, 50, 29.5], [0, 0, 1]]), _camera().camera_from_lidar, (60, 80))
    xyz = np.random.default_rng(0).uniform((3, -3, -2), (20, 3, 2), (200, 3)).astype(np.float32)
    colors = np.random.default_rng(1).integers(60, 255, (200, 3)).astype(np.uint8)
    ours = render_points(xyz, colors, camera_view(camera), camera.size, 3, background=(0, 0, 0))
    np.testing.assert_array_equal(ours, draw_points(np.zeros((60, 80, 3), np.uint8), xyz, colors, camera, 3))


def test_a_line_through_the_camera_is_cut():
    view = View(look_at(np.zeros(3), np.array([1.0, 0, 0])))
    ends = np.array([[[-5, 0.5, 0], [5, 0.5, 0]], [[-5, 0, 0], [-1, 0, 0]]], np.float64)
    drawn = draw_lines(np.zeros((41, 41, 3), np.uint8), ends, np.array([RED, GREEN], np.uint8), view)
    assert (drawn == RED).all(-1).any()
    assert not drawn[..., 1].any()
    # Half a meter to the left: near the camera outside the picture, far ahead a tenth of the distance from the middle.
    assert np.flatnonzero(drawn[20, :, 0])[[0, -1]].tolist() == pytest.approx(
        [0, 20 - 0.1 * 20.5 / np.tan(np.pi / 6)], abs=1
    )


@pytest.mark.parametrize("tilt", [0, 0.3, 1, 2.5])
def test_a_line_covers_its_length_times_its_width(tilt):
    view = View(look_at(np.zeros(3), np.array([1.0, 0, 0])))
    ends = np.array([[[10, 2, -1], [10, -2, -1 + tilt]]], np.float64)
    white = np.full((1, 3), 255, np.uint8)
    drawn = draw_lines(np.zeros((200, 200, 3), np.uint8), ends, white, view, width=3)
    length = np.hypot(4, tilt) * 100 / np.tan(np.pi / 6) / 10
    # Both ends are round.
    assert drawn[..., 0].sum() / 255 == pytest.approx(3 * length + np.pi * 1.5**2, rel=0.02)


def test_a_view_without_direction_is_refused():
    with pytest.raises(ValueError, match="choose another up"):
        look_at(np.zeros(3), np.array([0.0, 0, 1]))

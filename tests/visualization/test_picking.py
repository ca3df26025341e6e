"""A click finds the point under it, and the panel says what is known about it."""

import numpy as np

from ps3d.structures import VOID, Frame, Panoptic, Scan
from ps3d.visualization.picking import describe_point, pick_point

# A camera at the origin that looks along -z, as OpenGL has it; one unit right is half a picture at depth 1.
CLIP = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, -0.2], [0, 0, -1, 0]])


def test_a_click_picks_the_nearest_point_under_the_mouse():
    xyz = np.array([[0.5, 0, -1], [1.0, 0, -2], [-0.5, 0.5, -1], [0.5, 0, 1]], np.float32)
    assert pick_point(xyz, CLIP, (150, 50), (100, 200)) == 0
    assert pick_point(xyz[1:], CLIP, (151, 52), (100, 200)) == 0
    assert pick_point(xyz, CLIP, (50, 25), (100, 200)) == 2
    assert pick_point(xyz, CLIP, (100, 80), (100, 200)) is None


def test_a_near_point_beside_the_mouse_does_not_win_over_one_under_it():
    xyz = np.array([[0.5, 0, -1], [1.08, 0, -2]], np.float32)
    assert pick_point(xyz, CLIP, (154, 50), (100, 200), reach=6) == 0
    assert pick_point(xyz * [1, 1, 1.0], CLIP, (154, 50), (100, 200), reach=2) == 1


def test_the_description_names_class_object_and_place(taxonomy):
    scan = Scan(np.array([[3, 4, 0], [1, 1, 1]], np.float32), np.array([0.5, 0], np.float32), np.zeros(2, np.float32))
    truth = Panoptic(np.array([1, 1], np.uint8), np.array([42, 42], np.int32))
    found = Panoptic(np.array([VOID, 0], np.uint8), np.zeros(2, np.int32))
    text = describe_point(Frame(0, 0.0, scan), 0, {"truth": truth, "prediction": found}, taxonomy)
    for words in ("x 3.00  y 4.00  z 0.00 m", "distance 5.00 m", "intensity 0.50", "truth: car, object 42", "2 points"):
        assert words in text
    assert "prediction: void" in text

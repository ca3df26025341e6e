"""Colors of elements: the data set's own, stable for objects, different side by side."""

import numpy as np

from ps3d.structures import VOID, Panoptic
from ps3d.visualization.colors import (
    VOID_COLOR,
    InstanceColors,
    color_by_class,
    color_by_height,
    color_by_instance,
    color_by_intensity,
    color_by_track,
)
from ps3d.visualization.palettes import distance_between


def test_classes_have_the_colors_of_the_data_set(taxonomy):
    panoptic = Panoptic(np.array([[0, 1], [3, VOID]], np.uint8), np.zeros((2, 2), np.int32))
    colors = color_by_class(panoptic, taxonomy)
    assert colors.tolist() == [[[128, 64, 128], [0, 0, 142]], [[70, 70, 70], list(VOID_COLOR)]]


def test_objects_differ_from_their_neighbors_for_everybody(street, taxonomy):
    xyz, panoptic = street
    for is_safe in (False, True):
        colors = InstanceColors(is_safe)
        # Numbers that share a place in the palette: the worst case of a color by number.
        clash = Panoptic(panoptic.semantic, panoptic.instance * len(colors.palette))
        colors.meet(clash, taxonomy, xyz)
        cars = np.stack([colors.of(1, number * len(colors.palette)) for number in range(1, 7)])
        gap = distance_between(cars, cars, is_safe)
        assert gap[~np.eye(6, dtype=bool)].min() > 0.1


def test_an_object_keeps_its_color_when_others_come_and_go(street, taxonomy):
    xyz, panoptic = street
    colors = InstanceColors()
    colors.meet(panoptic, taxonomy, xyz)
    before = {number: colors.of(1, number).tolist() for number in range(1, 7)}
    keep = ~np.isin(panoptic.instance, (1, 4))
    shifted = Panoptic(panoptic.semantic[keep], panoptic.instance[keep])
    colors.meet(shifted, taxonomy, xyz[keep][:, ::-1].copy())
    colors.meet(panoptic, taxonomy, xyz + 3)
    assert {number: colors.of(1, number).tolist() for number in range(1, 7)} == before


def test_pixels_may_be_objects_too(taxonomy):
    semantic = np.array([[1, 1, 0], [2, 2, 0]], np.uint8)
    panoptic = Panoptic(semantic, np.array([[1, 2, 0], [1, 1, 0]], np.int32))
    colors = InstanceColors()
    colors.meet(panoptic, taxonomy, np.stack(np.indices((2, 3)), -1).astype(np.float32))
    painted = color_by_instance(panoptic, taxonomy, colors)
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == 4
    np.testing.assert_array_equal(painted[1, 0], painted[1, 1])


def test_tracks_ignore_stuff_and_things_without_a_number(taxonomy):
    panoptic = Panoptic(np.array([0, 1, 1, 3, VOID], np.uint8), np.array([5, 0, 3, 0, 4], np.int32))
    painted = color_by_track(panoptic, taxonomy)
    assert len(np.unique(painted[[0, 1, 3, 4]], axis=0)) == 1
    assert (painted[2] != painted[0]).any()


def test_measurements_span_the_scale():
    z = np.array([[0, 0, -2.5], [0, 0, 4]], np.float32)
    np.testing.assert_array_equal(color_by_height(z), color_by_intensity(np.array([0, 1], np.float32)))


def test_an_empty_frame_has_colors_too(taxonomy):
    empty = Panoptic(np.zeros(0, np.uint8), np.zeros(0, np.int32))
    colors = InstanceColors()
    colors.meet(empty, taxonomy, np.zeros((0, 3), np.float32))
    assert color_by_instance(empty, taxonomy, colors).shape == (0, 3)

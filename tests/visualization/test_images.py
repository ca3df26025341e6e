"""Overlays on arrays one can count by hand, legends and titles."""

import numpy as np

from ps3d.structures import VOID, Panoptic
from ps3d.visualization.colors import InstanceColors
from ps3d.visualization.images import (
    OUTCOME_LEGEND,
    add_legend,
    add_title,
    bird_eye,
    class_legend,
    find_contours,
    overlay_difference,
    overlay_panoptic,
    side_by_side,
)
from ps3d.visualization.text import stacked


def _two_cars() -> Panoptic:
    semantic = np.zeros((6, 8), np.uint8)
    semantic[2:4, 1:7] = 1
    semantic[5] = VOID
    instance = np.zeros((6, 8), np.int32)
    instance[2:4, 1:4], instance[2:4, 4:7] = 1, 2
    return Panoptic(semantic, instance)


def test_labels_are_mixed_in_and_void_stays_as_it_was(taxonomy):
    image = np.full((6, 8, 3), 100, np.uint8)
    drawn = overlay_panoptic(image, _two_cars(), taxonomy, opacity=0.5, has_contours=False, has_labels=False)
    assert drawn[0, 0].tolist() == [114, 82, 114]
    assert drawn[2, 1].tolist() == [50, 50, 121]
    assert (drawn[5] == 100).all()
    assert (image == 100).all()


def test_contours_run_between_objects_of_one_class(taxonomy):
    contour = find_contours(_two_cars())
    assert contour[2, 3]
    assert contour[2, 4]
    assert not contour[0].any()
    drawn = overlay_panoptic(np.zeros((6, 8, 3), np.uint8), _two_cars(), taxonomy, has_labels=False)
    assert (drawn[2, 3] == 255).all()
    assert drawn[1, 2].tolist() == [128, 64, 128]


def test_objects_may_have_colors_of_their_own(taxonomy):
    drawn = overlay_panoptic(
        np.zeros((6, 8, 3), np.uint8), _two_cars(), taxonomy, 1, InstanceColors(), has_contours=False, has_labels=False
    )
    assert (drawn[2, 1] != drawn[2, 6]).any()


def test_big_objects_are_named(taxonomy):
    panoptic = Panoptic(np.ones((200, 300), np.uint8), np.full((200, 300), 12, np.int32))
    with_name = overlay_panoptic(np.zeros((200, 300, 3), np.uint8), panoptic, taxonomy)
    without = overlay_panoptic(np.zeros((200, 300, 3), np.uint8), panoptic, taxonomy, has_labels=False)
    changed = np.argwhere((with_name != without).any(-1))
    assert len(changed) > 50
    assert np.abs(changed.mean(0) - [99.5, 149.5]).max() < 5


def test_the_difference_shows_only_what_is_wrong(taxonomy):
    truth = _two_cars()
    missed = Panoptic(np.where(truth.instance == 2, 0, truth.semantic).astype(np.uint8), truth.instance % 2)
    drawn = overlay_difference(np.full((6, 8, 3), 90, np.uint8), truth, missed, taxonomy, opacity=1)
    assert (drawn[truth.instance == 2] == (0, 114, 178)).all()
    assert (drawn[truth.instance != 2] == 90).all()


def test_the_legend_names_what_occurs(taxonomy):
    assert [name for name, _ in class_legend(taxonomy, _two_cars())] == ["road", "car", "void"]
    assert [name for name, _ in class_legend(taxonomy)] == list(taxonomy.names)
    assert len(OUTCOME_LEGEND) == 4


def test_a_legend_wraps_and_shows_every_color(taxonomy):
    image = np.zeros((10, 130, 3), np.uint8)
    drawn = add_legend(image, class_legend(taxonomy))
    assert drawn.shape[1] == 130
    assert drawn.shape[0] > 10 + 3 * 16
    for category in taxonomy.categories:
        assert (drawn[10:] == category.color).all(-1).sum() > 100


def test_a_long_title_fits():
    image = np.zeros((10, 120, 3), np.uint8)
    titled = add_title(image, "a title that is far too long for such a narrow picture")
    assert titled.shape[1] == 120
    assert titled.shape[0] > 20
    assert titled[: titled.shape[0] - 10].max() > 200


def test_pictures_of_different_heights_stand_side_by_side():
    row = side_by_side([np.zeros((10, 5, 3), np.uint8), np.zeros((20, 6, 3), np.uint8)])
    assert row.shape == (20, 15, 3)
    assert stacked([row, row]).shape == (44, 15, 3)


def test_bird_eye_shows_the_highest_point():
    xyz = np.array([[0, 0, -1], [0, 0, 2], [0, 0, 1]], np.float32)
    colors = np.array([[1, 1, 1], [250, 0, 0], [2, 2, 2]], np.uint8)
    assert bird_eye(xyz, colors, (41, 41))[20, 20].tolist() == [250, 0, 0]

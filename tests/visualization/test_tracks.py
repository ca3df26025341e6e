"""Paths of masks over pictures."""

import numpy as np

from ps3d.structures import Category, Panoptic, Taxonomy
from ps3d.visualization.tracks import ImageTrails

TAXONOMY = Taxonomy("two", (Category("road", (0,), False, (9, 9, 9)), Category("car", (1,), True, (0, 0, 255))), (2,))


def test_a_path_joins_the_places_of_a_mask_in_its_own_color():
    colors = np.array([[1, 2, 3], [200, 50, 50]], np.uint8)
    trails, picture = ImageTrails(), np.zeros((40, 100, 3), np.uint8)
    for column in (10, 50, 80):
        semantic, instance = np.zeros((40, 100), np.uint8), np.zeros((40, 100), np.int32)
        semantic[18:23, column - 3 : column + 4] = 1
        instance[18:23, column - 3 : column + 4] = 7
        drawn = trails.draw(picture, Panoptic(semantic, instance), TAXONOMY, colors)
    assert (drawn[20, 10:80] == colors[1]).all()
    assert not drawn[:10].any()
    nothing = Panoptic(np.zeros((40, 100), np.uint8), np.zeros((40, 100), np.int32))
    assert not trails.draw(picture, nothing, TAXONOMY, colors).any()

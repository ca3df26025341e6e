"""Palettes that people, color-blind or not, tell apart."""

import numpy as np
import pytest

from ps3d.structures import Category, Taxonomy
from ps3d.visualization.palettes import (
    COLOR_VISIONS,
    color_blind_safe,
    distance_between,
    instance_palette,
    linear_rgb,
    oklab,
    scale_color,
    seen_by,
)


def test_oklab_has_the_published_values():
    white = oklab(linear_rgb(np.array([[255, 255, 255], [255, 0, 0]], np.uint8)))
    np.testing.assert_allclose(white, [[1, 0, 0], [0.62796, 0.22486, 0.12585]], atol=2e-4)


@pytest.mark.parametrize("vision", COLOR_VISIONS)
def test_gray_stays_gray_for_every_kind_of_color_vision(vision):
    gray = seen_by(np.array([[90, 90, 90], [200, 200, 200]], np.uint8), vision)
    np.testing.assert_allclose(gray[:, 1:], 0, atol=2e-3)


@pytest.mark.parametrize(("is_safe", "needed"), [(False, 0.15), (True, 0.08)])
def test_the_first_sixteen_colors_are_clearly_different(is_safe, needed):
    palette = instance_palette(is_safe)[:16]
    gap = distance_between(palette, palette, is_safe)
    assert gap[~np.eye(16, dtype=bool)].min() > needed


def test_the_safe_palette_is_safer_than_the_vivid_one():
    def worst(palette):
        gap = distance_between(palette, palette, is_safe=True)
        return gap[~np.eye(len(palette), dtype=bool)].min()

    assert worst(instance_palette(True)[:24]) > 1.5 * worst(instance_palette(False)[:24])


def test_a_safe_taxonomy_keeps_everything_but_colors():
    taxonomy = Taxonomy("toy", (Category("road", (1,), False, (1, 2, 3)), Category("car", (2, 5), True, (4, 5, 6))))
    safe = color_blind_safe(taxonomy)
    assert safe.names == taxonomy.names
    assert safe.categories[1].raw_ids == (2, 5)
    assert safe.categories[1].is_thing
    assert len({category.color for category in safe.categories}) == 2


def test_the_scale_grows_in_lightness_and_survives_nan():
    colors = scale_color(np.array([-1, 0, 0.25, 0.5, 0.75, 1, 7, np.nan]))
    lightness = oklab(linear_rgb(colors))[:, 0]
    assert (np.diff(lightness[1:6]) > 0.05).all()
    np.testing.assert_array_equal(colors[[0, 6, 7]], colors[[1, 5, 1]])

"""Classes of data sets that number them without gaps and publish no colors."""

from collections.abc import Collection, Sequence

import numpy as np

from ps3d.structures import Category, Taxonomy


def numbered_taxonomy(
    name: str, classes: Sequence[str], things: Collection[str], first: int = 1, void: int = 0, seed: int = 0
) -> Taxonomy:
    """The classes under the raw ids `first`, `first` + 1, ..., in random colors that are always the same.

    Args:
        classes: names in the order of their ids.
        things: those of them that are objects.
        void: raw id of what has no class.
        seed: of the colors.
    """
    palette = np.random.default_rng(seed).integers(40, 240, (len(classes), 3)).tolist()
    categories = (
        Category(class_name, (raw,), class_name in things, (red, green, blue))
        for raw, (class_name, (red, green, blue)) in enumerate(zip(classes, palette, strict=True), first)
    )
    return Taxonomy(name, tuple(categories), (void,))

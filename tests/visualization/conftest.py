"""A toy street for pictures: classes, a scan and its labels."""

import numpy as np
import pytest

from ps3d.structures import Category, Panoptic, Taxonomy

TOY = Taxonomy(
    "toy",
    (
        Category("road", (1,), False, (128, 64, 128)),
        Category("car", (2,), True, (0, 0, 142)),
        Category("person", (3,), True, (220, 20, 60)),
        Category("building", (4,), False, (70, 70, 70)),
    ),
)


@pytest.fixture
def taxonomy() -> Taxonomy:
    return TOY


def toy_street(rng: np.random.Generator, points: int = 6000) -> tuple[np.ndarray, Panoptic]:
    """A road, six cars beside each other, three people and two walls; xyz in meters in the LiDAR frame."""
    parts, semantic, instance = [], [], []

    def add(low, high, count, class_id, number):
        parts.append(rng.uniform(low, high, (count, 3)))
        semantic.extend([class_id] * count)
        instance.extend([number] * count)

    add((-20, -8, -1.8), (40, 8, -1.7), points // 2, 0, 0)
    for number in range(6):
        add((6 * number - 5, 4, -1.7), (6 * number - 1, 5.8, -0.2), points // 20, 1, number + 1)
    for number in range(3):
        add((9 * number, -5, -1.7), (9 * number + 0.5, -4.5, 0), points // 50, 2, number + 7)
    add((-20, 9, -1.7), (40, 9.2, 6), points // 10, 3, 0)
    add((-20, -9.2, -1.7), (40, -9, 6), points // 10, 3, 0)
    return np.concatenate(parts).astype(np.float32), Panoptic(
        np.array(semantic, np.uint8), np.array(instance, np.int32)
    )


@pytest.fixture
def street() -> tuple[np.ndarray, Panoptic]:
    return toy_street(np.random.default_rng(0))

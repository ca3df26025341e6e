"""Which object of the truth a predicted object stands for, so that both can have one color."""

from collections.abc import Mapping, Set

import numpy as np

from ps3d.ops.overlap import count_overlap
from ps3d.structures import Panoptic, Taxonomy
from ps3d.visualization.object_index import Key, ObjectIndex, index_objects

HABIT = 2
"""How much more elements count that an object shares with its partner of the last frame."""


def find_partners(
    predicted: Panoptic,
    truth: Panoptic,
    taxonomy: Taxonomy,
    before: Mapping[Key, Key],
    taken: Set[Key] = frozenset(),
) -> dict[Key, Key]:
    """The object of the truth that each predicted object shares most elements with, whatever its class.

    Of several predicted objects on one of the truth only that with the largest share gets it: an object that fell into
    parts must not look whole. Predicted objects that share nothing with an object are left out.

    Args:
        before: the partners of the last frame, which small changes do not part.
        taken: objects of the truth that are not to be had.

    Raises:
        ValueError: labels of different elements.
    """
    left, right = index_objects(predicted, taxonomy), index_objects(truth, taxonomy)
    overlap = count_overlap(_numbered(left, predicted.semantic.size), _numbered(right, truth.semantic.size))
    is_shared = (overlap.left > 0) & (overlap.right > 0)
    pairs = [
        (HABIT * count if before.get(left.keys[i]) == right.keys[j] else count, left.keys[i], right.keys[j])
        for i, j, count in zip(
            (overlap.left[is_shared] - 1).tolist(),
            (overlap.right[is_shared] - 1).tolist(),
            overlap.shared[is_shared].tolist(),
            strict=True,
        )
    ]
    pairs.sort(reverse=True)
    largest: dict[Key, Key] = {}
    partners: dict[Key, Key] = {}
    owned = set(taken)
    for _, mine, theirs in pairs:
        # Whose largest share goes to somebody else gets nothing in its place.
        if largest.setdefault(mine, theirs) == theirs and theirs not in owned:
            partners[mine] = theirs
            owned.add(theirs)
    return partners


def _numbered(index: ObjectIndex, size: int) -> np.ndarray:
    """Place of each element's object, counted from 1; 0 = no object."""
    numbers = np.zeros(size, np.int32)
    numbers[index.elements] = index.owner + 1
    return numbers

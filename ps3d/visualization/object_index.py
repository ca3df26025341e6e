"""Which elements belong to which object: one pass that coloring, boxes and trails share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from ps3d.structures import NO_INSTANCE, VOID, Panoptic, Taxonomy

Key = tuple[int, int]
"""(class, number) of an object."""


@dataclass(frozen=True)
class ObjectIndex:
    """The objects of a labeling and their elements.

    Attributes:
        keys: (class, number) of each object, sorted.
        elements: places of the objects' elements in the flattened labeling, ascending.
        owner: for each of these elements, the place of its object in `keys`.
    """

    keys: list[Key]
    elements: Int64[np.ndarray, "elements"]
    owner: Int64[np.ndarray, "elements"]

    def groups(self) -> dict[Key, Int64[np.ndarray, "members"]]:
        """The elements of each object."""
        order = np.argsort(self.owner, kind="stable")
        ends = np.cumsum(np.bincount(self.owner, minlength=len(self.keys)))
        parts = np.split(self.elements[order], ends[:-1]) if self.keys else []
        return dict(zip(self.keys, parts, strict=True))


def objects(panoptic: Panoptic, taxonomy: Taxonomy) -> Bool[np.ndarray, "*elements"]:
    """Whether each element belongs to a numbered object of a thing class."""
    is_thing = np.zeros(256, bool)
    is_thing[: len(taxonomy)] = taxonomy.is_thing
    is_thing[VOID] = False
    return is_thing[panoptic.semantic] & (panoptic.instance != NO_INSTANCE)


def index_objects(panoptic: Panoptic, taxonomy: Taxonomy) -> ObjectIndex:
    """Find the objects. Neighboring elements mostly belong together, so only the beginnings of runs are sorted."""
    flat = panoptic.flatten()
    elements = np.flatnonzero(objects(flat, taxonomy))
    label = flat.semantic[elements].astype(np.int64) << 32 | flat.instance[elements]
    begins = np.flatnonzero(np.diff(label, prepend=-1))
    distinct, owner_of_run = np.unique(label[begins], return_inverse=True)
    owner = np.repeat(owner_of_run, np.diff(begins, append=len(label)))
    return ObjectIndex([(int(key >> 32), int(key & 0xFFFFFFFF)) for key in distinct], elements, owner)

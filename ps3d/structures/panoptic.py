"""The class and the instance of each element, where an element is a point or a pixel."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int32, UInt8

VOID = 255
"""Class of an element that is unlabeled or outside the taxonomy."""

NO_INSTANCE = 0
"""Instance of an element that belongs to no object: stuff, void, and things nobody separated."""


@dataclass(frozen=True)
class Panoptic:
    """One labeling of a scan's points or an image's pixels.

    A segment is a (class, instance) pair: the same number in two classes means two objects.
    Readers, fusion and tracking of ps3d give every object a number of its own all the same.

    Attributes:
        semantic: class id (= place in the taxonomy = logit channel), or VOID.
        instance: number of the object, unique through the sequence where objects are tracked; 0 = no instance.
        scores: how sure the network is of each object, 0..1 by its number; empty for truth and where nobody said.
    """

    semantic: UInt8[np.ndarray, "*elements"]
    instance: Int32[np.ndarray, "*elements"]
    scores: Mapping[int, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.semantic)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.semantic.shape

    def select(self, keep: np.ndarray) -> "Panoptic":
        """The elements that `keep` (boolean mask or indices) names, in that order."""
        return Panoptic(self.semantic[keep], self.instance[keep], self.scores)

    def flatten(self) -> "Panoptic":
        """The same labels in one dimension."""
        return Panoptic(self.semantic.reshape(-1), self.instance.reshape(-1), self.scores)

    def with_scores_of(self, other: "Panoptic") -> "Panoptic":
        """The same labels with the scores of another labeling of the same elements, whose objects have other numbers.

        An object has the score of the one it shares most elements with. Where `other` has no scores nothing changes.
        """
        if not other.scores:
            return self
        is_shared = (self.instance > NO_INSTANCE) & (other.instance > NO_INSTANCE)
        pair = self.instance[is_shared].astype(np.int64) << 32 | other.instance[is_shared]
        pairs, elements = np.unique(pair, return_counts=True)
        rising = np.argsort(elements, kind="stable")  # the largest share is written last
        scores = {int(p >> 32): other.scores[int(p & 0xFFFFFFFF)] for p in pairs[rising]}
        return replace(self, scores=scores)

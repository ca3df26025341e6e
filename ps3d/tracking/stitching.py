"""Stitching windows: a network that sees several scans at once numbers objects anew in each window."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64

from ps3d.ops.assignment import match
from ps3d.ops.overlap import count_overlap
from ps3d.structures import Panoptic, Taxonomy
from ps3d.tracking.observations import find_objects


class WindowStitcher:
    """Joins the objects of superimposed windows by their overlap in the scans that both windows hold.

    For each window, the objects of the shared scans are matched one to one with those of the window before, by
    intersection over union in elements and within a class (Aygun et al., CVPR 2021). An object that no shared scan
    shows gets a new number, and so does every object of a window that shares no scan with the one before: let windows
    overlap, and hand the result to a `Tracker` where objects may be hidden for longer than a window.
    """

    def __init__(self, taxonomy: Taxonomy, least_overlap: float = 0.1) -> None:
        """
        Args:
            least_overlap: smallest intersection over union of a match.
        """
        self.taxonomy, self.least_overlap = taxonomy, least_overlap
        self.reset()

    def reset(self) -> None:
        """Begin a sequence."""
        self._before: dict[int, Panoptic] = {}
        self._given = 0

    def update(self, window: Mapping[int, Panoptic]) -> dict[int, Panoptic]:
        """Number the objects of one window.

        Args:
            window: the labeling of each scan, by frame number; a number means the same object in all of them.

        Returns:
            The same scans with the sequence's numbers.

        Raises:
            ValueError: a shared scan with another number of elements than in the window before.
        """
        frames = list(window)
        flat = [window[frame].flatten() for frame in frames]
        joined = Panoptic(
            np.concatenate([np.zeros(0, np.uint8), *(label.semantic for label in flat)]),
            np.concatenate([np.zeros(0, np.int32), *(label.instance for label in flat)]),
        )
        objects = find_objects(joined, self.taxonomy)
        edges = np.cumsum([0, *(len(label) for label in flat)])
        places = {f: objects.place[a:b] for f, a, b in zip(frames, edges[:-1], edges[1:], strict=True)}
        number = self._match(places, objects.semantic)
        births = number == 0
        number[births] = self._given + 1 + np.arange(births.sum())
        self._given += int(births.sum())
        table = np.append(number, 0).astype(np.int32)
        self._before = {f: Panoptic(window[f].semantic, table[places[f]].reshape(window[f].shape)) for f in frames}
        return dict(self._before)

    def _match(self, places: Mapping[int, np.ndarray], semantic: Int64[np.ndarray, "objects"]) -> np.ndarray:
        """The number of each object that continues one of the window before, else 0."""
        number = np.zeros(len(semantic), np.int64)
        shared = [frame for frame in places if frame in self._before]
        if not shared:
            return number
        for frame in shared:
            if len(places[frame]) != len(self._before[frame].flatten()):
                raise ValueError(
                    f"frame {frame}: {len(places[frame])} elements, but {len(self._before[frame].flatten())} in the "
                    "window before; windows must hold the whole scans"
                )
        ours = np.concatenate([places[frame] for frame in shared]) + 1
        theirs = np.concatenate([self._before[frame].flatten().instance for frame in shared])
        their_class = np.concatenate([self._before[frame].flatten().semantic for frame in shared])
        known = np.unique(theirs[theirs > 0])
        numbers, first = np.unique(theirs, return_index=True)
        class_of = dict(zip(numbers.tolist(), their_class[first].tolist(), strict=True))
        table = count_overlap(ours, theirs)
        area = np.bincount(ours, minlength=len(semantic) + 1)
        known_area = np.bincount(np.searchsorted(known, theirs[theirs > 0]), minlength=len(known))
        score = np.zeros((len(semantic), len(known)))
        for left, right, both in zip(table.left, table.right, table.shared, strict=True):
            if left > 0 and right > 0 and class_of[int(right)] == semantic[left - 1]:
                place = np.searchsorted(known, right)
                score[left - 1, place] = both / (area[left] + known_area[place] - both)
        rows, columns = match(np.where(score >= self.least_overlap, score, 0.0))
        number[rows] = known[columns]
        return number

"""The classes of a task: names, things and stuff, colors, and the ids a data set uses on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Integer, UInt8

from ps3d.structures.panoptic import VOID


@dataclass(frozen=True)
class Category:
    """One class.

    Attributes:
        name: the field's name for it, e.g. "car".
        raw_ids: ids on disk that mean this class; the first is the one written.
        is_thing: True if single objects are told apart.
        color: RGB, 0..255, the data set's own.
    """

    name: str
    raw_ids: tuple[int, ...]
    is_thing: bool
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Taxonomy:
    """A list of classes; the place in the list is the class id and the logit channel.

    Attributes:
        name: e.g. "kitti360_scan".
        categories: the classes in order; at most 255.
        void_raw_ids: ids on disk that mean "not evaluated"; the first is the one written for VOID.
    """

    name: str
    categories: tuple[Category, ...]
    void_raw_ids: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if len(self.categories) > VOID:
            raise ValueError(f"{self.name}: {len(self.categories)} classes, at most {VOID} fit beside VOID")
        raw = [i for category in self.categories for i in category.raw_ids] + list(self.void_raw_ids)
        if twice := sorted({i for i in raw if raw.count(i) > 1}):
            raise ValueError(f"{self.name}: raw ids {twice} are listed twice")

    def __len__(self) -> int:
        return len(self.categories)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(category.name for category in self.categories)

    @cached_property
    def is_thing(self) -> Bool[np.ndarray, "classes"]:
        return np.array([category.is_thing for category in self.categories], dtype=bool)

    @cached_property
    def colors(self) -> UInt8[np.ndarray, "256 3"]:
        """Color of each class id; VOID and ids without a class are black."""
        colors = np.zeros((256, 3), np.uint8)
        colors[: len(self)] = [category.color for category in self.categories]
        return colors

    def index(self, name: str) -> int:
        """Class id of a name. Raises KeyError with the known names."""
        if name not in self.names:
            raise KeyError(f"{self.name} has no class {name!r}; it has {', '.join(self.names)}")
        return self.names.index(name)

    @cached_property
    def _class_of_raw(self) -> dict[int, int]:
        table = dict.fromkeys(self.void_raw_ids, VOID)
        for class_id, category in enumerate(self.categories):
            table.update(dict.fromkeys(category.raw_ids, class_id))
        return table

    @cached_property
    def _lookup(self) -> tuple[int, np.ndarray]:
        """(smallest raw id, table of int16: class id, VOID, or -1 for an id the taxonomy does not know)."""
        low, high = min(self._class_of_raw), max(self._class_of_raw)
        table = np.full(high - low + 1, -1, np.int16)
        for raw, class_id in self._class_of_raw.items():
            table[raw - low] = class_id
        return low, table

    def encode(self, raw: Integer[np.ndarray, "*elements"], where: str = "labels") -> UInt8[np.ndarray, "*elements"]:
        """Raw ids to class ids.

        Args:
            raw: ids as stored on disk.
            where: named in the error, e.g. the file.

        Raises:
            ValueError: an id that is neither in a class nor in `void_raw_ids`.
        """
        low, table = self._lookup
        if raw.size == 0:
            return np.zeros(raw.shape, np.uint8)
        is_inside = raw.min() >= low and raw.max() < low + len(table)
        semantic = table[raw if low == 0 else raw.astype(np.int64) - low] if is_inside else None
        if semantic is None or semantic.min() < 0:
            unknown = np.setdiff1d(raw, list(self._class_of_raw))
            raise ValueError(f"{where}: label ids {unknown[:10].tolist()} are not in the taxonomy {self.name}")
        return semantic.astype(np.uint8)

    def decode(self, semantic: UInt8[np.ndarray, "*elements"]) -> Integer[np.ndarray, "*elements"]:
        """Class ids to the raw ids one writes (int32); VOID becomes the first of `void_raw_ids`."""
        table = np.full(256, self.void_raw_ids[0], np.int32)
        table[: len(self)] = [category.raw_ids[0] for category in self.categories]
        return table[semantic]

    def thing_ids(self) -> Sequence[int]:
        """Class ids of the things."""
        return np.flatnonzero(self.is_thing).tolist()

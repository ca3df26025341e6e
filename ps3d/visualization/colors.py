"""From labels and measurements to colors of elements: class, instance, track, intensity, height."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from scipy.spatial import cKDTree

from ps3d.structures import Panoptic, Taxonomy
from ps3d.visualization.object_index import Key, index_objects
from ps3d.visualization.palettes import distance_between, instance_palette, scale_color
from ps3d.visualization.partners import find_partners

STUFF_GRAY = (105, 105, 110)
"""Color of everything without an instance where only objects are shown."""

VOID_COLOR = (44, 44, 66)
"""Color of elements without a class: in the background, and unlike the grays of buildings and poles."""


def class_colors(taxonomy: Taxonomy) -> UInt8[np.ndarray, "256 3"]:
    """The data set's color of each class id, and a visible gray for VOID."""
    colors = taxonomy.colors.copy()
    colors[len(taxonomy) :] = VOID_COLOR
    return colors


def color_by_class(panoptic: Panoptic, taxonomy: Taxonomy) -> UInt8[np.ndarray, "*elements 3"]:
    """The data set's own color of each element's class."""
    return class_colors(taxonomy)[panoptic.semantic]


def color_by_instance(
    panoptic: Panoptic, taxonomy: Taxonomy, colors: "InstanceColors | None" = None
) -> UInt8[np.ndarray, "*elements 3"]:
    """Objects in colors of their own on stuff in pale colors of its class.

    Args:
        colors: hand in the same one for all frames of a sequence; without one the color follows from the number alone.
    """
    paint = colors or InstanceColors()
    pale = (0.35 * class_colors(taxonomy) + 0.65 * np.array(STUFF_GRAY)).astype(np.uint8)
    return paint.over(pale[panoptic.semantic], panoptic, taxonomy)


def color_by_track(
    panoptic: Panoptic, taxonomy: Taxonomy, colors: "InstanceColors | None" = None
) -> UInt8[np.ndarray, "*elements 3"]:
    """Objects in the color of their track's number on plain gray."""
    gray = np.broadcast_to(np.array(STUFF_GRAY, np.uint8), (*panoptic.shape, 3)).copy()
    return (colors or InstanceColors()).over(gray, panoptic, taxonomy)


def color_by_intensity(intensity: Float[np.ndarray, "points"]) -> UInt8[np.ndarray, "points 3"]:
    """Reflectance 0..1; the square root spreads the dark end, where most returns lie."""
    return scale_color(np.sqrt(intensity.clip(0, 1)))


def color_by_height(
    xyz: Float[np.ndarray, "points 3"], low: float = -2.5, high: float = 4.0
) -> UInt8[np.ndarray, "points 3"]:
    """Height in the LiDAR frame, meters; the default spans the road to the eaves below and above a car's roof."""
    return scale_color((xyz[:, 2] - low) / (high - low))


class InstanceColors:
    """One color for each (class, number), kept through a sequence and unlike those of the objects beside it.

    An object takes the color of its number in the palette. Where positions are known (`meet`), an object seen for the
    first time takes the palette's color that differs most from its nearest neighbors', and keeps it.
    """

    def __init__(self, is_safe: bool = False) -> None:
        """
        Args:
            is_safe: colors that color-blind people tell apart as well.
        """
        self.palette = instance_palette(is_safe)
        self._gap = distance_between(self.palette, self.palette, is_safe)
        self._place: dict[Key, int] = {}
        self._partner: dict[Key, Key] = {}
        self._used = np.zeros(len(self.palette))

    def of(self, class_id: int, number: int) -> UInt8[np.ndarray, "3"]:
        """Color of one object."""
        return self.palette[self.place(class_id, number)]

    def meet(
        self, panoptic: Panoptic, taxonomy: Taxonomy, positions: Float[np.ndarray, "*elements axes"], neighbors: int = 8
    ) -> None:
        """Give colors to the objects that are new in this frame.

        Args:
            positions: meters of points, or (row, column) of pixels.
            neighbors: how many objects around must differ.
        """
        keys, centers = _centers(panoptic, taxonomy, positions)
        self._color_new(keys, centers, neighbors)

    def meet_beside(
        self,
        panoptic: Panoptic,
        taxonomy: Taxonomy,
        positions: Float[np.ndarray, "*elements axes"],
        truth: Panoptic,
        truth_colors: "InstanceColors",
        is_for_good: bool = False,
        neighbors: int = 8,
    ) -> None:
        """`meet` for predicted objects that are shown beside the truth: each gets the color of the one it stands for.

        That is the object of the truth with which it shares most elements, whatever its class. The others get colors
        unlike those around them in both labelings.

        Args:
            truth_colors: what has met the truth of this frame.
            is_for_good: an object keeps its first color, and no other one gets it, so that a track that passes from
                one object to another is seen. Otherwise the color follows the object that it stands for now.
        """
        taken = set(self._partner.values()) if is_for_good else frozenset()
        partners = find_partners(panoptic, truth, taxonomy, self._partner, taken)
        keys, centers = _centers(panoptic, taxonomy, positions)
        now = set(partners.values())
        for key in keys:
            if is_for_good and key in self._place:
                continue
            if key in partners:
                self._partner[key] = partners[key]
                self._place[key] = truth_colors.place(*partners[key])
            elif self._partner.get(key) in now:
                # Another one stands for its partner now.
                del self._partner[key], self._place[key]
        others, other_centers = _centers(truth, taxonomy, positions)
        places = [truth_colors.place(*key) for key in others]
        self._color_new(keys, centers, 2 * neighbors, places, other_centers)

    def place(self, class_id: int, number: int) -> int:
        """Place of an object's color in the palette."""
        return self._place.get((class_id, number), number % len(self.palette))

    def _color_new(
        self,
        keys: list[Key],
        centers: np.ndarray,
        neighbors: int,
        other_places: Sequence[int] = (),
        other_centers: np.ndarray | None = None,
    ) -> None:
        """Choose colors for the objects without one, unlike those of the objects around and of others beside them."""
        if all(key in self._place for key in keys):
            return
        everything = centers if other_centers is None else np.concatenate([centers, other_centers])
        near = cKDTree(everything).query(centers, k=min(neighbors + 1, len(everything)))[1].reshape(len(keys), -1)
        for i, key in enumerate(keys):
            if key not in self._place:
                mine = [self._place[keys[j]] for j in near[i] if j < len(keys) and keys[j] in self._place]
                theirs = [other_places[j - len(keys)] for j in near[i] if j >= len(keys)]
                self._place[key] = self._choose(key[1], mine + theirs)

    def over(
        self, background: UInt8[np.ndarray, "*elements 3"], panoptic: Panoptic, taxonomy: Taxonomy
    ) -> UInt8[np.ndarray, "*elements 3"]:
        """Paint the objects over a background; things that nobody separated keep the background."""
        index = index_objects(panoptic, taxonomy)
        painted = background.copy()
        if index.keys:
            paint = np.stack([self.of(*key) for key in index.keys])
            painted.reshape(-1, 3)[index.elements] = paint[index.owner]
        return painted

    def _choose(self, number: int, around: list[int]) -> int:
        own = number % len(self.palette)
        if not around:
            choice = own
        else:
            gap = self._gap[:, around].min(1)
            # Anything clearly different will do: then prefer what is rare, then the number's own color.
            score = np.minimum(gap, 0.25) - 0.01 * self._used
            score[own] += 0.005
            choice = int(score.argmax())
        self._used[choice] += 1
        return choice


def _centers(panoptic: Panoptic, taxonomy: Taxonomy, positions: np.ndarray) -> tuple[list[Key], np.ndarray]:
    """(class, number) of each object and the mean position of its elements."""
    index = index_objects(panoptic, taxonomy)
    positions = positions.reshape(-1, positions.shape[-1])
    sums = [np.bincount(index.owner, axis[index.elements], len(index.keys)) for axis in positions.T]
    count = np.bincount(index.owner, minlength=len(index.keys))
    return index.keys, np.stack(sums, -1) / np.maximum(count, 1)[:, None]

"""Small pictures around near objects, cut out of large ones: a data set that is learned by heart within minutes."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from ps3d.structures import NO_INSTANCE, VOID, Frame, Image, Panoptic, Sequence, Taxonomy


def cut_around_objects(
    drive: Sequence, size: tuple[int, int] = (96, 128), smallest: int = 64, thinnest: int = 5, most_void: float = 0.15
) -> Iterator[Frame]:
    """One window of each picture that shows a near object beside others: the one with the fewest segments.

    Args:
        drive: with one picture and its labels per frame, in which an object keeps its number.
        size: (rows, columns) of the windows.
        smallest, thinnest: of the segments, see `void_small_parts`; what is less becomes VOID in the labels.
        most_void: windows with a larger share of VOID are not taken.

    Yields:
        Frames whose one picture is the window, no two of them around the same object. Pictures without a fitting window
        are left out.
    """
    used: set[int] = set()
    for frame in drive:
        ((camera, image),) = frame.images.items()
        label = frame.truth[camera]
        found = []
        for number, rows, columns in _windows(label, drive.taxonomy, size):
            part = Panoptic(label.semantic[rows, columns], label.instance[rows, columns])
            part = void_small_parts(part, drive.taxonomy, smallest, thinnest)
            things = len(np.unique(part.instance[part.instance != NO_INSTANCE]))
            void = float((part.semantic == VOID).mean())
            if number not in used and things > 1 and void <= most_void:
                found.append((things + len(np.unique(part.semantic)), void, number, rows, columns, part))
        if found:
            *_, number, rows, columns, part = min(found, key=lambda entry: entry[:3])
            used.add(number)
            cut = Image(np.ascontiguousarray(image.rgb[rows, columns]))
            yield replace(frame, images={camera: cut}, truth={camera: part}, scan=None)


def _windows(label: Panoptic, taxonomy: Taxonomy, size: tuple[int, int]) -> Iterator[tuple[int, slice, slice]]:
    """(object, rows, columns) around each object that covers from a twentieth to half of a window."""
    area = size[0] * size[1]
    is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[label.semantic]
    numbers, counts = np.unique(label.instance[is_thing & (label.instance != NO_INSTANCE)], return_counts=True)
    for number in numbers[(counts >= area / 20) & (counts <= area / 2)]:
        places = np.nonzero(label.instance == number)
        top, left = (
            int(np.clip((place.min() + place.max() + 1 - side) // 2, 0, max(0, whole - side)))
            for place, side, whole in zip(places, size, label.shape, strict=True)
        )
        yield int(number), slice(top, top + size[0]), slice(left, left + size[1])


def void_small_parts(label: Panoptic, taxonomy: Taxonomy, smallest: int, thinnest: int) -> Panoptic:
    """The label without thin parts of segments, without segments of few pixels, and without things that have no number.

    Args:
        smallest: pixels that a segment has at least.
        thinnest: side of the squares that every part of a segment can be made of, odd.
    """
    is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[label.semantic]
    number = np.where(is_thing, label.instance, NO_INSTANCE).astype(np.int64)
    key = number << 8 | label.semantic
    is_inside = minimum_filter(key, thinnest) == maximum_filter(key, thinnest)
    key = np.where(maximum_filter(is_inside, thinnest), key, VOID)
    _, place, count = np.unique(key, return_inverse=True, return_counts=True)
    is_small = count[place.reshape(key.shape)] < smallest
    is_crowd = is_thing & (number == NO_INSTANCE)
    semantic = np.where(is_small | is_crowd, VOID, key & 255).astype(np.uint8)
    return Panoptic(semantic, np.where(semantic == VOID, NO_INSTANCE, number).astype(np.int32))

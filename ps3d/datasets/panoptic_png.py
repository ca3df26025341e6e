"""Panoptic labels as pictures: three encodings of a class and a number in the colors of a PNG.

step   R = class, 255 void; number = 256 G + B                  (KITTI-STEP; our own predictions and folders)
coco   segment id = R + 256 G + 65536 B, 0 void; the class is in a JSON beside it   (COCO, ADE20K, Vistas, VIPSeg)
ids    16-bit gray: class * 1000 + number, or the class alone      (Cityscapes, KITTI-360)
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int32, Integer, UInt8

from ps3d.datasets.kitti360_files import read_png, write_png
from ps3d.structures import NO_INSTANCE, VOID, Frame, Panoptic, Sequence, Taxonomy

MOST_OBJECTS = 65535
"""Numbers that fit the step encoding."""


def prediction_path(out: str | Path, drive: Sequence, frame: Frame) -> Path:
    """`<out>/<sequence>/labels/<name of the picture>.png`, where predictions in the step encoding lie."""
    name = Path(frame.source).stem if frame.source else f"{frame.index:010d}"
    return Path(out) / drive.name / "labels" / f"{name}.png"


def read_step(path: str | Path, taxonomy: Taxonomy | None = None) -> Panoptic:
    """A label in the step encoding; without a taxonomy R is the class id itself.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, not RGB, or a class that the taxonomy does not know.
    """
    rgb = _read_rgb(path)
    semantic = rgb[..., 0] if taxonomy is None else taxonomy.encode(rgb[..., 0], str(path))
    number = rgb[..., 1].astype(np.int32) << 8 | rgb[..., 2]
    return Panoptic(np.ascontiguousarray(semantic), np.where(semantic == VOID, NO_INSTANCE, number).astype(np.int32))


def write_step(path: str | Path, panoptic: Panoptic, taxonomy: Taxonomy | None = None) -> None:
    """Write a label in the step encoding.

    Raises:
        ValueError: a number beyond 65535, or a raw id beyond 255.
    """
    if panoptic.instance.size and int(panoptic.instance.max()) > MOST_OBJECTS:
        raise ValueError(f"{path}: number {panoptic.instance.max()} does not fit 16 bits; renumber the objects first")
    raw = panoptic.semantic if taxonomy is None else taxonomy.decode(panoptic.semantic)
    if raw.size and int(raw.max()) > 255:
        raise ValueError(f"{path}: raw id {raw.max()} does not fit 8 bits")
    channels = [raw, panoptic.instance >> 8, panoptic.instance & 255]
    write_png(path, np.stack(channels, axis=-1).astype(np.uint8))


def read_segment_ids(path: str | Path) -> Int32[np.ndarray, "height width"]:
    """Segment ids of the coco encoding.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged or not RGB.
    """
    rgb = _read_rgb(path).astype(np.int32)
    return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


def write_segment_ids(path: str | Path, ids: Integer[np.ndarray, "height width"]) -> None:
    """Write segment ids (below 2**24) in the coco encoding."""
    channels = [ids & 255, ids >> 8 & 255, ids >> 16 & 255]
    write_png(path, np.stack(channels, axis=-1).astype(np.uint8))


def number_segments(panoptic: Panoptic, taxonomy: Taxonomy) -> tuple[Int32[np.ndarray, "height width"], list[int]]:
    """(segment ids, class of each id from 1 on) of a labeling: one per object, one per stuff class, 0 = void."""
    is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[panoptic.semantic]
    key = panoptic.semantic.astype(np.int64) << 32 | np.where(is_thing, panoptic.instance, NO_INSTANCE)
    keys, place = np.unique(key, return_inverse=True)
    classes = [int(k >> 32) for k in keys if k >> 32 != VOID]
    # Void has the largest key, so it is the last.
    ids = np.where(np.arange(len(keys)) < len(classes), np.arange(1, len(keys) + 1), 0).astype(np.int32)
    return ids[place.reshape(panoptic.shape)], classes


def label_from_segments(
    ids: Int32[np.ndarray, "height width"],
    class_of: dict[int, int],
    crowds: set[int],
    taxonomy: Taxonomy,
    where: str,
) -> Panoptic:
    """A labeling from segment ids and their classes. Crowds keep their class and have no number.

    Args:
        class_of: class id (or VOID) of each segment id.

    Raises:
        ValueError: an id in the picture that has no class; the message starts with `where`.
    """
    found, place = np.unique(ids, return_inverse=True)
    if unknown := [int(i) for i in found if i and int(i) not in class_of]:
        raise ValueError(f"{where}: segments {unknown[:5]} are in the picture but not in the JSON")
    semantic = np.array([class_of[int(i)] if i else VOID for i in found], np.uint8)
    things = set(taxonomy.thing_ids())
    is_object = np.array(
        [int(s) in things and int(i) not in crowds for i, s in zip(found, semantic, strict=True)], bool
    )
    instance = np.where(is_object, np.cumsum(is_object), NO_INSTANCE).astype(np.int32)
    place = place.reshape(ids.shape)
    return Panoptic(semantic[place], instance[place])


def _read_rgb(path: str | Path) -> UInt8[np.ndarray, "height width 3"]:
    rgb = read_png(path)
    if rgb.ndim != 3:
        raise ValueError(f"{path}: one channel, but panoptic labels have three (red, green, blue)")
    return rgb

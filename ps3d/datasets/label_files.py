"""`.label` files, one number per point of a scan, in SemanticKITTI's format.

Each number is a little-endian uint32: the lower 16 bits hold the data set's raw class id, the upper 16 bits the
object's number (0 = none).
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int32, Integer

from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import Panoptic, Taxonomy

LARGEST = 0xFFFF
"""Largest class id and largest object number that a .label file can hold."""


def read_labels(
    path: str | Path, points: int | None = None
) -> tuple[Int32[np.ndarray, "points"], Int32[np.ndarray, "points"]]:
    """(raw class id, object number) of each point.

    Args:
        points: number of points of the scan; another number of labels is an error.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a torn file, or one of another scan.
    """
    path = Path(path)
    size = path.stat().st_size
    if size % 4:
        raise ValueError(f"{path}: {size} bytes is no multiple of 4, the file is cut off; write or download it again")
    packed = np.fromfile(path, "<u4")
    if points is not None and len(packed) != points:
        raise ValueError(
            f"{path}: {len(packed)} labels for a scan of {points} points; these labels are of another scan"
        )
    return (packed & LARGEST).astype(np.int32), (packed >> 16).astype(np.int32)


def write_labels(
    path: str | Path, raw_semantic: Integer[np.ndarray, "points"], instance: Integer[np.ndarray, "points"]
) -> None:
    """Write raw class ids and object numbers, each 0..65535.

    Raises:
        ValueError: arrays of different length, or a number that does not fit.
    """
    if len(raw_semantic) != len(instance):
        raise ValueError(f"{path}: {len(raw_semantic)} class ids but {len(instance)} object numbers")
    for name, values in (("class id", raw_semantic), ("object number", instance)):
        if len(values) and (values.min() < 0 or values.max() > LARGEST):
            raise ValueError(f"{path}: {name}s {values.min()}..{values.max()} do not fit into 0..{LARGEST}")
    packed = raw_semantic.astype(np.uint32) | (instance.astype(np.uint32) << np.uint32(16))
    with atomic_write(path) as name:
        packed.astype("<u4").tofile(name)


def write_panoptic(path: str | Path, panoptic: Panoptic, taxonomy: Taxonomy) -> None:
    """Write a labeling with the raw ids of its taxonomy; for large object numbers see `fold_instances`.

    Raises:
        ValueError: two objects of one class would get the same number.
    """
    write_labels(path, taxonomy.decode(panoptic.semantic), fold_instances(panoptic, str(path)))


def fold_instances(panoptic: Panoptic, where: str) -> Int32[np.ndarray, "points"]:
    """Object numbers that fit into 16 bits: larger ones keep their lower 16, as SemanticKITTI's reader put them there.

    Raises:
        ValueError: two objects of one class would get the same number; the message starts with `where`.
    """
    folded = panoptic.instance & LARGEST
    if len(panoptic) and panoptic.instance.max() > LARGEST:
        segments = np.unique(np.stack([panoptic.semantic.astype(np.int64), panoptic.instance], 1), axis=0)
        kept = np.unique(np.stack([segments[:, 0], segments[:, 1] & LARGEST], 1), axis=0)
        if len(kept) != len(segments):
            raise ValueError(f"{where}: object numbers above {LARGEST} would merge; number objects from 1")
    return folded

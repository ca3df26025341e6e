"""Cityscapes: pictures and fine labels, one sequence per city; also copies without split and city folders.

Without instanceIds the panoptic pictures of `csCreatePanopticImgs` are read, whose segment ids are the same numbers.
"""

from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360_files import read_png, write_png
from ps3d.datasets.kitti360_labels import LABELS
from ps3d.datasets.panoptic_folder import read_picture
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.structures import NO_INSTANCE, Calibration, Category, Frame, Image, Panoptic, Taxonomy

CAMERA = "camera"
PER_LABEL = 1000
_THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
_IMAGE, _LABELS = "_leftImg8bit", ("_gtFine_panoptic", "_gtFine_instanceIds")


def _make_taxonomy() -> Taxonomy:
    """The 19 evaluated classes in the order of their train ids; KITTI-360 took its first 34 labels from Cityscapes."""
    # KITTI-360 counts gates and garages to fence and building; Cityscapes has neither.
    rows = sorted((label for label in LABELS if 0 <= label.train_id < 255 and label.id < 34), key=lambda x: x.train_id)
    categories = tuple(Category(row.name, (row.id,), row.name in _THINGS, row.color) for row in rows)
    used = {row.id for row in rows}
    return Taxonomy("cityscapes", categories, tuple(i for i in range(-1, 34) if i not in used and i >= 0))


CITYSCAPES = _make_taxonomy()
"""Raw ids are Cityscapes' label ids; caravan and trailer are void."""


class Cityscapes(PictureSequence):
    """The pictures of one city; a `ps3d.structures.Sequence`."""

    def __init__(self, root: str | Path, city: str, split: str = "", taxonomy: Taxonomy = CITYSCAPES) -> None:
        """
        Args:
            root: holds leftImg8bit/ and gtFine/.
            split: train, val or test; empty = wherever the city's pictures lie.

        Raises:
            FileNotFoundError: no pictures of this city.
        """
        self.root, self.name, self.taxonomy, self.calibration = Path(root), city, taxonomy, Calibration()
        images = self.root / "leftImg8bit" / split
        self.files = sorted(images.rglob(f"{city}_*{_IMAGE}.png"))
        if not self.files:
            raise FileNotFoundError(f"{images}: no pictures of {city!r}; there are {', '.join(find_cities(root))}")
        labels = self.root / "gtFine"
        self._labels: dict[str, Path] = {}
        for ending, folder in zip(_LABELS, (labels, labels / split), strict=True):
            self._labels |= {p.name.removesuffix(f"{ending}.png"): p for p in folder.rglob(f"{city}_*{ending}.png")}

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, named.
        """
        path = self.files[position]
        label = self._labels.get(path.name.removesuffix(f"{_IMAGE}.png"))
        truth = {} if label is None else {CAMERA: read_cityscapes_label(label, self.taxonomy)}
        return Frame(
            position, float(position), images={CAMERA: Image(read_picture(path))}, truth=truth, source=str(path)
        )


def find_cities(root: str | Path) -> list[str]:
    """Names of the cities under leftImg8bit/."""
    found = (Path(root) / "leftImg8bit").rglob(f"*{_IMAGE}.png")
    return sorted({path.name.split("_")[0] for path in found})


def read_cityscapes_label(path: str | Path, taxonomy: Taxonomy = CITYSCAPES) -> Panoptic:
    """An instanceIds picture: a label id (stuff; of a thing: a group, which is a crowd), or label id * 1000 + n.

    Objects keep the file's value as their number. A panoptic picture has the same values as R + 256 G + 65536 B.

    Raises:
        ValueError: damaged, or a label id that the taxonomy does not know.
    """
    value = read_png(path).astype(np.int32)
    if value.ndim == 3:
        value = value @ np.array([1, 256, 65536], np.int32)
    is_object = value >= PER_LABEL
    semantic = taxonomy.encode(np.where(is_object, value // PER_LABEL, value), str(path))
    is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[semantic]
    return Panoptic(semantic, np.where(is_object & is_thing, value, NO_INSTANCE).astype(np.int32))


def write_cityscapes_label(path: str | Path, panoptic: Panoptic, taxonomy: Taxonomy = CITYSCAPES) -> None:
    """Write an instanceIds picture (16 bits); objects are numbered from 0 in each class, in the order of their numbers.

    Raises:
        ValueError: more than 1000 objects of a class.
    """
    value = taxonomy.decode(panoptic.semantic).astype(np.int32)
    for class_id in taxonomy.thing_ids():
        member = (panoptic.semantic == class_id) & (panoptic.instance > 0)
        numbers, place = np.unique(panoptic.instance[member], return_inverse=True)
        if len(numbers) > PER_LABEL:
            raise ValueError(f"{path}: {len(numbers)} objects of {taxonomy.names[class_id]}, at most {PER_LABEL} fit")
        value[member] = value[member] * PER_LABEL + place.reshape(-1)
    write_png(path, value.astype(np.uint16))

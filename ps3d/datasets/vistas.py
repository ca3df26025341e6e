"""Mapillary Vistas as it is downloaded, versions 1.2 and 2.0.

    ROOT/config_v2.0.json                            labels: name, readable, instances, evaluate, color; place = label
    ROOT/SPLIT/images/KEY.jpg
    ROOT/SPLIT/v2.0/instances/KEY.png                16 bits: 256 * label + number of the object in its class, from 0
    ROOT/SPLIT/v2.0/labels/KEY.png                   8 bits: label

Labels that are not evaluated are VOID. Older copies lack the folder of the version. The official panoptic files (a JSON
beside PNGs) are read by `CocoPanoptic`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ps3d.datasets.json_file import read_json
from ps3d.datasets.kitti360_files import read_png, write_png
from ps3d.datasets.panoptic_folder import CAMERA, find_pictures, read_picture
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import NO_INSTANCE, VOID, Calibration, Category, Frame, Image, Panoptic, Taxonomy

PER_LABEL = 256


class Vistas(PictureSequence):
    """The pictures of one split; a `ps3d.structures.Sequence`."""

    def __init__(self, root: str | Path, split: str, version: str = "", taxonomy: Taxonomy | None = None) -> None:
        """
        Args:
            root: holds config_*.json and the splits.
            split: training, validation or testing.
            version: v2.0 or v1.2; empty = the newest that the root has a config of.
            taxonomy: None = the evaluated labels of the config.

        Raises:
            FileNotFoundError: no config, or no pictures.
        """
        self.root, self.name, self.calibration = Path(root), split, Calibration()
        config = find_config(self.root, version)
        self.taxonomy = taxonomy or read_vistas_classes(config)
        version = config.stem.removeprefix("config").removeprefix("_")
        folder = self.root / split
        self._labels = folder / version if (folder / version).is_dir() else folder
        self.files = find_pictures(folder / "images")
        if not self.files:
            raise FileNotFoundError(f"{folder / 'images'}: no pictures")

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, or a label that the config does not have.
        """
        path = self.files[position]
        label = self._labels / "instances" / f"{path.stem}.png"
        truth = {CAMERA: read_vistas_label(label, self.taxonomy)} if label.exists() else {}
        return Frame(
            position, float(position), images={CAMERA: Image(read_picture(path))}, truth=truth, source=str(path)
        )


def find_config(root: str | Path, version: str = "") -> Path:
    """The config of a version, or the newest.

    Raises:
        FileNotFoundError: there is none.
    """
    found = sorted(Path(root).glob(f"config*{version}.json"))
    if not found:
        raise FileNotFoundError(f"{root}: no config_{version or 'v2.0'}.json; it comes with Mapillary Vistas")
    return found[-1]


def find_vistas_splits(root: str | Path) -> list[str]:
    """Names of the folders with pictures."""
    return [path.parent.name for path in sorted(Path(root).glob("*/images")) if path.is_dir()]


def read_vistas_classes(config: str | Path) -> Taxonomy:
    """The evaluated labels; raw ids are places in the config, all other labels are void.

    Raises:
        ValueError: no list of labels.
    """
    path = Path(config)
    labels: list[dict[str, Any]] = read_json(path).get("labels", [])
    if not labels or not all({"name", "instances"} <= label.keys() for label in labels):
        raise ValueError(f"{path}: no list of labels with name and instances")
    names = [label.get("readable", label["name"]) for label in labels]
    if len(set(names)) < len(names):
        names = [label["name"] for label in labels]
    categories = []
    for place, (name, label) in enumerate(zip(names, labels, strict=True)):
        if label.get("evaluate", True):
            red, green, blue = label.get("color", (128, 128, 128))[:3]
            categories.append(Category(name, (place,), bool(label["instances"]), (red, green, blue)))
    void = tuple(place for place, label in enumerate(labels) if not label.get("evaluate", True))
    return Taxonomy("vistas", tuple(categories), void or (len(labels),))


def read_vistas_label(path: str | Path, taxonomy: Taxonomy) -> Panoptic:
    """A map of instances. The number of an object is the file's value + 1; Vistas' raw maps have no crowds.

    Raises:
        ValueError: damaged, or an unknown label.
    """
    value = read_png(path).astype(np.int32)
    if value.ndim != 2:
        raise ValueError(f"{path}: three channels; maps of instances have one of 16 bits")
    semantic = taxonomy.encode(value // PER_LABEL, str(path))
    is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[semantic]
    return Panoptic(semantic, np.where(is_thing, value + 1, NO_INSTANCE).astype(np.int32))


def write_vistas_classes(root: str | Path, taxonomy: Taxonomy, version: str = "v2.0") -> None:
    """Write the config; raw ids that no class has become labels that are not evaluated."""
    class_of = {c.raw_ids[0]: c for c in taxonomy.categories}
    labels = []
    for raw in range(max([*class_of, *taxonomy.void_raw_ids]) + 1):
        category = class_of.get(raw, Category(f"void {raw}", (raw,), False, (0, 0, 0)))
        labels.append(
            {
                "name": category.name,
                "readable": category.name,
                "instances": category.is_thing,
                "evaluate": raw in class_of,
                "color": list(category.color),
            }
        )
    with atomic_write(Path(root) / f"config_{version}.json") as temporary:
        temporary.write_text(json.dumps({"labels": labels, "version": version}, indent=1), encoding="utf-8")


def write_vistas_label(
    root: str | Path, split: str, key: str, panoptic: Panoptic, taxonomy: Taxonomy, version: str = "v2.0"
) -> None:
    """Write the maps of instances and of labels of a picture; objects are numbered from 0 in each class.

    Crowds become void, which the format has in their place.

    Raises:
        ValueError: more than 256 objects of a class.
    """
    semantic = panoptic.semantic.copy()
    number = np.zeros(panoptic.shape, np.int32)
    for class_id in taxonomy.thing_ids():
        member = semantic == class_id
        semantic[member & (panoptic.instance == NO_INSTANCE)] = VOID
        member &= panoptic.instance > 0
        numbers, place = np.unique(panoptic.instance[member], return_inverse=True)
        if len(numbers) > PER_LABEL:
            raise ValueError(f"{key}: {len(numbers)} objects of {taxonomy.names[class_id]}, at most {PER_LABEL} fit")
        number[member] = place.reshape(-1)
    raw = taxonomy.decode(semantic)
    folder = Path(root) / split / version
    write_png(folder / "instances" / f"{key}.png", (raw * PER_LABEL + number).astype(np.uint16))
    write_png(folder / "labels" / f"{key}.png", raw.astype(np.uint8))

"""ADE20K as it is downloaded: SceneParse150's maps of 150 classes and the instance maps of 100 of them.

    ROOT/objectInfo150.txt or .csv                   number and name of each of the 150 classes
    ROOT/categoryMapping.txt                         which of the 100 instance classes is which of the 150
    ROOT/images/SPLIT/NAME.jpg
    ROOT/annotations/SPLIT/NAME.png                  8 bits: 0 = other, 1..150
    ROOT/annotations_instance/SPLIT/NAME.png         RGB: R = instance class 1..100, G = number of the object from 1

The 100 instance classes are the things. A thing's pixel that no object claims is VOID, as in the official panoptic
files. Those (a JSON beside PNGs) are read by `CocoPanoptic`.
"""

import csv
from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360_files import read_png, write_png
from ps3d.datasets.panoptic_folder import CAMERA, find_pictures, read_picture
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import NO_INSTANCE, VOID, Calibration, Category, Frame, Image, Panoptic, Taxonomy

NAMES = ("objectInfo150.csv", "objectInfo150.txt")
MAPPING = "categoryMapping.txt"
MOST_OBJECTS = 255
"""Of one class in one picture; the number has a byte."""


class Ade20k(PictureSequence):
    """The pictures of one split; a `ps3d.structures.Sequence`."""

    def __init__(self, root: str | Path, split: str = "", taxonomy: Taxonomy | None = None) -> None:
        """
        Args:
            root: holds images/, annotations/ and perhaps annotations_instance/.
            split: training or validation; empty = pictures that lie in images/ itself.
            taxonomy: None = `read_ade20k_classes` of the root.

        Raises:
            FileNotFoundError: no pictures, or no table of classes.
        """
        self.root, self.split, self.name, self.calibration = Path(root), split, split or "ade20k", Calibration()
        self.taxonomy = taxonomy or read_ade20k_classes(self.root)
        self._thing_of = read_mapping(self.root) if find_table(self.root, (MAPPING,)) else {}
        images = self.root / "images" / split
        self.files = find_pictures(images)
        if not self.files:
            raise FileNotFoundError(
                f"{images}: no pictures; the splits are {', '.join(find_splits(root)) or 'missing'}"
            )

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, or a class that the tables do not list.
        """
        path = self.files[position]
        semantic = self.root / "annotations" / self.split / f"{path.stem}.png"
        objects: Path | None = self.root / "annotations_instance" / self.split / f"{path.stem}.png"
        truth = {}
        if semantic.exists():
            objects = objects if objects.exists() else None
            truth[CAMERA] = read_ade20k_label(semantic, objects, self.taxonomy, self._thing_of)
        return Frame(
            position, float(position), images={CAMERA: Image(read_picture(path))}, truth=truth, source=str(path)
        )


def find_splits(root: str | Path) -> list[str]:
    """Names of the folders under images/; one empty name if pictures lie in images/ itself."""
    images = Path(root) / "images"
    splits = sorted(folder.name for folder in images.glob("*") if folder.is_dir())
    return splits or ([""] if find_pictures(images) else [])


def find_table(root: Path, names: tuple[str, ...]) -> Path | None:
    """A table of the data set, in its root or one folder above."""
    return next((folder / name for folder in (root, root.parent) for name in names if (folder / name).is_file()), None)


def read_ade20k_classes(root: str | Path) -> Taxonomy:
    """The 150 classes; raw ids are 1..150, things are the classes in categoryMapping.txt.

    Without that file (semantic labels alone) no class is a thing.

    Raises:
        FileNotFoundError: no objectInfo150.
        ValueError: it has no columns Idx and Name.
    """
    root = Path(root)
    path = find_table(root, NAMES)
    if path is None:
        raise FileNotFoundError(f"{root}: neither {' nor '.join(NAMES)}; it comes with ADEChallengeData2016")
    things = set(read_mapping(root).values()) if find_table(root, (MAPPING,)) else set()
    text = path.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(text, delimiter="\t" if "\t" in text[0] else ","))
    if not rows or not {"Idx", "Name"} <= rows[0].keys():
        raise ValueError(f"{path}: no columns Idx and Name")
    palette = np.random.default_rng(7).integers(40, 240, (len(rows), 3)).tolist()
    categories = []
    for row, (red, green, blue) in zip(rows, palette, strict=True):
        number, name = int(row["Idx"]), row["Name"].split(";")[0].split(",")[0].strip()
        categories.append(Category(name, (number,), number in things, (red, green, blue)))
    return Taxonomy("ade20k", tuple(categories))


def read_mapping(root: str | Path) -> dict[int, int]:
    """SceneParse150's number of each instance class.

    Raises:
        FileNotFoundError: no categoryMapping.txt.
        ValueError: a line that does not begin with two numbers.
    """
    path = find_table(Path(root), (MAPPING,))
    if path is None:
        raise FileNotFoundError(f"{root}: no {MAPPING}; it comes with the instance annotations")
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line[:1].isdigit()]
    if not lines or any(len(words) < 2 or not words[1].isdigit() for words in lines):
        raise ValueError(f"{path}: expected lines `instance class, class of 150, ...`")
    return {int(words[0]): int(words[1]) for words in lines}


def read_ade20k_label(
    semantic: str | Path, objects: str | Path | None, taxonomy: Taxonomy, thing_of: dict[int, int]
) -> Panoptic:
    """Stuff of the semantic map, objects of the instance map over it.

    Args:
        objects: None = no instance map; things are crowds then.
        thing_of: `read_mapping`.

    Raises:
        ValueError: damaged, sizes that differ, or an unknown class.
    """
    raw = read_png(semantic)
    if raw.ndim != 2:
        raise ValueError(f"{semantic}: three channels; semantic maps have one")
    classes = taxonomy.encode(raw, str(semantic))
    instance = np.full(raw.shape, NO_INSTANCE, np.int32)
    if objects is None:
        return Panoptic(classes, instance)
    rgb = read_png(objects)
    if rgb.shape != (*raw.shape, 3):
        raise ValueError(f"{objects}: {rgb.shape} values, but {semantic} has {raw.shape} pixels; RGB is expected")
    classes[np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[classes]] = VOID
    is_object = rgb[..., 1] > 0
    kind = rgb[..., 0][is_object].astype(np.int64)
    if unknown := [int(k) for k in np.unique(kind) if int(k) not in thing_of]:
        raise ValueError(f"{objects}: instance classes {unknown[:5]} are not in {MAPPING}")
    table = np.zeros(256, np.int64)
    table[list(thing_of)] = list(thing_of.values())
    classes[is_object] = taxonomy.encode(table[kind], str(objects))
    _, number = np.unique(kind << 8 | rgb[..., 1][is_object], return_inverse=True)
    instance[is_object] = number.reshape(-1) + 1
    return Panoptic(classes, instance)


def write_ade20k_classes(root: str | Path, taxonomy: Taxonomy) -> None:
    """Write objectInfo150.csv and categoryMapping.txt; things are instance classes 1, 2, ... in their order."""
    table = ["Idx,Ratio,Train,Val,Stuff,Name"]
    table += [f"{c.raw_ids[0]},0,0,0,{int(not c.is_thing)},{c.name}" for c in taxonomy.categories]
    things = [c for c in taxonomy.categories if c.is_thing]
    mapping = ["Instance100\tSceneParse150\tFullADE20K"]
    mapping += [f"{place}\t{c.raw_ids[0]}\t0" for place, c in enumerate(things, 1)]
    for name, lines in ((NAMES[0], table), (MAPPING, mapping)):
        with atomic_write(Path(root) / name) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_ade20k_label(root: str | Path, split: str, name: str, panoptic: Panoptic, taxonomy: Taxonomy) -> None:
    """Write both maps of a picture beside tables that `write_ade20k_classes` wrote or that came with the data.

    Objects are numbered from 1 in each class. Crowds are in the semantic map alone, so they are read as VOID.

    Raises:
        ValueError: more than 255 objects of a class.
    """
    kinds = {raw: kind for kind, raw in read_mapping(root).items()}
    rgb = np.zeros((*panoptic.shape, 3), np.uint8)
    for class_id in taxonomy.thing_ids():
        member = (panoptic.semantic == class_id) & (panoptic.instance > 0)
        numbers, place = np.unique(panoptic.instance[member], return_inverse=True)
        if len(numbers) > MOST_OBJECTS:
            raise ValueError(
                f"{name}: {len(numbers)} objects of {taxonomy.names[class_id]}, at most {MOST_OBJECTS} fit"
            )
        if len(numbers):
            rgb[member, 0] = kinds[taxonomy.categories[class_id].raw_ids[0]]
            rgb[member, 1] = place.reshape(-1) + 1
    semantic = taxonomy.decode(panoptic.semantic).astype(np.uint8)
    write_png(Path(root) / "annotations" / split / f"{name}.png", semantic)
    write_png(Path(root) / "annotations_instance" / split / f"{name}.png", rgb)

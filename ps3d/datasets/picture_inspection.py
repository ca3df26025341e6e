"""What a data set of pictures holds and what is wrong with its labels; made for own folders, good for all others."""

from pathlib import Path

import numpy as np

from ps3d.datasets.findings import DAMAGED, MISSING, Inventory
from ps3d.datasets.panoptic_folder import CLASSES, PanopticFolder, read_classes
from ps3d.datasets.picture_opening import open_pictures
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.structures import Frame, Taxonomy
from ps3d.structures import Sequence as Drive

SAMPLE = 200
"""Pictures of a sequence that are read unless all are asked for."""


def check_folder(root: str | Path) -> list[str]:
    """What is wrong with a folder of own pictures: every mistake of every label, readable; empty = all is well."""
    findings = inspect_pictures(Path(root), deep=True).findings
    return [f"{f.path}: {f.message}" for f in findings if f.severity in (DAMAGED, MISSING)]


def inspect_pictures(root: Path, deep: bool = False) -> Inventory:
    """Look at the pictures and labels at a path.

    Args:
        deep: read every picture instead of an even sample of each sequence.

    Raises:
        FileNotFoundError: no pictures there.
    """
    inventory = Inventory("own folder of pictures" if (root / CLASSES).exists() else "pictures")
    if (root / CLASSES).exists() and inventory.attempt(root / CLASSES, lambda path: read_classes(path.parent)) is None:
        return inventory
    try:
        drives = open_pictures(root)
    except ValueError as error:  # a damaged list of pictures or classes; the message names it
        inventory.damaged(root, str(error))
        return inventory
    _check_classes(inventory, root, drives[0].taxonomy)
    labeled = sum(_check_drive(inventory, root, drive, deep) for drive in drives)
    pictures = {"pictures": any(len(drive) for drive in drives)}
    inventory.can("tools/predict.py with an image checkpoint", pictures)
    inventory.can("tools/train_image.py", {**pictures, "labels": labeled > 0})
    return inventory


def _check_classes(inventory: Inventory, root: Path, taxonomy: Taxonomy) -> None:
    things = int(taxonomy.is_thing.sum())
    inventory.hold("classes", f"{len(taxonomy)}, {things} of them things")
    twice = sorted({name for name in taxonomy.names if taxonomy.names.count(name) > 1})
    if twice and (root / CLASSES).exists():
        inventory.damaged(root / CLASSES, f"{', '.join(twice)}: listed twice; give every class a name of its own")
    if not things:
        inventory.note(root, "no class is a thing, so no objects are told apart; is_thing: true makes one")


def _check_drive(inventory: Inventory, root: Path, drive: Drive, deep: bool) -> int:
    """Check one sequence; returns how many of its pictures have a label."""
    step = 1 if deep else max(1, len(drive) // SAMPLE)
    labeled, objects = 0, 0
    for position in range(0, len(drive), step):
        path = drive.files[position] if isinstance(drive, PictureSequence) else root / drive.name
        frame = inventory.attempt(path, lambda _, position=position: drive[position])
        if isinstance(frame, Frame):
            labeled += bool(frame.truth)
            objects += _check_label(inventory, path, frame, drive.taxonomy)
    read = len(range(0, len(drive), step))
    inventory.hold(drive.name, f"{len(drive)} pictures; of {read} read {labeled} have labels, with {objects} objects")
    if step > 1:
        inventory.note(root / drive.name, f"every {step}th picture was read; --deep reads all")
    if isinstance(drive, PanopticFolder):
        _check_names(inventory, drive)
    return labeled


def _check_names(inventory: Inventory, drive: PanopticFolder) -> None:
    """Every picture has a label and every label has a picture."""
    pictures = {path.stem for path in drive.files}
    folder = drive.labels
    labels = {path.stem for path in folder.glob("*.png")} if folder.is_dir() else set()
    if lacking := sorted(pictures - labels):
        text = f"{len(lacking)} of {len(pictures)} pictures have no label, e.g. {lacking[0]}.png"
        inventory.missing(folder, f"{text}; they are left out of training")
    for name in sorted(labels - pictures):
        inventory.damaged(folder / f"{name}.png", "a label without a picture; remove it, or name both alike")
    for name in sorted(path.name for path in folder.glob("*") if path.suffix.lower() != ".png"):
        inventory.damaged(folder / name, "labels are read from .png alone; write it again as PNG")


def _check_label(inventory: Inventory, path: Path, frame: Frame, taxonomy: Taxonomy) -> int:
    """Check the labels of a frame; returns their number of objects."""
    objects = 0
    for label in frame.truth.values():
        is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[label.semantic]
        if (label.instance[~is_thing] > 0).any():
            inventory.damaged(path, "its label has stuff or void with an object number; set G and B to 0 there")
        pairs = np.unique(np.stack([label.instance[is_thing], label.semantic[is_thing]]), axis=1)
        numbers, count = np.unique(pairs[0][pairs[0] > 0], return_counts=True)
        objects += len(numbers)
        if (count > 1).any():
            inventory.damaged(path, f"object {numbers[count > 1][0]} has several classes; number objects apart")
    return objects

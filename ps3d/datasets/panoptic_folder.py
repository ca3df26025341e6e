"""Your own pictures with panoptic labels, in one documented folder format; a plain folder of pictures works too.

    ROOT/classes.yaml              - {name: cell, is_thing: true, color: [200, 40, 40]}  in the order of class ids
    ROOT/SEQUENCE/images/NAME.png  any of .png .jpg .jpeg .tif .bmp
    ROOT/SEQUENCE/labels/NAME.png  RGB: R = class id (255 = void), 256 * G + B = number of the object, 0 = none

A sequence's pictures are in the order of their names. Without labels/ there is no truth, and pictures may lie in ROOT
itself. Things without a number are crowds: they are neither learned nor counted as objects.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import UInt8
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from ps3d.datasets.panoptic_png import read_step, write_step
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import VOID, Calibration, Category, Frame, Image, Panoptic, Taxonomy

CLASSES = "classes.yaml"
CAMERA = "camera"
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


class PanopticFolder(PictureSequence):
    """One sequence of pictures; a `ps3d.structures.Sequence`."""

    def __init__(self, folder: str | Path, taxonomy: Taxonomy) -> None:
        """
        Args:
            folder: holds images/ and perhaps labels/, or the pictures themselves; or one picture.

        Raises:
            FileNotFoundError: no pictures there.
        """
        folder = Path(folder)
        self.taxonomy, self.calibration = taxonomy, Calibration()
        self.name = folder.stem if folder.is_file() else folder.resolve().name
        images = folder / "images" if (folder / "images").is_dir() else folder
        self.labels = folder / "labels"
        self.files = [folder] if folder.is_file() else find_pictures(images)
        if not self.files:
            raise FileNotFoundError(f"{images}: no pictures; files of {', '.join(PICTURES)} are read")

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, a label of another size, or a class that classes.yaml does not have.
        """
        path = self.files[position]
        rgb = read_picture(path)
        label = self.labels / f"{path.stem}.png"
        truth = {CAMERA: read_own_label(label, self.taxonomy, rgb.shape[:2])} if label.exists() else {}
        index = int(path.stem) if path.stem.isdigit() and len(path.stem) <= 10 else position
        return Frame(index, float(position), images={CAMERA: Image(rgb)}, truth=truth, source=str(path))


def find_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names."""
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in PICTURES and not p.name.startswith("."))


def read_picture(path: str | Path) -> UInt8[np.ndarray, "height width 3"]:
    """A picture as 8-bit RGB; 16-bit gray (microscopes) is stretched from its 1st to its 99.8th percentile.

    Raises:
        ValueError: damaged.
    """
    try:
        with Picture.open(path) as picture:
            if picture.mode in ("I;16", "I;16B", "I", "F"):
                return _stretch_gray(np.asarray(picture).astype(np.float32))
            return np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, SyntaxError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: no readable picture ({error}); remove it, or write it again") from error


def _stretch_gray(values: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    low, high = np.percentile(values, (1, 99.8))
    gray = np.clip(255 * (values - low) / max(high - low, 1e-6), 0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def read_own_label(path: Path, taxonomy: Taxonomy, size: tuple[int, ...]) -> Panoptic:
    """A label of the folder format.

    Raises:
        ValueError: another size than the picture's, or an unknown class.
    """
    label = read_step(path)
    if label.shape != tuple(size):
        raise ValueError(f"{path}: {label.shape} labels, but the picture has {tuple(size)} pixels")
    unknown = sorted({int(c) for c in np.unique(label.semantic)} - set(range(len(taxonomy))) - {VOID})
    if unknown:
        raise ValueError(f"{path}: classes {unknown[:5]} are not in {CLASSES}, which has 0..{len(taxonomy) - 1}")
    return label


def read_classes(root: str | Path) -> Taxonomy:
    """The classes of a folder.

    Raises:
        FileNotFoundError: no classes.yaml.
        ValueError: an entry without a name, or that is no list of entries.
    """
    path = Path(root) / CLASSES
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; write one line per class: - {{name: cell, is_thing: true}}")
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "name" in entry for entry in entries):
        raise ValueError(f"{path}: expected a list of entries with a name: - {{name: cell, is_thing: true}}")
    palette = np.random.default_rng(7).integers(40, 240, (len(entries), 3))
    categories = []
    for place, entry in enumerate(entries):
        red, green, blue = (int(value) for value in entry.get("color", palette[place]))
        categories.append(Category(str(entry["name"]), (place,), bool(entry.get("is_thing")), (red, green, blue)))
    return Taxonomy(Path(root).resolve().name, tuple(categories), (VOID,))


def write_classes(root: str | Path, taxonomy: Taxonomy) -> None:
    """Write classes.yaml."""
    entries = [{"name": c.name, "is_thing": c.is_thing, "color": list(c.color)} for c in taxonomy.categories]
    with atomic_write(Path(root) / CLASSES) as name:
        name.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")


def write_frame(root: str | Path, sequence: str, name: str, rgb: np.ndarray, label: Panoptic | None = None) -> None:
    """Write one picture, and its label where there is one."""
    folder = Path(root) / sequence
    with atomic_write(folder / "images" / f"{name}.png") as path:
        Picture.fromarray(rgb).save(path, compress_level=1)
    if label is not None:
        write_step(folder / "labels" / f"{name}.png", label)


def open_folder(root: str | Path, sequences: Sequence[str] | None = None) -> list[PanopticFolder]:
    """All sequences of a folder with a classes.yaml, or the named ones.

    Raises:
        FileNotFoundError: no classes, or no pictures.
    """
    root, taxonomy = Path(root), read_classes(root)
    names = sequences or [p.parent.name for p in sorted(root.glob("*/images"))]
    if not names:
        raise FileNotFoundError(f"{root}: no SEQUENCE/images/ folders beside {CLASSES}")
    return [PanopticFolder(root / name, taxonomy) for name in names]

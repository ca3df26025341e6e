"""Waymo Open Dataset, panoramic video panoptic segmentation: five cameras whose objects share their numbers.

    ROOT/FRAME/CAMERA.jpg             SIDE_LEFT, FRONT_LEFT, FRONT, FRONT_RIGHT, SIDE_RIGHT
    ROOT/FRAME/CAMERA_panoptic.png    16 bits: 1000 * class + number of the object in this picture
    ROOT/FRAME/meta.json              {"CAMERA": {"instance_id_to_global": [{"local": 1, "glob": 11, "tracked": true}]}}

This is the content of the dataset's camera segmentation records, written out as files; frames are in the order of their
names, and a root that holds the pictures itself is one frame. An object has one number in all cameras and frames.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from ps3d.datasets.json_file import read_json
from ps3d.datasets.kitti360_files import read_png, write_png
from ps3d.datasets.numbered_classes import numbered_taxonomy
from ps3d.datasets.panoptic_folder import read_picture
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import NO_INSTANCE, VOID, Calibration, Frame, Image, Panoptic, Taxonomy

CAMERAS = ("SIDE_LEFT", "FRONT_LEFT", "FRONT", "FRONT_RIGHT", "SIDE_RIGHT")
PERIOD = 0.1
META = "meta.json"
PER_CLASS = 1000
PER_GLOBAL = 32
"""A number is the global one times this plus the class: a few global numbers stand for objects of two classes."""
_CLASSES = (
    "ego vehicle, car, truck, bus, other large vehicle, bicycle, motorcycle, trailer, pedestrian, cyclist, "
    "motorcyclist, bird, ground animal, construction cone pole, pole, pedestrian object, sign, traffic light, "
    "building, road, lane marker, road marker, sidewalk, vegetation, sky, ground, dynamic, static"
)

WAYMO_PVPS = numbered_taxonomy("waymo_pvps", _CLASSES.split(", "), _CLASSES.split(", ")[1:13], seed=11)
"""Raw ids are those of camera_segmentation.proto; vehicles, people, riders and animals are things."""


class WaymoPvps(PictureSequence):
    """The pictures of one camera; a `ps3d.structures.Sequence`."""

    def __init__(self, root: str | Path, camera: str, taxonomy: Taxonomy = WAYMO_PVPS) -> None:
        """
        Args:
            camera: one of `CAMERAS`.

        Raises:
            FileNotFoundError: no pictures of this camera.
        """
        self.name, self.camera, self.taxonomy, self.calibration = camera, camera, taxonomy, Calibration()
        self.files = [path for frame in find_frames(root) if (path := frame / f"{camera}.jpg").is_file()]
        if not self.files:
            raise FileNotFoundError(f"{root}: no FRAME/{camera}.jpg beside a {META}")

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, or an object that meta.json does not list.
        """
        path = self.files[position]
        label = path.with_name(f"{self.camera}_panoptic.png")
        truth = {self.camera: read_waymo_label(label, self.taxonomy)} if label.exists() else {}
        image = Image(read_picture(path))
        return Frame(position, position * PERIOD, images={self.camera: image}, truth=truth, source=str(path))


def find_frames(root: str | Path) -> list[Path]:
    """The folders of frames at a path, in the order of their names; the path itself may be the only one."""
    root = Path(root)
    folders = [root] if (root / META).is_file() else sorted(path.parent for path in root.glob(f"*/{META}"))
    return [folder for folder in folders if any((folder / f"{camera}.jpg").is_file() for camera in CAMERAS)]


def find_cameras(root: str | Path) -> list[str]:
    """Cameras with pictures, from left to right."""
    frames = find_frames(root)
    return [camera for camera in CAMERAS if any((frame / f"{camera}.jpg").is_file() for frame in frames)]


def read_waymo_label(path: str | Path, taxonomy: Taxonomy = WAYMO_PVPS) -> Panoptic:
    """The label of one camera; its name says which part of meta.json beside it holds. Numberless things are crowds.

    Raises:
        FileNotFoundError: no meta.json.
        ValueError: damaged, a class that the taxonomy does not know, or an object that meta.json does not list.
    """
    path = Path(path)
    value = read_png(path).astype(np.int32)
    raw, local = np.divmod(value, PER_CLASS)
    table = _global_numbers(path, int(local.max(initial=0)))
    if unknown := np.unique(local[table[local] < 0]).tolist():
        raise ValueError(f"{path}: objects {unknown[:5]} are not in {META} beside it; write both from one record")
    semantic = taxonomy.encode(raw, str(path))
    is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[semantic]
    number = np.where(is_thing & (local > 0), table[local] * PER_GLOBAL + raw, NO_INSTANCE)
    return Panoptic(semantic, number.astype(np.int32))


def write_waymo_frame(folder: str | Path, labels: Mapping[str, Panoptic], taxonomy: Taxonomy = WAYMO_PVPS) -> None:
    """Write the labels of a frame's cameras and its meta.json. The global number of an object is its number // 32.

    Raises:
        ValueError: more than 999 objects in a picture.
    """
    meta = {}
    for camera, label in labels.items():
        numbers = np.unique(label.instance[label.instance > 0])
        if len(numbers) >= PER_CLASS:
            raise ValueError(f"{folder}: {len(numbers)} objects in {camera}, at most {PER_CLASS - 1} fit")
        local = np.where(label.instance > 0, np.searchsorted(numbers, label.instance) + 1, 0)
        raw = np.where(label.semantic == VOID, 0, taxonomy.decode(label.semantic)).astype(np.int64)
        write_png(Path(folder) / f"{camera}_panoptic.png", (raw * PER_CLASS + local).astype(np.uint16))
        listed = [{"local": i, "glob": int(n) // PER_GLOBAL, "tracked": True} for i, n in enumerate(numbers, 1)]
        meta[camera] = {"panoptic_label_divisor": PER_CLASS, "instance_id_to_global": listed}
    with atomic_write(Path(folder) / META) as temporary:
        temporary.write_text(json.dumps(meta), encoding="utf-8")


def _global_numbers(label: Path, largest: int) -> Int32[np.ndarray, "locals"]:
    """Global number of each local one, -1 where meta.json has none; 0 stays 0."""
    content = read_json(label.with_name(META), f"it gives the objects of {label.name} their numbers")
    camera = label.stem.removesuffix("_panoptic")
    listed: Sequence[Mapping[str, int]] = content.get(camera, {}).get("instance_id_to_global", [])
    table = np.full(max([largest, *(entry["local"] for entry in listed)]) + 1, -1, np.int32)
    table[0] = NO_INSTANCE
    for entry in listed:
        table[entry["local"]] = entry["glob"]
    return table

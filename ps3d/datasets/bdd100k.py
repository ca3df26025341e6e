"""BDD100K, panoptic segmentation: one JSON in the Scalabel format, masks as run lengths.

    ROOT/ANY.json      [{"name": "a.jpg", "labels": [{"id", "category", "rle": {"counts", "size"}, "attributes"}]}],
                       or {"frames": [...]}; the pictures lie beside it or in ROOT/images

Labels with the attribute `crowd` are crowds, with `ignored` they are void. Pixels of no label are void too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ps3d.datasets.json_file import read_json
from ps3d.datasets.numbered_classes import numbered_taxonomy
from ps3d.datasets.panoptic_folder import CAMERA, read_picture
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.run_length import decode_runs, encode_runs, mask_of_runs, runs_of_mask
from ps3d.structures import NO_INSTANCE, VOID, Calibration, Frame, Image, Panoptic, Taxonomy

_STUFF = (
    "dynamic, ego vehicle, ground, static, parking, rail track, road, sidewalk, bridge, building, fence, garage, "
    "guard rail, tunnel, wall, banner, billboard, lane divider, parking sign, pole, polegroup, street light, "
    "traffic cone, traffic device, traffic light, traffic sign, traffic sign frame, terrain, vegetation, sky"
)
_THINGS = "person, rider, bicycle, bus, car, caravan, motorcycle, trailer, train, truck"

BDD100K = numbered_taxonomy("bdd100k", f"{_STUFF}, {_THINGS}".split(", "), _THINGS.split(", "), seed=12)
"""The 30 classes of stuff and 10 of things, by their ids in the bitmasks; 0 = unlabeled."""


class Bdd100k(PictureSequence):
    """The pictures of one JSON; a `ps3d.structures.Sequence`."""

    def __init__(self, annotations: str | Path, images: str | Path | None = None, taxonomy: Taxonomy = BDD100K) -> None:
        """
        Args:
            images: folder of the pictures; None = images/ beside the JSON, or the JSON's own folder.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a JSON of another kind.
        """
        path = Path(annotations)
        folder = Path(images) if images else path.parent / "images"
        if images is None and not folder.is_dir():
            folder = path.parent
        self.name, self.taxonomy, self.calibration = path.stem, taxonomy, Calibration()
        self._entries = _read_entries(path)
        self.files = [folder / entry["name"] for entry in self._entries]

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1, in the order of the JSON.

        Raises:
            IndexError: no such position.
            FileNotFoundError: the JSON names a picture that is not there.
            ValueError: a damaged file, an unknown category, or a mask of another size.
        """
        path, labels = self.files[position], self._entries[position].get("labels") or []
        rgb = read_picture(path)
        truth = {CAMERA: label_from_runs(labels, rgb.shape[:2], self.taxonomy, str(path))} if labels else {}
        return Frame(position, float(position), images={CAMERA: Image(rgb)}, truth=truth, source=str(path))


def is_bdd100k(path: Path) -> bool:
    """Whether a JSON begins like a list of Scalabel frames with run lengths."""
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.read(4096)
    return head.lstrip()[:1] in ("[", "{") and all(f'"{key}"' in head for key in ("name", "labels", "category", "rle"))


def label_from_runs(labels: list[Mapping[str, Any]], size: tuple[int, ...], taxonomy: Taxonomy, where: str) -> Panoptic:
    """A labeling from Scalabel labels; objects are numbered from 1 in their order.

    Raises:
        ValueError: an unknown category or a mask of another size; the message starts with `where`.
    """
    semantic, instance = np.full(size, VOID, np.uint8), np.zeros(size, np.int32)
    for number, label in enumerate(labels, 1):
        if label["category"] not in taxonomy.names:
            raise ValueError(f"{where}: category {label['category']!r} is not one of {taxonomy.name}")
        if tuple(label["rle"]["size"]) != tuple(size):
            raise ValueError(f"{where}: a mask of {label['rle']['size']} pixels, but the picture has {list(size)}")
        attributes = label.get("attributes") or {}
        class_id = taxonomy.names.index(label["category"])
        mask = mask_of_runs(decode_runs(label["rle"]["counts"]), (int(size[0]), int(size[1])))
        is_object = taxonomy.is_thing[class_id] and not attributes.get("crowd")
        semantic[mask] = VOID if attributes.get("ignored") else class_id
        instance[mask] = number if is_object and not attributes.get("ignored") else NO_INSTANCE
    return Panoptic(semantic, instance)


def write_bdd100k(path: str | Path, frames: Mapping[str, Panoptic], taxonomy: Taxonomy = BDD100K) -> None:
    """Write labelings by name of the picture; things without a number become crowds."""
    content = []
    for name, panoptic in frames.items():
        key = panoptic.semantic.astype(np.int64) << 32 | panoptic.instance
        labels = []
        for value in np.unique(key[panoptic.semantic != VOID]).tolist():
            class_id, number = value >> 32, value & 0xFFFFFFFF
            counts = encode_runs(runs_of_mask(key == value))
            label = {"id": str(len(labels)), "category": taxonomy.names[class_id]}
            label["rle"] = {"counts": counts, "size": list(panoptic.shape)}
            if taxonomy.is_thing[class_id] and not number:
                label["attributes"] = {"crowd": True}
            labels.append(label)
        content.append({"name": name, "labels": labels})
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _read_entries(path: Path) -> list[dict[str, Any]]:
    content = read_json(path, "the annotations are one JSON of run lengths")
    entries = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(e, dict) and "name" in e for e in entries):
        raise ValueError(f"{path}: expected a list of frames, each with a name and labels (Scalabel)")
    return entries

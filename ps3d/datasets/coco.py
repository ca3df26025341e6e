"""COCO's panoptic format: a JSON beside a folder of PNGs. ADE20K, Vistas, Cityscapes and VIPSeg are given in it too."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ps3d.datasets.json_file import read_json
from ps3d.datasets.panoptic_folder import read_picture
from ps3d.datasets.panoptic_png import label_from_segments, number_segments, read_segment_ids, write_segment_ids
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import NO_INSTANCE, VOID, Calibration, Category, Frame, Image, Panoptic, Taxonomy

CAMERA = "camera"


class CocoPanoptic(PictureSequence):
    """The pictures of one JSON; a `ps3d.structures.Sequence`."""

    def __init__(
        self,
        annotations: str | Path,
        images: str | Path,
        labels: str | Path | None = None,
        taxonomy: Taxonomy | None = None,
    ) -> None:
        """
        Args:
            annotations: panoptic_*.json.
            images: folder of the pictures.
            labels: folder of the PNGs; None = the folder named like the JSON beside it.
            taxonomy: None = that of the JSON; otherwise one whose raw ids are the JSON's category ids.

        Raises:
            FileNotFoundError: no such JSON.
            ValueError: a JSON of another kind.
        """
        path = Path(annotations)
        content = _read_json(path)
        self.name, self.calibration = path.stem, Calibration()
        self.taxonomy = taxonomy or taxonomy_from_categories(content["categories"], path.stem)
        self._labels = Path(labels) if labels else path.with_suffix("")
        names = {image["id"]: image["file_name"] for image in content["images"]}
        self.annotations: list[dict[str, Any]] = [a for a in content["annotations"] if a["image_id"] in names]
        self.files = [Path(images) / names[annotation["image_id"]] for annotation in self.annotations]

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1, in the order of the JSON's annotations.

        Raises:
            IndexError: no such position.
            FileNotFoundError: the JSON names a file that is not there.
            ValueError: a damaged file, or a segment that the JSON does not list.
        """
        annotation = self.annotations[position]
        path = self.files[position]
        label = self._labels / annotation["file_name"]
        truth = {CAMERA: read_coco_label(label, annotation["segments_info"], self.taxonomy)}
        return Frame(
            position, float(position), images={CAMERA: Image(read_picture(path))}, truth=truth, source=str(path)
        )


def read_coco_label(path: str | Path, segments: list[Mapping[str, Any]], taxonomy: Taxonomy) -> Panoptic:
    """A PNG of segment ids with its `segments_info`; segments of categories outside the taxonomy are void."""
    raw = {category: class_id for class_id, c in enumerate(taxonomy.categories) for category in c.raw_ids}
    class_of = {int(s["id"]): raw.get(int(s["category_id"]), VOID) for s in segments}
    crowds = {int(s["id"]) for s in segments if s.get("iscrowd")}
    return label_from_segments(read_segment_ids(path), class_of, crowds, taxonomy, str(path))


def taxonomy_from_categories(categories: list[Mapping[str, Any]], name: str) -> Taxonomy:
    """The classes of a JSON in COCO's training order: things first, then stuff, each by id."""
    ordered = sorted(categories, key=lambda c: (not c["isthing"], c["id"]))
    palette = np.random.default_rng(7).integers(40, 240, (len(ordered), 3)).tolist()
    found = []
    for category, fallback in zip(ordered, palette, strict=True):
        red, green, blue = category.get("color") or fallback
        found.append(Category(category["name"], (category["id"],), bool(category["isthing"]), (red, green, blue)))
    used = {c["id"] for c in ordered}
    return Taxonomy(name, tuple(found), (next(i for i in range(len(used) + 1) if i not in used),))


def write_coco(
    annotations: str | Path, frames: Mapping[str, Panoptic], taxonomy: Taxonomy, labels: str | Path | None = None
) -> None:
    """Write labelings as a JSON and a folder of PNGs, as the official evaluation reads them.

    Args:
        frames: labeling by picture name (file name with its suffix).
        labels: folder of the PNGs; None = named like the JSON, beside it.
    """
    annotations = Path(annotations)
    folder = Path(labels) if labels else annotations.with_suffix("")
    content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": _categories(taxonomy)}
    for number, (name, panoptic) in enumerate(frames.items(), 1):
        ids, classes = number_segments(panoptic, taxonomy)
        png = f"{Path(name).stem}.png"
        write_segment_ids(folder / png, ids)
        height, width = panoptic.shape
        content["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        segments = [_segment(ids, place, class_id, panoptic, taxonomy) for place, class_id in enumerate(classes, 1)]
        content["annotations"].append({"image_id": number, "file_name": png, "segments_info": segments})
    with atomic_write(annotations) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _segment(ids: np.ndarray, number: int, class_id: int, panoptic: Panoptic, taxonomy: Taxonomy) -> dict[str, Any]:
    mask = ids == number
    row, column = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [column[0], row[0], column[-1] - column[0] + 1, row[-1] - row[0] + 1]
    number_of = int(panoptic.instance[row[0]][mask[row[0]]].max())
    is_crowd = taxonomy.is_thing[class_id] and number_of == NO_INSTANCE
    segment = {
        "id": number,
        "category_id": taxonomy.categories[class_id].raw_ids[0],
        "area": int(mask.sum()),
        "bbox": [int(side) for side in box],
        "iscrowd": int(is_crowd),
    }
    return segment if number_of not in panoptic.scores else {**segment, "score": panoptic.scores[number_of]}


def _categories(taxonomy: Taxonomy) -> list[dict[str, Any]]:
    return [
        {
            "id": c.raw_ids[0],
            "name": c.name,
            "isthing": int(c.is_thing),
            "color": list(c.color),
            "supercategory": c.name,
        }
        for c in taxonomy.categories
    ]


def _read_json(path: Path) -> dict[str, Any]:
    content = read_json(path, "the panoptic annotations are a JSON beside a folder of PNGs")
    missing = [key for key in ("images", "annotations", "categories") if key not in content]
    if missing:
        raise ValueError(f"{path}: no COCO panoptic JSON: {', '.join(missing)} missing")
    if content["annotations"] and "segments_info" not in content["annotations"][0]:
        raise ValueError(f"{path}: COCO's detection format; take the panoptic annotations (panoptic_*.json)")
    return content

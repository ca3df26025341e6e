"""VIPSeg: short videos with panoptic labels, 124 classes; objects keep their segment's id through a video.

    ROOT/images/VIDEO/NAME.jpg
    ROOT/panomasksRGB/VIDEO/NAME.png          segment ids, R + 256 G + 65536 B
    ROOT/panoptic_gt_VIPSeg_*.json            {"annotations": [{"video_id", "annotations": [COCO's annotations]}]}

Labels of single pictures, as networks write them, are read too: `ROOT/source/VIDEO/NAME.png` of segment ids in a
palette with `NAME.json` beside it, `[{"id", "category_id", "isthing"}]`; their ids may change from picture to picture.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32
from PIL import Image as Picture

from ps3d.datasets.json_file import read_json
from ps3d.datasets.numbered_classes import numbered_taxonomy
from ps3d.datasets.panoptic_folder import CAMERA, find_pictures, read_picture
from ps3d.datasets.panoptic_png import label_from_segments, read_segment_ids, write_segment_ids
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import NO_INSTANCE, VOID, Calibration, Frame, Image, Panoptic, Taxonomy

# In the order of their ids from 0; things are marked.
_CLASSES = (
    "wall ceiling door* stair ladder* escalator playground_slide handrail_or_fence window* rail goal* pillar "
    "pole floor ground grass sand athletic_field road path crosswalk building house bridge tower windmill "
    "well_or_well_lid other_construction sky mountain stone wood ice snowfield grandstand sea river lake "
    "waterfall water billboard_or_bulletin_board sculpture* pipeline flag* parasol_or_umbrella* "
    "cushion_or_carpet tent* roadblock* car* bus* truck* bicycle* motorcycle* wheeled_machine ship_or_boat* "
    "raft* airplane* tyre traffic_light lamp person* cat* dog* horse* cattle* other_animal* tree flower "
    "other_plant toy ball_net backboard skateboard* bat ball* cupboard_or_showcase_or_storage_rack box* "
    "traveling_case_or_trolley_case* basket* bag_or_package* trash_can cage plate* tub_or_bowl_or_pot* "
    "bottle_or_cup* barrel* fishbowl* bed* pillow* table_or_desk* chair_or_seat* bench* sofa* shelf bathtub "
    "gun* commode* roaster* other_machine refrigerator* washing_machine* microwave_oven* fan* curtain textiles "
    "clothes painting_or_poster* mirror* flower_pot_or_vase* clock* book tool blackboard tissue "
    "screen_or_television* computer* printer* mobile_phone* keyboard* other_electronic_product fruit food "
    "instrument* train*"
)


def _spelled(name: str) -> str:
    return name.removesuffix("*").replace("_", " ")


VIPSEG = numbered_taxonomy(
    "vipseg",
    [_spelled(name) for name in _CLASSES.split()],
    {_spelled(name) for name in _CLASSES.split() if name.endswith("*")},
    first=0,
    void=VOID,
    seed=13,
)
"""Raw ids are the JSON's category ids: 66 classes of stuff, 58 of things."""


class VipSeg(PictureSequence):
    """One video; a `ps3d.structures.Sequence`."""

    def __init__(self, root: str | Path, video: str, taxonomy: Taxonomy = VIPSEG) -> None:
        """
        Raises:
            FileNotFoundError: no pictures of this video.
        """
        root = Path(root)
        self.name, self.taxonomy, self.calibration = video, taxonomy, Calibration()
        self.files = find_pictures(root / "images" / video)
        if not self.files:
            raise FileNotFoundError(f"{root / 'images' / video}: no pictures")
        self._masks, self._single = root / "panomasksRGB" / video, root / "source" / video
        self._segments = _find_segments(root, video)

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, or a segment that the JSON does not list.
        """
        path = self.files[position]
        label = self._read_label(path.stem)
        truth = {} if label is None else {CAMERA: label}
        return Frame(
            position, float(position), images={CAMERA: Image(read_picture(path))}, truth=truth, source=str(path)
        )

    def _read_label(self, name: str) -> Panoptic | None:
        if name in self._segments:
            label = self._masks / f"{name}.png"
            return _join(read_segment_ids(label), self._segments[name], self.taxonomy, str(label))
        label = self._single / f"{name}.png"
        if not label.exists():
            return None
        segments = read_json(label.with_suffix(".json"), "it says what the segments of the picture are")
        return _join(_read_palette(label), segments, self.taxonomy, str(label))


def find_videos(root: str | Path) -> list[str]:
    """Videos with labels of either kind."""
    root = Path(root)
    folders = [*root.glob("panomasksRGB/*"), *root.glob("source/*")]
    return sorted({folder.name for folder in folders if (root / "images" / folder.name).is_dir()})


def write_vipseg(
    annotations: str | Path, videos: Mapping[str, Mapping[str, Panoptic]], taxonomy: Taxonomy = VIPSEG
) -> None:
    """Write videos of labelings by name of the picture: the JSON, and panomasksRGB/ beside it.

    The id of an object is its number + 1000, that of stuff its class + 1; numberless things are crowds of their class.
    """
    annotations = Path(annotations)
    content: dict[str, list[Any]] = {"videos": [], "annotations": [], "categories": []}
    for raw, category in enumerate(taxonomy.categories):
        content["categories"].append({"id": raw, "name": category.name, "isthing": int(category.is_thing)})
    for video, frames in videos.items():
        listed = []
        for name, panoptic in frames.items():
            ids = np.where(panoptic.instance > 0, panoptic.instance + 1000, panoptic.semantic.astype(np.int32) + 1)
            ids[panoptic.semantic == VOID] = 0
            write_segment_ids(annotations.parent / "panomasksRGB" / video / f"{name}.png", ids)
            segments = []
            for number in np.unique(ids[ids > 0]).tolist():
                mask = ids == number
                class_id = int(panoptic.semantic[mask][0])
                is_crowd = bool(taxonomy.is_thing[class_id]) and number < 1000
                raw = taxonomy.categories[class_id].raw_ids[0]
                segments.append({"id": number, "category_id": raw, "iscrowd": int(is_crowd), "area": int(mask.sum())})
            listed.append({"file_name": f"{name}.png", "image_id": name, "segments_info": segments})
        content["videos"].append({"video_id": video, "images": [{"id": n, "file_name": f"{n}.jpg"} for n in frames]})
        content["annotations"].append({"video_id": video, "annotations": listed})
    with atomic_write(annotations) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _find_segments(root: Path, video: str) -> dict[str, list[Mapping[str, Any]]]:
    """Segments of each picture of a video, by name, from the first JSON that knows the video."""
    for path in sorted(root.glob("panoptic_*.json")):
        for entry in read_json(path).get("annotations", []):
            if entry.get("video_id") == video:
                return {Path(frame["file_name"]).stem: frame["segments_info"] for frame in entry["annotations"]}
    return {}


def _join(
    ids: Int32[np.ndarray, "height width"], segments: list[Mapping[str, Any]], taxonomy: Taxonomy, where: str
) -> Panoptic:
    raw = {r: class_id for class_id, category in enumerate(taxonomy.categories) for r in category.raw_ids}
    class_of = {int(s["id"]): raw.get(int(s["category_id"]), VOID) for s in segments}
    crowds = {int(s["id"]) for s in segments if s.get("iscrowd")}
    label = label_from_segments(ids, class_of, crowds, taxonomy, where)
    return Panoptic(label.semantic, np.where(label.instance > 0, ids, NO_INSTANCE).astype(np.int32))


def _read_palette(path: Path) -> Int32[np.ndarray, "height width"]:
    """Places in the palette of a PNG, which read as colors would be lost; RGB is read as segment ids."""
    with Picture.open(path) as picture:
        if picture.mode in ("P", "L"):
            return np.asarray(picture).astype(np.int32)
    return read_segment_ids(path)

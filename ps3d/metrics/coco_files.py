"""COCO panoptic format: a PNG of segment ids per image and a JSON file that says what they are."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt32
from PIL import Image as Picture

from ps3d.metrics.rules import Rules
from ps3d.metrics.segments import CROWD, SEGMENT, UNLISTED, VOID_AREA, SegmentOverlap, Segments, index_overlap
from ps3d.ops.overlap import count_overlap
from ps3d.structures import VOID, Category, Taxonomy

VOID_ID = 0


@dataclass(frozen=True)
class CocoPair:
    """One image: the truth's entry of the JSON, the prediction's, and the two pictures."""

    name: str
    truth: Mapping[str, Any]
    prediction: Mapping[str, Any]
    truth_png: Path
    prediction_png: Path


def read_id_map(path: str | Path) -> UInt32[np.ndarray, "height width"]:
    """Segment ids of a PNG: red + 256 green + 65536 blue."""
    picture = Picture.open(path)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    ids = np.frombuffer(picture.tobytes("raw", "RGBX"), np.uint32) & np.uint32(0xFFFFFF)
    return ids.reshape(picture.size[1], picture.size[0])


def read_taxonomy(path: Path) -> Taxonomy:
    """Categories of a truth JSON, in its order; a raw id is the category's id."""
    categories = json.loads(path.read_text()).get("categories")
    if not categories:
        raise ValueError(f"{path}: no `categories`; they say which ids are things")
    kept = tuple(
        Category(entry["name"], (entry["id"],), bool(entry["isthing"]), tuple(entry.get("color", (128, 128, 128))))
        for entry in categories
    )
    return Taxonomy(path.stem, kept, void_raw_ids=(-1,))


def pair_images(truth: Path, prediction: Path) -> Iterator[CocoPair]:
    """The images of two JSON files, with the PNGs in the folders of the same names, in the order of the truth.

    Raises:
        ValueError: an image of the truth that the prediction lacks.
    """
    entries = {entry["image_id"]: entry for entry in json.loads(prediction.read_text())["annotations"]}
    true_entries = json.loads(truth.read_text())["annotations"]
    missing = [entry["image_id"] for entry in true_entries if entry["image_id"] not in entries]
    if missing:
        raise ValueError(f"{prediction}: no prediction of image {missing[0]} ({len(missing)} missing); add them")
    for entry in true_entries:
        other = entries[entry["image_id"]]
        pictures = truth.with_suffix("") / entry["file_name"], prediction.with_suffix("") / other["file_name"]
        yield CocoPair(str(entry["image_id"]), entry, other, *pictures)


def read_overlap(pair: CocoPair, taxonomy: Taxonomy, rules: Rules) -> SegmentOverlap:
    """The overlap table of one image.

    Raises:
        ValueError: pictures of different size, a predicted id that is only in the PNG or only in the JSON, or a
            category that the taxonomy does not have.
    """
    truth, prediction = read_id_map(pair.truth_png), read_id_map(pair.prediction_png)
    if truth.shape != prediction.shape:
        raise ValueError(f"{pair.prediction_png}: {prediction.shape} pixels, {pair.truth_png} has {truth.shape}")
    class_of = {raw: i for i, category in enumerate(taxonomy.categories) for raw in category.raw_ids}
    return index_overlap(
        count_overlap(truth, prediction),
        partial(_describe_truth, pair, class_of, rules.uses_stated_area),
        partial(_describe_prediction, pair, class_of),
    )


def _describe_truth(
    pair: CocoPair, class_of: Mapping[int, int], uses_stated_area: bool, labels: np.ndarray, area: np.ndarray
) -> Segments:
    entries = pair.truth["segments_info"]
    listed = np.array([entry["id"] for entry in entries], np.int64)
    semantic = _classes(entries, class_of, pair, "truth")
    is_crowd = np.array([bool(entry.get("iscrowd", 0)) for entry in entries], bool)
    # Segments of the JSON without a pixel come last: the official tool counts them as missed.
    absent = listed[~np.isin(listed, labels)] if uses_stated_area else listed[:0]
    labels = np.concatenate([labels, absent])
    area = np.concatenate([area, np.zeros(len(absent), np.int64)])
    place = _find(listed, labels)
    kind = np.full(len(labels), UNLISTED, np.int8)
    found = place >= 0
    kind[found] = np.where(is_crowd[place[found]], CROWD, SEGMENT)
    kind[labels == VOID_ID] = VOID_AREA
    meaning, rank = np.full(len(labels), VOID, np.int64), np.zeros(len(labels), np.int64)
    meaning[found], rank[found] = semantic[place[found]], place[found]
    if uses_stated_area:
        area[found] = np.array([entry["area"] for entry in entries], np.int64)[place[found]]
    return Segments(labels, meaning, labels, area, kind, rank)


def _describe_prediction(pair: CocoPair, class_of: Mapping[int, int], labels: np.ndarray, area: np.ndarray) -> Segments:
    entries = pair.prediction["segments_info"]
    listed = np.array([entry["id"] for entry in entries], np.int64)
    semantic = _classes(entries, class_of, pair, "prediction")
    place = _find(listed, labels)
    if unknown := labels[(place < 0) & (labels != VOID_ID)].tolist():
        raise ValueError(f"{pair.prediction_png}: image {pair.name}: segment ids {unknown[:10]} are not in the JSON")
    if absent := sorted(set(listed.tolist()) - set(labels.tolist())):
        raise ValueError(f"{pair.prediction_png}: image {pair.name}: ids {absent[:10]} of the JSON have no pixel")
    meaning = np.full(len(labels), VOID, np.int64)
    meaning[place >= 0] = semantic[place[place >= 0]]
    kind = np.where(meaning == VOID, VOID_AREA, SEGMENT).astype(np.int8)
    return Segments(labels, meaning, labels, area, kind, score=_scores(entries, place))


def _scores(entries: list[Any], place: np.ndarray) -> np.ndarray | None:
    """Score of each label from `segments_info`, 0 for those without; None where no segment has one."""
    if not any("score" in entry for entry in entries):
        return None
    score = np.array([float(entry.get("score", 0.0)) for entry in entries])
    return np.where(place >= 0, score[place], 0.0)


def _classes(entries: list[Any], class_of: Mapping[int, int], pair: CocoPair, side: str) -> np.ndarray:
    unknown = sorted({entry["category_id"] for entry in entries} - class_of.keys())
    if unknown:
        raise ValueError(f"image {pair.name}: the {side} has category ids {unknown}, which the truth's JSON lacks")
    return np.array([class_of[entry["category_id"]] for entry in entries], np.int64)


def _find(listed: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Place of each label in the list, or -1."""
    if len(listed) == 0:
        return np.full(len(labels), -1)
    order = np.argsort(listed, kind="stable")
    place = order[np.minimum(np.searchsorted(listed[order], labels), len(listed) - 1)]
    return np.where(listed[place] == labels, place, -1)


def read_videos(path: Path) -> dict[str, str]:
    """Video of each image of a truth JSON, where its images name one."""
    images = json.loads(path.read_text()).get("images", [])
    return {str(image["id"]): str(image["video"]) for image in images if "video" in image}

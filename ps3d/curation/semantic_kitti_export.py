"""KITTI-360 with recovered labels as a tree in SemanticKITTI's layout, so that any other code can train on it."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from ps3d.curation.splits import Split
from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_labels import KITTI360_SCAN, LABELS
from ps3d.datasets.semantic_kitti_export import export_sequence
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import Frame

RAW_IDS = {category.name: category.raw_ids[0] for category in KITTI360_SCAN.categories}
"""KITTI-360's own ids; `kitti360.yaml` tells other code what they mean."""


def export_tree(root: Path, labels: Path, drives: list[str], out: Path, split: Split) -> Path:
    """Write sequences, `kitti360.yaml` and lists of the scans to train and validate on.

    Scans are motion-corrected, as SemanticKITTI's are, and numbered without gaps; `frames.txt` of a sequence holds
    KITTI-360's own number of each. Scans without a pose are left out.

    Args:
        root: KITTI-360.
        labels: where `tools/recover_labels.py` wrote.
        split: frames to train and to validate on, by drive.
    """
    lines: dict[str, list[str]] = {"train": [], "valid": []}
    for drive in drives:
        sequence = Kitti360(root, drive, labels=labels)
        export_sequence(out, sequence.number, _with_pose(sequence), KITTI360_SCAN, RAW_IDS)
        numbers = (out / "sequences" / f"{sequence.number:02d}" / "frames.txt").read_text().split()
        for part, frames in (("train", split.train), ("valid", split.val)):
            wanted = set(frames.get(sequence.number, ()))
            lines[part] += [
                f"{sequence.number:02d}/velodyne/{place:06d}.bin\n"
                for place, frame in enumerate(numbers)
                if int(frame) in wanted
            ]
    for part, scans in lines.items():
        with atomic_write(out / f"{part}_scans.txt") as name:
            name.write_text("".join(scans))
    with atomic_write(out / "kitti360.yaml") as name:
        name.write_text(yaml.safe_dump(describe_classes(split), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return out


def describe_classes(split: Split) -> dict:
    """Names, colors and learning map in the form of semantic-kitti.yaml; class 0 is ignored."""
    classes = KITTI360_SCAN.categories
    learning_map = {label.id: 0 for label in LABELS if label.id >= 0}
    for number, category in enumerate(classes, 1):
        learning_map.update({raw: number for raw in category.raw_ids})
    return {
        "labels": {label.id: label.name for label in LABELS if label.id >= 0},
        "color_map": {label.id: list(label.color[::-1]) for label in LABELS if label.id >= 0},
        "learning_map": learning_map,
        "learning_map_inv": {0: 0, **{number: c.raw_ids[0] for number, c in enumerate(classes, 1)}},
        "learning_ignore": {0: True, **{number: False for number in range(1, len(classes) + 1)}},
        "split": {
            "train": sorted(drive for drive, frames in split.train.items() if frames),
            "valid": sorted(drive for drive, frames in split.val.items() if frames),
            "test": [],
        },
    }


def _with_pose(sequence: Kitti360) -> Iterator[Frame]:
    for position, frame in enumerate(sequence.frames):
        if sequence.trajectory.pose(frame)[0] is not None:
            yield sequence[position]

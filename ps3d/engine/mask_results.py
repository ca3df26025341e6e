"""Overlapping masks of a prediction as COCO's list of results: `tools/evaluate.py --benchmark coco_masks` reads it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ps3d.datasets.coco import CocoPanoptic
from ps3d.fusion.scored_masks import scored_masks
from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.run_length import encode_runs, runs_of_mask
from ps3d.structures import BoxPrediction, Frame, MaskPrediction, Prediction, Sequence, Taxonomy


@dataclass
class MaskResults:
    """The masks of the pictures seen so far."""

    entries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, prediction: Prediction, drive: Sequence, frame: Frame, taxonomy: Taxonomy) -> None:
        """Note the objects of a picture.

        Raises:
            ValueError: a network that has no masks before the merge.
        """
        if not isinstance(prediction, MaskPrediction | BoxPrediction):
            raise ValueError(
                "this network separates objects in the merge, so it has no overlapping masks; its labels and scores/ "
                "give mask AP by tools/evaluate.py --benchmark folder"
            )
        image = image_id(drive, frame)
        for found in scored_masks(prediction, taxonomy):
            runs = {"size": list(found.mask.shape), "counts": encode_runs(runs_of_mask(found.mask))}
            category = taxonomy.categories[found.class_id].raw_ids[0]
            entry = {"image_id": image, "category_id": category, "segmentation": runs, "score": round(found.score, 6)}
            self.entries.append(entry)

    def write(self, path: str | Path) -> None:
        """Write the list."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(self.entries), encoding="utf-8")


def image_id(drive: Sequence, frame: Frame) -> int | str:
    """COCO's own id of a picture, elsewhere SEQUENCE/NAME."""
    if isinstance(drive, CocoPanoptic):
        return drive.annotations[frame.index]["image_id"]
    return f"{drive.name}/{Path(frame.source).stem if frame.source else f'{frame.index:010d}'}"

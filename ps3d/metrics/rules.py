"""What benchmarks disagree about, as data: void, crowds, small segments, absent classes and tubes.

`OFFICIAL` reproduces the published evaluators number for number, defects included. `STRICT` is the same metric with
the defects mended, so that the truth scored against itself is exactly 1. docs/metrics.md explains every difference.
"""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Rules:
    """One benchmark's reading of the metrics.

    Attributes:
        name: as printed, e.g. "semantic_kitti official".
        void: what becomes of elements whose truth is void. "removed": they are deleted before anything is counted.
            "excused": they leave the union, and an unmatched prediction that is mostly void is no false positive.
            "mutual": the same, and predicted void likewise excuses a missed segment.
        minimum: an unmatched segment with fewer elements is not an error.
        crowds: may a crowd region of its class excuse an unmatched prediction? "all" crowds of the image do, "last"
            only the last one listed, "none" does.
        absent: a class that occurs nowhere counts as 0 in a mean ("zero") or not at all ("skipped").
        merges_labels: raw labels of one class and instance are one segment, and stuff is one segment per class.
            False: every distinct label is a segment of its own.
        uses_stated_area: areas of true segments are those in the JSON, not those of the picture.
        tube_minimum: in frames where a true object has at most this many elements it is left out of its tube.
        tube_small: those small appearances are dropped from the "truth" alone, from the sizes of both sides ("sizes":
            each side by its own size), or element by element from both sides ("elements").
        tube_class: the class is part of a predicted tube's identity, so a change of class starts another tube.
        tube_labels: tubes are told apart by the full label, also where its instance is 0, not by class and instance.
        tube_things: only predicted things make tubes; False: every label with an instance does.
        tube_zero: predicted thing elements without an instance are a tube too.
        tube_void: predictions on void count in the size of their tube.
        tube_crowds: true things without an instance are crowds whose elements leave both sides.
        tube_stuff: true stuff with instances adds to the association score without being counted as tubes.
        tube_absent: as `absent`, in the semantic mean beside the association score.
        void_class: predicted void on labeled elements adds a class of IoU 0 to the semantic mean.
        track_memory: a switch is a match with another number than the last match, however long ago; False: only a
            match in the very frame before is remembered.
        track_votes: objects are regrouped as the 4D-PLS script for PTQ does (see `ps3d.metrics.ptq`).
    """

    name: str
    void: Literal["removed", "excused", "mutual"] = "removed"
    minimum: int = 0
    crowds: Literal["all", "last", "none"] = "all"
    absent: Literal["zero", "skipped"] = "skipped"
    merges_labels: bool = False
    uses_stated_area: bool = False
    tube_minimum: int = 0
    tube_small: Literal["truth", "sizes", "elements"] = "elements"
    tube_class: bool = False
    tube_labels: bool = False
    tube_things: bool = False
    tube_zero: bool = False
    tube_void: bool = False
    tube_crowds: bool = False
    tube_stuff: bool = False
    tube_absent: Literal["zero", "skipped"] = "skipped"
    void_class: bool = False
    track_memory: bool = True
    track_votes: bool = False


_SEMANTIC_KITTI = Rules(
    "semantic_kitti official",
    minimum=50,
    absent="zero",
    # The 4D metric is that of the 4D-PLS script.
    tube_minimum=50,
    tube_small="truth",
    tube_stuff=True,
    void_class=True,
)
_NUSCENES = Rules(
    "nuscenes official",
    minimum=15,
    absent="zero",
    tube_minimum=15,
    tube_small="sizes",
    tube_things=True,
    tube_class=True,
    tube_labels=True,
    tube_absent="zero",
    track_memory=False,
)
_COCO = Rules("coco official", void="excused", crowds="last", uses_stated_area=True)
_KITTI_STEP = Rules(
    "kitti_step official",
    void="excused",
    crowds="none",
    tube_class=True,
    tube_things=True,
    tube_zero=True,
    tube_void=True,
    tube_crowds=True,
    void_class=True,
)

OFFICIAL: dict[str, Rules] = {
    "semantic_kitti": _SEMANTIC_KITTI,
    "4dpls": replace(_SEMANTIC_KITTI, name="4dpls official"),
    "4dpls_mopt": Rules("4dpls_mopt official", void="excused", crowds="none", track_votes=True),
    "nuscenes": _NUSCENES,
    "coco": _COCO,
    "cityscapes": replace(_COCO, name="cityscapes official"),
    "vps": replace(_COCO, name="vps official"),
    # Own folders have no published evaluator: PQ is COCO's, tubes are those of KITTI-STEP without its defects.
    "folder": replace(_COCO, name="folder official", tube_class=True, tube_things=True, tube_crowds=True),
    # KITTI-360 has no panoptic evaluation of scans; the field scores it like SemanticKITTI.
    "kitti360": replace(_SEMANTIC_KITTI, name="kitti360 official"),
    "kitti_step": _KITTI_STEP,
    "deeplab2": replace(_KITTI_STEP, name="deeplab2 official"),
    "torchmetrics": Rules("torchmetrics official", void="mutual", merges_labels=True),
    "mots": Rules("mots official"),
}
"""By benchmark or tool: as its published evaluator counts."""


def _mended(rules: Rules) -> Rules:
    return replace(
        rules,
        name=rules.name.replace("official", "strict"),
        crowds="all",
        absent="skipped",
        merges_labels=True,
        uses_stated_area=False,
        tube_small="elements",
        tube_class=True,
        tube_labels=False,
        tube_stuff=False,
        tube_absent="skipped",
        tube_zero=False,
        tube_void=False,
        void_class=False,
        track_votes=False,
    )


STRICT: dict[str, Rules] = {name: _mended(rules) for name, rules in OFFICIAL.items()}
"""By benchmark or tool: the same metric without the defects; the truth against itself is exactly 1."""


def find_rules(benchmark: str, is_strict: bool = False) -> Rules:
    """The rules of a benchmark. Raises KeyError with the known names."""
    table = STRICT if is_strict else OFFICIAL
    if benchmark not in table:
        raise KeyError(f"no rules named {benchmark!r}; there are {', '.join(table)}")
    return table[benchmark]

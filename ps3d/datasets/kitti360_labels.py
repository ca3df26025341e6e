"""KITTI-360's label table, and the taxonomies made from it.

Three numberings exist: `id` (semantic images, windows, our .label files), `kitti_id` (the boxes' XML, where it is
called semanticId) and `train_id` (official evaluation only). The table holds the facts of the official devkit's
`helpers/labels.py` (kitti360Scripts, MIT license).
"""

from typing import NamedTuple

import numpy as np

from ps3d.structures import Category, Taxonomy

INSTANCES_PER_LABEL = 1000
"""A global instance number is id * 1000 + k; k = 0 means no instance."""


class Label(NamedTuple):
    """One row of the table: `train_id` 255 = not evaluated, `kitti_id` -1 = none."""

    id: int
    name: str
    kitti_id: int
    train_id: int
    category: str
    has_instances: bool
    ignore_in_eval: bool
    ignore_in_instance_eval: bool
    color: tuple[int, int, int]


_TABLE = """
 0, unlabeled,            -1, 255, void,         0, 1, 1,   0   0   0
 1, ego vehicle,          -1, 255, void,         0, 1, 1,   0   0   0
 2, rectification border, -1, 255, void,         0, 1, 1,   0   0   0
 3, out of roi,           -1, 255, void,         0, 1, 1,   0   0   0
 4, static,               -1, 255, void,         0, 1, 1,   0   0   0
 5, dynamic,              -1, 255, void,         0, 1, 1, 111  74   0
 6, ground,               -1, 255, void,         0, 1, 1,  81   0  81
 7, road,                  1,   0, flat,         0, 0, 0, 128  64 128
 8, sidewalk,              3,   1, flat,         0, 0, 0, 244  35 232
 9, parking,               2, 255, flat,         0, 1, 1, 250 170 160
10, rail track,           10, 255, flat,         0, 1, 1, 230 150 140
11, building,             11,   2, construction, 1, 0, 0,  70  70  70
12, wall,                  7,   3, construction, 0, 0, 0, 102 102 156
13, fence,                 8,   4, construction, 0, 0, 0, 190 153 153
14, guard rail,           30, 255, construction, 0, 1, 1, 180 165 180
15, bridge,               31, 255, construction, 0, 1, 1, 150 100 100
16, tunnel,               32, 255, construction, 0, 1, 1, 150 120  90
17, pole,                 21,   5, object,       1, 0, 1, 153 153 153
18, polegroup,            -1, 255, object,       0, 1, 1, 153 153 153
19, traffic light,        23,   6, object,       1, 0, 1, 250 170  30
20, traffic sign,         24,   7, object,       1, 0, 1, 220 220   0
21, vegetation,            5,   8, nature,       0, 0, 0, 107 142  35
22, terrain,               4,   9, nature,       0, 0, 0, 152 251 152
23, sky,                   9,  10, sky,          0, 0, 0,  70 130 180
24, person,               19,  11, human,        1, 0, 0, 220  20  60
25, rider,                20,  12, human,        1, 0, 0, 255   0   0
26, car,                  13,  13, vehicle,      1, 0, 0,   0   0 142
27, truck,                14,  14, vehicle,      1, 0, 0,   0   0  70
28, bus,                  34,  15, vehicle,      1, 0, 0,   0  60 100
29, caravan,              16, 255, vehicle,      1, 1, 1,   0   0  90
30, trailer,              15, 255, vehicle,      1, 1, 1,   0   0 110
31, train,                33,  16, vehicle,      1, 0, 0,   0  80 100
32, motorcycle,           17,  17, vehicle,      1, 0, 0,   0   0 230
33, bicycle,              18,  18, vehicle,      1, 0, 0, 119  11  32
34, garage,               12,   2, construction, 1, 1, 1,  64 128 128
35, gate,                  6,   4, construction, 0, 1, 1, 190 153 153
36, stop,                 29, 255, construction, 1, 1, 1, 150 120  90
37, smallpole,            22,   5, object,       1, 1, 1, 153 153 153
38, lamp,                 25, 255, object,       1, 1, 1,   0  64  64
39, trash bin,            26, 255, object,       1, 1, 1,   0 128 192
40, vending machine,      27, 255, object,       1, 1, 1, 128  64   0
41, box,                  28, 255, object,       1, 1, 1,  64  64 128
42, unknown construction, 35, 255, void,         0, 1, 1, 102   0   0
43, unknown vehicle,      36, 255, void,         0, 1, 1,  51   0  51
44, unknown object,       37, 255, void,         0, 1, 1,  32  32  32
-1, license plate,        -1,  -1, vehicle,      0, 1, 1,   0   0 142
"""


def _read_row(row: str) -> Label:
    number, name, kitti_id, train_id, category, has_instances, ignored, ignored_instance, color = (
        cell.strip() for cell in row.split(",")
    )
    red, green, blue = (int(part) for part in color.split())
    flags = (has_instances == "1", ignored == "1", ignored_instance == "1")
    return Label(int(number), name, int(kitti_id), int(train_id), category, *flags, (red, green, blue))


LABELS: tuple[Label, ...] = tuple(_read_row(row) for row in _TABLE.strip().splitlines())
LABEL_OF_ID: dict[int, Label] = {label.id: label for label in LABELS}
LABEL_OF_NAME: dict[str, Label] = {label.name: label for label in LABELS}
LABEL_OF_KITTI_ID: dict[int, Label] = {label.kitti_id: label for label in LABELS if label.kitti_id >= 0}

COLORS = np.zeros((256, 3), np.uint8)
"""Color of each label id 0..255, for semantic_rgb pictures; ids without a label are black."""
for _label in LABELS:
    if _label.id >= 0:
        COLORS[_label.id] = _label.color


def _taxonomy(name: str, classes: dict[str, tuple[str, ...]], things: set[str]) -> Taxonomy:
    """A taxonomy whose classes each hold some labels; the first label gives the color and the id that is written."""
    categories = tuple(
        Category(class_name, tuple(LABEL_OF_NAME[label].id for label in labels), class_name in things, color)
        for class_name, labels in classes.items()
        for color in [LABEL_OF_NAME[labels[0]].color]
    )
    used = {raw for category in categories for raw in category.raw_ids}
    return Taxonomy(name, categories, tuple(label.id for label in LABELS if label.id not in used))


_STUFF = {
    "road": ("road",),
    "sidewalk": ("sidewalk",),
    "building": ("building", "garage"),
    "wall": ("wall",),
    "fence": ("fence", "gate"),
    "pole": ("pole", "smallpole"),
    "traffic light": ("traffic light",),
    "traffic sign": ("traffic sign",),
    "vegetation": ("vegetation",),
    "terrain": ("terrain",),
}
"""Garage, gate and smallpole count to the class that shares their train id, as in the official evaluation."""

_THINGS = {
    "person": ("person",),
    "rider": ("rider",),
    "car": ("car",),
    "truck": ("truck",),
    "bus": ("bus",),
    "train": ("train",),
    # Both are towed boxes on wheels, rare, and told apart by their windows only.
    "caravan/trailer": ("caravan", "trailer"),
    "motorcycle": ("motorcycle",),
    "bicycle": ("bicycle",),
}

KITTI360_SCAN = _taxonomy("kitti360_scan", {**_STUFF, **_THINGS}, set(_THINGS))
"""For single scans: 9 things and 10 stuff classes; parking, guard rail, lamp, bin and so on are void."""

KITTI360_IMAGE = _taxonomy("kitti360_image", {**_STUFF, **_THINGS, "sky": ("sky",)}, set(_THINGS))
"""For images: the classes of `KITTI360_SCAN` under the same ids, and sky as the last."""

KITTI360_OFFICIAL15 = _taxonomy(
    "kitti360_official15",
    {**_STUFF, **{name: (name,) for name in ("person", "car", "truck", "motorcycle", "bicycle")}},
    {"building", "car"},
)
"""The official 3D benchmark: 15 evaluated classes, of which building and car have instances."""

TAXONOMIES: dict[str, Taxonomy] = {
    taxonomy.name: taxonomy for taxonomy in (KITTI360_SCAN, KITTI360_IMAGE, KITTI360_OFFICIAL15)
}

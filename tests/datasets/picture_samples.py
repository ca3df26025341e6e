"""Tiny data sets of pictures in every format, each from the same label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ps3d.datasets.ade20k import write_ade20k_classes, write_ade20k_label
from ps3d.datasets.bdd100k import BDD100K, write_bdd100k
from ps3d.datasets.cityscapes import CITYSCAPES, write_cityscapes_label
from ps3d.datasets.coco import write_coco
from ps3d.datasets.kitti360_files import write_png
from ps3d.datasets.kitti_step import KITTI_STEP
from ps3d.datasets.panoptic_folder import write_classes, write_frame
from ps3d.datasets.panoptic_png import write_step
from ps3d.datasets.vipseg import VIPSEG, write_vipseg
from ps3d.datasets.vistas import write_vistas_classes, write_vistas_label
from ps3d.datasets.waymo_pvps import WAYMO_PVPS, write_waymo_frame
from ps3d.structures import VOID, Panoptic, Taxonomy

PICTURE = np.arange(20 * 40 * 3, dtype=np.uint32).astype(np.uint8).reshape(20, 40, 3)


def paint_label(taxonomy: Taxonomy, stuff: str, thing: str) -> Panoptic:
    """Stuff with two objects of a class, a crowd of it, and void."""
    semantic, instance = np.full((20, 40), taxonomy.index(stuff), np.uint8), np.zeros((20, 40), np.int32)
    semantic[:3] = VOID
    thing_id = taxonomy.index(thing)
    for columns, number in ((slice(2, 6), 1), (slice(8, 12), 2)):
        semantic[5:15, columns], instance[5:15, columns] = thing_id, 32 * number + thing_id + 1
    semantic[5:15, 33:38] = thing_id
    return Panoptic(semantic, instance)


def write_coco_sample(root: Path) -> Panoptic:
    label = paint_label(CITYSCAPES, "road", "car")
    write_coco(root / "annotations" / "panoptic_val2017.json", {"one.png": label}, CITYSCAPES)
    write_png(root / "val2017" / "one.png", PICTURE)
    # It comes back in COCO's order of classes: things first.
    order = sorted(CITYSCAPES.categories, key=lambda category: (not category.is_thing, category.raw_ids))
    return paint_label(Taxonomy("coco", tuple(order), (0,)), "road", "car")


def write_cityscapes_sample(root: Path) -> Panoptic:
    label = paint_label(CITYSCAPES, "road", "car")
    name = "val/ulm/ulm_000000_000019"
    write_cityscapes_label(root / "gtFine" / f"{name}_gtFine_instanceIds.png", label)
    write_png(root / "leftImg8bit" / f"{name}_leftImg8bit.png", PICTURE)
    return label


def write_ade20k_sample(root: Path) -> Panoptic:
    label = paint_label(CITYSCAPES, "road", "car")
    write_ade20k_classes(root, CITYSCAPES)
    write_ade20k_label(root, "validation", "ADE_val_00000001", label, CITYSCAPES)
    write_png(root / "images" / "validation" / "ADE_val_00000001.png", PICTURE)
    return label


def write_vistas_sample(root: Path) -> Panoptic:
    label = paint_label(CITYSCAPES, "road", "car")
    write_vistas_classes(root, CITYSCAPES)
    write_vistas_label(root, "validation", "a", label, CITYSCAPES)
    write_png(root / "validation" / "images" / "a.png", PICTURE)
    return label


def write_kitti_step_sample(root: Path) -> Panoptic:
    label = paint_label(KITTI_STEP, "road", "car")
    write_step(root / "panoptic_maps" / "val" / "0002" / "000003.png", label, KITTI_STEP)
    write_png(root / "training" / "image_02" / "0002" / "000003.png", PICTURE)
    return label


def write_vipseg_sample(root: Path) -> Panoptic:
    label = paint_label(VIPSEG, "tree", "horse")
    write_vipseg(root / "panoptic_gt_VIPSeg_val.json", {"1_park": {"00000001": label}})
    write_png(root / "images" / "1_park" / "00000001.png", PICTURE)
    return label


def write_waymo_sample(root: Path) -> Panoptic:
    label = paint_label(WAYMO_PVPS, "road", "car")
    write_waymo_frame(root / "000", {"FRONT": label})
    write_png(root / "000" / "FRONT.jpg", PICTURE)
    return label


def write_bdd100k_sample(root: Path) -> Panoptic:
    label = paint_label(BDD100K, "road", "car")
    write_bdd100k(root / "pan_seg_val.json", {"a.png": label})
    write_png(root / "images" / "a.png", PICTURE)
    return label


def write_own_sample(root: Path) -> Panoptic:
    label = paint_label(CITYSCAPES, "road", "car")
    write_classes(root, CITYSCAPES)
    write_frame(root, "dish", "a", PICTURE, label)
    return label


# How to write each, the file that holds its truth, and whether crowds come back.
FORMATS: dict[str, tuple[Callable[[Path], Panoptic], str, bool]] = {
    "coco": (write_coco_sample, "annotations/panoptic_val2017/one.png", True),
    "coco json": (write_coco_sample, "annotations/panoptic_val2017.json", True),
    "cityscapes": (write_cityscapes_sample, "gtFine/val/ulm/ulm_000000_000019_gtFine_instanceIds.png", True),
    "ade20k": (write_ade20k_sample, "annotations_instance/validation/ADE_val_00000001.png", False),
    "vistas": (write_vistas_sample, "validation/v2.0/instances/a.png", False),
    "kitti step": (write_kitti_step_sample, "panoptic_maps/val/0002/000003.png", True),
    "vipseg": (write_vipseg_sample, "panomasksRGB/1_park/00000001.png", True),
    "vipseg json": (write_vipseg_sample, "panoptic_gt_VIPSeg_val.json", True),
    "waymo": (write_waymo_sample, "000/FRONT_panoptic.png", True),
    "waymo json": (write_waymo_sample, "000/meta.json", True),
    "bdd100k": (write_bdd100k_sample, "pan_seg_val.json", True),
    "own": (write_own_sample, "dish/labels/a.png", True),
}


def same_segments(left: Panoptic, right: Panoptic) -> bool:
    """Equal classes, and objects that correspond one to one."""
    if not (left.semantic == right.semantic).all() or not ((left.instance > 0) == (right.instance > 0)).all():
        return False
    pairs = np.unique(np.stack([left.instance.ravel(), right.instance.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]

"""The label table and the taxonomies say what the data set says."""

import numpy as np
import pytest

from ps3d.datasets.kitti360_labels import (
    COLORS,
    KITTI360_IMAGE,
    KITTI360_OFFICIAL15,
    KITTI360_SCAN,
    LABEL_OF_ID,
    LABEL_OF_KITTI_ID,
    LABELS,
)
from ps3d.structures import VOID


def test_the_table_has_46_rows_and_its_numberings_are_unambiguous():
    assert len(LABELS) == 46
    assert len(LABEL_OF_ID) == 46
    assert sorted(LABEL_OF_KITTI_ID) == list(range(1, 38))
    assert LABEL_OF_KITTI_ID[13].name == "car"
    assert LABEL_OF_ID[26].name == "car"


def test_the_table_equals_the_official_devkit():
    labels = pytest.importorskip("kitti360scripts.helpers.labels", reason="the devkit extra is not installed").labels
    ours = [
        (x.id, x.name, x.kitti_id, x.train_id, x.category, x.has_instances, x.ignore_in_eval, x.color) for x in LABELS
    ]
    theirs = [(x.id, x.name, x.kittiId, x.trainId, x.category, x.hasInstances, x.ignoreInEval, x.color) for x in labels]
    assert sorted(ours) == sorted(theirs)


def test_things_and_stuff_of_single_scans():
    things = [c.name for c in KITTI360_SCAN.categories if c.is_thing]
    assert things == [
        "person", "rider", "car", "truck", "bus", "train", "caravan/trailer", "motorcycle", "bicycle",
    ]  # fmt: skip
    assert [c.name for c in KITTI360_SCAN.categories if not c.is_thing] == [
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
        "terrain",
    ]  # fmt: skip


def test_caravan_and_trailer_are_one_class_and_garage_gate_smallpole_follow_their_train_id():
    encoded = KITTI360_SCAN.encode(np.array([29, 30, 11, 34, 13, 35, 17, 37, 0, 9, 23, -1]))
    names = [None if i == VOID else KITTI360_SCAN.names[i] for i in encoded]
    assert names == ["caravan/trailer"] * 2 + ["building"] * 2 + ["fence"] * 2 + ["pole"] * 2 + [None] * 4


@pytest.mark.parametrize("taxonomy", [KITTI360_SCAN, KITTI360_IMAGE, KITTI360_OFFICIAL15])
def test_every_label_has_a_place_and_void_is_written_as_unlabeled(taxonomy):
    taxonomy.encode(np.array([label.id for label in LABELS]))
    assert taxonomy.decode(np.array([VOID], np.uint8)).tolist() == [0]
    for class_id, category in enumerate(taxonomy.categories):
        assert category.color == LABEL_OF_ID[category.raw_ids[0]].color
        assert tuple(taxonomy.colors[class_id]) == category.color


def test_the_official_benchmark_has_15_classes_the_train_ids_without_sky_rider_bus_and_train():
    expected = {x.train_id for x in LABELS if 0 <= x.train_id < 255} - {10, 12, 15, 16}
    assert {LABEL_OF_ID[c.raw_ids[0]].train_id for c in KITTI360_OFFICIAL15.categories} == expected
    assert len(KITTI360_OFFICIAL15) == 15
    assert [c.name for c in KITTI360_OFFICIAL15.categories if c.is_thing] == ["building", "car"]


def test_images_have_the_classes_of_scans_under_the_same_ids_and_sky():
    assert KITTI360_IMAGE.names == (*KITTI360_SCAN.names, "sky")


def test_colors_by_id():
    assert COLORS[26].tolist() == [0, 0, 142]
    assert COLORS[200].tolist() == [0, 0, 0]

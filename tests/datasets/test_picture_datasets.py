"""Readers and writers of pictures with panoptic labels: round trips, crowds, 16 bits, and the real samples."""

import json

import numpy as np
import pytest
from picture_samples import same_segments

from ps3d.datasets.ade20k import Ade20k, write_ade20k_classes, write_ade20k_label
from ps3d.datasets.bdd100k import BDD100K, Bdd100k, write_bdd100k
from ps3d.datasets.cityscapes import CITYSCAPES, Cityscapes, read_cityscapes_label, write_cityscapes_label
from ps3d.datasets.coco import CocoPanoptic, write_coco
from ps3d.datasets.kitti360_files import read_png, write_png
from ps3d.datasets.kitti360_images import Kitti360Images
from ps3d.datasets.kitti_step import KITTI_STEP, KittiStep
from ps3d.datasets.panoptic_folder import read_picture
from ps3d.datasets.panoptic_png import read_segment_ids, read_step, write_segment_ids, write_step
from ps3d.datasets.picture_augmentation import NONE, PictureAugmentation, TrainingPictures, augment_picture
from ps3d.datasets.picture_opening import is_picture_data, open_pictures
from ps3d.datasets.vipseg import VIPSEG, VipSeg, write_vipseg
from ps3d.datasets.vistas import Vistas, write_vistas_classes, write_vistas_label
from ps3d.datasets.waymo_pvps import WAYMO_PVPS, WaymoPvps, write_waymo_frame
from ps3d.metrics import OFFICIAL, count_panoptic
from ps3d.structures import VOID, Frame, Image, Panoptic

ROAD, PERSON, CAR = CITYSCAPES.index("road"), CITYSCAPES.index("person"), CITYSCAPES.index("car")


@pytest.fixture
def label() -> Panoptic:
    """A road with two persons, a car, a crowd of persons and void."""
    semantic = np.full((20, 40), ROAD, np.uint8)
    instance = np.zeros((20, 40), np.int32)
    semantic[:3] = VOID
    for columns, class_id, number in ((slice(2, 6), PERSON, 7), (slice(8, 12), PERSON, 300), (slice(20, 30), CAR, 9)):
        semantic[5:15, columns], instance[5:15, columns] = class_id, number
    semantic[5:15, 33:38] = PERSON
    return Panoptic(semantic, instance)


def test_step_labels_come_back_as_written(label, tmp_path):
    write_step(tmp_path / "a.png", label)
    again = read_step(tmp_path / "a.png")
    np.testing.assert_array_equal(again.semantic, label.semantic)
    np.testing.assert_array_equal(again.instance, label.instance)
    with pytest.raises(ValueError, match="does not fit"):
        write_step(tmp_path / "b.png", Panoptic(label.semantic, label.instance + 70000))


def test_cityscapes_labels_come_back_with_crowds_and_sixteen_bits(label, tmp_path):
    write_cityscapes_label(tmp_path / "a.png", label)
    again = read_cityscapes_label(tmp_path / "a.png")
    assert same_segments(again, label)
    assert set(np.unique(again.instance)) == {0, 24000, 24001, 26000}


def test_coco_labels_come_back_with_their_crowd(label, tmp_path):
    write_coco(tmp_path / "panoptic_val.json", {"one.png": label}, CITYSCAPES)
    write_png(tmp_path / "one.png", np.zeros((20, 40, 3), np.uint8))
    sequence = CocoPanoptic(tmp_path / "panoptic_val.json", tmp_path, taxonomy=CITYSCAPES)
    assert same_segments(sequence[0].truth["camera"], label)
    segments = json.loads((tmp_path / "panoptic_val.json").read_text())["annotations"][0]["segments_info"]
    assert [s["iscrowd"] for s in segments if s["category_id"] == 24].count(1) == 1
    assert sum(s["area"] for s in segments) == (label.semantic != VOID).sum()


def without_crowds(label: Panoptic) -> Panoptic:
    is_thing = np.append(CITYSCAPES.is_thing, np.zeros(256 - len(CITYSCAPES), bool))[label.semantic]
    return Panoptic(np.where(is_thing & (label.instance == 0), VOID, label.semantic).astype(np.uint8), label.instance)


def test_ade20k_labels_come_back_from_both_maps(label, tmp_path):
    write_ade20k_classes(tmp_path, CITYSCAPES)
    write_ade20k_label(tmp_path, "validation", "ADE_val_00000001", label, CITYSCAPES)
    write_png(tmp_path / "images" / "validation" / "ADE_val_00000001.png", np.zeros((20, 40, 3), np.uint8))
    (sequence,) = open_pictures(tmp_path)
    assert isinstance(sequence, Ade20k)
    assert sequence.taxonomy.names == CITYSCAPES.names
    assert (sequence.taxonomy.is_thing == CITYSCAPES.is_thing).all()
    assert same_segments(sequence[0].truth["camera"], without_crowds(label))
    (tmp_path / "categoryMapping.txt").write_text("Instance100\tSceneParse150\n1\t24\n")
    with pytest.raises(ValueError, match=r"instance classes \[3\] are not in"):
        Ade20k(tmp_path, "validation")[0]


def test_vistas_labels_come_back_with_the_first_object_of_each_class(label, tmp_path):
    write_vistas_classes(tmp_path, CITYSCAPES)
    write_vistas_label(tmp_path, "validation", "a", label, CITYSCAPES)
    write_png(tmp_path / "validation" / "images" / "a.png", np.zeros((20, 40, 3), np.uint8))
    (sequence,) = open_pictures(tmp_path)
    assert isinstance(sequence, Vistas)
    assert sequence.taxonomy.names == CITYSCAPES.names
    truth = sequence[0].truth["camera"]
    assert same_segments(truth, without_crowds(label))
    assert set(np.unique(truth.instance)) == {0, 24 * 256 + 1, 24 * 256 + 2, 26 * 256 + 1}
    config = json.loads((tmp_path / "config_v2.0.json").read_text())["labels"]
    assert not config[0]["evaluate"]


def test_bdd100k_labels_come_back_from_run_lengths(tmp_path):
    car, sky = BDD100K.index("car"), BDD100K.index("sky")
    semantic, instance = np.full((20, 40), sky, np.uint8), np.zeros((20, 40), np.int32)
    semantic[:3] = VOID
    semantic[5:9, 5:30] = car
    instance[5:9, 5:10], instance[5:9, 12:20] = 1, 2  # the rest is a crowd
    label = Panoptic(semantic, instance)
    write_bdd100k(tmp_path / "annotation.json", {"a.png": label})
    write_png(tmp_path / "a.png", np.zeros((20, 40, 3), np.uint8))
    (sequence,) = open_pictures(tmp_path)
    assert isinstance(sequence, Bdd100k)
    assert same_segments(sequence[0].truth["camera"], label)
    assert is_picture_data(tmp_path)
    content = json.loads((tmp_path / "annotation.json").read_text())
    content[0]["labels"][0]["category"] = "unicorn"
    (tmp_path / "annotation.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"a\.png: category 'unicorn'"):
        open_pictures(tmp_path)[0][0]


def test_vipseg_objects_keep_their_numbers_through_a_video(tmp_path):
    person, horse, tree = (VIPSEG.index(name) for name in ("person", "horse", "tree"))
    frames = {}
    for index in range(3):
        semantic, instance = np.full((20, 40), tree, np.uint8), np.zeros((20, 40), np.int32)
        semantic[2:8, index : index + 6], instance[2:8, index : index + 6] = person, 4
        semantic[2:8, 20:30], instance[2:8, 20:30] = horse, 9
        semantic[15:, 30:] = person  # a crowd
        frames[f"{index:08d}"] = Panoptic(semantic, instance)
        write_png(tmp_path / "images" / "1_park" / f"{index:08d}.png", np.zeros((20, 40, 3), np.uint8))
    write_vipseg(tmp_path / "panoptic_gt_VIPSeg_val.json", {"1_park": frames})
    (sequence,) = open_pictures(tmp_path)
    assert isinstance(sequence, VipSeg)
    assert len(sequence) == 3
    for frame, label in zip(sequence, frames.values(), strict=True):
        assert same_segments(frame.truth["camera"], label)
        assert set(np.unique(frame.truth["camera"].instance)) == {0, 1004, 1009}
    assert len(VIPSEG) == 124
    assert VIPSEG.is_thing.sum() == 58


def test_waymo_objects_have_one_number_in_all_cameras(tmp_path):
    car, road = WAYMO_PVPS.index("car"), WAYMO_PVPS.index("road")
    labels = {}
    for camera, numbers in (("FRONT", (7, 3)), ("FRONT_LEFT", (3, 5))):
        semantic, instance = np.full((20, 40), road, np.uint8), np.zeros((20, 40), np.int32)
        semantic[0] = VOID
        for place, number in enumerate(numbers):
            part = slice(4, 9), slice(20 * place, 20 * place + 9)
            semantic[part], instance[part] = car, 32 * number + 2
        labels[camera] = Panoptic(semantic, instance)
        write_png(tmp_path / "000" / f"{camera}.jpg", np.zeros((20, 40, 3), np.uint8))
    write_waymo_frame(tmp_path / "000", labels)
    left, front = open_pictures(tmp_path)
    assert isinstance(left, WaymoPvps)
    assert (left.name, front.name) == ("FRONT_LEFT", "FRONT")
    for sequence in (left, front):
        np.testing.assert_array_equal(sequence[0].truth[sequence.name].semantic, labels[sequence.name].semantic)
        np.testing.assert_array_equal(sequence[0].truth[sequence.name].instance, labels[sequence.name].instance)
    (tmp_path / "000" / "meta.json").write_text("{}")
    with pytest.raises(ValueError, match=r"objects \[1, 2\] are not in meta"):
        front[0]


def test_cityscapes_panoptic_pictures_stand_in_for_missing_instance_ids(label, tmp_path):
    write_cityscapes_label(tmp_path / "ids.png", label)
    value = read_png(tmp_path / "ids.png").astype(np.int32)
    folder = tmp_path / "gtFine" / "cityscapes_panoptic_val"
    write_segment_ids(folder / "ulm_000000_000019_gtFine_panoptic.png", value)
    picture = tmp_path / "leftImg8bit" / "val" / "ulm" / "ulm_000000_000019_leftImg8bit.png"
    write_png(picture, np.zeros((20, 40, 3), np.uint8))
    (sequence,) = open_pictures(tmp_path)
    assert same_segments(sequence[0].truth["camera"], label)


def test_a_segment_that_the_json_does_not_list_is_an_error_with_the_file(label, tmp_path):
    write_coco(tmp_path / "panoptic_val.json", {"one.png": label}, CITYSCAPES)
    write_png(tmp_path / "one.png", np.zeros((20, 40, 3), np.uint8))
    content = json.loads((tmp_path / "panoptic_val.json").read_text())
    content["annotations"][0]["segments_info"].pop()
    (tmp_path / "panoptic_val.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"one\.png: segments"):
        CocoPanoptic(tmp_path / "panoptic_val.json", tmp_path, taxonomy=CITYSCAPES)[0]


def test_kitti_step_is_read_by_train_ids(tmp_path):
    label = np.zeros((10, 20, 3), np.uint8)
    label[..., 0] = 255
    label[2:5, 2:5] = (13, 1, 4)
    label[6:8, 2:5] = (11, 0, 0)
    write_png(tmp_path / "panoptic_maps" / "val" / "0002" / "000003.png", label)
    write_png(tmp_path / "training" / "image_02" / "0002" / "000003.png", np.zeros((10, 20, 3), np.uint8))
    (sequence,) = open_pictures(tmp_path)
    truth = sequence[0].truth["image_02"]
    assert isinstance(sequence, KittiStep)
    assert truth.semantic[3, 3] == KITTI_STEP.index("car")
    assert truth.instance[3, 3] == 260
    assert truth.instance[6, 3] == 0
    assert sequence[0].index == 3


def test_kitti360_pictures_are_read_without_scans(tmp_path):
    drive = "2013_05_28_drive_0007_sync"
    picture = np.zeros((8, 12, 3), np.uint8)
    write_png(tmp_path / "data_2d_raw" / drive / "image_00" / "data_rect" / "0000000005.png", picture)
    labels = tmp_path / "data_2d_semantics" / "train" / drive / "image_00"
    write_png(labels / "semantic" / "0000000005.png", np.full((8, 12), 26, np.uint8))
    write_png(labels / "instance" / "0000000005.png", np.full((8, 12), 26003, np.uint16))
    (sequence,) = open_pictures(tmp_path)
    frame = sequence[0]
    assert frame.index == 5
    assert (frame.truth["image_00"].instance == 26003).all()
    with pytest.raises(FileNotFoundError, match="image_01"):
        Kitti360Images(tmp_path, drive, "image_01")


def test_augmentation_moves_labels_with_their_pixels(label):
    rgb = np.stack([label.semantic, label.instance % 256, label.instance // 256], axis=-1).astype(np.uint8)
    frame = Frame(0, 0.0, images={"camera": Image(rgb)}, truth={"camera": label})
    mirrored = augment_picture(
        frame, PictureAugmentation(1.0, 1.0, 1.0, (0, 0), 0.0, 0.0, 0.0), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(mirrored.images["camera"].rgb[..., 0], mirrored.truth["camera"].semantic)
    same = augment_picture(frame, NONE, np.random.default_rng(0))
    np.testing.assert_array_equal(same.truth["camera"].instance, label.instance)
    cropped = augment_picture(
        frame, PictureAugmentation(0.0, 0.5, 2.0, (16, 16), 0.2, 0.2, 0.2), np.random.default_rng(1)
    )
    assert cropped.images["camera"].size == cropped.truth["camera"].shape
    assert max(cropped.images["camera"].size) <= 17


def test_a_sample_depends_on_seed_epoch_and_place_alone(label):
    frame = Frame(0, 0.0, images={"camera": Image(np.zeros((20, 40, 3), np.uint8))}, truth={"camera": label})
    samples = TrainingPictures(lambda _: frame, 3, PictureAugmentation(), seed=4, keep=True)
    first, again = samples[2, 1], samples[2, 1]
    np.testing.assert_array_equal(first.truth["camera"].semantic, again.truth["camera"].semantic)


def test_real_cityscapes_pictures_are_read(samples):
    (sequence,) = open_pictures(samples / "cityscapes_small")
    assert isinstance(sequence, Cityscapes)
    frame = sequence[0]
    truth = frame.truth["camera"]
    assert frame.images["camera"].size == truth.shape == (128, 256)
    assert {CITYSCAPES.names[c] for c in np.unique(truth.semantic) if c != VOID} >= {"road", "car", "building"}
    score = count_panoptic(truth, truth, CITYSCAPES, OFFICIAL["cityscapes"]).result()
    assert score["pq"] == pytest.approx(1.0)


def test_real_coco_pictures_are_read(samples):
    folder = samples / "coco_panoptic"
    sequence = CocoPanoptic(folder / "panoptic_examples.json", folder / "input_images")
    assert len(sequence) == 2
    content = json.loads((folder / "panoptic_examples.json").read_text())
    for frame, annotation in zip(sequence, content["annotations"], strict=True):
        truth = frame.truth["camera"]
        assert frame.images["camera"].size == truth.shape
        listed = {s["id"]: s for s in annotation["segments_info"]}
        ids = read_segment_ids(folder / "panoptic_examples" / annotation["file_name"])
        for number, segment in listed.items():
            (class_id,) = np.unique(truth.semantic[ids == number])
            assert sequence.taxonomy.categories[class_id].raw_ids == (segment["category_id"],)
    with pytest.raises(ValueError, match="detection format"):
        CocoPanoptic(folder / "panoptic_coco_detection_format.json", folder / "input_images")


def test_real_ade20k_pictures_are_read(samples):
    (sequence,) = open_pictures(samples / "ade20k_sceneparsing" / "sampleData")
    assert isinstance(sequence, Ade20k)
    assert len(sequence) == 3
    assert len(sequence.taxonomy) == 150
    for frame in sequence:
        truth = frame.truth["camera"]
        assert truth.shape == frame.images["camera"].size
        assert (truth.semantic != VOID).mean() > 0.8
    names = {sequence.taxonomy.names[c] for c in np.unique(sequence[0].truth["camera"].semantic) if c != VOID}
    print(names)


def test_real_microscopy_is_read_as_a_picture(samples):
    rgb = read_picture(samples / "nuclei_stardist" / "img2d.tif")
    assert rgb.ndim == 3
    assert rgb.dtype == np.uint8
    assert rgb.max() == 255

"""Augmentations keep points, labels and numbers together; the same random numbers give the same frame."""

from dataclasses import fields, replace

import numpy as np
import pytest

from ps3d.datasets.augmentation import NO_AUGMENTATION, Augmentation, augment, drop_intensity, flip, rotate
from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.loading import FrameList, StepSampler, TrainingFrames, count_classes, superimpose
from ps3d.datasets.mixing import join, laser_mix, polar_mix, populate
from ps3d.structures import Calibration, Frame, Panoptic, Scan
from ps3d.structures.sequence import LIDAR

ROAD, CAR, PERSON = (KITTI360_SCAN.index(name) for name in ("road", "car", "person"))


def make_frame(seed=0, position=0):
    rng = np.random.default_rng([seed, position])
    road = rng.uniform((-20, -20, -1.75), (20, 20, -1.7), (800, 3))
    cars = [rng.uniform((-2, -0.9, -1.7), (2, 0.9, 0), (80, 3)) + (9 * s, 5, 0) for s in (-1, 1)]  # noqa: RUF005
    xyz = np.concatenate([road, *cars]).astype(np.float32)
    semantic = np.repeat([ROAD, CAR], [800, 160]).astype(np.uint8)
    instance = np.repeat([0, 1, 2], [800, 80, 80]).astype(np.int32)
    pose = np.eye(4)
    pose[0, 3] = position
    scan = Scan(xyz, rng.uniform(0.1, 0.9, 960).astype(np.float32), np.zeros(960, np.float32))
    truth = {LIDAR: Panoptic(semantic, instance)}
    return Frame(position, 0.1 * position, scan, {}, pose, None, False, truth, f"{position}.bin")


class Drive:
    name, taxonomy, calibration = "made", KITTI360_SCAN, Calibration()

    def __len__(self):
        return 6

    def __iter__(self):
        return (self[i] for i in range(6))

    def __getitem__(self, position):
        return make_frame(position=position)


def is_equal(a, b):
    same_scan = all(
        np.array_equal(getattr(a.scan, f.name), getattr(b.scan, f.name), equal_nan=True) for f in fields(Scan)
    )
    return same_scan and np.array_equal(a.truth[LIDAR].instance, b.truth[LIDAR].instance)


def test_without_augmentation_nothing_changes():
    frame = make_frame()
    assert is_equal(augment(frame, NO_AUGMENTATION, np.random.default_rng(0)), frame)


def test_distances_within_an_object_survive_and_labels_stay_with_their_points():
    frame = make_frame()
    settings = Augmentation(scale=0.0, jitter=0.0, tilt=5.0, drop_points=0.3, drop_rings=0.3)
    moved = augment(frame, settings, np.random.default_rng(1))
    assert 0 < len(moved.scan) < len(frame.scan)
    assert moved.world_from_lidar is None
    kept = np.isin(frame.scan.time, moved.scan.time)
    assert kept.all()
    label = moved.truth[LIDAR]
    for number in (1, 2):
        part = moved.scan.xyz[label.instance == number]
        assert np.linalg.norm(part - part.mean(0), axis=1).max() < 2.6
        assert (label.semantic[label.instance == number] == CAR).all()


def test_the_same_random_numbers_give_the_same_frame():
    a, b, c = (augment(make_frame(), Augmentation(), np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert is_equal(a, b)
    assert len(a.scan) != len(c.scan) or not np.allclose(a.scan.xyz, c.scan.xyz)


def test_rotation_keeps_heights_and_ranges_and_flipping_keeps_x():
    frame = make_frame()
    turned = rotate(frame, 180.0, np.random.default_rng(2))
    np.testing.assert_allclose(turned.scan.xyz[:, 2], frame.scan.xyz[:, 2])
    np.testing.assert_allclose(np.hypot(*turned.scan.xyz[:, :2].T), np.hypot(*frame.scan.xyz[:, :2].T), rtol=1e-4)
    mirrored = flip(frame, 1.0, np.random.default_rng(3))
    np.testing.assert_array_equal(mirrored.scan.xyz, frame.scan.xyz * np.float32([1, -1, 1]))


def test_intensity_is_forgotten_in_a_sector_and_never_everywhere():
    for seed in range(20):
        forgotten = np.isnan(drop_intensity(make_frame(), 1.0, np.random.default_rng(seed)).scan.intensity)
        assert 0.05 < forgotten.mean() < 0.75


@pytest.mark.parametrize("mixed", [polar_mix, laser_mix])
def test_mixing_takes_from_both_and_keeps_objects_apart(mixed):
    frame, donor = make_frame(0), replace(make_frame(1), source="donor")
    found = mixed(frame, donor, np.random.default_rng(4))
    ours = {tuple(point) for point in frame.scan.xyz.tolist()}
    is_ours = np.array([tuple(point) in ours for point in found.scan.xyz.tolist()])
    assert 0.1 < is_ours.mean() < 0.9
    label = found.truth[LIDAR]
    assert not set(label.instance[is_ours & (label.instance > 0)]) & set(
        label.instance[~is_ours & (label.instance > 0)]
    )
    assert found.source == "0.bin with donor"


def test_a_pasted_object_stands_on_the_ground_collides_with_nothing_and_casts_a_shadow():
    frame, donor = make_frame(0), make_frame(1)
    found = populate(frame, donor, KITTI360_SCAN, 2, np.random.default_rng(5))
    label = found.truth[LIDAR]
    pasted = label.instance > 2
    assert pasted.sum() >= 80
    assert abs(found.scan.xyz[pasted, 2].min() + 1.72) < 0.1
    others = found.scan.xyz[(label.semantic == CAR) & ~pasted][:, :2]
    gap = np.linalg.norm(found.scan.xyz[pasted][:, None, :2] - others[None], axis=2).min()
    assert gap > 0.2
    assert (~pasted).sum() < len(frame.scan)


def test_joining_unlabeled_scans_gives_void():
    bare = replace(make_frame(1), truth={})
    label = join(make_frame(0), bare).truth[LIDAR]
    assert (label.semantic[960:] == 255).all()
    assert not label.instance[960:].any()


def test_a_window_puts_earlier_scans_where_they_were_in_the_world():
    frames = [make_frame(position=p) for p in range(3)]
    window = superimpose(frames)
    assert len(window.scan) == 3 * 960
    np.testing.assert_allclose(window.scan.xyz[:960], frames[0].scan.xyz - np.float32([2, 0, 0]), atol=1e-5)
    assert np.unique(window.scan.time.round(3)).tolist() == pytest.approx([-0.2, -0.1, 0.0])
    lost = replace(frames[1], world_from_lidar=None)
    assert len(superimpose([frames[0], lost, frames[2]]).scan) == 2 * 960


def test_samples_depend_on_seed_epoch_and_place_only():
    frames = FrameList.of([Drive()])
    a, b = (TrainingFrames(frames, Augmentation(), seed=3, window=2) for _ in range(2))
    assert is_equal(a[(1, 4)], b[(1, 4)])
    a[(0, 0)]
    assert is_equal(a[(1, 4)], b[(1, 4)])
    assert not is_equal(a[(1, 4)], a[(2, 4)])


def test_every_process_takes_its_share_and_a_resumed_sampler_goes_on():
    whole = list(StepSampler(10, 4, seed=1, last_step=7))
    shares = [list(StepSampler(10, 4, seed=1, rank=r, processes=2, last_step=7)) for r in range(2)]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(step) for step in whole]
    assert list(StepSampler(10, 4, seed=1, first_step=3, last_step=7)) == whole[3:]
    first_epoch = [index for step in whole for epoch, index in step if epoch == 0]
    assert sorted(first_epoch) == list(range(10))
    with pytest.raises(ValueError, match="cannot be shared evenly"):
        StepSampler(10, 3, seed=1, processes=2)


def test_frames_are_chosen_by_stride_and_limit_and_classes_counted():
    drive = Drive()
    assert len(FrameList.of([drive, drive], stride=4)) == 4
    assert FrameList.of([drive], limit=2).places == ((0, 0), (0, 5))
    counts = count_classes(FrameList.of([drive]))
    assert counts[CAR] == 6 * 160
    assert counts[ROAD] == 6 * 800
    assert counts[PERSON] == 0

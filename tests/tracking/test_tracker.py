"""The tracker on small streets: the same object keeps its number, and nothing unusual stops it."""

from dataclasses import replace

import numpy as np
import pytest
from street_scenes import CAR, PERSON, STREET, TRUCK, Mover, make_drive, make_movers, shuffle_numbers

from ps3d.metrics import STRICT, count_tubes, total
from ps3d.structures import Frame, Panoptic, Scan
from ps3d.structures.sequence import LIDAR
from ps3d.tracking import Tracker, TrackerOptions, track_sequence

CAR_AT_10_METERS = [Mover(CAR, 1, (10.0, 3.0), (0.0, 0.0), (4.3, 1.8, 1.5))]


def follow(frames: list[Frame], options: TrackerOptions | None = None, seed: int = 0) -> list[Panoptic]:
    rng = np.random.default_rng(seed)
    return list(track_sequence((shuffle_numbers(f.truth[LIDAR], rng) for f in frames), frames, STREET, options))


def association(frames: list[Frame], options: TrackerOptions | None = None) -> float:
    tracked = follow(frames, options)
    pairs = zip(frames, tracked, strict=True)
    counts = [count_tubes(frame.truth[LIDAR], label, STREET, STRICT["4dpls"]) for frame, label in pairs]
    return total(counts).result()["s_assoc"]


def numbers_of(frames: list[Frame], tracked: list[Panoptic], number: int) -> set[int]:
    """The track numbers an object had, by majority in each frame."""
    found = set()
    for frame, label in zip(frames, tracked, strict=True):
        own = label.instance[frame.truth[LIDAR].instance == number]
        if len(own) > 5:
            found.add(int(np.bincount(own).argmax()))
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_perfect_segments_keep_their_numbers_at_10_hz(seed: int):
    assert association(make_drive(40, seed)) > 0.97


@pytest.mark.parametrize("seed", [0, 1])
def test_perfect_segments_keep_their_numbers_at_2_hz(seed: int):
    assert association(make_drive(100, seed)[::5]) > 0.90


@pytest.mark.parametrize("stage", ["overlap", "motion", "registration"])
def test_each_stage_alone_tracks_a_street(stage: str):
    off = {"overlap": False, "motion": False, "registration": False, "embedding": False}
    alone = TrackerOptions(**(off | {stage: True}))
    assert association(make_drive(15, 0), alone) > 0.85


def test_without_poses_the_motion_of_the_vehicle_is_estimated():
    frames = make_drive(20, 0, has_poses=False)
    assert association(frames) > 0.95
    assert association(frames, TrackerOptions(ego_motion="ignore")) > 0.8


def test_segments_and_classes_stay_what_they_were():
    frames = make_drive(5, 0)
    for frame, label in zip(frames, follow(frames), strict=True):
        truth = frame.truth[LIDAR]
        np.testing.assert_array_equal(label.semantic, truth.semantic)
        pairs = np.unique(np.stack([truth.instance, label.instance]), axis=1)
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_tracking_is_deterministic_and_blind_to_the_numbers_given():
    frames = make_drive(12, 0)
    first = follow(frames, seed=0)
    for a, b in zip(first, follow(frames, seed=0), strict=True):
        np.testing.assert_array_equal(a.instance, b.instance)
    for a, b in zip(first, follow(frames, seed=5), strict=True):
        # Another permutation of the input numbers may number births of one frame in another order, nothing else.
        pairs = np.unique(np.stack([a.instance, b.instance]), axis=1)
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_a_car_that_is_cut_in_two_keeps_its_number():
    frames = make_drive(30, 0, movers=[replace(CAR_AT_10_METERS[0], velocity=(6.0, 0.0))])
    for index in (5, 9, 10, 16, 21):
        truth, xyz = frames[index].truth[LIDAR], frames[index].scan.xyz
        mine = truth.instance == 1
        is_front = mine & (xyz[:, 0] > np.median(xyz[mine, 0]))
        cut = Panoptic(truth.semantic, np.where(is_front, 2, truth.instance).astype(np.int32))
        frames[index] = replace(frames[index], truth={LIDAR: cut})
    whole = [index for index, frame in enumerate(frames) if not (frame.truth[LIDAR].instance == 2).any()]
    tracked = follow(frames)
    assert numbers_of([frames[i] for i in whole], [tracked[i] for i in whole], 1) == {1}


def test_cars_that_were_one_object_for_a_while_get_their_numbers_back():
    cars = [CAR_AT_10_METERS[0], replace(CAR_AT_10_METERS[0], number=2, begin=(15.5, 3.0))]
    frames = make_drive(24, 0, speed=2.0, movers=cars)
    for index in (8, 9, 15):
        truth = frames[index].truth[LIDAR]
        merged = Panoptic(truth.semantic, np.minimum(truth.instance, 1).astype(np.int32))
        frames[index] = replace(frames[index], truth={LIDAR: merged})
    apart = [index for index in range(24) if index not in (8, 9, 15)]
    tracked = follow(frames)
    found = [numbers_of([frames[i] for i in apart], [tracked[i] for i in apart], number) for number in (1, 2)]
    assert sorted(map(sorted, found)) == [[1], [2]]


def test_an_object_that_was_hidden_for_a_while_gets_its_number_back():
    walker = Mover(PERSON, 1, (12.0, -4.0), (0.0, 1.4), (0.6, 0.6, 1.75))
    frames = make_drive(40, 0, speed=0.0, movers=[walker])
    for index in range(12, 24):
        truth = frames[index].truth[LIDAR]
        hidden = Panoptic(truth.semantic, np.where(truth.instance == 1, 0, truth.instance).astype(np.int32))
        frames[index] = replace(frames[index], truth={LIDAR: hidden})
    assert numbers_of(frames, follow(frames), 1) == {1}


def test_a_standing_car_is_remembered_for_seconds():
    frames = make_drive(60, 0, speed=0.0, movers=CAR_AT_10_METERS)
    for index in range(10, 50):
        truth = frames[index].truth[LIDAR]
        frames[index] = replace(frames[index], truth={LIDAR: Panoptic(truth.semantic, np.zeros_like(truth.instance))})
    assert numbers_of(frames, follow(frames), 1) == {1}
    forgetful = follow(frames, TrackerOptions(reidentification=False))
    assert numbers_of(frames, forgetful, 1) == {1, 2}


def test_a_flickering_class_is_voted_for_over_the_track():
    frames = make_drive(10, 0, movers=CAR_AT_10_METERS)
    tracker = Tracker(STREET)
    for index, frame in enumerate(frames):
        truth = frame.truth[LIDAR]
        is_wrong = (truth.instance == 1) & (index == 6)
        label = Panoptic(np.where(is_wrong, TRUCK, truth.semantic).astype(np.uint8), truth.instance)
        tracked = tracker.update(label, frame)
        assert set(tracked.instance[truth.instance == 1]) == {1}
        assert set(tracked.semantic[truth.instance == 1]) == {CAR}


def test_a_track_never_takes_over_an_object_of_another_class_that_only_stands_near():
    frames = make_drive(2, 0, movers=CAR_AT_10_METERS)
    far = make_drive(2, 0, movers=[replace(CAR_AT_10_METERS[0], begin=(13.0, 3.0), semantic=TRUCK)])
    tracker = Tracker(STREET)
    tracker.update(frames[0].truth[LIDAR], frames[0])
    tracked = tracker.update(far[1].truth[LIDAR], far[1])
    assert set(tracked.instance[far[1].truth[LIDAR].instance == 1]) == {2}


def test_a_changed_class_is_reported():
    frames = make_drive(8, 0, movers=CAR_AT_10_METERS)
    tracker = Tracker(STREET)
    for index, frame in enumerate(frames):
        truth = frame.truth[LIDAR]
        is_truck = (truth.instance == 1) & (index > 1)
        tracker.update(Panoptic(np.where(is_truck, TRUCK, truth.semantic).astype(np.uint8), truth.instance), frame)
    assert tracker.core is not None
    assert any("track 1 changes from class 2 to 4" in event for event in tracker.core.events)


def test_objects_get_a_number_from_their_birth_on():
    frames = make_drive(4, 0, movers=CAR_AT_10_METERS)
    numbers = [set(label.instance.tolist()) - {0} for label in follow(frames, TrackerOptions(birth=3))]
    assert numbers == [set(), set(), {1}, {1}]


def test_an_empty_frame_and_missing_frames_change_no_number():
    frames = make_drive(30, 0, movers=CAR_AT_10_METERS)
    nothing = Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    empty_label = Panoptic(np.zeros(0, np.uint8), np.zeros(0, np.int32))
    tracker, seen = Tracker(STREET), set()
    for index in [0, 1, 2, 3, 6, 7, 8, 25, 26]:
        frame = frames[index]
        if index == 7:
            frame = replace(frame, scan=nothing, truth={LIDAR: empty_label})
        tracked = tracker.update(frame.truth[LIDAR], frame)
        seen |= set(tracked.instance.tolist())
    assert seen == {0, 1}


def test_a_jump_of_the_pose_is_noticed_and_bridged():
    frames = make_drive(12, 0)
    jump = np.eye(4)
    jump[:3, 3] = [300.0, -40.0, 2.0]
    for index in range(6, 12):
        pose = frames[index].world_from_lidar
        assert pose is not None
        frames[index] = replace(frames[index], world_from_lidar=jump @ pose)
    tracker = Tracker(STREET)
    tracked = [tracker.update(frame.truth[LIDAR], frame) for frame in frames]
    kept = [numbers_of(frames, tracked, number) for number in np.unique(frames[5].truth[LIDAR].instance)[1:]]
    assert np.mean([len(numbers) == 1 for numbers in kept]) > 0.9
    assert tracker.core is not None
    assert [event for event in tracker.core.events if "jumps" in event] == [
        "frame 6: the pose jumps; motion estimated from the scans"
    ]


def test_poses_and_points_that_are_not_finite_do_no_harm():
    frames = make_drive(6, 0, movers=CAR_AT_10_METERS)
    for index, frame in enumerate(frames):
        assert frame.scan is not None
        xyz = frame.scan.xyz.copy()
        xyz[index::50] = np.nan
        pose = np.full((4, 4), np.nan) if index == 3 else frame.world_from_lidar
        frames[index] = replace(frame, scan=replace(frame.scan, xyz=xyz), world_from_lidar=pose)
    assert numbers_of(frames, follow(frames), 1) == {1}


def test_five_hundred_objects_keep_their_numbers():
    movers = [
        Mover(PERSON, 1 + i, (-20 + 1.6 * (i % 25), -16 + 1.6 * (i // 25)), (0.0, 0.0), (0.5, 0.5, 1.7))
        for i in range(500)
    ]
    rng = np.random.default_rng(0)
    xyz = np.concatenate([np.array([*m.begin, 0.8]) + rng.uniform(-0.25, 0.25, (60, 3)) for m in movers])
    scan = Scan(xyz.astype(np.float32), np.zeros(len(xyz), np.float32), np.zeros(len(xyz), np.float32))
    truth = Panoptic(np.full(len(xyz), PERSON, np.uint8), np.repeat(np.arange(1, 501), 60).astype(np.int32))
    frames = [Frame(i, 0.1 * i, scan, world_from_lidar=np.eye(4), truth={LIDAR: truth}) for i in range(4)]
    assert association(frames) == 1.0


def test_times_that_stand_still_count_as_sweeps():
    frames = [replace(frame, timestamp=0.0) for frame in make_drive(6, 0)]
    assert association(frames) > 0.97


def test_labels_of_another_scan_are_an_error_that_names_the_frame():
    first, second = make_drive(2, 0, movers=make_movers(np.random.default_rng(0), 2, 0, 0))
    with pytest.raises(ValueError, match=r"frame 1.*labels are of another scan"):
        Tracker(STREET).update(first.truth[LIDAR], second)


def test_numbers_start_anew_after_a_reset():
    frames = make_drive(3, 0, movers=CAR_AT_10_METERS)
    tracker = Tracker(STREET)
    for _ in range(2):
        tracker.reset()
        assert {int(tracker.update(frame.truth[LIDAR], frame).instance.max()) for frame in frames} == {1}


def test_options_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="all stages of the tracker are off"):
        TrackerOptions(overlap=False, motion=False, embedding=False, registration=False)
    with pytest.raises(ValueError, match="cell must be positive"):
        TrackerOptions(cell=0.0)


def test_embeddings_tell_twins_apart():
    """Two people swap places between two frames: only their looks can tell."""
    twins = [Mover(PERSON, i + 1, (10.0, 2.0 * i), (0.0, 0.0), (0.5, 0.5, 1.7)) for i in range(2)]
    frames = make_drive(2, 0, speed=0.0, movers=twins, period=0.5)
    looks = {1: np.array([1.0, 0.0]), 2: np.array([0.0, 1.0])}
    tracker = Tracker(STREET, TrackerOptions(overlap=False, embedding_weight=5.0))
    for index, frame in enumerate(frames):
        truth = frame.truth[LIDAR]
        swapped = Panoptic(truth.semantic, np.where(truth.instance > 0, 3 - truth.instance, 0).astype(np.int32))
        label = swapped if index > 0 else truth
        tracked = tracker.update(label, frame, looks)
        if index == 0:
            number = int(np.bincount(tracked.instance[label.instance == 1]).argmax())
        assert set(tracked.instance[label.instance == 1]) == {number}


def test_unsure_objects_only_continue_tracks():
    frames = make_drive(6, 0, movers=CAR_AT_10_METERS)
    tracker = Tracker(STREET, TrackerOptions(birth_confidence=0.5))
    numbers = []
    for frame, confidence in zip(frames, [0.3, 0.3, 0.9, 0.2, 0.2, 0.2], strict=True):
        tracked = tracker.update(frame.truth[LIDAR], frame, confidences={1: confidence})
        numbers.append(set(tracked.instance[frame.truth[LIDAR].instance == 1]))
    assert numbers == [{0}, {0}, {1}, {1}, {1}, {1}]
    assert (tracked.semantic == frames[-1].truth[LIDAR].semantic).all()

"""What a street must obey, planned without casting a ray."""

import numpy as np
import pytest

from ps3d.simulation.plot import KEEP_OUT
from ps3d.simulation.schedule import make_schedule
from ps3d.simulation.world import World, make_world


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [make_world([4, number], 160.0, 20.0, 8.0) for number in range(4)]


def test_different_seeds_are_different_streets(worlds):
    counts = {tuple(np.round([item.s for item in world.items[:20]], 2)) for world in worlds}
    assert len(counts) == len(worlds)


def test_nothing_stands_where_the_ego_vehicle_drives(worlds):
    for world in worlds:
        for item in world.items:
            if item.kind not in ("weeds",):
                assert abs(item.d) - item.half[1] >= KEEP_OUT - 1e-6 or item.kind in ("building", "hall", "garage"), (
                    item
                )


def test_actors_never_meet_each_other_or_the_ego_vehicle(worlds):
    times = np.arange(0, 20.0, 0.1)
    for world in worlds:
        traffic = world.traffic
        ego = (traffic.ego.distance(times), np.zeros(len(times)), 2.4, 0.95)
        boxes = [ego] + [(a.along(times), a.across(times, traffic.ground), *a.half) for a in traffic.actors]
        for i, (s, d, half_s, half_d) in enumerate(boxes):
            for other_s, other_d, other_half_s, other_half_d in boxes[:i]:
                meets = (np.abs(s - other_s) < half_s + other_half_s) & (np.abs(d - other_d) < half_d + other_half_d)
                assert not meets.any(), (world.seed, i)


def test_objects_are_numbered_once(worlds):
    for world in worlds:
        owners = [*(item.instance_of for item in world.items), *(actor.instance_of for actor in world.traffic.actors)]
        numbers = [pair for instance_of in owners for pair in instance_of.items()]
        assert len(numbers) == len(set(numbers))
        assert max(number for _, number in numbers) < 1000


def test_no_tree_stands_in_a_house(worlds):
    for world in worlds:
        houses = [i for i in world.items if i.kind in ("building", "hall", "garage")]
        for tree in (i for i in world.items if i.kind == "tree"):
            for house in houses:
                sign = np.sign(house.d)
                inside_d = 0 < sign * (tree.d - house.d) < house.options.get("depth", 6)
                assert not (inside_d and abs(tree.s - house.s) < house.options["width"] / 2)


def test_far_frames_keep_a_realistic_speed():
    schedule = make_schedule(20, 17.0)
    assert 6 < schedule.speed < 12
    assert np.isclose(np.diff(schedule.frames).mean() * 0.1 * schedule.speed, 17.0)


@pytest.mark.parametrize(("frames", "spacing"), [(0, 0.8), (5, 0.0), (5, 1e4)])
def test_impossible_schedules_are_refused(frames, spacing):
    with pytest.raises(ValueError, match=r"(frames|spacing) is"):
        make_schedule(frames, spacing)

"""Real scans: parked cars keep their numbers."""

from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects, label

from ps3d.datasets.kitti360 import Kitti360
from ps3d.ops.motion import corrected_xyz, world_xyz
from ps3d.structures import VOID, Frame, Panoptic
from ps3d.tracking import Tracker

GROUND = -1.73
CELL = 0.25
REACH = 30.0


def car_like_clusters(frame: Frame, car: int) -> Panoptic:
    """Connected cells seen from above, of the size of a car; a stand-in for a network."""
    xyz = corrected_xyz(frame)
    is_low = (xyz[:, 2] > GROUND + 0.35) & (xyz[:, 2] < GROUND + 1.9) & (np.abs(xyz[:, :2]) < REACH).all(1)
    cells = np.floor((xyz[:, :2] + REACH) / CELL).astype(int).clip(0, int(2 * REACH / CELL) - 1)
    grid = np.zeros((int(2 * REACH / CELL),) * 2, bool)
    grid[cells[is_low, 0], cells[is_low, 1]] = True
    clusters, _ = label(grid, np.ones((3, 3)))
    number = np.where(is_low, clusters[cells[:, 0], cells[:, 1]], 0)
    for place, (x, y) in enumerate(find_objects(clusters), 1):
        long, short = sorted(((x.stop - x.start) * CELL, (y.stop - y.start) * CELL), reverse=True)
        if not (2.5 < long < 6.5 and 1.0 < short < 4.5 and (number == place).sum() > 150):
            number[number == place] = 0
    semantic = np.where(number > 0, car, VOID).astype(np.uint8)
    return Panoptic(semantic, number.astype(np.int32))


def test_parked_cars_of_drive_8_keep_their_numbers(samples: Path):
    drive = Kitti360(samples / "kitti360", 8)
    tracker = Tracker(drive.taxonomy)
    places = defaultdict(list)
    for frame in drive:
        tracked = tracker.update(car_like_clusters(frame, drive.taxonomy.index("car")), frame)
        world = world_xyz(frame)
        for number in np.unique(tracked.instance[tracked.instance > 0]).tolist():
            places[number].append(np.median(world[tracked.instance == number], axis=0))
    lasting = [np.array(centers) for centers in places.values() if len(centers) >= 8]
    assert len(lasting) >= 3
    # A number stays at its place: what it names stands still to within the change of the visible part.
    assert all(np.linalg.norm(np.ptp(centers[:, :2], axis=0)) < 2.0 for centers in lasting)
    # And a place has one number: no two numbers share one.
    middles = np.array([centers.mean(0)[:2] for centers in lasting])
    gaps = np.linalg.norm(middles[:, None] - middles[None], axis=2) + 10 * np.eye(len(middles))
    assert gaps.min() > 1.5

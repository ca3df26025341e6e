"""A scan and a picture of the same two walls: compared, numbered alike, drawn."""

import numpy as np
import pytest
from PIL import Image as Picture

from ps3d.engine.both_sensors import compare_frame, draw_both, write_small
from ps3d.structures import VOID, Camera, Category, Frame, Image, Panoptic, Scan, Taxonomy

# x forward, y left, z up into x right, y down, z forward.
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
CAMERA = Camera(np.array([[100, 0, 80], [0, 100, 40], [0, 0, 1]], float), CAMERA_FROM_LIDAR, (80, 160))
CARS = Taxonomy("cars", (Category("car", (1,), True, (0, 0, 142)),))


def test_both_sensors_are_compared_numbered_alike_and_drawn(tmp_path):
    across, up = np.meshgrid(np.arange(1, 3, 0.1), np.arange(-1, 1, 0.1))
    left = np.stack([np.full(across.size, 8.0), across.ravel(), up.ravel()], 1).astype(np.float32)
    xyz = np.concatenate([left, left * (1, -1, 1)]).astype(np.float32)
    numbers = np.repeat([40, 41], len(left)).astype(np.int32)
    zeros = np.zeros(len(xyz), np.float32)
    image = Image(np.full((80, 160, 3), 200, np.uint8))
    frame = Frame(0, 0.0, Scan(xyz, zeros, zeros), {"image_00": image})
    semantic, instance = np.full((80, 160), VOID, np.uint8), np.zeros((80, 160), np.int32)
    semantic[20:60], instance[20:60, :80], instance[20:60, 80:] = 0, 2, 1
    scan, picture = Panoptic(np.zeros(len(xyz), np.uint8), numbers), Panoptic(semantic, instance)
    both = compare_frame(frame, CAMERA, scan, picture)
    assert both.agreement.same_class == 1.0
    assert np.unique(both.picture.instance[30, :80]).tolist() == [40]
    assert np.unique(both.picture.instance[30, 80:]).tolist() == [41]
    drawn = draw_both(image.rgb, both, CARS)
    assert drawn.shape[0] >= 160
    with Picture.open(write_small(tmp_path / "a.png", drawn, 80, 16)) as written:
        assert written.size[0] == 80
        assert written.mode == "P"
    with pytest.raises(ValueError, match="points"):
        compare_frame(frame, CAMERA, scan.select(np.arange(5)), picture)

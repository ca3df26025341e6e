"""Windows around near objects."""

import numpy as np

from ps3d.datasets.panoptic_folder import PanopticFolder, write_frame
from ps3d.datasets.picture_crops import cut_around_objects, void_small_parts
from ps3d.structures import VOID, Category, Panoptic, Taxonomy

CLASSES = Taxonomy("two", (Category("ground", (1,), False, (0, 0, 0)), Category("car", (2,), True, (9, 9, 9))))


def test_thin_parts_small_segments_and_crowds_become_void():
    semantic, instance = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.int32)
    semantic[5:20, 5:20], instance[5:20, 5:20] = 1, 7  # an object
    semantic[10:12, 20:50], instance[10:12, 20:50] = 1, 7  # its antenna
    semantic[25:31, 25:31], instance[25:31, 25:31] = 1, 8  # a small one
    semantic[25:38, 40:55] = 1  # a crowd
    found = void_small_parts(Panoptic(semantic, instance), CLASSES, smallest=64, thinnest=5)
    assert (found.semantic[5:20, 5:20] == 1).all()
    assert (found.instance[5:20, 5:20] == 7).all()
    for part in (np.s_[10:12, 22:50], np.s_[25:31, 25:31], np.s_[25:38, 40:55]):
        assert (found.semantic[part] == VOID).all()
        assert not found.instance[part].any()
    assert (found.semantic[:5] == 0).all()


def test_a_window_holds_its_object_and_no_object_has_two(tmp_path):
    semantic, instance = np.zeros((80, 200), np.uint8), np.zeros((80, 200), np.int32)
    for number, column in ((1, 10), (2, 40), (3, 150)):
        semantic[20:40, column : column + 20], instance[20:40, column : column + 20] = 1, number
    rgb = np.repeat(instance[..., None], 3, axis=2).astype(np.uint8)
    for name in "abcd":
        write_frame(tmp_path, "drive", name, rgb, Panoptic(semantic, instance))
    frames = list(cut_around_objects(PanopticFolder(tmp_path / "drive", CLASSES), (48, 64)))
    # The third object stands alone, so two windows are all there are.
    assert len(frames) == 2
    for found in frames:
        (image,), (label,) = found.images.values(), found.truth.values()
        assert image.rgb.shape == (48, 64, 3)
        assert (image.rgb[..., 0] == label.instance).all()
        assert set(np.unique(label.instance)) == {0, 1, 2}

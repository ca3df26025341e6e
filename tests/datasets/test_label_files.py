""".label files keep class ids and object numbers."""

import numpy as np
import pytest

from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.label_files import read_labels, write_labels, write_panoptic
from ps3d.structures import VOID, Panoptic


def test_labels_read_back(tmp_path):
    write_labels(tmp_path / "a.label", np.array([0, 26, 65535]), np.array([0, 999, 65535]))
    semantic, instance = read_labels(tmp_path / "a.label", points=3)
    assert semantic.tolist() == [0, 26, 65535]
    assert instance.tolist() == [0, 999, 65535]
    assert (tmp_path / "a.label").read_bytes()[4:8] == bytes([26, 0, 999 % 256, 999 // 256])


def test_labels_of_another_scan_and_torn_files_are_named(tmp_path):
    write_labels(tmp_path / "a.label", np.array([1, 2]), np.array([0, 0]))
    with pytest.raises(ValueError, match=r"a\.label: 2 labels for a scan of 3 points"):
        read_labels(tmp_path / "a.label", points=3)
    (tmp_path / "a.label").write_bytes(b"12345")
    with pytest.raises(ValueError, match=r"a\.label.*cut off"):
        read_labels(tmp_path / "a.label")


@pytest.mark.parametrize(("semantic", "instance"), [([-1], [0]), ([0], [65536])])
def test_numbers_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, semantic, instance):
    with pytest.raises(ValueError, match=r"a\.label"):
        write_labels(tmp_path / "a.label", np.array(semantic), np.array(instance))
    assert list(tmp_path.iterdir()) == []


def test_a_panoptic_labeling_is_written_with_raw_ids(tmp_path):
    car = KITTI360_SCAN.index("car")
    write_panoptic(
        tmp_path / "a.label",
        Panoptic(np.array([0, car, VOID], np.uint8), np.array([0, 26007, 0], np.int32)),
        KITTI360_SCAN,
    )
    semantic, instance = read_labels(tmp_path / "a.label")
    assert semantic.tolist() == [7, 26, 0]
    assert instance.tolist() == [0, 26007, 0]


def test_large_numbers_keep_their_lower_bits_unless_objects_would_merge(tmp_path):
    semantic = np.array([3, 3], np.uint8)
    write_panoptic(tmp_path / "a.label", Panoptic(semantic, np.array([65536 + 7, 9], np.int32)), KITTI360_SCAN)
    assert read_labels(tmp_path / "a.label")[1].tolist() == [7, 9]
    with pytest.raises(ValueError, match="merge"):
        write_panoptic(tmp_path / "b.label", Panoptic(semantic, np.array([65536 + 7, 7], np.int32)), KITTI360_SCAN)

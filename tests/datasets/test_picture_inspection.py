"""Every format of pictures: recognized, read as written, found whole by the doctor, and its damage named."""

import numpy as np
import pytest
from picture_samples import FORMATS, PICTURE, same_segments

from ps3d.datasets.findings import DAMAGED
from ps3d.datasets.inspection import inspect_data
from ps3d.datasets.kitti360_files import write_png
from ps3d.datasets.panoptic_folder import read_picture
from ps3d.datasets.picture_opening import open_pictures
from ps3d.structures import VOID, Panoptic


@pytest.mark.parametrize("name", FORMATS)
def test_a_data_set_is_recognized_and_read_as_written(tmp_path, name):
    write, _, keeps_crowds = FORMATS[name]
    label = write(tmp_path)
    (sequence,) = open_pictures(tmp_path)
    frame = sequence[0]
    ((camera, truth),) = frame.truth.items()
    assert frame.images[camera].size == truth.shape
    if not keeps_crowds:
        crowd = (label.semantic == label.semantic[10, 3]) & (label.instance == 0)
        label = Panoptic(np.where(crowd, VOID, label.semantic).astype(np.uint8), label.instance)
    assert sequence.taxonomy.categories[int(truth.semantic[10, 3])].name in ("car", "horse")
    assert same_segments(truth, label)


@pytest.mark.parametrize("name", FORMATS)
def test_the_doctor_finds_a_whole_data_set_well_and_names_a_cut_off_file(tmp_path, name):
    write, truth, _ = FORMATS[name]
    write(tmp_path)
    whole = inspect_data(tmp_path, deep=True)
    assert not whole.is_damaged
    assert any("1 have labels, with 2 objects" in amount for _, amount in whole.holdings)
    assert all(ability.can_run for ability in whole.abilities)
    content = (tmp_path / truth).read_bytes()
    (tmp_path / truth).write_bytes(content[: len(content) // 2])
    damaged = inspect_data(tmp_path, deep=True)
    assert damaged.is_damaged
    texts = [f"{f.path}: {f.message}" for f in damaged.findings if f.severity == DAMAGED]
    assert any((tmp_path / truth).name in text for text in texts)


def test_a_panoptic_json_is_opened_by_its_own_path(tmp_path):
    label = FORMATS["coco"][0](tmp_path)
    (sequence,) = open_pictures(tmp_path / "annotations" / "panoptic_val2017.json")
    assert same_segments(sequence[0].truth["camera"], label)
    FORMATS["bdd100k"][0](tmp_path / "bdd")
    assert len(open_pictures(tmp_path / "bdd" / "pan_seg_val.json")[0]) == 1


def test_sixteen_bit_gray_pictures_are_stretched_to_eight(tmp_path):
    gray = np.linspace(1000, 5000, 20 * 40).reshape(20, 40).astype(np.uint16)
    write_png(tmp_path / "a.png", gray)
    rgb = read_picture(tmp_path / "a.png")
    assert rgb.dtype == np.uint8
    assert rgb.shape == (20, 40, 3)
    assert (rgb.min(), rgb.max()) == (0, 255)
    assert (np.diff(rgb[..., 0].ravel().astype(int)) >= 0).all()
    write_png(tmp_path / "b.png", PICTURE)
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png"), PICTURE)

"""Frames as pictures: panels, legends, hidden classes, and what cannot be drawn is explained."""

import numpy as np
import pytest

from ps3d.structures import Calibration, Camera, Frame, Image, Panoptic, Scan
from ps3d.structures.sequence import LIDAR
from ps3d.visualization.frames import COLOR_MODES, FrameArtist, Style

SMALL = {"size": (90, 120)}


@pytest.fixture
def frame(street) -> Frame:
    xyz, panoptic = street
    scan = Scan(xyz, np.linspace(0, 1, len(xyz), dtype=np.float32), np.zeros(len(xyz), np.float32))
    picture = Image(np.full((60, 80, 3), 50, np.uint8))
    return Frame(7, 0.7, scan, {"front": picture}, np.eye(4), truth={LIDAR: panoptic}, source="7.bin")


@pytest.fixture
def camera() -> Calibration:
    pose = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    return Calibration({"front": Camera(np.array([[50.0, 0, 40], [0, 50, 30], [0, 0, 1]]), pose, (60, 80))})


@pytest.mark.parametrize("mode", COLOR_MODES)
def test_every_color_mode_draws_in_every_view(frame, camera, taxonomy, mode):
    labelings = {"truth": frame.truth[LIDAR], "prediction": frame.truth[LIDAR]}
    artist = FrameArtist(taxonomy, camera, Style(color=mode, has_boxes=True, has_trails=True, **SMALL))
    for view in ("follow", "bird", "image"):
        picture = artist.draw(frame, labelings, view, "drive")
        panels = 2 if mode in ("class", "instance", "track") else 1
        assert picture.shape[1] == panels * (80 if view == "image" else 120) + 4 * (panels - 1)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_hidden_classes_are_not_drawn(frame, taxonomy):
    labelings = {"truth": frame.truth[LIDAR]}
    road = np.array(taxonomy.categories[0].color)

    def count(**options):
        artist = FrameArtist(taxonomy, style=Style(is_shaded=False, **SMALL, **options))
        return (artist.draw(frame, labelings, "bird") == road).all(-1).sum()

    assert count() > 1000
    assert count(hidden=("road",)) == 0
    with pytest.raises(KeyError, match="toy has no class 'roda'"):
        FrameArtist(taxonomy, style=Style(hidden=("roda",)))


def test_errors_need_both_labelings(frame, taxonomy):
    with pytest.raises(ValueError, match="--prediction DIR"):
        FrameArtist(taxonomy, style=Style(color="error")).draw(frame, {"truth": frame.truth[LIDAR]}, "bird")


def test_a_scan_without_labels_shows_its_height(frame, taxonomy):
    picture = FrameArtist(taxonomy, style=Style(**SMALL)).draw(frame, {}, "follow")
    by_height = FrameArtist(taxonomy, style=Style(color="height", **SMALL)).draw(frame, {}, "follow")
    np.testing.assert_array_equal(picture, by_height)


def test_an_empty_scan_is_drawn_too(taxonomy):
    nothing = np.zeros(0, np.float32)
    scan = Scan(np.zeros((0, 3), np.float32), nothing, nothing)
    labels = Panoptic(np.zeros(0, np.uint8), np.zeros(0, np.int32))
    artist = FrameArtist(taxonomy, style=Style(has_boxes=True, has_trails=True, **SMALL))
    assert artist.draw(Frame(0, 0.0, scan, world_from_lidar=np.eye(4)), {"truth": labels}, "follow").shape[1] == 120


def test_a_full_legend_keeps_the_size_of_a_video(frame, taxonomy):
    artist = FrameArtist(taxonomy, style=Style(has_full_legend=True, **SMALL))
    truth = frame.truth[LIDAR]
    only_road = Panoptic(np.zeros(len(truth), np.uint8), np.zeros(len(truth), np.int32))
    assert artist.draw(frame, {"truth": truth}, "bird").shape == artist.draw(frame, {"truth": only_road}, "bird").shape


def test_a_frame_without_pictures_says_so(frame, taxonomy):
    with pytest.raises(ValueError, match=r"frame 7 \(7.bin\): no calibrated camera pictures"):
        FrameArtist(taxonomy).draw(frame, {}, "image")
    with pytest.raises(KeyError, match="no view 'side'; known are follow, bird"):
        FrameArtist(taxonomy).draw(frame, {}, "side")
    with pytest.raises(KeyError, match="no color mode 'rainbow'"):
        FrameArtist(taxonomy, style=Style(color="rainbow"))

"""From folders on disk to pictures and videos, by the command line."""

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ps3d.datasets.kitti360_files import write_scan
from ps3d.datasets.kitti360_labels import KITTI360_IMAGE
from ps3d.datasets.label_files import write_labels
from ps3d.datasets.panoptic_png import write_step
from ps3d.engine.look import open_labeled, parse_frames, rank_frames, save_best_and_worst
from ps3d.structures import Panoptic
from ps3d.visualization.colors import InstanceColors

TOOL = Path(__file__).parents[2] / "tools" / "visualize.py"


@pytest.fixture
def drive(tmp_path) -> Path:
    """Three scans with truth, and a prediction that loses a car in the last one."""
    rng = np.random.default_rng(0)
    for number in range(3):
        xyz = np.concatenate(
            [rng.uniform((-20, -8, -1.8), (30, 8, -1.7), (3000, 3)), rng.uniform((5, 2, -1.7), (9, 4, 0), (400, 3))]
        )
        write_scan(tmp_path / "scans" / f"{number:010d}.bin", xyz, rng.uniform(0, 1, 3400))
        raw = np.repeat([7, 26], [3000, 400])
        instance = np.repeat([0, 5], [3000, 400])
        write_labels(tmp_path / "truth" / f"{number:010d}.label", raw, instance)
        if number == 2:
            raw, instance = np.where(raw == 26, 7, raw), instance * 0
        write_labels(tmp_path / "found" / "scans" / "labels" / f"{number:010d}.label", raw, instance)
    return tmp_path


@pytest.fixture(scope="module")
def visualize():
    """tools/visualize.py inside this process: importing torch takes seconds."""
    spec = importlib.util.spec_from_file_location("visualize", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *words: module.main([str(word) for word in words])


def test_the_tool_writes_a_video_of_truth_beside_prediction(drive, visualize):
    target = drive / "out" / "drive.mp4"
    visualize(
        drive / "scans", "--labels", drive / "truth", "--prediction", drive / "found", "--truth", "--save", target,
        "--renderer", "numpy", "--size", 320, 240, "--color", "instance", "--boxes",
    )  # fmt: skip
    with av.open(str(target)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 3
    assert frames[0].shape[1] == 2 * 320 + 4


def test_the_tool_writes_one_picture_or_a_folder(drive, visualize):
    visualize(drive / "scans", "--save", drive / "a.png", "--renderer", "numpy", "--view", "bird")
    assert Image.open(drive / "a.png").size[0] == 1280
    visualize(drive / "scans", "--save", drive / "out", "--renderer", "numpy", "--frames", "::2")
    assert [path.name for path in sorted((drive / "out").iterdir())] == ["scans_0000000000.png", "scans_0000000002.png"]


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Six gray pictures in which a car moves to the right, and its track's mask in each."""
    for index in range(6):
        (tmp_path / "street").mkdir(exist_ok=True)
        Image.fromarray(np.full((60, 120, 3), 90, np.uint8)).save(tmp_path / "street" / f"{index:010d}.png")
        semantic, instance = np.zeros((60, 120), np.uint8), np.zeros((60, 120), np.int32)
        place = np.s_[30:42, 10 + 14 * index : 30 + 14 * index]
        semantic[place], instance[place] = KITTI360_IMAGE.index("car"), 7
        write_step(tmp_path / "found" / "street" / "labels" / f"{index:010d}.png", Panoptic(semantic, instance))
    return tmp_path


def test_tracked_pictures_become_a_video_with_one_color_and_a_trail(pictures, visualize):
    target, color = pictures / "track.mp4", InstanceColors().of(0, 7).astype(int)
    words = [pictures / "street", "--prediction", pictures / "found", "--color", "track", "--trails", "--save"]
    visualize(*words, target)
    with av.open(str(target)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 6
    visualize(*words, pictures / "out")
    drawn = [np.asarray(Image.open(path)).astype(int)[-60:] for path in sorted((pictures / "out").iterdir())]
    for index, picture in enumerate(drawn):
        mask = picture[31, 12 + 14 * index : 28 + 14 * index]
        assert (abs(mask - (0.4 * 90 + 0.6 * color)) <= 1).all()
        trail = picture[35:37, 20 : 18 + 14 * index]
        assert ((trail == color).all(-1).any(0)).all()
        assert (picture[35:37, 44 + 14 * index :] == 90).all()


def test_pictures_without_a_place_to_draw_to_or_of_other_classes_are_explained(pictures, visualize):
    words = [pictures / "street", "--prediction", pictures / "found"]
    with pytest.raises(SystemExit, match=r"--save track\.mp4"):
        visualize(*words)
    with pytest.raises(SystemExit, match="drawn by class, instance, track"):
        visualize(*words, "--color", "height", "--save", pictures / "a.png")
    (pictures / "found" / "street" / "labels" / "0000000003.png").unlink()
    with pytest.raises(SystemExit, match=r"0000000003\.png: no prediction"):
        visualize(*words, "--save", pictures / "a.mp4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--save", "a.png"], "nowhere: no such file or folder"),
        (["scans", "--save", "a.tiff"], "cannot write .tiff"),
        (["scans", "--save", "a.png", "--frames", "0:2"], "do not fit into one picture"),
        (["scans", "--save", "a.png", "--frames", "9"], "only the positions 0 to 2"),
        (["scans", "--save", "a.png", "--color", "error"], "--prediction DIR"),
        (["scans", "--save", "a.png", "--prediction", "truth/none"], "no prediction for frame 0 of scans"),
        (["scans", "--save", "a.png", "--view", "image"], "cameras"),
    ],
)
def test_mistakes_are_explained_in_one_line(drive, visualize, arguments, message):
    paths = [
        drive / word if word in ("nowhere", "scans", "a.png", "a.tiff", "truth/none") else word for word in arguments
    ]
    with pytest.raises(SystemExit) as end:
        visualize(*paths, "--renderer", "numpy")
    assert message in str(end.value)
    assert "\n" not in str(end.value)


def test_frames_are_named_as_in_python():
    assert list(parse_frames("2:6:2", 10)) == [2, 4]
    assert list(parse_frames("-1", 10)) == [9]
    assert list(parse_frames(None, 3)) == [0, 1, 2]
    for text in ("a", "", "1:2:3:4", "::0", "5:5"):
        with pytest.raises(ValueError, match=f"--frames {text}"):
            parse_frames(text, 10)


def test_the_worst_frame_is_the_one_that_lost_a_car(drive):
    labeled = open_labeled(drive / "scans", drive / "truth", drive / "found")[0]
    ranked = rank_frames(labeled)
    assert ranked[0][1] == 2
    assert ranked[0][0] < ranked[1][0]
    paths = save_best_and_worst(drive / "plots", labeled, count=1)
    assert [path.name.split("_")[0] for path in paths] == ["worst", "worst", "best", "best"]
    assert "0000000002" in paths[0].name
    assert (np.asarray(Image.open(paths[1])) == (0, 114, 178)).all(-1).sum() > 100

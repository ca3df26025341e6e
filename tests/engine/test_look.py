"""From folders on disk to pictures and videos, by the command line."""

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ps3d.datasets.kitti360_files import write_scan
from ps3d.datasets.label_files import write_labels
from ps3d.engine.look import open_labeled, parse_frames, rank_frames, save_best_and_worst

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

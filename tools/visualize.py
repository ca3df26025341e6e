"""Look at scans, labels and predictions: a window, pictures, videos.

python tools/visualize.py INPUT                                         a window: next, previous, play, pick
python tools/visualize.py INPUT --prediction DIR --truth --save a.mp4   truth beside prediction as a video
python tools/visualize.py INPUT --view bird --frames ::50 --save DIR    one picture of every fiftieth frame
python tools/visualize.py PICTURES --prediction DIR --color track --trails --save track.mp4
                                                                        pictures labeled by predict_image.py --track
python tools/visualize.py runs/lidar/small-0                            the report of a run
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ps3d.datasets.opening import named_taxonomy
from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.look import open_labeled, parse_frames, save_frames
from ps3d.engine.look_pictures import has_picture_labels, save_pictures
from ps3d.visualization.files import PICTURE_SUFFIXES
from ps3d.visualization.frames import Style
from ps3d.visualization.renderers import RendererFailed, make_renderer
from ps3d.visualization.viewer import show
from ps3d.visualization.window_check import NoWindow


@dataclass
class Arguments:
    """See the module's text."""

    input: tyro.conf.Positional[Path]
    """a scan, a folder of scans, a root of KITTI-360 or SemanticKITTI, or a run folder"""
    labels: Path | None = None
    """folder of .label files to use as the truth, e.g. recovered ones"""
    prediction: Path | None = None
    """folder of predicted .label files"""
    truth: bool = False
    """show the truth beside the prediction; without a prediction it is shown anyway"""
    save: Path | None = None
    """.mp4, .gif, .png or a folder; without it a window opens"""
    sequence: str | None = None
    """number or name; default: the first one"""
    frames: str | None = None
    """positions as in Python: 7, 0:60, ::10; default: all (one picture: the first)"""
    color: Literal["class", "instance", "track", "intensity", "height", "error"] = "class"
    view: Literal["follow", "bird", "image"] = "follow"
    renderer: Literal["auto", "open3d", "numpy"] = "auto"
    """auto = Open3D where it works, else ps3d's own"""
    cameras: tuple[str, ...] = ()
    """camera pictures to read, e.g. image_00; needed by --view image"""
    taxonomy: str | None = None
    """classes of the labels; default: the data set's own"""
    hide: tuple[str, ...] = ()
    """names of classes to leave out, e.g. road vegetation"""
    boxes: bool = False
    """draw boxes around objects"""
    trails: bool = False
    """draw the paths of objects and of the car"""
    color_blind: bool = False
    """colors that color-blind people tell apart, in place of the data set's"""
    point_size: float = 2.0
    """pixels"""
    size: tuple[int, int] = (1280, 720)
    """width and height of one panel"""
    fps: float = 10.0


def main(words: list[str] | None = None) -> None:
    """Run with the words of a command line; mistakes of the user end with one line."""
    try:
        look(tyro.cli(Arguments, description=__doc__, args=words))
    except (OSError, ValueError, KeyError, ImportError, RendererFailed, NoWindow) as error:
        sys.exit(f"error: {error.args[0] if isinstance(error, KeyError) else error}")


def look(arguments: Arguments) -> None:
    """Write what was asked for, or open a window."""
    if is_run_folder(arguments.input):
        # Matplotlib, which only reports need, takes most of a second to load.
        from ps3d.visualization.report import write_report

        print(f"report: {write_report(arguments.input)}")
        return
    if arguments.prediction is not None and has_picture_labels(arguments.prediction):
        look_at_pictures(arguments, arguments.prediction)
        return
    cameras = arguments.cameras or (("image_00",) if arguments.view == "image" else ())
    sequences = None if arguments.sequence is None else [arguments.sequence]
    labeled = open_labeled(
        arguments.input,
        arguments.labels,
        arguments.prediction,
        arguments.truth or None,
        arguments.taxonomy,
        sequences,
        cameras,
    )[0]
    style = style_of(arguments)
    positions = parse_frames(arguments.frames, len(labeled))
    if arguments.save is None:
        sequence = labeled.sequence
        show(labeled.__getitem__, positions, sequence.taxonomy, sequence.calibration, style, sequence.name)
        return
    if arguments.frames is None and arguments.save.suffix.lower() in PICTURE_SUFFIXES:
        positions = positions[:1]
    is_picture = arguments.save.suffix.lower() != ".rrd"
    renderer = make_renderer(arguments.renderer if is_picture else "numpy")
    try:
        written = save_frames(arguments.save, labeled, positions, arguments.view, style, renderer, arguments.fps)
    finally:
        renderer.close()
    drawn = f", drawn by {renderer.name}" if is_picture else ""
    print(f"{len(positions)} frames of {labeled.sequence.name}{drawn}: {written[0]}", end="")
    print(f" ... {written[-1].name}" if len(written) > 1 else "")


def look_at_pictures(arguments: Arguments, prediction: Path) -> None:
    """Write pictures with their predictions.

    Raises:
        ValueError: no place to write to.
    """
    if arguments.save is None:
        raise ValueError(f"{prediction} holds labels of pictures: say where to draw them, e.g. --save track.mp4")
    taxonomy = None if arguments.taxonomy is None else named_taxonomy(arguments.taxonomy)
    sequences = None if arguments.sequence is None else [arguments.sequence]
    camera = arguments.cameras[0] if arguments.cameras else "image_00"
    drive = open_pictures(arguments.input, sequences, camera, taxonomy)[0]
    positions = parse_frames(arguments.frames, len(drive))
    if arguments.frames is None and arguments.save.suffix.lower() in PICTURE_SUFFIXES:
        positions = positions[:1]
    written = save_pictures(arguments.save, drive, prediction, positions, style_of(arguments), arguments.fps)
    print(f"{len(positions)} pictures of {drive.name}: {written[0]}", end="")
    print(f" ... {written[-1].name}" if len(written) > 1 else "")


def style_of(arguments: Arguments) -> Style:
    """How to draw."""
    return Style(
        color=arguments.color,
        hidden=arguments.hide,
        size=(arguments.size[1], arguments.size[0]),
        point_size=arguments.point_size,
        is_safe=arguments.color_blind,
        has_boxes=arguments.boxes,
        has_trails=arguments.trails,
    )


def is_run_folder(path: Path) -> bool:
    """A training leaves its configuration there."""
    return (path / "config.yaml").is_file()


if __name__ == "__main__":
    main()

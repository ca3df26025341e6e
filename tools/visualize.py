"""Look at scans, labels and predictions: a window, pictures, videos.

python tools/visualize.py INPUT                                         a window: next, previous, play, pick
python tools/visualize.py INPUT --prediction DIR --truth --save a.mp4   truth beside prediction as a video
python tools/visualize.py INPUT --view bird --frames ::50 --save DIR    one picture of every fiftieth frame
python tools/visualize.py runs/lidar/small-0                            the report of a run
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ps3d.engine.look import open_labeled, parse_frames, save_frames
from ps3d.visualization.frames import Style
from ps3d.visualization.renderers import RendererFailed, make_renderer
from ps3d.visualization.viewer import NoWindow, show


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
    style = Style(
        color=arguments.color,
        hidden=arguments.hide,
        size=(arguments.size[1], arguments.size[0]),
        point_size=arguments.point_size,
        is_safe=arguments.color_blind,
        has_boxes=arguments.boxes,
        has_trails=arguments.trails,
    )
    positions = parse_frames(arguments.frames, len(labeled))
    if arguments.save is None:
        sequence = labeled.sequence
        show(labeled.__getitem__, positions, sequence.taxonomy, sequence.calibration, style, sequence.name)
        return
    if arguments.frames is None and arguments.save.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        positions = positions[:1]
    renderer = make_renderer(arguments.renderer)
    try:
        written = save_frames(arguments.save, labeled, positions, arguments.view, style, renderer, arguments.fps)
    finally:
        renderer.close()
    print(f"{len(positions)} frames of {labeled.sequence.name}, drawn by {renderer.name}: {written[0]}", end="")
    print(f" ... {written[-1].name}" if len(written) > 1 else "")


def is_run_folder(path: Path) -> bool:
    """A training leaves its configuration there."""
    return (path / "config.yaml").is_file()


if __name__ == "__main__":
    main()

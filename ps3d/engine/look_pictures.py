"""Looking at labeled pictures: predictions of camera pictures over the pictures, with the paths of tracked objects."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ps3d.datasets.panoptic_png import prediction_path, read_step
from ps3d.ops.ahead import ahead
from ps3d.structures import VOID, Frame, Panoptic, Sequence
from ps3d.visualization.colors import InstanceColors, color_by_track
from ps3d.visualization.files import PICTURE_SUFFIXES, VIDEO_SUFFIXES, write_picture, write_video
from ps3d.visualization.frames import Style
from ps3d.visualization.images import overlay_colors, overlay_panoptic
from ps3d.visualization.palettes import color_blind_safe
from ps3d.visualization.text import add_title
from ps3d.visualization.tracks import ImageTrails

PICTURE_COLORS = ("class", "instance", "track")
"""Color modes that make sense over a picture."""


def has_picture_labels(folder: Path) -> bool:
    """Whether a folder of predictions is about pictures: PNG files as tools/predict_image.py writes them."""
    return any(folder.glob("*/labels/*.png"))


def read_picture_prediction(folder: Path, drive: Sequence, frame: Frame) -> Panoptic:
    """Predicted labels of one picture.

    Raises:
        FileNotFoundError: there are none.
        ValueError: labels of a picture of another size, or of other classes.
    """
    path = prediction_path(folder, drive, frame)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no prediction for picture {frame.index}; label the pictures with tools/predict_image.py, or "
            "choose others with --frames"
        )
    label = read_step(path)
    highest = label.semantic[label.semantic != VOID].max(initial=0)
    if highest >= len(drive.taxonomy):
        raise ValueError(
            f"{path}: class id {highest}, but {drive.taxonomy.name} has {len(drive.taxonomy)} classes; name those "
            "of the network with --taxonomy"
        )
    size = _rgb(frame).shape[:2]
    if label.shape != size:
        raise ValueError(f"{path}: labels of {label.shape}, but the picture ({frame.source}) has {size} pixels")
    return label


def _rgb(frame: Frame) -> np.ndarray:
    return next(iter(frame.images.values())).rgb


def draw_pictures(
    drive: Sequence, prediction: Path, positions: Iterable[int], style: Style
) -> Iterator[tuple[int, np.ndarray]]:
    """(frame index, picture) of each position.

    An object has the color of its number; with `style.has_trails` a path of that color leads to where it is now.

    Raises:
        ValueError: a color mode that pictures do not have.
    """
    if style.color not in PICTURE_COLORS:
        raise ValueError(f"--color {style.color}: predictions of pictures are drawn by {', '.join(PICTURE_COLORS)}")
    taxonomy = color_blind_safe(drive.taxonomy) if style.is_safe else drive.taxonomy
    colors, trails = InstanceColors(style.is_safe), ImageTrails()
    for frame in ahead(drive[position] for position in positions):
        label = read_picture_prediction(prediction, drive, frame)
        picture = _rgb(frame)
        if style.color == "track":
            is_object = label.instance > 0
            drawn = overlay_colors(picture, color_by_track(label, taxonomy, colors), is_object, 0.6)
        else:
            drawn = overlay_panoptic(picture, label, taxonomy, colors=colors if style.color == "instance" else None)
        if style.has_trails:
            drawn = trails.draw(drawn, label, taxonomy, colors.palette)
        yield frame.index, add_title(drawn, f"{drive.name}   frame {frame.index}   by {style.color}")


def save_pictures(
    target: Path, drive: Sequence, prediction: Path, positions: range, style: Style, fps: float | int = 10
) -> list[Path]:
    """Write what `draw_pictures` draws: a video (.mp4, .gif), a picture of one frame, or a folder of pictures.

    Raises:
        ValueError: a suffix that is none of these, or a picture's name for several frames.
    """
    suffix = target.suffix.lower()
    drawn = draw_pictures(drive, prediction, positions, style)
    if suffix in VIDEO_SUFFIXES:
        return [write_video(target, (picture for _, picture in drawn), fps)]
    if suffix and suffix not in PICTURE_SUFFIXES:
        known = ", ".join((*VIDEO_SUFFIXES, *PICTURE_SUFFIXES))
        raise ValueError(f"--save {target}: cannot write {suffix}; a folder, or a file that ends with {known}")
    if suffix and len(positions) > 1:
        raise ValueError(f"--save {target}: {len(positions)} frames do not fit into one picture; name a folder or .mp4")
    return [
        write_picture(target if suffix else target / f"{drive.name}_{index:010d}.png", picture)
        for index, picture in drawn
    ]

"""Looking at drives: sequences with their labelings, written as pictures and videos; the best and worst frames."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ps3d.datasets.label_files import read_labels
from ps3d.datasets.opening import open_sequences
from ps3d.metrics.panoptic_quality import count_panoptic
from ps3d.metrics.rules import OFFICIAL, Rules
from ps3d.ops.ahead import ahead
from ps3d.structures import Frame, Panoptic, Sequence, Taxonomy
from ps3d.structures.sequence import LIDAR
from ps3d.visualization.files import PICTURE_SUFFIXES, VIDEO_SUFFIXES, write_picture, write_video
from ps3d.visualization.frames import PREDICTION, TRUTH, FrameArtist, Style
from ps3d.visualization.renderers import NumpyRenderer, Renderer
from ps3d.visualization.rerun_export import write_rrd
from ps3d.visualization.views import View

LAYOUTS = (
    "{sequence}/labels/{frame}.label",
    "{sequence}/{frame}.label",
    "sequences/{sequence}/predictions/{frame}.label",
    "sequences/{sequence}/labels/{frame}.label",
    "labels/{frame}.label",
    "{frame}.label",
)
"""Where the labels of a frame may lie in a folder of predictions."""


@dataclass(frozen=True)
class Labeled:
    """A sequence to look at.

    Attributes:
        sequence: frames, with the truth where it is there.
        prediction: folder of .label files in one of `LAYOUTS`, or None.
        has_truth: show the truth.
    """

    sequence: Sequence
    prediction: Path | None = None
    has_truth: bool = True

    def __len__(self) -> int:
        return len(self.sequence)

    def __getitem__(self, position: int) -> tuple[Frame, Mapping[str, Panoptic]]:
        """A frame and its labelings: `TRUTH`, `PREDICTION`, both or none.

        Raises:
            FileNotFoundError: the folder of predictions has none for this frame.
            ValueError: labels of another scan or of other classes.
        """
        frame = self.sequence[position]
        labelings = {}
        if self.has_truth and LIDAR in frame.truth:
            labelings[TRUTH] = frame.truth[LIDAR]
        if self.prediction is not None:
            labelings[PREDICTION] = read_prediction(self.prediction, self.sequence, frame)
        return frame, labelings


def find_prediction(folder: Path, sequence: str, frame: Frame) -> Path:
    """The file of a frame's predicted labels.

    Raises:
        FileNotFoundError: in none of `LAYOUTS`; names what was tried.
    """
    stem = Path(frame.source).name.split(".")[0]
    names = dict.fromkeys([stem, f"{frame.index:010d}", f"{frame.index:06d}"])
    tried = [folder / layout.format(sequence=sequence, frame=name) for name in names for layout in LAYOUTS]
    for path in tried:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder}: no prediction for frame {frame.index} of {sequence}; looked for {tried[0].relative_to(folder)}, "
        f"{tried[4].relative_to(folder)} and others"
    )


def read_prediction(folder: Path, sequence: Sequence, frame: Frame) -> Panoptic:
    """Predicted labels of a frame's scan, in the sequence's classes."""
    path = find_prediction(folder, sequence.name, frame)
    raw, number = read_labels(path, None if frame.scan is None else len(frame.scan))
    return Panoptic(sequence.taxonomy.encode(raw, str(path)), number)


def open_labeled(
    path: str | Path,
    labels: Path | None = None,
    prediction: Path | None = None,
    has_truth: bool | None = None,
    taxonomy: Taxonomy | str | None = None,
    sequences: Iterable[int | str] | None = None,
    cameras: Iterable[str] = (),
) -> list[Labeled]:
    """Everything at a path that one can look at; arguments as `open_sequences`.

    Args:
        has_truth: show the truth; None = where there is no prediction to show.
    """
    shows_truth = (prediction is None or labels is not None) if has_truth is None else has_truth
    opened = open_sequences(path, taxonomy, sequences, cameras, labels)
    return [Labeled(sequence, prediction, shows_truth) for sequence in opened]


def parse_frames(text: str | None, length: int) -> range:
    """Positions named as in Python: "7", "10:20", ":100:5", "-1"; None = all.

    Raises:
        ValueError: not of that form, or nothing of the sequence in it.
    """
    if text is None:
        return range(length)
    try:
        parts = [int(part) if part else None for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or (len(parts) == 1 and parts[0] is None) or parts[2:] == [0]:
        raise ValueError(f"--frames {text}: expected a position or a slice such as 0:60 or ::10")
    if len(parts) == 1:
        assert parts[0] is not None
        parts = [parts[0], parts[0] + 1 or None]
    chosen = range(length)[slice(*parts)]
    if not chosen:
        raise ValueError(f"--frames {text}: the sequence has only the positions 0 to {length - 1}")
    return chosen


def draw_frames(
    labeled: Labeled, positions: Iterable[int], view: str | View, style: Style, renderer: Renderer | None = None
) -> Iterator[tuple[int, np.ndarray]]:
    """(frame index, picture) of each position, drawn as it is asked for."""
    sequence = labeled.sequence
    artist = FrameArtist(sequence.taxonomy, sequence.calibration, style, renderer or NumpyRenderer())
    for frame, labelings in ahead(labeled[position] for position in positions):
        yield frame.index, artist.draw(frame, labelings, view, sequence.name)


def save_frames(
    target: Path,
    labeled: Labeled,
    positions: range,
    view: str | View,
    style: Style,
    renderer: Renderer | None = None,
    fps: float | int = 10,
) -> list[Path]:
    """Write what `draw_frames` draws: a video (.mp4, .gif), a picture (.png ...), a folder of pictures, or a .rrd.

    Raises:
        ValueError: a suffix that is none of these, or a picture's name for several frames.
    """
    suffix = target.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        style = replace(style, has_full_legend=True)
        drawn = draw_frames(labeled, positions, view, style, renderer)
        return [write_video(target, (picture for _, picture in drawn), fps)]
    if suffix == ".rrd":
        artist = FrameArtist(labeled.sequence.taxonomy, labeled.sequence.calibration, style)
        return [write_rrd(target, (labeled[position] for position in positions), artist)]
    if suffix and suffix not in PICTURE_SUFFIXES:
        known = ", ".join((*VIDEO_SUFFIXES, ".rrd", *PICTURE_SUFFIXES))
        raise ValueError(f"--save {target}: cannot write {suffix}; a folder, or a file that ends with {known}")
    if suffix and len(positions) > 1:
        raise ValueError(f"--save {target}: {len(positions)} frames do not fit into one picture; name a folder or .mp4")
    paths = []
    for index, picture in draw_frames(labeled, positions, view, style, renderer):
        path = target if suffix else target / f"{labeled.sequence.name}_{index:010d}.png"
        paths.append(write_picture(path, picture))
    return paths


def rank_frames(labeled: Labeled, rules: Rules = OFFICIAL["semantic_kitti"]) -> list[tuple[float, int]]:
    """(panoptic quality, position) of each frame that has truth and prediction, the worst first."""
    scores = []
    for position in range(len(labeled)):
        _, labelings = labeled[position]
        if TRUTH in labelings and PREDICTION in labelings:
            counts = count_panoptic(labelings[TRUTH], labelings[PREDICTION], labeled.sequence.taxonomy, rules)
            scores.append((counts.result()["pq"], position))
    return sorted(scores)


def save_best_and_worst(
    folder: Path, labeled: Labeled, count: int = 2, view: str | View = "follow", style: Style | None = None
) -> list[Path]:
    """Pictures of the worst and the best frames (truth beside prediction, and the errors), for the report of a run.

    Returns:
        worst_*.png and best_*.png in `folder`; the names carry sequence, frame and panoptic quality in per cent.
    """
    ranked = [score for score in rank_frames(labeled) if not np.isnan(score[0])]
    picked = {"worst": ranked[:count], "best": ranked[::-1][: min(count, len(ranked) - count)]}
    style = style or Style(size=(480, 854))
    paths = []
    for kind, scores in picked.items():
        for quality, position in scores:
            for color in (style.color, "error"):
                drawn = draw_frames(labeled, [position], view, replace(style, color=color))
                index, picture = next(drawn)
                name = f"{kind}_{labeled.sequence.name}_{index:010d}_pq{round(100 * quality):02d}_{color}.png"
                paths.append(write_picture(folder / name, picture))
    return paths

"""Drawings of the worst frames: what is missed, invented and confused, on the pixels or on the points of the scan."""

from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360_files import read_points
from ps3d.engine.evaluate import Evaluation
from ps3d.engine.evaluation_formats import FramePair, class_table, open_benchmark
from ps3d.structures import Panoptic, Taxonomy
from ps3d.visualization.differences import color_by_error
from ps3d.visualization.files import write_picture
from ps3d.visualization.points import render_points
from ps3d.visualization.views import bird_view


def draw_worst(evaluation: Evaluation, truth: Path, prediction: Path, benchmark: str, folder: Path) -> list[Path]:
    """One picture per worst frame whose scan is at hand; returns their paths.

    Scans are drawn from above. Frames of other formats than .label files are not drawn, their errors are listed.
    """
    _, taxonomy, pairs = open_benchmark(benchmark, truth, prediction)
    places = {(pair.sequence, pair.frame): pair for pair in pairs}
    written = []
    for rank, frame in enumerate(evaluation.worst.frames, 1):
        pair = places[frame.sequence, frame.frame]
        scan = find_scan(pair, truth)
        if scan is None:
            continue
        xyz = read_points(scan)[:, :3]
        sides = [_read_panoptic(path, taxonomy) for path in (pair.truth, pair.prediction)]
        if len(sides[0]) != len(xyz):
            continue
        picture = render_points(xyz, color_by_error(*sides, taxonomy), bird_view(), (900, 900))
        written.append(write_picture(folder / f"{rank:02d}_{frame.sequence}_{frame.frame}.png", picture))
    return written


def find_scan(pair: FramePair, root: Path) -> Path | None:
    """The .bin file of a frame in the layouts of SemanticKITTI and KITTI-360."""
    candidates = (
        pair.truth.parent.parent / "velodyne" / f"{pair.frame}.bin",
        root / "data_3d_raw" / pair.sequence / "velodyne_points" / "data" / f"{pair.frame}.bin",
    )
    is_labels = pair.truth.suffix == ".label"
    return next((path for path in candidates if is_labels and path.exists()), None)


def _read_panoptic(path: Path, taxonomy: Taxonomy) -> Panoptic:
    labels = np.fromfile(path, "<u4")
    semantic = class_table(taxonomy)[labels & 0xFFFF]
    return Panoptic(semantic.astype(np.uint8), (labels >> 16).astype(np.int32))

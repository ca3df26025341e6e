"""Truth beside prediction, for a run's folder."""

from collections.abc import Sequence

import numpy as np

from ps3d.engine.predict import read_prediction
from ps3d.engine.run_folder import RunFolder
from ps3d.structures import Sequence as Drive
from ps3d.structures import Taxonomy
from ps3d.structures.sequence import LIDAR
from ps3d.visualization.colors import color_by_class, color_by_instance
from ps3d.visualization.differences import OUTCOME_COLORS, compare
from ps3d.visualization.files import write_picture
from ps3d.visualization.points import render_points
from ps3d.visualization.views import follow_view


def draw_comparisons(run: RunFolder, taxonomy: Taxonomy, scans: Sequence[tuple[float, Drive, int]], count: int) -> None:
    """The worst and the middling scans: truth on the left, prediction in the middle, mistakes on the right.

    Args:
        scans: (PQ, drive, position), the worst first.
        count: pictures of each kind.
    """
    middle = len(scans) // 2
    for kind, chosen in (("worst", scans[:count]), ("usual", scans[middle : middle + count])):
        for place, (quality, drive, position) in enumerate(chosen):
            picture = draw_comparison(run, taxonomy, drive, position)
            name = f"{kind}_{place + 1}_{drive.name}_{position:04d}_pq{100 * quality:.0f}.png"
            write_picture(run.path / "pictures" / name, picture)


def draw_comparison(run: RunFolder, taxonomy: Taxonomy, drive: Drive, position: int) -> np.ndarray:
    """Upper row: classes; lower row: objects; columns: truth, prediction; the last column shows what is wrong."""
    frame = drive[position]
    assert frame.scan is not None
    truth, prediction = frame.truth[LIDAR], read_prediction(run.predictions, drive, frame, taxonomy)
    xyz = frame.scan.xyz
    usable = np.isfinite(xyz.sum(axis=1))
    panels = [
        color_by_class(truth, taxonomy),
        color_by_class(prediction, taxonomy),
        color_by_instance(truth, taxonomy),
        color_by_instance(prediction, taxonomy),
        OUTCOME_COLORS[compare(truth, prediction, taxonomy)],
    ]
    size = (360, 640)
    drawn = [render_points(xyz[usable], colors[usable], follow_view(), size, point_size=2.0) for colors in panels]
    rows = [np.concatenate(drawn[i : i + 2], axis=1) for i in (0, 2)]
    wrong = render_points(xyz[usable], panels[4][usable], follow_view(), (360, 1280), point_size=2.0)
    return np.concatenate([*rows, wrong], axis=0)

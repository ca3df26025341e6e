"""Truth beside prediction, for a run's folder."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from ps3d.engine.predict import read_prediction
from ps3d.engine.run_folder import RunFolder
from ps3d.structures import Panoptic, Taxonomy
from ps3d.structures import Sequence as Drive
from ps3d.structures.sequence import LIDAR
from ps3d.visualization.colors import InstanceColors, color_by_class, color_by_instance
from ps3d.visualization.differences import color_by_error
from ps3d.visualization.files import write_picture
from ps3d.visualization.images import OUTCOME_LEGEND, class_legend
from ps3d.visualization.points import render_points
from ps3d.visualization.text import add_legend, add_title, side_by_side, stacked
from ps3d.visualization.views import follow_view


def draw_comparisons(run: RunFolder, taxonomy: Taxonomy, scans: Sequence[tuple[float, Drive, int]], count: int) -> None:
    """The worst and the middling scans, as `draw_comparison` shows them.

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


def draw_comparison(run: RunFolder, taxonomy: Taxonomy, drive: Drive, position: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Classes above, objects below them, truth on the left, prediction on the right; at the bottom what is wrong.

    A predicted object has the color of the object of the truth that it stands for.
    """
    frame = drive[position]
    assert frame.scan is not None
    usable = np.isfinite(frame.scan.xyz.sum(axis=1))
    xyz = frame.scan.xyz[usable]
    truth, prediction = (
        Panoptic(label.semantic[usable], label.instance[usable])
        for label in (frame.truth[LIDAR], read_prediction(run.predictions, drive, frame, taxonomy))
    )
    true_colors, found_colors = InstanceColors(), InstanceColors()
    true_colors.meet(truth, taxonomy, xyz)
    found_colors.meet_beside(prediction, taxonomy, xyz, truth, true_colors)

    def panel(title: str, colors: UInt8[np.ndarray, "points 3"], width: int = 640) -> UInt8[np.ndarray, "_ _ 3"]:
        return add_title(render_points(xyz, colors, follow_view(), (360, width), point_size=2.0), title, 16)

    sides = (("truth", truth, true_colors), ("prediction", prediction, found_colors))
    classes = [panel(f"{side}: classes", color_by_class(label, taxonomy)) for side, label, _ in sides]
    objects = [panel(f"{side}: objects", color_by_instance(label, taxonomy, own)) for side, label, own in sides]
    upper, lower = side_by_side(classes), side_by_side(objects)
    mistakes = panel("mistakes", color_by_error(truth, prediction, taxonomy), upper.shape[1])
    upper = add_legend(upper, class_legend(taxonomy, truth, prediction))
    return stacked([upper, lower, add_legend(mistakes, OUTCOME_LEGEND)])

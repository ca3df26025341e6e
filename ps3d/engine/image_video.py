"""Sequences of pictures: predicted in order, tracked, scored over time, and drawn as a video."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ps3d.datasets.panoptic_png import write_step
from ps3d.engine.image_run import prediction_path
from ps3d.metrics import OFFICIAL, PanopticCounts, TubeCounts, count_panoptic, count_tubes, total
from ps3d.metrics.rules import Rules
from ps3d.metrics.vpq import VideoCounts, count_video
from ps3d.models.image_batch import only_camera
from ps3d.structures import Frame, Panoptic, Taxonomy
from ps3d.structures import Sequence as Drive
from ps3d.tracking import Tracker
from ps3d.visualization.colors import InstanceColors
from ps3d.visualization.files import write_video
from ps3d.visualization.images import overlay_panoptic

Predict = Callable[[Frame], Panoptic]


@dataclass(frozen=True)
class VideoScores:
    """Counts of labelings over time; they add, also over sequences.

    Attributes:
        panoptic: picture by picture.
        video: VPQ, in windows of one to four pictures.
        tubes: STQ.
    """

    panoptic: PanopticCounts
    video: VideoCounts
    tubes: TubeCounts

    def __add__(self, other: "VideoScores") -> "VideoScores":
        return VideoScores(self.panoptic + other.panoptic, self.video + other.video, self.tubes + other.tubes)

    def figures(self) -> dict[str, float]:
        """PQ, mean IoU, VPQ and STQ with its parts."""
        panoptic, video, tubes = self.panoptic.result(), self.video.result(), self.tubes.result()
        figures = {"pq": panoptic["pq"], "pq_things": panoptic["pq_things"], "miou": panoptic["miou"]}
        figures |= {"vpq": video["vpq"], "stq": tubes["lstq"], "aq": tubes["s_assoc"], "iou": tubes["s_cls"]}
        return figures


def score_frame(
    truth: Panoptic, label: Panoptic, taxonomy: Taxonomy, sequence: str, rules: Rules = OFFICIAL["kitti_step"]
) -> VideoScores:
    """The share of one picture; add a sequence's pictures in the order of time."""
    return VideoScores(
        count_panoptic(truth, label, taxonomy, rules, sequence),
        count_video(truth, label, taxonomy, rules, sequence),
        count_tubes(truth, label, taxonomy, rules, sequence),
    )


def predict_video(
    drive: Drive, predict: Predict, out: str | Path, tracker: Tracker | None = None, video: str | Path = ""
) -> VideoScores | None:
    """Label a sequence in order, write its labels and a video, and score it where it has truth.

    Args:
        predict: the labels of one frame.
        out: folder of the labels (`prediction_path`).
        tracker: gives objects the same number in all frames; None leaves them as they are.
        video: .mp4 or .gif to write.

    Returns:
        The scores, or None without truth.
    """
    states: list[VideoScores] = []
    if tracker is not None:
        tracker.reset()

    def work() -> Iterator[np.ndarray]:
        colors = InstanceColors()
        for frame in drive:
            label = predict(frame)
            if tracker is not None:
                label = tracker.update(label, frame)
            write_step(prediction_path(out, drive, frame), label)
            camera = only_camera(frame)
            if camera in frame.truth:
                states.append(score_frame(frame.truth[camera], label, drive.taxonomy, drive.name))
            if video:
                rgb = frame.images[camera].rgb
                drawn = overlay_panoptic(rgb, label, drive.taxonomy, colors=colors)
                yield drawn[: drawn.shape[0] // 2 * 2, : drawn.shape[1] // 2 * 2]  # H.264 wants even sides

    if video:
        write_video(video, work())
    else:
        for _ in work():
            pass
    return total(states) if states else None

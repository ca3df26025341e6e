"""Sequences of pictures: predicted in order, tracked, scored over time, and drawn as a video."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ps3d.datasets.object_scores import write_scored
from ps3d.datasets.panoptic_png import prediction_path
from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.image_models import PicturePredictor, load_image_predictor
from ps3d.engine.mask_results import MaskResults
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
from ps3d.visualization.tracks import ImageTrails

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
        video: .mp4 or .gif to write; with a tracker the objects leave trails.

    Returns:
        The scores, or None without truth.
    """
    states: list[VideoScores] = []
    if tracker is not None:
        tracker.reset()

    def work() -> Iterator[np.ndarray]:
        colors, trails = InstanceColors(), ImageTrails()
        for frame in drive:
            label = predict(frame)
            if tracker is not None:
                label = tracker.update(label, frame).with_scores_of(label)
            write_scored(prediction_path(out, drive, frame), label)
            camera = only_camera(frame)
            if camera in frame.truth:
                states.append(score_frame(frame.truth[camera], label, drive.taxonomy, drive.name))
            if video:
                rgb = frame.images[camera].rgb
                drawn = overlay_panoptic(rgb, label, drive.taxonomy, colors=colors)
                if tracker is not None:
                    drawn = trails.draw(drawn, label, drive.taxonomy, colors.palette)
                yield drawn[: drawn.shape[0] // 2 * 2, : drawn.shape[1] // 2 * 2]  # H.264 wants even sides

    if video:
        write_video(video, work())
    else:
        for _ in work():
            pass
    return total(states) if states else None


def label_pictures(
    checkpoint: str | Path,
    source: str | Path,
    out: str | Path,
    sequences: Sequence[str] | None = None,
    camera: str = "image_00",
    is_tracked: bool = False,
    video: str = "",
    masks: str = "",
) -> dict[str, VideoScores | None]:
    """Label whatever pictures lie at a path, one sequence after another, and print what came of each.

    Args:
        checkpoint: file, folder of a run, or name.
        source: picture, folder of pictures, video file, or root of a data set.
        sequences: names; None = all.
        camera: of data sets with several.
        is_tracked: the same number for the same object in all pictures.
        video: file to draw; of several sequences the name is added.
        masks: JSON to write the overlapping masks of query networks and two-stage networks to, with scores.

    Returns:
        Scores by sequence; None where there is no truth.

    Raises:
        ValueError: a data set with other classes than the checkpoint's.
    """
    predictor = load_image_predictor(checkpoint, "cuda" if torch.cuda.is_available() else "cpu")
    drives = open_pictures(source, sequences, camera, predictor.taxonomy)
    scores, results = {}, MaskResults()
    for drive in drives:
        if drive.taxonomy.names != predictor.taxonomy.names:
            raise ValueError(f"{drive.name} has the classes of {drive.taxonomy.name}, not those of the checkpoint")
        file = Path(video)
        if video and len(drives) > 1:
            file = file.with_name(f"{file.stem}_{drive.name}{file.suffix}")
        tracker = Tracker(predictor.taxonomy) if is_tracked else None
        predict = partial(_predict_with_masks, predictor, results, drive) if masks else predictor
        scores[drive.name] = found = predict_video(drive, predict, out, tracker, file if video else "")
        print(f"{drive.name}: {len(drive)} pictures")
        if found is not None:
            print("  " + ", ".join(f"{name} {100 * value:.1f}" for name, value in found.figures().items()))
    if masks:
        results.write(masks)
        print(f"{masks}: {len(results.entries)} masks with scores")
    return scores


def _predict_with_masks(predictor: PicturePredictor, results: MaskResults, drive: Drive, frame: Frame) -> Panoptic:
    prediction = predictor.predict(frame)
    results.add(prediction, drive, frame, drive.taxonomy)
    return predictor.fuse(prediction)

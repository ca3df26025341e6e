"""What an image training is told; the sections that are not of images are those of LiDAR trainings."""

from dataclasses import dataclass, field
from typing import Literal

from ps3d.datasets.picture_augmentation import PictureAugmentation
from ps3d.engine.config import EvaluationSettings, SimulationSettings, TrainSettings


@dataclass(frozen=True)
class PictureSettings:
    """What to train and validate on.

    Attributes:
        root: KITTI-360, or a folder with classes.yaml (docs/images_branch.md).
        camera: of data sets with several.
        train: sequences to train on; empty = all that are not validated on.
        validation: sequences to validate on; empty = none.
        stride: train on every n-th picture.
        limit: train on at most this many, evenly spread; 0 = all.
        keep: hold the training pictures in memory.
    """

    root: str = ""
    camera: str = "image_00"
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    stride: int = 1
    limit: int = 0
    keep: bool = True


@dataclass(frozen=True)
class ImageModelSettings:
    """The network.

    Attributes:
        architecture: whose network, loss and merge.
        backbone: a name in `ps3d.models.image_backbones.FAMILIES`; for deeplab, panoptic_fpn and fcn_mask_rcnn also in
            `ADAPTED` there; for eomt in `image_queries.VIT_WIDTHS`.
        is_paper: the paper's widths and depths instead of those for a CPU.
        is_fine: deeplab with a ResNet: twice as fine an output, made for small objects and fast on a CPU.
        queries: of the query networks; 0 = as many as the size has.
        scale: of the network's input to the pictures on disk.
        side: eomt only: pixels of the square its input is filled up to.
        weights: pretrained weights, never downloaded: a folder, or the hub's name of a model that is in its cache on
            this machine. Of the backbone for deeplab, panoptic_fpn and fcn_mask_rcnn, else of the whole network.
    """

    architecture: Literal[
        "deeplab", "panoptic_fpn", "fcn_mask_rcnn", "mask2former", "maskformer", "oneformer", "detr", "eomt"
    ] = "deeplab"
    backbone: str = "small"
    is_paper: bool = False
    is_fine: bool = False
    queries: int = 0
    scale: float = 0.25
    side: int = 640
    weights: str = ""


@dataclass(frozen=True)
class PictureFusion:
    """From predictions to labels; areas are in pixels of the pictures on disk.

    Attributes:
        score: queries whose class is less probable are dropped; DETR's paper has 0.85, the others 0.8.
            Objects of two-stage networks need 0.5, whatever is said here.
        kept: query networks except DETR: a mask that wins a smaller share of its own area is dropped.
        heat: deeplab: least height of a center.
        kernel: deeplab: a center is the highest of this many rows and columns, odd.
        votes: deeplab: 0 = centers are peaks of the heat map; otherwise of the votes of the offsets, spread by so many
            pixels of the output.
        least_votes: deeplab, where there are votes: pixels of the output that a center needs.
        stuff_minimum: deeplab, panoptic_fpn, fcn_mask_rcnn: smaller stuff becomes VOID.
    """

    score: float = 0.8
    kept: float = 0.8
    heat: float = 0.1
    kernel: int = 13
    votes: float = 0.0
    least_votes: float = 5.0
    stuff_minimum: int = 256


@dataclass(frozen=True)
class ImageTraining:
    """Everything an image training is told.

    Attributes:
        name: of the run's folder, runs/image/<name>-N.
        runs: where run folders are made.
        seed: of weights, order and augmentation.
    """

    name: str = "small"
    runs: str = "runs/image"
    seed: int = 0
    simulation: SimulationSettings = field(default_factory=SimulationSettings)
    data: PictureSettings = field(default_factory=PictureSettings)
    model: ImageModelSettings = field(default_factory=ImageModelSettings)
    augmentation: PictureAugmentation = field(default_factory=PictureAugmentation)
    train: TrainSettings = field(default_factory=TrainSettings)
    fusion: PictureFusion = field(default_factory=PictureFusion)
    evaluation: EvaluationSettings = field(default_factory=lambda: EvaluationSettings(rules="cityscapes"))

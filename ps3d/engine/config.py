"""What a LiDAR training is told: each section is one small dataclass, and its fields are the keys of the YAML files."""

from dataclasses import dataclass, field
from typing import Literal

from ps3d.datasets.augmentation import Augmentation
from ps3d.fusion import OffsetFusion
from ps3d.models.lidar_panoptic import LossWeights


@dataclass(frozen=True)
class SimulationSettings:
    """Drives to simulate before the training where they are not there yet; they become the data's root.

    Attributes:
        folder: where simulated drives are kept and found again; empty = simulate nothing.
        drives: number of drives to train on, numbered from `first_drive`.
        first_drive: the first drive's number, which is also its seed.
        held_out: drives to validate on; their seeds are never trained on.
        frames: scans per drive.
        spacing: meters between scans: near scans resemble each other.
        clip: a held-out drive of consecutive scans, on which tracking is scored.
        clip_frames: its length; 0 = no clip.
    """

    folder: str = ""
    drives: int = 16
    first_drive: int = 0
    held_out: tuple[int, ...] = (1000, 1001)
    frames: int = 20
    spacing: float = 17.0
    clip: int = 1002
    clip_frames: int = 0


@dataclass(frozen=True)
class DataSettings:
    """What to train and validate on.

    Attributes:
        root: KITTI-360, SemanticKITTI, or a folder of scans.
        taxonomy: name of the classes; empty = the data set's own.
        labels: folder of per-scan labels in place of the data set's (KITTI-360: those that recover_labels.py wrote).
        train: sequences to train on; empty = all that are not validated on.
        validation: sequences to validate on; empty = none.
        stride: train on every n-th scan of a sequence.
        validation_stride: validate on every n-th.
        limit: train on at most this many scans, evenly spread; 0 = all.
        window: scans superimposed by pose.
    """

    root: str = ""
    taxonomy: str = ""
    labels: str = ""
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    stride: int = 1
    validation_stride: int = 1
    limit: int = 0
    window: int = 1


@dataclass(frozen=True)
class ModelSettings:
    """The network.

    Attributes:
        backbone: a name in `ps3d.models.sparse_unet.PRESETS`.
        voxel_size: meters.
        max_range: points beyond are VOID, meters.
        sensor_height: over the road, meters.
        is_interpolated: points take their values from the voxels around them.
    """

    backbone: Literal["small", "res16unet34c", "spunet"] = "small"
    voxel_size: float = 0.2
    max_range: float = 120.0
    sensor_height: float = 1.73
    is_interpolated: bool = True


@dataclass(frozen=True)
class TrainSettings:
    """The training loop.

    Attributes:
        steps: optimizer steps; 0 = as many as `epochs` need.
        epochs: passes through the data, where `steps` is 0.
        minutes: the schedule ends early so that training takes no longer; 0 = no limit. Such a run depends on the
            machine's speed and is not repeatable number for number.
        batch: scans per step over all processes.
        scans_per_pass: scans that share one forward pass and its normalization.
        processes: 0 = one per GPU, or two on a CPU of two cores or more. torchrun and srun take precedence.
        workers: processes that read and augment for each training process.
        precision: as Lightning Fabric names it; auto = bf16-mixed on GPUs that have it, 32-true elsewhere.
        lr: peak learning rate of AdamW.
        weight_decay: of AdamW.
        warmup: share of the schedule that the rate rises; it falls as a cosine afterwards.
        clip: largest norm of the gradient.
        ema: decay of the running mean of the weights, which is what is evaluated and kept; 0 = none.
        log_every: steps between rows of metrics.csv.
        save_every: steps between checkpoints.
        validate_every: steps between validations; 0 = only after training.
    """

    steps: int = 0
    epochs: float = 50.0
    minutes: float = 0.0
    batch: int = 2
    scans_per_pass: int = 1
    processes: int = 0
    workers: int = 0
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    lr: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float = 5.0
    ema: float = 0.998
    log_every: int = 10
    save_every: int = 200
    validate_every: int = 0


@dataclass(frozen=True)
class EvaluationSettings:
    """What happens after training.

    Attributes:
        rules: benchmark whose reading of the metrics is used.
        is_strict: the same metric without the benchmark's defects.
        pictures: scans drawn per validated sequence, truth beside prediction.
    """

    rules: str = "kitti360"
    is_strict: bool = True
    pictures: int = 3


@dataclass(frozen=True)
class LidarTraining:
    """Everything a LiDAR training is told.

    Attributes:
        name: of the run's folder, runs/lidar/<name>-N.
        runs: where run folders are made.
        seed: of weights, order and augmentation.
    """

    name: str = "small"
    runs: str = "runs/lidar"
    seed: int = 0
    simulation: SimulationSettings = field(default_factory=SimulationSettings)
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    loss: LossWeights = field(default_factory=LossWeights)
    train: TrainSettings = field(default_factory=TrainSettings)
    fusion: OffsetFusion = field(default_factory=OffsetFusion)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

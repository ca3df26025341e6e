"""Random changes of pictures for training: mirrored, scaled and cut, recolored. Labels follow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture

from ps3d.structures import Frame, Image, Panoptic


@dataclass(frozen=True)
class PictureAugmentation:
    """What may happen to a picture.

    Attributes:
        flip: probability to mirror left and right.
        smallest, largest: range of the random scale.
        crop: (height, width) that is cut out where the scaled picture is larger; (0, 0) = as large as before.
        brightness, contrast, saturation: largest relative change.
    """

    flip: float = 0.5
    smallest: float = 0.8
    largest: float = 1.5
    crop: tuple[int, int] = (0, 0)
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2


NONE = PictureAugmentation(0.0, 1.0, 1.0, (0, 0), 0.0, 0.0, 0.0)


def augment_picture(frame: Frame, settings: PictureAugmentation, rng: np.random.Generator) -> Frame:
    """A changed copy of a frame with pictures; every picture is changed on its own."""
    images, truth = {}, dict(frame.truth)
    for camera, image in frame.images.items():
        rgb, label = image.rgb, frame.truth.get(camera)
        rgb, label = scale_and_crop(rgb, label, settings, rng)
        rgb = recolor(rgb, settings, rng)
        if rng.uniform() < settings.flip:
            rgb = np.ascontiguousarray(rgb[:, ::-1])
            label = None if label is None else mirror(label)
        images[camera] = Image(rgb)
        if label is not None:
            truth[camera] = label
    return replace(frame, images=images, truth=truth)


def mirror(label: Panoptic) -> Panoptic:
    """Left and right exchanged."""
    return Panoptic(np.ascontiguousarray(label.semantic[:, ::-1]), np.ascontiguousarray(label.instance[:, ::-1]))


def recolor(
    rgb: UInt8[np.ndarray, "height width 3"], settings: PictureAugmentation, rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """Brightness, contrast and saturation changed at random."""
    limits = (settings.brightness, settings.contrast, settings.saturation)
    brightness, contrast, saturation = (1 + rng.uniform(-limit, limit) for limit in limits)
    if not any(limits):
        return rgb
    colors = rgb.astype(np.float32)
    gray = colors.mean(axis=2, keepdims=True)
    colors = gray + saturation * (colors - gray)
    mean = colors.mean()
    return np.clip(brightness * (mean + contrast * (colors - mean)), 0, 255).astype(np.uint8)


def scale_and_crop(
    rgb: UInt8[np.ndarray, "height width 3"],
    label: Panoptic | None,
    settings: PictureAugmentation,
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "rows columns 3"], Panoptic | None]:
    """A window of the picture, stretched so that the scale changes."""
    scale = float(np.exp(rng.uniform(np.log(settings.smallest), np.log(settings.largest))))
    target = settings.crop if all(settings.crop) else (rgb.shape[0], rgb.shape[1])
    window = [min(side, max(1, round(goal / scale))) for side, goal in zip(rgb.shape[:2], target, strict=True)]
    if scale == 1 and window == list(rgb.shape[:2]):
        return rgb, label
    top, left = (int(rng.integers(0, side - part + 1)) for side, part in zip(rgb.shape[:2], window, strict=True))
    size = (round(window[0] * scale), round(window[1] * scale))
    cut = rgb[top : top + window[0], left : left + window[1]]
    resized = np.asarray(Picture.fromarray(cut).resize((size[1], size[0]), Picture.Resampling.BILINEAR))
    if label is None:
        return resized, None
    rows = top + np.minimum(((np.arange(size[0]) + 0.5) / scale).astype(int), window[0] - 1)
    columns = left + np.minimum(((np.arange(size[1]) + 0.5) / scale).astype(int), window[1] - 1)
    return resized, Panoptic(label.semantic[rows][:, columns], label.instance[rows][:, columns])


class TrainingPictures:
    """Augmented pictures, asked for by (epoch, index), which alone decide about their changes.

    Args:
        read: the frame with an index.
        count: how many there are.
        augmentation: what happens to them.
        seed: of all randomness.
        keep: hold read frames in memory, which saves decoding where they fit.
    """

    def __init__(
        self,
        read: Callable[[int], Frame],
        count: int,
        augmentation: PictureAugmentation,
        seed: int = 0,
        keep: bool = False,
    ) -> None:
        self.read, self.count, self.augmentation, self.seed = read, count, augmentation, seed
        self._kept: dict[int, Frame] | None = {} if keep else None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: Sequence[int]) -> Frame:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        frame = None if self._kept is None else self._kept.get(index)
        if frame is None:
            frame = self.read(index)
            if self._kept is not None:
                self._kept[index] = frame
        return augment_picture(frame, self.augmentation, rng)

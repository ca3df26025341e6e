"""Frames to a batch of pictures: the inputs, and the truth, of an image network."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64, UInt8
from PIL import Image as Picture
from torch import Tensor

from ps3d.structures import NO_INSTANCE, VOID, Frame, Panoptic, Taxonomy

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, which pretrained backbones expect."""

MULTIPLE = 32
"""Rows and columns of a batch are filled up to a multiple of the coarsest stride."""


@dataclass(frozen=True)
class ImageBatch:
    """Several pictures, filled up to one size at the right and the bottom.

    Attributes:
        pixels: normalized colors, 0 where filled up.
        semantic: class id, VOID where unlabeled or filled up.
        instance: number of the object, 0 = none.
        sizes: (height, width) of each picture as the network sees it.
        pictures: (height, width) of each picture on disk, which predictions are stretched to.
        sources: names of the frames for error messages.
    """

    pixels: Float32[Tensor, "images 3 height width"]
    semantic: UInt8[Tensor, "images height width"]
    instance: Int32[Tensor, "images height width"]
    sizes: tuple[tuple[int, int], ...]
    pictures: tuple[tuple[int, int], ...]
    sources: tuple[str, ...]

    def to(self, device: torch.device | str) -> "ImageBatch":
        """The batch with its tensors on another device."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()}
        return ImageBatch(**moved)


def collate_images(frames: Sequence[Frame], scale: float = 1.0, multiple: int = MULTIPLE) -> ImageBatch:
    """Frames into one batch; pictures may differ in size, and unlabeled ones have VOID everywhere.

    Args:
        frames: each with exactly one picture; `single_camera` makes such frames.
        scale: of the network's input: 0.5 = half as many rows and columns as on disk.

    Raises:
        ValueError: a frame without a picture or with several, or with labels of another size; named.
    """
    pixels, truths, pictures = [], [], []
    for frame in frames:
        camera = only_camera(frame)
        rgb, label = frame.images[camera].rgb, frame.truth.get(camera)
        if label is not None and label.shape != rgb.shape[:2]:
            raise ValueError(f"frame {frame.index} ({frame.source}): {rgb.shape[:2]} pixels but {label.shape} labels")
        size = scaled_size(frame.images[camera].size, scale)
        pixels.append(normalize(resize_picture(rgb, size)))
        truths.append(void_label(size) if label is None else resize_label(label, size))
        pictures.append(frame.images[camera].size)
    height, width = (-(-max(p.shape[axis] for p in pixels) // multiple) * multiple for axis in (0, 1))
    filled = np.zeros((len(frames), 3, height, width), np.float32)
    semantic = np.full((len(frames), height, width), VOID, np.uint8)
    instance = np.full((len(frames), height, width), NO_INSTANCE, np.int32)
    for place, (picture, label) in enumerate(zip(pixels, truths, strict=True)):
        rows, columns = picture.shape[:2]
        filled[place, :, :rows, :columns] = picture.transpose(2, 0, 1)
        semantic[place, :rows, :columns], instance[place, :rows, :columns] = label.semantic, label.instance
    return ImageBatch(
        torch.from_numpy(filled),
        torch.from_numpy(semantic),
        torch.from_numpy(instance),
        tuple((p.shape[0], p.shape[1]) for p in pixels),
        tuple(pictures),
        tuple(f"frame {frame.index} ({frame.source})" for frame in frames),
    )


def only_camera(frame: Frame) -> str:
    """The name of the frame's one picture.

    Raises:
        ValueError: none or several.
    """
    if len(frame.images) != 1:
        raise ValueError(
            f"frame {frame.index} ({frame.source}) has {len(frame.images)} pictures, one is expected; "
            "open the sequence with one camera, e.g. cameras=('image_00',)"
        )
    return next(iter(frame.images))


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) after scaling, at least one pixel."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def normalize(rgb: UInt8[np.ndarray, "height width 3"]) -> Float32[np.ndarray, "height width 3"]:
    """Colors with the mean 0 and the spread 1 of ImageNet."""
    return (rgb.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(SPREAD, np.float32)


def resize_picture(rgb: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "rows cols 3"]:
    """Bilinear, with antialiasing where it shrinks."""
    if rgb.shape[:2] == size:
        return rgb
    return np.asarray(Picture.fromarray(rgb).resize((size[1], size[0]), Picture.Resampling.BILINEAR))


def resize_label(label: Panoptic, size: tuple[int, int]) -> Panoptic:
    """The label of the nearest pixel."""
    if label.shape == size:
        return label
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for old, new in zip(label.shape, size, strict=True)
    )
    return Panoptic(label.semantic[rows][:, columns], label.instance[rows][:, columns])


def void_label(size: tuple[int, int]) -> Panoptic:
    """Labels of a picture nobody labeled."""
    return Panoptic(np.full(size, VOID, np.uint8), np.full(size, NO_INSTANCE, np.int32))


def segment_masks(
    semantic: UInt8[Tensor, "height width"], instance: Int32[Tensor, "height width"], taxonomy: Taxonomy
) -> tuple[Int64[Tensor, "segments"], Float32[Tensor, "segments height width"]]:
    """Class and mask of each segment: one per object, one per stuff class.

    Things without a number are crowds; they, like VOID, belong to no segment.
    """
    is_thing = torch.zeros(256, dtype=torch.bool)
    is_thing[: len(taxonomy)] = torch.from_numpy(taxonomy.is_thing)
    is_thing = is_thing.to(semantic.device)[semantic.long()]
    number = torch.where(is_thing, instance.long(), 0)
    key = semantic.long() << 32 | number
    is_segment = (semantic != VOID) & (~is_thing | (number > 0))
    keys = torch.unique(key[is_segment])
    return keys >> 32, (key[None] == keys[:, None, None]).float()

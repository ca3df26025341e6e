"""Words on pictures: titles, legends, pictures side by side."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

PAPER = (28, 28, 33)
INK = (235, 235, 235)

Entry = tuple[str, tuple[int, int, int]]
"""A line of a legend: name and color."""


def as_color(rgb: UInt8[np.ndarray, "3"]) -> tuple[int, int, int]:
    """A row of a color table as plain numbers."""
    red, green, blue = rgb.tolist()
    return red, green, blue


@cache
def font(size: int) -> Any:
    """The font that comes with Pillow: pictures look the same on every machine."""
    return ImageFont.load_default(size)


def add_title(
    image: UInt8[np.ndarray, "height width 3"], title: str, size: int = 20
) -> UInt8[np.ndarray, "taller width 3"]:
    """The picture under a strip with a title; a title that is too long becomes smaller, then is cut off."""
    width = image.shape[1]
    while size > 10 and font(size).getlength(title) > width - size:
        size -= 1
    strip = Image.new("RGB", (width, round(1.8 * size)), PAPER)
    ImageDraw.Draw(strip).text((size // 2, strip.height // 2), title, INK, font(size), anchor="lm")
    return np.concatenate([np.asarray(strip), image])


def add_legend(
    image: UInt8[np.ndarray, "height width 3"], entries: Sequence[Entry], size: int = 16
) -> UInt8[np.ndarray, "taller width 3"]:
    """The picture above a legend: a color and a name each, in as many lines as they need."""
    if not entries:
        return image
    return np.concatenate([image, _legend_strip(image.shape[1], tuple(entries), size)])


@lru_cache(maxsize=16)
def _legend_strip(width: int, entries: tuple[Entry, ...], size: int) -> UInt8[np.ndarray, "height width 3"]:
    """Drawn once for a video."""
    lines: list[list[tuple[int, Entry]]] = [[]]
    x = size // 2
    for entry in entries:
        needs = round(1.6 * size + font(size).getlength(entry[0]) + size)
        if x + needs > width and lines[-1]:
            lines.append([])
            x = size // 2
        lines[-1].append((x, entry))
        x += needs
    pitch = round(1.6 * size)
    strip = Image.new("RGB", (width, pitch * len(lines) + size // 2), PAPER)
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        middle = round((number + 0.5) * pitch + size / 4)
        for left, (name, color) in line:
            box = (left, middle - size // 2, left + size, middle + size // 2)
            draw.rectangle(box, fill=color, outline=(150, 150, 150))
            draw.text((left + 1.5 * size, middle), name, INK, font(size), anchor="lm")
    return np.asarray(strip)


def side_by_side(images: Sequence[UInt8[np.ndarray, "_ _ 3"]], gap: int = 4) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures in a row; lower ones are filled up below."""
    if len(images) == 1:
        return images[0]
    height = max(image.shape[0] for image in images)
    parts: list[np.ndarray] = []
    for image in images:
        padded = np.empty((height, image.shape[1], 3), np.uint8)
        padded[:] = PAPER
        padded[: image.shape[0]] = image
        parts += [np.full((height, gap, 3), 255, np.uint8), padded]
    return np.concatenate(parts[1:], 1)


def stacked(images: Sequence[UInt8[np.ndarray, "_ _ 3"]], gap: int = 4) -> UInt8[np.ndarray, "height width 3"]:
    """Pictures in a column; narrower ones are filled up on the right."""
    turned = side_by_side([image.transpose(1, 0, 2) for image in images], gap)
    return np.ascontiguousarray(turned.transpose(1, 0, 2))


def resize(image: UInt8[np.ndarray, "_ _ 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """The picture scaled to (height, width)."""
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)).copy()

"""Colors that people tell apart: instance palettes, a color-blind-safe taxonomy, a scale for measurements."""

from dataclasses import replace
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8

from ps3d.structures import Taxonomy

# Severity 1.0 of Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", IEEE TVCG 2009; they act on linear RGB.
COLOR_VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}

# Nine samples of matplotlib's viridis (CC0): even steps of lightness, legible to color-blind people and in gray.
_SCALE = np.array(
    [
        [68, 71, 59, 44, 33, 39, 92, 170, 253],
        [1, 44, 81, 113, 144, 173, 200, 220, 231],
        [84, 122, 139, 142, 141, 129, 99, 50, 37],
    ],
    np.float64,
)


def linear_rgb(rgb: UInt8[np.ndarray, "*colors 3"]) -> Float[np.ndarray, "*colors 3"]:
    """sRGB bytes to linear light, 0..1 (IEC 61966-2-1)."""
    value = rgb.astype(np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def oklab(linear: Float[np.ndarray, "*colors 3"]) -> Float[np.ndarray, "*colors 3"]:
    """Linear RGB to Oklab, where distances are differences people see (Ottosson, 2020)."""
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponents = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return np.cbrt(linear.clip(0, 1) @ cones.T) @ opponents.T


def seen_by(rgb: UInt8[np.ndarray, "colors 3"], vision: str) -> Float[np.ndarray, "colors 3"]:
    """Oklab of colors as a kind of color vision sees them; the kinds are the keys of `COLOR_VISIONS`."""
    return oklab(linear_rgb(rgb) @ COLOR_VISIONS[vision].T)


def distance_between(
    rgb: UInt8[np.ndarray, "left 3"], others: UInt8[np.ndarray, "right 3"], is_safe: bool = False
) -> Float[np.ndarray, "left right"]:
    """How different colors look (Oklab; 0.1 is clearly visible).

    Args:
        is_safe: take the kind of color vision that sees least.
    """
    visions = COLOR_VISIONS if is_safe else ("normal",)
    gaps = [np.linalg.norm(seen_by(rgb, v)[:, None] - seen_by(others, v)[None], axis=-1) for v in visions]
    return np.min(gaps, axis=0)


@cache
def instance_palette(is_safe: bool = False, size: int = 48) -> UInt8[np.ndarray, "colors 3"]:
    """Colors for objects, ordered so that every beginning of the list is spread as far as it can be.

    Args:
        is_safe: spread them for protanopia, deuteranopia and tritanopia as well.
    """
    levels = np.arange(0, 256, 15)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3).astype(np.uint8)
    lab = oklab(linear_rgb(candidates))
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    # Neither so gray that stuff looks the same, nor so light that it vanishes on white paper. What color-blind people
    # cannot tell by hue must differ in lightness, so the safe palette takes more of it.
    low, high, colorful = (0.38, 0.94, 0.06) if is_safe else (0.5, 0.9, 0.1)
    candidates = candidates[(lab[:, 0] > low) & (lab[:, 0] < high) & (chroma > colorful)]
    return _spread(candidates, size, is_safe)


def _spread(candidates: np.ndarray, size: int, is_safe: bool) -> np.ndarray:
    """Farthest-point order, starting from orange."""
    visions = list(COLOR_VISIONS) if is_safe else ["normal"]
    seen = np.stack([seen_by(candidates, vision) for vision in visions])
    chosen = [int(np.abs(candidates.astype(int) - (240, 120, 0)).sum(1).argmin())]
    gap = np.full(len(candidates), np.inf)
    while len(chosen) < size:
        gap = np.minimum(gap, np.linalg.norm(seen - seen[:, chosen[-1:]], axis=-1).min(0))
        chosen.append(int(gap.argmax()))
    return candidates[chosen]


def color_blind_safe(taxonomy: Taxonomy) -> Taxonomy:
    """The same classes in colors that color-blind people tell apart, as far as that many colors allow."""
    colors = instance_palette(is_safe=True, size=max(2, len(taxonomy)))
    categories = [
        replace(category, color=tuple(int(value) for value in color))
        for category, color in zip(taxonomy.categories, colors, strict=False)
    ]
    return replace(taxonomy, categories=tuple(categories))


def scale_color(value: Float[np.ndarray, "*elements"]) -> UInt8[np.ndarray, "*elements 3"]:
    """Measurements 0..1 to dark violet - green - yellow; values outside are clipped, NaN is dark."""
    place = np.nan_to_num(value.astype(np.float64)).clip(0, 1) * 255
    table = np.stack([np.interp(np.linspace(0, 8, 256), np.arange(9), channel) for channel in _SCALE], -1)
    return table.round().astype(np.uint8)[place.astype(np.uint8)]

"""Masks as run lengths in COCO's column order: decoding, encoding, areas and intersections without pictures.

A mask is the list of its run lengths in columns from the top left, background first. COCO writes the list as text:
each length (from the third on as the difference from the one two before) in groups of five bits, lowest first, with a
bit for "more follows", in characters from "0".
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from ps3d.ops.compiled import compiled

Runs = Int64[np.ndarray, "_"]


def decode_runs(text: str | bytes) -> Runs:
    """Run lengths of a COCO string."""
    codes = np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8)
    return _decode(codes)


def encode_runs(runs: Runs) -> str:
    """The COCO string of run lengths."""
    characters: list[int] = []
    for i, length in enumerate(runs.tolist()):
        rest = length - int(runs[i - 2]) if i > 2 else length
        while True:
            bits = rest & 0x1F
            rest >>= 5
            is_last = rest == (-1 if bits & 0x10 else 0)
            characters.append(bits + (0 if is_last else 0x20) + 48)
            if is_last:
                break
    return bytes(characters).decode()


def runs_of_mask(mask: Bool[np.ndarray, "height width"]) -> Runs:
    """Run lengths of a mask."""
    column = np.ravel(mask, order="F")
    change = np.flatnonzero(column[1:] != column[:-1]) + 1
    edges = np.concatenate([[0], change, [column.size]])
    runs = np.diff(edges).astype(np.int64)
    return np.concatenate([[0], runs]) if column.size and column[0] else runs


def mask_of_runs(runs: Runs, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """The mask of run lengths. Raises ValueError if they do not fill the (height, width)."""
    if int(runs.sum()) != size[0] * size[1]:
        raise ValueError(f"run lengths cover {int(runs.sum())} pixels, the mask has {size[0]} x {size[1]}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size[1], size[0]).T


def area(runs: Runs) -> int:
    """Number of pixels of the mask."""
    return int(runs[1::2].sum())


def intersection(first: Runs, second: Runs) -> int:
    """Number of pixels that two masks share."""
    return int(_intersect(first, second))


def iou(first: Runs, second: Runs) -> float:
    """Intersection over union; 0 for two empty masks."""
    shared = intersection(first, second)
    union = area(first) + area(second) - shared
    return shared / union if union else 0.0


def union(masks: Sequence[Runs]) -> Runs:
    """Run lengths of all masks together; an empty list for no masks."""
    merged = np.empty(0, np.int64)
    for runs in masks:
        merged = _unite(merged, runs) if len(merged) else runs
    return merged


@compiled
def _decode(codes):
    runs = np.empty(len(codes), np.int64)
    count = 0
    i = 0
    while i < len(codes):
        value, shift, is_more = np.int64(0), np.int64(0), True
        while is_more:
            code = np.int64(codes[i]) - 48
            value |= (code & 0x1F) << shift
            is_more = (code & 0x20) != 0
            i += 1
            shift += 5
            if not is_more and (code & 0x10):
                value |= np.int64(-1) << shift
        if count > 2:
            value += runs[count - 2]
        runs[count] = value
        count += 1
    return runs[:count].copy()


@compiled
def _intersect(first, second):
    if len(first) == 0 or len(second) == 0:
        return 0
    a = b = 0
    end_a, end_b = first[0], second[0]
    here = shared = 0
    while True:
        end = min(end_a, end_b)
        if a % 2 == 1 and b % 2 == 1:
            shared += end - here
        here = end
        if end_a == end:
            a += 1
            if a == len(first):
                return shared
            end_a += first[a]
        if end_b == end:
            b += 1
            if b == len(second):
                return shared
            end_b += second[b]


@compiled
def _unite(first, second):
    runs = np.empty(len(first) + len(second) + 1, np.int64)
    count, value, length = 0, False, 0
    a = b = 0
    end_a, end_b, here = first[0], second[0], 0
    while a < len(first) and b < len(second):
        end = min(end_a, end_b)
        is_inside = a % 2 == 1 or b % 2 == 1
        if is_inside != value:
            runs[count] = length
            count += 1
            value, length = is_inside, 0
        length += end - here
        here = end
        if end_a == end:
            a += 1
            if a < len(first):
                end_a += first[a]
        if end_b == end:
            b += 1
            if b < len(second):
                end_b += second[b]
    runs[count] = length
    return runs[: count + 1].copy()

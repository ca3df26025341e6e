"""Axis-aligned boxes of pictures in torch: left, top, right, bottom in pixels; no compiled operator is needed."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

LARGEST_STEP = math.log(1000 / 16)
"""A predicted size is at most e to this times the reference's: untrained networks would overflow."""


def box_area(boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n"]:
    """Areas in square pixels."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)


def box_iou(left: Float[Tensor, "n 4"], right: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Intersection over union of every pair."""
    top_left = torch.maximum(left[:, None, :2], right[None, :, :2])
    bottom_right = torch.minimum(left[:, None, 2:], right[None, :, 2:])
    shared = (bottom_right - top_left).clamp(min=0).prod(dim=2)
    return shared / (box_area(left)[:, None] + box_area(right)[None] - shared).clamp(min=1e-6)


def suppress(
    boxes: Float[Tensor, "n 4"], scores: Float[Tensor, "n"], group: Int64[Tensor, "n"], threshold: float
) -> Int64[Tensor, "kept"]:
    """Non-maximum suppression: places of the kept boxes, the surest first.

    Args:
        group: only boxes of one group (class, level) suppress each other.
        threshold: of the intersection over union beyond which the less sure one goes.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    boxes, group = boxes[order], group[order]
    is_rival = ((box_iou(boxes, boxes) > threshold) & (group[:, None] == group[None])).cpu().numpy()
    alive = np.ones(len(boxes), bool)
    for place in range(len(boxes)):
        if alive[place]:
            alive[place + 1 :] &= ~is_rival[place, place + 1 :]
    return order[torch.from_numpy(np.flatnonzero(alive)).to(order.device)]


def encode_boxes(
    reference: Float[Tensor, "n 4"], boxes: Float[Tensor, "n 4"], weights: tuple[float, float]
) -> Float[Tensor, "n 4"]:
    """What leads from reference boxes to boxes: shift by the reference's size, logarithm of the sizes' ratio."""
    old_size, new_size = (reference[:, 2:] - reference[:, :2]).clamp(min=1e-3), boxes[:, 2:] - boxes[:, :2]
    shift = (boxes[:, :2] + boxes[:, 2:] - reference[:, :2] - reference[:, 2:]) / 2 / old_size
    return torch.cat([weights[0] * shift, weights[1] * torch.log(new_size.clamp(min=1e-3) / old_size)], dim=1)


def decode_boxes(
    reference: Float[Tensor, "n 4"], steps: Float[Tensor, "n 4"], weights: tuple[float, float]
) -> Float[Tensor, "n 4"]:
    """The inverse of `encode_boxes`."""
    size = reference[:, 2:] - reference[:, :2]
    center = (reference[:, :2] + reference[:, 2:]) / 2 + steps[:, :2] / weights[0] * size
    half = size * torch.exp((steps[:, 2:] / weights[1]).clamp(max=LARGEST_STEP)) / 2
    return torch.cat([center - half, center + half], dim=1)


def clip_boxes(boxes: Float[Tensor, "n 4"], size: tuple[int, int]) -> Float[Tensor, "n 4"]:
    """Boxes cut at the picture's (height, width)."""
    height, width = size
    limit = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), limit)


def crop_features(
    features: Float[Tensor, "channels rows columns"], boxes: Float[Tensor, "n 4"], stride: float | int, side: int
) -> Float[Tensor, "n channels side side"]:
    """RoIAlign (He et al., ICCV 2017): features over each box on a grid, four samples a cell.

    Args:
        features: of one picture.
        stride: pixels of the picture per cell of `features`.
        side: cells of the result.
    """
    channels, rows, columns = features.shape
    table = features.flatten(1).t().contiguous()
    cells, shares = _bins(boxes / stride, rows, columns, side)
    sums = functional.embedding_bag(
        cells.flatten(0, 2), table, mode="sum", per_sample_weights=shares.flatten(0, 2).to(table.dtype)
    )
    return sums.reshape(len(boxes), side, side, channels).permute(0, 3, 1, 2)


def crop_masks(
    masks: Float[Tensor, "masks rows columns"], chosen: Int64[Tensor, "n"], boxes: Float[Tensor, "n 4"], side: int
) -> Float[Tensor, "n side side"]:
    """As `crop_features`, each box out of a mask of its own: `chosen` says out of which."""
    cells, shares = _bins(boxes, masks.shape[1], masks.shape[2], side)
    return (masks.flatten(1)[chosen[:, None, None, None], cells] * shares).sum(dim=3)


def _bins(
    boxes: Float[Tensor, "n 4"], rows: int, columns: int, side: int
) -> tuple[Int64[Tensor, "n side side 16"], Float[Tensor, "n side side 16"]]:
    """The cells, counted row by row, that each bin of a box is a mean of, and their shares of it."""
    row, row_share = _bins_along(boxes[:, 1], boxes[:, 3], rows, side)
    column, column_share = _bins_along(boxes[:, 0], boxes[:, 2], columns, side)
    cells = row[:, :, None, :, None] * columns + column[:, None, :, None, :]
    shares = row_share[:, :, None, :, None] * column_share[:, None, :, None, :]
    return cells.flatten(3), shares.flatten(3)


def _bins_along(
    low: Float[Tensor, "n"], high: Float[Tensor, "n"], cells: int, side: int
) -> tuple[Int64[Tensor, "n side 4"], Float[Tensor, "n side 4"]]:
    """Along one axis: the cells that the two samples of each bin lie between, and their shares."""
    steps = (torch.arange(2 * side, device=low.device) + 0.5) / (2 * side)
    place = (low[:, None] + (high - low)[:, None] * steps - 0.5).clamp(0, cells - 1)
    first = place.floor()
    beyond = (place - first) / 2
    before = first.long()
    index = torch.stack([before, (before + 1).clamp(max=cells - 1)], dim=-1)
    return index.reshape(-1, side, 4), torch.stack([0.5 - beyond, beyond], dim=-1).reshape(-1, side, 4)

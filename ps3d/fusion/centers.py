"""Bottom-up fusion of pixels: each thing pixel goes to the nearest center of a heat map, and objects vote their class.

The offsets of points have no heat map and are clustered instead (`ps3d.fusion.offsets`).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int32, UInt8
from torch import Tensor
from torch.nn import functional

from ps3d.ops.compiled import compiled
from ps3d.structures import NO_INSTANCE, VOID, CenterPrediction, Panoptic, Taxonomy


@dataclass(frozen=True)
class CenterFusion:
    """How centers become objects (Panoptic-DeepLab, Cheng et al., CVPR 2020).

    Attributes:
        heat: least height of a center.
        kernel: a center is the highest within this many rows and columns of the picture, odd.
        most: highest centers that are kept.
        stuff_minimum: stuff classes of fewer pixels become VOID.
        votes: 0 = centers are the peaks of the heat map. Otherwise of the votes, spread by so many pixels of the grid:
            where the offsets of thing pixels lead to. A center then needs `least_votes` instead of `heat`.
        least_votes: pixels of the grid.
    """

    heat: float = 0.1
    kernel: int = 7
    most: int = 200
    stuff_minimum: int = 2048
    votes: float = 0.0
    least_votes: float = 5.0


CITYSCAPES = CenterFusion()
COCO = CenterFusion(kernel=41, stuff_minimum=4096)


def fuse_centers(prediction: CenterPrediction, taxonomy: Taxonomy, settings: CenterFusion = CITYSCAPES) -> Panoptic:
    """The panoptic labeling of a picture.

    Thing pixels walk their offset and join the nearest center; the class of an object is the most frequent one among
    its pixels. Without any center all thing pixels are VOID. Objects are numbered from 1, the highest center first.
    The score of an object is the height of its center times the mean probability of its class over its pixels.

    Raises:
        ValueError: logits for another number of classes.
    """
    if prediction.class_logits.shape[0] != len(taxonomy):
        raise ValueError(f"{prediction.class_logits.shape[0]} class logits, but {taxonomy.name} has {len(taxonomy)}")
    size = prediction.size or (prediction.heat.shape[0], prediction.heat.shape[1])
    semantic = best_class(prediction.class_logits, size)
    heat = peaks = _stretch(prediction.heat[None], size)[0]
    if settings.votes:
        peaks = _stretch(count_votes(prediction, taxonomy, settings.votes)[None], size)[0]
    least = settings.least_votes if settings.votes else settings.heat
    centers = find_centers(peaks, replace(settings, heat=least))
    is_thing = np.append(taxonomy.is_thing, np.zeros(256 - len(taxonomy), bool))[semantic]
    instance = np.zeros(size, np.int32)
    if len(centers):
        scale = torch.tensor([side / coarse for side, coarse in zip(size, prediction.heat.shape, strict=True)])
        offsets = prediction.offsets.detach().float().cpu() * scale[:, None, None]
        _assign_pixels(_stretch(offsets, size).numpy(), centers, is_thing, instance)
    semantic = _vote(semantic, instance, is_thing, len(centers), taxonomy)
    height = heat.cpu().numpy()[tuple(centers.astype(np.int64).T)].clip(0.0, 1.0)
    certainty = _mean_probability(prediction.class_logits, semantic, instance, len(centers))
    is_used = np.bincount(instance.reshape(-1), minlength=len(centers) + 1)[1:] > 0
    scores = (height * certainty)[is_used].tolist()
    semantic = _drop_small_stuff(semantic, taxonomy, settings.stuff_minimum)
    return Panoptic(semantic, _renumber(instance), dict(enumerate(scores, 1)))


def count_votes(prediction: CenterPrediction, taxonomy: Taxonomy, spread: float) -> Float32[Tensor, "rows columns"]:
    """How many thing pixels of the grid say that their object's center is here; a vote is a bell of height 1."""
    is_thing = torch.from_numpy(taxonomy.is_thing)[prediction.class_logits.argmax(dim=0).cpu()]
    height, width = is_thing.shape
    row, column = torch.nonzero(is_thing, as_tuple=True)
    offsets = prediction.offsets.detach().float().cpu()
    row, column = (
        (place + offsets[axis, row, column]).round().long().clamp(0, side - 1)
        for axis, place, side in ((0, row, height), (1, column, width))
    )
    votes = torch.bincount(row * width + column, minlength=height * width).float().view(1, 1, height, width)
    steps = torch.arange(-int(3 * spread), int(3 * spread) + 1)
    bell = torch.exp(-steps.float().square() / (2 * spread**2))
    votes = functional.conv2d(votes, bell[None, None, :, None], padding=(len(bell) // 2, 0))
    return functional.conv2d(votes, bell[None, None, None], padding=(0, len(bell) // 2))[0, 0]


def best_class(class_logits: Tensor, size: tuple[int, int], rows: int = 256) -> UInt8[np.ndarray, "height width"]:
    """The class with the largest logit at each pixel of a picture of this size, in strips of so many rows.

    Args:
        class_logits: (classes, rows, columns), stretched bilinearly.
    """
    if tuple(class_logits.shape[1:]) == size:
        return class_logits.detach().argmax(dim=0).to(torch.uint8).cpu().numpy()
    logits = class_logits.detach().float()
    best = torch.full(size, -torch.inf, device=logits.device)
    winner = torch.zeros(size, dtype=torch.uint8, device=logits.device)
    for class_id in range(len(logits)):
        value = _stretch(logits[class_id : class_id + 1], size)[0]
        is_better = value > best
        best = torch.where(is_better, value, best)
        winner.masked_fill_(is_better, class_id)
    return winner.cpu().numpy()


def find_centers(heat: Tensor, settings: CenterFusion) -> Float32[np.ndarray, "centers 2"]:
    """(row, column) of the peaks of a heat map of full size, the highest first.

    Equal heights side by side (a flat top) are one center, which max pooling alone would take for several.
    """
    heat = heat.detach().float().cpu()
    peak = functional.max_pool2d(heat[None], settings.kernel, stride=1, padding=settings.kernel // 2)[0]
    found = torch.nonzero((heat == peak) & (heat > settings.heat))
    height = heat[found[:, 0], found[:, 1]]
    order = torch.argsort(height, descending=True, stable=True)
    found = found[order].numpy().astype(np.float32)
    kept: list[np.ndarray] = []
    for center in found:
        if len(kept) == settings.most:
            break
        if not kept or (np.abs(np.stack(kept) - center).max(axis=1) > settings.kernel // 2).all():
            kept.append(center)
    return np.stack(kept) if kept else np.zeros((0, 2), np.float32)


def _stretch(maps: Tensor, size: tuple[int, int]) -> Tensor:
    maps = maps.detach().float()
    if tuple(maps.shape[1:]) == size:
        return maps
    return functional.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]


@compiled
def _assign_pixels(offsets, centers, is_thing, instance):
    """Number (from 1) of the center nearest to each thing pixel plus its offset; the first of equals."""
    rows, columns = is_thing.shape
    for row in range(rows):
        for column in range(columns):
            if not is_thing[row, column]:
                continue
            y, x = row + offsets[0, row, column], column + offsets[1, row, column]
            nearest, least = 0, np.inf
            for center in range(len(centers)):
                dy, dx = centers[center, 0] - y, centers[center, 1] - x
                distance = dy * dy + dx * dx
                if distance < least:
                    nearest, least = center + 1, distance
            instance[row, column] = nearest


def _vote(
    semantic: UInt8[np.ndarray, "height width"],
    instance: Int32[np.ndarray, "height width"],
    is_thing: np.ndarray,
    objects: int,
    taxonomy: Taxonomy,
) -> UInt8[np.ndarray, "height width"]:
    """Each object's most frequent class; thing pixels of no object become VOID."""
    classes = len(taxonomy)
    pair = instance[is_thing] * classes + semantic[is_thing]
    votes = np.bincount(pair, minlength=(objects + 1) * classes).reshape(-1, classes)
    winner = votes.argmax(axis=1).astype(np.uint8)
    winner[NO_INSTANCE] = VOID
    semantic = semantic.copy()
    semantic[is_thing] = winner[instance[is_thing]]
    return semantic


def _mean_probability(
    class_logits: Tensor,
    semantic: UInt8[np.ndarray, "height width"],
    instance: Int32[np.ndarray, "height width"],
    objects: int,
) -> Float64[np.ndarray, "objects"]:
    """Mean probability of each object's class over its pixels, one class at a time; 0 for one without pixels."""
    row, column = np.nonzero(instance > NO_INSTANCE)
    number, class_of = instance[row, column] - 1, semantic[row, column]
    probability = np.zeros(len(row), np.float32)
    coarse = class_logits.detach().float().softmax(dim=0)
    for class_id in np.unique(class_of):
        member = np.flatnonzero(class_of == class_id)
        stretched = _stretch(coarse[int(class_id)][None], semantic.shape)[0].cpu().numpy()
        probability[member] = stretched[row[member], column[member]]
    area = np.bincount(number, minlength=objects)
    return np.bincount(number, weights=probability, minlength=objects) / np.maximum(area, 1)


def _drop_small_stuff(
    semantic: UInt8[np.ndarray, "height width"], taxonomy: Taxonomy, minimum: int
) -> UInt8[np.ndarray, "height width"]:
    area = np.bincount(semantic.reshape(-1), minlength=256)
    table = np.arange(256, dtype=np.uint8)
    table[: len(taxonomy)][~taxonomy.is_thing & (area[: len(taxonomy)] < minimum)] = VOID
    return table[semantic]


def _renumber(instance: Int32[np.ndarray, "height width"]) -> Int32[np.ndarray, "height width"]:
    """Numbers without gaps, in the same order: some centers attract no pixel."""
    is_used = np.bincount(instance.reshape(-1), minlength=1) > 0
    is_used[NO_INSTANCE] = False
    return np.where(is_used, np.cumsum(is_used), NO_INSTANCE).astype(np.int32)[instance]

"""Bottom-up fusion of points: classes and offsets become objects by clustering what lies in the same place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int32, UInt8

from ps3d.fusion.thing_shapes import shape_of, thing_groups
from ps3d.ops.clustering import cluster_points
from ps3d.structures import NO_INSTANCE, VOID, OffsetPrediction, Panoptic, Taxonomy


@dataclass(frozen=True)
class OffsetFusion:
    """How points become objects.

    Attributes:
        minimum: fewer points are no object: they join a neighbor, or become stuff.
        radius_scale: factor on every radius of `thing_shapes`.
        slack: a cluster this many times its class's box is split.
        offset_share: how much of the predicted offset is walked; 0 clusters the points where they are.
        least_confidence: confidences below count as this, so that a doubtful far object does not fall apart.
        least_object: an object whose points are less sure, in the mean, to be of its group of classes becomes stuff.
            Bushes taken for cars are doubtful, above all where a sensor is new to the network.
    """

    minimum: int = 5
    radius_scale: float = 1.0
    slack: float = 1.3
    offset_share: float = 1.0
    least_confidence: float = 0.5
    least_object: float = 0.7


def fuse_offsets(
    prediction: OffsetPrediction,
    xyz: Float32[np.ndarray, "points 3"],
    taxonomy: Taxonomy,
    settings: OffsetFusion = OffsetFusion(),
) -> Panoptic:
    """The panoptic labeling of a scan: the best class of each point; things clustered and their class voted.

    Classes that are easily mistaken (car, truck, bus) are clustered together, so that a truck whose cabin was taken
    for a car stays one object; its class is the one with the largest sum of probabilities. Points of things that belong
    to no object take the most probable class of stuff, so every thing in the result has a number.

    Args:
        xyz: the points' positions; points that are not finite, or whose logits are not, become VOID.

    Raises:
        ValueError: the prediction is of other points or other classes.
    """
    logits = prediction.class_logits.detach().float().cpu()
    if logits.shape != (len(xyz), len(taxonomy)):
        raise ValueError(
            f"logits of {tuple(logits.shape)} for {len(xyz)} points and the {len(taxonomy)} classes of {taxonomy.name}"
        )
    semantic = logits.argmax(dim=1).numpy().astype(np.uint8) if len(xyz) else np.zeros(0, np.uint8)
    is_known = np.isfinite(xyz.sum(axis=1)) & np.isfinite(logits.sum(dim=1).numpy())
    semantic[~is_known] = VOID
    instance = np.zeros(len(xyz), np.int32)
    offsets = prediction.offsets.detach().float().cpu().numpy()
    objects = 0
    for group in thing_groups(taxonomy).values():
        member = np.flatnonzero(_is_in(semantic, group))
        if not len(member):
            continue
        probability = torch.softmax(logits[member], dim=1).numpy()[:, group]
        # Clustering is seen from above: whatever the head's dimensions, only the first two move a point.
        shifted = xyz[member, :2] + np.float32(settings.offset_share) * offsets[member, :2]
        cluster = _cluster_group(shifted, probability, group, taxonomy, settings)
        cluster = _drop_doubtful(cluster, probability.sum(axis=1), settings.least_object)
        semantic[member] = _vote(cluster, probability, group, semantic[member])
        instance[member] = np.where(cluster < 0, NO_INSTANCE, cluster + 1 + objects)
        objects += int(cluster.max()) + 1
    lone = np.flatnonzero(_is_in(semantic, taxonomy.thing_ids()) & (instance == NO_INSTANCE))
    semantic[lone] = _best_stuff(logits[lone].numpy(), taxonomy)
    return Panoptic(semantic, instance)


def _is_in(semantic: UInt8[np.ndarray, "points"], group: Sequence[int]) -> np.ndarray:
    table = np.zeros(256, bool)
    table[list(group)] = True
    return table[semantic]


def _cluster_group(
    shifted: Float32[np.ndarray, "members 2"],
    probability: Float32[np.ndarray, "members classes"],
    group: list[int],
    taxonomy: Taxonomy,
    settings: OffsetFusion,
) -> Int32[np.ndarray, "members"]:
    """Objects of one group; a point's box is the mean of its classes' boxes by their probabilities."""
    shapes = [shape_of(taxonomy.names[class_id]) for class_id in group]
    share = probability.sum(axis=1)
    boxes = np.array([(shape.length, shape.width) for shape in shapes], np.float32)
    box = probability @ boxes / np.maximum(share, 1e-6)[:, None]
    confidence = np.clip(share, settings.least_confidence, 1)
    radius = settings.radius_scale * max(shape.radius for shape in shapes)
    return cluster_points(shifted, confidence, radius, box, settings.minimum, settings.slack)


def _drop_doubtful(
    cluster: Int32[np.ndarray, "members"], share: Float32[np.ndarray, "members"], least: float
) -> Int32[np.ndarray, "members"]:
    """The clusters whose mean share is high enough, numbered from 0; -1 for the points of the others."""
    is_member = cluster >= 0
    total, points = np.bincount(cluster[is_member], weights=share[is_member]), np.bincount(cluster[is_member])
    keeps = total >= least * points
    number = np.where(keeps, np.cumsum(keeps) - 1, -1).astype(np.int32)
    result = np.full(len(cluster), -1, np.int32)
    result[is_member] = number[cluster[is_member]]
    return result


def _best_stuff(logits: Float32[np.ndarray, "points classes"], taxonomy: Taxonomy) -> UInt8[np.ndarray, "points"]:
    """The most probable class of stuff, VOID where a taxonomy has none."""
    things = set(taxonomy.thing_ids())
    stuff = np.array([class_id for class_id in range(len(taxonomy)) if class_id not in things], np.uint8)
    return stuff[logits[:, stuff].argmax(axis=1)] if len(stuff) else np.full(len(logits), VOID, np.uint8)


def _vote(
    cluster: Int32[np.ndarray, "members"],
    probability: Float32[np.ndarray, "members classes"],
    group: list[int],
    semantic: UInt8[np.ndarray, "members"],
) -> UInt8[np.ndarray, "members"]:
    """The class of each object by the sum of its points' probabilities; points without an object keep theirs."""
    objects = int(cluster.max()) + 1
    if len(group) == 1 or not objects:
        return semantic
    is_member = cluster >= 0
    votes = [np.bincount(cluster[is_member], weights=p[is_member], minlength=objects) for p in probability.T]
    winner = np.array(group, np.uint8)[np.argmax(votes, axis=0)]
    return np.where(is_member, winner[np.maximum(cluster, 0)], semantic)

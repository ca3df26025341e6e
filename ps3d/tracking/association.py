"""Which object continues which track: a cascade of stages, the surest first."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ps3d.ops.assignment import match
from ps3d.tracking.cells import count_shared_cells
from ps3d.tracking.motion import measurement_variance, scale_of
from ps3d.tracking.observations import Observations
from ps3d.tracking.options import TrackerOptions
from ps3d.tracking.registration import register
from ps3d.tracking.tracks import Tracks

CLASS_CHANGE_OVERLAP = 0.5
"""Intersection over union above which an object of another class may continue a track that was seen a frame ago."""

_SIZE_WEIGHT = 0.5
_BOX_WEIGHT = 0.5
_CANDIDATES = 3  # tracks per object that a registration is tried with
_LEAST_SCORE = 1e-6


@dataclass
class Matches:
    """Rows of tracks and places of objects found so far.

    Attributes:
        row_of_place: the row of the track of each object; -1 = none yet.
        is_free: tracks without an object.
        stage: how many matches each stage made.
    """

    row_of_place: Int64[np.ndarray, "objects"]
    is_free: Bool[np.ndarray, "tracks"]
    stage: dict[str, int]

    def add(self, stage: str, score: Float64[np.ndarray, "objects tracks"]) -> list[tuple[int, int]]:
        """Match what is still free by score; returns the new (place, row) pairs."""
        places, rows = np.flatnonzero(self.row_of_place < 0), np.flatnonzero(self.is_free)
        i, j = match(score[np.ix_(places, rows)])
        self.row_of_place[places[i]] = rows[j]
        self.is_free[rows[j]] = False
        self.stage[stage] = self.stage.get(stage, 0) + len(i)
        return list(zip(places[i].tolist(), rows[j].tolist(), strict=True))

    @property
    def is_done(self) -> bool:
        return not (self.is_free.any() and (self.row_of_place < 0).any())


def associate(tracks: Tracks, observations: Observations, now: float, options: TrackerOptions) -> Matches:
    """Match the objects of a frame with tracks that were predicted to it."""
    count, known = len(observations), len(tracks)
    matches = Matches(np.full(count, -1), np.ones(known, bool), {})
    if matches.is_done:
        return matches
    is_same = observations.semantic[:, None] == tracks.semantic[None]
    elapsed = now - tracks.seen
    is_alive = (tracks.missed < options.life) & (elapsed <= options.longest_gap)
    is_standing = ~tracks.is_moving(options) & (elapsed <= options.memory) & options.reidentification
    iou = np.zeros((count, known))
    if options.overlap:
        iou = cell_overlap(tracks, observations, now, is_alive | is_standing, options)
        matches.add("overlap", np.where(is_same & (iou >= options.least_overlap), iou, 0.0))
    if not matches.is_done and (options.motion or options.embedding or options.registration):
        matches.add("motion", _score(tracks, observations, is_same & is_alive, matches, options))
    if not matches.is_done and options.class_vote:
        is_fresh = is_alive & (tracks.missed == 0)
        matches.add("class change", np.where(~is_same & is_fresh & (iou >= CLASS_CHANGE_OVERLAP), iou, 0.0))
    if not matches.is_done and options.reidentification and options.motion:
        is_away = ~is_alive & (elapsed <= options.return_time)
        matches.add("return", _score(tracks, observations, is_same & is_away, matches, options))
    return matches


def cell_overlap(
    tracks: Tracks,
    observations: Observations,
    now: float,
    is_wanted: Bool[np.ndarray, "tracks"],
    options: TrackerOptions,
) -> Float64[np.ndarray, "objects tracks"]:
    """Intersection over union in cells between each object and the last views of each wanted track."""
    xyz, owner = tracks.shifted_points(now, is_wanted, options)
    shared, cells, track_cells = count_shared_cells(
        observations.xyz, observations.owner, len(observations), xyz, owner, len(tracks), options.cell
    )
    union = cells[:, None] + track_cells[None] - shared
    return shared / np.maximum(union, 1)


def _score(
    tracks: Tracks,
    observations: Observations,
    is_allowed: Bool[np.ndarray, "objects tracks"],
    matches: Matches,
    options: TrackerOptions,
) -> Float64[np.ndarray, "objects tracks"]:
    """1 minus the weighted mean of the costs of the stages that are on; 0 where a gate is closed."""
    is_allowed = is_allowed & (matches.row_of_place < 0)[:, None] & matches.is_free[None]
    distance = _distance(tracks, observations, options)
    is_allowed &= distance <= 1
    cost, weight = np.zeros(distance.shape), np.zeros(distance.shape)
    if options.motion:
        size = _size_difference(tracks, observations)
        box = 1 - _box_overlap(tracks, observations)
        cost += distance + _SIZE_WEIGHT * size + _BOX_WEIGHT * box
        weight += 1 + _SIZE_WEIGHT + _BOX_WEIGHT
    if options.embedding and observations.embedding is not None and tracks.embedding.shape[1]:
        cosine = _cosine_distance(observations.embedding, tracks.embedding)
        is_known = ~np.isnan(cosine)
        is_allowed &= ~is_known | (cosine <= options.embedding_gate)
        cost += np.where(is_known, options.embedding_weight * cosine / options.embedding_gate, 0.0)
        weight += np.where(is_known, options.embedding_weight, 0.0)
    if options.registration:
        residual = _residuals(tracks, observations, is_allowed, distance, options) / options.fit_distance
        is_allowed &= residual <= 1
        cost += np.where(is_allowed, residual, 0.0)
        weight += 1
    return np.where(is_allowed & (weight > 0), np.maximum(1 - cost / np.maximum(weight, 1e-9), _LEAST_SCORE), 0.0)


def _distance(
    tracks: Tracks, observations: Observations, options: TrackerOptions
) -> Float64[np.ndarray, "objects tracks"]:
    """Distance of centers in shares of the gate; infinite where a center is not known."""
    scale = scale_of(observations.size, options.cell)
    noise = measurement_variance(scale, options.cell)
    deviation = np.sqrt(tracks.motion.variance[None, :, 0] + noise[:, None])
    gap = np.linalg.norm(observations.center[:, None] - tracks.motion.center[None], axis=2)
    return np.nan_to_num(gap / (options.gate * deviation), nan=np.inf)


def _size_difference(tracks: Tracks, observations: Observations) -> Float64[np.ndarray, "objects tracks"]:
    """0 for boxes of equal edges, towards 1 the less they agree."""
    ours, theirs = observations.size[:, None], tracks.size[None]
    ratio = (np.minimum(ours, theirs) + 0.1) / (np.maximum(ours, theirs) + 0.1)
    return np.nan_to_num(1 - ratio.mean(2), nan=1.0)


def _box_overlap(tracks: Tracks, observations: Observations) -> Float64[np.ndarray, "objects tracks"]:
    """Intersection over union of the axis-parallel footprints at the predicted places."""
    ours, theirs = observations.center[:, None, :2], tracks.motion.center[None, :, :2]
    half, their_half = observations.size[:, None, :2] / 2, tracks.size[None, :, :2] / 2
    edges = np.minimum(ours + half, theirs + their_half) - np.maximum(ours - half, theirs - their_half)
    shared = np.clip(edges, 0, None).prod(2)
    union = (2 * half).prod(2) + (2 * their_half).prod(2) - shared
    return np.nan_to_num(shared / np.maximum(union, 1e-9))


def _cosine_distance(
    ours: Float64[np.ndarray, "objects dimensions"], theirs: Float64[np.ndarray, "tracks dimensions"]
) -> Float64[np.ndarray, "objects tracks"]:
    ours = ours / np.maximum(np.linalg.norm(ours, axis=1, keepdims=True), 1e-12)
    theirs = theirs / np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-12)
    return 1 - ours @ theirs.T


def _residuals(
    tracks: Tracks,
    observations: Observations,
    is_allowed: Bool[np.ndarray, "objects tracks"],
    distance: Float64[np.ndarray, "objects tracks"],
    options: TrackerOptions,
) -> Float64[np.ndarray, "objects tracks"]:
    """Residuals in cells after registration, for the nearest few allowed tracks of each object; else infinite."""
    residual = np.full(distance.shape, np.inf)
    for place in np.flatnonzero(is_allowed.any(1)).tolist():
        rows = np.flatnonzero(is_allowed[place])
        points = observations.points_of(place)
        for row in rows[np.argsort(distance[place, rows], kind="stable")[:_CANDIDATES]].tolist():
            last = tracks.views[row][-1][1]
            if len(points) and len(last):
                residual[place, row] = register(last, points, options.cell)[1] / options.cell
    return residual

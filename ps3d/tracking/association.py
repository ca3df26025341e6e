"""Which object continues which track: a cascade of stages, the surest first."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ps3d.ops.assignment import match
from ps3d.tracking.cells import count_shared_cells
from ps3d.tracking.motion import growth_variance, measurement_variance, scale_of
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

    def free(self) -> tuple[Int64[np.ndarray, "free_objects"], Int64[np.ndarray, "free_tracks"]]:
        """Places of objects and rows of tracks that are still to be matched."""
        return np.flatnonzero(self.row_of_place < 0), np.flatnonzero(self.is_free)

    def add(self, stage: str, score: Float64[np.ndarray, "free_objects free_tracks"]) -> None:
        """Match what is still free, by score."""
        places, rows = self.free()
        i, j = match(score)
        self.row_of_place[places[i]] = rows[j]
        self.is_free[rows[j]] = False
        self.stage[stage] = self.stage.get(stage, 0) + len(i)

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
    claim = tracks.standing[None]
    iou = np.zeros((count, known))
    if options.overlap:
        iou = cell_overlap(tracks, observations, now, is_alive | is_standing, options)
        matches.add("overlap", np.where(is_same & (iou >= options.least_overlap), iou * claim, 0.0))
    if not matches.is_done and (options.motion or options.embedding or options.registration):
        matches.add("motion", _score(tracks, observations, is_same & is_alive, matches, options))
    if not matches.is_done and options.class_vote:
        is_allowed = ~is_same & is_alive & (tracks.missed == 0) & (iou >= CLASS_CHANGE_OVERLAP)
        matches.add("class change", np.where(is_allowed, iou, 0.0)[np.ix_(*matches.free())])
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
) -> Float64[np.ndarray, "free_objects free_tracks"]:
    """1 minus the weighted mean of the costs of the stages that are on; 0 where a gate is closed."""
    places, rows = matches.free()
    allowed = is_allowed[np.ix_(places, rows)]
    pairs = _Pairs(
        observations.center[places],
        observations.size[places],
        tracks.motion.center[rows],
        tracks.size[rows],
    )
    noise = measurement_variance(scale_of(pairs.size, options.cell), observations.weight[places], options.cell)
    distance = _distance(pairs, noise, tracks.motion.variance[rows, 0], options)
    allowed &= distance <= 1
    if not allowed.any():
        return np.zeros(allowed.shape)
    cost, weight = np.zeros(distance.shape), np.zeros(distance.shape)
    if options.motion:
        cost += distance + _SIZE_WEIGHT * _size_difference(pairs) + _BOX_WEIGHT * (1 - _box_overlap(pairs))
        weight += 1 + _SIZE_WEIGHT + _BOX_WEIGHT
    if options.embedding and observations.embedding is not None and tracks.embedding.shape[1]:
        cosine = _cosine_distance(observations.embedding[places], tracks.embedding[rows])
        is_known = ~np.isnan(cosine)
        allowed &= ~is_known | (cosine <= options.embedding_gate)
        cost += np.where(is_known, options.embedding_weight * cosine / options.embedding_gate, 0.0)
        weight += np.where(is_known, options.embedding_weight, 0.0)
    if options.registration:
        residual = _residuals(tracks, observations, places, rows, allowed, distance, options)
        allowed &= residual <= options.fit_distance
        cost += np.where(allowed, residual / options.fit_distance, 0.0)
        weight += 1
    score = np.maximum(1 - cost / np.maximum(weight, 1e-9), _LEAST_SCORE)
    return np.where(allowed & (weight > 0), score * tracks.standing[rows][None], 0.0)


@dataclass(frozen=True)
class _Pairs:
    """Centers and sizes of objects and of tracks, each to be compared with each."""

    center: Float64[np.ndarray, "objects 3"]
    size: Float64[np.ndarray, "objects 3"]
    track_center: Float64[np.ndarray, "tracks 3"]
    track_size: Float64[np.ndarray, "tracks 3"]


def _distance(
    pairs: _Pairs,
    noise: Float64[np.ndarray, "objects"],
    variance: Float64[np.ndarray, "tracks"],
    options: TrackerOptions,
) -> Float64[np.ndarray, "objects tracks"]:
    """Distance of centers in shares of the gate; infinite where a center is not known."""
    growth = np.linalg.norm(pairs.size[:, None] - pairs.track_size[None], axis=2)
    deviation = np.sqrt(variance[None] + noise[:, None] + growth_variance(growth))
    gap = np.linalg.norm(pairs.center[:, None] - pairs.track_center[None], axis=2)
    share = gap / (options.gate * deviation)
    return np.where(np.isfinite(share), share, np.inf)


def _size_difference(pairs: _Pairs) -> Float64[np.ndarray, "objects tracks"]:
    """0 for boxes of equal edges, towards 1 the less they agree."""
    ours, theirs = pairs.size[:, None], pairs.track_size[None]
    return 1 - ((np.minimum(ours, theirs) + 0.1) / (np.maximum(ours, theirs) + 0.1)).mean(2)


def _box_overlap(pairs: _Pairs) -> Float64[np.ndarray, "objects tracks"]:
    """Intersection over union of the axis-parallel footprints at the predicted places."""
    ours, theirs = pairs.center[:, None, :2], pairs.track_center[None, :, :2]
    half, their_half = pairs.size[:, None, :2] / 2, pairs.track_size[None, :, :2] / 2
    edges = np.minimum(ours + half, theirs + their_half) - np.maximum(ours - half, theirs - their_half)
    shared = np.clip(edges, 0, None).prod(2)
    union = (2 * half).prod(2) + (2 * their_half).prod(2) - shared
    return shared / np.maximum(union, 1e-9)


def _cosine_distance(
    ours: Float64[np.ndarray, "objects dimensions"], theirs: Float64[np.ndarray, "tracks dimensions"]
) -> Float64[np.ndarray, "objects tracks"]:
    ours = ours / np.maximum(np.linalg.norm(ours, axis=1, keepdims=True), 1e-12)
    theirs = theirs / np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-12)
    return 1 - ours @ theirs.T


def _residuals(
    tracks: Tracks,
    observations: Observations,
    places: Int64[np.ndarray, "objects"],
    rows: Int64[np.ndarray, "tracks"],
    is_allowed: Bool[np.ndarray, "objects tracks"],
    distance: Float64[np.ndarray, "objects tracks"],
    options: TrackerOptions,
) -> Float64[np.ndarray, "objects tracks"]:
    """Residuals in cells after registration, for the nearest few allowed tracks of each object; else infinite."""
    residual = np.full(distance.shape, np.inf)
    for i in np.flatnonzero(is_allowed.any(1)).tolist():
        columns = np.flatnonzero(is_allowed[i])
        points = observations.points_of(int(places[i]))
        for j in columns[np.argsort(distance[i, columns], kind="stable")[:_CANDIDATES]].tolist():
            last = tracks.views[rows[j]][-1][1]
            if len(points) and len(last):
                residual[i, j] = register(last, points, options.cell)[1] / options.cell
    return residual

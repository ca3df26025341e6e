"""Which object continues which track: one assignment by all that speaks for a pair, then what is left.

Overlap first and motion for the rest would be simpler, and worse: what remains of a track at the place it left would
win against the track that moved there.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ps3d.ops.assignment import match
from ps3d.tracking.evidence import Evidence, gather
from ps3d.tracking.observations import Observations
from ps3d.tracking.options import TrackerOptions
from ps3d.tracking.tracks import Tracks

CLASS_CHANGE_OVERLAP = 0.5
"""Intersection over union above which an object of another class may continue a track that was seen a frame ago."""

FRAGMENT = 0.5
"""Share of an object's cells inside a track that has another object: above it the object is a piece of that track.
And share of a track's cells inside an object that another track got: above it the object holds both."""

SHRUNK = 0.8
"""An object is a piece of a track only if that track's own object is shorter than this share of what it was."""

_GHOST_HITS = 2  # a track seen no more often, and then inside another's object, was a piece of that
_MOTION_WEIGHT, _FIT_WEIGHT = 1.0, 0.25
_LEAST_SCORE = 1e-6


@dataclass
class Matches:
    """Rows of tracks and places of objects found so far.

    Attributes:
        row_of_place: the row of the track of each object; -1 = none yet.
        is_free: tracks without an object.
        stage: how many matches each stage made.
        parent: for each object, the row of the track it is a piece of, beside that track's own object; -1 = none.
        is_blob: objects that hold a second track beside the one they were matched with.
        is_hidden: tracks inside such an object.
        ghost_parent: for each track, the row of the track whose object covers it, if it looks like a piece of that.
    """

    row_of_place: Int64[np.ndarray, "objects"]
    is_free: Bool[np.ndarray, "tracks"]
    stage: dict[str, int]
    parent: Int64[np.ndarray, "objects"]
    is_blob: Bool[np.ndarray, "objects"]
    is_hidden: Bool[np.ndarray, "tracks"]
    ghost_parent: Int64[np.ndarray, "tracks"]

    @classmethod
    def none(cls, objects: int, tracks: int) -> "Matches":
        """Nothing matched."""
        return cls(
            np.full(objects, -1), np.ones(tracks, bool), {}, np.full(objects, -1), np.zeros(objects, bool),
            np.zeros(tracks, bool), np.full(tracks, -1),
        )  # fmt: skip

    @property
    def is_open(self) -> Bool[np.ndarray, "objects tracks"]:
        """Pairs of which neither has a partner yet."""
        return (self.row_of_place < 0)[:, None] & self.is_free[None]

    def add(self, score: Float64[np.ndarray, "objects tracks"]) -> tuple[np.ndarray, np.ndarray]:
        """Match what is still free, by score; returns the places and rows of the new pairs."""
        places, rows = np.flatnonzero(self.row_of_place < 0), np.flatnonzero(self.is_free)
        i, j = match(score[np.ix_(places, rows)])
        self.row_of_place[places[i]] = rows[j]
        self.is_free[rows[j]] = False
        return places[i], rows[j]

    def count(self, stage: str, pairs: int) -> None:
        """Note how many matches a stage made."""
        self.stage[stage] = self.stage.get(stage, 0) + int(pairs)

    @property
    def is_done(self) -> bool:
        return not (self.is_free.any() and (self.row_of_place < 0).any())


def associate(tracks: Tracks, observations: Observations, now: float, options: TrackerOptions) -> Matches:
    """Match the objects of a frame with tracks that were predicted to it."""
    matches = Matches.none(len(observations), len(tracks))
    if matches.is_done:
        return matches
    is_same = observations.semantic[:, None] == tracks.semantic[None]
    elapsed = now - tracks.seen
    is_alive = (tracks.missed < options.life) & (elapsed <= options.longest_gap)
    is_standing = ~tracks.is_moving(options) & (elapsed <= options.memory) & options.reidentification
    evidence = gather(tracks, observations, now, is_alive, is_alive | is_standing, options)
    is_overlapping = (evidence.overlap >= options.least_overlap) & options.overlap & (is_alive | is_standing)
    is_near = (evidence.distance <= 1) & is_alive & (options.motion or options.embedding or options.registration)
    is_whole, is_sure = tracks.parent == 0, observations.is_sure(options.birth_confidence)
    for objects, kind in ((is_sure, is_whole), (is_sure, ~is_whole), (~is_sure, is_alive)):
        allowed = is_same & (is_overlapping | is_near) & objects[:, None] & kind & matches.is_open
        _match_jointly(matches, evidence, tracks, observations, allowed, is_overlapping, options)
    if not matches.is_done and options.class_vote:
        is_allowed = ~is_same & is_alive & (tracks.missed == 0) & (evidence.overlap >= CLASS_CHANGE_OVERLAP)
        is_allowed &= is_sure[:, None]
        matches.count("class change", len(matches.add(np.where(is_allowed, evidence.overlap, 0.0))[0]))
    if not matches.is_done and options.reidentification and options.motion:
        allowed = is_same & ~is_alive & (elapsed <= options.return_time) & (evidence.distance <= 1) & matches.is_open
        allowed &= is_sure[:, None]
        score = _score(evidence, tracks, observations, allowed, np.zeros_like(allowed), options)
        matches.count("return", len(matches.add(score)[0]))
    if options.overlap:
        _find_pieces(matches, evidence, tracks, observations, is_same & is_alive)
    return matches


def _match_jointly(
    matches: Matches,
    evidence: Evidence,
    tracks: Tracks,
    observations: Observations,
    allowed: Bool[np.ndarray, "objects tracks"],
    is_overlapping: Bool[np.ndarray, "objects tracks"],
    options: TrackerOptions,
) -> None:
    """Objects whose best partner is one they overlap with need no registration; the others, and what is left, do."""
    if not allowed.any():
        return
    passes = [allowed]
    if options.overlap and options.registration:
        claim = tracks.standing[None]
        score = _weigh(evidence, allowed, is_overlapping, np.zeros_like(allowed), options) * claim
        best = np.where(is_overlapping, score, 0.0).max(1, keepdims=True)
        is_settled = best >= np.where(is_overlapping, 0.0, score).max(1, keepdims=True)
        passes = [allowed & (is_overlapping | ~is_settled), allowed & ~is_overlapping]
    for is_allowed in passes:
        is_allowed = is_allowed & matches.is_open
        places, rows = matches.add(_score(evidence, tracks, observations, is_allowed, is_overlapping, options))
        shares_cells = int(is_overlapping[places, rows].sum())
        matches.count("overlap", shares_cells)
        matches.count("motion", len(places) - shares_cells)


def _score(
    evidence: Evidence,
    tracks: Tracks,
    observations: Observations,
    allowed: Bool[np.ndarray, "objects tracks"],
    is_overlapping: Bool[np.ndarray, "objects tracks"],
    options: TrackerOptions,
) -> Float64[np.ndarray, "objects tracks"]:
    """How well each allowed pair fits, times the track's claim; 0 where a gate is closed."""
    needs_fit = allowed & ~is_overlapping & options.registration
    if needs_fit.any():
        evidence.fit(tracks, observations, needs_fit, options)
        if not options.motion:
            allowed = allowed & (~needs_fit | (evidence.residual <= options.fit_distance))
    if evidence.look is not None:
        allowed = allowed & (is_overlapping | ~(evidence.look > options.embedding_gate))
    return _weigh(evidence, allowed, is_overlapping, needs_fit, options) * tracks.standing[None]


def _weigh(
    evidence: Evidence,
    allowed: Bool[np.ndarray, "objects tracks"],
    is_overlapping: Bool[np.ndarray, "objects tracks"],
    is_fit: Bool[np.ndarray, "objects tracks"],
    options: TrackerOptions,
) -> Float64[np.ndarray, "objects tracks"]:
    """1 minus the weighted mean of the costs of the stages that are on; 0 where a pair is not allowed."""
    score = np.zeros(allowed.shape)
    pairs = np.nonzero(allowed)
    cost, weight = np.zeros(len(pairs[0])), np.zeros(len(pairs[0]))
    if options.overlap:
        trust = evidence.trust[pairs[1]]
        cost += trust * (1 - evidence.overlap[pairs])
        weight += trust
    if options.motion:
        cost += _MOTION_WEIGHT * evidence.cost[pairs]
        weight += _MOTION_WEIGHT
    if evidence.look is not None:
        look = evidence.look[pairs]
        is_known = ~np.isnan(look)
        cost += np.where(is_known, options.embedding_weight / 2 * np.minimum(look / options.embedding_gate, 1.0), 0.0)
        weight += np.where(is_known, options.embedding_weight / 2, 0.0)
    if options.registration:
        residual = np.minimum(evidence.residual[pairs] / options.fit_distance, 1.0)
        cost += np.where(is_fit[pairs], _FIT_WEIGHT * residual, 0.0)
        weight += np.where(is_fit[pairs], _FIT_WEIGHT, 0.0)
    score[pairs] = np.where(weight > 0, np.maximum(1 - cost / np.maximum(weight, 1e-9), _LEAST_SCORE), 0.0)
    return score


def _span(size: Float64[np.ndarray, "boxes 3"]) -> Float64[np.ndarray, "boxes"]:
    return np.linalg.norm(size, axis=1)


def _find_pieces(
    matches: Matches,
    evidence: Evidence,
    tracks: Tracks,
    observations: Observations,
    is_possible: Bool[np.ndarray, "objects tracks"],
) -> None:
    """Tell pieces from objects: unmatched objects inside a matched track, unmatched tracks inside a matched object."""
    births = np.flatnonzero(matches.row_of_place < 0)
    if len(births):
        inside = np.where(is_possible[births] & ~matches.is_free[None], evidence.inside[births], 0.0)
        row = inside.argmax(1)
        place_of_row = np.full(len(tracks), -1)
        found = np.flatnonzero(matches.row_of_place >= 0)
        place_of_row[matches.row_of_place[found]] = found
        span, before = _span(observations.size[place_of_row[row]]), _span(tracks.size[row])
        is_piece = (inside[np.arange(len(births)), row] >= FRAGMENT) & (span < SHRUNK * before)
        matches.parent[births[is_piece]] = row[is_piece]
    places = np.flatnonzero(matches.row_of_place >= 0)
    rows = matches.row_of_place[places]
    is_covered = is_possible[places] & matches.is_free[None] & (evidence.covers[places] >= FRAGMENT)
    i, covered = np.nonzero(is_covered & (tracks.parent == 0)[None])
    for place, row, other in zip(places[i].tolist(), rows[i].tolist(), covered.tolist(), strict=True):
        if tracks.hits[other] <= min(_GHOST_HITS, tracks.hits[row] - 1):
            matches.ghost_parent[other] = row
        elif tracks.hits[other] > _GHOST_HITS:
            matches.is_blob[place] = True
            matches.is_hidden[other] = True

"""What the tracker remembers of each object."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from ps3d.tracking.motion import (
    Motion,
    correct,
    growth_variance,
    is_moving,
    measurement_variance,
    predict,
    scale_of,
    start,
)
from ps3d.tracking.observations import Observations
from ps3d.tracking.options import TrackerOptions

_SIZE_MEMORY = 0.7  # how much of the old size stays when a track is seen again
_EMBEDDING_MEMORY = 0.8
_NOVELTY = 1.0  # a track that was seen so many times has half a claim
_ABSENCE = 0.85  # what a claim is worth after each frame unseen
_SIDE_BY_SIDE = 3  # frames in a row beside its parent after which a piece counts as an object of its own
_MOST_HIDDEN = 3  # frames in a row that an object may hold two tracks before it is believed to be one


@dataclass
class Tracks:
    """The memory of one sequence, one row per track that may still be matched.

    Attributes:
        number: 1, 2, ... in the order of birth; never given twice.
        motion: where the tracks are now.
        size: edges of the axis-parallel box.
        weight: elements when each was last seen.
        seen: when that was, seconds.
        missed: frames since then.
        hits: frames in which it was seen.
        parent: number of the track that this one seems to be a piece of; 0 = it is an object of its own.
        beside: frames in a row in which a piece was seen beside its parent.
        hidden: frames in a row in which the track's object held another track too.
        votes: elements that each class got.
        embedding: running mean, NaN where none was given; zero columns until the first.
        views: the last point sets with their times, newest last.
    """

    classes: int
    number: Int64[np.ndarray, "tracks"] = field(default_factory=lambda: np.zeros(0, np.int64))
    motion: Motion = field(default_factory=lambda: Motion(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3))))
    size: Float64[np.ndarray, "tracks 3"] = field(default_factory=lambda: np.zeros((0, 3)))
    weight: Int64[np.ndarray, "tracks"] = field(default_factory=lambda: np.zeros(0, np.int64))
    seen: Float64[np.ndarray, "tracks"] = field(default_factory=lambda: np.zeros(0))
    missed: Int64[np.ndarray, "tracks"] = field(default_factory=lambda: np.zeros(0, np.int64))
    hits: Int64[np.ndarray, "tracks"] = field(default_factory=lambda: np.zeros(0, np.int64))
    parent: Int64[np.ndarray, "tracks"] = field(default_factory=lambda: np.zeros(0, np.int64))
    beside: Int64[np.ndarray, "tracks"] = field(default_factory=lambda: np.zeros(0, np.int64))
    hidden: Int64[np.ndarray, "tracks"] = field(default_factory=lambda: np.zeros(0, np.int64))
    votes: Float64[np.ndarray, "tracks classes"] = field(default_factory=lambda: np.zeros((0, 0)))
    embedding: Float64[np.ndarray, "tracks dimensions"] = field(default_factory=lambda: np.zeros((0, 0)))
    views: list[deque] = field(default_factory=list)
    born: int = 0

    def __post_init__(self) -> None:
        self.votes = np.zeros((len(self.number), self.classes))

    def __len__(self) -> int:
        return len(self.number)

    @property
    def semantic(self) -> Int64[np.ndarray, "tracks"]:
        """The class that most elements voted for; the smaller class id where two have as many."""
        return self.votes.argmax(1) if self.classes else np.zeros(len(self), np.int64)

    def is_moving(self, options: TrackerOptions) -> Bool[np.ndarray, "tracks"]:
        return (self.hits > 1) & is_moving(self.motion, options.cell)

    @property
    def standing(self) -> Float64[np.ndarray, "tracks"]:
        """How much a track's claim to an object weighs: the longer it was seen and the shorter ago, the more.

        Where two tracks fit an object equally well, one is a ghost that some earlier error left behind.
        """
        return self.hits / (self.hits + _NOVELTY) * _ABSENCE ** np.minimum(self.missed, 20)

    def predict(self, seconds: float, options: TrackerOptions) -> None:
        """Move on in time."""
        scale = scale_of(self.size, options.cell)
        if not options.motion:
            # Without the stage an object may go anywhere its size lets it, from where it was seen last.
            self.motion = start(self.motion.center, scale, self.weight, options.cell)
        self.motion = predict(self.motion, seconds, scale, options.cell)

    def shifted_points(
        self, now: float, is_wanted: Bool[np.ndarray, "tracks"], options: TrackerOptions
    ) -> tuple[Float64[np.ndarray, "points 3"], Int32[np.ndarray, "points"]]:
        """The points of the last views of the wanted tracks, moved on with their tracks; and the row of each point."""
        rows = np.flatnonzero(is_wanted).tolist()
        views = [(row, now - time, points) for row in rows for time, points in self.views[row]]
        if not views:
            return np.zeros((0, 3)), np.zeros(0, np.int32)
        lengths = [len(points) for _, _, points in views]
        row = np.array([view[0] for view in views], np.int32)
        moving = self.is_moving(options)[row] & options.motion
        step = (
            np.where(moving[:, None], self.motion.velocity[row], 0.0) * np.array([view[1] for view in views])[:, None]
        )
        xyz = np.concatenate([points for _, _, points in views])
        if moving.any():
            xyz += np.repeat(step, lengths, axis=0)
        return xyz, np.repeat(row, lengths)

    def see(
        self,
        rows: Int64[np.ndarray, "matches"],
        places: Int64[np.ndarray, "matches"],
        is_blob: Bool[np.ndarray, "matches"],
        observations: Observations,
        now: float,
        options: TrackerOptions,
    ) -> None:
        """Enter the objects that continue tracks.

        Args:
            is_blob: objects that hold a second track: for a few frames they tell nothing about place, size and shape.
        """
        self.hidden[rows] = np.where(is_blob, self.hidden[rows] + 1, 0)
        is_clear = self.hidden[rows] % (_MOST_HIDDEN + 1) == 0
        self.seen[rows], self.missed[rows] = now, 0
        self.hits[rows] += 1
        self.votes[rows, observations.semantic[places]] += observations.weight[places]
        self._remember_embedding(rows[is_clear], places[is_clear], observations)
        self._measure(rows, places, is_clear, observations, options)
        for row, place in zip(rows[is_clear].tolist(), places[is_clear].tolist(), strict=True):
            self.views[row].append((now, observations.points_of(place)))

    def _measure(
        self,
        rows: np.ndarray,
        places: np.ndarray,
        is_clear: np.ndarray,
        observations: Observations,
        options: TrackerOptions,
    ) -> None:
        """Place and, where it is clear, size."""
        size, weight = observations.size[places], observations.weight[places]
        variance = measurement_variance(scale_of(size, options.cell), weight, options.cell)
        variance += growth_variance(np.linalg.norm(size - self.size[rows], axis=1))
        corrected = correct(self.motion.select(rows), observations.center[places], variance)
        is_known = np.isfinite(corrected.center).all(1)
        for name in ("center", "velocity", "variance"):
            getattr(self.motion, name)[rows[is_known]] = getattr(corrected, name)[is_known]
        memory = np.where(is_clear, _SIZE_MEMORY, 1.0)[:, None]
        self.size[rows] = memory * self.size[rows] + (1 - memory) * size
        self.weight[rows] = weight

    def adopt(self) -> None:
        """Pieces that were seen beside their parents often enough, and those whose parents are gone, are objects."""
        pieces = np.flatnonzero(self.parent > 0)
        if len(pieces) == 0:
            return
        parent_row = np.searchsorted(self.number, self.parent[pieces])
        is_there = (parent_row < len(self)) & (
            self.number[np.minimum(parent_row, len(self) - 1)] == self.parent[pieces]
        )
        parent_row = np.minimum(parent_row, len(self) - 1)
        is_beside = is_there & (self.missed[pieces] == 0) & (self.missed[parent_row] == 0)
        self.beside[pieces] = np.where(is_beside, self.beside[pieces] + 1, 0)
        self.parent[pieces[~is_there | (self.beside[pieces] >= _SIDE_BY_SIDE)]] = 0

    def add(
        self,
        places: Int64[np.ndarray, "births"],
        parent: Int64[np.ndarray, "births"],
        observations: Observations,
        now: float,
        options: TrackerOptions,
    ) -> Int64[np.ndarray, "births"]:
        """Begin tracks; returns their rows.

        Args:
            parent: number of the track an object seems to be a piece of, else 0.
        """
        count, before = len(places), len(self)
        size = observations.size[places]
        self.number = np.append(self.number, self.born + 1 + np.arange(count))
        self.born += count
        scale, weight = scale_of(size, options.cell), observations.weight[places]
        self.weight = np.append(self.weight, weight)
        self.motion = self.motion.append(start(observations.center[places], scale, weight, options.cell))
        self.size = np.concatenate([self.size, size])
        self.seen = np.append(self.seen, np.full(count, now))
        self.missed = np.append(self.missed, np.zeros(count, np.int64))
        self.hits = np.append(self.hits, np.ones(count, np.int64))
        self.parent = np.append(self.parent, parent)
        for name in ("beside", "hidden"):
            setattr(self, name, np.append(getattr(self, name), np.zeros(count, np.int64)))
        votes = np.zeros((count, self.classes))
        votes[np.arange(count), observations.semantic[places]] = observations.weight[places]
        self.votes = np.concatenate([self.votes, votes])
        self.embedding = np.concatenate([self.embedding, np.full((count, self.embedding.shape[1]), np.nan)])
        self.views += [deque([(now, observations.points_of(place))], options.window) for place in places.tolist()]
        rows = before + np.arange(count)
        self._remember_embedding(rows, places, observations)
        return rows

    def _remember_embedding(self, rows: np.ndarray, places: np.ndarray, observations: Observations) -> None:
        if observations.embedding is None:
            return
        if self.embedding.shape[1] == 0:
            self.embedding = np.full((len(self), observations.embedding.shape[1]), np.nan)
        if self.embedding.shape[1] != observations.embedding.shape[1]:
            raise ValueError(
                f"embeddings have {observations.embedding.shape[1]} numbers, before they had {self.embedding.shape[1]};"
                " reset the tracker between networks"
            )
        new, old = observations.embedding[places], self.embedding[rows]
        mixed = _EMBEDDING_MEMORY * old + (1 - _EMBEDDING_MEMORY) * new
        self.embedding[rows] = np.where(np.isnan(old), new, np.where(np.isnan(new), old, mixed))

    def forget(self, is_over: Bool[np.ndarray, "tracks"]) -> None:
        """Drop tracks for good."""
        keep = ~is_over
        if keep.all():
            return
        self.motion = self.motion.select(keep)
        for name in (
            "number",
            "size",
            "weight",
            "seen",
            "missed",
            "hits",
            "parent",
            "beside",
            "hidden",
            "votes",
            "embedding",
        ):
            setattr(self, name, getattr(self, name)[keep])
        self.views = [view for view, stays in zip(self.views, keep.tolist(), strict=True) if stays]

"""What speaks for each pair of an object and a track: shared cells, distance, boxes, looks, registration."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from ps3d.ops.compiled import compiled
from ps3d.tracking.cells import count_shared_cells
from ps3d.tracking.motion import GROWTH, measurement_variance, scale_of
from ps3d.tracking.observations import Observations
from ps3d.tracking.options import TrackerOptions
from ps3d.tracking.registration import register
from ps3d.tracking.tracks import Tracks

_SIZE_WEIGHT = 0.5
_BOX_WEIGHT = 0.5
_CANDIDATES = 3  # tracks per object that a registration is tried with


@dataclass(frozen=True)
class Evidence:
    """Objects of a frame against the tracks that were predicted to it.

    Attributes:
        overlap: intersection over union in cells between the object and the last views of the track.
        trust: weight of the overlap for each track: 1 where its place is known well, less the further it may have gone.
        inside: share of the object's cells that the track fills.
        covers: share of the track's cells that the object fills.
        distance: of the centers, in shares of the gate; infinite where a center is not known.
        cost: of the motion stage, 0 to 1: distance (at most the gate), difference of sizes and of footprints.
        look: cosine distance of the embeddings, NaN where one is missing; None where there are none at all.
        residual: of the registration in cells; infinite where none was tried or the sets do not fit. Filled by `fit`.
        is_fit: where a registration was tried.
    """

    overlap: Float64[np.ndarray, "objects tracks"]
    trust: Float64[np.ndarray, "tracks"]
    inside: Float64[np.ndarray, "objects tracks"]
    covers: Float64[np.ndarray, "objects tracks"]
    distance: Float64[np.ndarray, "objects tracks"]
    cost: Float64[np.ndarray, "objects tracks"]
    look: Float64[np.ndarray, "objects tracks"] | None
    residual: Float64[np.ndarray, "objects tracks"]
    is_fit: Bool[np.ndarray, "objects tracks"]

    def fit(
        self,
        tracks: Tracks,
        observations: Observations,
        is_wanted: Bool[np.ndarray, "objects tracks"],
        options: TrackerOptions,
    ) -> None:
        """Register the point sets of wanted pairs that were not tried yet, the nearest few tracks of each object."""
        for place in np.flatnonzero(is_wanted.any(1)).tolist():
            rows = np.flatnonzero(is_wanted[place])
            nearest = rows[np.argsort(self.distance[place, rows], kind="stable")[:_CANDIDATES]]
            points = observations.points_of(place)
            for row in nearest[~self.is_fit[place, nearest]].tolist():
                self.is_fit[place, row] = True
                last = tracks.views[row][-1][1]
                if len(points) and len(last):
                    self.residual[place, row] = register(last, points, options.cell)[1] / options.cell


def gather(
    tracks: Tracks,
    observations: Observations,
    now: float,
    is_alive: Bool[np.ndarray, "tracks"],
    is_seen: Bool[np.ndarray, "tracks"],
    options: TrackerOptions,
) -> Evidence:
    """Compare each object with each track.

    Args:
        is_alive: tracks that move on at their last velocity; the others count as standing where they were seen.
        is_seen: tracks whose cells may be compared; the others overlap with nothing.
    """
    shape = len(observations), len(tracks)
    xyz, owner = tracks.shifted_points(now, is_seen, options)
    shared, cells, track_cells = count_shared_cells(
        observations.xyz, observations.owner, len(observations), xyz, owner, len(tracks), options.cell
    )
    union = np.maximum(cells[:, None] + track_cells[None] - shared, 1)
    distance, cost = np.empty(shape), np.empty(shape)
    noise = measurement_variance(scale_of(observations.size, options.cell), observations.weight, options.cell)
    _compare(
        observations.center, observations.size, noise, tracks.motion.center, tracks.size,
        np.ascontiguousarray(tracks.motion.variance[:, 0]), options.gate, distance, cost,
    )  # fmt: skip
    doubt = np.sqrt(tracks.motion.variance[:, 0]) / scale_of(tracks.size, options.cell)
    trust = np.where(is_alive & options.motion, 1 / (1 + doubt**2), 1.0)
    look = None
    if options.embedding and observations.embedding is not None and tracks.embedding.shape[1]:
        look = _cosine_distance(observations.embedding, tracks.embedding)
    return Evidence(
        shared / union, trust, shared / np.maximum(cells[:, None], 1), shared / np.maximum(track_cells[None], 1),
        distance, cost, look, np.full(shape, np.inf), np.zeros(shape, bool),
    )  # fmt: skip


@compiled
def _compare(center, size, noise, track_center, track_size, variance, gate, distance, cost):
    for i in range(len(center)):
        for j in range(len(track_center)):
            gap, growth, likeness, shared, area, track_area = 0.0, 0.0, 0.0, 1.0, 1.0, 1.0
            for axis in range(3):
                step = abs(center[i, axis] - track_center[j, axis])
                ours, theirs = size[i, axis], track_size[j, axis]
                gap += step**2
                growth += (ours - theirs) ** 2
                likeness += (min(ours, theirs) + 0.1) / (max(ours, theirs) + 0.1) / 3
                if axis < 2:
                    both = min(min(ours, theirs), (ours + theirs) / 2 - step)
                    shared *= max(both, 0.0)
                    area *= ours
                    track_area *= theirs
            share = np.sqrt(gap / (variance[j] + noise[i] + GROWTH**2 * growth)) / gate
            footprint = shared / max(area + track_area - shared, 1e-9)
            if not np.isfinite(share):
                distance[i, j], cost[i, j] = np.inf, 1.0
                continue
            distance[i, j] = share
            total = min(share, 1.0) + _SIZE_WEIGHT * (1 - likeness) + _BOX_WEIGHT * (1 - footprint)
            cost[i, j] = total / (1 + _SIZE_WEIGHT + _BOX_WEIGHT)


def _cosine_distance(
    ours: Float64[np.ndarray, "objects dimensions"], theirs: Float64[np.ndarray, "tracks dimensions"]
) -> Float64[np.ndarray, "objects tracks"]:
    ours = ours / np.maximum(np.linalg.norm(ours, axis=1, keepdims=True), 1e-12)
    theirs = theirs / np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-12)
    return 1 - ours @ theirs.T

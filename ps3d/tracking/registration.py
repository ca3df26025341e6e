"""Aligning the point sets of two views of an object: translation only, with soft matches that harden.

In the spirit of robust point matching (Gold et al., Pattern Recognition 1998): each point leans on all points of the
other set, weighted by a Gaussian whose width shrinks from step to step; rows are normalized so that every point of the
smaller view finds company. A translation is enough: between two scans an object turns by a few degrees.
"""

import numpy as np
from jaxtyping import Float64

from ps3d.ops.compiled import compiled

_MOST_POINTS = 64
_STEPS = 8


def register(
    source: Float64[np.ndarray, "source_points 3"],
    target: Float64[np.ndarray, "target_points 3"],
    cell: float,
    guess: Float64[np.ndarray, "3"] | None = None,
) -> tuple[Float64[np.ndarray, "3"], float]:
    """The translation that lays one view of an object on another, and how well they fit then.

    Args:
        source, target: points of the views, at least one each; at most 64 of each take part, evenly chosen.
        cell: final width of the Gaussian, half of it.
        guess: translation to begin with; the difference of the middles if left out.

    Returns:
        target_from_source translation and the residual: the mean distance from the points of either view to the
        nearest of the other, the better of both directions, since one view may show only a part.
    """
    a, b = _choose(source), _choose(target)
    begin = (b.max(0) + b.min(0) - a.max(0) - a.min(0)) / 2 if guess is None else guess
    size = float(np.linalg.norm(np.ptp(np.concatenate([a + begin, b]), axis=0)))
    return _register(a, b, np.ascontiguousarray(begin, dtype=np.float64), max(size / 4, cell), cell / 2)


def _choose(points: Float64[np.ndarray, "points 3"]) -> Float64[np.ndarray, "chosen 3"]:
    if len(points) <= _MOST_POINTS:
        return np.ascontiguousarray(points)
    return np.ascontiguousarray(points[np.linspace(0, len(points) - 1, _MOST_POINTS).astype(np.int64)])


@compiled
def _register(a, b, shift, first_width, last_width):
    shift = shift.copy()
    width = first_width
    shrink = (last_width / first_width) ** (1.0 / (_STEPS - 1))
    for _ in range(_STEPS):
        step, total = np.zeros(3), 0.0
        for i in range(len(a)):
            pull, weight = np.zeros(3), 1e-9
            for j in range(len(b)):
                d0, d1, d2 = b[j, 0] - a[i, 0] - shift[0], b[j, 1] - a[i, 1] - shift[1], b[j, 2] - a[i, 2] - shift[2]
                w = np.exp(-(d0 * d0 + d1 * d1 + d2 * d2) / (2 * width * width))
                weight += w
                pull[0] += w * d0
                pull[1] += w * d1
                pull[2] += w * d2
            # Points whose partners are hidden should not pull: they count by how much company they have.
            trust = weight / (weight + 0.5)
            step += trust * pull / weight
            total += trust
        if total > 1e-6:
            shift += step / total
        width *= shrink
    return shift, min(_mean_distance(a, b, shift), _mean_distance(b, a, -shift))


@compiled
def _mean_distance(a, b, shift):
    total = 0.0
    for i in range(len(a)):
        best = np.inf
        for j in range(len(b)):
            d0, d1, d2 = b[j, 0] - a[i, 0] - shift[0], b[j, 1] - a[i, 1] - shift[1], b[j, 2] - a[i, 2] - shift[2]
            best = min(best, d0 * d0 + d1 * d1 + d2 * d2)
        total += np.sqrt(best)
    return total / len(a)

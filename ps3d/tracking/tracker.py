"""The online tracker: the same instance keeps its number, in scans and in pictures."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from jaxtyping import Float, Int64

from ps3d.ops.compiled import compiled
from ps3d.structures import NO_INSTANCE, Frame, Panoptic, Taxonomy
from ps3d.structures.scan import SWEEP_SECONDS
from ps3d.tracking.association import associate
from ps3d.tracking.ego_motion import Locator
from ps3d.tracking.observations import (
    Objects,
    Observations,
    attach_confidences,
    attach_embeddings,
    find_objects,
    observe_pixels,
    observe_points,
)
from ps3d.tracking.options import IMAGE_TRACKING, TrackerOptions
from ps3d.tracking.tracks import Tracks

_MOST_EVENTS = 1000


class ObjectTracker:
    """The core, innocent of scans and pictures: objects in, track numbers out."""

    def __init__(self, classes: int, options: TrackerOptions | None = None) -> None:
        self.classes = classes
        self.options = options or TrackerOptions()
        self.reset()

    def reset(self) -> None:
        """Forget everything; numbers start at 1 again."""
        self.tracks = Tracks(self.classes)
        self.stages: dict[str, int] = {}
        self.events: deque[str] = deque(maxlen=_MOST_EVENTS)
        self._now: float | None = None

    def step(
        self, observations: Observations, seconds: float
    ) -> tuple[Int64[np.ndarray, "objects"], Int64[np.ndarray, "objects"]]:
        """Number and class of the track of each object.

        Args:
            observations: in a frame that stands still, as far as that is known.
            seconds: time of the frame. Where time does not move on, a sweep's duration is taken instead.

        Returns:
            Numbers, 0 where a track is younger than `birth` or an object was too unsure to begin one; and classes,
            voted for over the track so far.
        """
        options, tracks = self.options, self.tracks
        now = self._advance(seconds)
        matches = associate(tracks, observations, now, options)
        for stage, count in matches.stage.items():
            self.stages[stage] = self.stages.get(stage, 0) + count
        tracks.missed += ~matches.is_hidden
        before = tracks.semantic
        rows = matches.row_of_place
        places = np.flatnonzero(rows >= 0)
        tracks.see(rows[places], places, matches.is_blob[places], observations, now, options)
        after = tracks.semantic
        for row in np.flatnonzero(before != after).tolist():
            self.events.append(
                f"{now:.2f} s: track {tracks.number[row]} changes from class {before[row]} to {after[row]}"
            )
        births = np.flatnonzero((rows < 0) & observations.is_sure(options.birth_confidence))
        is_ghost = matches.ghost_parent >= 0
        tracks.parent[is_ghost] = tracks.number[matches.ghost_parent[is_ghost]]
        parent = np.where(matches.parent >= 0, np.append(tracks.number, NO_INSTANCE)[matches.parent], NO_INSTANCE)
        rows[births] = tracks.add(births, parent[births], observations, now, options)
        tracks.adopt()
        number, semantic = np.zeros(len(rows), np.int64), observations.semantic.copy()
        held = np.flatnonzero(rows >= 0)
        number[held] = np.where(tracks.hits[rows[held]] >= options.birth, tracks.number[rows[held]], NO_INSTANCE)
        if options.class_vote:
            semantic[held] = tracks.semantic[rows[held]]
        self._forget(now)
        return number, semantic

    def _advance(self, seconds: float) -> float:
        """Time of this frame on the tracker's clock, with all tracks predicted to it."""
        if self._now is None:
            self._now = seconds if np.isfinite(seconds) else 0.0
            return self._now
        period = seconds - self._now if np.isfinite(seconds) else 0.0
        if period <= 0:
            # Copies without time stamps, or a sequence read twice: the order is what counts.
            period = SWEEP_SECONDS
        self.tracks.predict(period, self.options)
        self._now += period
        return self._now

    def _forget(self, now: float) -> None:
        options, tracks = self.options, self.tracks
        elapsed = now - tracks.seen
        is_alive = (tracks.missed < options.life) & (elapsed <= options.longest_gap)
        kept = np.where(tracks.is_moving(options), options.return_time, max(options.memory, options.return_time))
        is_piece = tracks.parent > 0
        tracks.forget(~is_alive & ((elapsed > kept) | is_piece | (not options.reidentification)))


class Tracker:
    """Gives objects the same number in every frame of a sequence.

        tracker = Tracker(taxonomy)
        for frame in sequence:
            tracked = tracker.update(predict(frame), frame)

    A flat labeling belongs to the points of `frame.scan`, one of two dimensions to the pixels of a picture. Between two
    sequences call `reset`. Numbers are unique per sequence and count from 1; stuff and void have none.

    Attributes:
        options: stages and gates.
        core: tracks, matches by stage (`core.stages`) and events (`core.events`): changed classes, missing and jumping
            poses.
    """

    def __init__(self, taxonomy: Taxonomy, options: TrackerOptions | None = None) -> None:
        """
        Args:
            options: those for points, or `IMAGE_TRACKING`, by the first labeling, if left out.
        """
        self.taxonomy = taxonomy
        self._chosen = options
        self.reset()

    def reset(self) -> None:
        """Begin a sequence."""
        self.core: ObjectTracker | None = None

    def update(
        self,
        panoptic: Panoptic,
        frame: Frame,
        embeddings: Mapping[int, Float[np.ndarray, "dimensions"]] | None = None,
        confidences: Mapping[int, float] | None = None,
    ) -> Panoptic:
        """Number the objects of one frame; frames in the order of time, missing ones left out.

        Args:
            panoptic: classes and instances of the scan's points (flat) or a picture's pixels (two dimensions).
            frame: time, pose and, for points, the scan.
            embeddings: a vector for each instance number, e.g. the query that found it. Some may be missing.
            confidences: how sure the network was of each instance number, see `TrackerOptions.birth_confidence`.

        Returns:
            The labeling with track numbers as instances, and the class voted for over each track.

        Raises:
            ValueError: labels of another scan, or no scan; the message names the frame.
        """
        is_image = panoptic.semantic.ndim == 2
        core = self.core = self.core or self._start(is_image)
        objects = find_objects(panoptic, self.taxonomy)
        observations = attach_embeddings(self._observe(panoptic, objects, frame, is_image), embeddings)
        observations = attach_confidences(observations, confidences)
        number, semantic = core.step(observations, frame.timestamp)
        return _relabel(panoptic, objects, number, semantic)

    def _start(self, is_image: bool) -> ObjectTracker:
        options = self._chosen or (IMAGE_TRACKING if is_image else TrackerOptions())
        self.options = options
        self._locator = Locator(options.ego_motion, options.top_speed)
        return ObjectTracker(len(self.taxonomy), options)

    def _observe(self, panoptic: Panoptic, objects: Objects, frame: Frame, is_image: bool) -> Observations:
        options = self.options
        if is_image:
            height, width = panoptic.shape
            return observe_pixels(objects, (height, width), options.cell, options.samples)
        place = self._locator.locate(frame, frame.timestamp)
        if self._locator.note and self.core is not None:
            self.core.events.append(self._locator.note)
        return observe_points(objects, frame, place, options.cell, options.samples)


def track_sequence(
    panoptics: Iterable[Panoptic], frames: Iterable[Frame], taxonomy: Taxonomy, options: TrackerOptions | None = None
) -> Iterator[Panoptic]:
    """The labelings of one sequence with track numbers, one at a time as they come."""
    tracker = Tracker(taxonomy, options)
    for panoptic, frame in zip(panoptics, frames, strict=True):
        yield tracker.update(panoptic, frame)


def _relabel(
    panoptic: Panoptic,
    objects: Objects,
    number: Int64[np.ndarray, "objects"],
    semantic: Int64[np.ndarray, "objects"],
) -> Panoptic:
    """Track numbers and classes back to the elements."""
    instance = _number_elements(objects.place, number.astype(np.int32))
    classes = panoptic.semantic
    if (semantic != objects.semantic).any():
        # The last row answers for place -1: elements without an object.
        voted = np.append(semantic, 0).astype(np.uint8)[objects.place]
        classes = np.where(objects.place >= 0, voted, panoptic.semantic.reshape(-1)).reshape(panoptic.shape)
    return Panoptic(classes, instance.reshape(panoptic.shape))


@compiled
def _number_elements(place, number):
    instance = np.zeros(len(place), np.int32)
    for i in range(len(place)):
        if place[i] >= 0:
            instance[i] = number[place[i]]
    return instance

"""What the tracker does and how strict it is: one dataclass, whose fields are the schema of a configuration."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrackerOptions:
    """Stages, lives and gates. Lengths are meters for points and pixels for pictures (see `IMAGE_TRACKING`).

    Gates are in units of an object's own size and of `cell`, so that a person and a bus need no settings of their own.

    Attributes:
        overlap: stage 1, match what lies on the same cells as a track did in the last scans.
        motion: stage 2, predict tracks at constant velocity (Kalman) and assign by distance, size and box overlap.
        embedding: stage 3, let the embeddings that `update` is given take part in the cost.
        registration: stage 4, align point sets of candidate pairs; how well they fit takes part in the cost.
        reidentification: match objects again that were away for longer than `life`.
        class_vote: an object has the class that most of its elements had over the track so far; off = as segmented.
        cell: edge of the cells in which overlap is counted.
        window: past scans of a track that count for overlap.
        least_overlap: smallest intersection over union of cells for a match.
        birth: observations before an object is given a number.
        birth_confidence: objects that the network was less sure of only continue tracks: they are matched after the
            others, begin none, and have no number where they continue none. Objects without a confidence are sure.
        life: frames an unseen track waits for its object, moving on at its last velocity.
        memory: seconds a track that stands still is remembered at its place after its life has ended.
        return_time: seconds a moving track may come back after its life has ended.
        longest_gap: seconds between frames after which nothing is known about moving objects.
        gate: standard deviations of the predicted position inside which a match is possible.
        fit_distance: residual of a registration, in cells, at which two point sets do not fit at all.
        embedding_weight: weight of the cosine distance of embeddings beside the other costs.
        embedding_gate: largest cosine distance of a match.
        ego_motion: where a frame has no pose (or the poses jump): "estimate" the motion by registering the scans, or
            "ignore" it and let each object's own velocity absorb it.
        top_speed: meters per second; a pose that asks for more of the vehicle is a jump.
        samples: points kept per object and scan.
    """

    overlap: bool = True
    motion: bool = True
    embedding: bool = True
    registration: bool = True
    reidentification: bool = True
    class_vote: bool = True
    cell: float = 0.4
    window: int = 3
    least_overlap: float = 0.1
    birth: int = 1
    birth_confidence: float = float("-inf")
    life: int = 5
    memory: float = 10.0
    return_time: float = 2.0
    longest_gap: float = 3.0
    gate: float = 4.0
    fit_distance: float = 1.0
    embedding_weight: float = 2.0
    embedding_gate: float = 0.5
    ego_motion: Literal["estimate", "ignore"] = "estimate"
    top_speed: float = 70.0
    samples: int = 2000

    def __post_init__(self) -> None:
        for name in ("cell", "window", "birth", "life", "gate", "samples", "longest_gap"):
            if getattr(self, name) <= 0:
                raise ValueError(f"tracker option {name} must be positive, not {getattr(self, name)}")
        if not (self.overlap or self.motion or self.embedding or self.registration):
            raise ValueError("all stages of the tracker are off: switch on overlap, motion, embedding or registration")


IMAGE_TRACKING = TrackerOptions(cell=8.0, ego_motion="ignore", registration=False)
"""For pictures: cells of 8 x 8 pixels, no vehicle to move back."""

"""Training and validation scans of KITTI-360: official windows as lists of frames, with or without leakage."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

Windows = Mapping[int, list[tuple[int, int]]]
"""First and last frame of each window, by number of the drive."""


@dataclass(frozen=True)
class Split:
    """Frames to train on and frames to validate on.

    Attributes:
        train, val: sorted frame numbers by drive.
        dropped: training frames left out because validation sees them, by drive and reason.
    """

    train: dict[int, list[int]]
    val: dict[int, list[int]]
    dropped: dict[int, dict[str, int]] = field(default_factory=dict)

    def report(self) -> dict[str, object]:
        """Numbers for a report: frames per split and what was dropped and why."""
        reasons = sorted({reason for counts in self.dropped.values() for reason in counts})
        return {
            "train_frames": sum(map(len, self.train.values())),
            "val_frames": sum(map(len, self.val.values())),
            "dropped": {reason: sum(counts.get(reason, 0) for counts in self.dropped.values()) for reason in reasons},
            "dropped_by_drive": {f"{drive:04d}": counts for drive, counts in sorted(self.dropped.items())},
        }


def official_windows(name: str) -> Windows:
    """The 239 training, 61 validation or 42 test windows of the published benchmark.

    Args:
        name: "train", "val" or "test".
    """
    table = json.loads(Path(__file__).with_name("kitti360_windows.json").read_text())
    if name not in table:
        raise KeyError(f"no split {name!r}; there are {', '.join(table)}")
    return {int(drive): [(first, last) for first, last in ranges] for drive, ranges in table[name].items()}


def read_windows(split_list: Path) -> Windows:
    """Windows of a list file (`data_3d_semantics/train/2013_05_28_drive_{train,val}.txt`).

    Raises:
        ValueError: a line that does not end in `<drive>/static/<first>_<last>.ply`.
    """
    windows: dict[int, list[tuple[int, int]]] = {}
    for number, line in enumerate(split_list.read_text().split(), 1):
        path = Path(line)
        try:
            drive = int(path.parts[-3].split("_")[4])
            first, last = (int(part) for part in path.stem.split("_"))
        except (IndexError, ValueError):
            raise ValueError(
                f"{split_list}, line {number}: {line!r} is not <drive>/static/<first>_<last>.ply; "
                "download the list again or delete it to use the built-in one"
            ) from None
        windows.setdefault(drive, []).append((first, last))
    return {drive: sorted(ranges) for drive, ranges in windows.items()}


def split_frames(
    train: Windows,
    val: Windows,
    leakage_free: bool = False,
    positions: Mapping[int, tuple[list[int], Float64[np.ndarray, "frames 3"]]] | None = None,
    margin: float = 0.0,
) -> Split:
    """Turn windows into lists of frames.

    Windows overlap by about ten meters, and 28 of the 61 validation windows share frames with a training window.

    Args:
        leakage_free: drop training frames that lie in a validation window, and with `positions` also those whose sensor
            stands within `margin` meters of a validation frame of the same drive, because a scan sees ahead.
        positions: frame numbers and sensor positions in the world, in meters, by drive.
        margin: meters.
    """
    val_frames = {drive: _frames(ranges) for drive, ranges in val.items()}
    train_frames = {drive: _frames(ranges) for drive, ranges in train.items()}
    if not leakage_free:
        return Split(train_frames, val_frames)
    dropped: dict[int, dict[str, int]] = {}
    for drive, frames in train_frames.items():
        held_out = set(val_frames.get(drive, ()))
        inside = held_out.intersection(frames)
        near = _near(frames, held_out, positions.get(drive) if positions else None, margin) - inside
        dropped[drive] = {"inside a validation window": len(inside)}
        if positions is not None and margin > 0:
            dropped[drive][f"within {margin:g} m of a validation frame"] = len(near)
        train_frames[drive] = [frame for frame in frames if frame not in inside and frame not in near]
    return Split(train_frames, val_frames, dropped)


def _frames(ranges: list[tuple[int, int]]) -> list[int]:
    return sorted({frame for first, last in ranges for frame in range(first, last + 1)})


def _near(
    frames: list[int],
    held_out: set[int],
    positions: tuple[list[int], Float64[np.ndarray, "frames 3"]] | None,
    margin: float,
) -> set[int]:
    if positions is None or margin <= 0 or not held_out:
        return set()
    from scipy.spatial import cKDTree

    numbers, places = positions
    place_of = dict(zip(numbers, places, strict=True))
    anchors = [place_of[frame] for frame in sorted(held_out) if frame in place_of]
    asked = [frame for frame in frames if frame in place_of]
    if not anchors or not asked:
        return set()
    distance, _ = cKDTree(np.array(anchors)).query(np.array([place_of[frame] for frame in asked]))
    return {frame for frame, meters in zip(asked, distance, strict=True) if meters <= margin}

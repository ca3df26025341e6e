"""KITTI's box tracks: the tracker's core on detected boxes, against a plain Kalman filter with assignment.

Figures are those of the KITTI tracking benchmark (IoU of the boxes in the picture) by ps3d's HOTA and CLEAR-MOT. Vans
and DontCare regions excuse what lies on them. Boxes are in the moving camera's frame: no tracker is told the poses.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from ps3d.metrics.object_tracking import clear_mot, hota, identity, without_ignored
from ps3d.metrics.object_tracks import ObjectTable
from ps3d.tracking import ObjectTracker, TrackerOptions
from ps3d.tracking.observations import observe_boxes

CLASSES = {"Car": ("Van", "DontCare"), "Pedestrian": ("Person_sitting", "DontCare"), "Cyclist": ("DontCare",)}
THRESHOLDS = (0.0, 1.5, 3.0)
PERIOD = 0.1
SURER = 1.5
"""How much above the threshold a score must lie to begin a track, in the row "sure births"."""


@dataclass(frozen=True)
class Boxes:
    """Boxes of one frame.

    Attributes:
        picture: left, top, right, bottom in pixels.
        center, size, yaw: x forward, y left, z up; length, width, height.
        number: identity (truth) or 0.
        confidence: score of the detector; 0 in the truth.
    """

    picture: np.ndarray
    center: np.ndarray
    size: np.ndarray
    yaw: np.ndarray
    number: np.ndarray
    confidence: np.ndarray

    def __len__(self) -> int:
        return len(self.picture)

    def select(self, keep: np.ndarray) -> "Boxes":
        return Boxes(**{name: values[keep] for name, values in vars(self).items()})


class BoxTracker(Protocol):
    def step(self, boxes: Boxes, seconds: float) -> np.ndarray: ...


class CoreTracker:
    """ps3d's tracker on boxes that are filled with points."""

    def __init__(self, options: TrackerOptions) -> None:
        self.core, self.options = ObjectTracker(1, options), options

    def step(self, boxes: Boxes, seconds: float) -> np.ndarray:
        kind = np.zeros(len(boxes), np.int64)
        seen = observe_boxes(kind, boxes.center, boxes.size, boxes.yaw, self.options.cell, boxes.confidence)
        return self.core.step(seen, seconds)[0]


class PlainKalman:
    """The baseline: constant velocity per frame, Hungarian assignment on the distance of centers (AB3DMOT's settings:
    Weng et al., IROS 2020)."""

    def __init__(self, gate: float, life: int) -> None:
        self.gate, self.life = gate, life
        self.state, self.covariance = np.zeros((0, 6)), np.zeros((0, 6, 6))
        self.number, self.missed, self.given = np.zeros(0, int), np.zeros(0, int), 0

    def step(self, boxes: Boxes, seconds: float) -> np.ndarray:
        move, noise = np.eye(6), np.diag([1.0] * 3 + [0.01] * 3)
        move[:3, 3:] = np.eye(3)
        self.state = self.state @ move.T
        self.covariance = move @ self.covariance @ move.T + noise
        gap = np.linalg.norm(boxes.center[:, None] - self.state[None, :, :3], axis=2)
        row, column = linear_sum_assignment(np.minimum(gap, self.gate + 1))
        is_near = gap[row, column] <= self.gate
        row, column = row[is_near], column[is_near]
        gain = self.covariance[column][:, :, :3] @ np.linalg.inv(self.covariance[column][:, :3, :3] + np.eye(3))
        surprise = boxes.center[row] - self.state[column, :3]
        self.state[column] += (gain @ surprise[..., None])[..., 0]
        self.covariance[column] -= gain @ self.covariance[column][:, :3]
        self.missed += 1
        self.missed[column] = 0
        number = np.zeros(len(boxes), int)
        number[row] = self.number[column]
        births = np.flatnonzero(number == 0)
        number[births] = self.given + 1 + np.arange(len(births))
        self.given += len(births)
        self.number = np.append(self.number, number[births])
        self.missed = np.append(self.missed, np.zeros(len(births), int))
        self.state = np.concatenate([self.state, np.hstack([boxes.center[births], np.zeros((len(births), 3))])])
        fresh = np.diag([10.0] * 3 + [10_000.0] * 3)
        self.covariance = np.concatenate([self.covariance, np.repeat(fresh[None], len(births), 0)])
        keep = self.missed < self.life
        self.state, self.covariance = self.state[keep], self.covariance[keep]
        self.number, self.missed = self.number[keep], self.missed[keep]
        return number


def compare_box_trackers(root: Path) -> Table:
    """One row per class and tracker, each at the score threshold where its own MOTA is best."""
    columns = ("HOTA", "AssA", "DetA", "MOTA", "IDF1", "switches", "score >")
    table = Table("class", "tracker", *columns, title="KITTI tracking, PointRCNN detections")
    trackers = {
        "Kalman + Hungarian": lambda gate, threshold: PlainKalman(gate, 3),
        "Kalman + Hungarian, life 5": lambda gate, threshold: PlainKalman(gate, 5),
        "ps3d, 1 overlap": lambda gate, threshold: CoreTracker(
            TrackerOptions(motion=False, registration=False, reidentification=False)
        ),
        "ps3d, 2 motion": lambda gate, threshold: CoreTracker(
            TrackerOptions(overlap=False, registration=False, reidentification=False)
        ),
        "ps3d, all": lambda gate, threshold: CoreTracker(TrackerOptions()),
        "ps3d, all, sure births": lambda gate, threshold: CoreTracker(
            TrackerOptions(birth_confidence=threshold + SURER)
        ),
    }
    for kind, excuses in CLASSES.items():
        gate = 4.0 if kind == "Car" else 2.0
        for name, make in trackers.items():
            figures = [score(root, kind, excuses, make, gate, threshold) for threshold in THRESHOLDS]
            best = max(figures, key=lambda f: f["MOTA"])
            shown = [f"{100 * best[c]:.2f}" for c in columns[:5]]
            table.add_row(kind, name, *shown, str(int(best["switches"])), f"{best['score']:g}")
    return table


def score(root: Path, kind: str, excuses: tuple[str, ...], make, gate: float, threshold: float) -> dict[str, float]:
    tables = {}
    for path in sorted((root / "detections" / f"pointrcnn_{kind}_val").glob("*.txt")):
        truth, excused = read_truth(root / "training" / "label_02" / path.name, kind, excuses)
        detections = read_detections(path, threshold)
        tables[path.stem] = track_sequence(truth, excused, detections, make(gate, threshold))
    clean = {name: without_ignored(table) for name, table in tables.items()}
    figures = {name: float(values.mean()) for name, values in hota(clean).figures().items()}
    clear = clear_mot(clean)
    return figures | {
        "MOTA": float(clear["MOTA"]),
        "switches": float(clear["IDSW"]),
        "IDF1": float(identity(clean)["IDF1"]),
        "score": threshold,
    }


def track_sequence(
    truth: dict[int, Boxes], excused: dict[int, np.ndarray], detections: dict[int, Boxes], tracker: BoxTracker
) -> ObjectTable:
    frames = range(max([*truth, *detections, 0]) + 1)
    nothing = from_rows(np.zeros((0, 7)), np.zeros((0, 4)), np.zeros(0, int))
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("tf", "ti", "pf", "pi", "ig", "xf", "xt", "xp", "xi")}
    for frame in frames:
        true, seen = truth.get(frame, nothing), detections.get(frame, nothing)
        number = tracker.step(seen, frame * PERIOD)
        seen, number = seen.select(number > 0), number[number > 0]
        overlap, share = (
            overlap_pictures(true.picture, seen.picture),
            overlap_pictures(excused.get(frame, np.zeros((0, 4))), seen.picture, True),
        )
        i, j = np.nonzero(overlap > 0)
        for key, values in {
            "tf": np.full(len(true), frame), "ti": true.number, "pf": np.full(len(seen), frame), "pi": number,
            "ig": share.max(0, initial=0.0), "xf": np.full(len(i), frame), "xt": true.number[i], "xp": number[j],
            "xi": overlap[i, j],
        }.items():  # fmt: skip
            parts[key].append(values)
    joined = {key: np.concatenate(values) for key, values in parts.items()}
    ints = {key: joined[key].astype(np.int64) for key in ("tf", "ti", "pf", "pi", "xf", "xt", "xp")}
    return ObjectTable(
        len(frames), ints["tf"], ints["ti"], ints["pf"], ints["pi"], joined["ig"].astype(float), ints["xf"],
        ints["xt"], ints["xp"], joined["xi"].astype(float),
    )  # fmt: skip


def overlap_pictures(a: np.ndarray, b: np.ndarray, of_b: bool = False) -> np.ndarray:
    """Intersection over union of boxes in the picture, or over the area of `b`."""
    edges = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(edges, 0, None).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    whole = area_b[None] + (0 if of_b else area_a[:, None] - shared)
    return shared / np.maximum(whole, 1e-9)


def from_rows(rows: np.ndarray, picture: np.ndarray, number: np.ndarray, confidence: np.ndarray | None = None) -> Boxes:
    """From KITTI's height, width, length, x, y, z, rotation_y in the camera's frame."""
    height, width, length, x, y, z, turn = rows.T
    return Boxes(
        picture,
        np.stack([z, -x, -y + height / 2], 1),
        np.stack([length, width, height], 1),
        -turn - np.pi / 2,
        number,
        np.zeros(len(rows)) if confidence is None else confidence,
    )


def read_truth(path: Path, kind: str, excuses: tuple[str, ...]) -> tuple[dict[int, Boxes], dict[int, np.ndarray]]:
    lines = [line.split() for line in path.read_text().splitlines()]
    truth, excused = {}, {}
    for frame in sorted({int(line[0]) for line in lines}):
        mine = [line for line in lines if int(line[0]) == frame and line[2] == kind]
        numbers = np.array([[float(x) for x in line[6:17]] for line in mine]).reshape(-1, 11)
        truth[frame] = from_rows(numbers[:, 4:], numbers[:, :4], np.array([int(line[1]) for line in mine], int))
        others = [line[6:10] for line in lines if int(line[0]) == frame and line[2] in excuses]
        excused[frame] = np.array(others, float).reshape(-1, 4)
    return truth, excused


def read_detections(path: Path, threshold: float) -> dict[int, Boxes]:
    """frame, class, box in the picture, score, height, width, length, x, y, z, rotation_y, alpha."""
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    rows = rows[rows[:, 6] > threshold]
    return {
        int(frame): from_rows(mine[:, 7:14], mine[:, 2:6], np.zeros(len(mine), int), mine[:, 6])
        for frame in np.unique(rows[:, 0])
        for mine in [rows[rows[:, 0] == frame]]
    }

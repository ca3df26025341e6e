"""Track numbers for anyone's per-scan predictions.

    python tools/track.py --input PREDICTIONS --data ROOT --out DIR [--sequences 8] [--tracker.life 10]

PREDICTIONS holds one .label file per scan (uint32: raw class id | instance << 16), as PREDICTIONS/<sequence>/labels/,
PREDICTIONS/sequences/<sequence>/predictions/ or the files themselves for a single sequence; ROOT is the data set that
was predicted. Writes DIR/<sequence>/labels/ in the same form, where an instance is the object's number through the
sequence, and DIR/<sequence>/tracks.json. Run it again and finished sequences are skipped.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from ps3d.datasets.label_files import LARGEST, read_labels, write_labels
from ps3d.datasets.opening import open_sequences
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import Panoptic, Sequence
from ps3d.tracking import Tracker, TrackerOptions


@dataclass
class Options:
    """What to track and where to."""

    input: Path
    """Per-scan predictions."""
    data: Path
    """The data set: scans and poses."""
    out: Path
    """Where the tracked labels go."""
    sequences: tuple[str, ...] = ()
    """Numbers or names; all sequences that have predictions if left out."""
    taxonomy: str | None = None
    """Name of the classes; the data set's own if left out."""
    tracker: TrackerOptions = field(default_factory=TrackerOptions)
    """Stages and gates."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    console = Console(stderr=True)
    try:
        tracked = [track(sequence, options, console) for sequence in find_sequences(options)]
    except (FileNotFoundError, ValueError, KeyError) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        sys.exit(2)
    console.print(f"{sum(tracked)} frames tracked; labels in {options.out}/<sequence>/labels. Next:")
    console.print(
        f"  python tools/evaluate_tracks.py --predictions {options.out} --data {options.data}", soft_wrap=True
    )
    look = f"python tools/visualize.py {options.data} --prediction {options.out} --color track --trails"
    console.print(f"  {look}", soft_wrap=True)


def find_sequences(options: Options) -> list[Sequence]:
    """The sequences asked for, or all that have predictions.

    Raises:
        FileNotFoundError: no data, or no predictions of it.
    """
    if not options.input.is_dir():
        raise FileNotFoundError(f"{options.input}: no such folder of predictions")
    found = open_sequences(options.data, options.taxonomy, options.sequences or None)
    with_predictions = [s for s in found if options.sequences or predictions_of(options.input, s.name, len(found) == 1)]
    if not with_predictions:
        names = ", ".join(s.name for s in found)
        raise FileNotFoundError(f"{options.input}: no <sequence>/labels/*.label for any of {names}")
    return with_predictions


def predictions_of(folder: Path, name: str, is_only: bool) -> dict[int, Path]:
    """Prediction files of a sequence by frame number."""
    places = [folder / name / "labels", folder / "sequences" / name / "predictions", folder / name / "predictions"]
    places += [folder / "labels", folder] if is_only else []
    for place in places:
        files = {int(path.stem): path for path in sorted(place.glob("*.label")) if path.stem.isdigit()}
        if files:
            return files
    return {}


def track(sequence: Sequence, options: Options, console: Console) -> int:
    """Track one sequence; returns its frames."""
    files = predictions_of(options.input, sequence.name, True)
    if not files:
        raise FileNotFoundError(f"{options.input}: no predictions of {sequence.name}")
    summary_path = options.out / sequence.name / "tracks.json"
    settings = asdict(options.tracker) | {"input": str(options.input)}
    if summary_path.exists():
        done = json.loads(summary_path.read_text())
        if done["settings"] == settings and done["frames"] == len(files):
            console.print(f"{sequence.name}: done before, skipped (remove {summary_path} to track it again)")
            return done["frames"]
    tracker, tracks, seconds, missing = Tracker(sequence.taxonomy, options.tracker), {}, [], 0
    with Progress(*Progress.get_default_columns()[:-1], TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
                  console=console) as progress:  # fmt: skip
        task = progress.add_task(sequence.name, total=len(sequence), note="")
        for position in range(len(sequence)):
            frame = sequence[position]
            progress.update(task, advance=1, note=f"frame {frame.index}")
            if frame.index not in files:
                missing += 1
                continue
            path = files[frame.index]
            raw, instance = read_labels(path, None if frame.scan is None else len(frame.scan))
            given = Panoptic(sequence.taxonomy.encode(raw, str(path)), instance)
            begin = time.perf_counter()
            tracked = tracker.update(given, frame)
            seconds.append(time.perf_counter() - begin)
            if len(tracked) and tracked.instance.max() > LARGEST:
                raise ValueError(f"{path}: more than {LARGEST} objects in {sequence.name}; .label files end there")
            # Raw ids stay as they were given, several may mean one class; only voted classes are written anew.
            is_changed = tracked.semantic != given.semantic
            raw = np.where(is_changed, sequence.taxonomy.decode(tracked.semantic), raw)
            write_labels(options.out / sequence.name / "labels" / path.name, raw, tracked.instance)
            note_tracks(tracks, tracked, frame.index, sequence)
    events = list(tracker.core.events) if tracker.core else []
    if missing:
        console.print(f"{sequence.name}: {missing} of {len(sequence)} frames have no prediction; they were left out")
    for event in events[:3]:
        console.print(f"{sequence.name}: {event}")
    summary = {
        "settings": settings,
        "frames": len(seconds),
        "missing_frames": missing,
        "median_milliseconds": round(1e3 * float(np.median(seconds)), 3) if seconds else None,
        "matches_by_stage": tracker.core.stages if tracker.core else {},
        "events": events,
        "tracks": tracks,
    }
    with atomic_write(summary_path) as name:
        name.write_text(json.dumps(summary, indent=1))
    return len(seconds)


def note_tracks(tracks: dict[int, dict[str, Any]], tracked: Panoptic, frame: int, sequence: Sequence) -> None:
    """Class, first and last frame, and length of each track."""
    numbers, first = np.unique(tracked.instance, return_index=True)
    for number, place in zip(numbers.tolist(), first.tolist(), strict=True):
        if number:
            entry = tracks.setdefault(number, {"class": "", "first": frame, "last": frame, "frames": 0})
            entry["class"] = sequence.taxonomy.names[tracked.semantic[place]]
            entry["last"] = frame
            entry["frames"] += 1


if __name__ == "__main__":
    main()

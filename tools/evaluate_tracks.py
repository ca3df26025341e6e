"""4D evaluation of drives: LSTQ, PTQ, PAT, MOTSA, IDF1 and HOTA in one table, with latency beside quality.

    python tools/evaluate_tracks.py --predictions DIR [DIR ...] --data ROOT [--latency 120] [--strict]

Each DIR holds tracked labels, DIR/<sequence>/labels/<frame>.label; the truth is that of the data set at ROOT, or
--labels. --latency (milliseconds per scan, one for all or one per DIR) adds the streaming score: a frame that is not
ready when the next one arrives is answered with the last finished one.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from ps3d.datasets.label_files import read_labels
from ps3d.datasets.opening import open_sequences
from ps3d.engine.evaluate_tracks import COLUMNS, evaluate_streaming, evaluate_tracks
from ps3d.metrics.result import total
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import Frame, Panoptic, Sequence


@dataclass
class Options:
    """What to compare."""

    predictions: tuple[Path, ...]
    """Folders of tracked labels; one row each."""
    data: Path
    """The data set."""
    labels: Path | None = None
    """True labels in place of the data set's own."""
    sequences: tuple[str, ...] = ()
    """Numbers or names; all with predictions if left out."""
    taxonomy: str | None = None
    """Name of the classes; the data set's own if left out."""
    latency: tuple[float, ...] = ()
    """Milliseconds per scan: network and tracker."""
    strict: bool = False
    """Rules by which truth against itself is exactly 1, in place of the benchmarks' own."""
    json: Path | None = None
    """Also write the figures here."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    console = Console(stderr=True)
    if len(options.latency) not in (0, 1, len(options.predictions)):
        console.print(f"[red]{len(options.latency)} latencies for {len(options.predictions)} folders[/red]")
        sys.exit(2)
    try:
        rows = [row for place in range(len(options.predictions)) for row in evaluate(options, place)]
    except (FileNotFoundError, ValueError, KeyError) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        sys.exit(2)
    table = Table("predictions", "ms", *COLUMNS, title="strict rules" if options.strict else "official rules")
    for name, milliseconds, figures in rows:
        table.add_row(name, milliseconds, *(f"{100 * figures[column]:.1f}" for column in COLUMNS))
    Console().print(table)
    if options.json:
        with atomic_write(options.json) as path:
            path.write_text(json.dumps([{"name": n, "ms": ms, **figures} for n, ms, figures in rows], indent=1))


def evaluate(options: Options, place: int) -> list[tuple[str, str, Mapping[str, float]]]:
    """The row of one folder, and the streaming row where a latency is given."""
    folder = options.predictions[place]
    sequences = open_sequences(options.data, options.taxonomy, options.sequences or None, labels=options.labels)
    found = [s for s in sequences if (folder / s.name / "labels").is_dir()]
    if not found:
        raise FileNotFoundError(f"{folder}: no <sequence>/labels for any of {', '.join(s.name for s in sequences)}")
    readers = [label_reader(folder / sequence.name / "labels", sequence) for sequence in found]
    pairs = list(zip(found, readers, strict=True))
    whole = total(evaluate_tracks(s, read, is_strict=options.strict) for s, read in pairs)
    rows = [(folder.name, "", whole.result().values)]
    if options.latency:
        milliseconds = options.latency[min(place, len(options.latency) - 1)]
        parts = [evaluate_streaming(s, read, milliseconds / 1e3, options.strict) for s, read in pairs]
        age = np.concatenate([part[1] for part in parts])
        rows[0] = (folder.name, f"{milliseconds:.0f}", rows[0][2])
        name = f"{folder.name}, streaming ({np.nanmean(age):.1f} frames old)"
        rows.append((name, f"{milliseconds:.0f}", total(part[0] for part in parts).result().values))
    return rows


def label_reader(folder: Path, sequence: Sequence) -> Callable[[Frame], Panoptic | None]:
    """Reads the labels of a frame; None where there is no file."""
    files = {int(path.stem): path for path in sorted(folder.glob("*.label")) if path.stem.isdigit()}

    def read(frame: Frame) -> Panoptic | None:
        if frame.index not in files:
            return None
        path = files[frame.index]
        raw, instance = read_labels(path, None if frame.scan is None else len(frame.scan))
        return Panoptic(sequence.taxonomy.encode(raw, str(path)), instance)

    return read


if __name__ == "__main__":
    main()

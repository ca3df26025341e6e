"""The results of an evaluation as one table, as JSON, as pictures, and as a list of the worst frames."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ps3d.engine.evaluate import Evaluation
from ps3d.metrics.errors import FALSE_NEGATIVE, FALSE_POSITIVE, MERGE, SPLIT, FrameErrors
from ps3d.metrics.object_tracking import object_scores
from ps3d.metrics.object_tracks import ObjectCounts
from ps3d.metrics.panoptic_quality import PanopticCounts
from ps3d.metrics.result import Result
from ps3d.ops.atomic_file import atomic_write

SHOWN = ("pq", "sq", "rq", "iou", "s_assoc", "vpq", "ptq", "motsa", "tq", "hota", "smotsa", "idf1", "ap", "ap50")
"""Columns of the table of classes, as far as they were counted."""

MEANS = {"iou": "miou"}
HEADINGS = {"iou": "IoU", "s_assoc": "S_assoc", "smotsa": "sMOTSA"}


def results_of(evaluation: Evaluation) -> dict[tuple[str, str], Result]:
    """The result of each metric and mode."""
    return {key: _result(state, key[1]) for key, state in evaluation.states.items()}


def _result(state: Any, mode: str) -> Result:
    if isinstance(state, ObjectCounts):
        return object_result(state, mode)
    return state.result()


def object_result(counts: ObjectCounts, mode: str = "official") -> Result:
    """HOTA, MOTSA and IDF1 of objects; means over the classes that occur."""
    scores = object_scores(counts)
    names = tuple(scores)
    keys = next(iter(scores.values())).keys()
    per_class = {key: np.array([float(scores[name][key]) for name in names]) for key in keys}
    occurs = np.array([any(len(t.truth_id) for t in counts.classes[name].values()) for name in names])
    values = {key: float(column[occurs].mean()) if occurs.any() else float("nan") for key, column in per_class.items()}
    return Result("object_tracking", f"mots {mode}", values, per_class, names)


def print_results(evaluation: Evaluation, console: Any = None) -> None:
    """One table: a row per class in the first reading, the means of every reading; then all headline figures."""
    from rich.table import Table

    console = console or _console()
    results = results_of(evaluation)
    modes = list(dict.fromkeys(mode for _, mode in results))
    columns = [
        (metric, name)
        for name in SHOWN
        for (metric, mode), result in results.items()
        if mode == modes[0] and name in result.per_class
    ]
    table = Table(title=f"{evaluation.frames} frames, classes by the {modes[0]} rules", title_justify="left")
    table.add_column("", no_wrap=True)
    for _, name in columns:
        table.add_column(_heading(name), justify="right", no_wrap=True)
    for class_name in evaluation.taxonomy.names:
        row = [_cell(results[metric, modes[0]], name, class_name) for metric, name in columns]
        if any(row):
            table.add_row(class_name, *row)
    table.add_section()
    for mode in modes:
        means = (results[metric, mode].values.get(MEANS.get(name, name)) for metric, name in columns)
        table.add_row(f"mean, {mode}", *(_number(value) for value in means), style="bold")
    console.print(table)
    for (_, mode), result in results.items():
        figures = "  ".join(f"{name} {_number(value)}" for name, value in result.values.items())
        console.print(f"[bold]{result.metric}[/bold] ({result.rules or mode}): {figures}", soft_wrap=True)


def _console() -> Any:
    """A console that does not squeeze tables where the output is a file."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)


def _heading(name: str) -> str:
    return HEADINGS.get(name, name.upper())


def _cell(result: Result, figure: str, name: str) -> str:
    return _number(result.per_class[figure][result.names.index(name)]) if name in result.names else ""


def _number(value: float | None) -> str:
    return "" if value is None else "-" if np.isnan(value) else f"{value:.4f}"


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Values and figures per class of every metric and mode, and the worst frames."""
    results = [result.to_json() | {"mode": mode} for (_, mode), result in results_of(evaluation).items()]
    worst = [describe_errors(frame) for frame in evaluation.worst.frames]
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps({"frames": evaluation.frames, "results": results, "worst": worst}, indent=1))


def describe_errors(frame: FrameErrors) -> dict[str, Any]:
    """The errors of a frame as plain values."""
    errors = [vars(error) for error in frame.errors]
    return {"sequence": frame.sequence, "frame": frame.frame, "errors": errors}


def print_worst(evaluation: Evaluation, console: Any = None, segments: int = 3) -> None:
    """The frames with the most wrong segments, and their largest errors."""
    from rich.table import Table

    console = console or _console()
    table = Table(title="worst frames", title_justify="left")
    for heading in ("sequence", "frame", "missed", "invented", "split", "merged", "largest errors"):
        table.add_column(heading)
    for frame in evaluation.worst.frames:
        counts = [str(frame.count(kind)) for kind in (FALSE_NEGATIVE, FALSE_POSITIVE, SPLIT, MERGE)]
        largest = [
            f"{error.kind} {evaluation.taxonomy.names[error.semantic]} {error.instance} ({error.area})"
            for error in frame.errors[:segments]
        ]
        table.add_row(frame.sequence, frame.frame, *counts, "; ".join(largest))
    console.print(table)


def write_plots(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Bars per class of every metric, and the confusion of classes."""
    from ps3d.visualization.plots import plot_class_bars, plot_confusion

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for (metric, mode), result in results_of(evaluation).items():
        figures = tuple(name for name in SHOWN if name in result.per_class)
        written.append(plot_class_bars(result, folder / f"{metric}_{mode}.png", figures))
    for (_, mode), state in evaluation.states.items():
        if isinstance(state, PanopticCounts):
            written.append(plot_confusion(state.confusion, evaluation.taxonomy.names, folder / f"confusion_{mode}.png"))
    return written

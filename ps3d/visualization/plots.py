"""Plots of a run: curves of the training, bars per class, the confusion matrix. They need no display."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ps3d.ops.atomic_file import atomic_write

# Okabe and Ito's colors without yellow, which is too light for lines on white paper.
LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

POSITIONS = ("step", "iteration", "epoch")
"""Columns that can be the horizontal axis, the finest first."""

_NOT_PLOTTED = (*POSITIONS, "time", "seconds", "timestamp", "progress")


def read_columns(path: str | Path) -> dict[str, np.ndarray]:
    """Numeric columns of a CSV file with a header, NaN where a cell is empty or not a number.

    Raises:
        ValueError: the file has no header or no rows.
    """
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path}: no rows under a header; the training has not written anything yet")
    columns = {name: np.array([_number(row.get(name)) for row in rows]) for name in rows[0] if name}
    return {name: column for name, column in columns.items() if np.isfinite(column).any()}


def plot_curves(path_of_csv: str | Path, path: str | Path) -> Path:
    """Every column of a metrics.csv over the steps.

    Columns that belong together share a panel: "train/loss" and "val/loss", or "loss_class" and "loss_offset".

    Args:
        path: .png or .svg.

    Raises:
        ValueError: nothing to plot in the file.
    """
    columns = read_columns(path_of_csv)
    position = next((name for name in POSITIONS if name in columns), None)
    x = columns[position] if position else np.arange(len(next(iter(columns.values()))), dtype=float)
    panels = _panels([name for name in columns if name.lower() not in _NOT_PLOTTED])
    if not panels:
        raise ValueError(f"{path_of_csv}: only {', '.join(columns)} in it; expected columns such as loss or pq")
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(4.6 * across, 3.0 * down), layout="constrained")
    for place, (title, names) in enumerate(panels.items()):
        axes = figure.add_subplot(down, across, place + 1)
        for number, name in enumerate(names):
            is_there = np.isfinite(columns[name]) & np.isfinite(x)
            _draw_curve(axes, x[is_there], columns[name][is_there], name, LINE_COLORS[number % len(LINE_COLORS)])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(position or "row")
        axes.grid(alpha=0.25)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if len(names) > 1:
            axes.legend(fontsize=8, frameon=False)
        values = np.concatenate([columns[name][np.isfinite(columns[name])] for name in names])
        if title.startswith("lr") and (values > 0).all():
            axes.set_yscale("log")
    return _save(figure, path)


def plot_class_bars(
    result: Mapping[str, Any] | Any,
    path: str | Path,
    figures: Sequence[str] = ("pq", "sq", "rq", "iou"),
    colors: Sequence[tuple[int, int, int]] | None = None,
) -> Path:
    """One group of bars per class, the best class on top.

    Args:
        result: a metric's result, or what its `to_json()` returned: "classes" and "per_class".
        figures: which columns of `per_class` to draw, as far as they are there; the first one sorts.
        colors: of the classes, drawn as a mark beside the name.

    Raises:
        ValueError: none of the figures is in the result.
    """
    table = result if isinstance(result, Mapping) else result.to_json()
    drawn = [name for name in figures if name in table["per_class"]]
    if not drawn:
        raise ValueError(f"none of {', '.join(figures)} in the result; it has {', '.join(table['per_class'])}")
    values = np.array([[np.nan if v is None else v for v in table["per_class"][name]] for name in drawn], float)
    support = _support(table)
    shown = np.flatnonzero(np.isfinite(values[0]) & (support > 0))
    order = shown[np.argsort(values[0][shown], kind="stable")]
    figure = Figure(figsize=(7.5, 1.3 + 0.34 * max(1, len(order))), layout="constrained")
    axes = figure.add_subplot()
    thickness = 0.8 / len(drawn)
    for number, (name, column) in enumerate(zip(drawn, values, strict=True)):
        offset = (0.5 * (len(drawn) - 1) - number) * thickness
        axes.barh(
            np.arange(len(order)) + offset, column[order], thickness, label=_heading(name), color=LINE_COLORS[number]
        )
    for row, class_id in enumerate(order):
        axes.text(1.02, row, f"{values[0, class_id]:.3f}", va="center", fontsize=9)
        if colors is not None:
            mark = np.array(colors[class_id]) / 255
            axes.plot(-0.012, row, "s", color=mark, markersize=8, clip_on=False, markeredgecolor="gray")
    axes.set_yticks(np.arange(len(order)), [table["classes"][i] for i in order])
    axes.tick_params(axis="y", length=0, pad=12 if colors is not None else 4)
    axes.text(1.02, len(order) - 0.35, _heading(drawn[0]), fontsize=9, weight="bold")
    axes.set_xlim(0, 1.1)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    hidden = len(table["classes"]) - len(order)
    note = f" (without {hidden} that {'do' if hidden > 1 else 'does'} not occur)" if hidden else ""
    axes.set_title(f"{table.get('metric', 'result').replace('_', ' ')} per class{note}", fontsize=10)
    figure.legend(ncols=len(drawn), fontsize=8, frameon=False, loc="outside lower center")
    return _save(figure, path)


def plot_confusion(
    matrix: Integer[np.ndarray, "size size"], names: Sequence[str], path: str | Path, void_name: str = "void"
) -> Path:
    """Where the elements of each true class went, in per cent of the class; rows are the truth.

    Args:
        matrix: elements by predicted class (row) and true class (column), as `SemanticCounts.confusion`;
            one more row and column than names are those of VOID.

    Raises:
        ValueError: the matrix fits neither the names nor the names and VOID.
    """
    if len(matrix) not in (len(names), len(names) + 1):
        raise ValueError(
            f"a {len(matrix)} x {len(matrix)} matrix does not fit {len(names)} classes (with or without void)"
        )
    labels = [*names, void_name][: len(matrix)]
    by_truth = matrix.T.astype(float)[: len(names)]
    total = by_truth.sum(1)
    rows = np.flatnonzero(total > 0)
    columns = np.flatnonzero((by_truth.sum(0) > 0) | np.isin(np.arange(len(labels)), rows))
    share = 100 * by_truth[np.ix_(rows, columns)] / total[rows, None]
    figure = Figure(figsize=(2.4 + 0.42 * max(4, len(columns)), 2.0 + 0.36 * max(3, len(rows))), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.5:
            color = "white" if value > 55 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=color, fontsize=7)
    axes.set_xticks(np.arange(len(columns)), [labels[i] for i in columns], rotation=90, fontsize=8)
    axes.set_yticks(np.arange(len(rows)), [labels[i] for i in rows], fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title("per cent of the true class", fontsize=10)
    figure.colorbar(picture, ax=axes, fraction=0.03)
    return _save(figure, path)


def _heading(figure: str) -> str:
    return "IoU" if figure == "iou" else figure.upper() if len(figure) < 5 else figure.replace("_", " ")


def _number(cell: str | None) -> float:
    try:
        return float(cell) if cell else math.nan
    except ValueError:
        return math.nan


def _panels(names: Iterable[str]) -> dict[str, list[str]]:
    """Columns by what they measure: the last part of "train/loss", and everything that starts with "loss"."""
    panels: dict[str, list[str]] = {}
    for name in names:
        measured = name.replace(".", "/").split("/")[-1]
        kind = "loss" if "loss" in name.lower() else measured
        panels.setdefault(kind, []).append(name)
    return panels


def _draw_curve(axes: Any, x: np.ndarray, y: np.ndarray, name: str, color: str) -> None:
    """Noisy curves are drawn pale under their running mean."""
    if len(y) < 60:
        axes.plot(x, y, color=color, label=name, linewidth=1.5, marker="o" if len(y) < 25 else None, markersize=3)
        return
    width = max(5, len(y) // 40)
    sums = np.cumsum(np.insert(y, 0, 0.0))
    high = np.minimum(np.arange(len(y)) + width // 2 + 1, len(y))
    low = np.maximum(np.arange(len(y)) - width // 2, 0)
    axes.plot(x, y, color=color, alpha=0.25, linewidth=0.7)
    axes.plot(x, (sums[high] - sums[low]) / (high - low), color=color, label=name, linewidth=1.5)


def _support(table: Mapping[str, Any]) -> np.ndarray:
    """How often each class occurs in the truth or the prediction; 1 where the result does not tell."""
    per_class = table["per_class"]
    counts = [name for name in ("tp", "fp", "fn", "support") if name in per_class]
    if not counts:
        return np.ones(len(table["classes"]))
    return np.sum([[v or 0 for v in per_class[name]] for name in counts], axis=0)


def _save(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=130)
    return path

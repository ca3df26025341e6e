"""The page of a run: everything its folder holds, in one HTML file that needs no other file and no network."""

import base64
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ps3d.ops.atomic_file import atomic_write
from ps3d.visualization.plots import plot_class_bars, plot_confusion, plot_curves

LARGEST_VIDEO = 30_000_000
"""Bytes; a larger video is linked instead of embedded."""

MOST_PICTURES = 24

_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
}

# Pictures that the page draws itself, sharper, from the numbers beside them.
_DRAWN_HERE = re.compile(r"^(curves|confusion|bars|class_bars|classes$)")


@dataclass(frozen=True)
class Media:
    """A picture or video: its caption, and its address, which is the content itself unless it is too large."""

    caption: str
    address: str


@dataclass
class Page:
    """What the template shows; empty parts are left out."""

    title: str
    headline: list[tuple[str, str]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    curves: Media | None = None
    bars: list[Media] = field(default_factory=list)
    confusions: list[Media] = field(default_factory=list)
    pictures: dict[str, list[Media]] = field(default_factory=dict)
    videos: list[Media] = field(default_factory=list)
    config: str = ""
    environment: list[tuple[str, str]] = field(default_factory=list)
    log: str = ""
    notes: list[str] = field(default_factory=list)


def write_report(run_folder: str | Path) -> Path:
    """Write `report.html` into a run's folder and return its path.

    It shows what is there and says what is not: config.yaml, environment.json, metrics.csv, the end of train.log; every
    *.json with results of metrics (`Result.to_json()`, alone or inside lists and dicts) or with a "confusion" matrix
    and its "classes"; pictures in plots/ and pictures/, grouped by the first word of their names (worst_ ...); videos.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    folder = Path(run_folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such run folder; a training makes it, e.g. runs/lidar/NAME-0")
    page = Page(title=f"{folder.resolve().parent.name} / {folder.resolve().name}")
    with TemporaryDirectory() as scratch:
        _add_curves(page, folder, Path(scratch))
        _add_results(page, folder, Path(scratch))
    _add_media(page, folder)
    _add_texts(page, folder)
    environment = Environment(
        loader=PackageLoader("ps3d.visualization", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    html = environment.get_template("report.html").render(page=page)
    with atomic_write(folder / "report.html") as temporary:
        temporary.write_text(html, encoding="utf-8")
    return folder / "report.html"


def find_results(content: Any, name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every metric's result in the content of a JSON file, with the keys that lead to it."""
    if isinstance(content, Mapping):
        if "classes" in content and ("per_class" in content or "confusion" in content):
            yield name, content
            return
        content = content.items()
    elif isinstance(content, list):
        content = enumerate(content)
    else:
        return
    for key, value in content:
        if isinstance(value, (Mapping, list)):
            yield from find_results(value, f"{name} / {key}" if name else str(key))


def embed(path: Path, folder: Path) -> str:
    """The file's content as a data: address, or its relative path if it is too large to carry along."""
    if path.suffix == ".mp4" and path.stat().st_size > LARGEST_VIDEO:
        return path.relative_to(folder).as_posix()
    return f"data:{_MEDIA_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _add_curves(page: Page, folder: Path, scratch: Path) -> None:
    if not (folder / "metrics.csv").is_file():
        page.notes.append("no metrics.csv: no training curves")
        return
    try:
        picture = plot_curves(folder / "metrics.csv", scratch / "curves.svg")
        page.curves = Media("training curves", embed(picture, scratch))
    except ValueError as error:
        page.notes.append(str(error))


def _add_results(page: Page, folder: Path, scratch: Path) -> None:
    for path in sorted([*folder.glob("*.json"), *folder.glob("evaluation/**/*.json"), *folder.glob("plots/*.json")]):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            page.notes.append(f"{path.relative_to(folder)} is not readable: {error}")
            continue
        where = path.relative_to(folder).with_suffix("").as_posix()
        # What was counted over all sequences stands before the single ones.
        found = sorted(find_results(content), key=lambda pair: pair[0].rpartition(" / ")[2] != "all")
        for name, result in found:
            _add_result(page, result, " / ".join(filter(None, [where, name])), scratch)
    if not page.tables:
        page.notes.append(
            "no evaluation (*.json with results): no table per class; python tools/evaluate.py writes one"
        )


def _add_result(page: Page, result: Mapping[str, Any], name: str, scratch: Path) -> None:
    if per_class := result.get("per_class"):
        page.tables.append(_class_table(result, name))
        values = result.get("values", {})
        figures = [(key, _figure(value)) for key, value in values.items() if isinstance(value, (int, float))]
        # Each figure once: of single sequences they are under their tables.
        known = {key for key, _ in page.headline}
        page.headline += [(key, figure) for key, figure in figures if key not in known]
        if "pq" in per_class or "iou" in per_class:
            drawn = plot_class_bars(result, scratch / f"bars_{len(page.bars)}.svg")
            page.bars.append(Media(name, embed(drawn, scratch)))
    if "confusion" in result:
        matrix = np.array(result["confusion"], np.int64)
        drawn = plot_confusion(matrix, result["classes"], scratch / f"confusion_{len(page.confusions)}.svg")
        page.confusions.append(Media(name, embed(drawn, scratch)))


def _class_table(result: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Rows of text, and the share of each fraction for the bar behind it."""
    columns = list(result["per_class"])
    rows = []
    for place, class_name in enumerate(result["classes"]):
        cells = [result["per_class"][column][place] for column in columns]
        shares = [
            _share(cell) if _is_fraction(result["per_class"][c]) else None
            for c, cell in zip(columns, cells, strict=True)
        ]
        rows.append((class_name, [(_figure(cell), share) for cell, share in zip(cells, shares, strict=True)]))
    values = [(key, _figure(value)) for key, value in result.get("values", {}).items()]
    metric = " ".join(str(result.get(key, "")) for key in ("metric", "rules")).replace("_", " ").strip()
    return {"name": name, "metric": metric, "columns": columns, "rows": rows, "values": values}


def _is_fraction(column: list[Any]) -> bool:
    present = [value for value in column if value is not None]
    return all(0 <= value <= 1 for value in present) and any(value != int(value) for value in present)


def _share(value: float | int | None) -> int | None:
    return None if value is None else round(100 * value)


def _figure(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int) or value == 0:
        return str(int(value)) if abs(value) < 1000 else f"{int(value):,}".replace(",", " ")
    if isinstance(value, float):
        return f"{int(value):,}".replace(",", " ") if float(value).is_integer() and abs(value) > 1 else f"{value:.3f}"
    return str(value)


def _add_media(page: Page, folder: Path) -> None:
    pictures = sorted(
        path
        for name in ("plots", "pictures", ".")
        for path in (folder / name).glob("*")
        if path.suffix in (".png", ".jpg", ".svg", ".gif") and not _DRAWN_HERE.match(path.stem)
    )
    for path in pictures[:MOST_PICTURES]:
        kind = re.split(r"[_\-.]", path.stem)[0]
        page.pictures.setdefault(kind, []).append(Media(path.stem.replace("_", " "), embed(path, folder)))
    if len(pictures) > MOST_PICTURES:
        page.notes.append(f"{len(pictures) - MOST_PICTURES} more pictures are in {folder.name}/plots")
    videos = sorted(
        path for pattern in ("*.mp4", "plots/*.mp4", "pictures/*.mp4", "videos/*.mp4") for path in folder.glob(pattern)
    )
    page.videos = [Media(path.stem.replace("_", " "), embed(path, folder)) for path in videos]
    if not pictures and not videos:
        page.notes.append("no pictures: python tools/visualize.py RUN_FOLDER --save RUN_FOLDER/pictures draws them")


def _add_texts(page: Page, folder: Path) -> None:
    config, environment, log = folder / "config.yaml", folder / "environment.json", folder / "train.log"
    if config.is_file():
        page.config = config.read_text(encoding="utf-8")
    else:
        page.notes.append("no config.yaml: this run cannot be repeated from its folder")
    if environment.is_file():
        content = json.loads(environment.read_text(encoding="utf-8"))
        page.environment = [
            (key, value if isinstance(value, str) else json.dumps(value)) for key, value in content.items()
        ]
    if log.is_file():
        page.log = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-60:])

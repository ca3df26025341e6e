"""The page that shows what label recovery did: totals, coverage, pictures of a few scans."""

import base64
import io
from dataclasses import asdict, fields
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image as Picture

from ps3d.curation.label_recovery import RecoveryCounts, RecoverySettings
from ps3d.curation.recovery_job import DriveRecovery
from ps3d.datasets.kitti360_labels import LABEL_OF_ID, LABELS
from ps3d.datasets.label_files import read_labels
from ps3d.ops.atomic_file import atomic_write
from ps3d.visualization.points import render_points
from ps3d.visualization.views import bird_view

PICTURES = 3
"""Scans drawn for each drive."""

_COLORS = np.full((2**16, 3), 60, np.uint8)
for _label in LABELS:
    if _label.id > 0:
        _COLORS[_label.id] = _label.color


def draw_scan(recovery: DriveRecovery, position: int) -> np.ndarray:
    """Bird's-eye picture of one scan in the colors of its recovered labels, unlabeled points dark gray."""
    frame = recovery.sequence[position]
    assert frame.scan is not None
    raw, _ = read_labels(recovery.label_path(frame.index), len(frame.scan))
    return render_points(frame.scan.xyz, _COLORS[raw], bird_view(60.0), (540, 960))


def write_page(
    path: Path, root: Path, recoveries: list[DriveRecovery], report: dict, settings: RecoverySettings
) -> None:
    """Write one self-contained HTML page.

    Args:
        report: what `report.json` holds: `drives` by name, and `splits`.
    """
    pictures = {}
    for recovery in recoveries:
        finished = [i for i, frame in enumerate(recovery.sequence.frames) if recovery.label_path(frame).exists()]
        chosen = [finished[int(place)] for place in np.linspace(0, len(finished) - 1, PICTURES)] if finished else []
        pictures[recovery.name] = [
            {
                "data": _encode(draw_scan(recovery, i)),
                "caption": f"frame {recovery.sequence.frames[i]}, from above, 60 m to each side; gray = unlabeled",
            }
            for i in sorted(set(chosen))
        ]
    template = jinja2.Environment(autoescape=True).from_string(Path(__file__).with_suffix(".html").read_text())
    page = template.render(
        root=root,
        drives=report["drives"],
        split=report.get("splits"),
        settings=asdict(settings),
        totals=[field.name for field in fields(RecoveryCounts)],
        colors={label.name: label.color for label in LABEL_OF_ID.values()},
        pictures=pictures,
    )
    with atomic_write(path) as name:
        name.write_text(page, encoding="utf-8")


def _encode(rgb: np.ndarray) -> str:
    buffer = io.BytesIO()
    Picture.fromarray(rgb).save(buffer, "PNG", compress_level=6)
    return base64.b64encode(buffer.getvalue()).decode()

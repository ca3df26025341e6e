"""Per-scan panoptic labels for KITTI-360, from its windows and boxes.

    python tools/recover_labels.py --root KITTI360 --out DIR [--drives 0 2 ...] [--fast]

Writes DIR/<drive>/labels/%010d.label (uint32: KITTI-360 id | object number << 16), DIR/<drive>/confidence/%010d.conf
(uint8, 255 = sure), DIR/report.json, DIR/report.html and DIR/splits/*.txt. Run it again and it goes on where it
stopped; under torchrun or in a SLURM array job each process takes its share of every drive.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from ps3d.curation.label_recovery import FAST, RecoverySettings
from ps3d.curation.recovery_job import DriveRecovery, Share, report_drive, sensor_positions
from ps3d.curation.recovery_report import write_page
from ps3d.curation.semantic_kitti_export import export_tree
from ps3d.curation.splits import official_windows, read_windows, split_frames
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name, drive_number
from ps3d.ops.atomic_file import atomic_write


@dataclass
class Options:
    """What to recover and where to."""

    root: Path
    """KITTI-360: the folder with data_3d_raw/, data_3d_semantics/, data_3d_bboxes/, data_poses/, calibration/."""
    out: Path
    """Where the labels go."""
    drives: tuple[int, ...] = ()
    """Numbers of drives; all that have labeled windows if left out."""
    fast: bool = False
    """Thin the windows to one point per 10 cm: less memory, nearly the same labels."""
    layout: Literal["ps3d", "semantic_kitti"] = "ps3d"
    """semantic_kitti adds DIR/semantic_kitti/: scans, labels, poses, calib, times and the learning map."""
    margin: float = 80.0
    """Leakage-free split: training scans within this many meters of a validation scan are left out."""
    minimum_confidence: float = 0.0
    """Labels less certain than this (0..1) stay unlabeled."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    console = Console(stderr=True, soft_wrap=True)
    settings = replace(FAST if options.fast else RecoverySettings(), minimum_confidence=options.minimum_confidence)
    share = Share.from_environment()
    try:
        recoveries = open_drives(options, settings)
        run(recoveries, share, console)
        if share.rank == 0:
            finish(options, settings, recoveries, console, is_alone=share.world_size == 1)
    except (FileNotFoundError, ValueError) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        sys.exit(2)


def open_drives(options: Options, settings: RecoverySettings) -> list[DriveRecovery]:
    """The drives asked for, or all with windows."""
    layout = Kitti360Layout(options.root)
    names = [drive_name(number) for number in options.drives]
    if not names:
        names = [name for name in layout.drives() if has_labels(layout, name)]
    if not names:
        raise FileNotFoundError(
            f"{options.root}: no drive with labeled windows (data_3d_semantics/train/<drive>/static/*.ply); "
            "name the root of KITTI-360, or simulate one: python tools/simulate.py --out ROOT"
        )
    return [DriveRecovery(options.root, name, options.out, settings) for name in names]


def has_labels(layout: Kitti360Layout, name: str) -> bool:
    return any("test" not in window.static.parts[-4] for window in layout.find_windows(name))


def run(recoveries: list[DriveRecovery], share: Share, console: Console) -> None:
    total = sum(len(recovery.sequence) for recovery in recoveries)
    console.print(f"{len(recoveries)} drives, {total} scans; process {share.rank + 1} of {share.world_size}")
    columns = [*Progress.get_default_columns()[:-1], TextColumn("{task.fields[rate]}"), TimeRemainingColumn()]
    with Progress(*columns, console=console) as progress:
        for recovery in recoveries:
            bar = progress.add_task(recovery.name, total=len(recovery.sequence) // share.world_size, rate="")
            began, written = time.monotonic(), 0

            def on_scan(frame: int, was_done: bool, bar=bar, began=began) -> None:
                nonlocal written
                written += not was_done
                rate = f"{written / max(time.monotonic() - began, 1e-9):.1f} scans/s"
                progress.update(bar, advance=1, rate=rate)

            recovery.run(share, on_scan)


def finish(
    options: Options, settings: RecoverySettings, recoveries: list[DriveRecovery], console: Console, is_alone: bool
) -> None:
    """Report, splits and the SemanticKITTI tree, once every process is through; other processes are waited for."""
    if not is_alone:
        wait_for_labels(recoveries, console)
    splits = write_splits(options, recoveries)
    report = {
        "root": str(options.root),
        "settings": asdict(settings),
        "drives": {recovery.name: report_drive(recovery) for recovery in recoveries},
        "splits": {name: split.report() for name, split in splits.items()},
    }
    with atomic_write(options.out / "report.json") as name:
        name.write_text(json.dumps(report, indent=1))
    write_page(options.out / "report.html", options.root, recoveries, report, settings)
    if options.layout == "semantic_kitti":
        names = [recovery.name for recovery in recoveries]
        tree = export_tree(options.root, options.out, names, options.out / "semantic_kitti", splits["leakage_free"])
        console.print(f"SemanticKITTI layout: {tree}")
    for name, drive in report["drives"].items():
        console.print(f"{name}: {drive['frames']} scans, {100 * drive['coverage']:.2f} % of the points labeled")
    console.print(f"labels: {options.out}/<drive>/labels    report: {options.out}/report.html")
    console.print(f"next: python tools/evaluate.py --benchmark kitti360 --truth {options.out} --prediction PREDICTIONS")


def wait_for_labels(recoveries: list[DriveRecovery], console: Console, patience: float = 3600.0) -> None:
    """Wait until the other processes have written every label; warn and go on after `patience` seconds without news."""
    last_count, last_news = -1, time.monotonic()
    while True:
        missing = sum(not r.label_path(frame).exists() for r in recoveries for frame in r.sequence.frames)
        if missing == 0:
            return
        if missing != last_count:
            last_count, last_news = missing, time.monotonic()
        if time.monotonic() - last_news > patience:
            console.print(f"[yellow]{missing} scans are still without labels; the report leaves them out[/yellow]")
            return
        time.sleep(1.0)


def write_splits(options: Options, recoveries: list[DriveRecovery]):
    """splits/<name>_{train,val}.txt: one `<drive> <frame>` per line."""
    layout = Kitti360Layout(options.root)
    lists = {name: layout.window_list(name) for name in ("train", "val")}
    if any(path.exists() for path in lists.values()):
        windows = {name: read_windows(path) if path.exists() else {} for name, path in lists.items()}
    else:
        windows = {name: official_windows(name) for name in lists}
    present = {drive_number(recovery.name): set(recovery.sequence.frames) for recovery in recoveries}
    positions = {drive_number(recovery.name): sensor_positions(recovery) for recovery in recoveries}
    train, val = ({d: r for d, r in windows[name].items() if d in present} for name in ("train", "val"))
    splits = {
        "official": split_frames(train, val),
        "leakage_free": split_frames(train, val, True, positions, options.margin),
    }
    for name, split in splits.items():
        for part, frames in (("train", split.train), ("val", split.val)):
            lines = [f"{drive_name(d)} {f}\n" for d in sorted(frames) for f in frames[d] if f in present[d]]
            with atomic_write(options.out / "splits" / f"{name}_{part}.txt") as path:
                path.write_text("".join(lines))
    return splits


if __name__ == "__main__":
    main()

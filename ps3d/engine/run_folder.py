"""The folder of a run: what was asked, on which machine, what happened, and what came out. Never overwritten."""

import csv
import json
import logging
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ps3d.engine.config_files import write_config
from ps3d.ops.atomic_file import atomic_write
from ps3d.sparse.threads import thread_count


class RunFolder:
    """`<runs>/<name>-N/`: config.yaml, environment.json, train.log, metrics.csv, weights/, plots/, predictions/."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.weights = self.path / "weights"
        self.state = self.weights / "state.pt"
        self.metrics = self.path / "metrics.csv"
        self.predictions = self.path / "predictions"
        self.plots = self.path / "plots"

    @classmethod
    def create(cls, runs: str | Path, name: str, config: Any) -> "RunFolder":
        """The next free number under `runs`; safe when several runs start at once."""
        number = 1
        while True:
            path = Path(runs) / f"{name}-{number}"
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                number += 1
        run = cls(path)
        run.weights.mkdir()
        write_config(path / "config.yaml", config)
        (path / "command.txt").write_text(" ".join(sys.argv) + "\n", encoding="utf-8")
        with atomic_write(path / "environment.json") as file:
            file.write_text(json.dumps(describe_environment(), indent=2), encoding="utf-8")
        return run

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing run.

        Raises:
            FileNotFoundError: not the folder of a run.
        """
        if not (Path(path) / "config.yaml").is_file():
            raise FileNotFoundError(
                f"{path}: not the folder of a run (no config.yaml); give one such as runs/lidar/small-1"
            )
        return cls(path)

    def log_to_file(self) -> logging.Handler:
        """Let the package's log also go to train.log."""
        handler = logging.FileHandler(self.path / "train.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        logging.getLogger("ps3d").addHandler(handler)
        logging.getLogger("ps3d").setLevel(logging.INFO)
        return handler


class MetricsFile:
    """metrics.csv: one row per logged step; columns may be added later.

    Args:
        last_step: rows of later steps are dropped, as a resumed training writes them again.
    """

    def __init__(self, path: Path, last_step: int = 0) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        self.columns: list[str] = []
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                self.rows = [row for row in reader if int(float(row["step"])) <= last_step]
                self._rewrite(list(reader.fieldnames or []))

    def add(self, values: Mapping[str, float]) -> None:
        """One row; must hold "step"."""
        row = {name: f"{value:.6g}" for name, value in values.items()}
        self.rows.append(row)
        if new := [name for name in row if name not in self.columns]:
            self._rewrite([*self.columns, *new])
            return
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def _rewrite(self, columns: list[str]) -> None:
        self.columns = columns
        if not columns:
            return
        with atomic_write(self.path) as name, open(name, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({name: row.get(name, "") for name in columns} for row in self.rows)


def describe_environment() -> dict[str, Any]:
    """Machine, versions and code of this run."""
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": " ".join(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": thread_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of the code, empty where it is not a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""

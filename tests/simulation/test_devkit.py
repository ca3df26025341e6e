"""The official KITTI-360 code reads what the simulator writes, and notices damage."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from simulation.conftest import NAME

from ps3d.datasets.kitti360_windows import read_window, write_window


def _edit(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text()
    path.unlink()  # it is a hard link to the undamaged file
    path.write_text(change(text))


def swap_label_ids(root: Path) -> None:
    _edit(root / f"data_3d_bboxes/train/{NAME}.xml", lambda t: t.replace("<semanticId>13<", "<semanticId>26<"))


def put_two_blanks(root: Path) -> None:
    _edit(root / "calibration/perspective.txt", lambda t: t.replace("P_rect_00: ", "P_rect_00:  "))


def shift_poses(root: Path) -> None:
    _edit(
        root / f"data_poses/{NAME}/poses.txt",
        lambda t: re.sub(r"(?m)^((?:\S+ ){8})(\S+)", lambda m: f"{m[1]}{float(m[2]) + 1}", t),
    )


def number_locally(root: Path) -> None:
    (path,) = (root / f"data_3d_semantics/train/{NAME}/static").glob("*.ply")
    points = read_window(path)
    points["instance"] %= 1000
    path.unlink()
    write_window(path, points)


DAMAGES = (swap_label_ids, put_two_blanks, shift_poses, number_locally)


@pytest.fixture(scope="module")
def reports(drive, tmp_path_factory) -> dict[str, list[str]]:
    if importlib.util.find_spec("kitti360scripts") is None:
        pytest.skip("kitti360scripts is not installed: pip install -e .[devkit]")
    roots = {"intact": drive}
    for damage in DAMAGES:
        roots[damage.__name__] = tmp_path_factory.mktemp("damaged") / "root"
        shutil.copytree(drive, roots[damage.__name__], copy_function=os.link)
        damage(roots[damage.__name__])
    program = [sys.executable, str(Path(__file__).with_name("devkit_reader.py")), *map(str, roots.values())]
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    run = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    return {name: found[str(root)] for name, root in roots.items()}


def test_the_official_code_reads_a_simulated_drive(reports):
    assert reports["intact"] == []


@pytest.mark.parametrize("damage", [damage.__name__ for damage in DAMAGES])
def test_the_official_code_rejects_a_damaged_copy(reports, damage):
    assert reports[damage]

"""The evaluation from files to a table: formats, errors, workers and ranks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ps3d.engine import evaluation_report as report
from ps3d.engine.evaluate import evaluate, shard
from ps3d.engine.evaluation_formats import FramePair
from ps3d.engine.evaluation_objects import evaluate_objects
from ps3d.metrics.errors import FALSE_NEGATIVE, MERGE, SPLIT

ROOT = Path(__file__).parents[2]
RAW = np.array([10, 11, 30, 40, 48, 50, 70, 0])


def write_tree(root: Path, folder: str, seed: int, sequences: int = 2, frames: int = 5) -> Path:
    """A tree of .label files; other seeds differ from seed 0 in a tenth of the points."""
    for sequence in range(sequences):
        for frame in range(frames):
            rng = np.random.default_rng((sequence, frame))
            labels = np.repeat(RAW[rng.integers(0, 8, 60)] | rng.integers(0, 3, 60) << 16, 80).astype("<u4")
            if seed:
                noise = np.random.default_rng((seed, sequence, frame))
                wrong = np.repeat(noise.random(60) < 0.1, 80)
                labels[wrong] = np.repeat(RAW[noise.integers(0, 7, 60)], 80)[wrong]
            path = root / "sequences" / f"{sequence:02d}" / folder / f"{frame:06d}.label"
            path.parent.mkdir(parents=True, exist_ok=True)
            labels.tofile(path)
    return root


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("trees")
    return write_tree(folder / "truth", "labels", 0), write_tree(folder / "prediction", "predictions", 1)


def figures(evaluation: object) -> dict[str, float]:
    assert evaluation is not None
    results = report.results_of(evaluation)  # type: ignore[arg-type]
    return {f"{mode} {name}": value for (_, mode), r in results.items() for name, value in r.values.items()}


def test_truth_against_itself_is_1_by_the_strict_rules(trees: tuple[Path, Path]) -> None:
    counted = evaluate(trees[0], trees[0], "semantic_kitti", ["pq", "lstq"], ["strict"])
    assert {name: figures(counted)[f"strict {name}"] for name in ("pq", "miou", "lstq")} == {
        "pq": 1,
        "miou": 1,
        "lstq": 1,
    }


def test_worker_processes_change_nothing(trees: tuple[Path, Path]) -> None:
    metrics = ["pq", "lstq", "vpq", "ptq", "pat", "hota"]
    alone = evaluate(*trees, "semantic_kitti", metrics)
    pooled = evaluate(*trees, "semantic_kitti", metrics, workers=2)
    assert figures(pooled) == pytest.approx(figures(alone), abs=1e-12, nan_ok=True)
    assert 0.5 < figures(alone)["strict pq"] < 1


@pytest.mark.slow
def test_the_tool_under_torchrun_gives_the_same_figures(trees: tuple[Path, Path], tmp_path: Path) -> None:
    truth, prediction = (str(path) for path in trees)
    arguments = ["tools/evaluate.py", "--truth", truth, "--prediction", prediction, "--benchmark", "semantic_kitti"]
    arguments += ["--metrics", "pq", "lstq", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launch in (("one", []), ("two", launcher)):
        command = [sys.executable, *launch, *arguments, str(tmp_path / f"{name}.json")]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("mean, official") == 1
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert one["frames"] == two["frames"] == 10
    for mine, theirs in zip(one["results"], two["results"], strict=True):
        assert mine["values"] == pytest.approx(theirs["values"], abs=1e-12)


def test_ranks_share_whole_sequences() -> None:
    pairs = [FramePair(s, str(i), Path(), Path()) for s, n in (("a", 5), ("b", 3), ("c", 3)) for i in range(n)]
    parts = [shard(pairs, rank, 2) for rank in range(2)]
    assert sorted((p.sequence, p.frame) for part in parts for p in part) == [(p.sequence, p.frame) for p in pairs]
    assert [sorted({p.sequence for p in part}) for part in parts] == [["a"], ["b", "c"]]


def test_missing_and_surplus_frames_are_named(trees: tuple[Path, Path], tmp_path: Path) -> None:
    prediction = write_tree(tmp_path / "short", "predictions", 1, frames=4)
    with pytest.raises(ValueError, match=r"no prediction of sequence 00, frame 000004 .*and 1 more frames"):
        evaluate(trees[0], prediction, "semantic_kitti")
    surplus = write_tree(tmp_path / "long", "predictions", 1, frames=6)
    with pytest.raises(ValueError, match=r"no truth for the prediction of sequence 00, frame 000005"):
        evaluate(trees[0], surplus, "semantic_kitti")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        evaluate(trees[0], tmp_path / "nowhere", "semantic_kitti")


def test_a_wrong_length_and_an_unknown_id_are_named(trees: tuple[Path, Path], tmp_path: Path) -> None:
    prediction = write_tree(tmp_path, "predictions", 1)
    path = prediction / "sequences" / "01" / "predictions" / "000002.label"
    labels = np.fromfile(path, "<u4")
    labels[:-1].tofile(path)
    with pytest.raises(ValueError, match=r"000002.label: sequence 01, frame 000002: 4799 labels, .* has 4800"):
        evaluate(trees[0], prediction, "semantic_kitti")
    labels[7] = 777
    labels.tofile(path)
    with pytest.raises(ValueError, match=r"000002.label: sequence 01, frame 000002: label ids \[777\]"):
        evaluate(trees[0], prediction, "semantic_kitti")


def test_the_worst_frames_list_their_errors(trees: tuple[Path, Path], tmp_path: Path) -> None:
    prediction = write_tree(tmp_path, "predictions", 0)
    path = prediction / "sequences" / "01" / "predictions" / "000003.label"
    np.full(4800, 10 | 5 << 16, "<u4").tofile(path)
    counted = evaluate(trees[0], prediction, "semantic_kitti", worst=2)
    assert counted is not None
    (frame,) = counted.worst.frames
    assert (frame.sequence, frame.frame) == ("01", "000003")
    assert frame.count(FALSE_NEGATIVE) > 3
    assert (frame.count(MERGE), frame.count(SPLIT)) == (1, 0)


def test_the_report_is_written(trees: tuple[Path, Path], tmp_path: Path) -> None:
    counted = evaluate(*trees, "semantic_kitti", ["pq", "hota"], worst=2)
    assert counted is not None
    report.write_json(counted, tmp_path / "figures.json")
    written = json.loads((tmp_path / "figures.json").read_text())
    assert {result["mode"] for result in written["results"]} == {"official", "strict"}
    assert written["results"][0]["per_class"]["pq"][0] is not None
    pictures = report.write_plots(counted, tmp_path)
    assert {path.name for path in pictures} >= {"pq_official.png", "confusion_strict.png"}
    report.print_results(counted)
    report.print_worst(counted)


def test_ps3d_predictions_are_scored_against_kitti360(tmp_path: Path) -> None:
    drive = "2013_05_28_drive_0000_sync"
    for folder in (f"root/ps3d_truth/{drive}/velodyne_points/labels", f"prediction/{drive}/labels"):
        (tmp_path / folder).mkdir(parents=True)
        for frame in range(3):
            labels = np.repeat(np.array([7, 11, 26 | 1 << 16, 26 | 2 << 16], "<u4"), 100)
            labels.tofile(tmp_path / folder / f"{frame:010d}.label")
    counted = evaluate(tmp_path / "root", tmp_path / "prediction", "kitti360", ["pq", "lstq"], ["strict"])
    assert figures(counted)["strict pq"] == figures(counted)["strict lstq"] == 1


def test_coco_and_mots_files_are_read(golden: Path) -> None:
    if (case := golden / "coco_pq" / "basic").exists():
        counted = evaluate(case / "gt.json", case / "pred.json", "coco", modes=["official"])
        expected = json.loads((case / "expected.json").read_text())["expected"]["All"]["pq"]
        assert figures(counted)["official pq"] == pytest.approx(expected, abs=1e-12)
        perfect = evaluate(case / "gt.json", case / "gt.json", "coco", modes=["strict"])
        assert figures(perfect)["strict pq"] == 1
    if (case := golden / "mots" / "basic").exists():
        counted = evaluate_objects(case / "gt" / "label_02", case / "trackers" / "T" / "data", "mots")
        assert 0 < figures(counted)["official hota"] < 1

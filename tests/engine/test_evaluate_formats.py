"""Every benchmark of tools/evaluate.py: from files in its format to the figures of the official evaluators."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ps3d.datasets.coco import write_coco
from ps3d.datasets.kitti360_files import read_png, write_png, write_scan
from ps3d.datasets.kitti360_windows import STATIC_POINT, write_window
from ps3d.ops.run_length import encode_runs, runs_of_mask
from ps3d.structures import Category, Panoptic, Taxonomy

ROOT = Path(__file__).parents[2]
CELLS = Taxonomy(
    "cells", (Category("background", (1,), False, (0, 0, 0)), Category("cell", (2,), True, (200, 40, 40))), (0,)
)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evaluate_tool", ROOT / "tools" / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def figures(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Runs the tool; returns the official values of all metrics by name."""

    def run(truth: Path, prediction: Path, benchmark: str, *options: str) -> dict[str, float]:
        out = tmp_path / "figures.json"
        arguments = ["--truth", truth, "--prediction", prediction, "--benchmark", benchmark, "--json", out, *options]
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
        tool.main()
        assert "mean, official" in capsys.readouterr().out
        results = json.loads(out.read_text())["results"]
        return {k: v for r in results if r["mode"] == "official" for k, v in r["values"].items()}

    return run


def read_case(golden: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """The folder and the expected figures of a golden case; skips where PS3D_GOLDEN does not have it."""
    if not (golden / name / "expected.json").exists():
        pytest.skip(f"no golden case {name}")
    return golden / name, json.loads((golden / name / "expected.json").read_text())["expected"]


@pytest.mark.parametrize("case", ["basic", "two_scenes_void"])
def test_nuscenes(figures: Any, golden: Path, tmp_path: Path, case: str) -> None:
    folder, expected = read_case(golden, f"nuscenes_panoptic/{case}")
    data = np.load(folder / "inputs.npz")
    for k, scene in enumerate(data["scene"]):
        part = slice(data["offsets"][k], data["offsets"][k + 1])
        for side in ("gt", "pred"):
            path = tmp_path / side / f"scene-{scene:04d}" / f"{k:04d}_panoptic.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, data=data[side][part])
    metrics = ("--metrics", "pq", "lstq", "ptq", "pat")
    found = figures(tmp_path / "gt", tmp_path / "pred", "nuscenes", *metrics)
    segmentation, tracking = expected["segmentation"]["all"], expected["tracking"]["all"]
    names = {"pq": "PQ", "sq": "SQ", "rq": "RQ", "miou": "mIoU", "pq_dagger": "PQ_dagger"}
    assert {k: found[k] for k in names} == pytest.approx({k: segmentation[v] for k, v in names.items()}, abs=2e-7)
    names = {"pat": "PAT", "tq": "TQ", "ptq": "PTQ", "sptq": "sPTQ", "lstq": "LSTQ", "motsa": "MOTSA"}
    assert {k: found[k] for k in names} == pytest.approx({k: tracking[v] for k, v in names.items()}, abs=2e-7)


def test_kitti_step(figures: Any, golden: Path, tmp_path: Path) -> None:
    folder, expected = read_case(golden, "stq/kitti_step_like")
    data = np.load(folder / "inputs.npz")
    for k, sequence in enumerate(data["sequence"]):
        for side in ("gt", "pred"):
            packed = data[side][k]
            rgb = np.stack([packed >> 16, packed >> 8 & 0xFF, packed & 0xFF], -1).astype(np.uint8)
            write_png(tmp_path / side / f"{sequence:04d}" / f"{k:06d}.png", rgb)
    found = figures(tmp_path / "gt", tmp_path / "pred", "kitti_step")
    names = {"lstq": "STQ", "s_assoc": "AQ", "s_cls": "IoU"}
    assert {k: found[k] for k in names} == pytest.approx({k: expected[v] for k, v in names.items()}, abs=1e-9)
    assert 0 < found["vpq"] < 1


@pytest.mark.parametrize("name", ["basic", "crowd_void"])
def test_cityscapes(figures: Any, golden: Path, name: str) -> None:
    folder, expected = read_case(golden, f"cityscapes_pq/{name}")
    found = figures(folder / "gt.json", folder / "pred.json", "cityscapes")
    for group, suffix in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        for figure in ("pq", "sq", "rq"):
            assert found[figure + suffix] == pytest.approx(expected["cityscapesscripts"][group][figure], abs=1e-9)


@pytest.mark.parametrize("name", ["basic", "flips"])
def test_vps(figures: Any, golden: Path, name: str) -> None:
    folder, expected = read_case(golden, f"vpq_vps/{name}")
    found = figures(folder / "gt.json", folder / "pred.json", "vps")
    wanted = {f"vpq{k}": expected[f"window{k}"]["All"]["pq"] for k in (1, 2, 3, 4)}
    wanted |= {"vpq": expected["VPQ"]["All"], "vpq_things": expected["VPQ"]["Things"]}
    assert {k: found[k] for k in wanted} == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("case", ["basic", "ignore_two_seqs"])
def test_mots(figures: Any, golden: Path, case: str) -> None:
    folder, expected = read_case(golden, f"mots/{case}")
    found = figures(folder / "gt" / "label_02", folder / "trackers" / "T" / "data", "mots")
    combined = expected["trackeval"]["COMBINED_SEQ"]
    classes = [c for c in ("car", "pedestrian") if combined[c]["Count"]["GT_Dets"]]
    hota = np.mean([np.mean(combined[c]["HOTA"]["HOTA"]) for c in classes])
    assert found["hota"] == pytest.approx(hota, abs=1e-9)
    assert found["idf1"] == pytest.approx(np.mean([combined[c]["Identity"]["IDF1"] for c in classes]), abs=1e-9)


@pytest.mark.parametrize("case", ["conf_one", "conf_weighted"])
def test_kitti360_windows(figures: Any, golden: Path, tmp_path: Path, case: str) -> None:
    folder, expected = read_case(golden, f"kitti360_3d_instance_ap/{case}")
    data = np.load(folder / "inputs.npz")
    drive = tmp_path / "root" / "2013_05_28_drive_0000_sync" / "static"
    prediction = tmp_path / "prediction"
    for folder in (drive, prediction):
        folder.mkdir(parents=True)
    for number, window in enumerate(sorted({name.split("_")[0] for name in data})):
        points = np.zeros(len(data[f"{window}_semantic"]), STATIC_POINT)
        for name in ("semantic", "instance", "confidence"):
            points[name] = data[f"{window}_{name}"]
        start, end = 100 * number, 100 * number + 150
        write_window(drive / f"{start:010d}_{end:010d}.ply", points)
        name = f"0000_{start:010d}_{end:010d}"
        np.save(prediction / f"{name}.npy", data[f"{window}_pred_mask"])
        lines = zip(data[f"{window}_pred_label_id"].tolist(), data[f"{window}_pred_score"].tolist(), strict=True)
        (prediction / f"{name}.txt").write_text("".join(f"{label} {score!r}\n" for label, score in lines))
    found = figures(tmp_path / "root", prediction, "kitti360_windows")
    wanted = {"ap": "allAp", "ap50": "allAp50%", "ap25": "allAp25%"}
    assert {k: found[k] for k in wanted} == pytest.approx({k: expected["averages"][v] for k, v in wanted.items()})


def test_kitti360_images(figures: Any, tmp_path: Path) -> None:
    truth = np.full((40, 60), 7 * 1000, np.uint16)
    truth[:10] = 23 * 1000  # sky
    truth[12:22, 5:25], truth[12:22, 35:55] = 26 * 1000 + 1, 26 * 1000 + 2
    truth[38:] = 0
    prediction = truth.copy()
    prediction[12:22, 35:47] = 7 * 1000
    prediction[24:29, 5:25] = 26 * 1000 + 3
    for side, labels in (("gt", truth), ("pred", prediction)):
        write_png(tmp_path / side / "2013_05_28_drive_0000_sync" / "0000000000.png", labels)
    found = figures(tmp_path / "gt", tmp_path / "pred", "kitti360_images", "--rules", "both")
    # One car is found exactly, 80 of 200 pixels of the other, and one is invented; sky is exact.
    road = (truth == 7000).sum() - 100, (truth == 7000).sum() + 120
    assert found["pq_things"] == pytest.approx(1 / (1 + 0.5 + 1) / 9)
    assert found["pq_stuff"] == pytest.approx((1 + road[0] / road[1]) / 11)


@pytest.fixture
def cells(tmp_path: Path) -> tuple[Path, Path]:
    """An own folder with three cells and a crowd in two pictures; a prediction of two of them and one more."""
    truth = np.zeros((40, 60, 3), np.uint8)
    truth[2:12, 2:22], truth[2:12, 30:50], truth[20:30, 2:22] = (1, 0, 1), (1, 0, 2), (1, 0, 0)
    other = np.zeros((40, 60, 3), np.uint8)
    other[2:12, 2:22] = (1, 1, 5)
    found = truth.copy()
    found[2:12, 30:50] = 0
    found[20:30, 4:14] = (1, 0, 9)  # inside the crowd
    found[33:38, 40:50] = (1, 0, 3)  # invented
    root, prediction = tmp_path / "own", tmp_path / "out"
    root.mkdir()
    (root / "classes.yaml").write_text("- {name: background}\n- {name: cell, is_thing: true}\n")
    for name, label, answer in (("a", truth, found), ("b", other, other)):
        write_png(root / "dish" / "labels" / f"{name}.png", label)
        write_png(prediction / "dish" / "labels" / f"{name}.png", answer)
    return root, prediction


def test_own_folder_gives_pq_and_mask_ap(figures: Any, cells: tuple[Path, Path]) -> None:
    found = figures(*cells, "folder", "--rules", "official")
    assert found["pq_things"] == pytest.approx(2 / (2 + 0.5 + 0.5))
    # Three detections that count, two of them exact; the order of equal scores is by picture, then by area.
    assert found["ap50"] == pytest.approx((34 + 33 * 2 / 3) / 101, abs=1e-9)
    assert found["ar_100"] == pytest.approx(2 / 3)


def write_street(root: Path, swaps: bool) -> Path:
    """A street of four pictures with two cells that stand still; they change their numbers in every other picture."""
    for frame in range(4):
        label = np.zeros((20, 40, 3), np.uint8)
        numbers = (2, 1) if swaps and frame % 2 else (1, 2)
        label[2:12, 2:12], label[2:12, 22:32] = (1, 0, numbers[0]), (1, 0, numbers[1])
        write_png(root / "street" / "labels" / f"{frame:06d}.png", label)
        write_png(root / "yard" / "labels" / f"{frame:06d}.png", label * (frame < 2))  # another street, same numbers
    return root


def test_own_folders_are_scored_over_time(figures: Any, tmp_path: Path) -> None:
    truth = write_street(tmp_path / "own", swaps=False)
    (truth / "classes.yaml").write_text("- {name: background}\n- {name: cell, is_thing: true}\n")
    metrics = ("--metrics", "pq", "ap", "vpq", "stq")
    same = figures(truth, truth, "folder", *metrics)
    assert [same[k] for k in ("pq", "ap", "vpq", "lstq", "s_assoc")] == pytest.approx([1.0] * 5)
    found = figures(truth, write_street(tmp_path / "out", swaps=True), "folder", *metrics)
    assert [found[k] for k in ("pq", "ap", "vpq1")] == pytest.approx([1.0] * 3)
    # Each predicted tube is half one cell, half the other, as long as both exist: an IoU of a third.
    assert found["s_assoc"] == pytest.approx(1 / 3)
    assert found["lstq"] == pytest.approx(np.sqrt(1 / 3))
    assert found["vpq2_stuff"] == pytest.approx(1.0)
    assert found["vpq4_things"] == 0


def write_scores_of(prediction: Path, **scores: dict[str, float]) -> None:
    """Scores by picture beside the predicted cells: numbers 1, 3 and 9 in picture a, 261 in picture b."""
    for name, content in scores.items():
        path = prediction / "dish" / "scores" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))


def test_scores_rank_the_objects_of_an_own_folder(figures: Any, cells: tuple[Path, Path]) -> None:
    """The invented cell counts least when it is the least sure, and most when it is the surest."""
    write_scores_of(cells[1], a={"1": 0.9, "3": 0.2, "9": 0.5}, b={"261": 0.6})
    found = figures(*cells, "folder", "--rules", "official")
    assert found["pq_things"] == pytest.approx(2 / (2 + 0.5 + 0.5))  # scores do not touch it
    assert found["ap50"] == pytest.approx(67 / 101, abs=1e-9)  # precision 1 up to a recall of two thirds
    write_scores_of(cells[1], a={"1": 0.9, "3": 0.95, "9": 0.5}, b={"261": 0.6})
    assert figures(*cells, "folder")["ap50"] == pytest.approx(67 * 2 / 3 / 101, abs=1e-9)
    write_scores_of(cells[1], a={"1": 0.9})
    with pytest.raises(SystemExit, match=r"a\.json: no score of objects \[3, 9\]"):
        figures(*cells, "folder")


def test_scored_segments_of_coco_give_the_ap_of_the_same_masks(figures: Any, tmp_path: Path) -> None:
    """Random cells: AP of panoptic segments with scores is that of the same masks in COCO's list of results."""
    rng = np.random.default_rng(0)
    results = []
    truths, found = {}, {}
    for name in (f"{k}.png" for k in range(6)):
        label, other = np.zeros((60, 80), np.int32), np.zeros((60, 80), np.int32)
        for number in range(1, 7):
            row, column, side = rng.integers(0, 40), rng.integers(0, 60), rng.integers(6, 20)
            label[row : row + side, column : column + side] = number
            shift = rng.integers(-3, 4)
            other[max(row + shift, 0) : row + shift + side, column : column + side] = number
        truths[name] = Panoptic((label > 0).astype(np.uint8), label)
        scores = {int(n): round(rng.random(), 3) for n in np.unique(other) if n}
        found[name] = Panoptic((other > 0).astype(np.uint8), other, scores)
        masks = [(score, runs_of_mask(other == number)) for number, score in scores.items()]
        results += [
            {
                "image_id": len(truths),
                "category_id": 2,
                "segmentation": {"size": [60, 80], "counts": encode_runs(runs)},
                "score": score,
            }
            for score, runs in masks
        ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    write_coco(tmp_path / "truth.json", truths, CELLS)
    write_coco(tmp_path / "found.json", found, CELLS)
    segments = figures(tmp_path / "truth.json", tmp_path / "found.json", "coco", "--metrics", "pq", "ap")
    listed = figures(tmp_path / "truth.json", tmp_path / "results.json", "coco_masks")
    assert 0.2 < listed["ap"] < 0.9
    assert {k: segments[k] for k in listed} == pytest.approx(listed, nan_ok=True)
    equal = {name: Panoptic(label.semantic, label.instance) for name, label in found.items()}
    write_coco(tmp_path / "equal.json", equal, CELLS)
    unscored = figures(tmp_path / "truth.json", tmp_path / "equal.json", "coco", "--metrics", "ap")
    assert unscored["ap"] != pytest.approx(segments["ap"])


def test_scored_masks_of_coco(figures: Any, cells: tuple[Path, Path], tmp_path: Path) -> None:
    masks = []
    for name in ("a", "b"):
        rgb = read_png(cells[0] / "dish" / "labels" / f"{name}.png").astype(int)
        masks += [(name, rgb[..., 1] * 256 + rgb[..., 2] == n) for n in np.unique(rgb[..., 1:] @ [256, 1]) if n]
    size = [40, 60]
    annotations, results = [], []
    for number, (name, mask) in enumerate(masks):
        counts = encode_runs(runs_of_mask(mask))
        segmentation = {"size": size, "counts": counts}
        annotations.append({"image_id": name, "category_id": 3, "segmentation": segmentation, "area": int(mask.sum())})
        if number != 1:
            results.append({"image_id": name, "category_id": 3, "segmentation": segmentation, "score": 0.9})
    images = [{"id": "a"}, {"id": "b"}]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "cell"}]}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    (tmp_path / "results.json").write_text(json.dumps(results))
    found = figures(tmp_path / "truth.json", tmp_path / "results.json", "coco_masks")
    assert found["ap"] == pytest.approx(67 / 101)
    content["annotations"][0]["segmentation"] = [[0, 0, 1, 1, 2, 2]]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit, match="polygons"):
        figures(tmp_path / "truth.json", tmp_path / "results.json", "coco_masks")


def test_the_worst_frames_are_drawn(figures: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for frame in range(3):
        azimuth, distance = rng.uniform(-np.pi, np.pi, 4000), rng.uniform(4, 30, 4000)
        xyz = np.stack([distance * np.cos(azimuth), distance * np.sin(azimuth), rng.uniform(-1.7, 1, 4000)], 1)
        labels = np.where(np.arange(4000) % 2, 40, 70).astype("<u4")
        labels[azimuth > 1] = 10 | 1 << 16
        labels[azimuth < -2] = 10 | 2 << 16
        wrong = labels.copy()
        if frame == 1:
            wrong[azimuth > 1] = 70  # missed
            wrong[np.abs(azimuth) < 0.5] = 10 | 7 << 16  # invented
        sequence = tmp_path / "root" / "sequences" / "08"
        write_scan(sequence / "velodyne" / f"{frame:06d}.bin", xyz, np.zeros(4000))
        for folder, written in ((sequence / "labels", labels), (tmp_path / "made/sequences/08/predictions", wrong)):
            folder.mkdir(parents=True, exist_ok=True)
            written.tofile(folder / f"{frame:06d}.label")
    plots = tmp_path / "plots"
    figures(tmp_path / "root", tmp_path / "made", "semantic_kitti", "--worst", "2", "--plots", str(plots))
    (picture,) = (plots / "worst").glob("*.png")
    assert picture.name == "01_08_000001.png"
    pixels = read_png(picture)
    assert pixels.shape == (900, 900, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 3

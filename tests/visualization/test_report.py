"""The page of a run shows what the folder holds, says what it does not, and opens in a real browser."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ps3d.visualization.files import write_picture, write_video
from ps3d.visualization.report import find_results, write_report


def _result() -> dict:
    return {
        "metric": "panoptic_quality",
        "rules": "semantic_kitti",
        "values": {"pq": 0.6123, "sq": 0.8, "nothing": None},
        "classes": ["road", "car <b>"],
        "per_class": {"pq": [0.93, 0.29], "iou": [0.95, None], "tp": [12, 2345]},
    }


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "runs" / "lidar" / "small-0"
    (folder / "plots").mkdir(parents=True)
    (folder / "config.yaml").write_text("name: small\nmodel:\n  voxel_size: 0.1  # <meters>\n")
    (folder / "environment.json").write_text(json.dumps({"torch": "2.13", "devices": ["cpu"]}))
    (folder / "train.log").write_text("\n".join(f"line {number}" for number in range(100)))
    rows = [f"{i},{2 / (i + 1)},{'' if i % 10 else i / 200}" for i in range(100)]
    (folder / "metrics.csv").write_text("step,train/loss,val/pq\n" + "\n".join(rows))
    content = {"lidar": _result(), "confusion": {"classes": ["road", "car"], "confusion": [[90, 5], [10, 95]]}}
    (folder / "evaluation.json").write_text(json.dumps(content))
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[20:60, 30:90] = (230, 60, 60)
    write_picture(folder / "plots" / "worst_0000000012.png", picture)
    write_picture(folder / "plots" / "best_0000000003.png", picture)
    write_picture(folder / "plots" / "curves.png", picture)
    write_video(folder / "plots" / "drive.mp4", [picture] * 3)
    return folder


def test_the_page_holds_everything_and_needs_nothing_else(run):
    html = write_report(run).read_text()
    for text in (
        "lidar / small-0",
        "0.612",
        "2 345",
        "0.930",
        "voxel_size: 0.1",
        "line 99",
        "worst 0000000012",
        "best",
    ):
        assert text in html
    assert "line 3\n" not in html
    assert "car &lt;b&gt;" in html
    assert "&lt;meters&gt;" in html
    assert html.count("data:image/svg+xml;base64,") == 3
    assert html.count("data:image/png;base64,") == 2
    assert html.count("data:video/mp4;base64,") == 1
    assert "http" not in html.replace("http-equiv", "")
    assert 'class="notes"' not in html


def test_what_is_missing_is_said(tmp_path):
    html = write_report(tmp_path).read_text()
    for text in ("no metrics.csv", "no evaluation", "no config.yaml", "no pictures"):
        assert text in html


def test_damaged_files_do_not_prevent_the_page(run):
    (run / "broken.json").write_text("{")
    (run / "metrics.csv").write_text("step,loss\n")
    html = write_report(run).read_text()
    assert "broken.json is not readable" in html
    assert "metrics.csv: no rows" in html
    assert "0.612" in html


def test_results_are_found_wherever_they_are():
    content = {"drives": [{"a": _result()}, {"b": 3}], "note": "text"}
    assert [name for name, _ in find_results(content)] == ["drives / 0 / a"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such run folder"):
        write_report(tmp_path / "nowhere")


def _browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    return found


def _browse(page: Path, profile: Path, *options: str) -> str:
    quiet = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    quiet += " --disable-component-update --disable-sync --hide-scrollbars"
    command = [_browser(), *quiet.split(), f"--user-data-dir={profile}", *options, page.resolve().as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_a_browser_shows_every_picture(run, tmp_path):
    page = write_report(run)
    # The browser itself counts what it could decode, and writes that into the title.
    check = (
        "<script>onload = () => document.title = [...document.images].filter(i => i.naturalWidth).length + ' of ' + "
    )
    check += "document.images.length + ' pictures'</script>"
    probe = run / "probe.html"
    probe.write_text(page.read_text().replace("</body>", check + "</body>"))
    assert "<title>5 of 5 pictures</title>" in _browse(probe, tmp_path / "profile", "--dump-dom")


def test_a_browser_draws_the_page(run, tmp_path):
    picture = tmp_path / "report.png"
    _browse(write_report(run), tmp_path / "profile", f"--screenshot={picture}", "--window-size=1280,1600")
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape == (1600, 1280, 3)
    # White paper, dark text, and the bars behind the figures.
    assert (pixels == 255).all(-1).mean() > 0.3
    assert (pixels.max(-1) < 80).sum() > 2000
    assert (np.abs(pixels.astype(int) - (0xB9, 0xD6, 0xEA)).max(-1) < 3).sum() > 500


def test_the_headline_is_that_of_all_sequences(tmp_path):
    drives = {
        name: {"classes": ["road"], "per_class": {"pq": [pq]}, "values": {"pq": pq}}
        for name, pq in (("drive_0", 0.111), ("drive_1", 0.333), ("all", 0.222))
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(drives))
    page = write_report(tmp_path).read_text()
    cards = page[page.index('class="cards"') : page.index("</div>\n</div>")]
    assert "0.222" in cards
    assert "0.111" not in cards
    assert page.index("evaluation / all") < page.index("evaluation / drive_0") < page.index("evaluation / drive_1")

"""Plots are written, show what they should, and say what is wrong with their input."""

import numpy as np
import pytest
from PIL import Image

from ps3d.visualization.plots import plot_class_bars, plot_confusion, plot_curves, read_columns

CURVES = """step,epoch,train/loss,train/loss_class,val/pq,lr
1,0,2.0,1.0,,0.001
2,0,1.5,0.8,,0.001
3,1,1.0,oops,0.4,0.0005
"""


def _result() -> dict:
    per_class = {"pq": [0.9, 0.2, None, 0.0], "iou": [0.95, 0.3, None, 0.0], "tp": [9, 3, 0, 0], "fn": [1, 5, 0, 0]}
    return {
        "metric": "panoptic_quality",
        "values": {"pq": 0.5},
        "classes": ["road", "car", "tram", "pole"],
        "per_class": per_class,
    }


def _words(path) -> str:
    """The text of an SVG, which matplotlib keeps as comments beside the outlines."""
    return path.read_text()


def test_columns_with_gaps_are_read(tmp_path):
    (tmp_path / "metrics.csv").write_text(CURVES)
    columns = read_columns(tmp_path / "metrics.csv")
    np.testing.assert_array_equal(columns["step"], [1, 2, 3])
    assert np.isnan(columns["val/pq"][:2]).all()
    assert np.isnan(columns["train/loss_class"][2])


def test_curves_that_belong_together_share_a_panel(tmp_path):
    (tmp_path / "metrics.csv").write_text(CURVES)
    words = _words(plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.svg"))
    assert "<!-- loss -->" in words
    assert "<!-- train/loss_class -->" in words
    assert "<!-- pq -->" in words
    assert "<!-- step -->" in words
    assert words.count('id="axes_') == 3


def test_a_long_noisy_curve_is_smoothed(tmp_path):
    rows = [f"{i},{1 / (i + 1)}" for i in range(500)]
    (tmp_path / "metrics.csv").write_text("step,loss\n" + "\n".join(rows))
    picture = plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    assert np.asarray(Image.open(picture).convert("L")).min() < 200


def test_an_empty_csv_is_explained(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss\n")
    with pytest.raises(ValueError, match=r"metrics\.csv: no rows"):
        plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    (tmp_path / "metrics.csv").write_text("step,time\n1,2\n")
    with pytest.raises(ValueError, match="expected columns such as loss"):
        plot_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")


def test_bars_leave_out_classes_that_do_not_occur(tmp_path):
    words = _words(plot_class_bars(_result(), tmp_path / "bars.svg", colors=[(1, 2, 3)] * 4))
    assert "<!-- road -->" in words
    assert "<!-- car -->" in words
    assert "<!-- tram -->" not in words
    assert "<!-- pole -->" not in words
    assert "without 2 that do not occur" in words
    assert words.index("<!-- car -->") < words.index("<!-- road -->")


def test_bars_without_a_known_figure_are_refused(tmp_path):
    with pytest.raises(ValueError, match="none of lstq in the result; it has pq, iou"):
        plot_class_bars(_result(), tmp_path / "bars.png", figures=("lstq",))


def test_confusion_counts_per_true_class(tmp_path):
    # Predicted in rows: of ten true cars, four were called road and one nothing.
    matrix = np.array([[50, 4, 0, 3], [0, 5, 0, 2], [0, 0, 0, 0], [0, 1, 0, 0]])
    words = _words(plot_confusion(matrix, ["road", "car", "tram"], tmp_path / "confusion.svg"))
    assert "<!-- 100 -->" in words
    assert "<!-- 40 -->" in words
    assert "<!-- 50 -->" in words
    assert "<!-- 10 -->" in words
    assert "<!-- tram -->" not in words
    with pytest.raises(ValueError, match="does not fit 2 classes"):
        plot_confusion(matrix, ["road", "car"], tmp_path / "confusion.png")

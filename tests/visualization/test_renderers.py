"""Open3D and the own renderer draw the same; when Open3D fails, the job goes on and says why."""

import subprocess
import sys

import numpy as np
import pytest

from ps3d.visualization import renderers
from ps3d.visualization.points import BACKGROUND
from ps3d.visualization.renderers import FallbackRenderer, NumpyRenderer, Open3DRenderer, RendererFailed, make_renderer
from ps3d.visualization.views import bird_view, follow_view

pytest.importorskip("open3d", reason="Open3D is not installed")


@pytest.fixture(scope="module")
def open3d():
    with Open3DRenderer() as renderer:
        try:
            renderer.render(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8), follow_view(), (64, 64))
        except RendererFailed as failure:
            pytest.skip(str(failure))
        yield renderer


@pytest.mark.parametrize("view", [follow_view(), bird_view()], ids=["follow", "bird"])
@pytest.mark.parametrize("point_size", [1, 3])
def test_both_renderers_draw_the_same(open3d, street, view, point_size):
    xyz, _ = street
    colors = np.random.default_rng(1).integers(60, 256, (len(xyz), 3)).astype(np.uint8)
    theirs, their_depth = open3d.render(xyz, colors, view, (300, 400), point_size)
    ours, our_depth = NumpyRenderer().render(xyz, colors, view, (300, 400), point_size)
    is_drawn = np.isfinite(our_depth)
    assert is_drawn.sum() > 3000
    assert (np.isfinite(their_depth) == is_drawn).mean() > 0.998
    # Where squares overlap at equal depth, or a point lies between two pixels, either may win.
    assert (theirs == ours).all(-1)[is_drawn].mean() > 0.97
    both = is_drawn & np.isfinite(their_depth)
    assert np.median(np.abs(their_depth - our_depth)[both]) < 0.02


def test_world_coordinates_and_points_that_are_not_finite(open3d):
    offset = np.array([4_000_000.0, 3_000_000, 100])
    view = follow_view()
    far = type(view)(view.camera_from_points @ np.block([[np.eye(3), -offset[:, None]], [np.zeros((1, 3)), 1]]))
    xyz = np.random.default_rng(0).uniform((0, -5, -2), (20, 5, 2), (500, 3)) + offset
    xyz[::50] = np.nan
    colors = np.full((500, 3), 200, np.uint8)
    theirs, _ = open3d.render(xyz, colors, far, (100, 160))
    ours, _ = NumpyRenderer().render(xyz, colors, far, (100, 160))
    assert (theirs == ours).all(-1).mean() > 0.995


def test_an_empty_scan_is_background(open3d):
    for renderer in (open3d, NumpyRenderer()):
        nothing = np.zeros((0, 3), np.float32)
        image, depth = renderer.render(nothing, nothing.astype(np.uint8), follow_view(), (40, 50))
        assert (image == np.array(BACKGROUND)).all()
        assert np.isinf(depth).all()


def _draw(renderer):
    xyz = np.random.default_rng(0).uniform((0, -5, -2), (20, 5, 2), (500, 3)).astype(np.float32)
    return renderer.render(xyz, np.full((500, 3), 200, np.uint8), follow_view(), (60, 80))[0]


def test_a_killed_child_does_not_take_the_job_with_it(capsys):
    child = Open3DRenderer()
    renderer = FallbackRenderer(child)
    child._child.kill()
    np.testing.assert_array_equal(_draw(renderer), _draw(NumpyRenderer()))
    assert renderer.name == "numpy"
    message = capsys.readouterr().err
    assert "was ended by SIGKILL" in message
    assert "apt-get install" in message
    _draw(renderer)
    assert capsys.readouterr().err == ""
    renderer.close()


def test_a_child_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(renderers, "PATIENCE", 0.2)
    with Open3DRenderer() as renderer:
        subprocess.run(["kill", "-STOP", str(renderer._child.pid)], check=True)
        with pytest.raises(RendererFailed, match="did not answer"):
            _draw(renderer)


def test_without_open3d_the_own_renderer_draws_and_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(renderers.importlib.util, "find_spec", lambda name: None)
    assert make_renderer().name == "numpy"
    assert "Open3D is not installed" in capsys.readouterr().err
    with pytest.raises(RendererFailed, match="pip install open3d"):
        make_renderer("open3d")
    with pytest.raises(KeyError, match="known are auto, open3d, numpy"):
        make_renderer("povray")


def test_drawing_needs_neither_open3d_nor_a_browser_nor_torch_vision():
    code = "import sys; import ps3d.visualization.frames, ps3d.visualization.report, ps3d.visualization.renderers; "
    code += "print([name for name in ('open3d', 'matplotlib.pyplot', 'rerun', 'tkinter') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

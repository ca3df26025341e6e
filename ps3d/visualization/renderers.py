"""Who draws the points: Open3D in a child process, or the renderer of `points.py`, which is always there."""

import importlib.util
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

import ps3d
from ps3d.visualization.open3d_child import Request
from ps3d.visualization.points import BACKGROUND, render_depth
from ps3d.visualization.views import View

Drawn = tuple[UInt8[np.ndarray, "height width 3"], Float32[np.ndarray, "height width"]]
"""A picture, and the distance of each pixel along the camera's axis (inf = background)."""

OPEN3D_PACKAGES = "apt-get install libegl1 libgl1 libusb-1.0-0; pip install open3d (or open3d-cpu)"

PATIENCE = 60.0
"""Seconds to wait for one picture before Open3D counts as hanging."""


class RendererFailed(RuntimeError):  # noqa: N818 (it is a state that the caller recovers from)
    """Open3D cannot draw here; the message says why and what to install."""


@runtime_checkable
class Renderer(Protocol):
    """Draws points; `close` ends what it started."""

    name: str

    def render(
        self,
        xyz: Float[np.ndarray, "points 3"],
        colors: UInt8[np.ndarray, "points 3"],
        view: View,
        size: tuple[int, int],
        point_size: float | int = 2.0,
    ) -> Drawn: ...

    def close(self) -> None: ...


class NumpyRenderer:
    """The renderer that comes with ps3d: no display, no GPU, no Open3D."""

    name = "numpy"

    def render(
        self,
        xyz: Float[np.ndarray, "points 3"],
        colors: UInt8[np.ndarray, "points 3"],
        view: View,
        size: tuple[int, int],
        point_size: float | int = 2.0,
    ) -> Drawn:
        return render_depth(xyz, colors, view, size, point_size)

    def close(self) -> None:
        """Nothing to end."""


class Open3DRenderer:
    """Open3D's rasterizer in a child process: a driver that aborts takes the child, not the job.

    Use it in a `with` statement or call `close`.

    Raises:
        RendererFailed: by `render`, when the child ends, answers with an error or hangs.
    """

    name = "open3d"

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        root = str(Path(ps3d.__file__).resolve().parents[1])
        paths = filter(None, [root, os.environ.get("PYTHONPATH", "")])
        self._child = subprocess.Popen(
            [sys.executable, "-m", "ps3d.visualization.open3d_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def render(
        self,
        xyz: Float[np.ndarray, "points 3"],
        colors: UInt8[np.ndarray, "points 3"],
        view: View,
        size: tuple[int, int],
        point_size: float | int = 2.0,
    ) -> Drawn:
        pose = view.camera_from_points
        local = (xyz.astype(np.float64, copy=False) @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
        is_drawn = np.isfinite(local).all(1)
        intrinsics = view.intrinsics(size)
        request = Request(
            local[is_drawn], colors[is_drawn], intrinsics, view.height is None, size, float(point_size), BACKGROUND
        )
        answer = self._ask(request)
        if isinstance(answer, str):
            raise RendererFailed(f"Open3D cannot draw here: {answer}; {OPEN3D_PACKAGES}")
        return answer

    def close(self) -> None:
        """End the child."""
        if self._child.stdin is not None and not self._child.stdin.closed:
            with suppress(BrokenPipeError):
                self._child.stdin.close()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._log.close()

    def __enter__(self) -> "Open3DRenderer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: Request) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            pickle.dump(request, self._child.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._child.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(self._child.stdout, selectors.EVENT_READ)
                if not selector.select(PATIENCE):
                    self._child.kill()
                    raise RendererFailed(f"Open3D did not answer within {PATIENCE:.0f} s; {OPEN3D_PACKAGES}")
            return pickle.load(self._child.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            raise RendererFailed(self._post_mortem()) from None

    def _post_mortem(self) -> str:
        code = self._child.wait(10)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"Open3D's process {how}: {lines[-1] if lines else 'no message'}; {OPEN3D_PACKAGES}"


class FallbackRenderer:
    """Open3D as long as it works, then the own renderer; tells once why it changed over."""

    def __init__(self, first: Renderer) -> None:
        self._current: Renderer = first
        self.name = first.name

    def render(
        self,
        xyz: Float[np.ndarray, "points 3"],
        colors: UInt8[np.ndarray, "points 3"],
        view: View,
        size: tuple[int, int],
        point_size: float | int = 2.0,
    ) -> Drawn:
        try:
            return self._current.render(xyz, colors, view, size, point_size)
        except RendererFailed as failure:
            print(f"{failure}. Drawing with ps3d's own renderer instead.", file=sys.stderr)
            self._current.close()
            self._current = NumpyRenderer()
            self.name = self._current.name
            return self._current.render(xyz, colors, view, size, point_size)

    def close(self) -> None:
        self._current.close()


def make_renderer(kind: str = "auto") -> Renderer:
    """A renderer by name.

    Args:
        kind: "open3d"; "numpy" = the own one; "auto" = Open3D where it works, else the own one, with a message that
            says what is missing.

    Raises:
        RendererFailed: "open3d" was asked for and is not installed.
        KeyError: an unknown name.
    """
    if kind not in ("auto", "open3d", "numpy"):
        raise KeyError(f"no renderer {kind!r}; known are auto, open3d, numpy")
    if kind == "numpy":
        return NumpyRenderer()
    if importlib.util.find_spec("open3d") is None:
        missing = f"Open3D is not installed ({OPEN3D_PACKAGES})"
        if kind == "open3d":
            raise RendererFailed(missing)
        print(f"{missing}. Drawing with ps3d's own renderer instead.", file=sys.stderr)
        return NumpyRenderer()
    return Open3DRenderer() if kind == "open3d" else FallbackRenderer(Open3DRenderer())

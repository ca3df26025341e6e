"""Whether the interactive window can be opened on this machine."""

import importlib.util
import os
import subprocess
import sys

from ps3d.visualization.renderers import OPEN3D_PACKAGES

_PROBE = "import open3d as o3d; o3d.visualization.rendering.OffscreenRenderer(8, 8)"


class NoWindow(RuntimeError):  # noqa: N818 (a state of the machine, not a fault of the program)
    """No window can be opened here; the message says what is missing and what works instead."""


def check_window() -> None:
    """Find out, in a child process, whether a window can be opened: a missing driver would abort this one.

    Raises:
        NoWindow: no Open3D, no display, or no Vulkan driver.
    """
    instead = "without a window: --save FILE.png, FILE.mp4 or a folder"
    if importlib.util.find_spec("open3d") is None:
        raise NoWindow(f"the window needs Open3D ({OPEN3D_PACKAGES}); {instead}")
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise NoWindow(f"no display (DISPLAY is not set): use a desktop, ssh -X or xvfb-run; {instead}")
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        why = lines[-1] if lines else f"code {done.returncode}"
        raise NoWindow(f"Open3D cannot open a window: {why}; apt-get install libvulkan1 mesa-vulkan-drivers; {instead}")

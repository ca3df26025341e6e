"""What this machine has of what ps3d can use, and the exact line that installs what it lacks."""

import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

REQUIRED, OPTIONAL = "required", "optional"

_PROBE_OPEN3D = """
import json, numpy as np, open3d as o3d
box = o3d.t.geometry.TriangleMesh.create_box()
scene = o3d.t.geometry.RaycastingScene()
scene.add_triangles(box)
hit = scene.cast_rays(o3d.core.Tensor([[.5, .5, -1, 0, 0, 1]], dtype=o3d.core.float32))["t_hit"].numpy()
assert abs(float(hit[0]) - 1) < 1e-3
print(json.dumps(o3d.__version__))
"""
_APT = "sudo apt-get update && sudo apt-get install -y --no-install-recommends"
_OPEN3D_LIBRARIES = {"libEGL.so": "libegl1", "libGL.so": "libgl1", "libusb-1.0": "libusb-1.0-0"}


@dataclass(frozen=True)
class Part:
    """One thing a machine has or lacks.

    Attributes:
        name: what.
        found: version or size, or what went wrong.
        is_there: True if it works.
        need: `REQUIRED` or `OPTIONAL`.
        remedy: the line to type, or what the lack means; empty where nothing lacks.
    """

    name: str
    found: str
    is_there: bool
    need: str = REQUIRED
    remedy: str = ""


def describe_machine() -> list[Part]:
    """Look at everything ps3d can use; libraries that may crash are tried in a process of their own."""
    probes: list[Callable[[], Part]] = [
        _python, _cores, _core_packages, _torch, _gpu, _spconv, _open3d, _video, _transformers, _devkit,
    ]  # fmt: skip
    return [probe() for probe in probes]


def _python() -> Part:
    is_known = (3, 10) <= sys.version_info[:2] <= (3, 13)
    remedy = "" if is_known else "ps3d is made for Python 3.10 to 3.13: make PYTHON=/usr/bin/python3.11"
    return Part("Python", f"{platform.python_version()} ({sys.executable})", is_known, REQUIRED, remedy)


def _cores() -> Part:
    free = shutil.disk_usage(".").free / 1e9
    return Part("processor, disk", f"{os.cpu_count()} cores, {platform.machine()}, {free:.0f} GB free here", True)


def _core_packages() -> Part:
    """Everything that `pip install ps3d` brings, beside torch."""
    modules = {
        "numpy": "numpy", "numba": "numba", "scipy": "scipy", "yaml": "pyyaml", "pydantic": "pydantic", "tyro": "tyro",
        "rich": "rich", "PIL": "pillow", "matplotlib": "matplotlib", "safetensors": "safetensors",
        "jaxtyping": "jaxtyping", "lightning_fabric": "lightning-fabric", "defusedxml": "defusedxml",
        "jinja2": "jinja2", "motmetrics": "motmetrics", "tensorboard": "tensorboard",
    }  # fmt: skip
    missing = [package for module, package in modules.items() if importlib.util.find_spec(module) is None]
    found = f"{len(modules) - len(missing)} of {len(modules)}"
    return Part("core packages", found, not missing, REQUIRED, _pip(*missing) if missing else "")


def _torch() -> Part:
    version = _version("torch")
    return Part("PyTorch", version or "not installed", bool(version), REQUIRED, "" if version else _pip("torch"))


def _gpu() -> Part:
    """A GPU, and a torch that sees it."""
    driver = _nvidia_smi()
    if _version("torch"):
        import torch

        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(0)
            memory = properties.total_memory / 2**30
            count = torch.cuda.device_count()
            found = f"{count} x {properties.name}, {memory:.0f} GiB, CUDA {torch.version.cuda}"
            return Part("GPU", found, True, OPTIONAL)
    if driver:
        remedy = _pip("torch", "--index-url", "https://download.pytorch.org/whl/cu126")
        return Part("GPU", f"{driver}, which this PyTorch does not see", False, OPTIONAL, remedy)
    return Part("GPU", "none", False, OPTIONAL, "everything runs on the processor, only slower")


def _nvidia_smi() -> str:
    if not shutil.which("nvidia-smi"):
        return ""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return answer.stdout.strip().split("\n")[0] if answer.returncode == 0 else ""


def _spconv() -> Part:
    """Only a GPU makes use of it; elsewhere ps3d's own sparse convolution is used."""
    distributions = ("spconv-cu126", "spconv-cu120", "spconv-cu118", "spconv-triton", "spconv")
    installed = next((f"{name} {version}" for name in distributions if (version := _version(name))), "")
    has_gpu = bool(_nvidia_smi())
    if installed:
        is_working, answer = _try_in_process("import spconv.pytorch as s, json; print(json.dumps(s.__name__))")
        if is_working:
            return Part("spconv", installed, True, OPTIONAL)
        return Part("spconv", f"{installed} does not load: {answer}", not has_gpu, OPTIONAL, _pip(_spconv_for_python()))
    remedy = _pip(_spconv_for_python()) if has_gpu else "not needed without a GPU: the portable backend is used"
    return Part("spconv", "not installed", False, OPTIONAL, remedy)


def _spconv_for_python() -> str:
    if sys.version_info < (3, 12):
        return "spconv-cu120"
    return "spconv-cu126" if sys.version_info < (3, 14) else "spconv-triton"


def _open3d() -> Part:
    """In a process of its own: a missing system library can end the whole process."""
    installed = next((f"{name} {version}" for name in ("open3d", "open3d-cpu") if (version := _version(name))), "")
    if not installed:
        is_small_enough = platform.system() == "Linux" and platform.machine() == "x86_64" and not _nvidia_smi()
        package = "open3d-cpu" if is_small_enough else "open3d"
        return Part("Open3D", "not installed: no simulator, no viewer", False, REQUIRED, _pip(package))
    is_working, answer = _try_in_process(_PROBE_OPEN3D)
    if is_working:
        return Part("Open3D", installed, True)
    libraries = [package for library, package in _OPEN3D_LIBRARIES.items() if library in answer]
    packages = libraries or list(_OPEN3D_LIBRARIES.values())
    return Part("Open3D", f"{installed} does not load: {answer}", False, REQUIRED, f"{_APT} {' '.join(packages)}")


def _video() -> Part:
    version = _version("av")
    if not version:
        return Part("video writer", "PyAV is not installed: no videos", False, REQUIRED, _pip("av"))
    import av

    codecs = [name for name in ("libx264", "mpeg4") if name in av.codecs_available]
    if not codecs:
        return Part("video writer", f"PyAV {version} encodes no video", False, REQUIRED, _pip("-U", "av"))
    return Part("video writer", f"PyAV {version} ({codecs[0]})", True)


def _transformers() -> Part:
    version = _version("transformers")
    remedy = "" if version else _pip('"transformers>=5.2,<6"') + "   (image networks)"
    return Part("transformers", version or "not installed", bool(version), OPTIONAL, remedy)


def _devkit() -> Part:
    version = _version("kitti360Scripts")
    remedy = "" if version else _pip("kitti360scripts", "scikit-image") + "   (tests only)"
    return Part("KITTI-360 devkit", version or "not installed", bool(version), OPTIONAL, remedy)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _pip(*packages: str) -> str:
    return f"{sys.executable} -m pip install {' '.join(packages)}"


def _try_in_process(code: str) -> tuple[bool, str]:
    """(did it print JSON and end well, the answer or the last line of its error)."""
    command = [sys.executable, "-c", code]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        return False, "no answer within 180 s"
    if answer.returncode == 0:
        return True, str(json.loads(answer.stdout.strip().split("\n")[-1]))
    lines = answer.stderr.strip().split("\n")
    return False, lines[-1][:200] if lines[-1] else f"the process ended with {answer.returncode}"

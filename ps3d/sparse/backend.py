"""Which implementation computes: chosen once per kind of device, said once, overridden by PS3D_SPARSE.

A backend is a module with `build_submanifold_map`, `build_strided_map`, `convolve` and `weight_gradient` (see
`reference`, which runs anywhere and is the oracle). spconv and spconv-triton replace the whole layer on CUDA devices
instead and leave everything else to `reference`.
"""

import functools
import importlib
import importlib.util
import logging
import os
from types import ModuleType

import torch

VARIABLE = "PS3D_SPARSE"
BACKENDS = ("reference", "portable", "spconv", "spconv_triton")
_LOG = logging.getLogger("ps3d.sparse")


def backend_name(device: torch.device) -> str:
    """Name of the backend for tensors on a device.

    Raises:
        ValueError: PS3D_SPARSE names no backend.
        RuntimeError: PS3D_SPARSE names a backend that is not installed or cannot compute on this device.
    """
    return _choose(device.type, os.environ.get(VARIABLE, ""))


def backend_for(device: torch.device, dtype: torch.dtype = torch.float32) -> ModuleType:
    """The module that builds maps and convolves on a device; double precision is left to the reference."""
    name = backend_name(device)
    if name != "portable" or dtype == torch.float64:
        name = "reference"
    return importlib.import_module(f"ps3d.sparse.{name}")


@functools.cache
def _choose(device_type: str, wanted: str) -> str:
    if wanted and wanted not in BACKENDS:
        raise ValueError(f"{VARIABLE}={wanted!r} names no sparse backend; choose one of {', '.join(BACKENDS)}")
    name, reason = (wanted, f"{VARIABLE} is set") if wanted else _best(device_type)
    if name == "portable" and device_type != "cpu":
        raise RuntimeError(f"{VARIABLE}=portable computes on the CPU only, but the tensors are on {device_type}")
    if name in ("spconv", "spconv_triton"):
        if device_type != "cuda":
            raise RuntimeError(
                f"{VARIABLE}={name} computes on CUDA devices only, but the tensors are on {device_type} (the CPU code "
                f"of spconv gives wrong numbers with more than one thread); unset {VARIABLE} or move to a CUDA device"
            )
        if not _is_installed(name):
            raise RuntimeError(f"{VARIABLE}={name}, but {name} is not installed; pip install 'ps3d[cuda]'")
    _LOG.info("sparse convolution on %s: %s (%s)", device_type, name, reason)
    return name


def _best(device_type: str) -> tuple[str, str]:
    if device_type == "cpu":
        return "portable", "default on CPUs"
    if device_type == "cuda":
        for name in ("spconv", "spconv_triton"):
            if _is_installed(name):
                return name, "installed"
        return "reference", "slow; pip install 'ps3d[cuda]' for a fast one"
    return "reference", "the only one for this device"


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None

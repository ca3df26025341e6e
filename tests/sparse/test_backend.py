"""Which backend computes, and that worker processes may convolve."""

import multiprocessing
import os
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ps3d.sparse import SubmanifoldConv3d
from ps3d.sparse.backend import backend_name

from .scenes import random_tensor


def test_choice(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.delenv("PS3D_SPARSE", raising=False)
    assert backend_name(cpu) == "portable"
    monkeypatch.setenv("PS3D_SPARSE", "reference")
    assert backend_name(cpu) == "reference"
    monkeypatch.setenv("PS3D_SPARSE", "spconv")
    with pytest.raises(RuntimeError, match="CUDA devices only"):
        backend_name(cpu)
    monkeypatch.setenv("PS3D_SPARSE", "portable")
    with pytest.raises(RuntimeError, match="CPU only"):
        backend_name(torch.device("cuda"))
    monkeypatch.setenv("PS3D_SPARSE", "magic")
    with pytest.raises(ValueError, match="names no sparse backend"):
        backend_name(cpu)


class Convolved(Dataset):
    """Each item is convolved in the worker."""

    def __init__(self) -> None:
        self.layer = SubmanifoldConv3d(8, 16)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, place: int) -> torch.Tensor:
        with torch.no_grad():
            return self.layer(random_tensor((12, 12, 12), 1, 8, seed=place)).features.sum()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_convolve_after_the_parent_used_threads(start):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    data = Convolved()
    x = random_tensor((30, 30, 30), 1, 8)
    x.features.requires_grad_()
    data.layer(x).features.sum().backward()
    data.layer.weight.grad = None
    torch.set_num_threads(before)
    expected = [float(data[place]) for place in range(4)]
    context = multiprocessing.get_context(start)
    loader = DataLoader(data, batch_size=None, num_workers=1, multiprocessing_context=context, timeout=120)
    assert [float(value) for value in loader] == pytest.approx(expected)


NARROW = """
import torch
from ps3d.sparse import portable, reference, vector_code
from tests.sparse.scenes import random_tensor
assert vector_code.lanes() == LANES, vector_code.lanes()
x = random_tensor((8, 8, 8), 1, 20)
place = (x.coordinates, x.spatial_shape, 1, (3, 3, 3))
mine, oracle = portable.build_submanifold_map(*place), reference.build_submanifold_map(*place)
weight, y = torch.randn(27, 20, 36), torch.randn(len(x), 36)
torch.testing.assert_close(portable.convolve(x.features, weight, mine), reference.convolve(x.features, weight, oracle))
pair = [b.weight_gradient(x.features, y, m) for b, m in ((portable, mine), (reference, oracle))]
torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "features", "lanes"), [("haswell", "+avx,+avx2,+fma", 8), ("x86-64", "", 4)])
def test_narrower_registers(cpu, features, lanes, tmp_path):
    if os.uname().machine != "x86_64":
        pytest.skip("names of x86 processors")
    changes = {
        "NUMBA_CPU_NAME": cpu,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    script = NARROW.replace("LANES", str(lanes))
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, **changes})

"""Sparse convolution against naive torch autograd and against spconv, on one synthetic scan of about 120 k points.

`python tools/benchmark.py sparse [--voxel-size 0.1] [--rounds 5] [--threads 2] [--device cuda]`: all contestants take
turns in one process; figures are medians of process CPU time on one thread (wall time with --threads or a GPU), and
ratios of them. spconv's CPU code is patched (its backward asks for a CUDA stream) and runs on one thread, where it is
right.
"""

import argparse
import contextlib
import importlib
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ps3d.engine.threads import keep_freed_memory
from ps3d.models.sparse_unet import SparseUnet
from ps3d.ops.voxelize import voxelize
from ps3d.sparse import (
    Grid,
    SparseTensor,
    SubmanifoldConv3d,
    VoxelNorm,
    functional,
    layers,
    merge_join,
    portable,
    spconv_layers,
    stack_voxels,
)
from ps3d.sparse.kernel_map import KernelMap
from ps3d.sparse.keys import pack_keys
from ps3d.sparse.threads import set_thread_count

WIDTHS = (32, 32, 64, 128)
CLASSES = 20


def cast_scan(seed: int = 0, beams: int = 64, azimuths: int = 1900) -> np.ndarray:
    """x, y, z of a scan of a street: ground, facades, cars, people, poles, crowns of trees, with range noise."""
    rng = np.random.default_rng(seed)
    elevation = np.deg2rad(np.linspace(2, -24.3, beams))[:, None]
    azimuth = np.linspace(-np.pi, np.pi, azimuths, endpoint=False)[None]
    parts = np.broadcast_arrays(
        np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
    )
    rays = np.stack(parts, -1).reshape(-1, 3)
    origin = np.array([0, 0, 1.73])
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(rays[:, 2] < 0, -origin[2] / rays[:, 2], np.inf)
        for low, high in _boxes(rng):
            enter, leave = (low - origin) / rays, (high - origin) / rays
            near, far = np.minimum(enter, leave).max(1), np.maximum(enter, leave).min(1)
            distance = np.where((near < far) & (near > 0), np.minimum(distance, near), distance)
        for _ in range(25):
            center = np.array([rng.uniform(-40, 40), rng.choice([-1, 1]) * rng.uniform(6, 10), rng.uniform(4, 6)])
            radius, toward = rng.uniform(1, 2.5), rays @ (center - origin)
            inside = toward**2 - ((center - origin) @ (center - origin) - radius**2)
            hit = toward - np.sqrt(np.maximum(inside, 0)) + rng.uniform(0, 2 * radius, len(rays))
            is_leaf = (inside > 0) & (hit > 0) & (rng.random(len(rays)) < 0.8)
            distance = np.where(is_leaf, np.minimum(distance, hit), distance)
    is_return = distance < 119
    distance = (distance + rng.normal(0, 0.02, len(rays)))[is_return]
    return (origin + rays[is_return] * distance[:, None]).astype(np.float32)


def _boxes(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for side in (-1, 1):
        x = -90.0
        while x < 90:
            length = rng.uniform(8, 20)
            y = sorted((side * rng.uniform(8, 14), side * 40.0))
            yield np.array([x, y[0], 0]), np.array([x + length, y[1], rng.uniform(5, 12)])
            x += length + rng.uniform(0, 3)
    for count, reach, size in ((24, 50, (4.2, 1.8, 1.5)), (25, 40, (0.5, 0.5, 1.75)), (15, 40, (0.2, 0.2, 5.0))):
        for _ in range(count):
            low = np.array([rng.uniform(-reach, reach), rng.choice([-1, 1]) * rng.uniform(2.5, 8), 0.0])
            yield low, low + np.array(size)


class Network(nn.Module):
    """The small U-Net with a classifier on top."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = SparseUnet(4, WIDTHS)
        self.head = nn.Linear(self.unet.out_channels, CLASSES)

    def forward(self, x: SparseTensor) -> Tensor:
        return self.head(self.unet(x).features)


def naive_convolve(features: Tensor, weight: Tensor, bias: Tensor | None, kernel_map: KernelMap) -> Tensor:
    """What one writes first: gather, multiply, index_add per offset, derivatives by autograd."""
    matrices = weight.permute(1, 2, 3, 4, 0).flatten(0, 2)
    result = features.new_zeros((kernel_map.targets, weight.shape[0]))
    for k, (source, target) in enumerate(kernel_map.pairs_per_offset()):
        if len(source):
            result = result.index_add(0, target, features.index_select(0, source) @ matrices[k])
    return result if bias is None else result + bias


def naive_map(coordinates: Tensor, spatial_shape: tuple[int, int, int]) -> list[tuple[Tensor, Tensor]]:
    """Neighbors by sorting once and 26 binary searches."""
    keys = torch.sort(pack_keys(coordinates, spatial_shape))[0]
    depth, width = spatial_shape[1] + 2, spatial_shape[2] + 2
    pairs = []
    for k in range(27):
        if k == 13:
            continue
        wanted = keys + ((k // 9 - 1) * depth + k // 3 % 3 - 1) * width + k % 3 - 1
        place = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
        target = (keys[place] == wanted).nonzero().squeeze(1)
        pairs.append((place[target], target))
    return pairs


@contextlib.contextmanager
def convolving(convolve: Callable) -> Iterator[None]:
    """Every layer uses another convolution meanwhile."""
    layers.convolve = convolve
    try:
        yield
    finally:
        layers.convolve = functional.convolve


def interleave(
    contestants: Mapping[str, Callable[[], object]], rounds: int, clock: Callable = time.process_time
) -> dict:
    """Median milliseconds of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            start = clock()
            run()
            if turn:
                times[name].append((clock() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def step(network: nn.Module, make_input: Callable[[], SparseTensor], labels: Tensor) -> None:
    """One training step without the optimizer, maps included."""
    network.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(network(make_input()), labels).backward()


def peak_megabytes(contestant: str, coordinates: Tensor, shape: tuple[int, int, int]) -> float:
    """Peak resident memory during one training step beyond what was resident before it, in a fresh process."""
    network, labels = Network(), torch.randint(0, CLASSES, (len(coordinates),))
    features = torch.randn(len(coordinates), 4)
    tiny = SparseTensor(features[:40], coordinates[:40], shape, 1)
    step(network, lambda: tiny, labels[:40])
    with open("/proc/self/statm") as sizes:
        before = int(sizes.read().split()[1]) * resource.getpagesize() / 1024
    with convolving(naive_convolve) if contestant == "naive" else contextlib.nullcontext():
        step(network, lambda: SparseTensor(features, coordinates, shape, 1), labels)
    # Not ru_maxrss: a child inherits the peak of the process that started it.
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return (peak - before) / 1024


def compare_memory(console: Console, voxel_size: float) -> None:
    """One training step of each contestant in a process of its own."""
    command = [sys.executable, "tools/benchmark.py", "sparse", "--voxel-size", str(voxel_size), "--memory-of"]
    peaks = {who: float(subprocess.check_output([*command, who], text=True)) for who in ("naive", "ours")}
    share = peaks["ours"] / peaks["naive"]
    console.print(f"peak memory of a step: naive {peaks['naive']:.0f} MiB, ours {peaks['ours']:.0f} MiB ({share:.0%})")


@contextlib.contextmanager
def through_spconv() -> Iterator[None]:
    """Our layers hand over to spconv's CPU code: for comparison only, and on one thread only."""
    ops = importlib.import_module("spconv.pytorch.ops")
    before = spconv_layers.backend_name, ops.get_current_stream
    spconv_layers.backend_name, ops.get_current_stream = (lambda device: "spconv"), (lambda: 0)
    try:
        yield
    finally:
        spconv_layers.backend_name, ops.get_current_stream = before


@contextlib.contextmanager
def with_torch_norms(mode: Callable) -> Iterator[None]:
    """The contestant as one finds it: batch normalization, shortcut and ReLU are torch's own operations."""
    before = VoxelNorm._is_fused
    VoxelNorm._is_fused = lambda self, input, shortcut, has_statistics: False
    try:
        with mode():
            yield
    finally:
        VoxelNorm._is_fused = before


def gemm_ceilings() -> dict[str, float]:
    """GFLOP/s of this machine's matrix products of 2048 x 2048, now, on one thread."""
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    products = {"torch.mm": lambda: left @ right}
    with contextlib.suppress(AttributeError, RuntimeError):
        torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
        products["oneDNN"] = lambda: torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return {name: 2 * 2048**3 / 1e6 / ms for name, ms in interleave(products, 3).items()}


def compare_cpu(console: Console, coordinates: Tensor, shape: tuple[int, int, int], rounds: int) -> None:
    """Maps, one convolution, the whole network, memory."""
    console.print("matrix products: " + ", ".join(f"{k} {v:.0f} GFLOP/s" for k, v in gemm_ceilings().items()))
    layout = "{:52}" + "{:>11}" * 6
    console.print(layout.format("", "naive ms", "spconv ms", "ours ms", "x naive", "x spconv", "GFLOP/s"))

    def row(name: str, times: dict[str, float], flops: float = 0) -> None:
        naive, theirs, ours = (times.get(key, float("nan")) for key in ("naive", "spconv", "ours"))
        rate = f"{flops / ours / 1e6:.0f}" if flops else ""
        numbers = [f"{v:.1f}" for v in (naive, theirs, ours, naive / ours, theirs / ours)]
        console.print(layout.format(name, *numbers, rate))

    contestants = {
        "naive": lambda: naive_map(coordinates, shape),
        "ours": lambda: portable.build_submanifold_map(coordinates, shape, 1, (3, 3, 3)),
    }
    row("kernel map 3x3x3 (against sort + 26 searchsorted)", interleave(contestants, 4 * rounds))
    numbers = coordinates.numpy()
    contestants["ours"] = lambda: merge_join.submanifold_lists(numbers, shape, (3, 3, 3), portable.BLOCK_ROWS)
    row("the same without bucketing for the kernels", interleave(contestants, 4 * rounds))
    kernel_map = Grid(coordinates, shape, 1).submanifold_map((3, 3, 3))
    kernel_map.pairs_per_offset()
    for channels in (32, 64, 128):
        x = torch.randn(len(coordinates), channels, requires_grad=True)
        weight = torch.randn(channels, 3, 3, 3, channels, requires_grad=True)
        flops = 2 * len(kernel_map.source) * channels**2

        def both(convolve: Callable, x: Tensor = x, weight: Tensor = weight) -> None:
            convolve(x, weight, None, kernel_map).sum().backward()

        with torch.no_grad():
            forward = {"naive": naive_convolve, "ours": functional.convolve}
            runs = {name: (lambda f=f, x=x, w=weight: f(x, w, None, kernel_map)) for name, f in forward.items()}
            row(f"convolution {channels}, forward", interleave(runs, rounds), flops)
        runs = {name: (lambda f=f, both=both: both(f)) for name, f in forward.items()}
        row(f"convolution {channels}, forward and backward", interleave(runs, rounds), 3 * flops)
    network, labels = Network(), torch.randint(0, CLASSES, (len(coordinates),))
    features = torch.randn(len(coordinates), 4)

    def make_input() -> SparseTensor:
        return SparseTensor(features, coordinates, shape, 1)

    has_spconv = importlib.util.find_spec("spconv") is not None
    modes: dict[str, Callable] = {"naive": lambda: convolving(naive_convolve), "ours": contextlib.nullcontext}
    if has_spconv:
        modes["spconv"] = through_spconv

    def inside(mode: Callable, run: Callable[[], object]) -> Callable[[], None]:
        def enter() -> None:
            torch.set_num_threads(1)
            with mode():
                run()

        return enter

    plain = {name: mode if name == "ours" else partial(with_torch_norms, mode) for name, mode in modes.items()}
    for who, contestants in (("theirs with our normalization", modes), ("theirs with torch's", plain)):
        network.train()
        training = {name: inside(mode, lambda: step(network, make_input, labels)) for name, mode in contestants.items()}
        row(f"U-Net, training step, {who}", interleave(training, rounds))
        network.eval()
        with torch.no_grad():
            inference = {name: inside(mode, lambda: network(make_input())) for name, mode in contestants.items()}
            row(f"U-Net, inference, {who}", interleave(inference, rounds))


def compare_threads(
    console: Console, coordinates: Tensor, shape: tuple[int, int, int], rounds: int, count: int
) -> None:
    """Wall time on one and on several threads; only meaningful while nothing else runs."""
    network, labels = Network(), torch.randint(0, CLASSES, (len(coordinates),))
    features = torch.randn(len(coordinates), 4)
    x = SparseTensor(torch.randn(len(coordinates), 64), coordinates, shape, 1)
    layer = SubmanifoldConv3d(64, 64)
    layer(x)

    def with_threads(threads: int, run: Callable[[], object]) -> Callable[[], None]:
        def enter() -> None:
            set_thread_count(threads)
            run()

        return enter

    def train() -> None:
        step(network, lambda: SparseTensor(features, coordinates, shape, 1), labels)

    table = Table("what", "1 thread ms", f"{count} threads ms", "gain")
    for name, run in (("convolution 64", lambda: layer(x)), ("training step", train)):
        times = interleave({str(n): with_threads(n, run) for n in (1, count)}, rounds, time.perf_counter)
        one, several = times["1"], times[str(count)]
        table.add_row(name, f"{one:.1f}", f"{several:.1f}", f"{one / several:.2f}")
    console.print(table)


def compare_cuda(console: Console, coordinates: Tensor, shape: tuple[int, int, int], rounds: int) -> None:
    """Every installed CUDA backend in float32, TF32 and float16: wall time of a step and of inference."""
    if not torch.cuda.is_available():
        console.print("no CUDA device here: nothing to compare")
        return
    coordinates = coordinates.cuda()
    network, labels = Network().cuda(), torch.randint(0, CLASSES, (len(coordinates),), device="cuda")
    features = torch.randn(len(coordinates), 4, device="cuda")
    table = Table("backend", "precision", "step ms", "inference ms")
    for name in ("reference", "spconv", "spconv_triton"):
        if name != "reference" and importlib.util.find_spec(name) is None:
            continue
        os.environ["PS3D_SPARSE"] = name
        for precision in ("fp32", "tf32", "fp16"):
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            spconv_layers.allow_tf32(precision == "tf32")

            def run(is_training: bool, precision: str = precision) -> None:
                with torch.autocast("cuda", torch.float16, enabled=precision == "fp16"):
                    if is_training:
                        step(network, lambda: SparseTensor(features, coordinates, shape, 1), labels)
                    else:
                        with torch.no_grad():
                            network(SparseTensor(features, coordinates, shape, 1))
                torch.cuda.synchronize()

            times = interleave({"step": lambda: run(True), "inference": lambda: run(False)}, rounds, time.perf_counter)
            table.add_row(name, precision, f"{times['step']:.1f}", f"{times['inference']:.1f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxel-size", type=float, default=0.1, help="meters")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="more than 1: the gain over one thread")
    parser.add_argument("--memory", action="store_true", help="only the peak memory of a step")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--memory-of", choices=["ours", "naive"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    scan = cast_scan()
    coordinates, shape, _ = stack_voxels([voxelize(scan, options.voxel_size)])
    if options.memory_of:
        print(peak_megabytes(options.memory_of, coordinates, shape))
        return
    console = Console(width=130)
    console.print(f"{len(scan)} points, {len(coordinates)} voxels of {options.voxel_size} m, torch {torch.__version__}")
    if options.device == "cuda":
        compare_cuda(console, coordinates, shape, options.rounds)
    elif options.memory:
        compare_memory(console, options.voxel_size)
    elif options.threads > 1:
        compare_threads(console, coordinates, shape, options.rounds, options.threads)
    else:
        compare_cpu(console, coordinates, shape, options.rounds)
        compare_memory(console, options.voxel_size)

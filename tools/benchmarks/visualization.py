"""How fast scans become pictures and videos: the own renderer, Open3D, and a drive of 60 frames as mp4."""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ps3d.structures import Category, Frame, Panoptic, Scan, Taxonomy
from ps3d.structures.sequence import LIDAR
from ps3d.visualization.files import write_video
from ps3d.visualization.frames import TRUTH, FrameArtist, Style
from ps3d.visualization.renderers import NumpyRenderer, Open3DRenderer, Renderer, RendererFailed
from ps3d.visualization.views import VIEWS

SIZE = (720, 1280)

TAXONOMY = Taxonomy(
    "benchmark",
    (
        Category("road", (1,), False, (128, 64, 128)),
        Category("building", (2,), False, (70, 70, 70)),
        Category("car", (3,), True, (0, 0, 142)),
    ),
)


def make_frame(index: int, points: int, rng: np.random.Generator) -> Frame:
    """A street that fills the view like a scan: half of the points on the road, a third on walls, the rest on cars."""
    road, walls = points // 2, points // 3
    cars = points - road - walls
    angle, reach = rng.uniform(-np.pi, np.pi, road), rng.uniform(3, 60, road)
    parts = [np.stack([reach * np.cos(angle), reach * np.sin(angle), np.full(road, -1.7)], 1)]
    side = rng.choice((-12.0, 12.0), walls)
    parts.append(np.stack([rng.uniform(-60, 60, walls), side, rng.uniform(-1.7, 8, walls)], 1))
    number = rng.integers(1, 31, cars)
    center = np.stack([4.0 * number - 60 - 0.8 * index, np.where(number % 2, 5.0, -5), np.full(cars, -0.9)], 1)
    parts.append(center + rng.uniform(-0.5, 0.5, (cars, 3)) * [3.8, 1.8, 1.5])
    xyz = np.concatenate(parts).astype(np.float32)
    semantic = np.repeat([0, 1, 2], [road, walls, cars]).astype(np.uint8)
    instance = np.concatenate([np.zeros(road + walls, np.int32), number.astype(np.int32)])
    pose = np.eye(4)
    pose[0, 3] = 0.8 * index
    scan = Scan(xyz, rng.uniform(0, 1, points).astype(np.float32), np.zeros(points, np.float32))
    return Frame(index, 0.1 * index, scan, world_from_lidar=pose, truth={LIDAR: Panoptic(semantic, instance)})


def seconds(call: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """(first, median, best) wall-clock time of a call."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times[0], float(np.median(times[1:])), min(times)


def time_pictures(renderer: Renderer, frame: Frame, repeats: int) -> None:
    assert frame.scan is not None
    colors = np.random.default_rng(0).integers(0, 256, (len(frame.scan), 3)).astype(np.uint8)
    for name, view in VIEWS.items():
        xyz = frame.scan.xyz
        first, median, best = seconds(lambda view=view(), xyz=xyz: renderer.render(xyz, colors, view, SIZE), repeats)
        print(f"{renderer.name:8s} {name:8s} first {first:6.3f} s   median {median:6.4f} s   best {best:6.4f} s")


def time_frame(frame: Frame, repeats: int) -> None:
    """Colors, boxes, points, shading, title and legend of one frame."""
    artist = FrameArtist(TAXONOMY, style=Style(color="instance", has_boxes=True, has_trails=True))
    labelings = {TRUTH: frame.truth[LIDAR]}
    first, median, best = seconds(lambda: artist.draw(frame, labelings, "follow"), repeats)
    print(f"whole frame with boxes, legend  first {first:6.3f} s   median {median:6.4f} s   best {best:6.4f} s")


def time_video(frames: list[Frame]) -> None:
    style = Style(color="instance", has_boxes=True, has_trails=True, has_full_legend=True)
    artist = FrameArtist(TAXONOMY, style=style)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drive.mp4"
        began, cpu = time.perf_counter(), time.process_time()
        write_video(path, (artist.draw(frame, {TRUTH: frame.truth[LIDAR]}, "follow", "drive") for frame in frames))
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(f"{len(frames)} frames to mp4: {wall:.1f} s ({cpu:.1f} s of CPU), {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=120_000)
    parser.add_argument("--frames", type=int, default=60, help="of the video")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    frame = make_frame(0, options.points, rng)
    print(f"{options.points} points to {SIZE[1]} x {SIZE[0]}")
    time_pictures(NumpyRenderer(), frame, options.repeats)
    try:
        with Open3DRenderer() as renderer:
            time_pictures(renderer, frame, options.repeats)
    except RendererFailed as failure:
        print(f"open3d: {failure}")
    time_frame(frame, options.repeats)
    time_video([make_frame(index, options.points, rng) for index in range(options.frames)])

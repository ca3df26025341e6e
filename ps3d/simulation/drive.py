"""One drive from a seed: plan the street, take the frames (in parallel), write KITTI-360's layout with exact truth."""

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, as_completed, wait
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from ps3d.datasets.kitti360_calibration import KITTI360_CALIBRATION, PERSPECTIVE, write_calibration
from ps3d.datasets.kitti360_files import write_cam0_to_world, write_png, write_poses, write_scan, write_timestamps
from ps3d.datasets.kitti360_labels import COLORS
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name
from ps3d.datasets.label_files import write_labels
from ps3d.ops.atomic_file import atomic_write
from ps3d.simulation.lidar import Beams, LidarModel, Sweep, draw_beams, sweep
from ps3d.simulation.raycasting import RayScene, import_open3d
from ps3d.simulation.render import draw_daylight, render
from ps3d.simulation.schedule import Schedule, make_schedule
from ps3d.simulation.traffic import Actor, actor_shape
from ps3d.simulation.windows import write_windows
from ps3d.simulation.world import World, make_world
from ps3d.structures import SWEEP_SECONDS

VERSION = 4
"""Grows when the same settings give other bytes."""
_VIEW = 88.0
_LIDAR, _WORLD, _SUN, _CAMERA = 100, 200, 400, 500


@dataclass(frozen=True)
class DriveSettings:
    """What determines a drive's bytes.

    Attributes:
        drive: number of the drive; each number is another street.
        frames: how many.
        seed: of everything.
        cameras: 0, 1 or 2 rectified cameras.
        spacing: meters between frames.
        version: of the simulator.
    """

    drive: int
    frames: int
    seed: int
    cameras: int = 0
    spacing: float = 0.8
    version: int = VERSION


@dataclass(frozen=True)
class DriveSummary:
    """What a call did.

    Attributes:
        name: the drive's folder name.
        written: frames that were made now.
        skipped: frames that were there already.
    """

    name: str
    written: int
    skipped: int


def simulate_drive(
    root: str | Path,
    drive: int,
    frames: int,
    seed: int,
    cameras: int = 0,
    spacing: float = 0.8,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    windows: bool = True,
) -> DriveSummary:
    """Write one drive under `root` in KITTI-360's layout, with exact truth for every point under `ps3d_truth/`.

    The same arguments give the same bytes, whatever `workers`. Frames that exist are kept, so a stopped call goes on.

    Args:
        drive: number of the drive, 0..9999; with another number the same seed gives another street.
        cameras: 0, 1 (image_00) or 2 (image_00 and image_01) with their label pictures.
        spacing: meters from frame to frame. Up to 1.6 m every sweep is a frame; beyond, frame numbers have gaps, and
            sweeps are still taken at city speed. 17 m suits training sets.
        workers: processes.
        progress: called with the number of frames that are done.
        windows: also accumulate windows, boxes and split lists; training on scans needs none of them.

    Raises:
        ImportError: Open3D is missing; the message says how to install it.
        ValueError: a setting out of range, or the folder holds the drive with other settings.
    """
    settings = DriveSettings(drive, frames, seed, cameras, spacing)
    schedule = make_schedule(frames, spacing)
    if cameras not in (0, 1, 2):
        raise ValueError(f"cameras is {cameras}; use 0, 1 or 2")
    import_open3d()
    root = Path(root)
    layout, name = Kitti360Layout(root), drive_name(drive)
    _claim(layout, name, settings)
    _write_drive_files(layout, name, schedule, world_of(settings))
    open_frames = [f for f in schedule.frames if not _is_done(layout, name, settings, f)]
    jobs = _split(schedule, open_frames, workers)
    if workers > 1 and len(jobs) > 1:
        _run_in_processes(root, settings, jobs, open_frames, workers, progress)
    else:
        for stretch, wanted in jobs:
            for frame in wanted:
                take_frames(str(root), settings, stretch, (frame,))
                if progress:
                    progress(sum(_is_done(layout, name, settings, f) for f in schedule.frames))
    if windows and (open_frames or not layout.boxes(name).exists()):
        write_windows(layout, name, world_of(settings), schedule.frames)
    return DriveSummary(name, len(open_frames), frames - len(open_frames))


def simulate_drives(
    root: str | Path,
    plans: Sequence[tuple[int, int, float]],
    cameras: int = 0,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Simulate drives for training side by side, each in one process: seed = number, no windows.

    A process starts once and makes many drives; `simulate_drive` with workers starts processes for each drive.

    Args:
        plans: (number of the drive, frames, meters between frames).
        progress: called with the frames of a drive when it is finished, at first with those of all that were before.

    Raises:
        ImportError, ValueError: as `simulate_drive`.
    """
    missing = [plan for plan in plans if not _is_finished(Path(root), plan, cameras)]
    if progress:
        progress(sum(frames for _, frames, _ in plans) - sum(frames for _, frames, _ in missing))
    if workers <= 1 or len(missing) <= 1:
        for plan in missing:
            _simulate_one(str(root), plan, cameras)
            if progress:
                progress(plan[1])
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(missing)), context, initializer=_one_thread) as pool:
        futures = {pool.submit(_simulate_one, str(root), plan, cameras): plan[1] for plan in missing}
        for future in as_completed(futures):
            future.result()
            if progress:
                progress(futures[future])


def _simulate_one(root: str, plan: tuple[int, int, float], cameras: int) -> None:
    number, frames, spacing = plan
    simulate_drive(root, number, frames, seed=number, cameras=cameras, spacing=spacing, windows=False)


def _is_finished(root: Path, plan: tuple[int, int, float], cameras: int) -> bool:
    """Whether all frames of a drive are there; an error where it was simulated with other settings."""
    number, frames, spacing = plan
    layout, name = Kitti360Layout(root), drive_name(number)
    if not _note_of(layout, name).exists():
        return False
    settings = DriveSettings(number, frames, number, cameras, spacing)
    _claim(layout, name, settings)
    return all(_is_done(layout, name, settings, frame) for frame in make_schedule(frames, spacing).frames)


def _note_of(layout: Kitti360Layout, name: str) -> Path:
    return layout.root / "ps3d_truth" / name / "simulation.json"


def _claim(layout: Kitti360Layout, name: str, settings: DriveSettings) -> None:
    """Note the settings beside the truth, or check that they are the same."""
    note = _note_of(layout, name)
    wanted = asdict(settings)
    if note.exists():
        found = json.loads(note.read_text())
        if different := [key for key in wanted if found.get(key) != wanted[key]]:
            raise ValueError(
                f"{note}: this drive was simulated with other settings ({', '.join(different)}); "
                f"choose another --out, or delete {name} there to make it anew"
            )
        return
    with atomic_write(note) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1) + "\n")


def _is_done(layout: Kitti360Layout, name: str, settings: DriveSettings, frame: int) -> bool:
    """The label file is written last of all a frame has."""
    return (layout.truth(name) / f"{frame:010d}.label").exists()


@lru_cache(maxsize=2)
def world_of(settings: DriveSettings) -> World:
    schedule = make_schedule(settings.frames, settings.spacing)
    return make_world([settings.seed, settings.drive, _WORLD], schedule.length, schedule.seconds, schedule.speed)


@lru_cache(maxsize=1)
def scene_of(settings: DriveSettings, stretch: tuple[int, ...]) -> tuple[RayScene, Float64[np.ndarray, "3"]]:
    """Everything that stands still around a stretch, relative to its origin."""
    world = world_of(settings)
    start, end = (float(world.traffic.ego.distance(f * SWEEP_SECONDS)) for f in (stretch[0], stretch[-1]))
    origin = np.round(world.road.position(0.5 * (start + end)))
    mesh = world.static_mesh(start - _VIEW, end + _VIEW)
    return RayScene(mesh.shifted(*(-origin).tolist())), origin


@lru_cache(maxsize=400)
def _scene_of_shape(key: tuple) -> RayScene:
    return RayScene(actor_shape(*key))


def actor_scene(actor: Actor, time: float) -> RayScene:
    """The scene of an actor's shape at a time, cached."""
    return _scene_of_shape(actor.shape_key(time))


@lru_cache(maxsize=2)
def _beams_of(seed: int, drive: int) -> Beams:
    return draw_beams(LidarModel(), np.random.default_rng([seed, drive, _LIDAR]))


def world_offset(settings: DriveSettings) -> Float64[np.ndarray, "3"]:
    """Where the drive's own frame lies in the written world: kilometers away, as in the real data."""
    rng = np.random.default_rng([settings.seed, settings.drive, 300])
    return np.round([rng.uniform(800, 3800), rng.uniform(2500, 4200), rng.uniform(105, 130)])


def _write_drive_files(layout: Kitti360Layout, name: str, schedule: Schedule, world: World) -> None:
    """Calibration, time stamps and the pose of every sweep, also of those that are left out."""
    if not (layout.calibration / "image_03.yaml").exists():
        write_calibration(layout.calibration)
    write_timestamps(layout.scan_timestamps(name), schedule.timestamps())
    offset = np.eye(4)
    offset[:3, 3] = world_offset(_settings_from(layout, name))
    poses = {f: offset @ world.traffic.world_from_vehicle(f * SWEEP_SECONDS) for f in range(schedule.last + 1)}
    write_poses(layout.poses(name), poses)
    vehicle_from_camera = KITTI360_CALIBRATION.vehicle_from_rectified("image_00")
    write_cam0_to_world(layout.cam0_to_world(name), {f: pose @ vehicle_from_camera for f, pose in poses.items()})


def _settings_from(layout: Kitti360Layout, name: str) -> DriveSettings:
    return DriveSettings(**json.loads((layout.root / "ps3d_truth" / name / "simulation.json").read_text()))


def _split(schedule: Schedule, open_frames: list[int], workers: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Jobs (stretch, frames): few enough that scenes are not built again and again, enough for all workers."""
    missing = set(open_frames)
    stretches = [(s, tuple(f for f in s if f in missing)) for s in schedule.stretches()]
    stretches = [(s, wanted) for s, wanted in stretches if wanted]
    pieces = max(1, -(-workers // max(len(stretches), 1)))
    jobs = []
    for stretch, wanted in stretches:
        parts = [tuple(part.tolist()) for part in np.array_split(wanted, pieces)]
        jobs += [(stretch, part) for part in parts if part]
    return jobs


def _run_in_processes(root: Path, settings: DriveSettings, jobs, open_frames, workers: int, progress) -> None:
    layout, name = Kitti360Layout(root), drive_name(settings.drive)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_one_thread) as pool:
        futures = {pool.submit(take_frames, str(root), settings, stretch, wanted) for stretch, wanted in jobs}
        while futures:
            done, futures = wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            if progress:
                missing = sum(not _is_done(layout, name, settings, f) for f in open_frames)
                progress(settings.frames - missing)


def _one_thread() -> None:
    """Workers are the parallelism: libraries must not add threads of their own."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[variable] = "1"


def take_frames(root: str, settings: DriveSettings, stretch: tuple[int, ...], frames: tuple[int, ...]) -> None:
    """Make and write some frames of one stretch."""
    layout, name = Kitti360Layout(Path(root)), drive_name(settings.drive)
    world = world_of(settings)
    static, origin = scene_of(settings, stretch)
    for frame in frames:
        take_pictures(layout, name, settings, frame, world, static, origin)
        scan = take_sweep(settings, stretch, frame)
        write_scan(layout.scan(name, frame), scan.xyz, scan.intensity)
        write_labels(layout.truth(name) / f"{frame:010d}.label", scan.semantic, scan.instance)


def take_sweep(settings: DriveSettings, stretch: tuple[int, ...], frame: int) -> Sweep:
    """The scan of a frame of a stretch, with its truth, without writing anything."""
    static, origin = scene_of(settings, stretch)
    return sweep(
        LidarModel(), _beams_of(settings.seed, settings.drive), static, origin, world_of(settings).traffic,
        frame * SWEEP_SECONDS, KITTI360_CALIBRATION.vehicle_from_lidar, actor_scene,
        np.random.default_rng([settings.seed, settings.drive, frame, _LIDAR]),
    )  # fmt: skip


def take_pictures(
    layout: Kitti360Layout,
    name: str,
    settings: DriveSettings,
    frame: int,
    world: World,
    static: RayScene,
    origin: Float64[np.ndarray, "3"],
) -> None:
    """The frame's pictures with their label maps, at the instant the LiDAR looks forward."""
    time = frame * SWEEP_SECONDS
    daylight = draw_daylight(np.random.default_rng([settings.seed, settings.drive, _SUN]))
    for number, camera in enumerate(PERSPECTIVE[: settings.cameras]):
        rng = np.random.default_rng([settings.seed, settings.drive, frame, _CAMERA + number])
        pose = world.traffic.world_from_vehicle(time) @ KITTI360_CALIBRATION.vehicle_from_rectified(camera)
        intrinsics = np.ascontiguousarray(KITTI360_CALIBRATION.projection[camera][:, :3])
        size = KITTI360_CALIBRATION.size[camera]
        picture = render(intrinsics, pose, size, static, origin, world.traffic, time, daylight, actor_scene, rng)
        maps = {
            "semantic": picture.semantic,
            "instance": picture.instance,
            "semantic_rgb": np.take(COLORS, picture.semantic, 0, mode="clip"),
            "confidence": np.full(size, 65535, np.uint16),
        }
        for kind, values in maps.items():
            write_png(layout.image_labels(name, camera, kind, frame), values)
        write_png(layout.image(name, camera, frame), picture.rgb)

"""A drive as a .rrd file for the rerun viewer (optional: pip install rerun-sdk)."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.motion import corrected_xyz
from ps3d.structures import Frame, Panoptic
from ps3d.visualization.frames import FrameArtist


def write_rrd(path: str | Path, frames: Iterable[tuple[Frame, Mapping[str, Panoptic]]], artist: FrameArtist) -> Path:
    """Points, boxes and paths in the artist's colors, camera pictures and the car's pose; open it with `rerun FILE`.

    Args:
        frames: each frame with its labelings; every labeling becomes a cloud of its own.

    Raises:
        ModuleNotFoundError: rerun is not installed; the message says how to.
    """
    try:
        import rerun as rr
    except ImportError:
        raise ModuleNotFoundError(f"{path}: .rrd files need rerun (pip install rerun-sdk); or save .mp4") from None
    with atomic_write(path) as temporary:
        recording = rr.RecordingStream("ps3d")
        recording.save(str(temporary))
        for frame, labelings in frames:
            xyz = corrected_xyz(frame)
            artist.meet(frame, xyz, labelings)
            recording.set_time("frame", sequence=frame.index)
            if (pose := frame.world_from_lidar) is not None:
                recording.log("car", rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
            for source in labelings or [""]:
                shown = artist.shown(xyz, labelings.get(source))
                colors = artist.colors(frame, labelings, source)[shown]
                recording.log(f"car/{source or 'scan'}", rr.Points3D(xyz[shown], colors=colors, radii=0.03))
                lines = artist.lines(frame, xyz, labelings.get(source), source)
                for number, (segments, paint) in enumerate(lines):
                    recording.log(f"car/{source}/lines {number}", rr.LineStrips3D(segments, colors=paint))
            for name, image in frame.images.items():
                recording.log(f"camera/{name}", rr.Image(image.rgb))
        recording.flush()
        recording.disconnect()
    return Path(path)

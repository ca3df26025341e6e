"""Pictures and videos to files: PNG and JPEG, mp4 without an ffmpeg on the machine, and gif."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ps3d.ops.ahead import ahead
from ps3d.ops.atomic_file import atomic_write

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
VIDEO_SUFFIXES = (".mp4", ".gif")


def write_picture(path: str | Path, rgb: UInt8[np.ndarray, "height width 3"]) -> Path:
    """Write a picture; the suffix chooses the format.

    Raises:
        ValueError: an unknown suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError(f"{path}: a picture ends with {', '.join(PICTURE_SUFFIXES)}")
    with atomic_write(path) as temporary:
        # Level 1 is a fifth of the time of the default for a few per cent of size.
        options: dict[str, Any] = {"compress_level": 1} if path.suffix.lower() == ".png" else {"quality": 90}
        Image.fromarray(rgb).save(temporary, **options)
    return path


def write_video(
    path: str | Path, frames: Iterable[UInt8[np.ndarray, "height width 3"]], fps: float | int = 10.0, quality: int = 23
) -> Path:
    """Write frames of equal size as .mp4 (H.264, plays in every browser) or .gif; a generator is drawn as it goes.

    Args:
        fps: frames a second; a KITTI drive has 10.
        quality: H.264's constant rate factor: 18 = hardly lossy, 28 = small. A gif ignores it.

    Raises:
        ValueError: no frames, frames of different sizes, or an unknown suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise ValueError(f"{path}: a video ends with {' or '.join(VIDEO_SUFFIXES)}")
    # One frame is drawn while the one before is encoded.
    iterator = ahead(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError(f"{path}: no frames to write; choose a range of frames that the sequence has")
    checked = _of_one_size(path, chain([first], iterator), first.shape)
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".gif":
            _write_gif(temporary, checked, fps)
        else:
            _write_mp4(temporary, checked, first.shape, fps, quality)
    return path


def _of_one_size(path: Path, frames: Iterable[np.ndarray], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    for number, frame in enumerate(frames):
        if frame.shape != shape:
            raise ValueError(f"{path}: frame {number} has the shape {frame.shape}, the first one {shape}")
        yield frame


def _write_mp4(
    path: Path, frames: Iterable[np.ndarray], shape: tuple[int, ...], fps: float | int, quality: int
) -> None:
    import av

    height, width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": "superfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            # H.264 in 4:2:0 has even sizes: repeat the last row or column.
            even = np.pad(frame, ((0, height - shape[0]), (0, width - shape[1]), (0, 0)), mode="edge")
            for packet in stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _write_gif(path: Path, frames: Iterable[np.ndarray], fps: float | int) -> None:
    pictures = [Image.fromarray(frame) for frame in frames]
    # One palette for all frames: colors do not flicker, and unchanged areas cost nothing.
    step = max(1, len(pictures) // 8)
    sample = np.concatenate([np.asarray(picture)[::4, ::4] for picture in pictures[::step]])
    palette = Image.fromarray(sample).quantize(255, method=Image.Quantize.MEDIANCUT)
    flat = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    flat[0].save(path, save_all=True, append_images=flat[1:], duration=round(1000 / fps), loop=0, optimize=False)

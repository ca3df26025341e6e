"""Pictures and videos come back from the disk as they were drawn."""

import av
import numpy as np
import pytest
from PIL import Image

from ps3d.visualization.files import write_picture, write_video


def _drive(frames: int = 12, size: tuple[int, int] = (61, 81)) -> list[np.ndarray]:
    pictures = []
    for number in range(frames):
        picture = np.full((*size, 3), 40, np.uint8)
        picture[20:40, 4 * number : 4 * number + 20] = (200, 60, 30)
        pictures.append(picture)
    return pictures


def test_a_png_is_exact(tmp_path):
    picture = _drive(1)[0]
    write_picture(tmp_path / "deep" / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "deep" / "a.png")), picture)
    write_picture(tmp_path / "a.jpg", picture)
    assert Image.open(tmp_path / "a.jpg").format == "JPEG"


def test_an_mp4_plays_back_with_odd_sizes(tmp_path):
    frames = _drive()
    path = write_video(tmp_path / "drive.mp4", iter(frames), fps=10)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 10
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(decoded) == len(frames)
    assert decoded[0].shape == (62, 82, 3)
    error = np.abs(np.stack(decoded)[:, :61, :81].astype(int) - np.stack(frames))
    assert error.mean() < 4


def test_a_gif_plays_back(tmp_path):
    frames = _drive()
    path = write_video(tmp_path / "drive.gif", frames, fps=10)
    with Image.open(path) as gif:
        assert gif.n_frames == len(frames)
        assert gif.info["duration"] == 100
        gif.seek(7)
        assert np.abs(np.asarray(gif.convert("RGB")).astype(int) - frames[7]).mean() < 4


def test_unknown_formats_and_empty_videos_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.xyz: a picture ends with \.png"):
        write_picture(tmp_path / "a.xyz", _drive(1)[0])
    with pytest.raises(ValueError, match=r"a\.avi: a video ends with \.mp4"):
        write_video(tmp_path / "a.avi", _drive(1))
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "a.mp4", [])
    with pytest.raises(ValueError, match="frame 1 has the shape"):
        write_video(tmp_path / "a.mp4", [_drive(1)[0], _drive(1, (10, 10))[0]])
    assert list(tmp_path.iterdir()) == []

"""A video file as a sequence of pictures, decoded one after another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ps3d.structures import Calibration, Frame, Image, Taxonomy

CAMERA = "camera"
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif")


class VideoFile:
    """The pictures of a video; a `ps3d.structures.Sequence`. Read in order, each picture is decoded once."""

    def __init__(self, path: str | Path, taxonomy: Taxonomy) -> None:
        """
        Args:
            taxonomy: the classes of the model that shall see the pictures.

        Raises:
            FileNotFoundError: no such file.
            ValueError: no video in it.
        """
        self.path, self.taxonomy, self.calibration = Path(path), taxonomy, Calibration()
        self.name = self.path.stem
        if not self.path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        self._decoder: Iterator[Any] | None = None
        self._next = 0
        self._length = sum(1 for _ in self._pictures())
        if not self._length:
            raise ValueError(f"{path}: no pictures in this video")

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Frame]:
        return (self._frame(index, picture) for index, picture in enumerate(self._pictures()))

    def __getitem__(self, position: int) -> Frame:
        """The picture at a position 0..len-1; going back means decoding from the start.

        Raises:
            IndexError: no such position.
        """
        if not 0 <= position < self._length:
            raise IndexError(position)
        if self._decoder is None or position < self._next:
            self._decoder, self._next = self._pictures(), 0
        for picture in self._decoder:
            self._next += 1
            if self._next > position:
                return self._frame(position, picture)
        raise IndexError(position)

    def _frame(self, index: int, picture: Any) -> Frame:
        rgb = picture.to_ndarray(format="rgb24")
        seconds = picture.time if picture.time is not None else 0.1 * index
        source = str(self.path.with_suffix("") / f"{index:06d}")
        return Frame(index, float(seconds), images={CAMERA: Image(rgb)}, source=source)

    def _pictures(self) -> Iterator[Any]:
        import av

        try:
            with av.open(str(self.path)) as container:
                yield from container.decode(video=0)
        except (av.FFmpegError, IndexError) as error:
            raise ValueError(f"{self.path}: no readable video ({error})") from error

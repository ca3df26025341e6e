"""What all data sets of picture files share: one frame for each file."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from ps3d.structures import Frame, Taxonomy


class PictureSequence(ABC):
    """A sequence with one frame for each of its `files`."""

    name: str
    taxonomy: Taxonomy
    files: list[Path]

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        return (self[position] for position in range(len(self)))

    @abstractmethod
    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1."""

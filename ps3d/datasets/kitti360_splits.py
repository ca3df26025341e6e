"""Which frames of KITTI-360 are for training and which for validation.

The official split is by window, and the windows overlap: frames of a validation window are never used for training.
Geometry is shared all the same, because a scan sees 80 m ahead; whole drives held out avoid that.
"""

from pathlib import Path

from ps3d.datasets.kitti360_files import read_list
from ps3d.datasets.kitti360_layout import Kitti360Layout


def split_frames(root: str | Path, drive: str, split: str) -> set[int]:
    """Frame numbers of one drive's windows in a split.

    Args:
        drive: folder name.
        split: "train" (without frames that lie in a validation window) or "val".

    Raises:
        FileNotFoundError: no list of windows.
        ValueError: another split, or a line that names no window.
    """
    if split not in ("train", "val"):
        raise ValueError(f"{split!r} is no split of KITTI-360; train and val are")
    layout = Kitti360Layout(Path(root))
    frames = _frames_in(layout.window_list(split), drive)
    validation = layout.window_list("val")
    if split == "train" and validation.exists():
        frames -= _frames_in(validation, drive)
    return frames


def _frames_in(path: Path, drive: str) -> set[int]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: missing; get 'Accumulated Point Clouds' from the KITTI-360 download page")
    frames: set[int] = set()
    for (window,) in (row[:1] for row in read_list(path)):
        start, _, end = Path(window).stem.partition("_")
        if not (start.isdigit() and end.isdigit()):
            raise ValueError(f"{path}: {window!r} names no window; they are called like 0000000002_0000000385.ply")
        if drive in Path(window).parts:
            frames.update(range(int(start), int(end) + 1))
    return frames

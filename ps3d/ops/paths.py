"""Paths that users name."""

from itertools import islice
from pathlib import Path


def existing_path(path: str | Path) -> Path:
    """The path, where something is at it.

    Raises:
        FileNotFoundError: nothing is; says how far the path exists and what is there, which shows most typing errors.
    """
    path = Path(path)
    if path.exists():
        return path
    near = next(parent for parent in path.absolute().parents if parent.is_dir())
    try:
        names = sorted(entry.name for entry in islice(near.iterdir(), 1000) if not entry.name.startswith("."))
    except PermissionError:
        names = []
    some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    raise FileNotFoundError(f"{path}: no such file or folder; {near} has {some or 'nothing that can be read'}")

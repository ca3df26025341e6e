"""JSON files of data sets, read so that an error names the file."""

import json
from pathlib import Path
from typing import Any


def read_json(path: str | Path, remedy: str = "download or write it again") -> Any:
    """The content of a JSON file.

    Args:
        remedy: what the error proposes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {remedy}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # also text that is no UTF-8
        raise ValueError(f"{path}: no readable JSON ({error}); {remedy}") from error

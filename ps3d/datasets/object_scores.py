"""How sure a network is of each object, in a JSON beside the label: `{"number of the object": 0..1}`.

OUT/SEQUENCE/labels/NAME.png
OUT/SEQUENCE/scores/NAME.json
"""

import json
from pathlib import Path

from ps3d.datasets.panoptic_png import write_step
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import Panoptic

FOLDER = "scores"


def scores_path(label: str | Path) -> Path:
    """Where the scores of a label lie."""
    label = Path(label)
    return label.parent.parent / FOLDER / f"{label.stem}.json"


def read_scores(label: str | Path) -> dict[int, float] | None:
    """Scores of the objects of a label; None where it has none.

    Raises:
        ValueError: no JSON of numbers by object.
    """
    path = scores_path(label)
    if not path.is_file():
        return None
    try:
        return {int(number): float(score) for number, score in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: expected {{"number of an object": score}} ({error}); predict it again') from error


def write_scored(path: str | Path, panoptic: Panoptic) -> None:
    """Write a label in the step encoding and the scores of its objects beside it.

    A label without scores takes away those of an earlier one. The label comes last: where it is, its scores are.
    """
    target = scores_path(path)
    if panoptic.scores:
        with atomic_write(target) as temporary:
            text = json.dumps({str(number): round(score, 6) for number, score in panoptic.scores.items()})
            temporary.write_text(text, encoding="utf-8")
    else:
        target.unlink(missing_ok=True)
    write_step(path, panoptic)

"""Opening whatever lies at a path: KITTI-360, SemanticKITTI, a folder of scans, or one scan."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ps3d.datasets.kitti360 import Kitti360
from ps3d.datasets.kitti360_labels import KITTI360_SCAN, TAXONOMIES
from ps3d.datasets.kitti360_layout import Kitti360Layout, drive_name
from ps3d.datasets.point_files import READERS
from ps3d.datasets.scans import ScanFolder, find_scans
from ps3d.datasets.semantic_kitti import SEMANTIC_KITTI, SemanticKitti, sequences_folder
from ps3d.ops.paths import existing_path
from ps3d.structures import Sequence, Taxonomy

KITTI360, SEMANTIC, SCANS = "KITTI-360", "SemanticKITTI", "scans"


def recognize(path: str | Path) -> str:
    """What lies at a path: `KITTI360`, `SEMANTIC` (also a single sequence of it) or `SCANS` (also a single file).

    Raises:
        FileNotFoundError: nothing there, or nothing that is known; says what is.
    """
    path = existing_path(path)
    if Kitti360Layout(path).drives():
        return KITTI360
    if any(path.glob("velodyne/*.bin")) or any(sequences_folder(path).glob("*/velodyne/*.bin")):
        return SEMANTIC
    if find_scans(path):
        return SCANS
    raise FileNotFoundError(
        f"{path}: neither KITTI-360 (data_3d_raw/), nor SemanticKITTI (sequences/00/velodyne/), nor scans "
        f"({', '.join(READERS)}); `python tools/doctor.py --root {path}` tells more"
    )


def named_taxonomy(name: str) -> Taxonomy:
    """A taxonomy by its name.

    Raises:
        KeyError: an unknown name; lists the known ones.
    """
    known = {**TAXONOMIES, SEMANTIC_KITTI.name: SEMANTIC_KITTI}
    if name not in known:
        raise KeyError(f"no taxonomy {name!r}; known are {', '.join(known)}")
    return known[name]


def open_sequences(
    path: str | Path,
    taxonomy: Taxonomy | str | None = None,
    sequences: Iterable[int | str] | None = None,
    cameras: Iterable[str] = (),
    labels: str | Path | None = None,
) -> list[Sequence]:
    """All sequences at a path, or the named ones.

    Args:
        taxonomy: classes (or their name); None = the data set's own, `KITTI360_SCAN` for bare scans.
        sequences: numbers or folder names; None = all that hold scans.
        cameras: pictures to read, by the data set's own names.
        labels: per-scan labels in place of the data set's: `<labels>/<drive>/labels/` for KITTI-360,
            `<labels>/<sequence>/` for SemanticKITTI, `<labels>/` for scans.

    Raises:
        FileNotFoundError: nothing there, or a sequence that is not; says what is.
    """
    path, cameras = Path(path), tuple(cameras)
    if isinstance(taxonomy, str):
        taxonomy = named_taxonomy(taxonomy)
    wanted = None if sequences is None else list(sequences)
    return _OPENERS[recognize(path)](path, taxonomy, wanted, cameras, labels)


def _open_kitti360(
    path: Path,
    taxonomy: Taxonomy | None,
    wanted: list[int | str] | None,
    cameras: tuple[str, ...],
    labels: str | Path | None,
) -> list[Sequence]:
    layout = Kitti360Layout(path)
    if wanted is None:
        wanted = [drive for drive in layout.drives() if layout.scans(drive).is_dir()]
        wanted = wanted or [drive for drive in layout.drives() if cameras]
    drives = [drive_name(int(drive)) if str(drive).isdigit() else str(drive) for drive in wanted]
    if not drives:
        raise FileNotFoundError(f"{path}: KITTI-360 without scans (data_3d_raw/); ask for cameras, or download scans")
    return [Kitti360(path, drive, taxonomy or KITTI360_SCAN, cameras, labels) for drive in drives]


def _open_semantic_kitti(
    path: Path,
    taxonomy: Taxonomy | None,
    wanted: list[int | str] | None,
    cameras: tuple[str, ...],
    labels: str | Path | None,
) -> list[Sequence]:
    if (path / "velodyne").is_dir():  # a single sequence
        path, wanted = path.resolve().parent, [path.resolve().name]
    folder = sequences_folder(path)
    if wanted is None:
        wanted = sorted(velodyne.parent.name for velodyne in folder.glob("*/velodyne"))
    names = [f"{int(name):02d}" if str(name).isdigit() else str(name) for name in wanted]
    return [
        SemanticKitti(path, name, taxonomy or SEMANTIC_KITTI, cameras, None if labels is None else Path(labels) / name)
        for name in names
    ]


def _open_scans(
    path: Path,
    taxonomy: Taxonomy | None,
    wanted: list[int | str] | None,
    cameras: tuple[str, ...],
    labels: str | Path | None,
) -> list[Sequence]:
    if wanted or cameras:
        raise ValueError(f"{path}: bare scans have neither sequences to choose from nor cameras")
    return [ScanFolder(path, taxonomy or KITTI360_SCAN, labels)]


_OPENERS: dict[str, Callable[..., list[Sequence]]] = {
    KITTI360: _open_kitti360,
    SEMANTIC: _open_semantic_kitti,
    SCANS: _open_scans,
}

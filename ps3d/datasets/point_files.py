"""One scan from a file of any common format: .bin, .pcd, .ply, .npy, .feather."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from ps3d.datasets.kitti360_files import read_points, scan_from_columns
from ps3d.datasets.pcd import read_pcd
from ps3d.datasets.ply import read_ply
from ps3d.structures import Scan

NUSCENES_SUFFIX = ".pcd.bin"
_INTENSITY = ("intensity", "reflectance", "remission", "reflectivity", "scalar_intensity", "i")
_PROBE = 20_000
"""So many points decide how many columns a .bin has."""


def read_any_scan(path: str | Path, columns: int | None = None) -> Scan:
    """A scan in the LiDAR frame: x forward, y left, z up, meters; intensity 0..1; times 0 (no motion correction).

    Intensities up to 255 are divided by 255, larger ones by 65535; without intensities they are 0. nuScenes' files
    (.pcd.bin) have x to the right and y forward and are turned. Points that are not finite go to the origin with a
    warning and keep their place (see `ps3d.datasets.kitti360_files.read_scan`).

    Args:
        columns: numbers per point of a .bin; None = find out (5 for .pcd.bin).

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown format, cut off, or no positions.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise ValueError(f"{path}: unknown format {suffix!r}; scans are read from {', '.join(READERS)}")
    points = READERS[suffix](path, columns)
    if len(points) == 0:
        raise ValueError(f"{path}: no points; remove the file or write it again")
    if path.name.endswith(NUSCENES_SUFFIX):
        points = np.column_stack([points[:, 1], -points[:, 0], points[:, 2:]])
    return scan_from_columns(_scale_intensity(points), str(path), has_sweep=False)


def _scale_intensity(points: Float32[np.ndarray, "points 4"]) -> Float32[np.ndarray, "points 4"]:
    highest = np.nanmax(points[:, 3], initial=0)
    if highest <= 1:
        return points
    scaled = points.copy()
    scaled[:, 3] /= 255 if highest <= 255 else 65535
    return scaled


def _read_bin(path: Path, columns: int | None) -> Float32[np.ndarray, "points 4"]:
    if columns is None:
        columns = 5 if path.name.endswith(NUSCENES_SUFFIX) else guess_columns(path)
    points = read_points(path, columns)
    return points[:, :4] if columns >= 4 else _with_intensity(points[:, :3], None)


def guess_columns(path: str | Path) -> int:
    """Numbers per point of a .bin: 4 where that divides the file, unless 5, 6 or 3 bring neighbors twice as near.

    A sensor writes points in the order it measures them. Read with a wrong width, columns mix and neighbors lie far
    apart.

    Raises:
        ValueError: the file is empty or no width divides it.
    """
    size = Path(path).stat().st_size
    fitting = [columns for columns in (4, 5, 6, 3) if size and size % (4 * columns) == 0]
    if not fitting:
        raise ValueError(f"{path}: {size} bytes are no whole number of points of 3, 4, 5 or 6 float32; it is cut off")
    if len(fitting) == 1:
        return fitting[0]
    values = np.fromfile(path, "<f4", _PROBE * 6)
    roughness = {columns: _roughness(values[: len(values) // columns * columns], columns) for columns in fitting}
    best = min(fitting, key=roughness.__getitem__)
    return best if roughness[best] < 0.5 * roughness[fitting[0]] else fitting[0]


def _roughness(values: Float32[np.ndarray, "values"], columns: int) -> float:
    """Median step from point to point, meters."""
    xyz = values.reshape(-1, columns)[:, :3].astype(np.float64)
    if len(xyz) < 2:
        return np.inf
    with np.errstate(invalid="ignore"):
        return float(np.nanmedian(np.abs(np.diff(xyz, axis=0)), axis=0).sum())


def _read_npy(path: Path, _: int | None) -> Float32[np.ndarray, "points 4"]:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: no readable array ({error})") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: an archive, not one array; save the points with numpy.save")
    if array.dtype.names:
        return _from_fields(path, array)
    if array.ndim != 2 or array.shape[1] < 3:
        raise ValueError(f"{path}: an array of shape {array.shape}; (points, 3 or more) is expected")
    return _with_intensity(array[:, :3], array[:, 3] if array.shape[1] > 3 else None)


def _from_fields(path: Path, points: np.ndarray) -> Float32[np.ndarray, "points 4"]:
    """Columns x, y, z, intensity from named fields of any case."""
    fields = {name.lower(): name for name in points.dtype.names or ()}
    if not {"x", "y", "z"} <= fields.keys():
        raise ValueError(f"{path}: no fields x, y and z, only {', '.join(fields)}")
    xyz = np.column_stack([points[fields[axis]] for axis in "xyz"])
    name = next((fields[name] for name in _INTENSITY if name in fields), None)
    return _with_intensity(xyz, None if name is None else points[name])


def _with_intensity(xyz: np.ndarray, intensity: np.ndarray | None) -> Float32[np.ndarray, "points 4"]:
    if intensity is None:
        intensity = np.zeros(len(xyz), np.float32)
    return np.column_stack([xyz, intensity]).astype(np.float32)


def _read_feather(path: Path, _: int | None) -> Float32[np.ndarray, "points 4"]:
    """Argoverse 2 sweeps: columns x, y, z (half precision) and intensity (0..255)."""
    try:
        from pyarrow import feather
    except ImportError:
        raise ValueError(f"{path}: .feather needs one more package: pip install pyarrow") from None
    table = feather.read_table(path)
    kept = [name for name in table.column_names if name.lower() in ("x", "y", "z", *_INTENSITY)]
    columns = {name: table.column(name).to_numpy().astype(np.float32) for name in kept}
    points = np.zeros(table.num_rows, [(name, np.float32) for name in columns])
    for name, values in columns.items():
        points[name] = values
    return _from_fields(path, points)


READERS: dict[str, Callable[[Path, int | None], np.ndarray]] = {
    ".bin": _read_bin,
    ".pcd": lambda path, _: _from_fields(path, read_pcd(path)),
    ".ply": lambda path, _: _from_fields(path, read_ply(path)),
    ".npy": _read_npy,
    ".feather": _read_feather,
}

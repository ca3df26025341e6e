"""PLY files of points: a header of text, then one record per vertex (Turk, 1994)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ps3d.ops.atomic_file import atomic_write

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float"}
_NAMES["f8"] = "double"
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
_LONGEST_HEADER = 1 << 16


@dataclass(frozen=True)
class PlyHeader:
    """What a PLY file holds before its first byte of data.

    Attributes:
        encoding: "ascii", "binary_little_endian" or "binary_big_endian".
        dtype: one vertex.
        vertices: how many.
        data_start: position of the first vertex in bytes.
    """

    encoding: str
    dtype: np.dtype
    vertices: int
    data_start: int


def read_ply_header(path: str | Path) -> PlyHeader:
    """Read the header only.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a PLY file, a cut-off header, or vertices that are not the first element or hold lists.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    if not head.startswith(b"ply"):
        raise ValueError(f"{path}: no PLY file, its first bytes are {head[:4]!r}")
    end = head.find(b"end_header")
    line_end = head.find(b"\n", end)
    if end < 0 or line_end < 0:
        raise ValueError(f"{path}: the PLY header has no end, the file is cut off; download or write it again")
    return _parse_header(path, head[:end].decode("ascii", "replace").split("\n"), line_end + 1)


def _parse_header(path: Path, lines: list[str], data_start: int) -> PlyHeader:
    encoding, vertices, element = "", -1, ""
    fields: list[tuple[str, str]] = []
    for line in lines:
        match line.split():
            case ["format", encoding, *_]:
                pass
            case ["element", element, count]:
                if vertices < 0 and element != "vertex":
                    raise ValueError(f"{path}: the first PLY element is {element!r}, not a cloud's vertex")
                if element == "vertex":
                    vertices = int(count)
            case ["property", "list", *_] if element == "vertex":
                raise ValueError(f"{path}: a vertex with a list property is not a point cloud")
            case ["property", kind, field] if element == "vertex":
                fields.append((field, kind))
    if encoding not in _ORDERS or vertices < 0 or not fields:
        raise ValueError(f"{path}: PLY header without format, vertex element or properties")
    if unknown := [kind for _, kind in fields if kind not in _TYPES]:
        raise ValueError(f"{path}: unknown PLY type {unknown[0]!r}; known are {', '.join(_TYPES)}")
    dtype = np.dtype([(field, _ORDERS[encoding] + _TYPES[kind]) for field, kind in fields])
    return PlyHeader(encoding, dtype, vertices, data_start)


def read_ply(path: str | Path) -> np.ndarray:
    """The vertices as a structured array, fields in the file's order and native byte order.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a cloud, or fewer vertices than the header says.
    """
    path = Path(path)
    header = read_ply_header(path)
    if header.encoding == "ascii":
        return _read_ascii(path, header)
    with path.open("rb") as file:
        file.seek(header.data_start)
        vertices = np.fromfile(file, header.dtype, header.vertices)
    if len(vertices) != header.vertices:
        raise ValueError(
            f"{path}: cut off, {len(vertices)} of {header.vertices} points are there; download or write it again"
        )
    return vertices.astype(header.dtype.newbyteorder("="), copy=False)


def _read_ascii(path: Path, header: PlyHeader) -> np.ndarray:
    lines = path.read_bytes()[header.data_start :].decode("ascii", "replace").splitlines()[: header.vertices]
    if len(lines) < header.vertices:
        raise ValueError(f"{path}: cut off, {len(lines)} of {header.vertices} points are there")
    vertices = np.zeros(header.vertices, header.dtype)
    if lines:
        table = read_rows(path, lines)
        for column, field in enumerate(header.dtype.names or ()):
            vertices[field] = table[:, column]
    return vertices


def read_rows(path: Path, lines: list[str]) -> np.ndarray:
    """Lines of numbers as a table.

    Raises:
        ValueError: a line with another number of numbers, or with something else.
    """
    try:
        return np.loadtxt(lines, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path}: no table of numbers ({error}); it is cut off: write it again") from error


def write_ply(path: str | Path, vertices: np.ndarray) -> None:
    """Write a structured array as a little-endian PLY cloud, fields in the array's order, without padding.

    Raises:
        ValueError: not a structured array, or a field that PLY cannot hold.
    """
    if vertices.dtype.names is None or vertices.ndim != 1:
        raise ValueError(f"{path}: a PLY cloud is written from a one-dimensional structured array")
    fields = [(name, vertices.dtype[name].str[1:]) for name in vertices.dtype.names]
    if bad := [name for name, kind in fields if kind not in _NAMES]:
        raise ValueError(f"{path}: PLY cannot hold the field {bad[0]!r} of type {vertices.dtype[bad[0]]}")
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property {_NAMES[kind]} {name}" for name, kind in fields]
    packed = vertices.astype(np.dtype([(name, "<" + kind) for name, kind in fields]), copy=False)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii"))
        packed.tofile(file)

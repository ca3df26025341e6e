"""PCD files (Point Cloud Library, version 0.7): ascii, binary and binary_compressed."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ps3d.datasets.ply import read_rows
from ps3d.ops.compiled import compiled

_LONGEST_HEADER = 1 << 16


def read_pcd(path: str | Path) -> np.ndarray:
    """The points as a structured array; a field with COUNT > 1 is an array field.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a PCD file, or cut off.
    """
    path = Path(path)
    content = path.read_bytes()
    header, start = _read_header(path, content)
    dtype = _dtype(path, header)
    points = _number(path, header, "POINTS", _number(path, header, "WIDTH", 0) * _number(path, header, "HEIGHT", 1))
    body = content[start:]
    match header["DATA"][0]:
        case "ascii":
            return _read_ascii(path, body, dtype, points)
        case "binary":
            if len(body) < points * dtype.itemsize:
                raise ValueError(
                    f"{path}: cut off, {len(body) // dtype.itemsize} of {points} points are there; write it again"
                )
            return np.frombuffer(body, dtype, points).copy()
        case "binary_compressed":
            return _read_compressed(path, body, dtype, points)
        case other:
            raise ValueError(f"{path}: unknown PCD data {other!r}; known are ascii, binary, binary_compressed")


def _read_header(path: Path, content: bytes) -> tuple[dict[str, list[str]], int]:
    """(words after each keyword, position of the data)."""
    header: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in header:
        end = content.find(b"\n", start, _LONGEST_HEADER)
        if end < 0:
            raise ValueError(f"{path}: no PCD header with a DATA line; this is another format, or it is cut off")
        words = content[start:end].decode("ascii", "replace").split()
        start = end + 1
        if words and not words[0].startswith("#"):
            header[words[0]] = words[1:]
    if missing := {"FIELDS", "SIZE", "TYPE"} - header.keys() or not header["DATA"]:
        raise ValueError(f"{path}: the PCD header lacks {missing}")
    return header, start


def _dtype(path: Path, header: dict[str, list[str]]) -> np.dtype:
    names, sizes, types = header["FIELDS"], header["SIZE"], header["TYPE"]
    counts = header.get("COUNT", ["1"] * len(names))
    if not len(names) == len(sizes) == len(types) == len(counts):
        raise ValueError(f"{path}: FIELDS, SIZE, TYPE and COUNT of the PCD header have different lengths")
    kinds = {"F": "f", "I": "i", "U": "u"}
    fields = []
    for place, (name, size, kind, count) in enumerate(zip(names, sizes, types, counts, strict=True)):
        # PCL writes padding as fields called "_".
        unique = f"_{place}" if name == "_" else name
        fields.append((unique, f"<{kinds[kind]}{size}", (int(count),) if int(count) > 1 else ()))
    return np.dtype(fields)


def _number(path: Path, header: dict[str, list[str]], key: str, default: int) -> int:
    words = header.get(key)
    if not words:
        return default
    if not words[0].isdigit():
        raise ValueError(f"{path}: {key} {words[0]!r} of the PCD header is no number")
    return int(words[0])


def _read_ascii(path: Path, body: bytes, dtype: np.dtype, points: int) -> np.ndarray:
    lines = body.decode("ascii", "replace").splitlines()[:points]
    if len(lines) < points:
        raise ValueError(f"{path}: cut off, {len(lines)} of {points} points are there; write it again")
    cloud = np.zeros(points, dtype)
    if points:
        table = read_rows(path, lines)
        column = 0
        for name in dtype.names or ():
            width = int(np.prod(dtype[name].shape, dtype=int))
            cloud[name] = table[:, column : column + width].reshape(cloud[name].shape)
            column += width
    return cloud


def _read_compressed(path: Path, body: bytes, dtype: np.dtype, points: int) -> np.ndarray:
    """Two sizes, then LZF data that holds all values of the first field, then of the second, ..."""
    packed_size, size = np.frombuffer(body[:8], "<u4").tolist() if len(body) >= 8 else (1, 0)
    if len(body) < 8 + packed_size or size != points * dtype.itemsize:
        raise ValueError(f"{path}: the compressed PCD data is cut off; write it again")
    data = decompress_lzf(np.frombuffer(body, np.uint8, packed_size, 8), size)
    if len(data) != size:
        raise ValueError(f"{path}: the compressed PCD data is damaged; write it again")
    cloud = np.zeros(points, dtype)
    start = 0
    for name in dtype.names or ():
        length = points * dtype[name].itemsize
        cloud[name] = np.frombuffer(data[start : start + length].tobytes(), dtype[name].base).reshape(cloud[name].shape)
        start += length
    return cloud


@compiled
def _decompress_lzf(packed: np.ndarray, out: np.ndarray) -> int:
    """Bytes written, or -1 for damaged data."""
    source, target = 0, 0
    while source < len(packed):
        control = int(packed[source])
        source += 1
        if control < 32:  # a run of control + 1 bytes as they are
            length = control + 1
            if source + length > len(packed) or target + length > len(out):
                return -1
            out[target : target + length] = packed[source : source + length]
            source += length
            target += length
            continue
        length = control >> 5  # a copy of what was written before
        if length == 7:
            if source >= len(packed):
                return -1
            length += int(packed[source])
            source += 1
        if source >= len(packed):
            return -1
        back = target - ((control & 31) << 8) - int(packed[source]) - 1
        source += 1
        length += 2
        if back < 0 or target + length > len(out):
            return -1
        for step in range(length):  # the two ranges may overlap
            out[target + step] = out[back + step]
        target += length
    return target


def decompress_lzf(packed: UInt8[np.ndarray, "packed"], size: int) -> UInt8[np.ndarray, "bytes"]:
    """LZF (Lehmann, liblzf), at most `size` bytes; fewer or none come back from damaged data."""
    out = np.zeros(size, np.uint8)
    written = _decompress_lzf(packed, out)
    return out[: max(written, 0)]

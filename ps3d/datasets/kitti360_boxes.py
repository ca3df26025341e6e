"""KITTI-360's 3D boxes: one XML file per drive, OpenCV's storage format.

A child of the root is one box. Static objects have one box (timestamp -1), moving objects one box per frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as SafeXml
import numpy as np
from defusedxml import DefusedXmlException
from jaxtyping import Bool, Float, Float64, Int64

from ps3d.datasets.kitti360_labels import INSTANCES_PER_LABEL, LABEL_OF_ID, LABEL_OF_KITTI_ID, LABEL_OF_NAME
from ps3d.ops.atomic_file import atomic_write

STATIC = -1
"""Timestamp of a box that holds for the whole drive."""

UNIT_VERTICES = 0.5 * np.array(
    [[1, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1], [-1, 1, -1], [-1, 1, 1], [-1, -1, -1], [-1, -1, 1]], np.float64
)
"""Corners of the unit cube in the order of the devkit's list of edges."""

UNIT_FACES = np.array(
    [
        [0, 2, 3], [0, 3, 1], [4, 6, 7], [4, 7, 5],  # +x, -x
        [0, 1, 4], [0, 4, 5], [2, 7, 6], [2, 6, 3],  # +y, -y
        [0, 5, 7], [0, 7, 2], [1, 3, 6], [1, 6, 4],  # +z, -z
    ],
    np.int64,
)  # fmt: skip
"""Triangles of the unit cube, counterclockwise seen from outside."""

_STUFF_NAMES = {"driveway": "parking", "ground": "terrain", "unknownGround": "ground", "railtrack": "rail track"}
"""Names that the XML uses for another label of the table, as the devkit translates them."""


@dataclass(frozen=True)
class Box:
    """One box of an object.

    Attributes:
        semantic: label id, or -1 where the XML names no label of the table.
        instance: k, the object's number within its label; 0 = stuff.
        world_from_box: unit cube to world, including the size; the box's x axis is the heading.
        timestamp: number of the frame this box holds for, or `STATIC`.
        start_frame: first frame of the window the box was drawn in.
        end_frame: last frame of that window.
        is_dynamic: True if the object moves.
        index: the annotation's number in the file.
        vertices: corners before `world_from_box`; meshes other than cubes exist.
        faces: triangles into `vertices`.
        label: the label's name as in the XML.
    """

    semantic: int
    instance: int
    world_from_box: Float64[np.ndarray, "4 4"]
    timestamp: int = STATIC
    start_frame: int = -1
    end_frame: int = -1
    is_dynamic: bool = False
    index: int = 0
    vertices: Float64[np.ndarray, "corners 3"] = field(default_factory=UNIT_VERTICES.copy)
    faces: Int64[np.ndarray, "triangles 3"] = field(default_factory=UNIT_FACES.copy)
    label: str = ""

    @property
    def global_instance(self) -> int:
        """id * 1000 + k: the number of this object in windows and instance images."""
        return self.semantic * INSTANCES_PER_LABEL + self.instance

    @property
    def center(self) -> Float64[np.ndarray, "3"]:
        """In the world, meters: the middle of the extent of `vertices`."""
        middle = (self.vertices.min(0) + self.vertices.max(0)) / 2
        return self.world_from_box[:3, :3] @ middle + self.world_from_box[:3, 3]

    @property
    def size(self) -> Float64[np.ndarray, "3"]:
        """Length, width, height in meters."""
        return np.linalg.norm(self.world_from_box[:3, :3], axis=0) * np.ptp(self.vertices, axis=0)

    @property
    def heading(self) -> float:
        """Angle of the x axis in the world's xy plane, radians."""
        return float(np.arctan2(self.world_from_box[1, 0], self.world_from_box[0, 0]))

    def corners(self) -> Float64[np.ndarray, "corners 3"]:
        """`vertices` in the world, meters."""
        return self.vertices @ self.world_from_box[:3, :3].T + self.world_from_box[:3, 3]

    def contains(self, points: Float[np.ndarray, "points 3"], margin: float = 0.0) -> Bool[np.ndarray, "points"]:
        """Which world points lie in the cuboid around `vertices`, widened by `margin` meters on every side."""
        local = (points.astype(np.float64) - self.world_from_box[:3, 3]) @ np.linalg.inv(self.world_from_box[:3, :3]).T
        slack = margin / np.linalg.norm(self.world_from_box[:3, :3], axis=0)
        return ((local >= self.vertices.min(0) - slack) & (local <= self.vertices.max(0) + slack)).all(1)


def read_boxes(path: str | Path) -> list[Box]:
    """All boxes of a drive, in the file's order; children without a transform are skipped, as the devkit does.

    Reads `train/` (semanticId holds a kittiId) and `train_full/` (no semanticId: the label's name counts).

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged or hostile XML, or a box with a broken field (named with its tag).
    """
    path = Path(path)
    try:
        root = SafeXml.parse(path).getroot()
    except (ParseError, DefusedXmlException) as error:
        raise ValueError(f"{path}: no readable XML ({error}); download or write it again") from error
    if root is None or root.tag != "opencv_storage":
        raise ValueError(f"{path}: the root is not <opencv_storage>, this is no box file of KITTI-360")
    return [_read_box(path, child) for child in root if child.find("transform") is not None]


def _read_box(path: Path, child: Element) -> Box:
    try:
        name = (child.findtext("label") or "").strip()
        timestamp = _integer(child, "timestamp", STATIC)
        transform = _matrix(child, "transform")
        vertices = _matrix(child, "vertices")
        faces = _matrix(child, "faces")
        return Box(
            semantic=_label_id(child, name),
            instance=_integer(child, "instanceId", 0),
            world_from_box=np.eye(4) if transform is None else transform,
            timestamp=timestamp,
            start_frame=_integer(child, "start_frame", -1),
            end_frame=_integer(child, "end_frame", -1),
            is_dynamic=timestamp != STATIC or _integer(child, "dynamic", 0) > 0,
            index=_integer(child, "index", 0),
            vertices=UNIT_VERTICES.copy() if vertices is None else vertices,
            faces=UNIT_FACES.copy() if faces is None else faces.astype(np.int64),
            label=name,
        )
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: <{child.tag}> is broken ({error}); download or write the file again") from error


def _label_id(child: Element, name: str) -> int:
    """The label's id: from the kittiId where there is one, otherwise from the name."""
    kitti_id = _integer(child, "semanticId", -1)
    if kitti_id in LABEL_OF_KITTI_ID:
        return LABEL_OF_KITTI_ID[kitti_id].id
    known = _STUFF_NAMES.get(name, name)
    return LABEL_OF_NAME[known].id if known in LABEL_OF_NAME else -1


def _integer(child: Element, tag: str, default: int) -> int:
    text = (child.findtext(tag) or "").strip()
    return int(float(text)) if text else default


def _matrix(child: Element, tag: str) -> Float64[np.ndarray, "rows columns"] | None:
    node = child.find(tag)
    if node is None:
        return None
    numbers = np.array((node.findtext("data") or "").split(), np.float64)
    return numbers.reshape(_integer(node, "rows", 0), _integer(node, "cols", 0))


def write_boxes(path: str | Path, boxes: Iterable[Box]) -> None:
    """Write the XML that the official devkit reads: one `objectN` per box, N from 1.

    `index` is written as it is: give each box its own where that matters (the devkit's annotation id is index + 1).
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0"?>\n<opencv_storage>\n')
        for number, box in enumerate(boxes, 1):
            file.write(_format_box(f"object{number}", box))
        file.write("</opencv_storage>\n")


def _format_box(tag: str, box: Box) -> str:
    label = LABEL_OF_ID[box.semantic]
    fields = {
        "index": box.index,
        "label": box.label or label.name,
        "semanticId_orig": label.kitti_id,
        "semanticId": label.kitti_id,
        "instanceId": box.instance,
        "category": label.category,
        "timestamp": box.timestamp,
        "dynamic": int(box.is_dynamic),
        "start_frame": box.start_frame,
        "end_frame": box.end_frame,
    }
    lines = [f"<{tag}>", *(f"  <{name}>{value}</{name}>" for name, value in fields.items())]
    lines.append(_format_matrix("transform", box.world_from_box, "d", "%.12g"))
    lines.append(_format_matrix("vertices", box.vertices, "f", "%.9g"))
    lines.append(_format_matrix("faces", box.faces, "i", "%d"))
    return "\n".join([*lines, f"</{tag}>\n"])


def _format_matrix(tag: str, matrix: np.ndarray, kind: str, number: str) -> str:
    rows, columns = matrix.shape
    data = " ".join(number % value for value in matrix.reshape(-1))
    return (
        f'  <{tag} type_id="opencv-matrix">\n    <rows>{rows}</rows>\n    <cols>{columns}</cols>\n'
        f"    <dt>{kind}</dt>\n    <data>{data}</data>\n  </{tag}>"
    )

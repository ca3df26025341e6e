"""From a click in a picture to the point under it and what is known about that point."""

import numpy as np
from jaxtyping import Float

from ps3d.structures import NO_INSTANCE, VOID, Frame, Panoptic, Taxonomy


def pick_point(
    xyz: Float[np.ndarray, "points 3"],
    clip_from_points: Float[np.ndarray, "4 4"],
    pixel: tuple[float | int, float | int],
    size: tuple[int, int],
    reach: float | int = 6,
) -> int | None:
    """Place of the nearest point within `reach` pixels of a click, or None.

    Args:
        clip_from_points: projection times view matrix, as OpenGL has them.
        pixel: (column, row) from the top left corner.
        size: (height, width) of the picture.
    """
    homogeneous = xyz.astype(np.float64) @ clip_from_points[:, :3].T + clip_from_points[:, 3]
    w = homogeneous[:, 3]
    is_ahead = w > 1e-6
    ndc = homogeneous[:, :2] / np.where(is_ahead, w, 1)[:, None]
    column, row = (ndc[:, 0] + 1) / 2 * size[1], (1 - ndc[:, 1]) / 2 * size[0]
    square = (column - pixel[0]) ** 2 + (row - pixel[1]) ** 2
    near = np.flatnonzero(is_ahead & (square <= reach**2))
    if not len(near):
        return None
    # Nearest to the eye, unless it is much farther from the click: w is the distance along the axis.
    return int(near[(w[near] * (1 + 0.002 * square[near])).argmin()])


def describe_point(frame: Frame, place: int, labelings: dict[str, Panoptic], taxonomy: Taxonomy) -> str:
    """Class, object and position of a point, a line each."""
    assert frame.scan is not None
    x, y, z = frame.scan.xyz[place].tolist()
    distance = float(np.linalg.norm(frame.scan.xyz[place]))
    lines = [f"point {place}", f"x {x:.2f}  y {y:.2f}  z {z:.2f} m", f"distance {distance:.2f} m"]
    lines.append(f"intensity {frame.scan.intensity[place]:.2f}")
    for source, labeling in labelings.items():
        class_id, number = int(labeling.semantic[place]), int(labeling.instance[place])
        name = "void" if class_id == VOID else taxonomy.names[class_id]
        lines.append(f"{source}: {name}" + ("" if number == NO_INSTANCE else f", object {number}"))
        if number != NO_INSTANCE:
            mine = (labeling.semantic == class_id) & (labeling.instance == number)
            lines.append(f"  {int(mine.sum())} points of this object")
    return "\n".join(lines)

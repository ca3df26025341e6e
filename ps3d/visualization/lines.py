"""Line segments in 3D (boxes, trajectories) over pictures, with smooth edges."""

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8

from ps3d.ops.compiled import compiled
from ps3d.structures import Camera
from ps3d.visualization.views import View

NEAR = 0.1
"""Meters in front of the camera at which lines and points begin."""

_FARTHEST_PIXEL = 1e5


def draw_lines(
    image: UInt8[np.ndarray, "height width 3"],
    segments: Float[np.ndarray, "segments 2 3"],
    colors: UInt8[np.ndarray, "segments 3"],
    view: View | Camera,
    width: float | int = 1,
) -> UInt8[np.ndarray, "height width 3"]:
    """Lines over a picture, later ones on top; the part behind the camera is cut off.

    Args:
        segments: both ends in meters, in the frame that the view or camera starts from.
        width: pixels.
    """
    if isinstance(view, Camera):
        pose, intrinsics, is_perspective = view.camera_from_lidar, view.intrinsics, True
    else:
        pose, intrinsics = view.camera_from_points, view.intrinsics(image.shape[:2])
        is_perspective = view.height is None
    flat, is_seen = project_segments(
        segments @ pose[:3, :3].T.astype(np.float64) + pose[:3, 3], intrinsics, is_perspective
    )
    drawn = image.copy()
    _line_kernel(drawn, flat[is_seen], colors[is_seen], 0.5 * float(width))
    return drawn


def project_segments(
    ends: Float64[np.ndarray, "segments 2 3"], intrinsics: Float[np.ndarray, "3 3"], is_perspective: bool
) -> tuple[Float64[np.ndarray, "segments 2 2"], Bool[np.ndarray, "segments"]]:
    """(column, row) of the ends of segments in the camera's frame, and whether anything of a segment is ahead."""
    is_seen: np.ndarray = np.ones(len(ends), bool)
    if is_perspective:
        depth = ends[..., 2]
        is_seen = depth.max(1) >= NEAR
        # An end behind the camera moves along its segment to where that comes into sight.
        step = np.flip(depth, 1) - depth
        share = np.where(depth < NEAR, (NEAR - depth) / np.where(step == 0, 1, step), 0)[..., None]
        ends = ends + share * (np.flip(ends, 1) - ends)
        ends = ends / np.where(is_seen[:, None], ends[..., 2], 1)[..., None]
    flat = ends[..., :2] @ intrinsics[:2, :2].T + intrinsics[:2, 2]
    return flat, is_seen & (np.abs(flat).max((1, 2)) < _FARTHEST_PIXEL)


@compiled
def _line_kernel(image, flat, colors, half):
    """Mix the color into each pixel by how much of it the line covers, judged by the distance of its center."""
    size = (image.shape[1], image.shape[0])
    reach = 1.5 * (half + 1)
    for i in range(len(flat)):
        step = flat[i, 1] - flat[i, 0]
        square = step[0] * step[0] + step[1] * step[1]
        # Walk along the axis in which the segment is longer, and look at the few pixels beside it in the other.
        along = 0 if abs(step[0]) >= abs(step[1]) else 1
        across = 1 - along
        low, high = min(flat[i, 0, along], flat[i, 1, along]), max(flat[i, 0, along], flat[i, 1, along])
        first, last = max(0, int(np.floor(low - half))), min(size[along] - 1, int(np.ceil(high + half)))
        for a in range(first, last + 1):
            share = (a - flat[i, 0, along]) / step[along] if step[along] != 0 else 0.0
            middle = flat[i, 0, across] + min(max(share, 0.0), 1.0) * step[across]
            lowest = max(0, int(np.ceil(middle - reach)))
            for b in range(lowest, min(size[across] - 1, int(np.floor(middle + reach))) + 1):
                x, y = (a, b) if along == 0 else (b, a)
                dx, dy = x - flat[i, 0, 0], y - flat[i, 0, 1]
                nearest = min(max((dx * step[0] + dy * step[1]) / square, 0.0), 1.0) if square > 0 else 0.0
                distance = np.hypot(dx - nearest * step[0], dy - nearest * step[1])
                cover = min(half + 0.5 - distance, 1.0)
                if cover > 0:
                    for channel in range(3):
                        mixed = (1 - cover) * image[y, x, channel] + cover * colors[i, channel]
                        image[y, x, channel] = np.uint8(mixed + 0.5)

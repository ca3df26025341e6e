"""Point clouds to pictures without Open3D, a display or a GPU: a depth-buffered splat renderer."""

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from ps3d.ops.compiled import compiled
from ps3d.structures import Camera
from ps3d.visualization.colors import color_by_class, color_by_height, color_by_instance, color_by_intensity
from ps3d.visualization.colors import color_by_track as color_by_track
from ps3d.visualization.differences import color_by_error
from ps3d.visualization.lines import NEAR, draw_lines
from ps3d.visualization.views import View, bird_view, follow_view, look_at

__all__ = [
    "View",
    "bird_view",
    "color_by_class",
    "color_by_error",
    "color_by_height",
    "color_by_instance",
    "color_by_intensity",
    "color_by_track",
    "draw_lines",
    "draw_points",
    "follow_view",
    "look_at",
    "render_points",
]

BACKGROUND = (18, 18, 22)
"""Color behind the points."""


def render_points(
    xyz: Float[np.ndarray, "points 3"],
    colors: UInt8[np.ndarray, "points 3"],
    view: View,
    size: tuple[int, int] = (720, 1280),
    point_size: float | int = 2.0,
    radius: float | int = 0.0,
    background: tuple[int, int, int] = BACKGROUND,
    is_shaded: bool = False,
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw points as squares; the nearest wins.

    Args:
        xyz: meters, in the frame `view.camera_from_points` starts from; points that are not finite are left out.
        size: (height, width) of the picture.
        point_size: edge of a square in pixels.
        radius: meters; points grow with nearness up to this half edge, so that surfaces close up (0 = never).
        is_shaded: darken points behind edges of depth, which makes shapes readable without lighting
            (eye-dome lighting: Boucheny, 2009).
    """
    image, depth = render_depth(xyz, colors, view, size, point_size, radius, background)
    return shade(image, depth) if is_shaded else image


def draw_points(
    image: UInt8[np.ndarray, "height width 3"],
    xyz: Float[np.ndarray, "points 3"],
    colors: UInt8[np.ndarray, "points 3"],
    camera: Camera,
    point_size: float | int = 3.0,
) -> UInt8[np.ndarray, "height width 3"]:
    """A camera's picture with motion-corrected points of the LiDAR frame drawn over it, the nearest on top."""
    painted = image.copy()
    depth = np.full(image.shape[:2], np.inf, np.float32)
    scale = np.diag([image.shape[1] / camera.size[1], image.shape[0] / camera.size[0], 1.0])
    _splat(painted, depth, xyz, colors, camera.camera_from_lidar, scale @ camera.intrinsics, True, point_size, 0.0)
    return painted


def render_depth(
    xyz: Float[np.ndarray, "points 3"],
    colors: UInt8[np.ndarray, "points 3"],
    view: View,
    size: tuple[int, int],
    point_size: float | int,
    radius: float | int = 0.0,
    background: tuple[int, int, int] = BACKGROUND,
) -> tuple[UInt8[np.ndarray, "height width 3"], Float32[np.ndarray, "height width"]]:
    """`render_points` that also returns the distance along the camera's axis in meters, inf where nothing is."""
    image = np.empty((*size, 3), np.uint8)
    # Row by row: copying rows is several times as fast as copying colors.
    image[:] = np.full((size[1], 3), background, np.uint8)
    depth = np.full(size, np.inf, np.float32)
    is_perspective = view.height is None
    _splat(
        image, depth, xyz, colors, view.camera_from_points, view.intrinsics(size), is_perspective, point_size, radius
    )
    return image, depth


def _splat(
    image: UInt8[np.ndarray, "height width 3"],
    depth: Float32[np.ndarray, "height width"],
    xyz: Float[np.ndarray, "points 3"],
    colors: UInt8[np.ndarray, "points 3"],
    camera_from_points: Float64[np.ndarray, "4 4"],
    intrinsics: Float64[np.ndarray, "3 3"],
    is_perspective: bool,
    point_size: float | int,
    radius: float | int,
) -> None:
    pose = np.ascontiguousarray(camera_from_points, np.float64)
    _splat_kernel(image, depth, xyz, np.ascontiguousarray(colors), pose, intrinsics, is_perspective, point_size, radius)


@compiled
def _splat_kernel(image, depth, xyz, colors, pose, intrinsics, is_perspective, point_size, radius):
    rows, columns = depth.shape
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    for i in range(len(xyz)):
        # Rounded to float32 only after the transform: world coordinates reach thousands of meters.
        px, py, pz = np.float64(xyz[i, 0]), np.float64(xyz[i, 1]), np.float64(xyz[i, 2])
        x = np.float32(pose[0, 0] * px + pose[0, 1] * py + pose[0, 2] * pz + pose[0, 3])
        y = np.float32(pose[1, 0] * px + pose[1, 1] * py + pose[1, 2] * pz + pose[1, 3])
        z = np.float32(pose[2, 0] * px + pose[2, 1] * py + pose[2, 2] * pz + pose[2, 3])
        # Written so that NaN falls out as well.
        if not (z > NEAR and np.isfinite(x) and np.isfinite(y) and np.isfinite(z)):
            continue
        scale = 1.0 / z if is_perspective else 1.0
        column, row = fx * x * scale + cx, fy * y * scale + cy
        edge = max(point_size, 2.0 * radius * fy * scale)
        half = 0.5 * min(edge, 64.0)
        if not (column + half > 0 and row + half > 0 and column - half < columns and row - half < rows):
            continue
        # The pixels whose centers lie in the square.
        top, bottom = max(0, int(np.ceil(row - half))), min(rows - 1, int(np.ceil(row + half)) - 1)
        left, right = max(0, int(np.ceil(column - half))), min(columns - 1, int(np.ceil(column + half)) - 1)
        for v in range(top, bottom + 1):
            for u in range(left, right + 1):
                if z < depth[v, u]:
                    depth[v, u] = z
                    image[v, u, 0] = colors[i, 0]
                    image[v, u, 1] = colors[i, 1]
                    image[v, u, 2] = colors[i, 2]


def shade(
    image: UInt8[np.ndarray, "height width 3"], depth: Float32[np.ndarray, "height width"], strength: float | int = 6.0
) -> UInt8[np.ndarray, "height width 3"]:
    """Darken what lies behind its neighbors in the picture (eye-dome lighting: Boucheny, 2009)."""
    return _shade_kernel(image, np.log(depth), np.float32(strength))


@compiled
def _shade_kernel(image, log_depth, strength):
    rows, columns = log_depth.shape
    shaded = image.copy()
    for v in range(rows):
        for u in range(columns):
            here = log_depth[v, u]
            if not np.isfinite(here):
                continue
            step = np.float32(0)
            for dv, du in ((-2, 0), (2, 0), (0, -2), (0, 2)):
                row, column = v + dv, u + du
                if 0 <= row < rows and 0 <= column < columns and np.isfinite(log_depth[row, column]):
                    step += min(max(np.float32(0), here - log_depth[row, column]), np.float32(0.25))
            if step == 0:
                continue
            light = np.exp(-strength * step * np.float32(0.25))
            for channel in range(3):
                shaded[v, u, channel] = np.uint8(image[v, u, channel] * light)
    return shaded

"""Open3D without a display, as a program that draws what its standard input asks for.

It runs in a process of its own because a graphics driver that fails may abort the whole process. Requests and answers
are pickles over pipes; `ps3d.visualization.renderers.Open3DRenderer` starts it and is the only one who talks to it.
"""

import os
import pickle
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Request:
    """One picture: points (float32, in the camera's frame, rounded late), colors, intrinsics and (height, width)."""

    local: np.ndarray
    colors: np.ndarray
    intrinsics: np.ndarray
    is_perspective: bool
    size: tuple[int, int]
    point_size: float
    background: tuple[int, int, int]


class _Window:
    """One hidden window; a new one for each size."""

    def __init__(self, size: tuple[int, int]) -> None:
        import open3d as o3d

        self.o3d, self.size = o3d, size
        self.visualizer = o3d.visualization.Visualizer()
        if not self.visualizer.create_window(width=size[1], height=size[0], visible=False):
            raise RuntimeError("Open3D could not create an offscreen window (it needs libegl1 and libgl1)")
        self.cloud = o3d.geometry.PointCloud()

    def draw(self, request: Request) -> tuple[np.ndarray, np.ndarray]:
        o3d, options = self.o3d, self.visualizer.get_render_option()
        options.light_on = False
        options.point_size = float(request.point_size)
        options.background_color = np.array(request.background) / 255
        points, matrix = request.local.astype(np.float64), request.intrinsics.copy()
        if not request.is_perspective:
            # Open3D's cameras have perspective: move each point outward by what perspective takes away.
            middle = float(np.median(points[:, 2])) if len(points) else 1.0
            points[:, :2] *= points[:, 2:] / middle
            matrix[:2, :2] *= middle
        colors = request.colors / 255
        if not (points != points[:1]).any(0).all():
            # Open3D draws nothing of a flat or empty cloud: give it extent behind the camera.
            points = np.concatenate([points, [[-1.0, -1, -2], [1, 1, -1]]])
            colors = np.concatenate([colors, np.zeros((2, 3))])
        self.cloud.points = o3d.utility.Vector3dVector(points)
        self.cloud.colors = o3d.utility.Vector3dVector(colors)
        self.visualizer.clear_geometries()
        self.visualizer.add_geometry(self.cloud)
        self._aim(matrix)
        self.visualizer.poll_events()
        self.visualizer.update_renderer()
        color = np.array(self.visualizer.capture_screen_float_buffer(False), np.float32)
        depth = np.array(self.visualizer.capture_depth_float_buffer(False), np.float32)
        depth[depth <= 0] = np.inf
        # In place, and cut off above a half instead of rounded: a third of the time.
        color *= 255
        color += 0.5
        return color.astype(np.uint8), depth

    def _aim(self, matrix: np.ndarray) -> None:
        camera = self.o3d.camera.PinholeCameraParameters()
        height, width = self.size
        camera.intrinsic = self.o3d.camera.PinholeCameraIntrinsic(
            width, height, matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
        )
        camera.extrinsic = np.eye(4)
        if not self.visualizer.get_view_control().convert_from_pinhole_camera_parameters(camera, True):
            raise RuntimeError("Open3D refused the camera")


def main() -> None:
    """Answer requests until standard input ends."""
    # Open3D and the driver print to standard output: give them standard error and keep the pipe for answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    window: _Window | None = None
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: Any
        try:
            if window is None or window.size != request.size:
                if window is not None:
                    window.visualizer.destroy_window()
                window = _Window(request.size)
            answer = window.draw(request)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()

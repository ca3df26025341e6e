"""Casting rays at meshes with Open3D, which is imported here and only when the first ray is cast."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from ps3d.ops.compiled import compiled
from ps3d.simulation.materials import NUMBER, Look
from ps3d.simulation.meshes import Mesh

MISSED = -1
"""Look of a ray that hits nothing."""

CORNERS = np.array([[x, y, z] for x in (False, True) for y in (False, True) for z in (False, True)])
"""Of a box: True where a corner has the higher coordinate."""

LOOK = np.dtype(
    [("semantic", "u1"), ("instance", "<u2"), ("material", "u1"), ("gain", "<f4"), ("color", "<f4", 3)]
)  # fmt: skip
"""One row for each appearance of a scene: see `Look`."""


def import_open3d() -> Any:
    """Open3D, or an error that tells how to get it.

    Raises:
        ImportError: Open3D is not installed, or a system library it needs is missing.
    """
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise ImportError(
            f"the simulator casts its rays with Open3D, which cannot be imported ({error}). Install it with "
            "`pip install open3d-cpu` (Linux without a GPU) or `pip install open3d`; on Debian and Ubuntu it also "
            "needs `apt-get install libegl1 libgl1 libusb-1.0-0`"
        ) from error
    return open3d


def look_table(looks: tuple[Look, ...]) -> np.ndarray:
    """The appearances as an array of `LOOK`."""
    rows = [(x.semantic, x.instance, NUMBER[x.material], x.gain, x.color) for x in looks]
    return np.array(rows, LOOK)


@dataclass(frozen=True)
class Hits:
    """Where rays hit; arrays have one entry for each ray.

    Attributes:
        distance: in lengths of the ray's direction vector; inf where nothing was hit.
        look: row of the scene's `looks`, or `MISSED`.
        normal: of the surface, either side.
    """

    distance: Float32[np.ndarray, "rays"]
    look: Int32[np.ndarray, "rays"]
    normal: Float32[np.ndarray, "rays 3"]


class RayScene:
    """A mesh that answers rays. Coordinates must be small: it computes in float32."""

    def __init__(self, mesh: Mesh) -> None:
        o3d = import_open3d()
        self.looks = look_table(mesh.looks)
        self.low, self.high = mesh.vertices.min(0), mesh.vertices.max(0)
        self._look_of_face = mesh.look_of_face
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        self._tensor = o3d.core.Tensor.from_numpy
        vertices = np.ascontiguousarray(mesh.vertices, np.float32)
        self._scene.add_triangles(self._tensor(vertices), self._tensor(mesh.faces.astype(np.uint32)))

    def cast(self, rays: Float32[np.ndarray, "rays 6"]) -> Hits:
        """Rays as origin and direction."""
        answer = self._scene.cast_rays(self._tensor(np.ascontiguousarray(rays, np.float32)), nthreads=1)
        distance = answer["t_hit"].numpy()
        look = np.empty(len(distance), np.int32)
        _looks(distance, answer["primitive_ids"].numpy(), self._look_of_face, look)
        return Hits(distance, look, answer["primitive_normals"].numpy())

    def is_covered(self, rays: Float32[np.ndarray, "rays 6"], reach: float = np.inf) -> np.ndarray:
        """Whether each ray meets anything within `reach` of its direction's length."""
        answer = self._scene.test_occlusions(
            self._tensor(np.ascontiguousarray(rays, np.float32)), tfar=reach, nthreads=1
        )
        return answer.numpy()


@compiled
def _looks(distance, face, look_of_face, look):
    for i in range(len(distance)):
        look[i] = look_of_face[face[i]] if np.isfinite(distance[i]) else MISSED

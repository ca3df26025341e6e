"""What surfaces are made of: how they answer a laser, and how they look in daylight.

Reflectivities are chosen so that the simulated intensity has the class means of real scans (docs/simulation.md).
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Material:
    """How one kind of surface answers a laser pulse, and a texture for the camera.

    Attributes:
        reflectivity: mean intensity (0..1) of a near, frontal hit.
        spread: standard deviation of the intensity from point to point, relative to the mean.
        zero_share: share of hits so dark or so specular that the sensor reports intensity 0 but still a range.
        drop_share: share of pulses that never come back, whatever the range (glass, polish).
        roughness: standard deviation of the range in meters beyond the sensor's own noise (leaves, grass).
        grain: strength of the camera's texture, relative to the color.
        texture: name of the camera's pattern, see `textures.py`.
    """

    reflectivity: float
    spread: float = 0.3
    zero_share: float = 0.02
    drop_share: float = 0.015
    roughness: float = 0.0
    grain: float = 0.08
    texture: str = "noise"


MATERIALS: dict[str, Material] = {
    "asphalt": Material(0.245, 0.33, 0.07, 0.012, 0.004, 0.16),
    "marking": Material(0.50, 0.25, 0.0, 0.01, 0.003, 0.05),
    "pavement": Material(0.305, 0.24, 0.012, 0.008, 0.004, 0.10, "slabs"),
    "curb": Material(0.32, 0.24, 0.02, 0.01, 0.003, 0.10),
    "gravel": Material(0.30, 0.30, 0.02, 0.01, 0.015, 0.25),
    "grass": Material(0.36, 0.26, 0.02, 0.01, 0.03, 0.30),
    "soil": Material(0.29, 0.26, 0.02, 0.01, 0.02, 0.25),
    "leaves": Material(0.385, 0.34, 0.02, 0.02, 0.03, 0.30),
    "bark": Material(0.34, 0.38, 0.05, 0.015, 0.015, 0.25),
    "plaster": Material(0.33, 0.24, 0.04, 0.01, 0.003, 0.05),
    "brick": Material(0.26, 0.32, 0.06, 0.01, 0.006, 0.12, "bricks"),
    "concrete": Material(0.29, 0.28, 0.05, 0.01, 0.004, 0.08),
    "stone": Material(0.26, 0.34, 0.06, 0.012, 0.012, 0.20, "bricks"),
    "tiles": Material(0.24, 0.34, 0.08, 0.015, 0.01, 0.15, "tiles"),
    "glass": Material(0.05, 0.9, 0.70, 0.62, 0.0, 0.02, "glass"),
    "window": Material(0.10, 0.9, 0.50, 0.55, 0.0, 0.02, "glass"),
    "wood": Material(0.31, 0.34, 0.05, 0.015, 0.006, 0.15, "planks"),
    "metal": Material(0.23, 0.65, 0.18, 0.06, 0.002, 0.04),
    "wire": Material(0.23, 0.55, 0.16, 0.12, 0.004, 0.04),
    "paint": Material(0.33, 0.40, 0.10, 0.06, 0.0, 0.02, "paint"),
    "dark_paint": Material(0.03, 1.1, 0.84, 0.10, 0.0, 0.02, "paint"),
    "rubber": Material(0.07, 0.7, 0.35, 0.05, 0.002, 0.05),
    "plastic": Material(0.16, 0.6, 0.25, 0.04, 0.002, 0.04),
    "lamp_glass": Material(0.35, 0.8, 0.20, 0.15, 0.0, 0.02),
    "reflector": Material(0.88, 0.25, 0.01, 0.01, 0.002, 0.02),
    "sign": Material(0.62, 0.50, 0.06, 0.015, 0.002, 0.02),
    "sign_back": Material(0.26, 0.55, 0.15, 0.03, 0.002, 0.02),
    "cloth": Material(0.31, 0.40, 0.05, 0.02, 0.012, 0.12),
    "skin": Material(0.34, 0.30, 0.02, 0.02, 0.006, 0.04),
    "canvas": Material(0.38, 0.25, 0.03, 0.015, 0.004, 0.03),
}
NAMES = tuple(MATERIALS)
NUMBER = {name: number for number, name in enumerate(NAMES)}


@dataclass(frozen=True)
class Look:
    """One appearance of faces: what it is, what it is made of, its color.

    Attributes:
        semantic: KITTI-360 label id.
        material: a name in `MATERIALS`.
        color: RGB 0..1 of the surface in white light.
        gain: this object's reflectivity relative to its material's mean.
        instance: the object's number within its label, 0 = none.
    """

    semantic: int
    material: str
    color: tuple[float, float, float]
    gain: float = 1.0
    instance: int = 0

    def numbered(self, instance_of: dict[int, int]) -> "Look":
        """The same look, with the number that `instance_of` has for its label."""
        return replace(self, instance=instance_of.get(self.semantic, 0))


def material_table() -> np.ndarray:
    """The laser properties of every material, one row per number: see `Material`."""
    rows = [(m.reflectivity, m.spread, m.zero_share, m.drop_share, m.roughness) for m in MATERIALS.values()]
    return np.array(rows, np.float32)

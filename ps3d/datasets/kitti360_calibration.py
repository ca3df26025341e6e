"""KITTI-360's calibration folder: six small files, read and written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float64

from ps3d.ops.atomic_file import atomic_write
from ps3d.ops.geometry import invert
from ps3d.structures import Calibration, Camera, FisheyeCamera

PERSPECTIVE = ("image_00", "image_01")
FISHEYE = ("image_02", "image_03")


@dataclass(frozen=True)
class Kitti360Calibration:
    """All that the folder says. The vehicle's frame is the GPS/IMU: x forward, y right, z down.

    Attributes:
        vehicle_from_camera: by camera image_00..image_03, before rectification.
        lidar_from_camera0: unrectified camera 0 to Velodyne.
        lidar_from_sick: planar SICK scanners to Velodyne.
        rectification: rectified from unrectified, for image_00 and image_01.
        projection: 3x4 matrices of the rectified cameras; the last column of image_01 holds the stereo baseline, so
            it belongs to points in rectified camera 0. Points in the camera's own frame need the left 3x3 only.
        size: (height, width) of the rectified pictures.
        fisheye: the MEI model of image_02 and image_03.
    """

    vehicle_from_camera: Mapping[str, Float64[np.ndarray, "4 4"]]
    lidar_from_camera0: Float64[np.ndarray, "4 4"]
    lidar_from_sick: Float64[np.ndarray, "4 4"]
    rectification: Mapping[str, Float64[np.ndarray, "3 3"]]
    projection: Mapping[str, Float64[np.ndarray, "3 4"]]
    size: Mapping[str, tuple[int, int]]
    fisheye: Mapping[str, FisheyeCamera]

    @property
    def vehicle_from_lidar(self) -> Float64[np.ndarray, "4 4"]:
        return self.vehicle_from_camera["image_00"] @ invert(self.lidar_from_camera0)

    def vehicle_from_rectified(self, camera: str) -> Float64[np.ndarray, "4 4"]:
        """The frame of a rectified camera; `world_from_vehicle @` this is cam0_to_world for image_00."""
        unrectified_from_rectified = np.eye(4)
        unrectified_from_rectified[:3, :3] = self.rectification[camera].T
        return self.vehicle_from_camera[camera] @ unrectified_from_rectified

    def cameras(self) -> Calibration:
        """What the rest of ps3d needs: rectified cameras, fisheye cameras and the LiDAR's place."""
        lidar_from_vehicle = invert(self.vehicle_from_lidar)
        pinhole = {
            name: Camera(
                self.projection[name][:, :3].copy(),
                invert(lidar_from_vehicle @ self.vehicle_from_rectified(name)),
                self.size[name],
            )
            for name in self.projection
        }
        fisheye = {
            name: replace(camera, camera_from_lidar=invert(lidar_from_vehicle @ self.vehicle_from_camera[name]))
            for name, camera in self.fisheye.items()
        }
        return Calibration(pinhole, self.vehicle_from_lidar, fisheye)


def _rigid(*numbers: float) -> Float64[np.ndarray, "4 4"]:
    """A 4x4 transform from its upper 3x4, row by row."""
    matrix = np.eye(4)
    matrix[:3] = np.array(numbers, np.float64).reshape(3, 4)
    return matrix


_FOCAL, _COLUMN, _ROW = 552.554261, 682.049453, 238.769549

KITTI360_CALIBRATION = Kitti360Calibration(
    vehicle_from_camera={
        "image_00": _rigid(
            0.0371783278, -0.0986182135, 0.9944306009, 1.5752681039, 0.9992675562, -0.0053553387,
            -0.0378902567, 0.0043914093, 0.0090621821, 0.9951109327, 0.0983468786, -0.65,
        ),
        "image_01": _rigid(
            0.0194000864, -0.1051529641, 0.9942668106, 1.59772414, 0.9997374956, -0.0100836652,
            -0.0205732716, 0.59814949, 0.0121891942, 0.9944049345, 0.104929737, -0.6488433108,
        ),
        "image_02": _rigid(
            0.9995185086, 0.0041276589, -0.0307524527, 0.7264036936, -0.0307926666, 0.0100608424,
            -0.9994751579, -0.1499658517, -0.003816097, 0.9999408692, 0.0101830998, -1.0686400091,
        ),
        "image_03": _rigid(
            -0.9996821702, 0.0005703407, -0.0252038325, 0.7016842127, -0.0252033830, 0.0007820814,
            0.9996820384, 0.746365095, 0.0005898709, 0.9999995315, -0.0007674583, -1.0751978255,
        ),
    },
    lidar_from_camera0=_rigid(
        0.04307104361, -0.08829286498, 0.995162929, 0.8043914418, -0.999004371, 0.007784614041,
        0.04392796942, 0.2993489574, -0.01162548558, -0.9960641394, -0.08786966659, -0.1770225824,
    ),
    lidar_from_sick=_rigid(
        0.9998328856, -0.01305514558, -0.01279702916, -0.3971222434, 0.01322436405, 0.9998250388,
        0.01322905751, -0.009085164561, 0.0126220829, -0.01339607931, 0.9998305997, -0.07072622777,
    ),
    rectification={
        "image_00": np.array(
            [[0.999974, -0.007141, -0.000089], [0.007141, 0.999969, -0.003247], [0.000112, 0.003247, 0.999995]]
        ),
        "image_01": np.array(
            [[0.999778, -0.012115, 0.017222], [0.012059, 0.999922, 0.003351], [-0.017261, -0.003143, 0.999846]]
        ),
    },
    projection={
        "image_00": np.array([[_FOCAL, 0, _COLUMN, 0], [0, _FOCAL, _ROW, 0], [0, 0, 1, 0]]),
        "image_01": np.array([[_FOCAL, 0, _COLUMN, -328.318735], [0, _FOCAL, _ROW, 0], [0, 0, 1, 0]]),
    },
    size={"image_00": (376, 1408), "image_01": (376, 1408)},
    fisheye={
        "image_02": FisheyeCamera(
            xi=2.2134047507854890, k1=1.6798235660113681e-02, k2=1.6548773243373522, p1=4.2223943394772046e-04,
            p2=4.2462134260997584e-04, gamma1=1.3363220825849971e03, gamma2=1.3357883350012958e03,
            u0=7.1694323510126321e02, v0=7.0576498308221585e02, camera_from_lidar=np.eye(4), size=(1400, 1400),
        ),
        "image_03": FisheyeCamera(
            xi=2.5535139132482758, k1=4.9370396274089505e-02, k2=4.5068455478645308, p1=1.3477698472982495e-03,
            p2=-7.0340482615055284e-04, gamma1=1.4854388981875156e03, gamma2=1.4849477411748708e03,
            u0=6.9888316784030962e02, v0=6.9814541887723055e02, camera_from_lidar=np.eye(4), size=(1400, 1400),
        ),
    },
)  # fmt: skip
"""The public calibration of the KITTI-360 car, for drives that are synthesized."""


def read_calibration(folder: str | Path) -> Kitti360Calibration:
    """Read `calibration/`. The SICK and fisheye files may be missing; the other three must be there.

    Raises:
        FileNotFoundError: a file that every reader needs is missing.
        ValueError: a file lacks an entry or has another number of values.
    """
    folder = Path(folder)
    pose = _read_entries(folder / "calib_cam_to_pose.txt")
    perspective = _read_entries(folder / "perspective.txt")
    files = (folder / "calib_cam_to_pose.txt", folder / "perspective.txt")
    cameras = {name: number for number, name in enumerate(PERSPECTIVE) if f"P_rect_{number:02d}" in perspective}
    if "image_00" not in cameras:
        raise ValueError(f"{files[1]}: no line P_rect_00; download the calibration again")
    sick = folder / "calib_sick_to_velo.txt"
    return Kitti360Calibration(
        {name: _rigid(*_numbers(files[0], pose, name, 12)) for name in {**cameras, **pose}},
        _read_rigid(folder / "calib_cam_to_velo.txt"),
        _read_rigid(sick) if sick.exists() else KITTI360_CALIBRATION.lidar_from_sick,
        {n: _numbers(files[1], perspective, f"R_rect_{i:02d}", 9).reshape(3, 3) for n, i in cameras.items()},
        {n: _numbers(files[1], perspective, f"P_rect_{i:02d}", 12).reshape(3, 4) for n, i in cameras.items()},
        {n: _size(_numbers(files[1], perspective, f"S_rect_{i:02d}", 2)) for n, i in cameras.items()},
        {name: read_fisheye(folder / f"{name}.yaml") for name in FISHEYE if (folder / f"{name}.yaml").exists()},
    )


def _size(width_height: Float64[np.ndarray, "2"]) -> tuple[int, int]:
    width, height = width_height
    return int(height), int(width)


def _read_entries(path: Path) -> dict[str, list[str]]:
    """Lines `name: values`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; get 'Calibrations' from the KITTI-360 download page")
    pairs = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return {name.strip(): values.split() for name, values in pairs}


def _numbers(path: Path, entries: Mapping[str, list[str]], name: str, count: int) -> Float64[np.ndarray, "count"]:
    if len(entries.get(name, [])) != count:
        raise ValueError(f"{path}: {name} has {len(entries.get(name, []))} numbers instead of {count}")
    try:
        return np.array(entries[name], np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: {name} is not numeric ({error})") from None


def _read_rigid(path: Path) -> Float64[np.ndarray, "4 4"]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; get 'Calibrations' from the KITTI-360 download page")
    return _rigid(*_numbers(path, {"the transform": path.read_text().split()}, "the transform", 12))


def read_fisheye(path: str | Path) -> FisheyeCamera:
    """A fisheye camera's MEI model from OpenCV's YAML, which a YAML parser refuses as it stands.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not readable, or a parameter is missing (named).
    """
    path = Path(path)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("%")]
    text = re.sub(r":(?=[^\s])", ": ", "\n".join(lines))
    try:
        content = yaml.safe_load(text)
        mirror, lens, projection = (content[f"{part}_parameters"] for part in ("mirror", "distortion", "projection"))
        values = {name: float(lens[name]) for name in ("k1", "k2", "p1", "p2")}
        values |= {name: float(projection[name]) for name in ("gamma1", "gamma2", "u0", "v0")}
        size = (int(content["image_height"]), int(content["image_width"]))
        return FisheyeCamera(xi=float(mirror["xi"]), **values, camera_from_lidar=np.eye(4), size=size)
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no MEI calibration of KITTI-360 ({error}); download it again") from error


def write_calibration(folder: str | Path, calibration: Kitti360Calibration = KITTI360_CALIBRATION) -> None:
    """Write the six files in the form the official parsers need: single blanks, none at the end of a line."""
    folder = Path(folder)
    camera_lines = [f"{name}: {_join(pose[:3])}" for name, pose in calibration.vehicle_from_camera.items()]
    _write_lines(folder / "calib_cam_to_pose.txt", camera_lines)
    _write_lines(folder / "calib_cam_to_velo.txt", [_join(calibration.lidar_from_camera0[:3])])
    _write_lines(folder / "calib_sick_to_velo.txt", [_join(calibration.lidar_from_sick[:3])])
    lines = []
    for number, name in enumerate(calibration.projection):
        height, width = calibration.size[name]
        lines.append(f"S_rect_{number:02d}: {width} {height}")
        lines.append(f"R_rect_{number:02d}: {_join(calibration.rectification[name])}")
        lines.append(f"P_rect_{number:02d}: {_join(calibration.projection[name])}")
    _write_lines(folder / "perspective.txt", lines)
    for name, camera in calibration.fisheye.items():
        _write_lines(folder / f"{name}.yaml", _fisheye_lines(name, camera))


def _join(values: np.ndarray) -> str:
    return " ".join(f"{value:.12g}" for value in values.reshape(-1))


def _fisheye_lines(name: str, camera: FisheyeCamera) -> list[str]:
    height, width = camera.size
    lines = ["%YAML:1.0", "model_type: MEI", f"camera_name: {name}", f"image_width: {width}", f"image_height: {height}"]
    groups = {
        "mirror": ("xi",),
        "distortion": ("k1", "k2", "p1", "p2"),
        "projection": ("gamma1", "gamma2", "u0", "v0"),
    }
    for group, parameters in groups.items():
        lines += [f"{group}_parameters:", *(f"   {key}: {getattr(camera, key):.16e}" for key in parameters)]
    return lines


def _write_lines(path: Path, lines: list[str]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")

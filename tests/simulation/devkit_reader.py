"""Reads data sets with the official kitti360scripts package: `devkit_reader.py ROOT...` prints what fails, as JSON.

A program of its own, because the package needs names that current numpy, matplotlib and PyYAML no longer have.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import matplotlib
import matplotlib.cm
import numpy as np
import PIL
import yaml
from PIL import Image

NAME = "2013_05_28_drive_0000_sync"


def restore_old_names() -> None:
    for name, value in {"int": int, "float": float, "bool": np.bool_}.items():
        if not hasattr(np, name):
            setattr(np, name, value)
    if not hasattr(matplotlib.cm, "get_cmap"):
        matplotlib.cm.get_cmap = lambda name=None, lut=None: matplotlib.colormaps[name or "viridis"]
    PIL.PILLOW_VERSION = PIL.__version__
    load = yaml.load
    yaml.load = lambda stream, Loader=yaml.SafeLoader: load(stream, Loader=Loader)


def read_everything(root: Path) -> list[str]:
    """Names of what the official code cannot read, or reads as something else than it is."""
    os.environ["KITTI360_DATASET"] = str(root)
    from kitti360scripts.devkits.commons import loadCalibration
    from kitti360scripts.helpers import annotation, labels, ply, project

    failed: list[str] = []

    @contextlib.contextmanager
    def check(name: str):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except (Exception, SystemExit) as error:
            failed.append(f"{name}: {type(error).__name__} {error}")

    with check("calibration"):
        folder = root / "calibration"
        assert len(loadCalibration.loadCalibrationCameraToPose(str(folder / "calib_cam_to_pose.txt"))) == 4
        loadCalibration.loadCalibrationRigid(str(folder / "calib_cam_to_velo.txt"))
        assert "P_rect_01" in loadCalibration.loadPerspectiveIntrinsic(str(folder / "perspective.txt"))
    camera = boxes = None
    with check("camera and poses"):
        camera = project.CameraPerspective(str(root), NAME, 0)
        assert (camera.width, camera.height) == (1408, 376)
        written = np.loadtxt(root / "data_poses" / NAME / "cam0_to_world.txt")
        for row in written[:5]:
            assert np.abs(camera.cam2world[row[0]] - row[1:].reshape(4, 4)).max() < 2e-2
    with check("boxes"):
        boxes = annotation.Annotation3D(str(root / "data_3d_bboxes"), NAME)
        with_instances = {label.id for label in labels.labels if label.hasInstances}
        assert boxes.objects
        assert all(number // 1000 in with_instances and number % 1000 for number in boxes.objects)
        assert all(len(by_time) == 1 for by_time in boxes.objects.values() if -1 in by_time)
        assert all(len(by_time) > 1 for by_time in boxes.objects.values() if -1 not in by_time)
    with check("points in boxes"):
        (window,) = (root / "data_3d_semantics/train" / NAME / "static").glob("*.ply")
        points = ply.read_ply(str(window))
        assert (points["instance"] // 1000 == points["semantic"]).all()
        assert ply.read_ply(str(window).replace("/static/", "/dynamic/")).dtype.itemsize == 32
        for number in np.unique(points["instance"]):
            if number % 1000 == 0:
                continue
            mine = points[points["instance"] == number]
            box = boxes.objects[int(number)][-1]
            xyz = np.stack([mine["x"], mine["y"], mine["z"]], 1).astype(float) - box.T
            local = xyz @ np.linalg.inv(box.R).T * np.linalg.norm(box.R, axis=0)
            assert (np.abs(local) < np.linalg.norm(box.R, axis=0) / 2 + 0.12).all(1).mean() > 0.9, number
    with check("pictures in boxes"):
        folder = root / "data_2d_semantics/train" / NAME / "image_00"
        file = sorted((folder / "semantic").glob("*.png"))[-1]
        frame = int(file.stem)
        semantic, instance = np.array(Image.open(file)), np.array(Image.open(folder / "instance" / file.name))
        reader = annotation.Annotation2D()
        reader.loadInstance(str(folder / "instance" / file.name), gtType="semantic", semanticCt=False, instanceCt=False)
        assert (reader.semanticId == semantic).all()
        assert (reader.semanticImg.astype(np.uint8) == np.array(Image.open(folder / "semantic_rgb" / file.name))).all()
        contained = []
        for number in np.unique(instance):
            by_time = boxes.objects.get(int(number), {})
            box = by_time.get(-1, by_time.get(frame))
            if number % 1000 == 0 or (instance == number).sum() < 150:
                continue
            (u, v), depth = camera.project_vertices(box.vertices, frame)
            if (depth < 0.5).any():
                continue
            row, column = np.nonzero(instance == number)
            contained.append(
                ((column > u.min() - 3) & (column < u.max() + 3) & (row > v.min() - 3) & (row < v.max() + 3)).mean()
            )
        assert np.mean(contained) > 0.97
    return failed


if __name__ == "__main__":
    restore_old_names()
    print(json.dumps({root: read_everything(Path(root)) for root in sys.argv[1:]}))

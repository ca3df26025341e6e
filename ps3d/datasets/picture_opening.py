"""Opening whatever pictures lie at a path: a known data set, an own folder, a video file, or bare pictures."""

from collections.abc import Sequence
from pathlib import Path

from ps3d.datasets import ade20k
from ps3d.datasets.ade20k import Ade20k
from ps3d.datasets.bdd100k import Bdd100k, is_bdd100k
from ps3d.datasets.cityscapes import Cityscapes, find_cities
from ps3d.datasets.coco import CocoPanoptic
from ps3d.datasets.json_file import read_json
from ps3d.datasets.kitti360_images import Kitti360Images
from ps3d.datasets.kitti360_labels import KITTI360_IMAGE
from ps3d.datasets.kitti360_layout import Kitti360Layout
from ps3d.datasets.kitti_step import KittiStep
from ps3d.datasets.panoptic_folder import CLASSES, PanopticFolder, open_folder
from ps3d.datasets.video_file import VIDEOS, VideoFile
from ps3d.datasets.vipseg import VipSeg, find_videos
from ps3d.datasets.vistas import Vistas, find_vistas_splits
from ps3d.datasets.waymo_pvps import WaymoPvps, find_cameras
from ps3d.ops.paths import existing_path
from ps3d.structures import Sequence as Drive
from ps3d.structures import Taxonomy


def open_pictures(
    path: str | Path,
    sequences: Sequence[str] | None = None,
    camera: str = "image_00",
    taxonomy: Taxonomy | None = None,
) -> list[Drive]:
    """All sequences of pictures at a path, or the named ones.

    Args:
        camera: of data sets with several.
        taxonomy: of bare pictures, which have no classes of their own: those of the model that shall see them.

    Raises:
        FileNotFoundError: nothing there that can be read.
    """
    path = existing_path(path)
    if path.suffix.lower() == ".json":
        return [Bdd100k(path) if is_bdd100k(path) else CocoPanoptic(path, _pictures_beside(path))]
    if path.suffix.lower() in VIDEOS:
        return [VideoFile(path, taxonomy or KITTI360_IMAGE)]
    layout = Kitti360Layout(path)
    if drives := layout.drives():
        wanted = sequences or [drive for drive in drives if layout.images(drive, camera).is_dir()]
        if not wanted:
            raise FileNotFoundError(f"{path}: KITTI-360 without pictures of {camera} (data_2d_raw/)")
        return [Kitti360Images(path, drive, camera, taxonomy or KITTI360_IMAGE) for drive in wanted]
    if (path / CLASSES).is_file():
        return list(open_folder(path, sequences))
    if (path / "leftImg8bit").is_dir() and (cities := find_cities(path)):
        return [Cityscapes(path, city) for city in sequences or cities]
    if (path / "panoptic_maps").is_dir():
        names = sequences or sorted(folder.name for folder in path.glob("panoptic_maps/*/*") if folder.is_dir())
        return [KittiStep(path, name) for name in names]
    if annotations := sorted(path.glob("annotations/panoptic_*.json")):
        wanted = [file for file in annotations if not sequences or file.stem in sequences]
        return [CocoPanoptic(file, _coco_images(path, file)) for file in wanted]
    if list(path.glob("config*.json")) and (splits := find_vistas_splits(path)):
        return [Vistas(path, split) for split in sequences or splits]
    if (path / "annotations").is_dir() and ade20k.find_table(path, ade20k.NAMES):
        return [Ade20k(path, split) for split in sequences or ade20k.find_splits(path)]
    if videos := find_videos(path):
        return [VipSeg(path, video) for video in sequences or videos]
    if cameras := find_cameras(path):
        return [WaymoPvps(path, name) for name in sequences or cameras]
    if annotations := find_bdd100k(path):
        return [Bdd100k(file) for file in annotations if not sequences or file.stem in sequences]
    return [PanopticFolder(path, taxonomy or KITTI360_IMAGE)]


def is_picture_data(path: Path) -> bool:
    """Whether an own folder or a data set of pictures lies there; not bare pictures, KITTI-360 or videos."""
    marks = (CLASSES, "leftImg8bit", "panoptic_maps", "annotations", "config*.json")
    if any(any(path.glob(mark)) for mark in marks):
        return True
    return bool(find_videos(path) or find_cameras(path) or find_bdd100k(path))


def find_bdd100k(root: Path) -> list[Path]:
    """The JSON files of BDD100K in a folder."""
    return [path for path in sorted(root.glob("*.json")) if is_bdd100k(path)]


def _pictures_beside(annotations: Path) -> Path:
    """The folder beside a panoptic JSON, or beside its folder, that holds the first of its pictures."""
    images = read_json(annotations).get("images") or [{"file_name": ""}]
    name, root = images[0]["file_name"], annotations.parent
    found = [*root.glob(f"*/{name}"), *root.parent.glob(f"*/{name}"), *root.parent.glob(f"images/*/{name}")]
    folders = [path.parent for path in sorted(found) if path.is_file()]
    return folders[0] if folders else root / "images"


def _coco_images(root: Path, annotations: Path) -> Path:
    """The folder of a JSON's pictures: panoptic_train2017.json -> train2017/ or images/train2017/."""
    split = annotations.stem.removeprefix("panoptic_")
    return next((p for p in (root / split, root / "images" / split) if p.is_dir()), root / "images")

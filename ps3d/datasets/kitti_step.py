"""KITTI-STEP: videos with panoptic labels; persons and cars keep their numbers through a sequence."""

from dataclasses import replace
from pathlib import Path

from ps3d.datasets.cityscapes import CITYSCAPES
from ps3d.datasets.panoptic_folder import read_picture
from ps3d.datasets.panoptic_png import read_step
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.structures import VOID, Calibration, Frame, Image, Taxonomy

CAMERA = "image_02"
PERIOD = 0.1
_TRACKED = ("person", "car")

KITTI_STEP = Taxonomy(
    "kitti_step",
    tuple(
        replace(category, raw_ids=(place,), is_thing=category.name in _TRACKED)
        for place, category in enumerate(CITYSCAPES.categories)
    ),
    (VOID,),
)
"""Raw ids are Cityscapes' train ids. Persons and cars without a number are crowds."""


class KittiStep(PictureSequence):
    """One sequence; a `ps3d.structures.Sequence`."""

    def __init__(self, root: str | Path, sequence: int | str, taxonomy: Taxonomy = KITTI_STEP) -> None:
        """
        Args:
            root: holds panoptic_maps/{train,val}/SSSS/FFFFFF.png and {training,testing}/image_02/SSSS/FFFFFF.png.

        Raises:
            FileNotFoundError: no pictures of this sequence.
        """
        root = Path(root)
        self.name = f"{sequence:04d}" if isinstance(sequence, int) else sequence
        self.taxonomy, self.calibration = taxonomy, Calibration()
        self.files = sorted(file for file in root.glob(f"*/image_02/{self.name}/*") if file.suffix in (".png", ".jpg"))
        if not self.files:
            raise FileNotFoundError(f"{root}: no training/image_02/{self.name}/ with pictures")
        self._labels = {file.stem: file for file in root.glob(f"panoptic_maps/*/{self.name}/*.png")}

    def __getitem__(self, position: int) -> Frame:
        """Read the picture at a position 0..len-1.

        Raises:
            IndexError: no such position.
            ValueError: a damaged file, named.
        """
        path = self.files[position]
        label = self._labels.get(path.stem)
        truth = {} if label is None else {CAMERA: read_step(label, self.taxonomy)}
        index = int(path.stem)
        image = Image(read_picture(path))
        return Frame(index, index * PERIOD, images={CAMERA: image}, truth=truth, source=str(path))

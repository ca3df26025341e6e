"""Can an image network learn 16 simulated pictures by heart? Prints its panoptic quality on the same pictures.

python tools/benchmark.py image_overfit --architecture mask2former

The pictures are windows of 96 x 128 around near objects of simulated drives, made at the first call. Everything about
the run, with its pictures, is in the run's folder.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from ps3d.datasets.kitti360_layout import drive_name
from ps3d.datasets.panoptic_folder import write_classes, write_frame
from ps3d.datasets.picture_augmentation import NONE
from ps3d.datasets.picture_crops import cut_around_objects
from ps3d.datasets.picture_opening import open_pictures
from ps3d.engine.checkpoint import find_weights, read_weights
from ps3d.engine.config import EvaluationSettings, SimulationSettings, TrainSettings
from ps3d.engine.image_config import ImageModelSettings, ImageTraining, PictureFusion, PictureSettings
from ps3d.engine.image_run import run_image_training

DRIVES = {2000: 6, 2001: 5, 2002: 5}
"""Number of a simulated drive, which is its seed, and how many pictures are cut out of it."""

SEQUENCE = "crops"


@dataclass(frozen=True)
class Recipe:
    """How an architecture learns the pictures; what is not named here is the same for all.

    Attributes:
        scale: of the network's input to the pictures.
        queries: of query networks; the pictures have at most a dozen segments.
        seed: of the network's first weights and the order of the pictures.
    """

    steps: int = 800
    lr: float = 2e-3
    scale: float = 1.0
    queries: int = 0
    seed: int = 0


RECIPES = {
    "deeplab": Recipe(steps=1000),
    "panoptic_fpn": Recipe(steps=600),
    "fcn_mask_rcnn": Recipe(scale=1.5, lr=3e-3),
    "mask2former": Recipe(queries=20),
    "maskformer": Recipe(steps=1500, queries=20),
    "oneformer": Recipe(queries=20),
    "detr": Recipe(steps=2000, queries=20, lr=1e-3, seed=2),
    "eomt": Recipe(steps=700, queries=20, lr=1.5e-3),
}
"""docs/results/images.md says which of them were run, and what came out."""


def main() -> None:
    """Make the pictures, train, score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=sorted(RECIPES), default="deeplab")
    parser.add_argument("--data", type=Path, default=Path("data/overfit16"), help="folder of the pictures")
    parser.add_argument("--runs", default="runs/overfit16")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--scale", type=float)
    parser.add_argument("--queries", type=int)
    parser.add_argument("--every", type=int, default=0, help="steps between scores in the run's log")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    make_pictures(options.data)
    recipe = RECIPES[options.architecture]
    given = {name: getattr(options, name) for name in ("steps", "lr", "scale", "queries", "seed")}
    recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
    config = replace(configure(options.architecture, recipe, options.data, options.runs), seed=recipe.seed)
    config = replace(config, train=replace(config.train, validate_every=options.every))
    began = time.process_time()
    run = run_image_training(config)
    seconds = time.process_time() - began
    state, _ = read_weights(find_weights(run))
    figures = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["all"]["values"]
    millions = sum(value.numel() for value in state.values()) / 1e6
    print(f"{options.architecture}: {millions:.2f} M parameters, {recipe.steps} steps, {seconds:.0f} CPU s, ", end="")
    names = {"pq": "PQ", "sq": "SQ", "rq": "RQ", "pq_things": "PQ things", "pq_stuff": "PQ stuff", "miou": "mIoU"}
    print(", ".join(f"{name} {100 * figures[key]:.1f}" for key, name in names.items()))


def make_pictures(root: Path) -> None:
    """Simulate the drives and write the 16 pictures as an own folder, if they are not there yet."""
    if (root / SEQUENCE).is_dir():
        return
    from ps3d.simulation import simulate_drives  # loads Open3D

    drives = root.with_name(f"{root.name}_drives")
    print(f"simulating {len(DRIVES)} drives in {drives}")
    simulate_drives(drives, [(number, 12, 25.0) for number in DRIVES], cameras=1)
    frames = [
        frame
        for number, count in DRIVES.items()
        for frame in islice(cut_around_objects(open_pictures(drives, [drive_name(number)])[0]), count)
    ]
    write_classes(root, open_pictures(drives)[0].taxonomy)
    for place, frame in enumerate(frames):
        (image,), (label,) = frame.images.values(), frame.truth.values()
        write_frame(root, SEQUENCE, f"{place:06d}", image.rgb, label)


def configure(architecture: str, recipe: Recipe, data: Path, runs: str) -> ImageTraining:
    """The training of a recipe: no augmentation, no weight decay, a short mean of the weights."""
    side = round(128 * recipe.scale)
    return ImageTraining(
        name=architecture,
        runs=runs,
        simulation=SimulationSettings(folder=""),
        data=PictureSettings(root=str(data), train=(SEQUENCE,), validation=(SEQUENCE,)),
        model=ImageModelSettings(
            architecture,  # type: ignore[arg-type]
            "tiny",
            queries=recipe.queries,
            scale=recipe.scale,
            side=side,
        ),
        augmentation=NONE,
        train=TrainSettings(
            steps=recipe.steps,
            batch=4,
            scans_per_pass=4,
            processes=1,
            lr=recipe.lr,
            weight_decay=0.0,
            warmup=0.05,
            ema=0.97,
            log_every=50,
            save_every=10**6,
        ),
        fusion=PictureFusion(score=0.5, kernel=7, stuff_minimum=32),
        evaluation=EvaluationSettings(rules="coco", pictures=4),
    )


if __name__ == "__main__":
    main()

"""Fusion of a picture of 1024 x 2048: pixels to centers against a loop over centers, and the memory of 100 masks."""

import resource
import time
from collections.abc import Callable

import numpy as np
import torch
import tyro

from ps3d.fusion import CenterFusion, fuse_centers, fuse_masks
from ps3d.structures import Category, CenterPrediction, MaskPrediction, Taxonomy

SIZE = (1024, 2048)


def street() -> Taxonomy:
    """Nineteen classes, the last eight of them things, as in Cityscapes."""
    return Taxonomy("street", tuple(Category(f"class {i}", (i + 1,), i >= 11, (i, i, i)) for i in range(19)))


def crowded_street(centers: int, seed: int) -> CenterPrediction:
    """A picture whose lower half is things, in full size, with so many peaks."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.random((19, *SIZE), dtype=np.float32))
    logits[13, SIZE[0] // 2 :] += 1
    heat = torch.zeros(SIZE)
    rows = rng.choice(np.arange(520, 1020, 10), centers)
    columns = rng.choice(np.arange(5, 2040, 10), centers, replace=False)
    heat[rows, columns] = torch.from_numpy(rng.uniform(0.3, 1, centers).astype(np.float32))
    offsets = torch.from_numpy(rng.normal(0, 5, (2, *SIZE)).astype(np.float32))
    return CenterPrediction(logits, heat, offsets)


def fuse_by_loop(prediction: CenterPrediction, taxonomy: Taxonomy) -> np.ndarray:
    """The published way: a map of distances to each center, then a mask and a vote for each object."""
    semantic = prediction.class_logits.argmax(dim=0)
    heat = prediction.heat
    pooled = torch.nn.functional.max_pool2d(heat[None], 7, 1, 3)[0]
    centers = torch.nonzero((heat == pooled) & (heat > 0.1)).float()
    grid = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    moved = (torch.stack(grid).float() + prediction.offsets).reshape(2, -1).T
    distance = torch.stack([torch.linalg.norm(moved - center, dim=1) for center in centers])
    nearest = distance.argmin(dim=0).reshape(SIZE) + 1
    is_thing = torch.isin(semantic, torch.tensor(taxonomy.thing_ids()))
    instance = torch.where(is_thing, nearest, 0)
    painted = torch.full(SIZE, 255)
    for number in range(1, len(centers) + 1):
        mask = (instance == number) & is_thing
        if mask.any():
            painted[mask] = torch.mode(semantic[mask]).values
    for class_id in range(11):
        mask = (semantic == class_id) & ~is_thing
        if mask.sum() >= 2048:
            painted[mask] = class_id
    return painted.numpy()


def crowd_of_masks(queries: int, seed: int) -> MaskPrediction:
    """So many sure queries with coarse masks, a quarter of the picture's size."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.zeros(queries, 20)
    classes[torch.arange(queries), torch.arange(queries) % 19] = 9.0
    masks = torch.randn(queries, SIZE[0] // 4, SIZE[1] // 4, generator=generator)
    return MaskPrediction(classes, masks, SIZE)


def cpu_seconds(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(centers: int = 60, queries: int = 100, repeats: int = 3, seed: int = 0) -> None:
    torch.set_num_threads(1)
    taxonomy = street()
    masks = crowd_of_masks(queries, seed)
    before = peak_megabytes()
    seconds = cpu_seconds(lambda: fuse_masks(masks, taxonomy))
    grown = peak_megabytes() - before
    everything = queries * SIZE[0] * SIZE[1] * 4 / 2**20
    print(f"fuse_masks: {queries} masks, {seconds:.2f} s CPU, +{grown:.0f} MB at the peak")
    print(f"            (all masks in full size at once: {everything:.0f} MB)")
    picture = crowded_street(centers, seed)
    same = (fuse_centers(picture, taxonomy, CenterFusion()).semantic == fuse_by_loop(picture, taxonomy)).mean()
    ours, loop = [], []
    for _ in range(repeats):
        ours.append(cpu_seconds(lambda: fuse_centers(picture, taxonomy)))
        loop.append(cpu_seconds(lambda: fuse_by_loop(picture, taxonomy)))
    ratio = np.median(loop) / np.median(ours)
    print(f"fuse_centers: {centers} centers, {np.median(ours):.2f} s CPU; loop over centers {np.median(loop):.2f} s")
    print(f"              {ratio:.1f} times as fast, {same:.4%} of the pixels alike")


def main() -> None:
    tyro.cli(measure, description=__doc__)


if __name__ == "__main__":
    main()

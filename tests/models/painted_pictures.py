"""Pictures for tests: sky over ground with discs and boxes of slightly varying color on them."""

import numpy as np

from ps3d.structures import VOID, Category, Frame, Image, Panoptic, Taxonomy

PAINTED = Taxonomy(
    "painted",
    (
        Category("ground", (1,), False, (90, 70, 50)),
        Category("disc", (2,), True, (200, 40, 40)),
        Category("sky", (3,), False, (120, 160, 220)),
        Category("box", (4,), True, (40, 60, 200)),
    ),
)
GROUND, DISC, SKY, BOX = range(4)


def paint_frame(index: int, size: tuple[int, int] = (96, 128), things: int = 4, seed: int = 0) -> Frame:
    """A picture with so many things, half of them discs; later ones hide earlier ones."""
    rng = np.random.default_rng([seed, index])
    height, width = size
    row, column = np.mgrid[:height, :width]
    semantic = np.where(row < height * rng.uniform(0.2, 0.45), SKY, GROUND).astype(np.uint8)
    instance = np.zeros(size, np.int32)
    for number in range(1, things + 1):
        y, x = rng.uniform(0.3, 0.9) * height, rng.uniform(0.05, 0.95) * width
        reach = rng.uniform(0.08, 0.16) * height
        is_disc = number % 2 == 1
        inside = (
            (row - y) ** 2 + (column - x) ** 2 < reach**2
            if is_disc
            else (abs(row - y) < reach) & (abs(column - x) < 1.4 * reach)
        )
        semantic[inside], instance[inside] = DISC if is_disc else BOX, number
    rgb = PAINTED.colors[semantic].astype(float) + rng.normal(0, 6, (*size, 3))
    # Each thing has a shade of its own, so that touching ones can be told apart.
    rgb += (rng.uniform(-25, 25, (things + 1, 3)) * (np.arange(things + 1) > 0)[:, None])[instance]
    image = Image(np.clip(rgb, 0, 255).astype(np.uint8))
    semantic[:2] = VOID
    return Frame(index, 0.1 * index, images={"camera": image}, truth={"camera": Panoptic(semantic, instance)})

"""What stands between road and sidewalk, and at the corners where streets meet."""

import numpy as np

from ps3d.simulation.plot import KEEP_OUT, Plot
from ps3d.simulation.sections import PARKING, SIDEWALK, VERGE


def furnish_curb(plot: Plot) -> None:
    """Lamps, signs, street trees, bins, bicycles and so on between curb and sidewalk."""
    rng, side, section = plot.rng, plot.side, plot.section
    walk = side.width(VERGE) + side.width(SIDEWALK)
    outer = side.edges[SIDEWALK]
    if side.has_track:
        line = side.edges[VERGE] + 0.35
        if rng.random() < 0.8:
            middle = 0.5 * (side.inner(VERGE) + side.edges[VERGE])
            plot.put("train", section.middle, middle, (19.5, 1.5), inside=False)
    else:
        line = side.edges[PARKING] + 0.40
    line = max(line, KEEP_OUT + 0.35)
    if side.width(VERGE) > 0.9 and not side.has_track and rng.random() < 0.85:
        _plant_verge(plot)
    spacing = rng.uniform(16, 30)
    poles = "lamp" if rng.random() < 0.8 else "pole"
    for s in plot.spots(spacing, 0.2):
        # The item's frame on the left side is turned, so that +y points to the street on either side.
        plot.put(poles, s, line, (0.2, 0.2), yaw=np.pi)
    for s in plot.spots(rng.uniform(9, 22)):
        kind = str(rng.choice(["sign", "street name", "billboard"], p=[0.8, 0.12, 0.08]))
        plot.put(
            kind,
            s,
            line + rng.uniform(-0.05, 0.2),
            (0.3, 0.5 if kind != "billboard" else 1.1),
            yaw=np.pi + float(rng.normal(0, 0.1)),
        )
    has_trees = rng.random() < (0.75 if walk > 2.2 else 0.15)
    if has_trees:
        kind = str(rng.choice(["round", "columnar", "young", "spreading"], p=[0.45, 0.2, 0.25, 0.1]))
        for s in plot.spots(rng.uniform(6.5, 11), 0.15):
            is_near = line < 6.5 and kind in ("spreading", "round")
            crown_base = 4.4 if is_near else float(rng.uniform(2.2, 3.0))
            plot.plant(s, line + 0.25, (kind, "columnar", "young"), 9.5 if is_near else 0.0, crown_base=crown_base)
    for s in plot.spots(11):
        if rng.random() < 0.35:
            plot.put("bin", s, outer - 0.35, (0.7, 0.35), yaw=float(rng.normal(0, 0.2)))
        elif rng.random() < 0.18:
            plot.put("cabinet", s, outer - 0.3, (0.8, 0.3))
        elif rng.random() < 0.22:
            for k in range(int(rng.integers(1, 5))):
                along = rng.random() < 0.5
                plot.put("bicycle", s + 0.8 * k, outer - (0.4 if along else 0.95), (0.4, 0.35 if along else 0.95),
                         yaw=0.0 if along else np.pi / 2 + rng.normal(0, 0.1))  # fmt: skip
        elif rng.random() < 0.06:
            plot.put("vending machine", s, outer - 0.3, (0.5, 0.3))
    if rng.random() < 0.22:
        for s in np.arange(section.start + 2, section.end - 2, 2.0)[: int(rng.integers(4, 12))]:
            plot.put("bollard", float(s), line - 0.1, (0.15, 0.15))
    if section.quarter in ("urban", "village") and rng.random() < 0.25 and walk > 2.4:
        plot.put("bus stop", section.middle, outer - 1.5, (2.5, 0.8))
    for s in plot.spots(26):
        if rng.random() < 0.4:
            d = outer - 0.35
            for k in range(int(rng.integers(1, 4))):
                plot.put(
                    "person", s + 0.55 * k, d + rng.uniform(-0.1, 0.15), (0.26, 0.26), yaw=float(rng.uniform(0, 6.3))
                )


def _plant_verge(plot: Plot) -> None:
    """Low bushes in the strip between road and sidewalk."""
    rng, side = plot.rng, plot.side
    middle = 0.5 * (side.inner(VERGE) + side.edges[VERGE])
    radius = min(0.5 * side.width(VERGE) - 0.02, 0.9)
    for s in plot.spots(1.7 * radius + 0.3):
        if rng.random() < 0.8:
            plot.put("bush", s, middle, (0.8 * radius, 0.8 * radius), radius=float(radius * rng.uniform(0.7, 1.0)))


def furnish_corner(plot: Plot) -> None:
    """Lights, signs and bollards where streets meet, and someone who waits."""
    rng, side = plot.rng, plot.side
    s, d = plot.section.middle, max(side.edges[PARKING] + 0.6, KEEP_OUT + 0.6)
    if plot.section.quarter in ("urban", "industrial", "parkland") and rng.random() < 0.8:
        plot.put("traffic light", s, d, (0.3, 0.4), yaw=np.pi)
    elif rng.random() < 0.8:
        plot.put("sign", s, d, (0.3, 0.4), yaw=np.pi)
    if rng.random() < 0.4:
        plot.put("street name", s, d + 1.4, (0.7, 0.3), yaw=float(rng.choice([0, np.pi / 2])))
    for k in range(int(rng.integers(0, 4))):
        if rng.random() < 0.5:
            plot.put("person", s + rng.uniform(-0.5, 0.5), d + 2.2 + 0.7 * k, (0.3, 0.3), yaw=float(rng.uniform(0, 6)))
    for d_fence in np.arange(side.edges[SIDEWALK] + 2, 40, 5.0):
        if rng.random() < 0.6:
            kind = str(rng.choice(["fence", "hedge", "wall"]))
            options: dict = {"length": 5.0}
            if kind == "hedge":
                options |= {"height": float(rng.uniform(0.8, 2)), "thickness": 0.7}
            plot.put(kind, s, float(d_fence) + 2.5, (0.4, 2.5), yaw=np.pi / 2, **options)

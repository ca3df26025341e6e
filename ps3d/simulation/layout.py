"""Where everything stands: furnishing the sections of a street, without anything in anything else."""

from dataclasses import replace

import numpy as np

from ps3d.simulation.curb import furnish_corner, furnish_curb
from ps3d.simulation.items import MAKERS, InstanceNumbers, Item
from ps3d.simulation.meshes import Real
from ps3d.simulation.plot import KEEP_OUT, Plot
from ps3d.simulation.sections import PARKING, ROAD, SIDEWALK, Section


def furnish(section: Section, seed: list[int], rare: list[str]) -> list[Item]:
    """All that stands still in a section. Vehicles named in `rare` are parked first, and taken from the list."""
    items: list[Item] = []
    for sign, side in ((1, section.left), (-1, section.right)):
        rng = np.random.default_rng([*seed, section.number, sign + 1])
        plot = Plot(section, side, sign, rng, rare)
        if side.use == "street":
            _furnish_street(plot)
        elif side.use == "corner":
            furnish_corner(plot)
        else:
            _park(plot)
            FURNISH[side.use](plot)
            furnish_curb(plot)
        items += plot.items
    return items


def number_items(items: list[Item], numbers: InstanceNumbers) -> list[Item]:
    """The same items with the numbers of their objects."""
    return [replace(item, instance_of=numbers.take(MAKERS[item.kind][1])) for item in items]


LENGTHS = {"car": 4.6, "truck": 8.6, "bus": 13.2, "caravan": 6.8, "trailer": 6.2, "motorcycle": 2.1, "transporter": 6.1}


def _draw_parked(rng: np.random.Generator, quarter: str) -> str:
    kinds = ("car", "transporter", "truck", "bus", "caravan", "trailer", "motorcycle")
    shares = {
        "industrial": (0.60, 0.10, 0.16, 0.03, 0.02, 0.07, 0.02),
        "urban": (0.80, 0.05, 0.05, 0.02, 0.01, 0.01, 0.06),
    }
    share = np.array(shares.get(quarter, (0.83, 0.05, 0.03, 0.005, 0.025, 0.02, 0.04)))
    return kinds[int(rng.choice(len(kinds), p=share / share.sum()))]


def _park(plot: Plot) -> None:
    """Vehicles in the parking lane, bumper to bumper with gaps."""
    side, rng, section = plot.side, plot.rng, plot.section
    if side.width(PARKING) < 1.5 or section.length < 8:
        return
    middle = side.edges[ROAD] + 0.5 * side.width(PARKING)
    fill = rng.uniform(0.32, 0.78)
    s = section.start + rng.uniform(0.3, 4)
    while s < section.end - 4:
        kind = _draw_parked(rng, section.quarter)
        is_rare = bool(plot.rare) and rng.random() < 0.35
        if is_rare:
            kind = plot.rare.pop(0)
        length = LENGTHS[kind]
        if is_rare or rng.random() < fill:
            backward = rng.random() < 0.12
            yaw = np.pi * (1 + backward)
            is_wide = kind in ("truck", "bus")
            d = max(middle + rng.normal(0, 0.06), KEEP_OUT + (1.30 if is_wide else 1.06))
            half = (length / 2, 1.28 if is_wide else 1.05)
            options: dict = {"kind": "transporter"} if kind == "transporter" else {}
            name = "car" if kind == "transporter" else kind
            if kind == "motorcycle":
                for k in range(int(rng.integers(1, 4))):
                    plot.put(name, s + 0.6 + 0.9 * k, d + 0.1, (0.4, 1.0), yaw=np.pi / 2 + rng.normal(0, 0.15))
                length = 3.4
            else:
                plot.put(name, s + length / 2, d, half, yaw=yaw + rng.normal(0, 0.012), **options)
        s += length + rng.uniform(0.4, 1.3)


def _boundary(
    plot: Plot, d: Real, openness: Real = 0.15, kinds: tuple[Real, Real, Real] = (0.64, 0.23, 0.13), tallest: Real = 2.5
) -> None:
    """Hedges, fences and walls along the street at distance d, with gates and gaps."""
    rng, section = plot.rng, plot.section
    s = section.start
    while s < section.end - 1.0:
        run = min(rng.uniform(5, 17), section.end - s)
        choice = "" if rng.random() < openness else ("hedge", "fence", "wall")[int(rng.choice(3, p=kinds))]
        style = {"seed": int(rng.integers(2**31)), "height": float(rng.uniform(0.8, tallest))}
        pieces = max(1, int(np.ceil(run / 6.0)))
        for k in range(pieces if choice else 0):
            length = run / pieces
            middle = s + (k + 0.5) * length
            options: dict = {"length": length + 0.02}
            half_d = 0.2
            if choice == "hedge":
                thickness = float(0.5 + 0.35 * style["height"])
                options |= {"height": style["height"], "thickness": thickness}
                half_d = thickness / 2
            if plot.is_free(middle, d + half_d, 0.5 * length - 0.01, half_d) and middle > section.start:
                plot.take(middle, d + half_d, 0.5 * length, half_d)
                turn = 0.0 if plot.sign > 0 else np.pi
                plot.items.append(
                    Item(choice, middle, plot.sign * (d + half_d), turn, style["seed"], options, (0.5 * length, half_d))
                )
        s += run
        if choice and rng.random() < 0.45:
            width = rng.uniform(1.2, 4.0)
            if rng.random() < 0.6 and s + width < section.end:
                plot.put("gate", s + width / 2, d + 0.2, (width / 2, 0.2), length=width)
            s += width
        if rng.random() < 0.3:
            plot.put("weeds", s - run / 2, d - 0.12, (run / 2 - 0.1, 0.12), reserve=False, length=run - 0.5, width=0.3)


def _behind(plot: Plot, nearest: Real, density: Real = 1.0) -> None:
    """Trees, hedges and houses of the next street, to close the view."""
    rng = plot.rng
    for s in plot.spots(8.0 / density):
        d = nearest + abs(rng.normal(3, 6))
        if d < 68:
            plot.plant(s, d, _shuffled(rng))
    for s in plot.spots(18):
        d = rng.uniform(nearest + 10, max(nearest + 14, 55))
        width, depth = rng.uniform(8, 15), rng.uniform(8, 11)
        if rng.random() < 0.5:
            plot.put("building", s, d + depth / 2, (width / 2 + 0.5, depth / 2 + 0.5), width=width, depth=depth,
                     height=float(rng.uniform(3, 8)), roof="gable") and _front(plot, depth)  # fmt: skip


def _front(plot: Plot, depth: Real) -> None:
    """The item just put was centered; makers of buildings want the front."""
    item = plot.items[-1]
    plot.items[-1] = replace(item, d=item.d - plot.sign * depth / 2)


def _building(plot: Plot, s: Real, front: Real, width: Real, depth: Real, kind: str = "building", **options) -> bool:
    is_put = plot.put(
        kind, s, front + depth / 2, (width / 2 + 0.4, depth / 2 + 0.9), width=width, depth=depth, **options
    )
    if is_put:
        _front(plot, depth)
    return is_put


def _shuffled(rng: np.random.Generator) -> tuple[str, ...]:
    """Kinds of trees in the order they are tried, the slender last."""
    wide = ["round", "spreading", "conifer", "stems"]
    return (wide[int(rng.integers(4))], "columnar" if rng.random() < 0.5 else "stems", "young")


def _furnish_houses(plot: Plot) -> None:
    rng, side, section = plot.rng, plot.side, plot.section
    edge = side.edges[SIDEWALK] + 0.15
    setback = rng.uniform(1.6, 4.0)
    s = section.start + rng.uniform(0.5, 4)
    while s < section.end - 7:
        width, depth = rng.uniform(7.5, 13), rng.uniform(8, 12)
        roof = ("gable", "gable", "cross", "hip", "flat")[int(rng.integers(5))]
        height = float(rng.uniform(2.8, 6.4) if rng.random() < 0.8 else rng.uniform(6.5, 9.5))
        width = min(width, section.end - s - 0.8)
        front = edge + setback + rng.normal(0, 0.4) + 0.9
        if width > 5:
            _building(plot, s + width / 2, front, width, depth, height=height, roof=roof)
        s += width + 0.8
        gap = rng.uniform(2.0, 8.0)
        if gap > 4.2 and rng.random() < 0.55 and s + 3.6 < section.end:
            depth = rng.uniform(5, 7)
            if plot.put("garage", s + 1.7, front + 1.5 + depth / 2, (1.7, depth / 2), width=3.1, depth=depth):
                _front(plot, depth)
            if rng.random() < 0.4:
                plot.put("car", s + 1.7, edge + setback / 2 + 0.8, (1.1, 2.4), yaw=-np.pi / 2)
            elif plot.rare and plot.rare[0] in ("caravan", "trailer"):
                plot.put(plot.rare.pop(0), s + 1.7, edge + 3.3, (1.2, 3.2), yaw=np.pi / 2)
        elif rng.random() < 0.7:
            plot.plant(s + gap / 2, front + rng.uniform(0, 6), _shuffled(rng))
        s += gap
    _boundary(plot, edge, openness=0.10, tallest=2.1)
    for s in plot.spots(1.2):
        d = edge + rng.uniform(0.9, setback + 1.0) * (0.35 if rng.random() < 0.5 else 1.0)
        if rng.random() < 0.75:
            radius = float(rng.uniform(0.5, 1.2))
            plot.put("bush", s, d, (radius, radius), radius=radius)
        elif rng.random() < 0.75:
            plot.plant(s, d, (str(rng.choice(["stems", "conifer", "round"])), "young"), float(rng.uniform(3, 6)))
    _behind(plot, edge + setback + 13)


def _furnish_row(plot: Plot) -> None:
    rng, side, section = plot.rng, plot.side, plot.section
    edge = side.edges[SIDEWALK] + 0.05
    storeys = int(rng.integers(2, 6))
    s = section.start
    is_set_back = rng.random() < 0.3
    front = edge + (rng.uniform(1.5, 4.0) if is_set_back else rng.uniform(0.0, 0.3)) + 0.9
    while s < section.end - 5:
        width = min(rng.uniform(9, 20), section.end - s)
        if rng.random() < 0.12:
            width = min(rng.uniform(3, 7), section.end - s)
            half = (width / 2, 0.2)
            kind = ("wall", "fence", "gate")[int(rng.integers(3))]
            plot.put(kind, s + width / 2, edge + 0.3, half, length=width)
            plot.plant(s + width / 2, edge + 4, ("stems", "columnar", "young"))
        else:
            height = float(3.0 * np.clip(storeys + rng.integers(-1, 2), 2, 6))
            roof = "flat" if rng.random() < 0.35 else "gable"
            depth = rng.uniform(9, 13)
            options = {
                "width": width - 0.01,
                "depth": depth,
                "height": height,
                "roof": roof,
                "shop": rng.random() < 0.4,
            }
            if plot.put("building", s + width / 2, front + depth / 2, (width / 2 - 0.02, depth / 2 + 0.85), **options):
                _front(plot, depth)
        s += width
    if is_set_back:
        _boundary(plot, edge, openness=0.35, kinds=(0.4, 0.35, 0.25))
        for s in plot.spots(3.5):
            plot.put("bush", s, edge + 1.2, (0.5, 0.5), radius=0.5)
    _behind(plot, edge + 17, 0.5)


def _furnish_park(plot: Plot) -> None:
    rng, side = plot.rng, plot.side
    edge = side.edges[SIDEWALK] + 0.15
    if rng.random() < 0.75:
        _boundary(plot, edge, openness=0.2, kinds=(0.50, 0.32, 0.18))
    low = rng.random() < 0.65
    for _ in range(int(plot.section.length * 1.1)):
        s, d = rng.uniform(plot.section.start, plot.section.end), edge + 1.0 + abs(rng.normal(0, 14))
        if d > 66:
            continue
        options = {"crown_base": float(rng.uniform(0.6, 1.6))} if low and rng.random() < 0.6 else {}
        plot.plant(s, d, _shuffled(rng), **options)
    for s in plot.spots(1.3):
        radius = float(rng.uniform(0.5, 1.5))
        plot.put("bush", s, edge + 1.2 + abs(rng.normal(0, 7)), (radius, radius), inside=False, radius=radius)
    for s in plot.spots(16):
        plot.put("bench", s, edge + 0.6, (0.9, 0.4))
    for s in plot.spots(20):
        plot.put("person", s, edge + rng.uniform(0.6, 9), (0.4, 0.4), yaw=float(rng.uniform(0, 6)), inside=False)
    if rng.random() < 0.4:
        _behind(plot, edge + 30)


def _furnish_industrial(plot: Plot) -> None:
    rng, side, section = plot.rng, plot.side, plot.section
    edge = side.edges[SIDEWALK] + 0.15
    setback = rng.uniform(6, 13)
    _boundary(plot, edge, openness=0.12, kinds=(0.28, 0.52, 0.20))
    width = min(rng.uniform(18, 45), section.length - 2)
    depth = rng.uniform(12, 20)
    _building(plot, section.middle, edge + setback, width, depth, kind="hall", height=float(rng.uniform(4.5, 9)))
    for s in plot.spots(5.5):
        d = edge + 1.2 + rng.uniform(1.2, max(setback - 2.5, 2))
        kind = str(
            rng.choice(
                ["truck", "trailer", "car", "container", "truck", "car", "bus"],
                p=[0.2, 0.14, 0.26, 0.12, 0.1, 0.12, 0.06],
            )
        )
        along = rng.random() < 0.5 or kind in ("truck", "bus")
        half_long, half_wide = {"truck": (6.8, 1.4), "bus": (6.6, 1.4), "container": (3.2, 1.3)}.get(kind, (2.5, 1.1))
        half = (half_long, half_wide) if along else (half_wide, half_long)
        plot.put(kind, s, d + half[1] * 0.3, half, yaw=(0 if along else np.pi / 2) + np.pi * int(rng.integers(2)))
    for s in plot.spots(3):
        radius = float(rng.uniform(0.4, 0.9))
        plot.put("bush", s, edge + 0.6 + radius, (radius, radius), radius=radius)
        plot.plant(s + 2, edge + 1.6, ("young",))
    _behind(plot, edge + setback + depth + 3)


def _furnish_green(plot: Plot) -> None:
    rng, side = plot.rng, plot.side
    edge = max(side.edges[SIDEWALK], side.edges[ROAD] + 0.8) + 0.3
    if rng.random() < 0.28 and side.width(PARKING) < 1:
        d = side.edges[PARKING] + 0.55
        for s in np.arange(plot.section.start + 2, plot.section.end - 2, 4.0):
            plot.put("guard rail", s, d, (1.98, 0.15), length=4.0)
    style = rng.random()
    if style < 0.8:
        _boundary(plot, edge + 0.4, openness=0.12, kinds=(0.46, 0.38, 0.16))
    spread = rng.uniform(3, 12)
    for _ in range(int(plot.section.length * rng.uniform(0.5, 1.5))):
        s, d = rng.uniform(plot.section.start, plot.section.end), edge + 1.2 + abs(rng.normal(0, spread))
        options = {"crown_base": float(rng.uniform(0.4, 1.5))} if rng.random() < 0.5 else {}
        if d < 66:
            plot.plant(s, d, _shuffled(rng), **options)
    for s in plot.spots(1.2):
        radius = float(rng.uniform(0.5, 1.6))
        plot.put(
            "bush", s, edge + 0.9 + radius + abs(rng.normal(0, 3.5)), (radius, radius), inside=False, radius=radius
        )
    if rng.random() < 0.5:
        _behind(plot, edge + 22)


FURNISH = {
    "houses": _furnish_houses, "row": _furnish_row, "park": _furnish_park,
    "industrial": _furnish_industrial, "green": _furnish_green,
}  # fmt: skip


def _furnish_street(plot: Plot) -> None:
    """Cars that wait at, and park along, the side street; its houses close the view."""
    rng, side = plot.rng, plot.side
    lane = 0.25 * plot.section.length
    first = side.edges[SIDEWALK] + 3.2
    for k in range(int(rng.integers(0, 3))):
        plot.put("car", plot.section.middle + lane, first + 6.5 * k, (1.0, 2.4), yaw=-np.pi / 2)
    for d in np.arange(first + 8, 60, 7.0):
        if rng.random() < 0.35:
            plot.put("car", plot.section.middle - lane - 0.6, float(d), (1.0, 2.4), yaw=np.pi / 2)
    if rng.random() < 0.6:
        width = plot.section.length + 8
        if plot.put(
            "building", plot.section.middle, 66.0, (width / 2, 4.0), inside=False, width=width, depth=8.0, height=6.0
        ):
            _front(plot, 8.0)
    plot.put("person", plot.section.middle, side.edges[SIDEWALK] + 0.8, (0.3, 0.3), yaw=float(rng.uniform(0, 6)))

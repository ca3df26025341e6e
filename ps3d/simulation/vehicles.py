"""Shapes of vehicles: x forward, y left, z up, origin on the ground below the middle. Every size and style varies."""

from dataclasses import dataclass

import numpy as np

from ps3d.simulation.materials import Look
from ps3d.simulation.meshes import Mesh, Real, box, loft, merge, tube

CAR, TRUCK, BUS, CARAVAN, TRAILER, TRAIN, MOTORCYCLE, BICYCLE = 26, 27, 28, 29, 30, 31, 32, 33

PAINTS = (
    (0.03, 0.03, 0.04), (0.10, 0.10, 0.11), (0.22, 0.23, 0.25), (0.45, 0.46, 0.48), (0.62, 0.63, 0.65),
    (0.85, 0.85, 0.86), (0.80, 0.79, 0.75), (0.05, 0.08, 0.20), (0.10, 0.20, 0.42), (0.45, 0.04, 0.04),
    (0.62, 0.08, 0.07), (0.08, 0.20, 0.12), (0.35, 0.28, 0.18), (0.75, 0.62, 0.15),
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """A car body: stations from rear to front as (x / length, belt / height, top / height, width share).

    `glass_roof` lists the stations after which the upper skin is a pane (rear window, windshield); `cabin` is the
    range of stations whose sides have windows.
    """

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    stations: tuple[tuple[float, float, float, float], ...]
    glass_roof: tuple[int, ...]
    cabin: tuple[int, int]


BODIES: dict[str, Body] = {
    "hatchback": Body(
        (3.6, 4.2), (1.66, 1.78), (1.42, 1.54),
        ((0.0, 0.50, 0.52, 0.90), (0.02, 0.62, 0.66, 0.97), (0.11, 0.63, 0.96, 1.0), (0.30, 0.62, 1.0, 1.0),
         (0.54, 0.61, 0.985, 1.0), (0.72, 0.61, 0.63, 1.0), (0.95, 0.52, 0.54, 0.97), (1.0, 0.36, 0.38, 0.86)),
        (1, 4), (1, 5),
    ),
    "sedan": Body(
        (4.3, 4.9), (1.72, 1.86), (1.38, 1.48),
        ((0.0, 0.48, 0.50, 0.90), (0.02, 0.66, 0.68, 0.97), (0.17, 0.66, 0.69, 1.0), (0.30, 0.64, 0.97, 1.0),
         (0.42, 0.63, 1.0, 1.0), (0.54, 0.62, 0.98, 1.0), (0.71, 0.62, 0.64, 1.0), (0.96, 0.52, 0.54, 0.96),
         (1.0, 0.36, 0.38, 0.86)),
        (2, 5), (2, 6),
    ),
    "wagon": Body(
        (4.4, 4.9), (1.72, 1.84), (1.44, 1.54),
        ((0.0, 0.52, 0.54, 0.92), (0.015, 0.62, 0.66, 0.97), (0.08, 0.63, 0.94, 1.0), (0.25, 0.62, 1.0, 1.0),
         (0.56, 0.61, 0.98, 1.0), (0.72, 0.61, 0.63, 1.0), (0.96, 0.52, 0.54, 0.96), (1.0, 0.36, 0.38, 0.86)),
        (1, 4), (1, 5),
    ),
    "suv": Body(
        (4.2, 4.8), (1.80, 1.94), (1.62, 1.82),
        ((0.0, 0.52, 0.54, 0.94), (0.02, 0.62, 0.66, 0.98), (0.09, 0.63, 0.96, 1.0), (0.30, 0.62, 1.0, 1.0),
         (0.55, 0.61, 0.985, 1.0), (0.69, 0.61, 0.64, 1.0), (0.96, 0.56, 0.58, 0.98), (1.0, 0.38, 0.40, 0.9)),
        (1, 4), (1, 5),
    ),
    "minivan": Body(
        (4.2, 4.9), (1.76, 1.92), (1.62, 1.85),
        ((0.0, 0.55, 0.57, 0.95), (0.02, 0.58, 0.62, 0.98), (0.06, 0.58, 0.97, 1.0), (0.35, 0.57, 1.0, 1.0),
         (0.62, 0.56, 0.96, 1.0), (0.84, 0.55, 0.57, 1.0), (0.97, 0.44, 0.46, 0.95), (1.0, 0.32, 0.34, 0.86)),
        (1, 4), (1, 5),
    ),
    "transporter": Body(
        (4.9, 6.0), (1.90, 2.05), (1.95, 2.60),
        ((0.0, 0.50, 0.99, 0.98), (0.02, 0.50, 1.0, 1.0), (0.60, 0.50, 1.0, 1.0), (0.74, 0.49, 0.98, 1.0),
         (0.87, 0.48, 0.50, 1.0), (0.98, 0.38, 0.40, 0.96), (1.0, 0.24, 0.26, 0.88)),
        (3,), (2, 4),
    ),
    "compact": Body(
        (2.7, 3.4), (1.55, 1.66), (1.46, 1.56),
        ((0.0, 0.52, 0.56, 0.92), (0.02, 0.60, 0.68, 0.98), (0.12, 0.60, 0.98, 1.0), (0.50, 0.60, 1.0, 1.0),
         (0.78, 0.58, 0.62, 1.0), (0.96, 0.46, 0.48, 0.95), (1.0, 0.34, 0.36, 0.86)),
        (1, 3), (1, 4),
    ),
}  # fmt: skip


def choose_paint(rng: np.random.Generator, semantic: int, dark_share: Real = 0.42) -> Look:
    """A car's paint: two fifths are so dark or metallic that most laser hits read 0, as on real cars."""
    color = PAINTS[int(rng.integers(len(PAINTS)))]
    if rng.random() < dark_share:
        return Look(semantic, "dark_paint", color, float(rng.uniform(0.5, 1.5)))
    return Look(semantic, "paint", color, float(rng.uniform(0.35, 1.5)))


def wheels(positions: list[tuple[Real, Real]], radius: Real, width: Real, semantic: int) -> list[Mesh]:
    """Tires with rims at (x, y)."""
    tire = Look(semantic, "rubber", (0.03, 0.03, 0.03))
    rim = Look(semantic, "metal", (0.5, 0.5, 0.52))
    parts = []
    for x, y in positions:
        half = width / 2
        parts.append(tube((x, y - half, radius), (x, y + half, radius), radius, tire, 12))
        side = np.sign(y) or 1.0
        parts.append(tube((x, y + side * half, radius), (x, y + side * (half + 0.01), radius), 0.62 * radius, rim, 10))
    return parts


def _lights_and_plates(length: Real, width: Real, height: Real, semantic: int) -> list[Mesh]:
    """Head and tail lights and number plates: small, and strong reflectors."""
    red = Look(semantic, "reflector", (0.55, 0.04, 0.03), 0.7)
    white = Look(semantic, "lamp_glass", (0.85, 0.86, 0.85))
    plate = Look(semantic, "reflector", (0.85, 0.85, 0.82))
    x, y, z = length / 2, width * 0.36, height * 0.42
    return [
        box((0.06, width * 0.16, 0.13), white, (x - 0.10, y), z),
        box((0.06, width * 0.16, 0.13), white, (x - 0.10, -y), z),
        box((0.06, width * 0.12, 0.20), red, (-x + 0.02, y * 1.12), z + 0.10),
        box((0.06, width * 0.12, 0.20), red, (-x + 0.02, -y * 1.12), z + 0.10),
        box((0.02, 0.52, 0.11), plate, (x + 0.005, 0), 0.32 * height - 0.1),
        box((0.02, 0.52, 0.11), plate, (-x - 0.005, 0), 0.50 * height - 0.1),
    ]


def make_car(rng: np.random.Generator, kind: str = "") -> Mesh:
    """A car of a random body, or of the one named."""
    names = tuple(BODIES)
    share = np.array([0.27, 0.17, 0.17, 0.13, 0.11, 0.08, 0.07])
    body = BODIES[kind or names[int(rng.choice(len(names), p=share / share.sum()))]]
    length, width, height = rng.uniform(*body.length), rng.uniform(*body.width), rng.uniform(*body.height)
    clearance = rng.uniform(0.16, 0.24)
    paint = choose_paint(rng, CAR)
    glass = Look(CAR, "glass", (0.06, 0.08, 0.09))
    under = Look(CAR, "plastic", (0.04, 0.04, 0.04))
    rings, looks = [], []
    for number, (x, belt, top, share_of_width) in enumerate(body.stations):
        half = 0.5 * width * share_of_width
        z0, zb, zt = clearance, belt * height, top * height
        waist = z0 + 0.55 * (zb - z0)
        narrow = 1 - 0.32 * (zt - zb) / height
        ring = [(-0.88 * half, z0), (0.88 * half, z0), (half, waist), (0.96 * half, zb)]
        ring += [(0.96 * half * narrow, zt), (-0.96 * half * narrow, zt), (-0.96 * half, zb), (-half, waist)]
        rings.append([((x - 0.5) * length, y, z) for y, z in ring])
        side = glass if body.cabin[0] <= number < body.cabin[1] else paint
        roof = glass if number in body.glass_roof else paint
        looks.append([under, under, paint, side, roof, side, paint, under])
    hull = loft(np.array(rings), looks[:-1], paint)
    radius = 0.205 * height if height < 1.9 else 0.34
    axle = 0.31 * length
    y = width / 2 - 0.10
    parts = [hull, *wheels([(axle, y), (axle, -y), (-axle, y), (-axle, -y)], radius, 0.2, CAR)]
    parts += _lights_and_plates(length, width, height, CAR)
    mirror_x = (body.stations[body.cabin[1]][0] - 0.54) * length
    for side_ in (1, -1):
        parts.append(box((0.12, 0.16, 0.13), paint, (mirror_x, side_ * (width / 2 + 0.06)), 0.62 * height))
    return merge(parts)


def make_truck(rng: np.random.Generator, kind: str = "") -> Mesh:
    """A box truck, flatbed, dump truck, container lorry or semi-trailer truck; a semi-trailer counts to the truck."""
    kinds = ("box", "box", "flatbed", "tipper", "semi", "garbage")
    kind = kind or kinds[int(rng.integers(len(kinds)))]
    width = rng.uniform(2.15, 2.5)
    cab_length = rng.uniform(1.7, 2.3)
    load = rng.uniform(7.5, 10.5) if kind == "semi" else rng.uniform(3.6, 6.2)
    length = cab_length + 0.25 + load
    paint = Look(TRUCK, "paint", PAINTS[int(rng.integers(3, len(PAINTS)))], float(rng.uniform(0.5, 1.4)))
    cargo = Look(TRUCK, "canvas", tuple(rng.uniform(0.25, 0.95, 3).tolist()), float(rng.uniform(0.6, 1.3)))
    glass, dark = Look(TRUCK, "glass", (0.06, 0.08, 0.09)), Look(TRUCK, "plastic", (0.05, 0.05, 0.05))
    front, deck = length / 2, rng.uniform(0.85, 1.15)
    cab_height = rng.uniform(2.3, 3.2)
    half = width / 2
    rings, looks = [], []
    stations = ((0.0, 0.60, 1.0), (0.55, 0.60, 1.0), (0.88, 0.58, 0.97), (0.99, 0.55, 0.57), (1.0, 0.4, 0.42))
    for number, (x, belt, top) in enumerate(stations):
        zb, zt = belt * cab_height, top * cab_height
        ring = [(-half, 0.45), (half, 0.45), (half, zb), (0.94 * half, zt), (-0.94 * half, zt), (-half, zb)]
        rings.append([(front - cab_length * (1 - x), y, z) for y, z in ring])
        looks.append([dark, paint, glass if number == 1 else paint, glass if number == 2 else paint,
                      glass if number == 1 else paint, paint])  # fmt: skip
    parts = [loft(np.array(rings), looks[:-1], paint)]
    rear, middle = -length / 2, -length / 2 + load / 2
    parts.append(box((length - 0.5, 0.9, 0.25), dark, (-0.2, 0), deck - 0.3))
    parts += _cargo(rng, kind, load, width, deck, middle, cargo, dark)
    axles = [front - 1.1, rear + 1.0] + ([rear + 2.2, front - cab_length - 1.4] if kind == "semi" else [])
    y = half - 0.16
    parts += wheels([(x, side * y) for x in axles for side in (1, -1)], 0.5, 0.28, TRUCK)
    plate = Look(TRUCK, "reflector", (0.85, 0.3, 0.1))
    parts += [box((0.02, 0.4, 0.14), plate, (rear - 0.01, s * half * 0.6), deck - 0.15) for s in (1, -1)]
    return merge(parts)


def _cargo(rng, kind, load, width, deck, middle, cargo: Look, dark: Look) -> list[Mesh]:
    if kind in ("box", "semi"):
        return [box((load, width, rng.uniform(2.0, 2.7)), cargo, (middle, 0), deck)]
    if kind == "garbage":
        return [
            box((0.8 * load, width, 2.0), cargo, (middle + 0.1 * load, 0), deck),
            box((0.2 * load, 0.9 * width, 1.6), dark, (middle - 0.4 * load, 0), deck - 0.2),
        ]
    wall = rng.uniform(0.35, 0.6) if kind == "flatbed" else rng.uniform(0.8, 1.3)
    parts = [box((load, width, 0.12), dark, (middle, 0), deck)]
    parts += [box((load, 0.06, wall), cargo, (middle, s * (width / 2 - 0.03)), deck) for s in (1, -1)]
    parts += [box((0.06, width, wall), cargo, (middle + s * (load / 2 - 0.03), 0), deck) for s in (1, -1)]
    wood = Look(TRUCK, "wood", (0.45, 0.33, 0.2))
    if rng.random() < 0.7:
        size = (rng.uniform(0.3, 0.8) * load, 0.8 * width, rng.uniform(0.3, 1.2))
        parts.append(box(size, wood, (middle + rng.uniform(-0.1, 0.1) * load, 0), deck + 0.12))
    return parts


def _coach(length: Real, width: Real, height: Real, floor: Real, semantic: int, paint: Look, nose: Real) -> Mesh:
    """A long body with a band of windows on every side: buses and rail cars."""
    glass = Look(semantic, "window", (0.08, 0.10, 0.11))
    half, low, high = width / 2, floor + 0.32 * (height - floor), height - 0.45
    count = max(4, int(length / 1.3))
    x = np.concatenate([[-0.5 * length], np.linspace(-0.5 * length + 0.25, 0.5 * length - 0.25, count), [0.5 * length]])
    rings, looks = [], []
    for number, position in enumerate(x):
        share = nose if number in (0, len(x) - 1) else 1.0
        ring = [(-half, floor), (half, floor), (half, low), (half, high), (0.92 * half, height), (-0.92 * half, height)]
        ring += [(-half, high), (-half, low)]
        rings.append([(position, share * y, z) for y, z in ring])
        pane = paint if number % 4 == 3 else glass
        looks.append([paint, paint, pane, paint, paint, paint, pane, paint])
    body = loft(np.array(rings), looks[:-1], paint)
    front = box((0.03, 0.8 * width, high - low + 0.2), glass, (0.5 * length, 0), low - 0.1)
    back = box((0.03, 0.7 * width, 0.6 * (high - low)), glass, (-0.5 * length, 0), low + 0.2)
    return merge([body, front, back])


def make_bus(rng: np.random.Generator) -> Mesh:
    """A city bus or coach of 9 to 13 m."""
    length, width, height = rng.uniform(9, 13), rng.uniform(2.45, 2.55), rng.uniform(2.9, 3.5)
    color = ((0.75, 0.12, 0.1), (0.85, 0.8, 0.2), (0.9, 0.9, 0.88), (0.15, 0.3, 0.55), (0.2, 0.45, 0.3))
    paint = Look(BUS, "paint", color[int(rng.integers(len(color)))], float(rng.uniform(0.6, 1.3)))
    parts = [_coach(length, width, height, 0.32, BUS, paint, 0.96)]
    y = width / 2 - 0.18
    parts += wheels([(x, s * y) for x in (0.30 * length, -0.24 * length) for s in (1, -1)], 0.48, 0.28, BUS)
    parts.append(box((2.2, 1.5, 0.25), paint, (-0.2 * length, 0), height - 0.02))
    parts += _lights_and_plates(length, width, 1.9, BUS)
    return merge(parts)


def make_train(rng: np.random.Generator) -> Mesh:
    """A tram or railcar of two to four linked parts."""
    parts = int(rng.integers(2, 5))
    length, width, height = rng.uniform(7.5, 10), rng.uniform(2.3, 2.65), rng.uniform(3.2, 3.7)
    color = ((0.8, 0.75, 0.2), (0.7, 0.1, 0.1), (0.9, 0.9, 0.9), (0.2, 0.35, 0.6))
    paint = Look(TRAIN, "paint", color[int(rng.integers(len(color)))], float(rng.uniform(0.6, 1.2)))
    dark = Look(TRAIN, "rubber", (0.05, 0.05, 0.05))
    meshes = []
    step = length + 0.45
    for number in range(parts):
        x = (number - (parts - 1) / 2) * step
        meshes.append(_coach(length, width, height, 0.38, TRAIN, paint, 0.9).shifted(x))
        meshes.append(box((0.7 * length, 0.8 * width, 0.3), dark, (x, 0), 0.1))
        if number:
            meshes.append(box((0.6, 0.85 * width, 0.85 * height), dark, (x - step / 2, 0), 0.35))
    meshes.append(box((1.8, 1.2, 0.4), dark, (0, 0), height))
    return merge(meshes)


def make_caravan(rng: np.random.Generator) -> Mesh:
    """A travel trailer with windows."""
    length, width, height = rng.uniform(3.8, 5.6), rng.uniform(2.0, 2.3), rng.uniform(2.3, 2.6)
    paint = Look(CARAVAN, "paint", (0.88, 0.87, 0.83), float(rng.uniform(0.8, 1.4)))
    glass, metal = Look(CARAVAN, "window", (0.1, 0.1, 0.12)), Look(CARAVAN, "metal", (0.4, 0.4, 0.4))
    half, front = width / 2, length / 2
    profile = ((-front, 0.6, 0.92), (-front + 0.3, 0.42, 1.0), (front - 0.5, 0.42, 1.0), (front, 0.6, 0.72))
    rings = [[(x, -half, z), (x, half, z), (x, half, top * height), (x, -half, top * height)] for x, z, top in profile]
    parts = [loft(np.array(rings), [[paint] * 4] * 3, paint)]
    for side in (1, -1):
        parts.append(box((0.9, 0.03, 0.6), glass, (rng.uniform(-0.8, 0.8), side * half), 0.55 * height))
    parts += wheels([(-0.2, half - 0.15), (-0.2, -half + 0.15)], 0.33, 0.2, CARAVAN)
    parts.append(box((1.2, 0.1, 0.1), metal, (front + 0.5, 0), 0.45))
    return merge(parts)


def make_trailer(rng: np.random.Generator) -> Mesh:
    """A car or goods trailer: low walls, sometimes with a hood."""
    length, width = rng.uniform(2.2, 5.0), rng.uniform(1.4, 2.2)
    wall = Look(TRAILER, "metal", (0.5, 0.5, 0.52), float(rng.uniform(0.8, 1.3)))
    hood = Look(TRAILER, "canvas", tuple(rng.uniform(0.1, 0.7, 3).tolist()))
    parts = [box((length, width, 0.5), wall, (0, 0), 0.5)]
    if rng.random() < 0.6:
        parts.append(box((0.98 * length, 0.98 * width, rng.uniform(0.6, 1.6)), hood, (0, 0), 1.0))
    parts += wheels([(0, width / 2 + 0.02), (0, -width / 2 - 0.02)], 0.32, 0.18, TRAILER)
    parts.append(box((1.1, 0.08, 0.08), wall, (length / 2 + 0.5, 0), 0.5))
    return merge(parts)


def _hoop(x: Real, radius: Real, look: Look, width: Real = 0.045) -> list[Mesh]:
    """A spoked wheel: a ring of short tubes, and thin spokes that mostly let the beam through."""
    angle = np.linspace(0, 2 * np.pi, 15)
    points = np.stack([x + radius * np.cos(angle), np.zeros(15), radius + radius * np.sin(angle)], 1)
    rim = [tube(points[i], points[i + 1], width / 2, look, 4) for i in range(14)]
    spokes = [tube(points[i], points[i + 7], 0.008, look, 3) for i in (0, 2, 4, 6)]
    return rim + spokes


def make_bicycle(rng: np.random.Generator) -> Mesh:
    """Wheels, frame, saddle, handlebar."""
    tire = Look(BICYCLE, "rubber", (0.04, 0.04, 0.04), 1.8)
    frame = Look(BICYCLE, "metal", tuple(rng.uniform(0.05, 0.6, 3).tolist()), float(rng.uniform(0.6, 1.4)))
    saddle = Look(BICYCLE, "plastic", (0.05, 0.05, 0.05))
    r, base = rng.uniform(0.30, 0.35), rng.uniform(0.50, 0.56)
    parts = [*_hoop(-base, r, tire), *_hoop(base, r, tire)]
    hub, head, seat, crank = (-base, 0, r), (base - 0.18, 0, 0.85), (-0.18, 0, 0.78), (-0.06, 0, 0.30)
    pairs = ((hub, crank), (hub, seat), (crank, seat), (crank, head), (seat, head), (head, (base, 0, r)))
    parts += [tube(a, b, 0.022, frame, 5) for a, b in pairs]
    parts += [
        tube((-0.2, 0, 0.78), (-0.22, 0, 0.95), 0.016, frame, 4),
        box((0.26, 0.15, 0.07), saddle, (-0.22, 0), 0.94),
    ]
    parts += [tube(head, (base - 0.22, 0, 1.05), 0.018, frame, 4)]
    parts += [tube((base - 0.22, -0.29, 1.05), (base - 0.22, 0.29, 1.05), 0.016, frame, 4)]
    if rng.random() < 0.5:
        parts.append(box((0.3, 0.3, 0.25), saddle, (-0.6, 0), 0.72))
    return merge(parts)


def make_motorcycle(rng: np.random.Generator) -> Mesh:
    """A scooter or motorcycle."""
    paint = Look(MOTORCYCLE, "paint", PAINTS[int(rng.integers(len(PAINTS)))], float(rng.uniform(0.4, 1.1)))
    dark = Look(MOTORCYCLE, "plastic", (0.05, 0.05, 0.05))
    metal, red = Look(MOTORCYCLE, "metal", (0.4, 0.4, 0.42)), Look(MOTORCYCLE, "reflector", (0.5, 0.05, 0.05))
    base, r = rng.uniform(0.6, 0.74), rng.uniform(0.25, 0.32)
    parts = [
        tube((x, -0.07, r), (x, 0.07, r), r, Look(MOTORCYCLE, "rubber", (0.04, 0.04, 0.04)), 12) for x in (-base, base)
    ]
    parts += [box((0.62, 0.28, 0.42), metal, (0.0, 0), 0.25), box((0.52, 0.30, 0.26), paint, (0.16, 0), 0.66)]
    parts += [box((0.72, 0.28, 0.13), dark, (-0.42, 0), 0.70), box((0.25, 0.2, 0.18), paint, (-0.75, 0), 0.72)]
    parts += [tube((base, 0, r), (base - 0.28, 0, 1.0), 0.05, metal, 5)]
    parts += [tube((base - 0.3, -0.36, 1.02), (base - 0.3, 0.36, 1.02), 0.022, dark, 4)]
    parts += [box((0.14, 0.22, 0.22), paint, (base - 0.12, 0), 0.82), box((0.04, 0.16, 0.08), red, (-0.90, 0), 0.72)]
    if rng.random() < 0.5:
        parts.append(box((0.10, 0.42, 0.5), Look(MOTORCYCLE, "paint", (0.6, 0.62, 0.65), 0.8), (base - 0.25, 0), 0.35))
    return merge(parts)

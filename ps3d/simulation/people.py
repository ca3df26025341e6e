"""Shapes of people: standing, walking with a gait, sitting on a bicycle or motorcycle. x forward, feet at z = 0."""

import numpy as np

from ps3d.simulation.materials import Look
from ps3d.simulation.meshes import Mesh, Point, Real, merge, tube

PERSON, RIDER = 24, 25
UP, FORWARD = np.array([0, 0, 1.0]), np.array([1.0, 0, 0])
GAIT_STEPS = 12
"""Positions of the legs that are modeled in one stride."""


def _clothes(rng: np.random.Generator, semantic: int) -> tuple[Look, Look, Look, Look]:
    """Jacket, trousers, skin, hair."""
    jacket = Look(semantic, "cloth", tuple(rng.uniform(0.04, 0.8, 3).tolist()), float(rng.uniform(0.6, 1.4)))
    trousers = Look(semantic, "cloth", tuple(rng.uniform(0.04, 0.4, 3).tolist()), float(rng.uniform(0.5, 1.2)))
    tone = rng.uniform(0.25, 0.9)
    hair = Look(semantic, "cloth", tuple((rng.uniform(0.03, 0.4) * np.array([1, 0.8, 0.6])).tolist()), 0.7)
    return jacket, trousers, Look(semantic, "skin", (tone, 0.75 * tone, 0.62 * tone)), hair


def _limb(points: list[Point], radii: list[Real], look: Look) -> list[Mesh]:
    return [tube(a, b, r, look, 6, s) for a, b, r, s in zip(points, points[1:], radii, radii[1:], strict=False)]


def make_person(rng: np.random.Generator, stride: Real | None = None) -> Mesh:
    """Someone of 1.2 to 1.95 m.

    Args:
        stride: place in the gait, 0..1; None = standing.
    """
    height = rng.uniform(1.2, 1.5) if rng.random() < 0.15 else rng.uniform(1.55, 1.95)
    girth = rng.uniform(0.9, 1.35)
    jacket, trousers, skin, hair = _clothes(rng, PERSON)
    has_bag = rng.random() < 0.3
    swing = 0.0 if stride is None else float(np.sin(2 * np.pi * stride))
    hip, shoulder, k = 0.50, 0.82, height
    parts: list[Mesh] = []
    for side in (1, -1):
        leg, arm = 0.42 * side * swing, -0.45 * side * swing
        y = side * 0.055
        bend = 0.10 * max(0.0, -side * swing)
        knee = (0.26 * np.sin(leg) + bend, y, hip - 0.25 * np.cos(leg))
        foot = (0.49 * np.sin(leg) - bend, y, 0.03 + 0.04 * bend)
        parts += _limb([(0, y, hip), knee, foot], [0.052 * girth, 0.037 * girth, 0.026], trousers)
        parts.append(tube((foot[0] - 0.03, y, 0.015), (foot[0] + 0.11, y, 0.015), 0.028, trousers, 5))
        z = side * 0.115 * girth
        elbow = (0.17 * np.sin(arm), z, shoulder - 0.18 * np.cos(arm))
        hand = (0.34 * np.sin(arm) + 0.05, z, shoulder - 0.33 * np.cos(arm))
        parts += _limb([(0, z, shoulder), elbow, hand], [0.033 * girth, 0.027 * girth, 0.02], jacket)
    parts += [
        tube((0, 0, hip - 0.03), (0, 0, 0.66), 0.085 * girth, jacket, 8, 0.092 * girth),
        tube((0, 0, 0.66), (0.01, 0, 0.845), 0.092 * girth, jacket, 8, 0.07 * girth),
        tube((0.01, 0, 0.84), (0.01, 0, 0.88), 0.034, skin, 6),
        tube((0.015, 0, 0.875), (0.015, 0, 0.955), 0.050, skin, 8, 0.056),
        tube((0.008, 0, 0.945), (0.008, 0, 1.0), 0.057, hair, 8, 0.032),
    ]
    if has_bag:
        parts.append(tube((-0.10, 0, 0.62), (-0.10, 0, 0.80), 0.07, trousers, 6))
    person = merge(parts)
    # Limbs are measured in body heights, so that one scale makes children and adults.
    return Mesh(person.vertices * np.float32(k), person.faces, person.look_of_face, person.looks)


def make_rider(rng: np.random.Generator, saddle: Real, reach: Real) -> Mesh:
    """Someone who sits.

    Args:
        saddle: height of the seat in meters.
        reach: x of the handlebar in meters.
    """
    jacket, trousers, skin, _ = _clothes(rng, RIDER)
    helmet = Look(RIDER, "plastic", tuple(rng.uniform(0.05, 0.9, 3).tolist()), 1.4)
    hip, shoulder = np.array([-0.22, 0, saddle + 0.06]), np.array([0.05, 0, saddle + 0.58])
    head = shoulder + np.array([0.07, 0, 0.12])
    parts = [tube(hip, shoulder, 0.15, jacket, 8, 0.17), tube(head, head + UP * 0.13, 0.09, skin, 8)]
    parts.append(tube(head + UP * 0.10, head + UP * 0.22, 0.125, helmet, 8, 0.07))
    for side in (1, -1):
        y = np.array([0, 0.10 * side, 0])
        knee = np.array([0.18, 0.12 * side, saddle - 0.14 + 0.08 * side])
        foot = np.array([0.02, 0.12 * side, max(0.15, saddle - 0.62) + 0.14 * side])
        parts += [tube(hip + y, knee, 0.085, trousers, 6, 0.06), tube(knee, foot, 0.06, trousers, 6, 0.045)]
        parts.append(tube(foot - FORWARD * 0.05, foot + FORWARD * 0.18, 0.045, trousers, 5))
        hand = np.array([reach, 0.25 * side, saddle + 0.16])
        elbow = (shoulder + hand) / 2 + [-0.03, 0.10 * side, -0.10]
        parts += [tube(shoulder + 1.6 * y, elbow, 0.055, jacket, 6), tube(elbow, hand, 0.045, jacket, 6)]
    return merge(parts)

"""A fast sine for compiled kernels: stains and patterns of surfaces take several for each point and pixel."""

import numpy as np

from ps3d.ops.compiled import compiled


@compiled(inline="always")
def sine(x):
    """Sine, right to 4e-6, in a fifth of the time of the exact one."""
    half_turns = np.floor(x * 0.3183098861837907 + 0.5)
    r = x - half_turns * 3.141592653589793
    square = r * r
    value = r * (1 + square * (-0.16666667 + square * (0.0083333 + square * (-0.00019841 + square * 2.7e-6))))
    return value if half_turns - 2 * np.floor(0.5 * half_turns) == 0 else -value

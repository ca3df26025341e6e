"""MobileNetV3 (Howard et al., ICCV 2019) as a backbone: four maps at strides 4, 8, 16 and 32.

Weights have the names of torchvision's `mobilenet_v3_large` and `mobilenet_v3_small`, so that a safetensors file of
those can be loaded; their classifiers are left out.
"""

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Maps:
    """What a backbone answers, the finest map first."""

    feature_maps: list[Tensor]


@dataclass(frozen=True)
class _Block:
    """One row of the paper's table: kernel, channels inside and after, squeeze-and-excitation, hard swish, stride."""

    kernel: int
    inside: int
    out: int
    excites: bool
    swish: bool
    stride: int


def _rows(*groups: tuple[int, tuple[int, ...], int, bool, bool, int]) -> list[_Block]:
    """Rows of one width after another; only the first of a group has its stride."""
    return [
        _Block(kernel, inside, out, excites, swish, stride if i == 0 else 1)
        for kernel, widths, out, excites, swish, stride in groups
        for i, inside in enumerate(widths)
    ]


LARGE = _rows(
    (3, (16,), 16, False, False, 1),
    (3, (64, 72), 24, False, False, 2),
    (5, (72, 120, 120), 40, True, False, 2),
    (3, (240, 200, 184, 184), 80, False, True, 2),
    (3, (480, 672), 112, True, True, 1),
    (5, (672, 960, 960), 160, True, True, 2),
)
SMALL = _rows(
    (3, (16,), 16, True, False, 2),
    (3, (72, 88), 24, False, False, 2),
    (5, (96, 240, 240), 40, True, True, 2),
    (5, (120, 144), 48, True, True, 1),
    (5, (288, 576, 576), 96, True, True, 2),
)


class Excitation(nn.Module):
    """Squeeze and excitation with the hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = round_width(channels / 4)
        self.fc1, self.fc2 = nn.Conv2d(channels, narrow, 1), nn.Conv2d(narrow, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.fc1(features.mean(dim=(2, 3), keepdim=True)).relu()
        return features * nn.functional.hardsigmoid(self.fc2(hidden))


class InvertedResidual(nn.Module):
    """Widen, filter every channel by itself, weigh the channels, narrow; added to the input where they fit."""

    def __init__(self, inside: int, row: _Block) -> None:
        super().__init__()
        act = nn.Hardswish if row.swish else nn.ReLU
        layers: list[nn.Module] = []
        if row.inside != inside:
            layers.append(_convolution(inside, row.inside, 1, act=act))
        layers.append(_convolution(row.inside, row.inside, row.kernel, row.stride, row.inside, act))
        if row.excites:
            layers.append(Excitation(row.inside))
        layers.append(_convolution(row.inside, row.out, 1))
        self.block = nn.Sequential(*layers)
        self.is_residual = row.stride == 1 and inside == row.out

    def forward(self, features: Tensor) -> Tensor:
        return features + self.block(features) if self.is_residual else self.block(features)


class MobileNetV3(nn.Module):
    """The layers before the classifier.

    Args:
        rows: `LARGE` or `SMALL`.
    """

    def __init__(self, rows: list[_Block]) -> None:
        super().__init__()
        widths = [16, *(row.out for row in rows)]
        blocks = [InvertedResidual(inside, row) for inside, row in zip(widths, rows, strict=False)]
        last = 6 * rows[-1].out
        stem = _convolution(3, 16, 3, 2, act=nn.Hardswish)
        self.features = nn.Sequential(stem, *blocks, _convolution(rows[-1].out, last, 1, act=nn.Hardswish))
        # The last layer before each halving, the first (to stride 4) left out; layer 0 is the stem.
        halvings = [i for i, row in enumerate(rows) if row.stride == 2]
        self.taps = [*halvings[1:], len(rows) + 1]
        self.channels = [*(widths[tap] for tap in self.taps[:-1]), last]

    def forward(self, pixels: Tensor) -> Maps:
        maps = []
        for place, layer in enumerate(self.features):
            pixels = layer(pixels)
            if place in self.taps:
                maps.append(pixels)
        return Maps(maps)


def round_width(channels: float) -> int:
    """The multiple of 8 nearest to a number of channels, but not more than a tenth below it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def build_mobilenet(rows: list[_Block], weights: str | Path = "") -> MobileNetV3:
    """The backbone, perhaps with `model.safetensors` of a folder.

    Raises:
        FileNotFoundError: no such file in the folder.
        ValueError: it is of another network.
    """
    network = MobileNetV3(rows)
    if weights:
        path = Path(weights) / "model.safetensors"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: missing; save the state of torchvision's mobilenet_v3 there")
        state = {key: value for key, value in load_file(path).items() if key.startswith("features.")}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"{path}: not the weights of this MobileNetV3: {error}") from error
    return network


def _convolution(
    inside: int, out: int, kernel: int, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = None
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inside, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out, eps=0.001, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([] if act is None else [act()]))

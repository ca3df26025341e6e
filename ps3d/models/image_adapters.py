"""Networks of the transformers library that are no pyramids there: EfficientNet and DINOv2, brought to four maps."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ps3d.models.image_mobilenet import Maps

PATCH = 14
"""Pixels of a side of DINOv2's patches."""


class EfficientNetMaps(nn.Module):
    """EfficientNet (Tan and Le, ICML 2019) without its last convolution: the last map at strides 4, 8, 16 and 32."""

    def __init__(self, network: nn.Module) -> None:
        """
        Args:
            network: an EfficientNetModel.
        """
        super().__init__()
        parts: Any = network
        self.embeddings, self.blocks = parts.embeddings, parts.encoder.blocks
        halvings = [i for i, block in enumerate(self.blocks) if block.depthwise_conv.stride == 2]
        self.taps = [*(place - 1 for place in halvings[1:]), len(self.blocks) - 1]
        self.channels = [self.blocks[tap].projection.project_bn.num_features for tap in self.taps]

    def forward(self, pixels: Tensor) -> Maps:
        features, maps = self.embeddings(pixels), []
        for place, block in enumerate(self.blocks):
            features = block(features)
            if place in self.taps:
                maps.append(features)
        return Maps(maps)


class DinoMaps(nn.Module):
    """DINOv2 (Oquab et al., TMLR 2024) with the simple pyramid of ViTDet (Li et al., ECCV 2022) on its last map.

    The picture is shrunk by 14 / 16, so that patches of 14 pixels stand at stride 16 of the picture.
    """

    def __init__(self, network: nn.Module, width: int) -> None:
        """
        Args:
            network: a Dinov2Backbone that returns its last map.
            width: channels of that map.
        """
        super().__init__()
        self.network = network
        self.channels = [width // 4, width // 2, width, width]
        self.finer = nn.Sequential(
            nn.ConvTranspose2d(width, width // 2, 2, 2),
            nn.GroupNorm(1, width // 2),
            nn.GELU(),
            nn.ConvTranspose2d(width // 2, width // 4, 2, 2),
        )
        self.fine = nn.ConvTranspose2d(width, width // 2, 2, 2)

    def forward(self, pixels: Tensor) -> Maps:
        grid = [-(-side // 32) * 2 for side in pixels.shape[2:]]
        size = [side * PATCH for side in grid]
        shrunk = functional.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
        (features,) = self.network(shrunk).feature_maps
        return Maps([self.finer(features), self.fine(features), features, functional.max_pool2d(features, 2)])


def build_efficientnet(library: Any, width: float, depth: float, weights: str | Path = "") -> EfficientNetMaps:
    """EfficientNet of these coefficients, or of the folder of weights.

    Args:
        library: transformers.
    """
    if weights:
        return EfficientNetMaps(library.EfficientNetModel.from_pretrained(weights, local_files_only=True))
    # The library's momentum of 0.99 is TensorFlow's; torch counts the other way round.
    top = max(8, int(1280 * width + 4) // 8 * 8)
    sizes = {"width_coefficient": width, "depth_coefficient": depth, "batch_norm_momentum": 0.01, "hidden_dim": top}
    return EfficientNetMaps(library.EfficientNetModel(library.EfficientNetConfig(**sizes)))


def build_dino(library: Any, width: int, layers: int, heads: int, weights: str | Path = "") -> DinoMaps:
    """DINOv2 of this size, or of the folder of weights.

    Args:
        library: transformers.
    """
    last = [f"stage{layers}"]
    if weights:
        network = library.Dinov2Backbone.from_pretrained(weights, out_features=last, local_files_only=True)
        return DinoMaps(network, network.config.hidden_size)
    config = library.Dinov2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=518,
        patch_size=PATCH,
        out_features=last,
    )
    return DinoMaps(library.Dinov2Backbone(config), width)

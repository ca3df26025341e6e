"""The transformer encoder of MaskFormer's pixel decoder, which the paper adds to ResNets (and not to Swin).

Cheng et al., NeurIPS 2021: "R50 + 6 Enc". The library has the pyramid alone.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ps3d.models.image_set_prediction import QuerySizes, initialize_transformer


@dataclass(frozen=True)
class Maps:
    """What the library asks of a backbone."""

    feature_maps: tuple[Tensor, ...]


class EncodedBackbone(nn.Module):
    """A backbone whose coarsest map goes through a transformer, as DETR's does; the other maps stay as they are.

    Args:
        backbone: gives `feature_maps`.
        inside: channels of its coarsest map.
        sizes: of the encoder, which has at most the paper's six layers.
        embed: shape, device, type -> position of each cell, (1, width, rows, columns).
    """

    def __init__(self, backbone: nn.Module, inside: int, sizes: QuerySizes, embed: nn.Module) -> None:
        super().__init__()
        self.backbone, self.embed = backbone, embed
        self.projection = nn.Conv2d(inside, sizes.width, 1)
        self.layers = nn.ModuleList([EncoderLayer(sizes) for _ in range(min(sizes.encoder, 6))])
        initialize_transformer(self.layers)

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> Maps:
        """The maps of the backbone, the coarsest last."""
        *finer, coarsest = self.backbone(pixels).feature_maps
        cells = self.projection(coarsest)
        shape = cells.shape
        position = self.embed(shape, cells.device, cells.dtype).flatten(2).transpose(1, 2)
        tokens = cells.flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens = layer(tokens, position)
        return Maps((*finer, tokens.transpose(1, 2).reshape(shape)))


class EncoderLayer(nn.Module):
    """Self-attention and two linear layers, each added and then normalized; positions enter queries and keys alone."""

    def __init__(self, sizes: QuerySizes) -> None:
        super().__init__()
        width = sizes.width
        self.attention = nn.MultiheadAttention(width, sizes.heads, sizes.dropout, batch_first=True)
        self.wide, self.narrow = nn.Linear(width, sizes.inner), nn.Linear(sizes.inner, width)
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self, tokens: Float[Tensor, "images cells width"], position: Float[Tensor, "one_or_images cells width"]
    ) -> Float[Tensor, "images cells width"]:
        placed = tokens + position
        attended = self.attention(placed, placed, tokens, need_weights=False)[0]
        tokens = self.attention_norm(tokens + self.dropout(attended))
        moved = self.narrow(self.dropout(functional.relu(self.wide(tokens))))
        return self.norm(tokens + self.dropout(moved))


def add_pixel_encoder(network: nn.Module, sizes: QuerySizes) -> nn.Module:
    """Put an encoder between backbone and pyramid of the library's MaskFormer; pyramid and queries see its output.

    Args:
        sizes: the width is that of the pyramid and of the queries.
    """
    model: Any = network.model
    level, transformer = model.pixel_level_module, model.transformer_module
    device = next(network.parameters()).device
    with torch.device(device):
        stem = type(level.decoder.fpn.stem)(sizes.width, sizes.width)
        inside = level.encoder.channels[-1]
        level.encoder = EncodedBackbone(level.encoder, inside, sizes, transformer.position_embedder)
    level.decoder.fpn.stem = stem
    transformer.input_projection = None
    return network

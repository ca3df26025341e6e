"""DETR with its panoptic mask head (Carion et al., ECCV 2020); network and losses of transformers."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ps3d.models.image_backbones import backbone_config, import_transformers
from ps3d.models.image_set_prediction import (
    SMALL,
    Answer,
    QueryPanoptic,
    QuerySizes,
    initialize_queries,
    initialize_transformer,
    layer_states,
    load_network,
)
from ps3d.structures import Taxonomy


class DetrPanoptic(QueryPanoptic):
    """DETR has boxes too, and a loss of its own (Carion et al., ECCV 2020)."""

    def criterion_of(
        self, answers: list[Answer], targets: list[tuple[Tensor, Tensor]]
    ) -> Mapping[str, list[Float[Tensor, ""]]]:
        """Class, box and overlap losses of every layer, mask and dice losses of the last."""
        labels = [{"class_labels": c, "masks": m, "boxes": boxes_of_masks(m)} for c, m in targets]
        answer, network = answers[-1], self.network
        assert answer.boxes is not None
        config: Any = copy.copy(network.config)
        config.auxiliary_loss = True
        function: Any = network.loss_function
        layers = [a.class_logits for a in answers], [a.boxes for a in answers]
        device = answer.class_logits.device
        _, losses, _ = function(answer.class_logits, labels, device, answer.boxes, answer.mask_logits, config, *layers)

        def every(name: str, weight: float | int) -> list[Tensor]:
            return [weight * value for key, value in losses.items() if key == name or key.startswith(f"{name}_")]

        return {
            "class": every("loss_ce", 1.0),
            "box": every("loss_bbox", config.bbox_loss_coefficient),
            "overlap": every("loss_giou", config.giou_loss_coefficient),
            "mask": every("loss_mask", config.mask_loss_coefficient),
            "dice": every("loss_dice", config.dice_loss_coefficient),
        }


def boxes_of_masks(masks: Float[Tensor, "segments height width"]) -> Float[Tensor, "segments 4"]:
    """The smallest box around each mask: center x, center y, width, height as shares of the picture."""
    boxes = torch.zeros(len(masks), 4, device=masks.device)
    for place, mask in enumerate(masks):
        for axis in (0, 1):
            hit = torch.nonzero(mask.any(dim=axis)).flatten()
            first, last, side = hit[0], hit[-1] + 1, mask.shape[1 - axis]
            boxes[place, axis], boxes[place, axis + 2] = (first + last) / (2 * side), (last - first) / side
    return boxes


def build_detr(
    taxonomy: Taxonomy, backbone: str = "small", sizes: QuerySizes = SMALL, scale: float = 1.0, weights: str = ""
) -> QueryPanoptic:
    """DETR with its panoptic mask head (Carion et al., ECCV 2020); six encoder and six decoder layers in the paper."""
    library = import_transformers()
    config = library.DetrConfig(
        backbone_config=backbone_config(backbone),
        d_model=sizes.width,
        num_queries=sizes.queries,
        encoder_layers=min(sizes.encoder, 6),
        decoder_layers=min(sizes.decoder, 6),
        encoder_attention_heads=sizes.heads,
        decoder_attention_heads=sizes.heads,
        encoder_ffn_dim=sizes.inner,
        decoder_ffn_dim=sizes.inner,
        dropout=sizes.dropout,
        num_labels=len(taxonomy),
    )
    network: Any = load_network(library.DetrForSegmentation, config, weights)
    thaw_backbone(network.detr.model.backbone.model, is_pretrained=bool(weights))
    if not weights:
        initialize_transformer(network.detr.model.encoder)
        initialize_transformer(network.detr.model.decoder)
        initialize_queries(network.detr.model.query_position_embeddings)
        raise_attention(network.mask_head, sizes.width)
    return DetrPanoptic(network, _respond_with_boxes, taxonomy, scale)


LOUDNESS = 50.0
"""Attention over heads and cells sums to 1, so a value is about a hundredth, where features are about 1."""


@torch.no_grad()
def raise_attention(mask_head: Any, width: int) -> None:
    """Let the mask head's first filter hear the attention maps, which come behind `width` channels of features.

    They alone tell the queries apart. As published they are drowned by the features for most of a short training.
    """
    mask_head.conv1.conv.weight[:, width:] *= LOUDNESS


class FrozenNormalization(nn.BatchNorm2d):
    """Batch normalization that keeps the statistics and weights of a pretraining."""

    def train(self, mode: bool = True) -> "FrozenNormalization":
        return super().train(False)


def thaw_backbone(backbone: nn.Module, is_pretrained: bool) -> None:
    """Make a backbone trainable, which the library means to do but does not: it freezes all of a ResNet.

    As published, stem and first stage of a pretrained ResNet and its batch normalization stay as they are. Random
    weights are all trained, and normalized by their batches: a deep network of random weights does not learn without.
    """
    kind = FrozenNormalization if is_pretrained else nn.BatchNorm2d
    for module in list(backbone.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__ == "DetrFrozenBatchNorm2d":
                weight: Tensor = child.weight  # type: ignore[assignment]
                normalization = kind(weight.shape[0], device=weight.device)
                normalization.load_state_dict(child.state_dict(), strict=False)
                normalization.requires_grad_(not is_pretrained)
                setattr(module, name, normalization)
    for name, parameter in backbone.named_parameters():
        is_fixed = name.startswith(("embedder.", "encoder.stages.0.")) or "normalization" in name
        parameter.requires_grad_(not (is_pretrained and is_fixed))


def _respond_with_boxes(network: Any, pixels: Tensor) -> list[Answer]:
    """Every layer's classes and boxes; masks are the last layer's, which alone has them."""
    with layer_states(network.detr.model.decoder) as states:
        output = network(pixel_values=pixels)
    earlier = [
        Answer(
            network.detr.class_labels_classifier(state), output.pred_masks, network.detr.bbox_predictor(state).sigmoid()
        )
        for state in states[:-1]
    ]
    return [*earlier, Answer(output.logits, output.pred_masks, output.pred_boxes)]

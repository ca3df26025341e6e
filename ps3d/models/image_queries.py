"""Set prediction for pictures: MaskFormer, Mask2Former, OneFormer and EoMT; networks and losses of transformers.

DETR is in `ps3d.models.image_detr`, what all have in common in `ps3d.models.image_set_prediction`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ps3d.models.image_backbones import backbone_config, import_transformers
from ps3d.models.image_detr import build_detr
from ps3d.models.image_maskformer import add_pixel_encoder
from ps3d.models.image_set_prediction import (
    PAPER,
    SMALL,
    SMALL_DETR,
    Answer,
    QueryPanoptic,
    QuerySizes,
    initialize_queries,
    initialize_transformer,
    layer_states,
    load_network,
)
from ps3d.structures import Taxonomy

__all__ = ["BUILDERS", "PAPER", "SMALL", "SMALL_DETR", "QuerySizes"]


def build_mask2former(
    taxonomy: Taxonomy, backbone: str = "small", sizes: QuerySizes = SMALL, scale: float = 1.0, weights: str = ""
) -> QueryPanoptic:
    """Mask2Former (Cheng et al., CVPR 2022)."""
    library = import_transformers()
    config = library.Mask2FormerConfig(
        backbone_config=backbone_config(backbone),
        feature_size=sizes.width,
        mask_feature_size=sizes.width,
        hidden_dim=sizes.width,
        encoder_feedforward_dim=sizes.inner // 2,
        encoder_layers=sizes.encoder,
        decoder_layers=sizes.decoder + 1,  # the library counts the loss on the initial queries as a layer
        num_attention_heads=sizes.heads,
        dim_feedforward=sizes.inner,
        num_queries=sizes.queries,
        train_num_points=sizes.points,
        num_labels=len(taxonomy),
    )
    network = load_network(library.Mask2FormerForUniversalSegmentation, config, weights)
    return QueryPanoptic(network, _respond_with_layers, taxonomy, scale)


def build_maskformer(
    taxonomy: Taxonomy, backbone: str = "small", sizes: QuerySizes = SMALL, scale: float = 1.0, weights: str = ""
) -> QueryPanoptic:
    """MaskFormer (Cheng et al., NeurIPS 2021), six decoder layers in the paper.

    The pixel decoder is a pyramid; for the published ResNets six encoder layers come before it, as in the paper.
    """
    library = import_transformers()
    decoder = library.DetrConfig(
        d_model=sizes.width,
        num_queries=sizes.queries,
        encoder_layers=0,
        decoder_layers=min(sizes.decoder, 6),
        encoder_attention_heads=sizes.heads,
        decoder_attention_heads=sizes.heads,
        decoder_ffn_dim=sizes.inner,
        dropout=sizes.dropout,
        backbone_config=backbone_config("tiny"),
    )
    config = library.MaskFormerConfig(
        backbone_config=backbone_config(backbone),
        decoder_config=decoder,
        fpn_feature_size=sizes.width,
        mask_feature_size=sizes.width,
        mask_weight=20.0,
        dice_weight=1.0,
        num_labels=len(taxonomy),
    )
    network = load_network(library.MaskFormerForInstanceSegmentation, config, weights)
    if not weights:
        initialize_transformer(network.model.transformer_module.decoder)  # type: ignore[union-attr, arg-type]
        initialize_queries(network.model.transformer_module.queries_embedder)  # type: ignore[union-attr, arg-type]
    if backbone.startswith("resnet"):
        add_pixel_encoder(network, sizes)
    return QueryPanoptic(network, _respond_with_states, taxonomy, scale)


TASK_TOKENS = 77
"""Length of OneFormer's task text."""


def build_oneformer(
    taxonomy: Taxonomy, backbone: str = "small", sizes: QuerySizes = SMALL, scale: float = 1.0, weights: str = ""
) -> QueryPanoptic:
    """OneFormer (Jain et al., CVPR 2023) with the panoptic task; without its text branch, which serves training only.

    Its contrastive loss needs a tokenizer's vocabulary, which is a download; the other losses are the paper's.
    """
    library = import_transformers()
    config = library.OneFormerConfig(
        backbone_config=backbone_config(backbone),
        conv_dim=sizes.width,
        mask_dim=sizes.width,
        hidden_dim=sizes.width,
        encoder_feedforward_dim=sizes.inner // 2,
        encoder_layers=sizes.encoder,
        decoder_layers=sizes.decoder + 1,
        num_attention_heads=sizes.heads,
        dim_feedforward=sizes.inner,
        num_queries=sizes.queries,
        train_num_points=sizes.points,
        dropout=sizes.dropout,
        num_labels=len(taxonomy),
        is_training=False,
    )
    network = load_network(library.OneFormerForUniversalSegmentation, config, weights)
    if not weights:
        initialize_queries(network.model.transformer_module.queries_embedder)  # type: ignore[union-attr, arg-type]
    return QueryPanoptic(network, _respond_to_task, taxonomy, scale)


VIT_WIDTHS = {"tiny": (64, 4, 4), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
"""Plain vision transformers: channels, layers, heads."""


def build_eomt(
    taxonomy: Taxonomy,
    backbone: str = "tiny",
    sizes: QuerySizes = SMALL,
    scale: float = 1.0,
    weights: str = "",
    side: int = 640,
) -> QueryPanoptic:
    """EoMT (Kerssies et al., CVPR 2025): a plain vision transformer whose last layers also carry the queries.

    Args:
        backbone: a name in `VIT_WIDTHS`.
        side: pixels of the square that every picture is filled up to.
    """
    if backbone not in VIT_WIDTHS:
        raise KeyError(f"no plain transformer {backbone!r}; there are {', '.join(VIT_WIDTHS)}")
    library = import_transformers()
    width, layers, heads = VIT_WIDTHS[backbone]
    config = library.EomtConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_blocks=3 if layers == 12 else min(4, layers // 2),
        image_size=side,
        num_queries=sizes.queries,
        train_num_points=sizes.points,
        num_labels=len(taxonomy),
        attn_implementation="eager",
    )
    network = load_network(library.EomtForUniversalSegmentation, config, weights)
    return QueryPanoptic(network, _respond_by_blocks, taxonomy, scale, side)


BUILDERS: dict[str, Callable[..., QueryPanoptic]] = {
    "mask2former": build_mask2former,
    "maskformer": build_maskformer,
    "oneformer": build_oneformer,
    "detr": build_detr,
    "eomt": build_eomt,
}


def _respond_with_layers(network: Any, pixels: Tensor) -> list[Answer]:
    output = network(pixel_values=pixels, output_auxiliary_logits=True)
    return [*_auxiliary(output.auxiliary_logits), Answer(output.class_queries_logits, output.masks_queries_logits)]


def _respond_with_states(network: Any, pixels: Tensor) -> list[Answer]:
    # The library takes the queries before the first layer for an answer and leaves out the normalization.
    decoder = network.model.transformer_module.decoder
    with layer_states(decoder) as states:
        output = network(pixel_values=pixels)
    answers = []
    for state in states[:-1]:
        embedding = network.mask_embedder(state)
        masks = torch.einsum("bqc,bchw->bqhw", embedding, output.pixel_decoder_last_hidden_state)
        answers.append(Answer(network.class_predictor(state), masks))
    return [*answers, Answer(output.class_queries_logits, output.masks_queries_logits)]


def _respond_to_task(network: Any, pixels: Tensor) -> list[Answer]:
    # One task for every picture; its text only has to be the same in training and prediction.
    task = torch.ones(len(pixels), TASK_TOKENS, device=pixels.device)
    output = network(pixel_values=pixels, task_inputs=task, output_auxiliary_logits=True)
    layers = output.auxiliary_predictions or output.transformer_decoder_auxiliary_predictions or []
    return [*_auxiliary(layers), Answer(output.class_queries_logits, output.masks_queries_logits)]


def _respond_by_blocks(network: Any, pixels: Tensor) -> list[Answer]:
    """The library returns the last block's answer only; those of the blocks before are noted on the way."""
    answers: list[Answer] = []
    ask = type(network).predict

    def note(tokens: Tensor) -> tuple[Tensor, Tensor]:
        masks, classes = ask(network, tokens)
        answers.append(Answer(classes, masks))
        return masks, classes

    network.predict = note
    try:
        network(pixel_values=pixels)
    finally:
        del network.predict
    return answers


def _auxiliary(layers: Sequence[Mapping[str, Tensor]] | None) -> list[Answer]:
    return [Answer(layer["class_queries_logits"], layer["masks_queries_logits"]) for layer in layers or []]

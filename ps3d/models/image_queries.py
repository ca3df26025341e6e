"""Set prediction for pictures: MaskFormer, Mask2Former, OneFormer, EoMT and DETR; networks and losses of transformers.

Ours are the labels, the targets, the precision of the loss, and the fusion: the library's own post-processing numbers
objects twice and forces masks through one size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ps3d.models.image_backbones import backbone_config, import_transformers
from ps3d.models.image_batch import MULTIPLE, ImageBatch, collate_images, segment_masks
from ps3d.structures import Frame, MaskPrediction, Taxonomy

FARTHEST = 1e4
"""Logits beyond, and those that are no numbers, count as this in the loss: half precision can overflow."""


@dataclass(frozen=True)
class Answer:
    """What one decoder layer says.

    Attributes:
        class_logits: the last class means "no object".
        mask_logits: on the network's grid.
        boxes: center x, center y, width, height as shares of the picture; None where the network has none.
    """

    class_logits: Float[Tensor, "images queries classes_plus_one"]
    mask_logits: Float[Tensor, "images queries rows columns"]
    boxes: Float[Tensor, "images queries 4"] | None = None


@dataclass(frozen=True)
class QuerySizes:
    """Widths and depths: the papers', or smaller ones for a CPU.

    Attributes:
        width: channels of queries, pixel decoder and masks.
        queries: how many.
        heads: of every attention; 8 divides what DETR groups into 8.
        encoder, decoder: layers of the pixel decoder and of the query decoder.
        inner: channels inside the decoder's feed-forward layers; half as many in the pixel decoder.
        points: elements of each mask that the loss looks at.
    """

    width: int = 256
    queries: int = 100
    heads: int = 8
    encoder: int = 6
    decoder: int = 9
    inner: int = 2048
    points: int = 12544


PAPER = QuerySizes()
SMALL = QuerySizes(64, 50, 8, 2, 3, 128, 2048)


class QueryPanoptic(nn.Module):
    """Pictures in, a `MaskPrediction` for each out.

    Args:
        network: a transformers model whose `criterion` and `weight_dict` are its loss.
        respond: calls the network: pixels (images, 3, height, width) -> an `Answer` per decoder layer, the last last.
        taxonomy: the classes.
        scale: of the network's input to the pictures on disk.
        multiple: rows and columns are filled up to a multiple of it.
    """

    def __init__(
        self,
        network: nn.Module,
        respond: Callable[[nn.Module, Tensor], list[Answer]],
        taxonomy: Taxonomy,
        scale: float = 1.0,
        multiple: int = MULTIPLE,
    ) -> None:
        super().__init__()
        self.network, self.respond, self.taxonomy = network, respond, taxonomy
        self.scale, self.multiple = scale, multiple

    def collate(self, frames: Sequence[Frame]) -> ImageBatch:
        """Frames (numpy) to a batch (torch)."""
        return collate_images(frames, self.scale, self.multiple)

    def forward(self, batch: ImageBatch) -> list[Answer]:
        """An answer per decoder layer."""
        return self.respond(self.network, batch.pixels)

    def loss(self, batch: ImageBatch) -> dict[str, Float[Tensor, ""]]:
        """Class, mask and dice losses, each summed over the decoder layers and weighted as the paper does.

        Matching and losses are computed in single precision whatever the precision of the network.
        """
        answers = [_in_single_precision(answer) for answer in self(batch)]
        targets = [segment_masks(*labels, self.taxonomy) for labels in zip(batch.semantic, batch.instance, strict=True)]
        with torch.autocast(batch.pixels.device.type, enabled=False):
            if not any(len(classes) for classes, _ in targets):
                return {"class": self._loss_without_segments(answers)}
            parts = self.criterion_of(answers, targets)
        return {name: sum(values, torch.zeros((), device=batch.pixels.device)) for name, values in parts.items()}

    def criterion_of(
        self, answers: list[Answer], targets: list[tuple[Tensor, Tensor]]
    ) -> Mapping[str, list[Float[Tensor, ""]]]:
        """The weighted losses of every layer, by part; targets are (classes, masks) of each picture."""
        classes, masks = [target[0] for target in targets], [target[1] for target in targets]
        parts: dict[str, list[Tensor]] = {"class": [], "mask": [], "dice": []}
        criterion: Any = self.network.criterion
        weights: Any = self.network.weight_dict
        for answer in answers:
            found = criterion.loss_masks, criterion.loss_labels
            indices = criterion.matcher(answer.mask_logits, answer.class_logits, masks, classes)
            count = criterion.get_num_masks(classes, device=classes[0].device)
            losses = {
                **found[0](answer.mask_logits, masks, indices, count),
                **found[1](answer.class_logits, classes, indices),
            }
            for part, name in (("class", "loss_cross_entropy"), ("mask", "loss_mask"), ("dice", "loss_dice")):
                parts[part].append(weights[name] * losses[name])
        return parts

    def _loss_without_segments(self, answers: list[Answer]) -> Float[Tensor, ""]:
        """Every query should say "no object"; masks do not count, which the library's loss cannot express."""
        nothing = answers[0].class_logits.shape[2] - 1
        losses = [-answer.class_logits.log_softmax(dim=2)[..., nothing].mean() for answer in answers]
        unused = sum(answer.mask_logits.sum() * 0 for answer in answers)
        return torch.stack(losses).sum() + unused

    @torch.no_grad()
    def predict(self, batch: ImageBatch) -> list[MaskPrediction]:
        """One prediction per picture, to be stretched to its size on disk."""
        answer = self(batch)[-1]
        predictions = []
        height, width = batch.pixels.shape[2:]
        for classes, masks, size, picture in zip(
            answer.class_logits, answer.mask_logits, batch.sizes, batch.pictures, strict=True
        ):
            rows, columns = -(-size[0] * masks.shape[1] // height), -(-size[1] * masks.shape[2] // width)
            predictions.append(MaskPrediction(classes.float(), masks[:, :rows, :columns].float(), picture))
        return predictions


def _in_single_precision(answer: Answer) -> Answer:
    def clean(values: Tensor) -> Tensor:
        return torch.nan_to_num(values.float(), nan=0.0, posinf=FARTHEST, neginf=-FARTHEST)

    boxes = None if answer.boxes is None else clean(answer.boxes)
    return Answer(clean(answer.class_logits), clean(answer.mask_logits), boxes)


class DetrPanoptic(QueryPanoptic):
    """DETR has boxes too, and a loss of its own (Carion et al., ECCV 2020)."""

    def criterion_of(
        self, answers: list[Answer], targets: list[tuple[Tensor, Tensor]]
    ) -> Mapping[str, list[Float[Tensor, ""]]]:
        """Class, box, overlap, mask and dice losses of the last layer."""
        labels = [{"class_labels": c, "masks": m, "boxes": boxes_of_masks(m)} for c, m in targets]
        answer, network = answers[-1], self.network
        assert answer.boxes is not None
        config: Any = network.config
        function: Any = network.loss_function
        arguments = (answer.class_logits, labels, answer.class_logits.device, answer.boxes, answer.mask_logits, config)
        _, losses, _ = function(*arguments, None, None)
        return {
            "class": [losses["loss_ce"]],
            "box": [config.bbox_loss_coefficient * losses["loss_bbox"]],
            "overlap": [config.giou_loss_coefficient * losses["loss_giou"]],
            "mask": [config.mask_loss_coefficient * losses["loss_mask"]],
            "dice": [config.dice_loss_coefficient * losses["loss_dice"]],
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
    network = _load(library.Mask2FormerForUniversalSegmentation, config, weights)
    return QueryPanoptic(network, _respond_with_layers, taxonomy, scale)


def build_maskformer(
    taxonomy: Taxonomy, backbone: str = "small", sizes: QuerySizes = SMALL, scale: float = 1.0, weights: str = ""
) -> QueryPanoptic:
    """MaskFormer (Cheng et al., NeurIPS 2021) with the pyramid as pixel decoder, six decoder layers in the paper."""
    library = import_transformers()
    decoder = library.DetrConfig(
        d_model=sizes.width,
        num_queries=sizes.queries,
        encoder_layers=0,
        decoder_layers=min(sizes.decoder, 6),
        encoder_attention_heads=sizes.heads,
        decoder_attention_heads=sizes.heads,
        decoder_ffn_dim=sizes.inner,
        backbone_config=backbone_config("tiny"),
    )
    config = library.MaskFormerConfig(
        backbone_config=backbone_config(backbone),
        decoder_config=decoder,
        fpn_feature_size=sizes.width,
        mask_feature_size=sizes.width,
        use_auxiliary_loss=True,
        mask_weight=20.0,
        dice_weight=1.0,
        num_labels=len(taxonomy),
    )
    network = _load(library.MaskFormerForInstanceSegmentation, config, weights)
    return QueryPanoptic(network, _respond_with_layers_of_states, taxonomy, scale)


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
        num_labels=len(taxonomy),
        is_training=False,
    )
    network = _load(library.OneFormerForUniversalSegmentation, config, weights)
    return QueryPanoptic(network, _respond_to_task, taxonomy, scale)


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
        num_labels=len(taxonomy),
    )
    network = _load(library.DetrForSegmentation, config, weights)
    return DetrPanoptic(network, _respond_with_boxes, taxonomy, scale)


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
    network = _load(library.EomtForUniversalSegmentation, config, weights)
    return QueryPanoptic(network, _respond_by_blocks, taxonomy, scale, side)


BUILDERS: dict[str, Callable[..., QueryPanoptic]] = {
    "mask2former": build_mask2former,
    "maskformer": build_maskformer,
    "oneformer": build_oneformer,
    "detr": build_detr,
    "eomt": build_eomt,
}


def _load(kind: Any, config: Any, weights: str) -> nn.Module:
    """A network with random weights, or with those of a local folder as far as their sizes fit."""
    if not weights:
        return kind(config)
    return kind.from_pretrained(weights, config=config, ignore_mismatched_sizes=True, local_files_only=True)


def _respond_with_layers(network: Any, pixels: Tensor) -> list[Answer]:
    output = network(pixel_values=pixels, output_auxiliary_logits=True)
    return [*_auxiliary(output.auxiliary_logits), Answer(output.class_queries_logits, output.masks_queries_logits)]


def _respond_with_layers_of_states(network: Any, pixels: Tensor) -> list[Answer]:
    # Without hidden states the library stacks None when every layer is asked for.
    output = network(pixel_values=pixels, output_auxiliary_logits=True, output_hidden_states=True)
    return [*_auxiliary(output.auxiliary_logits), Answer(output.class_queries_logits, output.masks_queries_logits)]


def _respond_to_task(network: Any, pixels: Tensor) -> list[Answer]:
    # One task for every picture; its text only has to be the same in training and prediction.
    task = torch.ones(len(pixels), TASK_TOKENS, device=pixels.device)
    output = network(pixel_values=pixels, task_inputs=task, output_auxiliary_logits=True)
    layers = output.auxiliary_predictions or output.transformer_decoder_auxiliary_predictions or []
    return [*_auxiliary(layers), Answer(output.class_queries_logits, output.masks_queries_logits)]


def _respond_with_boxes(network: Any, pixels: Tensor) -> list[Answer]:
    output = network(pixel_values=pixels)
    return [Answer(output.logits, output.pred_masks, output.pred_boxes)]


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

"""What the networks that answer with a set of queries have in common.

Ours are the labels, the targets, the precision of the loss, and the fusion: the library's own post-processing numbers
objects twice and forces masks through one size. Its random weights are not the published ones either: queries that are
nearly alike (a spread of 0.02 instead of 1) hardly learn to stand for different objects.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ps3d.models.image_backbones import find_pretrained
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
        dropout: of the transformers of MaskFormer, OneFormer and DETR; the others have none.
    """

    width: int = 256
    queries: int = 100
    heads: int = 8
    encoder: int = 6
    decoder: int = 9
    inner: int = 2048
    points: int = 12544
    dropout: float = 0.1


PAPER = QuerySizes()
SMALL = QuerySizes(64, 50, 8, 2, 3, 128, 2048, 0.0)
SMALL_DETR = replace(SMALL, width=128)
"""DETR's mask head narrows to a sixteenth of the width, which leaves 8 channels here and would leave 4 of 64."""


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
        # OneFormer's losses of masks have a dimension of one element.
        return {name: torch.stack([value.sum() for value in values]).sum() for name, values in parts.items()}

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


def load_network(kind: Any, config: Any, weights: str) -> nn.Module:
    """A network with random weights, or with those that `find_pretrained` finds as far as their sizes fit."""
    if not weights:
        return kind(config)
    folder = find_pretrained(weights)
    return kind.from_pretrained(folder, config=config, ignore_mismatched_sizes=True, local_files_only=True)


def initialize_queries(queries: nn.Embedding) -> None:
    """Random queries of spread 1, as all the papers' code has them."""
    nn.init.normal_(queries.weight)


def initialize_transformer(transformer: nn.Module) -> None:
    """Matrices as in DETR's code and those after it (Glorot and Bengio, AISTATS 2010)."""
    for parameter in transformer.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)


@contextmanager
def layer_states(decoder: Any) -> Iterator[list[Tensor]]:
    """A list that fills with each layer's normalized states while the decoder is called: (images, queries, width)."""
    states: list[Tensor] = []

    def note(_layer: nn.Module, _arguments: Any, output: Any) -> None:
        states.append(decoder.layernorm(output[0] if isinstance(output, tuple) else output))

    handles = [layer.register_forward_hook(note) for layer in decoder.layers]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()

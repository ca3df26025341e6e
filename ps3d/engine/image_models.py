"""Image networks by name, their weights on disk, and from a frame to its labels."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ps3d.engine.checkpoint import find_weights, load_state, read_weights, taxonomy_from
from ps3d.engine.config_files import check_config
from ps3d.engine.image_config import ImageModelSettings, PictureFusion
from ps3d.fusion import (
    BoxFusion,
    CenterFusion,
    LogitFusion,
    MaskFusion,
    fuse_boxes,
    fuse_centers,
    fuse_mask_logits,
    fuse_masks,
)
from ps3d.models import image_deeplab, image_queries, image_two_stage
from ps3d.models.image_backbones import can_dilate
from ps3d.models.image_batch import only_camera, resize_label, resize_picture, scaled_size
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import BoxPrediction, CenterPrediction, Frame, Image, MaskPrediction, Panoptic, Taxonomy

IMAGE_MODEL = "image_panoptic"
TWO_STAGE = {"panoptic_fpn": image_two_stage.PanopticFpn, "fcn_mask_rcnn": image_two_stage.FcnMaskRcnn}


def build_image_model(settings: ImageModelSettings, taxonomy: Taxonomy) -> nn.Module:
    """The network that the settings describe, with fresh weights unless a folder of weights is named.

    Raises:
        KeyError: no such backbone; lists the known ones.
    """
    if settings.architecture == "deeplab":
        return build_deeplab(settings, taxonomy)
    if settings.architecture in TWO_STAGE:
        widths = image_two_stage.PAPER if settings.is_paper else image_two_stage.SMALL
        return TWO_STAGE[settings.architecture](taxonomy, settings.backbone, widths, weights=settings.weights)
    small = image_queries.SMALL_DETR if settings.architecture == "detr" else image_queries.SMALL
    sizes = image_queries.PAPER if settings.is_paper else small
    if settings.queries:
        sizes = replace(sizes, queries=settings.queries)
    more: dict[str, Any] = {"side": settings.side} if settings.architecture == "eomt" else {}
    build = image_queries.BUILDERS[settings.architecture]
    return build(taxonomy, settings.backbone, sizes, weights=settings.weights, **more)


def build_deeplab(settings: ImageModelSettings, taxonomy: Taxonomy) -> image_deeplab.PanopticDeepLab:
    """Panoptic-DeepLab in the paper's size, small, or small and fine."""
    if settings.is_paper:
        sizes, loss = image_deeplab.PAPER, image_deeplab.DeepLabLoss()
    elif settings.is_fine:
        sizes, loss = image_deeplab.FINE, image_deeplab.FINE_LOSS
    else:
        sizes, loss = image_deeplab.SMALL, image_deeplab.SMALL_LOSS
    stride = 16 if can_dilate(settings.backbone) and not settings.is_fine else 32
    return image_deeplab.PanopticDeepLab(
        taxonomy, settings.backbone, sizes, stride, loss_settings=loss, weights=settings.weights
    )


def save_image_weights(
    path: str | Path,
    state: dict[str, Tensor],
    settings: ImageModelSettings,
    fusion: PictureFusion,
    taxonomy: Taxonomy,
    facts: dict[str, Any] | None = None,
) -> None:
    """Write weights with the network's and the merge's settings and the classes inside."""
    metadata = {
        "format": "ps3d",
        "kind": IMAGE_MODEL,
        "model": json.dumps(asdict(settings)),
        "fusion": json.dumps(asdict(fusion)),
        "taxonomy": json.dumps(asdict(taxonomy)),
        "facts": json.dumps(facts or {}),
    }
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}
    with atomic_write(path) as name:
        save_file(tensors, name, metadata)


def load_image_predictor(checkpoint: str | Path, device: torch.device | str = "cpu") -> "PicturePredictor":
    """A predictor from a file, a run's folder, or the name of weights that come along.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: a checkpoint of another kind.
    """
    path = find_weights(checkpoint)
    state, metadata = read_weights(path)
    if metadata.get("kind") != IMAGE_MODEL:
        raise ValueError(f"{path}: not a checkpoint of {IMAGE_MODEL} but of {metadata.get('kind', 'something else')}")
    settings = replace(check_config(json.loads(metadata["model"]), ImageModelSettings, path), weights="")
    fusion = check_config(json.loads(metadata["fusion"]), PictureFusion, path)
    model = build_image_model(settings, taxonomy_from(json.loads(metadata["taxonomy"])))
    load_state(model, state, path)
    return PicturePredictor(model.to(device), settings, fusion)


def shrink(frame: Frame, scale: float) -> Frame:
    """A frame whose one picture, and its labels, have the size the network sees."""
    camera = only_camera(frame)
    size = scaled_size(frame.images[camera].size, scale)
    truth = {camera: resize_label(frame.truth[camera], size)} if camera in frame.truth else {}
    return replace(frame, images={camera: Image(resize_picture(frame.images[camera].rgb, size))}, truth=truth)


class PicturePredictor:
    """From frames to labels: shrink, network, merge in the picture's own size.

    Args:
        model: on its device.
        settings: what it was built with.
        fusion: of the merge.
    """

    def __init__(self, model: nn.Module, settings: ImageModelSettings, fusion: PictureFusion) -> None:
        self.model = model.eval()
        self.settings, self.fusion = settings, fusion
        self.taxonomy: Taxonomy = model.taxonomy  # type: ignore[assignment]
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def __call__(self, frame: Frame) -> Panoptic:
        """The panoptic labels of the frame's one picture.

        Raises:
            ValueError: no picture, or several.
        """
        return self.fuse(self.predict(frame))

    @torch.inference_mode()
    def predict(self, frame: Frame) -> MaskPrediction | CenterPrediction | BoxPrediction:
        """What the network says about the frame's one picture, before the merge.

        Raises:
            ValueError: no picture, or several.
        """
        model: Any = self.model
        model.eval()
        batch = model.collate([replace(shrink(frame, self.settings.scale), truth={})]).to(self.device)
        (prediction,) = model.predict(batch)
        size = frame.images[only_camera(frame)].size
        return prediction.stretched(size) if isinstance(prediction, BoxPrediction) else replace(prediction, size=size)

    @torch.inference_mode()
    def fuse(self, prediction: MaskPrediction | CenterPrediction | BoxPrediction) -> Panoptic:
        """The labels of a prediction."""
        return fuse_pictures(prediction, self.taxonomy, self.settings, self.fusion)


def fuse_pictures(
    prediction: MaskPrediction | CenterPrediction | BoxPrediction,
    taxonomy: Taxonomy,
    settings: ImageModelSettings,
    fusion: PictureFusion,
) -> Panoptic:
    """The merge that belongs to the architecture."""
    if isinstance(prediction, CenterPrediction):
        centers = CenterFusion(
            fusion.heat,
            fusion.kernel,
            stuff_minimum=fusion.stuff_minimum,
            votes=fusion.votes,
            least_votes=fusion.least_votes,
        )
        return fuse_centers(prediction, taxonomy, centers)
    if isinstance(prediction, BoxPrediction):
        return fuse_boxes(prediction, taxonomy, BoxFusion(stuff_minimum=fusion.stuff_minimum))
    if settings.architecture == "detr":
        return fuse_mask_logits(prediction, taxonomy, LogitFusion(fusion.score))
    inside = 0.0 if settings.architecture == "maskformer" else 0.5
    return fuse_masks(prediction, taxonomy, MaskFusion(fusion.score, fusion.kept, inside))

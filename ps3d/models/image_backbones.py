"""Backbones for pictures, by name, mostly of the transformers library; weights from this machine.

Nothing is downloaded: a backbone starts with random weights unless weights are named, a folder or a model of the hub
that was downloaded before.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from ps3d.models.image_adapters import build_dino, build_efficientnet
from ps3d.models.image_mobilenet import LARGE, SMALL, build_mobilenet

STAGES = ["stage1", "stage2", "stage3", "stage4"]


@dataclasses.dataclass(frozen=True)
class _Family:
    """A kind of backbone: the name of its transformers configuration class and the sizes of one member."""

    config: str
    sizes: dict[str, Any]


def _resnet(depths: list[int], widths: list[int], layer: str = "bottleneck", stem: int = 64) -> _Family:
    return _Family(
        "ResNetConfig", {"depths": depths, "hidden_sizes": widths, "layer_type": layer, "embedding_size": stem}
    )


def _swin(width: int, depths: list[int], heads: list[int], window: int = 7) -> _Family:
    sizes = {"embed_dim": width, "depths": depths, "num_heads": heads, "window_size": window, "drop_path_rate": 0.3}
    return _Family("SwinConfig", sizes)


def _convnext(depths: list[int], widths: list[int]) -> _Family:
    return _Family("ConvNextConfig", {"depths": depths, "hidden_sizes": widths})


_WIDE = [256, 512, 1024, 2048]
FAMILIES: dict[str, _Family] = {
    "tiny": _resnet([1, 1, 1, 1], [16, 32, 64, 128], "basic", 16),
    "small": _resnet([2, 2, 2, 2], [32, 64, 128, 256], "basic", 32),
    "resnet18": _resnet([2, 2, 2, 2], [64, 128, 256, 512], "basic"),
    "resnet34": _resnet([3, 4, 6, 3], [64, 128, 256, 512], "basic"),
    "resnet50": _resnet([3, 4, 6, 3], _WIDE),
    "resnet101": _resnet([3, 4, 23, 3], _WIDE),
    "swin_tiny": _swin(96, [2, 2, 6, 2], [3, 6, 12, 24]),
    "swin_small": _swin(96, [2, 2, 18, 2], [3, 6, 12, 24]),
    "swin_base": _swin(128, [2, 2, 18, 2], [4, 8, 16, 32], 12),
    "swin_large": _swin(192, [2, 2, 18, 2], [6, 12, 24, 48], 12),
    "convnext_tiny": _convnext([3, 3, 9, 3], [96, 192, 384, 768]),
    "convnext_base": _convnext([3, 3, 27, 3], [128, 256, 512, 1024]),
}
"""`tiny` and `small` are ResNets narrow enough for a CPU; the others have the sizes of their papers."""

ADAPTED: dict[str, Callable[[str | Path], nn.Module]] = {
    "efficientnet_b0": lambda weights: build_efficientnet(import_transformers(), 1.0, 1.0, weights),
    "efficientnet_b3": lambda weights: build_efficientnet(import_transformers(), 1.2, 1.4, weights),
    "efficientnet_b5": lambda weights: build_efficientnet(import_transformers(), 1.6, 2.2, weights),
    "mobilenet_v3_small": lambda weights: build_mobilenet(SMALL, weights),
    "mobilenet_v3_large": lambda weights: build_mobilenet(LARGE, weights),
    "dinov2_small": lambda weights: build_dino(import_transformers(), 384, 12, 6, weights),
    "dinov2_base": lambda weights: build_dino(import_transformers(), 768, 12, 12, weights),
    "dinov2_large": lambda weights: build_dino(import_transformers(), 1024, 24, 16, weights),
}
"""Backbones that become pyramids here, for networks with heads of our own: deeplab, panoptic_fpn, fcn_mask_rcnn."""


def backbone_config(name: str, stages: list[str] | None = None) -> Any:
    """The transformers configuration of a backbone that returns the maps of these stages.

    Raises:
        KeyError: an unknown name; lists the known ones.
        ImportError: transformers is missing; says how to get it.
    """
    if name in ADAPTED:
        raise KeyError(f"{name!r} is for deeplab, panoptic_fpn and fcn_mask_rcnn; here there are {', '.join(FAMILIES)}")
    if name not in FAMILIES:
        raise KeyError(f"no image backbone {name!r}; there are {', '.join([*FAMILIES, *ADAPTED])}")
    family = FAMILIES[name]
    return getattr(import_transformers(), family.config)(**family.sizes, out_features=stages or STAGES)


def build_backbone(
    name: str, weights: str | Path = "", output_stride: int = 32, is_patched: bool = False
) -> tuple[nn.Module, list[int]]:
    """A backbone and the channels of its four maps, at strides 4, 8, 16 and 32, none above `output_stride`.

    Args:
        weights: of the same architecture, as `find_pretrained` takes them; empty = random weights.
        output_stride: 16 trades the last halving for dilation, 8 the last two; ResNets only.
        is_patched: the first filter goes to stride 4 at once, without pooling, which keeps where small things are and
            is faster on a CPU; ResNets only.

    Raises:
        ValueError: a stride this backbone cannot have, or weights of another network.
        FileNotFoundError: no such weights on this machine.
    """
    weights = find_pretrained(weights) if weights else ""
    if is_patched and not can_dilate(name):
        raise ValueError(f"backbone {name!r}: only ResNets can begin with patches; take one of them")
    if name in ADAPTED:
        if output_stride != 32:
            raise ValueError(f"backbone {name!r}: output strides below 32 are for ResNets; take 32")
        backbone = ADAPTED[name](weights)
        return backbone, list(backbone.channels)  # type: ignore[arg-type]
    backbone = (
        _load_backbone(name, weights)
        if weights
        else import_transformers().AutoBackbone.from_config(backbone_config(name))
    )
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output stride {output_stride}: 8, 16 or 32 are possible")
    _dilate_last_stages(backbone, name, 32 // output_stride)
    if is_patched:
        backbone.embedder.embedder.convolution.stride = (4, 4)  # type: ignore[union-attr, assignment]
        backbone.embedder.pooler = nn.Identity()
    return backbone, list(backbone.channels)  # type: ignore[arg-type]


def _load_backbone(name: str, folder: str) -> nn.Module:
    """A backbone with the weights of a folder; the library's own way asks the hub whether it has such a model."""
    config = backbone_config(name)
    kind = getattr(import_transformers(), FAMILIES[name].config.replace("Config", "Backbone"))
    try:
        backbone, found = kind.from_pretrained(folder, config=config, local_files_only=True, output_loading_info=True)
    except RuntimeError as error:
        raise ValueError(f"{folder}: not the weights of {name!r}: {error}") from error
    # The norms of the maps that backbones return are new in networks that were trained to classify.
    missing = sorted(key for key in found["missing_keys"] if "hidden_states_norms" not in key)
    if missing:
        raise ValueError(f"{folder}: not the weights of {name!r}: nothing for {', '.join(missing[:5])}")
    return backbone


def find_pretrained(name: str | Path) -> str:
    """The folder of pretrained weights: itself, or where the hub's cache keeps a model like "microsoft/resnet-50".

    Args:
        name: folder written by `save_pretrained`, or the hub's name of a model that was downloaded before.

    Raises:
        FileNotFoundError: neither; says how to download the model.
    """
    if Path(name).is_dir():
        return str(name)
    import_transformers()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return snapshot_download(str(name), local_files_only=True)
    except (FileNotFoundError, HFValidationError) as error:
        raise FileNotFoundError(
            f"{name}: no folder of weights, and no model of the hub that this machine has; download it with "
            f"`hf download {name}`, or leave model.weights empty for random weights"
        ) from error


def _dilate_last_stages(backbone: nn.Module, name: str, factor: int) -> None:
    """Stride 32 / factor: the last stages keep the resolution, and their filters see as far as before."""
    if factor == 1:
        return
    if not can_dilate(name):
        raise ValueError(f"backbone {name!r}: output strides below 32 are for ResNets; take 32")
    stages = backbone.encoder.stages  # type: ignore[union-attr]
    for stage, dilation in zip([stages[-1]] if factor == 2 else stages[-2:], (2, 4), strict=False):  # type: ignore[index]
        for module in stage.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
                if module.kernel_size == (3, 3):
                    module.dilation, module.padding = (dilation, dilation), (dilation, dilation)


def import_transformers() -> Any:
    """The transformers library.

    Raises:
        ImportError: it is missing, or a torchvision that does not fit this torch breaks it; says what to do.
    """
    try:
        import transformers
    except ImportError as error:
        raise ImportError("image networks need transformers: pip install 'ps3d[image]'") from error
    try:
        _ = transformers.AutoBackbone
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"transformers cannot be used ({error}); if a torchvision is installed that was not built for this torch, "
            "remove it: pip uninstall torchvision"
        ) from error
    return transformers


def can_dilate(name: str) -> bool:
    """Whether a backbone can keep stride 16 or 8."""
    return name in FAMILIES and FAMILIES[name].config == "ResNetConfig"

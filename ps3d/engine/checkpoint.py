"""Weights as safetensors that carry their own configuration, and the state that a training resumes from."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ps3d.engine.config import ModelSettings
from ps3d.engine.config_files import ConfigError, check_config
from ps3d.models.lidar_batch import FEATURES
from ps3d.models.lidar_panoptic import LidarPanoptic, LossWeights
from ps3d.models.sparse_unet import PRESETS
from ps3d.ops.atomic_file import atomic_write
from ps3d.structures import Category, Taxonomy

WEIGHTS = Path(__file__).parents[1] / "models" / "weights"
"""Checkpoints that come with the package, by name."""

LIDAR_MODEL = "lidar_panoptic"


def build_lidar_model(settings: ModelSettings, taxonomy: Taxonomy, loss: LossWeights = LossWeights()) -> LidarPanoptic:
    """The network that the settings describe, with fresh weights."""
    return LidarPanoptic(
        PRESETS[settings.backbone](len(FEATURES)),
        taxonomy,
        settings.voxel_size,
        settings.max_range,
        settings.sensor_height,
        loss,
        settings.is_interpolated,
    )


def save_lidar_weights(
    path: str | Path,
    state: dict[str, Tensor],
    settings: ModelSettings,
    taxonomy: Taxonomy,
    facts: dict[str, Any] | None = None,
    is_half: bool = False,
) -> None:
    """Write weights with the model's settings and classes inside.

    Args:
        state: of the model.
        facts: further things worth knowing, e.g. how it was trained; plain values.
        is_half: store half precision numbers, which halves the file; loading makes them single again.
    """
    metadata = {
        "format": "ps3d",
        "kind": LIDAR_MODEL,
        "model": json.dumps(asdict(settings)),
        "taxonomy": json.dumps(asdict(taxonomy)),
        "facts": json.dumps(facts or {}),
    }
    tensors = {key: _stored(value.detach().cpu(), is_half) for key, value in state.items()}
    with atomic_write(path) as name:
        save_file(tensors, name, metadata)


def load_lidar_model(checkpoint: str | Path) -> LidarPanoptic:
    """A model from a file, or from the name of one that comes with the package, ready to predict.

    Raises:
        FileNotFoundError: neither a file nor a known name; lists the names.
        ValueError: not a checkpoint of this model.
    """
    path = find_weights(checkpoint)
    state, metadata = read_weights(path)
    if metadata.get("kind") != LIDAR_MODEL:
        raise ValueError(f"{path}: not a checkpoint of {LIDAR_MODEL} but of {metadata.get('kind', 'something else')}")
    settings = check_config(json.loads(metadata["model"]), ModelSettings, path)
    model = build_lidar_model(settings, taxonomy_from(json.loads(metadata["taxonomy"])))
    load_state(model, state, path)
    return model.eval()


def find_weights(checkpoint: str | Path) -> Path:
    """The file of a checkpoint: a path, a run's folder, or the name of one that comes with the package.

    Raises:
        FileNotFoundError: neither; lists the names.
    """
    path = Path(checkpoint)
    for candidate in (path, path / "weights" / "best.safetensors", path / "weights" / "last.safetensors"):
        if candidate.is_file():
            return candidate
    if (WEIGHTS / f"{checkpoint}.safetensors").is_file():
        return WEIGHTS / f"{checkpoint}.safetensors"
    known = ", ".join(sorted(file.stem for file in WEIGHTS.glob("*.safetensors"))) or "none"
    raise FileNotFoundError(f"{checkpoint}: no such checkpoint; names that come along: {known}")


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file; half precision becomes single."""
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    return {k: v.float() if v.dtype in (torch.float16, torch.bfloat16) else v for k, v in tensors.items()}, metadata


def checkpoint_kind(checkpoint: str | Path) -> str:
    """What kind of network a checkpoint is of, e.g. `LIDAR_MODEL`; no tensor is read.

    Raises:
        FileNotFoundError: no such checkpoint; lists the names.
    """
    with safe_open(find_weights(checkpoint), framework="pt") as file:
        return (file.metadata() or {}).get("kind", "")


def load_state(model: nn.Module, state: dict[str, Tensor], where: str | Path) -> None:
    """Load all weights.

    Raises:
        ConfigError: names what is missing, superfluous or of another shape.
    """
    own = model.state_dict()
    mistakes = [f"{where}: {key}: missing" for key in own.keys() - state.keys()]
    mistakes += [f"{where}: {key}: the model has no such weights" for key in state.keys() - own.keys()]
    mistakes += [
        f"{where}: {key}: shape {tuple(state[key].shape)}, the model has {tuple(own[key].shape)}"
        for key in own.keys() & state.keys()
        if own[key].shape != state[key].shape
    ]
    if mistakes:
        raise ConfigError(sorted(mistakes))
    model.load_state_dict(state)


def init_from(model: nn.Module, checkpoint: str | Path) -> list[str]:
    """Take the weights of another training as far as they fit (its classes may differ).

    Returns:
        Names of the model's weights that stayed as they were.

    Raises:
        ValueError: nothing fits.
    """
    path = find_weights(checkpoint)
    state, _ = read_weights(path)
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    fitting.pop("class_weights", None)  # of the other training's data
    if not fitting:
        raise ValueError(f"{path}: none of its weights fit this model; is it the same backbone?")
    model.load_state_dict({**own, **fitting})
    return sorted(own.keys() - fitting.keys() - {"class_weights"})


def save_training_state(path: str | Path, state: dict[str, Any]) -> None:
    """Everything a training needs to go on."""
    with atomic_write(path) as name:
        torch.save(state, name)


def load_training_state(path: str | Path) -> dict[str, Any]:
    """What `save_training_state` wrote; a file that could run code is refused."""
    return torch.load(path, map_location="cpu", weights_only=True)


def _stored(value: Tensor, is_half: bool) -> Tensor:
    is_reduced = is_half and value.dtype == torch.float32
    return value.half().contiguous() if is_reduced else value.contiguous()


def taxonomy_from(content: dict[str, Any]) -> Taxonomy:
    """The classes that a checkpoint carries."""
    categories = tuple(
        Category(c["name"], tuple(c["raw_ids"]), c["is_thing"], (c["color"][0], c["color"][1], c["color"][2]))
        for c in content["categories"]
    )
    return Taxonomy(content["name"], categories, tuple(content["void_raw_ids"]))

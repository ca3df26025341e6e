"""Weights of other engines, in the layout used here (spconv 2: [outputs, kz, ky, kx, inputs])."""

from collections.abc import Mapping

from torch import Tensor, nn

from ps3d.sparse.layers import InverseConv3d, SparseConv3d, SubmanifoldConv3d


def from_spconv1(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A state dict of spconv 1.x (weights [kz, ky, kx, inputs, outputs]) for a network with the same names.

    Weights that have the network's shape already are kept, unless the two layouts have equal shapes: then the
    checkpoint as a whole is taken to be of spconv 1.x.

    Raises:
        ValueError: a weight fits in neither layout; the message names it.
    """
    converted = dict(state)
    for name, layer in network.named_modules():
        key = f"{name}.weight" if name else "weight"
        if not isinstance(layer, (SubmanifoldConv3d, SparseConv3d, InverseConv3d)) or key not in converted:
            continue
        weight, wanted = converted[key], layer.weight.shape
        permuted = weight.permute(4, 0, 1, 2, 3) if weight.ndim == 5 else weight
        if permuted.shape == wanted:
            converted[key] = permuted.contiguous()
        elif weight.shape != wanted:
            raise ValueError(
                f"{key} is {tuple(weight.shape)}: neither spconv 1.x {(*wanted[1:], wanted[0])} nor {tuple(wanted)}"
            )
    return converted

"""Small random sparse tensors."""

import torch

from ps3d.sparse import SparseTensor


def random_tensor(
    shape: tuple[int, int, int],
    batch_size: int,
    channels: int,
    density: float = 0.2,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> SparseTensor:
    """Voxels at random, corners of every scan among them."""
    generator = torch.Generator().manual_seed(seed)
    is_occupied = torch.rand((batch_size, *shape), generator=generator) < density
    is_occupied[:, 0, 0, 0] = is_occupied[:, -1, -1, -1] = True
    is_occupied[:, 0, 0, -1] = is_occupied[:, -1, 0, 0] = True
    coordinates = is_occupied.nonzero().to(torch.int32).contiguous()
    features = torch.randn((len(coordinates), channels), generator=generator, dtype=torch.float64).to(dtype)
    return SparseTensor(features, coordinates, shape, batch_size)

"""What keeps losses precise and their gradients finite."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

SHORTEST = 1e-12
"""A vector shorter than this counts as zero: its square is still a normal float32."""


def full_precision(tensor: Tensor) -> Tensor:
    """float32 for half-precision tensors, all others unchanged: losses never run in half."""
    half = tensor.is_floating_point() and tensor.element_size() < 4
    return tensor.float() if half else tensor


def exact_products(operand: Tensor) -> AbstractContextManager:
    """A context in which products of float32 matrices are computed in float32.

    Autocast would compute them in half precision. It leaves whatever else a loss does with float32
    tensors in float32.

    Args:
        operand: one of the matrices; autocast is a matter of its device.
    """
    device = operand.device.type
    # Asked first, as entering a context takes as long as a small loss; "meta" has no autocast.
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def unit(vectors: Tensor, dim: int = -1) -> Tensor:
    """Vectors along ``dim``, divided by their L2 norm; a zero vector stays as it is.

    So the gradient of a zero vector is not scaled; a small constant as divisor would enlarge it.
    """
    norms = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return vectors / torch.where(norms > SHORTEST, norms, 1.0)


def centred(values: Tensor, dim: int) -> Tensor:
    """Values minus their mean along ``dim``: exactly 0 where they are constant."""
    # The mean of equal values may be rounded, that of zeros is not: so first make them zeros.
    values = values - values.narrow(dim, 0, 1).detach()
    return values - values.mean(dim, keepdim=True)

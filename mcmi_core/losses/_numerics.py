"""What keeps losses precise and their gradients finite."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

SHORTEST = 1e-12
"""A vector shorter than this counts as zero: its square is still a normal float32."""


def full_precision(tensor: Tensor) -> Tensor:
    """float32 for half-precision tensors, all others unchanged: losses never run in half."""
    half = tensor.is_floating_point() and tensor.element_size() < 4
    return tensor.float() if half else tensor


def common_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the widest of their types, at least float32."""
    tensors = tuple(map(full_precision, tensors))
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return tuple(tensor.to(dtype) for tensor in tensors)


def no_less_than(dtype: torch.dtype, convert: Callable[[Tensor], Tensor]) -> Callable:
    """A conversion for ``Module._apply`` that narrows no float below ``dtype``.

    Whatever else ``convert`` does, such as moving to a device, is done.
    """

    def convert_less(tensor: Tensor) -> Tensor:
        converted = convert(tensor)
        if not converted.is_floating_point():
            return converted
        least = torch.promote_types(converted.dtype, dtype)
        # From the tensor as it was, so that nothing is rounded on the way.
        return converted if converted.dtype == least else tensor.to(converted.device, least)

    return convert_less


def times_log(probs: Tensor, logs: Tensor) -> Tensor:
    """probs · logs with 0 · log 0 = 0, whatever ``logs`` is there, and a finite gradient.

    Asks for p == 0, not for p > 0: NaN stays NaN.
    """
    return probs * torch.where(probs == 0, 0, logs)


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

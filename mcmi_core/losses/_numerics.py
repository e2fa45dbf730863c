"""What keeps losses precise and their gradients finite."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Loss = TypeVar("Loss", bound=Callable[..., Tensor])

SHORTEST = 1e-12
"""A vector shorter than this counts as zero: its square is still a normal float32."""


def full_precision(tensor: Tensor) -> Tensor:
    """float32 for half-precision tensors, all others unchanged: losses never run in half."""
    half = tensor.is_floating_point() and tensor.element_size() < 4
    return tensor.float() if half else tensor


def in_full_precision(loss: Loss) -> Loss:
    """Give a function its tensors, and lists of them, in at least float32, outside autocast.

    Autocast would halve the matrix products of float32 tensors as well.
    """

    @wraps(loss)
    def run(*arguments: Any, **options: Any) -> Tensor:
        arguments = [_widened(argument) for argument in arguments]
        options = {name: _widened(option) for name, option in options.items()}
        device = next(_tensors([*arguments, *options.values()]), torch.empty(0)).device.type
        available = torch.amp.is_autocast_available(device)  # not on the meta device
        if not available or not torch.is_autocast_enabled(device):  # small losses feel a context
            return loss(*arguments, **options)
        with torch.autocast(device, enabled=False):
            return loss(*arguments, **options)

    return run


def _widened(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return full_precision(argument)
    if isinstance(argument, list | tuple):
        return [_widened(item) for item in argument]
    return argument


def _tensors(arguments: list | tuple) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, list | tuple):
            yield from _tensors(argument)


def unit(vectors: Tensor, dim: int = -1) -> Tensor:
    """Vectors along ``dim``, divided by their L2 norm; a zero vector stays as it is.

    So a zero vector passes its gradient on unscaled, where a division by a small constant would
    multiply it.
    """
    norms = torch.linalg.vector_norm(vectors, dim=dim, keepdim=True)
    return vectors / torch.where(norms > SHORTEST, norms, 1.0)


def centred(values: Tensor, dim: int) -> Tensor:
    """Values minus their mean along ``dim``: exactly 0 where they are constant."""
    # The first value goes off before the mean, whose rounding would otherwise be left of constants.
    values = values - values.narrow(dim, 0, 1).detach()
    return values - values.mean(dim, keepdim=True)

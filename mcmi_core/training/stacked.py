"""Several small students trained as one: their weights are stacked along a model axis.

A step of a small network is bound by the calls it makes, not by their numbers, and K networks of
one shape can share the calls: ``torch.func.vmap`` makes a step of K models of a step of one, with
K matrix products in each call.

Every model keeps its own weights, data, order of samples, teacher and momentum, and computes what
it would compute alone, but some sums are added in another order: results agree up to rounding,
which training amplifies. So records of runs that were trained like this say ``trained_together``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.training.loop import Steps, Window, each_alone, sum_terms

MOST_TOGETHER = 16
"""Models on an axis, at most: as many as have been measured (``benchmarks/packing.py``)."""

Tensors = dict[str, Tensor]


def train_together(requests: list[Steps]) -> list[Window]:
    """The steps that trainings ask for, all models at once; one by one where that cannot be.

    Args:
        requests: of K runs of one :func:`axis`, in the same epoch.

    Returns:
        The window of each, its model, criterion and optimiser changed as if trained alone.
    """
    if len(requests) == 1 or not all(request.criterion.stackable for request in requests):
        return each_alone(requests)
    members = [_Terms(request.model, request.criterion) for request in requests]
    own_weights = [dict(member.named_parameters()) for member in members]
    own_buffers = [dict(member.named_buffers()) for member in members]
    own_momentum = [
        {
            name: state["momentum_buffer"]
            for name, weight in own.items()
            if (state := states[weight])
        }
        for own, states in zip(own_weights, (r.optimizer.state for r in requests), strict=True)
    ]
    batches = (
        Batch(*map(torch.stack, zip(*batches, strict=True)))  # (K, N, ...)
        for batches in zip(*(request.batches for request in requests), strict=True)
    )
    with (
        _stacked(own_weights) as weights,
        _stacked(own_buffers) as buffers,
        _stacked(own_momentum) as momentum,
    ):
        [settings] = requests[0].optimizer.param_groups
        optimizer = torch.optim.SGD(**settings | {"params": weights.values()})
        for name, weight in weights.items():
            weight.requires_grad_()
            optimizer.state[weight] |= {"momentum_buffer": momentum[name]} if momentum else {}

        def terms(batch: Batch) -> Tensors:
            return vmap(partial(functional_call, members[0]))(weights | buffers, (batch,))

        sums, steps = sum_terms(terms, optimizer, batches)
    values = {name: value.tolist() for name, value in sums.items()}
    number = len(requests)
    return [
        Window({name: value[place] for name, value in values.items()}, steps, number)
        for place in range(number)
    ]


class _Terms(nn.Module):
    """A model with its criterion, so that all their tensors have names."""

    def __init__(self, model: nn.Module, criterion: Criterion) -> None:
        super().__init__()
        self.model, self.criterion = model, criterion

    def forward(self, batch: Batch) -> Tensors:
        return self.criterion.terms(self.model, batch)


@contextmanager
def _stacked(members: list[Tensors]) -> Iterator[Tensors]:
    """Tensors of all members, one behind the other (K, ...); in the end they are given back."""
    stack = {name: torch.stack([own[name].detach() for own in members]) for name in members[0]}
    yield stack
    with torch.no_grad():
        for place, own in enumerate(members):
            for name, tensor in own.items():
                tensor.copy_(stack[name][place])

"""Several small students trained as one: their weights are stacked along a model axis.

In a step of a small network, starting the operations takes longer than computing them. K networks
of one shape can share each operation: ``torch.func.vmap`` turns a step of one model into a step of
K models, with K matrix products in each call.

Every model keeps its own weights, data, order of samples, teacher and momentum, and ends with the
same bits however many others are in the stack, if its sizes are such that kernels treat all places
alike (:mod:`mcmi_core.runs.stacking`). Stacked matrices are multiplied by another kernel than
single ones, which adds up in another order: so a model that could be stacked is a stack of one when
it is alone.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.training.loop import Steps, Window, each_alone
from mcmi_core.training.trainee import Trainee, sum_terms

MOST_TOGETHER = 16
"""Models on an axis, at most: as many as have been measured (``benchmarks/packing.py``)."""


def train_together(requests: list[Steps]) -> list[Window]:
    """Do the steps that trainings ask for, all models at once; in turn where that is impossible.

    Args:
        requests: of K ≥ 1 trainings that differ in nothing but seeds, data and teachers (see
            :func:`mcmi_core.runs.stacking.axis`), in the same epoch.

    Returns:
        The window of each, its model, criterion and optimiser changed as if trained alone.
    """
    trainees = [request.trainee for request in requests]
    if not all(trainee.criterion.stackable for trainee in trainees):
        return each_alone(requests)
    stack = _Stack(trainees)
    sums = sum_terms(stack.terms, stack.optimizer, _stacked_batches(requests))
    stack.unstack()
    windows = []
    for place in range(len(requests)):
        own_sums = {name: values[place] for name, values in sums.items()}
        windows.append(Window(own_sums, together=len(requests)))
    return windows


def _stacked_batches(requests: list[Steps]) -> Iterator[Batch]:
    """The batches of all members, (K, N, ...)."""
    for members in zip(*(request.batches for request in requests), strict=True):
        yield Batch(*map(torch.stack, zip(*members, strict=True)))


class _Member(nn.Module):
    """A model with its criterion, so that all their tensors have names."""

    def __init__(self, model: nn.Module, criterion: Criterion) -> None:
        super().__init__()
        self.model, self.criterion = model, criterion

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.criterion.terms(self.model, batch)


class _Stack:
    """Weights, buffers and momenta of K trainings, each with a first axis of length K."""

    def __init__(self, trainees: list[Trainee]) -> None:
        self.trainees = trainees
        self.members = [_Member(trainee.model, trainee.criterion) for trainee in trainees]
        self.weights, self.buffers = stack_module_state(self.members)
        [settings] = trainees[0].optimizer.param_groups
        # Not fused: that kernel rounds the last numbers of a tensor in another way than the others,
        # and which those are would depend on K.
        changes = {"params": self.weights.values(), "fused": False, "foreach": True}
        self.optimizer = torch.optim.SGD(**settings | changes)
        for name, weight in self.weights.items():
            states = [
                trainee.optimizer.state[member.get_parameter(name)]
                for trainee, member in zip(trainees, self.members, strict=True)
            ]
            if all(states):  # they are empty without momentum
                momenta = [state["momentum_buffer"] for state in states]
                self.optimizer.state[weight]["momentum_buffer"] = torch.stack(momenta)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms by name, (K,)."""
        terms_of_one = partial(functional_call, self.members[0])
        return vmap(terms_of_one)(self.weights | self.buffers, (batch,))

    @torch.no_grad()
    def unstack(self) -> None:
        """Copy what the steps made of each member back to where it came from."""
        for place, member in enumerate(self.members):
            states = self.trainees[place].optimizer.state
            for name, own in member.named_parameters():
                weight = self.weights[name]
                own.copy_(weight[place])
                if states[own]:
                    momenta = self.optimizer.state[weight]["momentum_buffer"]
                    states[own]["momentum_buffer"].copy_(momenta[place])
            for name, own in member.named_buffers():
                own.copy_(self.buffers[name][place])

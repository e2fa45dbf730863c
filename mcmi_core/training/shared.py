"""One training on several processes: each computes its share of every batch.

The batch of a step is the same whatever the number of processes, and each of them gathers some of
its rows. DistributedDataParallel averages the gradients. Batch statistics, centroids and terms are
sums over processes. So weights are those of a single process up to the order of sums. Dropout alone
differs: each process draws masks of its own.

On GPUs, steps are done operation by operation: they are not captured as CUDA graphs.
"""

from collections.abc import Hashable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mcmi_core.base import processes
from mcmi_core.base.seeding import STEPS, derive_seed
from mcmi_core.data.loader import Batch
from mcmi_core.training.loop import Steps, Window
from mcmi_core.training.trainee import TermSums, Trainee


class SharedSteps:
    """Does the steps of one run, from its first to its last, together with the other processes.

    Its criterion must be :attr:`~mcmi_core.criterion.Criterion.shareable`.
    """

    def __init__(self) -> None:
        self._parallel: DistributedDataParallel | None = None
        self._phase: Hashable = None

    def advance(self, requests: list[Steps]) -> list[Window]:
        """Do the steps that the training asks for."""
        [request] = requests
        self._set_up(request.trainee)
        if request.numbers.start == 0 and not processes.is_first():
            own = derive_seed(torch.initial_seed(), processes.rank(), STEPS)
            torch.manual_seed(own)  # else all would draw the same dropout masks
        sums = TermSums()
        for step in request.numbers:
            batch, share = request.plan[step], request.plan.share(step)
            counting = nullcontext()
            if not len(batch.labels):  # a loss has no mean then, but others wait for its sums
                batch = replace(request.plan, part=0)[step]
                counting = processes.without_samples()
            weighted = partial(self._parallel, weight=share * processes.number())
            with counting:
                sums.minimise(weighted, request.trainee.optimizer, batch)
        mean = processes.sum_over_processes(sums.total) / processes.number()
        return [Window(dict(zip(sums.names, mean.tolist(), strict=True)))]

    def _set_up(self, trainee: Trainee) -> None:
        """Start from the first process's state; in each phase, average the gradients there are."""
        if self._parallel is None:
            for tensor in trainee.snapshot().values():
                distributed.broadcast(tensor, 0)
        if self._parallel is None or self._phase != trainee.criterion.phase:
            self._phase = trainee.criterion.phase
            # Static, as a phase's steps do the same operations: parameters that have no gradient
            # in it are noticed once. Buffers are the same everywhere; some cannot be written to.
            self._parallel = DistributedDataParallel(
                _Share(trainee), broadcast_buffers=False, init_sync=False, static_graph=True
            )


class _Share(nn.Module):
    """A model and its criterion, which gives the terms of some rows with the weight they have."""

    def __init__(self, trainee: Trainee) -> None:
        super().__init__()
        self.model, self.criterion = trainee.model, trainee.criterion
        self.terms = trainee.terms

    def forward(self, batch: Batch, weight: float) -> dict[str, Tensor]:
        return {name: weight * term for name, term in self.terms(batch).items()}

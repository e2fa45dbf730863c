"""The one training loop: teachers, MCMI fine-tuning and students differ in their criterion.

A training asks for its steps, a window of some hundred at a time, and does everything else itself:
it sets the learning rate, checks for a collapse, evaluates and makes checkpoints. Who runs the
training does the steps, for one model (:func:`train_steps`) or for several at once
(:mod:`mcmi_core.training.stacked`).
"""

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from mcmi_core.base.errors import NonFiniteLogits, TrainingCollapsed
from mcmi_core.base.seeding import STEPS, seed_torch
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.training.recipe import Recipe

CHECK_EVERY = 100
"""Steps between checks for a collapse; each costs one wait for the device."""

Metrics = dict[str, dict[str, float]]
"""Split → metric → value."""

Row = dict[str, Any]
"""What is known of an epoch: see the result of :func:`training`."""

Result = TypeVar("Result")


class Steps(NamedTuple):
    """A request of a training: these steps are to be done."""

    epoch: int
    """From 0."""
    model: nn.Module
    criterion: Criterion
    optimizer: torch.optim.Optimizer
    batches: Iterable[Batch]
    """One for each step; none if the epoch has no more."""
    context: AbstractContextManager = nullcontext()
    """Of each step's forward pass; it sets the precision."""

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted scalar terms of a batch by name."""
        with self.context:
            return self.criterion.terms(self.model, batch)


class Window(NamedTuple):
    """The answer to a request: the steps are done."""

    sums: dict[str, float]
    """Each term, summed over the steps."""
    steps: int
    together: int = 1
    """Models that were trained at once."""


Training = Generator[Steps, Window, Result]
"""A training that leaves its steps to whoever runs it; see :func:`run_in_step`."""


@dataclass
class Checkpoint:
    """Training after some whole epochs: all that is needed to go on as if nothing happened."""

    epoch: int = 0
    """Epochs done."""
    history: list[Row] = field(default_factory=list)
    """One row per epoch."""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    """State of model, criterion and optimiser, by dotted names."""


def train(*arguments: Any, **settings: Any) -> list[Row]:
    """Run a :func:`training`, whose arguments it takes, to its end; the history."""
    [history] = run_in_step([training(*arguments, **settings)])
    return history


def training(
    model: nn.Module,
    criterion: Criterion,
    epoch_batches: Callable[[int], Iterable[Batch]],
    recipe: Recipe,
    *,
    seed: int,
    evaluate: Callable[[bool], Metrics],
    resume_from: Checkpoint | None = None,
    on_epoch_end: Callable[[Checkpoint], None] = lambda checkpoint: None,
) -> Training[list[Row]]:
    """Minimise the sum of the criterion's terms by SGD, as the recipe says.

    It asks for its steps, so that several can be run side by side. Every random choice derives from
    (seed, epoch), so that training resumed from a checkpoint equals training that was never
    interrupted.

    Args:
        model: trained in place.
        criterion: an objective or a distiller; its parameters are trained too.
        epoch_batches: the training batches of a given epoch (from 0).
        recipe: epochs, optimiser and schedule.
        seed: of this run.
        evaluate: split → metric → value, of the model as it is now; called with whether this is
            the last epoch.
        resume_from: an earlier checkpoint of the same training.
        on_epoch_end: given a checkpoint after every epoch, to save it.

    Returns:
        The history: per epoch its number (from 1), learning rate, mean of each weighted term
        (``loss_NAME``) and, where evaluated, the ``metrics``; where models were trained at once,
        their number, ``trained_together``.

    Raises:
        TrainingCollapsed: a term is NaN or infinite, the logits of an evaluation are, or the
            criterion says so.
    """
    optimizer = _optimizer([*model.parameters(), *criterion.parameters()], recipe)
    autocast = autocast_of(recipe, next(model.parameters()).device)
    checkpoint = resume_from or Checkpoint()
    if resume_from:
        restore(resume_from.tensors, model, criterion, optimizer)
    else:
        with autocast:
            criterion.prepare(model, epoch_batches(0))

    for epoch in range(checkpoint.epoch, recipe.epochs):
        seed_torch(seed, epoch, STEPS)
        rate = recipe.learning_rate_at(epoch)
        optimizer.param_groups[0]["lr"] = rate
        row = {"epoch": epoch + 1, "learning_rate": rate}
        try:
            batches = epoch_batches(epoch)
            row |= yield from _epoch(epoch, model, criterion, optimizer, batches, autocast)
            last = epoch + 1 == recipe.epochs
            if last or (epoch + 1) % recipe.evaluate_every == 0:
                row["metrics"] = evaluate(last)
        except NonFiniteLogits as error:
            raise TrainingCollapsed(
                f"epoch {epoch + 1}: {error}; try a smaller learning rate"
            ) from None
        except TrainingCollapsed as error:
            raise TrainingCollapsed(f"epoch {epoch + 1}: {error}") from None
        tensors = snapshot(model, criterion, optimizer)
        checkpoint = Checkpoint(epoch + 1, [*checkpoint.history, row], tensors)
        on_epoch_end(checkpoint)
    return checkpoint.history


def autocast_of(recipe: Recipe, device: torch.device) -> AbstractContextManager:
    """The context in which a forward pass has a recipe's precision; backward stays outside.

    In bf16, convolutions and linear layers round their float32 weights and inputs; losses compute
    in float32.
    """
    if recipe.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _optimizer(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.SGD:
    optimizer = torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    if recipe.momentum:
        # The first step would make these zeros. But the fused kernel refuses to make them for some
        # parameters only, such as those whose first gradient comes in a later phase of a distiller.
        for parameter in parameters:
            if parameter.requires_grad:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _epoch(
    epoch: int,
    model: nn.Module,
    criterion: Criterion,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    autocast: AbstractContextManager,
) -> Training[Row]:
    """Ask for all steps of an epoch, window by window, and check each; the mean of every term."""
    model.train()
    criterion.train()
    criterion.start_epoch(epoch)
    batches = iter(batches)
    sums: Counter[str] = Counter()
    steps, together = 0, 1
    while True:
        few = islice(batches, CHECK_EVERY)
        window = yield Steps(epoch, model, criterion, optimizer, few, autocast)
        if not window.steps:
            break
        _check(criterion, {name: total / window.steps for name, total in window.sums.items()})
        sums.update(window.sums)
        steps += window.steps
        together = window.together
    row = {f"loss_{name}": total / steps for name, total in sums.items()}
    return row | ({"trained_together": together} if together > 1 else {})


def _check(criterion: Criterion, means: dict[str, float]) -> None:
    criterion.check(means)
    for name, value in means.items():
        if not math.isfinite(value):
            raise TrainingCollapsed(f"{name} is {value}; try a smaller learning rate")


def train_steps(request: Steps) -> Window:
    """Do the steps that a training asks for."""
    sums, steps = sum_terms(request.terms, request.optimizer, request.batches)
    return Window({name: value.item() for name, value in sums.items()}, steps)


def sum_terms(
    terms_of: Callable[[Batch], dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
) -> tuple[dict[str, Tensor], int]:
    """Minimise the terms of some batches, one step for each batch.

    Args:
        terms_of: named terms of a batch: scalars, or one value for each of several models.
        optimizer: of all that is trained.
        batches: one for each step.

    Returns:
        Each term summed over the steps, on the device, so that no step waits; the number of steps.
    """
    sums: dict[str, Tensor] = {}
    steps = 0
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        terms = terms_of(batch)
        sum(terms.values()).sum().backward()
        optimizer.step()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0) + term.detach()
        steps += 1
    return sums, steps


def each_alone(requests: list[Steps]) -> list[Window]:
    """Do the steps of each request, one request after the other."""
    return [train_steps(request) for request in requests]


class _Member(Generic[Result]):
    """A training that runs beside others: what it asks for, and in the end its result."""

    def __init__(self, training: Training[Result]) -> None:
        self.training = training
        self.request: Steps | None = None
        self.result: Result | None = None

    def resume(self, window: Window | None) -> None:
        """Go on, with the steps done that were asked for, up to the next request or the end."""
        try:
            self.request = self.training.send(window)
        except StopIteration as end:
            self.request, self.result = None, end.value


def run_in_step(
    trainings: list[Training[Result]],
    advance: Callable[[list[Steps]], list[Window]] = each_alone,
) -> list[Result]:
    """Run trainings side by side, epoch by epoch.

    Those that are behind, as a resumed one may be, go first, until all are in the same epoch. They
    share torch's generator, which each seeds anew at the start of an epoch; models that draw from
    it in a step (dropout) have to be run one at a time.

    Args:
        trainings: generators that ask for steps; they start one after the other.
        advance: does the steps of several requests in the same epoch.

    Returns:
        What each training returns. One that ends early, having collapsed, does not stop the others.
        An exception that a training does not handle stops all, and is raised.
    """
    members = [_Member(training) for training in trainings]
    try:
        for member in members:
            member.resume(None)
        while under_way := [member for member in members if member.request]:
            epoch = min(member.request.epoch for member in under_way)
            behind = [member for member in under_way if member.request.epoch == epoch]
            windows = advance([member.request for member in behind])
            for member, window in zip(behind, windows, strict=True):
                member.resume(window)
    finally:
        for training in trainings:
            training.close()  # frees at once what it holds, such as locks
    return [member.result for member in members]


def snapshot(
    model: nn.Module, criterion: Criterion, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """All state that training changes, by dotted names."""
    momentum = {
        f"optimizer.{index}.momentum_buffer": state["momentum_buffer"]
        for index, state in optimizer.state_dict()["state"].items()
        if state.get("momentum_buffer") is not None
    }
    return (
        {f"model.{name}": value for name, value in model.state_dict().items()}
        | {f"criterion.{name}": value for name, value in criterion.state_dict().items()}
        | momentum
    )


def restore(
    tensors: dict[str, Tensor],
    model: nn.Module,
    criterion: Criterion,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put a :func:`snapshot` back."""
    model.load_state_dict(_under("model.", tensors))
    criterion.load_state_dict(_under("criterion.", tensors))
    parameters = optimizer.param_groups[0]["params"]
    for name, value in _under("optimizer.", tensors).items():
        parameter = parameters[int(name.split(".")[0])]
        # Copied, since the fused kernel needs buffers in the memory order of their parameters.
        optimizer.state[parameter]["momentum_buffer"].copy_(value)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}

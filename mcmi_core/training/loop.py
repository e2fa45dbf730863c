"""The one training loop: teachers, MCMI fine-tuning and students differ in their criterion."""

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from mcmi_core.base.errors import TrainingCollapsed
from mcmi_core.base.seeding import seed_torch
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.training.engine import Engine
from mcmi_core.training.recipe import Recipe

CHECK_EVERY = 100
"""Steps between checks for a collapse; each costs one wait for the device."""

Row = dict[str, float]
Result = TypeVar("Result")


class Steps(NamedTuple):
    """Some steps that a training asks for."""

    epoch: int
    """From 0."""
    model: nn.Module
    criterion: Criterion
    optimizer: torch.optim.Optimizer
    batches: Iterable[Batch]
    """One for each step; none, when the epoch is over."""
    engine: Engine
    """The context of each step's forward pass."""


class Window(NamedTuple):
    """What came of some steps."""

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


def train(
    model: nn.Module,
    criterion: Criterion,
    epoch_batches: Callable[[int], Iterable[Batch]],
    recipe: Recipe,
    *,
    seed: int,
    evaluate: Callable[[bool], Row],
    resume_from: Checkpoint | None = None,
    on_epoch_end: Callable[[Checkpoint], None] = lambda checkpoint: None,
) -> list[Row]:
    """Minimise the sum of the criterion's terms by SGD, as the recipe says.

    Every random choice derives from (seed, epoch), so that training resumed from a checkpoint
    equals training that was never interrupted.

    Args:
        model: trained in place.
        criterion: an objective or a distiller; its parameters are trained too.
        epoch_batches: the training batches of a given epoch (from 0).
        recipe: epochs, optimiser and schedule.
        seed: of this run.
        evaluate: metrics of the model now; told whether this is the last epoch.
        resume_from: an earlier checkpoint of the same training.
        on_epoch_end: given a checkpoint after every epoch, to save it.

    Returns:
        The history: per epoch its number (from 1), learning rate, mean of each weighted term
        (``loss_NAME``) and, where evaluated, the metrics.

    Raises:
        TrainingCollapsed: a term is NaN or infinite, or the criterion says so.
        CompanionError: the recipe's engine does not work here.
    """
    options = (seed, evaluate, resume_from, on_epoch_end)
    [history] = run_in_step([training(model, criterion, epoch_batches, recipe, *options)])
    return history


def training(
    model: nn.Module,
    criterion: Criterion,
    epoch_batches: Callable[[int], Iterable[Batch]],
    recipe: Recipe,
    seed: int,
    evaluate: Callable[[bool], Row],
    resume_from: Checkpoint | None,
    on_epoch_end: Callable[[Checkpoint], None],
) -> Training[list[Row]]:
    """:func:`train`, but for the steps, which it asks for: so several can be run side by side.

    Where models were trained at once, the history has a column ``trained_together``, their number.
    """
    parameters = [*model.parameters(), *criterion.parameters()]
    optimizer = torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    if recipe.momentum:
        # What the first step would make; the fused kernel refuses to make it for some parameters
        # only, such as those whose first gradient comes in a later phase of a distiller.
        for parameter in parameters:
            if parameter.requires_grad:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    engine = Engine(recipe, next(model.parameters()).device, [model, *criterion.networks()])
    checkpoint = resume_from or Checkpoint()
    if resume_from:
        restore(resume_from.tensors, model, criterion, optimizer)
    else:
        with engine.autocast:
            criterion.prepare(model, epoch_batches(0))

    for epoch in range(checkpoint.epoch, recipe.epochs):
        seed_torch(seed, epoch)
        rate = recipe.learning_rate_at(epoch)
        optimizer.param_groups[0]["lr"] = rate
        row = {"epoch": epoch + 1, "learning_rate": rate}
        row |= yield from _epoch(model, criterion, optimizer, epoch_batches(epoch), epoch, engine)
        last = epoch + 1 == recipe.epochs
        if last or (epoch + 1) % recipe.evaluate_every == 0:
            row |= evaluate(last)
        checkpoint = Checkpoint(
            epoch + 1, [*checkpoint.history, row], snapshot(model, criterion, optimizer)
        )
        on_epoch_end(checkpoint)
    return checkpoint.history


def _epoch(
    model: nn.Module,
    criterion: Criterion,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    epoch: int,
    engine: Engine,
) -> Training[Row]:
    """All steps of an epoch; mean of each term, checked every few steps."""
    model.train()
    criterion.train()
    criterion.start_epoch(epoch)
    batches = iter(batches)
    sums: Counter[str] = Counter()
    steps, together = 0, 1
    while True:
        few = islice(batches, CHECK_EVERY)
        window = yield Steps(epoch, model, criterion, optimizer, few, engine)
        if not window.steps:
            row = {f"loss_{name}": value / steps for name, value in sums.items()}
            return row | ({"trained_together": together} if together > 1 else {})
        _check(criterion, {n: value / window.steps for n, value in window.sums.items()}, epoch)
        sums.update(window.sums)
        steps += window.steps
        together = window.together


def each_alone(requests: list[Steps]) -> list[Window]:
    """Train what is asked for, one after the other."""
    return [_train_steps(*request[1:]) for request in requests]


def run_in_step(
    trainings: list[Training[Result]],
    advance: Callable[[list[Steps]], list[Window]] = each_alone,
) -> list[Result]:
    """Run trainings side by side, epoch by epoch.

    Those that are behind, as a resumed one may be, go first, until all are level. They share
    torch's generator, which each seeds anew for an epoch; models that draw from it in a step
    (dropout) have to be run one at a time.

    Args:
        trainings: generators that ask for steps; they start one after the other.
        advance: trains all that is asked for in one epoch.

    Returns:
        What each training returns. One that ends early, having collapsed, does not stop the others;
        an exception that it does not handle does, and is raised.
    """
    asked: dict[int, Steps] = {}
    results: dict[int, Result] = {}

    def resume(place: int, window: Window | None) -> None:
        try:
            asked[place] = trainings[place].send(window)
        except StopIteration as end:
            asked.pop(place, None)
            results[place] = end.value

    try:
        for place in range(len(trainings)):
            resume(place, None)
        while asked:
            epoch = min(steps.epoch for steps in asked.values())
            behind = [place for place, steps in asked.items() if steps.epoch == epoch]
            windows = advance([asked[place] for place in behind])
            for place, window in zip(behind, windows, strict=True):
                resume(place, window)
    finally:
        for unfinished in trainings:
            unfinished.close()  # frees what they hold, such as locks, without waiting for it
    return [results[place] for place in range(len(trainings))]


def _train_steps(
    model: nn.Module,
    criterion: Criterion,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    forward_pass: AbstractContextManager | None = None,
) -> Window:
    """Train on some batches; the terms are summed on the device and read once, at the end."""
    forward_pass = forward_pass or nullcontext()

    def terms(batch: Batch) -> dict[str, Tensor]:
        with forward_pass:
            return criterion.terms(model, batch)

    sums, steps = sum_terms(terms, optimizer, batches)
    return Window({name: value.item() for name, value in sums.items()}, steps)


def sum_terms(
    terms_of: Callable[[Batch], dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
) -> tuple[dict[str, Tensor], int]:
    """Step by step, minimise the terms of some batches: their sums, and how many steps it were.

    Args:
        terms_of: named terms of a batch: scalars, or one value for each of several models.
        optimizer: of all that is trained.
        batches: one for each step.
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


def _check(criterion: Criterion, means: dict[str, float], epoch: int) -> None:
    try:
        criterion.check(means)
    except TrainingCollapsed as error:
        raise TrainingCollapsed(f"epoch {epoch + 1}: {error}") from None
    for name, value in means.items():
        if not math.isfinite(value):
            raise TrainingCollapsed(
                f"epoch {epoch + 1}: {name} is {value}; try a smaller learning rate"
            )


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
        # Copied: the fused kernel takes it that a buffer lies in memory as its parameter does.
        optimizer.state[parameter]["momentum_buffer"].copy_(value)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)}

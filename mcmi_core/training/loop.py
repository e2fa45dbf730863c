"""The one training loop: teachers, MCMI fine-tuning and students differ in their criterion.

A training asks for its steps, a window of some hundred at a time, and does everything else itself:
it sets the learning rate, checks for a collapse, evaluates and makes checkpoints. Who runs the
training does the steps, for one model (:func:`train_steps`) or for several at once
(:mod:`mcmi_core.training.stacked`).
"""

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from mcmi_core.base.errors import NonFiniteLogits, TrainingCollapsed
from mcmi_core.base.seeding import STEPS, seed_torch
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.trainee import Trainee, sum_terms

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
    trainee: Trainee
    """The same in all requests of a training."""
    plan: Sequence[Batch]
    """All batches of the epoch."""
    numbers: range
    """Which of them are the steps to do; at least one."""

    @property
    def batches(self) -> Iterator[Batch]:
        """One for each step."""
        return (self.plan[number] for number in self.numbers)


class Window(NamedTuple):
    """The answer to a request: the steps are done."""

    sums: dict[str, float]
    """Each term, summed over the steps."""
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
    epoch_batches: Callable[[int], Sequence[Batch]],
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
        epoch_batches: the training batches of a given epoch (from 0), one for each step.
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
    trainee = Trainee(model, criterion, recipe)
    checkpoint = resume_from or Checkpoint()
    if resume_from:
        trainee.restore(resume_from.tensors)
    else:
        with trainee.autocast:
            criterion.prepare(model, epoch_batches(0))

    for epoch in range(checkpoint.epoch, recipe.epochs):
        seed_torch(seed, epoch, STEPS)
        rate = recipe.learning_rate_at(epoch)
        trainee.set_learning_rate(rate)
        row = {"epoch": epoch + 1, "learning_rate": rate}
        try:
            row |= yield from _epoch(epoch, trainee, epoch_batches(epoch))
            if recipe.evaluates_after(epoch + 1):
                row["metrics"] = evaluate(epoch + 1 == recipe.epochs)
        except NonFiniteLogits as error:
            raise TrainingCollapsed(
                f"epoch {epoch + 1}: {error}; try a smaller learning rate"
            ) from None
        except TrainingCollapsed as error:
            raise TrainingCollapsed(f"epoch {epoch + 1}: {error}") from None
        checkpoint = Checkpoint(epoch + 1, [*checkpoint.history, row], trainee.snapshot())
        on_epoch_end(checkpoint)
    return checkpoint.history


def _epoch(epoch: int, trainee: Trainee, plan: Sequence[Batch]) -> Training[Row]:
    """Ask for all steps of an epoch, window by window, and check each; the mean of every term."""
    trainee.model.train()
    trainee.criterion.train()
    trainee.criterion.start_epoch(epoch)
    sums: Counter[str] = Counter()
    together = 1
    if not len(plan):
        raise ValueError("an epoch has no step: a batch needs at least two samples, for statistics")
    for first in range(0, len(plan), CHECK_EVERY):
        numbers = range(first, min(first + CHECK_EVERY, len(plan)))
        window = yield Steps(epoch, trainee, plan, numbers)
        _check(trainee.criterion, {k: total / len(numbers) for k, total in window.sums.items()})
        sums.update(window.sums)
        together = window.together
    row = {f"loss_{name}": total / len(plan) for name, total in sums.items()}
    return row | ({"trained_together": together} if together > 1 else {})


def _check(criterion: Criterion, means: dict[str, float]) -> None:
    criterion.check(means)
    for name, value in means.items():
        if not math.isfinite(value):
            remedy = "try a smaller learning rate"
            if value == math.inf:
                remedy += ", unless a logit of −inf excludes a class that a label or teacher names"
            raise TrainingCollapsed(f"{name} is {value}; {remedy}")


def train_steps(request: Steps) -> Window:
    """Do the steps that a training asks for."""
    return Window(sum_terms(request.trainee.terms, request.trainee.optimizer, request.batches))


def each_alone(requests: list[Steps]) -> list[Window]:
    """Do the steps of each request, one request after the other."""
    return [train_steps(request) for request in requests]


class Member(Generic[Result]):
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
    members = [Member(training) for training in trainings]
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

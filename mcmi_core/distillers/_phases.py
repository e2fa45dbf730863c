"""Distillers whose loss changes from epoch to epoch: a warm-up, or a phase of its own at first."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.checks import check_not_negative, check_positive
from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller
from mcmi_core.losses import full_precision


class WarmUp(Distiller):
    """Terms that gain their weight over the first epochs.

    In epoch e, counted from 1, ``self.weight_now`` is weight · min(e / warmup_epochs, 1). It is a
    tensor that keeps its place, so that a captured step sees it change.

    Options:
        weight: of the terms, once warmed up.
        warmup_epochs: first epoch of full weight; 0 for full weight from the start.

    Raises:
        ValueError: a negative number of epochs.
    """

    weight: float = 1.0
    warmup_epochs: int = 20

    def set_up(self, student: nn.Module, teacher: nn.Module) -> None:
        """Start at the first epoch."""
        check_not_negative(self.warmup_epochs, "warmup_epochs")
        self.register_buffer("weight_now", torch.zeros(()), persistent=False)
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Set the weight that epoch ``epoch`` (from 0) has."""
        self.weight_now.fill_(self.weight * min((epoch + 1) / max(self.warmup_epochs, 1), 1.0))


class TwoPhases(Distiller):
    """A loss of its own in the first epochs, while ``self.initial`` is true.

    A run that has no more epochs than ``initial_epochs`` never reaches the second phase: with a
    short recipe, shorten this as well.

    Options:
        initial_epochs: of the first phase; 0 skips it.

    Raises:
        ValueError: a negative number of epochs.
    """

    uses_features = True

    initial_epochs: int

    def set_up(self, student: nn.Module, teacher: nn.Module) -> None:
        """Start at the first epoch."""
        check_not_negative(self.initial_epochs, "initial_epochs")
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Choose the phase of epoch ``epoch`` (from 0)."""
        self.initial = epoch < self.initial_epochs

    @property
    def phase(self) -> bool:
        """Whether this is the first phase."""
        return self.initial


class Initialisation(TwoPhases):
    """The terms of :meth:`forward` alone in the first epochs, the cross-entropy alone afterwards.

    The authors give the first phase an optimiser of its own; here both phases are epochs of one
    run, under one schedule.

    Options:
        cross_entropy_weight: weight > 0 of the cross-entropy in the second phase.

    Raises:
        ValueError: a weight that is not positive.
    """

    def set_up(self, student: nn.Module, teacher: nn.Module) -> None:
        """Start at the first epoch."""
        check_positive(self.cross_entropy_weight, "cross_entropy_weight")
        super().set_up(student, teacher)

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase; the teacher is run in the first one only."""
        if self.initial:
            with torch.no_grad():
                teacher = self._output(self.teacher, batch.inputs)
            return self(self._output(model, batch.inputs), teacher, batch)
        logits = full_precision(model(batch.inputs))
        cross_entropy = F.cross_entropy(logits, batch.labels)
        return {"cross_entropy": self.cross_entropy_weight * cross_entropy}

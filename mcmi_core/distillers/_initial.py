"""Frameworks that only give the student a start: first their loss alone, then plain training."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.checks import check_positive
from mcmi_core.data.loader import Batch
from mcmi_core.distillers._base import Distiller
from mcmi_core.losses import full_precision


class Initialisation(Distiller):
    """The terms of :meth:`forward` alone in the first epochs, the cross-entropy alone afterwards.

    The authors give the start its own optimiser; here both phases are epochs of one run, under
    one schedule. A run that has no more epochs than ``initial_epochs`` never sees a label: with a
    short recipe, shorten this as well.

    Args:
        student: the network to train.
        teacher: the network to learn from.
        initial_epochs: of the first phase; 0 skips it.
        cross_entropy_weight: of the cross-entropy in the second phase.

    Raises:
        ValueError: a negative number of epochs, or a weight that is not positive.
    """

    uses_features = True

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        *,
        initial_epochs: int,
        cross_entropy_weight: float = 1.0,
    ) -> None:
        super().__init__(student, teacher, cross_entropy_weight=cross_entropy_weight)
        check_positive(cross_entropy_weight, "cross_entropy_weight")
        if initial_epochs < 0:
            raise ValueError(f"initial_epochs must be ≥ 0, got {initial_epochs}")
        self.initial_epochs = initial_epochs
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Choose the phase of epoch ``epoch`` (from 0)."""
        self.initial = epoch < self.initial_epochs

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of the present phase; the teacher is run in the first one only."""
        if self.initial:
            with torch.no_grad():
                teacher = self._output(self.teacher, batch.inputs)
            return self(self._output(model, batch.inputs), teacher, batch)
        logits = full_precision(model(batch.inputs))
        cross_entropy = F.cross_entropy(logits, batch.labels)
        return {"cross_entropy": self.cross_entropy_weight * cross_entropy}

"""The contract between the training loop and what it minimises.

Objectives (for teachers) and distillers (for students) are criteria. The loop knows no more of
them than this file says.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from mcmi_core.data.loader import Batch


class Criterion(nn.Module):
    """What a training step minimises: the sum of the named terms of :meth:`terms`.

    Parameters registered on a criterion (a distiller's heads) are optimised with the model's;
    buffers (centroids, memory banks) are saved and resumed with the run.
    """

    stackable = False
    """Whether the terms of several of these, equal in all but tensors, can be computed at once:
    they depend on no tensors but the batch and parameters and buffers of model and criterion."""

    def prepare(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Look at the training data once, before the first epoch; the default has no need to.

        Args:
            model: the network about to be trained.
            batches: one epoch of augmented training batches.
        """

    def start_epoch(self, epoch: int) -> None:
        """Learn that epoch ``epoch`` (from 0) begins; for terms that warm up."""

    def networks(self) -> list[nn.Module]:
        """Networks besides the model that :meth:`terms` runs, such as a teacher; none by default.

        What each step asks of them may be compiled.
        """
        return []

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Weighted scalar terms by name; their sum is the loss of the batch."""
        raise NotImplementedError

    def check(self, mean_terms: dict[str, float]) -> None:
        """Raise ``TrainingCollapsed`` when recent means of the terms say that training failed."""

"""The contract between the training loop and what it minimises.

Objectives (for teachers) and distillers (for students) are criteria. The loop uses nothing of them
but what stands in this file.
"""

from collections.abc import Hashable, Iterable

from torch import Tensor, nn

from mcmi_core.data.loader import Batch


class Criterion(nn.Module):
    """What a training step minimises: the sum of the named terms of :meth:`terms`.

    Parameters registered on a criterion (a distiller's heads) are optimised with the model's;
    buffers (centroids, memory banks) are saved and resumed with the run.
    """

    stackable = False
    """Whether terms of several such criteria, equal in all but tensors, can be computed at once.
    For that they may depend on no other tensors than the batch, and parameters and buffers of model
    and criterion."""

    shareable = False
    """Whether the terms of a batch are means over its samples, so that several processes can each
    compute them for some of its rows. Samples may meet in batch statistics, and in sums over
    processes (:func:`~mcmi_core.base.processes.sum_over_processes`), alone."""

    @property
    def phase(self) -> Hashable:
        """Changes when steps start to do other operations, as after a first phase of training.

        Within a phase, what changes from step to step or from epoch to epoch is in tensors, changed
        in place, so that a step can be captured once and repeated.
        """
        return None

    def prepare(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Look at the training data once, before the first epoch; does nothing by default.

        Args:
            model: the network about to be trained.
            batches: one epoch of augmented training batches.
        """

    def start_epoch(self, epoch: int) -> None:
        """Called when epoch ``epoch`` (from 0) begins; for terms that warm up."""

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Weighted scalar terms by name; their sum is the loss of the batch.

        Args:
            model: the network in training.
            batch: of training samples.
        """
        raise NotImplementedError

    def check(self, mean_terms: dict[str, float]) -> None:
        """Judge recent steps; never fails by default.

        Args:
            mean_terms: means of the weighted terms over some recent steps.

        Raises:
            TrainingCollapsed: they say that training failed.
        """

"""CMI and LL as torchmetrics metrics: for anybody's training loop, summed over processes.

Exact for any split into batches and processes. They keep all sums of
:class:`~mcmi_core.output_sums.OutputSums`, so that a ``MetricCollection`` of both recognises them
as one group and looks at each batch once. Import them from :mod:`mcmi_core.cmi`.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor
from torchmetrics import Metric

from mcmi_core.base.checks import check_positive
from mcmi_core.losses import no_less_than
from mcmi_core.output_sums import OutputSums

_SUMS = tuple(field.name for field in fields(OutputSums))


class _OutputMetric(Metric):
    """A quantity of :class:`~mcmi_core.output_sums.OutputSums` at a temperature.

    Its sums stay float64, whatever type it or a module around it is converted to.
    """

    full_state_update = False
    higher_is_better = None

    def __init__(self, num_classes: int, temperature: float = 1.0) -> None:
        super().__init__()
        check_positive(temperature, "temperature")
        self.temperature = temperature
        nothing = OutputSums.zeros(num_classes)
        for name in _SUMS:
            self.add_state(name, getattr(nothing, name), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch of logits (N, C) with labels (N,); one without samples adds nothing."""
        self._sums().update(logits, labels, self.temperature)

    def _apply(self, fn: Callable, exclude_state: Sequence[str] = "") -> "_OutputMetric":
        return super()._apply(no_less_than(torch.float64, fn), exclude_state)

    def _sums(self) -> OutputSums:
        return OutputSums(*(getattr(self, name) for name in _SUMS))


class ConditionalMutualInformation(_OutputMetric):
    """Streaming I(X; Ŷ | Y) = H(Ŷ|Y) − H(Ŷ|X), nats, 0 ≤ CMI ≤ log C.

    Args:
        num_classes: C.
        temperature: T; P_x = softmax(logits / T).

    Raises:
        ValueError: wrong shapes, a label out of range, NaN in the logits, no sample.
    """

    def compute(self) -> Tensor:
        """CMI in nats over everything seen so far, float64."""
        return self._sums().cmi


class LogLikelihood(_OutputMetric):
    """Streaming LL = mean of log P_x[y], nats, ≤ 0.

    Args:
        num_classes: C.
        temperature: T; P_x = softmax(logits / T).

    Raises:
        ValueError: wrong shapes, a label out of range, NaN in the logits, no sample.
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """LL in nats over everything seen so far, float64."""
        return self._sums().log_likelihood

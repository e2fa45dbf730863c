"""CMI, log-likelihood and entropy from sums over samples: one pass, O(C²) memory."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from mcmi_core.base.checks import (
    MOST_CLASSES,
    check_count,
    check_labelled,
    check_positive,
    check_same_device,
)
from mcmi_core.base.errors import NonFiniteLogits
from mcmi_core.base.processes import sum_over_processes
from mcmi_core.losses import times_log


@dataclass(frozen=True)
class OutputSums:
    """Sums over samples from which CMI, LL and entropy follow; they add up over batches.

    In float64, because H(Ŷ|Y) − H(Ŷ|X) cancels when CMI is small. The tensors are changed in
    place: those of a torchmetrics metric (:mod:`mcmi_core.metrics`), or new ones (:meth:`zeros`).
    """

    class_counts: Tensor
    """(C,), samples of each class."""
    prob_sums: Tensor
    """(C, C), row y: Σ P_x over the samples of class y."""
    log_likelihood_sum: Tensor
    """Σ_x log P_x[y]."""
    entropy_sum: Tensor
    """−Σ_x Σ_k P_x[k] log P_x[k]."""

    @classmethod
    def zeros(cls, num_classes: int, device: torch.device | None = None) -> "OutputSums":
        """Sums over no sample.

        Raises:
            ValueError: fewer than two classes, or more than 100,000.
        """
        check_count(num_classes, "num_classes", 2, MOST_CLASSES)
        shapes = ((num_classes,), (num_classes, num_classes), (), ())
        return cls(*(torch.zeros(s, dtype=torch.float64, device=device) for s in shapes))

    @torch.inference_mode()  # no graph is kept; sums that were made in this mode may be added to
    def update(self, logits: Tensor, labels: Tensor, temperature: float = 1.0) -> None:
        """Add a batch; one without samples adds nothing.

        Args:
            logits: (N, C); −inf is a legitimate zero probability.
            labels: (N,).
            temperature: T; P_x = softmax(logits / T).

        Raises:
            ValueError: wrong shapes, types or devices, a label out of range (on a GPU, the indexing
                itself stops at one, without a wait), a temperature that is not positive.
        """
        num_classes = len(self.class_counts)
        labels = check_labelled(logits, labels, may_be_empty=True)
        check_positive(temperature, "temperature")
        check_same_device(self.class_counts, "metric", logits, "logits")
        if logits.shape[1] != num_classes:
            raise ValueError(f"logits have {logits.shape[1]} columns, not {num_classes}")
        log_probs = (logits.double() / temperature).log_softmax(dim=1)
        probs = log_probs.exp()
        self.class_counts.index_add_(0, labels, torch.ones_like(labels, dtype=torch.float64))
        self.prob_sums.index_add_(0, labels, probs)
        self.log_likelihood_sum.add_(log_probs.gather(1, labels[:, None]).sum())
        self.entropy_sum.sub_(times_log(probs, log_probs).sum())

    def over_processes(self) -> "OutputSums":
        """The sums over the samples of all processes that share a run."""
        return OutputSums(*(sum_over_processes(getattr(self, f.name)) for f in fields(self)))

    @property
    def cmi(self) -> Tensor:
        """I(X; Ŷ | Y) = H(Ŷ|Y) − H(Ŷ|X) in nats, scalar.

        Raises:
            ValueError: no sample has been seen.
            NonFiniteLogits: some logits were NaN or +inf, or −inf for every class.
        """
        centroids = self.prob_sums / self.class_counts.clamp_min(1)[:, None]
        centroid_entropy_sum = -torch.xlogy(self.prob_sums, centroids).sum()
        # Rounding may leave −1e-17 where the outputs of a class are equal.
        return self._mean(centroid_entropy_sum - self.entropy_sum).clamp_min(0)

    @property
    def log_likelihood(self) -> Tensor:
        """LL = mean of log P_x[y] in nats, scalar, ≤ 0."""
        return self._mean(self.log_likelihood_sum)

    @property
    def entropy(self) -> Tensor:
        """H(Ŷ|X) in nats, scalar: how undecided single outputs are."""
        return self._mean(self.entropy_sum)

    def _mean(self, total: Tensor) -> Tensor:
        count = self.class_counts.sum()
        if count == 0:
            raise ValueError("no sample has been seen; call update first")
        if total.isnan():
            raise NonFiniteLogits("the logits contain NaN or inf")
        return total / count

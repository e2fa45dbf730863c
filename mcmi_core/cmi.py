"""What is measured: conditional mutual information, log-likelihood and their relatives, in nats.

Y → X → Ŷ is a Markov chain: image X of class Y makes the network predict Ŷ ~ P_X. With the
centroid Q_y, the mean of P_x over the samples of class y,

    CMI = I(X; Ŷ | Y) = mean over samples of KL(P_x ‖ Q_y) = H(Ŷ|Y) − H(Ŷ|X),   0 ≤ CMI ≤ log C.

The functions hold all outputs and are differentiable; the metrics see each batch once and keep
O(C²) numbers, so that 1.28 million × 1000 outputs need no more memory than one batch of them.

Source: Ye et al., ICLR 2024, section 3; Yang et al., "Conditional mutual information constrained
deep learning for classification", 2023.
"""

import torch
from torch import Tensor
from torchmetrics import Metric

from mcmi_core.validation import (
    check_label_range,
    check_pair,
    check_positive,
    check_probabilities,
)


def class_centroids(probs: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean output distribution of each class: Q_y = mean of P_x over the samples of class y.

    Args:
        probs: (N, K) output distributions.
        labels: (N,) integer classes in [0, num_classes).
        num_classes: C, the number of rows to return.

    Returns:
        (C, K) centroids, in the type of ``probs``. A class without samples has no mean; its row
        is uniform, so that every row is a distribution.

    Raises:
        ValueError: wrong shapes, rows that are not distributions, a label out of range.
    """
    check_pair(probs, labels, "probs")
    check_probabilities(probs)
    check_label_range(labels, num_classes)
    sums = probs.new_zeros(num_classes, probs.shape[1]).index_add(0, labels, probs)  # (C, K)
    counts = torch.bincount(labels, minlength=num_classes).to(probs.dtype)[:, None]  # (C, 1)
    return torch.where(counts > 0, sums / counts.clamp_min(1), 1 / probs.shape[1])


def conditional_mutual_information(probs: Tensor, labels: Tensor) -> Tensor:
    """I(X; Ŷ | Y) in nats: mean over ALL samples of KL(P_x ‖ Q_y), Q the class centroids.

    A mean over samples, not over classes: a class weighs as much as it has samples. Zero
    probabilities count as 0·log 0 = 0. Differentiable in ``probs``, through the centroids too.

    Args:
        probs: (N, C) output distributions.
        labels: (N,) integer classes.

    Returns:
        Scalar, float64, 0 ≤ CMI ≤ log C.

    Raises:
        ValueError: wrong shapes, rows that are not distributions, a negative label.
    """
    check_pair(probs, labels, "probs")
    check_label_range(labels, int(labels.max()) + 1)
    probs = probs.double()
    centroids = class_centroids(probs, labels, int(labels.max()) + 1)
    # The inner `where` keeps the gradient of an exact zero finite: log 0 is never evaluated.
    positive = probs > 0
    log_ratio = (
        torch.where(positive, probs, 1).log() - torch.where(positive, centroids[labels], 1).log()
    )  # (N, C)
    return (probs * log_ratio).sum(dim=1).mean()


def log_likelihood(probs: Tensor, labels: Tensor) -> Tensor:
    """LL = mean over samples of log P_x[y], in nats; ≤ 0, and −inf if a label has probability 0.

    Args:
        probs: (N, C) output distributions.
        labels: (N,) integer classes in [0, C).

    Returns:
        Scalar, float64, differentiable in ``probs``.

    Raises:
        ValueError: wrong shapes, rows that are not distributions, a label out of range.
    """
    check_pair(probs, labels, "probs")
    check_probabilities(probs)
    check_label_range(labels, probs.shape[1])
    return probs.double().gather(1, labels[:, None]).log().mean()


class _OutputMetric(Metric):
    """Shared by the metrics below: logits → float64 log-probabilities at a temperature."""

    full_state_update = False
    higher_is_better = None

    def __init__(self, num_classes: int, temperature: float = 1.0) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {num_classes}")
        check_positive(temperature, "temperature")
        self.num_classes = num_classes
        self.temperature = temperature
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def _add_sum(self, name: str, *shape: int) -> None:
        self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def _log_probs(self, logits: Tensor, labels: Tensor) -> Tensor:
        check_pair(logits, labels, "logits")
        if logits.shape[1] != self.num_classes:
            raise ValueError(f"logits have {logits.shape[1]} columns, not {self.num_classes}")
        if not labels.is_cuda:  # there, the indexing itself stops on a bad label, without a wait
            check_label_range(labels, self.num_classes)
        self.count += len(labels)
        return (logits.double() / self.temperature).log_softmax(dim=1)

    def _mean(self, total: Tensor) -> Tensor:
        if self.count == 0:
            raise ValueError(f"{type(self).__name__} has seen no sample; call update first")
        if total.isnan():
            raise ValueError(f"{type(self).__name__} was given logits that contain NaN or inf")
        return total / self.count


class ConditionalMutualInformation(_OutputMetric):
    """Streaming I(X; Ŷ | Y) = H(Ŷ|Y) − H(Ŷ|X), nats, exact for any split into batches.

    Keeps, in float64 because the difference cancels when CMI is small, the sum of P_x per class
    (C, C), the samples per class (C,) and Σ_x Σ_k P_x[k] log P_x[k]; all add up over processes.

    Args:
        num_classes: C.
        temperature: T; P_x = softmax(logits / T).

    Raises:
        ValueError: wrong shapes, a label out of range, NaN in the logits, no sample.
    """

    def __init__(self, num_classes: int, temperature: float = 1.0) -> None:
        super().__init__(num_classes, temperature)
        self._add_sum("prob_sums", num_classes, num_classes)
        self._add_sum("class_counts", num_classes)
        self._add_sum("negative_entropy_sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch of logits (N, C) with labels (N,)."""
        log_probs = self._log_probs(logits, labels)
        probs = log_probs.exp()
        self.prob_sums.index_add_(0, labels, probs)
        self.class_counts.index_add_(0, labels, torch.ones_like(labels, dtype=torch.float64))
        # 0 · log 0 = 0: a logit of −inf is a legitimate zero probability.
        self.negative_entropy_sum += torch.where(probs > 0, probs * log_probs, 0 * probs).sum()

    def compute(self) -> Tensor:
        """CMI in nats over everything seen so far, float64."""
        centroids = self.prob_sums / self.class_counts.clamp_min(1)[:, None]
        centroid_entropy_sum = -torch.xlogy(self.prob_sums, centroids).sum()
        # Rounding may leave −1e-17 where the outputs of a class are equal.
        return self._mean(centroid_entropy_sum + self.negative_entropy_sum).clamp_min(0)


class LogLikelihood(_OutputMetric):
    """Streaming LL = mean of log P_x[y], nats, ≤ 0.

    Args:
        num_classes: C.
        temperature: T; P_x = softmax(logits / T).

    Raises:
        ValueError: wrong shapes, a label out of range, NaN in the logits, no sample.
    """

    higher_is_better = True

    def __init__(self, num_classes: int, temperature: float = 1.0) -> None:
        super().__init__(num_classes, temperature)
        self._add_sum("log_likelihood_sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch of logits (N, C) with labels (N,)."""
        log_probs = self._log_probs(logits, labels)
        self.log_likelihood_sum += log_probs.gather(1, labels[:, None]).sum()

    def compute(self) -> Tensor:
        """LL in nats over everything seen so far, float64."""
        return self._mean(self.log_likelihood_sum)


class PredictionEntropy(_OutputMetric):
    """Streaming H(Ŷ|X) = mean of −Σ_k P_x[k] log P_x[k], nats: how undecided single outputs are.

    Args:
        num_classes: C.
        temperature: T; P_x = softmax(logits / T).

    Raises:
        ValueError: wrong shapes, a label out of range, NaN in the logits, no sample.
    """

    def __init__(self, num_classes: int, temperature: float = 1.0) -> None:
        super().__init__(num_classes, temperature)
        self._add_sum("entropy_sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch of logits (N, C) with labels (N,)."""
        log_probs = self._log_probs(logits, labels)
        probs = log_probs.exp()
        self.entropy_sum -= torch.where(probs > 0, probs * log_probs, 0 * probs).sum()

    def compute(self) -> Tensor:
        """H(Ŷ|X) in nats over everything seen so far, float64."""
        return self._mean(self.entropy_sum)


class BayesDivergence(_OutputMetric):
    """Streaming mean of KL(P*_x ‖ P_x), nats: how far outputs are from the true BCPD P*.

    Args:
        num_classes: C.
        temperature: T; P_x = softmax(logits / T).

    Raises:
        ValueError: wrong shapes, rows of ``posterior`` that are not distributions, no sample.
    """

    higher_is_better = False

    def __init__(self, num_classes: int, temperature: float = 1.0) -> None:
        super().__init__(num_classes, temperature)
        self._add_sum("divergence_sum")

    def update(self, logits: Tensor, labels: Tensor, posterior: Tensor) -> None:
        """Add a batch of logits (N, C) with labels (N,) and true posteriors (N, C)."""
        check_probabilities(posterior)
        log_probs = self._log_probs(logits, labels)
        posterior = posterior.double()
        self.divergence_sum += (torch.xlogy(posterior, posterior) - posterior * log_probs).sum()

    def compute(self) -> Tensor:
        """Mean KL(P* ‖ P) in nats over everything seen so far, float64."""
        return self._mean(self.divergence_sum)

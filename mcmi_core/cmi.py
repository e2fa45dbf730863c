"""What is measured: conditional mutual information, log-likelihood and their relatives, in nats.

Y → X → Ŷ is a Markov chain: image X of class Y makes the network predict Ŷ ~ P_X. With the
centroid Q_y, the mean of P_x over the samples of class y,

    CMI = I(X; Ŷ | Y) = mean over samples of KL(P_x ‖ Q_y) = H(Ŷ|Y) − H(Ŷ|X),   0 ≤ CMI ≤ log C.

The functions hold all outputs and are differentiable. :class:`OutputSums` sees each batch once and
keeps O(C²) numbers, so that 1.28 million × 1000 outputs need no more memory than one batch of them;
:class:`ConditionalMutualInformation` and :class:`LogLikelihood` offer it as torchmetrics metrics.

All accept logits or probabilities (N, C) of any floating-point type and labels (N,) of any integer
type, or bool, on the same device, and compute in float64. The functions need N ≥ 1 samples; to sums
and metrics a batch without samples adds nothing. A logit of −inf is an excluded class, of
probability 0, and 0 · log 0 = 0; of logits with NaN or +inf there is no value. All else is refused,
with what would do instead.

Source: Ye et al., ICLR 2024, section 3; Yang et al., "Conditional mutual information constrained
deep learning for classification", 2023.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mcmi_core.base.checks import (
    MOST_CLASSES,
    check_count,
    check_floating,
    check_label_range,
    check_outputs,
    check_pair,
    check_positive,
    check_probabilities,
    check_same_device,
)
from mcmi_core.losses import full_precision, times_log
from mcmi_core.output_sums import OutputSums

if TYPE_CHECKING:
    from mcmi_core.metrics import ConditionalMutualInformation, LogLikelihood

__all__ = [
    "ConditionalMutualInformation",
    "LogLikelihood",
    "OutputSums",
    "bayes_divergence",
    "class_centroids",
    "conditional_mutual_information",
    "log_likelihood",
]


def __getattr__(name: str) -> type:
    """The metrics, imported when they are asked for: torchmetrics takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mcmi_core import metrics

    return getattr(metrics, name)


def class_centroids(probs: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean output distribution of each class: Q_y = mean of P_x over the samples of class y.

    Args:
        probs: (N, K) output distributions.
        labels: (N,) integer classes in [0, num_classes).
        num_classes: C, the number of rows to return.

    Returns:
        (C, K) centroids, in the type of ``probs``, at least float32. A class without samples has
        no mean; its row is uniform, so that every row is a distribution.

    Raises:
        ValueError: wrong shapes, rows that are not distributions, a label out of range.
    """
    labels = check_pair(probs, labels, "probs")
    check_probabilities(probs)
    check_count(num_classes, "num_classes", 1, MOST_CLASSES)
    check_label_range(labels, num_classes, "probs")
    return _centroids(full_precision(probs), labels, num_classes)


def _centroids(probs: Tensor, labels: Tensor, num_classes: int) -> Tensor:
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
    labels = check_pair(probs, labels, "probs")
    check_probabilities(probs)
    num_classes = max(int(labels.max()), 0) + 1
    check_label_range(labels, num_classes, "probs")
    probs = probs.double()
    centroids = _centroids(probs, labels, num_classes)
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
    labels = check_pair(probs, labels, "probs")
    check_probabilities(probs)
    check_label_range(labels, probs.shape[1], "probs")
    return probs.double().gather(1, labels[:, None]).log().mean()


def bayes_divergence(logits: Tensor, posterior: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(P*_x ‖ P_x) of each sample in nats: how far its output is from the true BCPD.

    Args:
        logits: (N, C).
        posterior: (N, C), P*; zero probabilities count as 0·log 0 = 0.
        temperature: T; P_x = softmax(logits / T).

    Returns:
        (N,), float64; inf where a class that is possible has a logit of −inf.

    Raises:
        ValueError: rows of ``posterior`` that are not distributions, another shape than that of
            the logits, wrong types or devices, or a temperature that is not positive.
    """
    check_outputs(logits, "logits")
    check_floating(posterior, "posterior")
    check_positive(temperature, "temperature")
    if logits.shape != posterior.shape:
        raise ValueError(
            f"logits of shape {tuple(logits.shape)} need a posterior of that shape, got "
            f"{tuple(posterior.shape)}"
        )
    check_same_device(posterior, "posterior", logits, "logits")
    check_probabilities(posterior)
    log_probs = (logits.double() / temperature).log_softmax(dim=1)
    posterior = posterior.double()
    # As in CMI, log 0 is never evaluated.
    own = torch.xlogy(posterior, posterior.masked_fill(posterior == 0, 1))
    return (own - times_log(posterior, log_probs)).sum(dim=1)

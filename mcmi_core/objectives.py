"""What a teacher maximises.

    MLL   maximum log-likelihood:      LL           → minimise  CE
    MCMI  maximum CMI as well:         LL + λ·CMI   → minimise  CE − λ · mean KL(P_x ‖ Q_y)

and, to compare with, other ways to keep a teacher from becoming one-hot: smoothed labels, a bonus
for entropy, squared error.

All take logits (N, C), N ≥ 1, of any floating-point type and labels (N,) in [0, C) of any integer
type, or bool, on one device, and compute in at least float32. A logit of −inf is an excluded class,
of probability 0; cross-entropy is inf where it is the label's. Nothing waits for a GPU, so labels
out of range are refused on the CPU only; on a GPU, cross-entropy alone leaves −100 out, unseen.

With Q at the class centroids, the gradient of mean KL(P_x ‖ Q_y), Q held constant, IS the gradient
of CMI: CMI = min over Q of mean KL, so the centroids' own movement contributes nothing (envelope
theorem). How well MCMI works therefore depends on how close Q stays to the centroids.

Source: Ye et al., ICLR 2024, section 4.
"""

import math
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.checks import (
    MOST_CLASSES,
    at_hand,
    check_count,
    check_floating,
    check_labelled,
    check_same_device,
    is_number,
)
from mcmi_core.base.errors import TrainingCollapsed
from mcmi_core.base.processes import sum_over_processes
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.losses import common_precision, full_precision, no_less_than, times_log
from mcmi_core.output_sums import OutputSums


class Objective(Criterion):
    """A criterion of logits and labels alone: call it like any loss, or train with its terms.

    Raises:
        ValueError: wrong shapes, types or devices, no sample, or, on the CPU, a label out of range.
    """

    shareable = True

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Named terms for logits (N, C) and labels (N,), nats, means over the batch."""
        raise NotImplementedError

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss to minimise for logits (N, C) and labels (N,): a scalar, nats."""
        return torch.stack(list(self.loss_terms(logits, labels).values())).sum()

    def terms(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The objective's terms for the model's outputs on a batch."""
        return self.loss_terms(model(batch.inputs), batch.labels)


class MLLLoss(Objective):
    """Maximum log-likelihood: cross-entropy, −LL, nats, mean over the batch."""

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``cross_entropy``."""
        labels = check_labelled(logits, labels)
        return {"cross_entropy": F.cross_entropy(full_precision(logits), labels)}


class MCMILoss(Objective):
    """Maximum CMI: CE − λ · mean KL(P_x ‖ Q_y), nats, mean over the batch, Q constant.

    Args:
        lam: λ ≥ 0, the weight of CMI against log-likelihood.
        centroids: Q. A tensor (C, C) whose row y is Q_y, used as it is; or a policy:
            ``"fixed"``: computed once by :meth:`prepare`, in train mode on augmented data, and
            frozen (as the authors' code);
            ``"tracked"``: an exponential moving average of each class's outputs, updated by every
            training batch before it is used, so that Q stays near its optimum.
        momentum: of the moving average, in [0, 1): the share of Q_y that a batch holding class y
            keeps.
        num_classes: C, 2 to 100,000; needed with a policy.

    It computes in the widest type of logits and centroids. Those stay at least float32, whatever
    type the loss or a model around it is converted to: in half precision, the average would get
    stuck. A probability of 0 in Q_y counts as the smallest normal number.

    Raises:
        ValueError: λ, momentum or centroids out of range, unknown policy, another number of
            classes, centroids on another device, ``fixed`` used before :meth:`prepare`.
        TrainingCollapsed: from :meth:`check`, when most of the log-likelihood is lost.
    """

    def __init__(
        self,
        lam: float,
        centroids: Tensor | Literal["fixed", "tracked"],
        momentum: float = 0.9,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        if not (is_number(lam) and 0 <= lam < math.inf):
            raise ValueError(f"lam must be a finite number of at least 0, got {lam!r}")
        if not (is_number(momentum) and 0 <= momentum < 1):
            raise ValueError(f"momentum must be in [0, 1), got {momentum!r}")
        self.lam = lam
        self.momentum = momentum
        if isinstance(centroids, Tensor):
            self.policy = "fixed"
            if centroids.ndim != 2 or not 2 <= centroids.shape[0] == centroids.shape[1]:
                raise ValueError(f"centroids must be (C, C), got {tuple(centroids.shape)}")
            check_floating(centroids, "centroids")
            if at_hand(centroids) and len(wrong := centroids[~(centroids >= 0)]):
                raise ValueError(f"centroids must hold probabilities, got {wrong[0].item()}")
            known = torch.ones_like(centroids[:, 0], dtype=torch.bool)
        elif isinstance(centroids, str) and centroids in ("fixed", "tracked"):
            self.policy = centroids
            if num_classes is None:
                raise ValueError(f"centroids={centroids!r} needs num_classes")
            check_count(num_classes, "num_classes", 2, MOST_CLASSES)
            centroids = torch.full((num_classes, num_classes), 1 / num_classes)
            known = torch.zeros(num_classes, dtype=torch.bool)
        else:
            raise ValueError(
                f"centroids must be a (C, C) tensor, 'fixed' or 'tracked', got {centroids!r}"
            )
        centroids = full_precision(centroids.detach().clone())
        self.register_buffer("centroids", centroids)  # (C, C), rows Q_y
        self.register_buffer("known", known)  # (C,), whether Q_y comes from data
        self.register_buffer("initial_log_likelihood", centroids.new_tensor(math.nan))  # nats

    def _apply(self, fn: Callable, recurse: bool = True) -> "MCMILoss":
        return super()._apply(no_less_than(torch.float32, fn), recurse)

    @torch.no_grad()
    def prepare(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Set Q to the centroids of the model's outputs on one epoch, model in train mode.

        As in the authors' code, this also moves the batch-norm statistics by one epoch.
        """
        model.train()
        sums = OutputSums.zeros(len(self.centroids), self.centroids.device)
        for batch in batches:
            logits = model(batch.inputs)
            check_same_device(self.centroids, "loss", logits, "logits")
            sums.update(logits, batch.labels)
        sums = sums.over_processes()
        counts = sums.class_counts[:, None]
        means = sums.prob_sums / counts.clamp_min(1)
        self.known.copy_(sums.class_counts > 0)
        self.centroids.copy_(torch.where(counts > 0, means, self.centroids))
        self.initial_log_likelihood.copy_(sums.log_likelihood_sum / counts.sum())

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``cross_entropy`` and ``negative_cmi`` = −λ · mean KL(P_x ‖ Q_y)."""
        labels = check_labelled(logits, labels)
        check_same_device(self.centroids, "loss", logits, "logits")
        if logits.shape[1] != len(self.centroids):
            raise ValueError(f"logits have {logits.shape[1]} columns, not {len(self.centroids)}")
        logits, _ = common_precision(logits, self.centroids)
        log_probs = logits.log_softmax(dim=1)  # (N, C)
        probs = log_probs.exp()
        if self.policy == "tracked" and self.training:
            self._track(probs.detach(), labels)
        elif self.policy == "fixed" and at_hand(labels) and not self.known[labels].all():
            raise ValueError("fixed centroids are not known yet; call prepare(model, batches)")
        centroids = self.centroids.to(log_probs.dtype)
        log_centroids = centroids.clamp_min(torch.finfo(centroids.dtype).tiny).log()
        divergence = times_log(probs, log_probs - log_centroids[labels]).sum(dim=1)  # (N,)
        return {
            "cross_entropy": F.nll_loss(log_probs, labels),
            "negative_cmi": -self.lam * divergence.mean(),
        }

    def _track(self, probs: Tensor, labels: Tensor) -> None:
        """Q_y ← m·Q_y + (1−m)·(mean of the batch's P_x of class y), for the classes in it."""
        sums = torch.zeros_like(self.centroids, dtype=probs.dtype)  # (C, C)
        counts = torch.zeros_like(sums[:, 0]).index_add_(0, labels, torch.ones_like(probs[:, 0]))
        counts = sum_over_processes(counts)
        means = sum_over_processes(sums.index_add_(0, labels, probs)) / counts.clamp_min(1)[:, None]
        # A class never seen before takes its first mean whole; an absent one keeps its centroid.
        step = torch.where(self.known, 1 - self.momentum, 1.0) * (counts > 0)
        self.centroids.lerp_(means.to(self.centroids.dtype), step[:, None].to(self.centroids.dtype))
        self.known.logical_or_(counts > 0)

    def check(self, mean_terms: dict[str, float]) -> None:
        """Raise ``TrainingCollapsed`` when more than half of what MLL training had won is lost.

        That is when the mean training LL is nearer to −log C, the LL of guessing, than to where
        fine-tuning started; if :meth:`prepare` was not called, when it is below −log C.
        """
        log_likelihood = -mean_terms["cross_entropy"]
        guessing = -math.log(len(self.centroids))
        start = self.initial_log_likelihood.item()
        lowest = (start + guessing) / 2 if start > guessing else guessing  # start may be NaN
        if log_likelihood >= lowest:  # false for NaN too
            return
        remedy = "a smaller λ" + (
            " or centroids=tracked" if self.policy == "fixed" else " or a smaller learning rate"
        )
        raise TrainingCollapsed(
            f"MCMI with λ = {self.lam:g} and {self.policy} centroids collapsed: mean training LL "
            f"is {log_likelihood:.2f} nats; it was {start:.2f} before fine-tuning, and guessing "
            f"has {guessing:.2f}. Try {remedy}."
        )


class LabelSmoothingLoss(Objective):
    """Cross-entropy with (1 − share) · onehot(y) + share / C, nats, mean over the batch.

    Minimal, where one label is certain, at P_x = that target, so LL = log(1 − share + share / C).

    Args:
        share: of the label that is spread evenly over all C classes, in [0, 1).

    Raises:
        ValueError: a share out of range.

    Source: Szegedy et al., "Rethinking the Inception architecture", CVPR 2016.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not (is_number(share) and 0 <= share < 1):
            raise ValueError(f"share must be in [0, 1), got {share!r}")
        self.share = share

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``cross_entropy`` with the smoothed labels; inf where any class is excluded."""
        labels = check_labelled(logits, labels)
        loss = F.cross_entropy(full_precision(logits), labels, label_smoothing=self.share)
        return {"cross_entropy": loss}


class EntropyBonusLoss(Objective):
    """Confidence penalty: CE − weight · mean H(P_x), H(P) = −Σ_k P[k] log P[k], nats.

    What MCMI becomes without the class: CMI = H(Ŷ|Y) − H(Ŷ|X) is large when the outputs of a class
    differ from one another, H(Ŷ|X) when each single output is undecided.

    Args:
        weight: β ≥ 0, of the entropy against log-likelihood.

    Raises:
        ValueError: a weight out of range.

    Source: Pereyra et al., "Regularizing neural networks by penalizing confident output
    distributions", 2017.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        if not (is_number(weight) and 0 <= weight < math.inf):
            raise ValueError(f"weight must be a finite number of at least 0, got {weight!r}")
        self.weight = weight

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``cross_entropy`` and ``negative_entropy`` = −weight · mean H(P_x)."""
        labels = check_labelled(logits, labels)
        log_probs = full_precision(logits).log_softmax(dim=1)  # (N, C)
        negative_entropy = times_log(log_probs.exp(), log_probs).sum(dim=1).mean()
        return {
            "cross_entropy": F.nll_loss(log_probs, labels),
            "negative_entropy": self.weight * negative_entropy,
        }


class SquaredErrorLoss(Objective):
    """Σ_k (P_x[k] − onehot(y)[k])², between 0 and 2, mean over the batch.

    Summed over classes, so that its scale, and the step that a learning rate makes, does not fall
    with their number. Of all functions of x, P* minimises its expectation, as it does that of CE.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950; for
    teachers: Hamidi et al., "How to train the teacher model for effective knowledge distillation",
    ECCV 2024.
    """

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``squared_error``."""
        labels = check_labelled(logits, labels)
        probs = full_precision(logits).softmax(dim=1)  # (N, C)
        targets = F.one_hot(labels, probs.shape[1])
        return {"squared_error": (probs - targets).square().sum(dim=1).mean()}


def mll(*, num_classes: int) -> MLLLoss:
    """Maximum log-likelihood, the conventional teacher."""
    return MLLLoss()


def mcmi(
    *,
    num_classes: int,
    lam: float,
    centroids: Literal["fixed", "tracked"],
    momentum: float = 0.9,
) -> MCMILoss:
    """Maximum CMI, the paper's teacher; see :class:`MCMILoss`."""
    return MCMILoss(lam, centroids, momentum, num_classes)


def label_smoothing(*, share: float) -> LabelSmoothingLoss:
    """Maximum log-likelihood of smoothed labels; see :class:`LabelSmoothingLoss`."""
    return LabelSmoothingLoss(share)


def entropy(*, weight: float) -> EntropyBonusLoss:
    """Maximum log-likelihood and entropy; see :class:`EntropyBonusLoss`."""
    return EntropyBonusLoss(weight)


def mse() -> SquaredErrorLoss:
    """Least squared error of the output distribution; see :class:`SquaredErrorLoss`."""
    return SquaredErrorLoss()

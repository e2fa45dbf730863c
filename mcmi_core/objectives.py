"""What a teacher maximises.

    MLL   maximum log-likelihood:      LL           → minimise  CE
    MCMI  maximum CMI as well:         LL + λ·CMI   → minimise  CE − λ · mean KL(P_x ‖ Q_y)

and, to compare with, other ways to keep a teacher from becoming one-hot: smoothed labels, a bonus
for entropy, squared error.

With Q at the class centroids, the gradient of mean KL(P_x ‖ Q_y), Q held constant, IS the gradient
of CMI: CMI = min over Q of mean KL, so the centroids' own movement contributes nothing (envelope
theorem). How well MCMI works therefore depends on how close Q stays to the centroids.

Source: Ye et al., ICLR 2024, section 4.
"""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mcmi_core.base.checks import check_label_range, check_pair
from mcmi_core.base.errors import TrainingCollapsed
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.losses import full_precision


class Objective(Criterion):
    """A criterion of logits and labels alone: call it like any loss, or train with its terms."""

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
    """Maximum log-likelihood: cross-entropy, −LL, nats, mean over the batch.

    Raises:
        ValueError: wrong shapes.
    """

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``cross_entropy``."""
        check_pair(logits, labels, "logits")
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
        num_classes: C; needed with a policy.

    Raises:
        ValueError: λ, momentum or centroids out of range, unknown policy, wrong shapes, a label
            out of range, ``fixed`` used before :meth:`prepare`.
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
        if not 0 <= lam < math.inf:
            raise ValueError(f"lam must be a finite number of at least 0, got {lam}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        self.lam = lam
        self.momentum = momentum
        if isinstance(centroids, Tensor):
            self.policy = "fixed"
            known = torch.ones(len(centroids), dtype=torch.bool)
            if centroids.ndim != 2 or centroids.shape[0] != centroids.shape[1]:
                raise ValueError(f"centroids must be (C, C), got {tuple(centroids.shape)}")
        elif centroids in ("fixed", "tracked"):
            self.policy = centroids
            if num_classes is None:
                raise ValueError(f"centroids={centroids!r} needs num_classes")
            centroids = torch.full((num_classes, num_classes), 1 / num_classes)
            known = torch.zeros(num_classes, dtype=torch.bool)
        else:
            raise ValueError(
                f"centroids must be a (C, C) tensor, 'fixed' or 'tracked', got {centroids!r}"
            )
        self.register_buffer("centroids", centroids.detach().clone())  # (C, C), rows Q_y
        self.register_buffer("known", known)  # (C,), whether Q_y comes from data
        self.register_buffer("initial_log_likelihood", torch.tensor(math.nan))  # nats

    @torch.no_grad()
    def prepare(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Set Q to the centroids of the model's outputs on one epoch, model in train mode.

        As in the authors' code, this also moves the batch-norm statistics by one epoch.
        """
        model.train()
        num_classes = len(self.centroids)
        sums = torch.zeros_like(self.centroids, dtype=torch.float64)  # (C, C)
        counts = torch.zeros(num_classes, 1, dtype=torch.float64, device=sums.device)
        log_likelihood = torch.zeros((), dtype=torch.float64, device=sums.device)
        for batch in batches:
            log_probs = model(batch.inputs).double().log_softmax(dim=1)  # (N, C)
            sums.index_add_(0, batch.labels, log_probs.exp())
            counts.index_add_(0, batch.labels, torch.ones_like(log_probs[:, :1]))
            log_likelihood += log_probs.gather(1, batch.labels[:, None]).sum()
        self.known.copy_((counts > 0).flatten())
        self.centroids.copy_(torch.where(counts > 0, sums / counts.clamp_min(1), self.centroids))
        self.initial_log_likelihood.copy_(log_likelihood / counts.sum())

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``cross_entropy`` and ``negative_cmi`` = −λ · mean KL(P_x ‖ Q_y)."""
        check_pair(logits, labels, "logits")
        if logits.shape[1] != len(self.centroids):
            raise ValueError(f"logits have {logits.shape[1]} columns, not {len(self.centroids)}")
        if not labels.is_cuda:
            check_label_range(labels, len(self.centroids))
        log_probs = full_precision(logits).log_softmax(dim=1)  # (N, C)
        probs = log_probs.exp()
        if self.policy == "tracked" and self.training:
            self._track(probs.detach(), labels)
        elif self.policy == "fixed" and not labels.is_cuda and not self.known[labels].all():
            raise ValueError("fixed centroids are not known yet; call prepare(model, batches)")
        log_centroids = self.centroids.clamp_min(torch.finfo(log_probs.dtype).tiny).log()
        divergence = (probs * (log_probs - log_centroids[labels])).sum(dim=1)  # (N,)
        return {
            "cross_entropy": F.nll_loss(log_probs, labels),
            "negative_cmi": -self.lam * divergence.mean(),
        }

    def _track(self, probs: Tensor, labels: Tensor) -> None:
        """Q_y ← m·Q_y + (1−m)·(mean of the batch's P_x of class y), for the classes in it."""
        counts = torch.zeros_like(self.centroids[:, 0]).index_add_(
            0, labels, torch.ones_like(probs[:, 0])
        )  # (C,)
        sums = torch.zeros_like(self.centroids).index_add_(0, labels, probs)  # (C, C)
        means = sums / counts.clamp_min(1)[:, None]
        # A class never seen before takes its first mean whole; an absent one keeps its centroid.
        step = torch.where(self.known, 1 - self.momentum, 1.0) * (counts > 0)
        self.centroids.lerp_(means, step[:, None].to(means.dtype))
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
        ValueError: a share out of range, wrong shapes.

    Source: Szegedy et al., "Rethinking the Inception architecture", CVPR 2016.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError(f"share must be in [0, 1), got {share}")
        self.share = share

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``cross_entropy`` with the smoothed labels."""
        check_pair(logits, labels, "logits")
        loss = F.cross_entropy(full_precision(logits), labels, label_smoothing=self.share)
        return {"cross_entropy": loss}


class EntropyBonusLoss(Objective):
    """Confidence penalty: CE − weight · mean H(P_x), H(P) = −Σ_k P[k] log P[k], nats.

    What MCMI becomes without the class: CMI = H(Ŷ|Y) − H(Ŷ|X) is large when the outputs of a class
    differ from one another, H(Ŷ|X) when each single output is undecided.

    Args:
        weight: β ≥ 0, of the entropy against log-likelihood.

    Raises:
        ValueError: a weight out of range, wrong shapes.

    Source: Pereyra et al., "Regularizing neural networks by penalizing confident output
    distributions", 2017.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight must be a finite number of at least 0, got {weight}")
        self.weight = weight

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``cross_entropy`` and ``negative_entropy`` = −weight · mean H(P_x)."""
        check_pair(logits, labels, "logits")
        log_probs = full_precision(logits).log_softmax(dim=1)  # (N, C)
        negative_entropy = (log_probs.exp() * log_probs).sum(dim=1).mean()
        return {
            "cross_entropy": F.nll_loss(log_probs, labels),
            "negative_entropy": self.weight * negative_entropy,
        }


class SquaredErrorLoss(Objective):
    """Σ_k (P_x[k] − onehot(y)[k])², between 0 and 2, mean over the batch.

    Summed over classes, so that its scale, and the step that a learning rate makes, does not fall
    with their number. Of all functions of x, P* minimises its expectation, as it does that of CE.

    Raises:
        ValueError: wrong shapes.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950; for
    teachers: Hamidi et al., "How to train the teacher model for effective knowledge distillation",
    ECCV 2024.
    """

    def loss_terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``squared_error``."""
        check_pair(logits, labels, "logits")
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

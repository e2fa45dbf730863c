"""Losses of outputs: KD, its decoupled form, relations of probabilities, standardised logits."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mcmi_core.base.checks import check_pair, check_positive
from mcmi_core.losses._checks import check_logits
from mcmi_core.losses._numerics import centred, full_precision, unit


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Knowledge distillation: T² · KL(softmax(t/T) ‖ softmax(s/T)), nats.

    Sum over classes, mean over the batch. T² keeps the size of the gradient when T grows.

    Args:
        student_logits: s, (N, C).
        teacher_logits: t, (N, C).
        temperature: T > 0.

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: shapes that differ or are not (N, C), an empty batch, or a temperature that is
            not positive.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.
    """
    check_logits(student_logits, teacher_logits)
    check_positive(temperature, "temperature")
    student_log_probs = F.log_softmax(full_precision(student_logits) / temperature, dim=1)
    teacher_log_probs = F.log_softmax(full_precision(teacher_logits) / temperature, dim=1)
    # Written out, as torch.func.vmap cannot batch F.kl_div, to which this is equal bit for bit.
    divergence = teacher_log_probs.exp() * (teacher_log_probs - student_log_probs)  # (N, C)
    return temperature**2 * (divergence.sum() / len(divergence))


def dkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    alpha: float,
    beta: float,
    temperature: float,
) -> Tensor:
    """Decoupled knowledge distillation: α · TCKD + β · NCKD, nats.

        TCKD = T² · KL(b(t) ‖ b(s)),   b = (p_y, 1 − p_y),   p = softmax(logits/T)
        NCKD = T² · KL(p̂(t) ‖ p̂(s)),   p̂ = p over the classes other than y, renormalised

    Both: sum over outcomes, mean over the batch. With α = 1, and NCKD weighted by 1 − p_y(t) per
    sample instead of by β, this would be KD.

    Args:
        student_logits: s, (N, C), C ≥ 2.
        teacher_logits: t, (N, C).
        labels: y, (N,), in 0..C−1.
        alpha: α, weight of the target class against the rest.
        beta: β, weight of the rest.
        temperature: T > 0.

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: wrong shapes or types, an empty batch, a single class, or a temperature that is
            not positive.

    Source: Zhao et al., "Decoupled knowledge distillation", CVPR 2022.
    """
    check_logits(student_logits, teacher_logits)
    check_pair(student_logits, labels, "student_logits")
    check_positive(temperature, "temperature")
    if student_logits.shape[1] < 2:
        raise ValueError(
            f"logits need a class beside the label's, got shape {tuple(student_logits.shape)}"
        )
    student_logits = full_precision(student_logits) / temperature
    teacher_logits = full_precision(teacher_logits) / temperature
    student_target, student_others = _split_off(student_logits, labels)
    teacher_target, teacher_others = _split_off(teacher_logits, labels)
    target_term = kd_loss(
        _target_against(student_target, student_others),
        _target_against(teacher_target, teacher_others),
        temperature=1.0,
    )
    others_term = kd_loss(student_others, teacher_others, temperature=1.0)
    return temperature**2 * (alpha * target_term + beta * others_term)


def _split_off(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The label's logit (N, 1) and the other ones (N, C − 1)."""
    labels = labels.long()[:, None]
    classes = torch.arange(logits.shape[1] - 1, device=logits.device).expand(len(logits), -1)
    return logits.gather(1, labels), logits.gather(1, classes + (classes >= labels))


def _target_against(target: Tensor, others: Tensor) -> Tensor:
    """Logits (N, 2) of the label and of all other classes together."""
    return torch.cat([target, others.logsumexp(dim=1, keepdim=True)], dim=1)


def dist_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    """Relations of probabilities (DIST): T² · (β · inter + γ · intra), no unit.

        inter = 1 − mean over samples of ρ(row of softmax(s/T), row of softmax(t/T))
        intra = 1 − mean over classes of ρ(column of softmax(s/T), column of softmax(t/T))

    ρ is Pearson's correlation; that of a constant row or column, such as a column of a batch of
    one, is 0.

    Args:
        student_logits: s, (N, C).
        teacher_logits: t, (N, C).
        beta: β, weight of the relation between classes.
        gamma: γ, weight of the relation between samples.
        temperature: T > 0.

    Returns:
        Scalar in [0, 2 T² (β + γ)], at least float32.

    Raises:
        ValueError: shapes that differ or are not (N, C), an empty batch, or a temperature that is
            not positive.

    Source: Huang et al., "Knowledge distillation from a stronger teacher", NeurIPS 2022.
    """
    check_logits(student_logits, teacher_logits)
    check_positive(temperature, "temperature")
    student_probs = F.softmax(full_precision(student_logits) / temperature, dim=1)
    teacher_probs = F.softmax(full_precision(teacher_logits) / temperature, dim=1)
    inter = 1 - _correlations(student_probs, teacher_probs, dim=1).mean()
    intra = 1 - _correlations(student_probs, teacher_probs, dim=0).mean()
    return temperature**2 * (beta * inter + gamma * intra)


def _correlations(first: Tensor, second: Tensor, dim: int) -> Tensor:
    """Pearson's correlation along ``dim``, 0 where either is constant."""
    first, second = (unit(centred(x, dim), dim) for x in (first, second))
    return (first * second).sum(dim)


def standardise_logits(logits: Tensor, temperature: float) -> Tensor:
    """Each sample's z-score over the base temperature: (z − mean(z)) / (std(z) · T).

    Mean and standard deviation over the C logits of a sample, the latter with divisor C, as in the
    paper. Constant logits become 0.

    Args:
        logits: z, (N, C).
        temperature: T > 0.

    Returns:
        (N, C), at least float32.

    Raises:
        ValueError: another shape, or a temperature that is not positive.

    Source: Sun et al., "Logit standardization in knowledge distillation", CVPR 2024.
    """
    if logits.ndim != 2:
        raise ValueError(f"logits must have shape (N, C), got {tuple(logits.shape)}")
    check_positive(temperature, "temperature")
    logits = full_precision(logits)
    return unit(centred(logits, dim=1)) * logits.shape[1] ** 0.5 / temperature

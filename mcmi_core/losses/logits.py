"""Losses of outputs: KD, its decoupled form, relations of probabilities, standardised logits.

A logit of −inf says that a class is excluded: its probability is exactly 0, and 0 · log 0 = 0. A
class that the teacher gives some probability and the student excludes makes KL +inf.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mcmi_core.base.checks import check_labelled, check_number, check_outputs, check_positive
from mcmi_core.losses._checks import check_logits
from mcmi_core.losses._numerics import centred, common_precision, full_precision, times_log, unit


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
    student_logits, teacher_logits = common_precision(student_logits, teacher_logits)
    return temperature**2 * _divergence(student_logits / temperature, teacher_logits / temperature)


def _divergence(
    student_logits: Tensor, teacher_logits: Tensor, counts: Tensor | None = None
) -> Tensor:
    """KL(softmax(t) ‖ softmax(s)), mean over the batch; 0 for a sample that does not count."""
    student_log_probs = F.log_softmax(student_logits, dim=1)
    teacher_log_probs = F.log_softmax(teacher_logits, dim=1)
    # Written out, as torch.func.vmap cannot batch F.kl_div, to which this is equal bit for bit.
    probs = teacher_log_probs.exp() if counts is None else teacher_log_probs.exp() * counts
    divergence = times_log(probs, teacher_log_probs - student_log_probs)  # (N, C)
    return divergence.sum() / len(divergence)


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
    sample instead of by β, this would be KD. Where the teacher excludes all classes other than y,
    its p̂ does not exist, and the sample adds 0 to NCKD.

    Args:
        student_logits: s, (N, C), C ≥ 2.
        teacher_logits: t, (N, C).
        labels: y, (N,), integers or bool in [0, C).
        alpha: α, weight of the target class against the rest.
        beta: β, weight of the rest.
        temperature: T > 0.

    Returns:
        Scalar, at least float32.

    Raises:
        ValueError: wrong shapes or types, an empty batch, a temperature that is not positive, or,
            on the CPU, a label out of range.

    Source: Zhao et al., "Decoupled knowledge distillation", CVPR 2022.
    """
    check_logits(student_logits, teacher_logits)
    labels = check_labelled(student_logits, labels, "student_logits")
    check_number(alpha, "alpha")
    check_number(beta, "beta")
    check_positive(temperature, "temperature")
    student_logits, teacher_logits = common_precision(student_logits, teacher_logits)
    student_target, student_others = _split_off(student_logits / temperature, labels)
    teacher_target, teacher_others = _split_off(teacher_logits / temperature, labels)
    student_others, student_rest, _ = _together(student_others)
    teacher_others, teacher_rest, some = _together(teacher_others)
    target_term = _divergence(
        torch.cat([student_target, student_rest], dim=1),
        torch.cat([teacher_target, teacher_rest], dim=1),
    )
    others_term = _divergence(student_others, teacher_others, some)
    return temperature**2 * (alpha * target_term + beta * others_term)


def _split_off(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The label's logit (N, 1) and the other ones (N, C − 1)."""
    labels = labels[:, None]
    classes = torch.arange(logits.shape[1] - 1, device=logits.device).expand(len(logits), -1)
    return logits.gather(1, labels), logits.gather(1, classes + (classes >= labels))


def _together(others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, (N, 1) of all these classes together, and whether there is one not excluded (N, 1).

    Where there is none, the logits become 0: −inf alone has neither a softmax nor, in logsumexp, a
    gradient.
    """
    some = others.detach().amax(dim=1, keepdim=True) != -math.inf
    others = torch.where(some, others, 0)
    return others, torch.where(some, others.logsumexp(dim=1, keepdim=True), -math.inf), some


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
    one, is 0. An excluded class has probability 0 and counts as any other; where all samples
    exclude it, its column is constant.

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
    check_number(beta, "beta")
    check_number(gamma, "gamma")
    student_logits, teacher_logits = common_precision(student_logits, teacher_logits)
    student_probs = F.softmax(student_logits / temperature, dim=1)
    teacher_probs = F.softmax(teacher_logits / temperature, dim=1)
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
    paper. Constant logits become 0. Logits of −inf stay so and do not count: mean and divisor are
    those of the others.

    Args:
        logits: z, (N, C).
        temperature: T > 0.

    Returns:
        (N, C), at least float32.

    Raises:
        ValueError: another shape, or a temperature that is not positive.

    Source: Sun et al., "Logit standardization in knowledge distillation", CVPR 2024.
    """
    check_outputs(logits, "logits")
    check_positive(temperature, "temperature")
    logits = full_precision(logits)
    excluded = logits == -math.inf
    counts = (~excluded).to(logits.dtype)  # (N, C), 1 or 0
    # A share, not a number of classes: it is 1 where none is excluded, and then changes no bit.
    share = counts.mean(dim=1, keepdim=True)  # (N, 1)
    # As in `centred`: deviations from one of the logits, so that equal ones are made zeros first.
    one = torch.where(excluded[:, :1], logits.amax(dim=1, keepdim=True), logits[:, :1]).detach()
    deviations = torch.where(excluded, 0, logits - one)
    deviations = (deviations - deviations.mean(dim=1, keepdim=True) / share) * counts
    scores = unit(deviations) * (logits.shape[1] ** 0.5 * share.sqrt()) / temperature
    return torch.where(excluded, -math.inf, scores)

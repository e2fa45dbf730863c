"""Distillation losses as pure functions on tensors; each docstring spells its reduction out.

The direction of every KL divergence is teacher ‖ student.
"""

from torch import Tensor
from torch.nn import functional as F

from mcmi_core.validation import check_positive, check_same_shape


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
        ValueError: shapes that differ or are not (N, C), or a temperature that is not positive.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.
    """
    check_same_shape(student_logits, teacher_logits, "student_logits and teacher_logits")
    if student_logits.ndim != 2:
        raise ValueError(f"logits must have shape (N, C), got {tuple(student_logits.shape)}")
    check_positive(temperature, "temperature")
    student_log_probs = F.log_softmax(full_precision(student_logits) / temperature, dim=1)
    teacher_log_probs = F.log_softmax(full_precision(teacher_logits) / temperature, dim=1)
    divergence = F.kl_div(
        student_log_probs, teacher_log_probs, reduction="batchmean", log_target=True
    )
    return temperature**2 * divergence


def full_precision(tensor: Tensor) -> Tensor:
    """float32 for half-precision tensors, all others unchanged: losses never run in half."""
    return tensor.float() if tensor.element_size() < 4 else tensor

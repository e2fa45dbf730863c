"""Distillation losses against slow implementations written from their definitions."""

import math

import pytest
import torch

from mcmi_core.losses import kd_loss


def slow_kd(student_logits, teacher_logits, temperature):
    """T² · mean over the batch of Σ_k p_k log(p_k / q_k), in Python floats."""
    total = 0.0
    for s, t in zip(student_logits.tolist(), teacher_logits.tolist(), strict=True):
        p = [math.exp(v / temperature) for v in t]
        q = [math.exp(v / temperature) for v in s]
        p = [v / sum(p) for v in p]
        q = [v / sum(q) for v in q]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return temperature**2 * total / len(student_logits)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_equals_its_definition(temperature):
    student, teacher = torch.randn(2, 6, 5, dtype=torch.float64)
    expected = slow_kd(student, teacher, temperature)
    assert kd_loss(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_kd_gradient_is_the_scaled_difference_of_softened_outputs():
    student, teacher = torch.randn(2, 6, 5, dtype=torch.float64)
    student.requires_grad_()
    kd_loss(student, teacher, 4.0).backward()
    expected = 4 * ((student / 4).softmax(1) - (teacher / 4).softmax(1)) / 6
    torch.testing.assert_close(student.grad, expected.detach())


def test_kd_runs_in_full_precision_on_half_precision_logits():
    student, teacher = torch.randn(2, 6, 5, dtype=torch.bfloat16)
    loss = kd_loss(student, teacher, 4.0)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, kd_loss(student.float(), teacher.float(), 4.0))


def test_kd_refuses_bad_input():
    with pytest.raises(ValueError, match=r"same shape, got \(2, 3\) and \(2, 4\)"):
        kd_loss(torch.zeros(2, 3), torch.zeros(2, 4), 4.0)
    with pytest.raises(ValueError, match=r"shape \(N, C\), got \(3,\)"):
        kd_loss(torch.zeros(3), torch.zeros(3), 4.0)
    with pytest.raises(ValueError, match="temperature must be positive, got -1"):
        kd_loss(torch.zeros(2, 3), torch.zeros(2, 3), -1)

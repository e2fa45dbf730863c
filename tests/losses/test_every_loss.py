"""What holds of every loss: precision, finite gradients at zero, small batches."""

import pytest
import torch

from mcmi_core import losses

LOGITS, FEATURES, MAPS = (6, 5), (6, 8), (6, 4, 4, 4)


def labels(logits):
    return torch.arange(len(logits)) % logits.shape[1]


LOSSES = {
    "kd": (LOGITS, lambda s, t: losses.kd_loss(s, t, 4.0)),
    "dkd": (LOGITS, lambda s, t: losses.dkd_loss(s, t, labels(s), 1.0, 8.0, 4.0)),
    "dist": (LOGITS, lambda s, t: losses.dist_loss(s, t, 2.0, 2.0, 4.0)),
    "lskd": (
        LOGITS,
        lambda s, t: losses.kd_loss(
            losses.standardise_logits(s, 2.0), losses.standardise_logits(t, 2.0), 1.0
        ),
    ),
    "hint": (MAPS, losses.hint_loss),
    "attention": (MAPS, lambda s, t: losses.attention_loss([s, s.flip(0)], [t, t.flip(0)])),
    "vid": (MAPS, lambda s, t: losses.vid_loss(s, t, torch.ones(4))),
    "nst": (MAPS, lambda s, t: losses.nst_loss([s], [t])),
    "hcl": (MAPS, lambda s, t: losses.hcl_loss([s], [t])),
    "fsp": (MAPS, lambda s, t: losses.fsp_loss([s, s.flip(1)], [t, t.flip(1)])),
    "similarity": (MAPS, losses.similarity_loss),
    "pkt": (FEATURES, losses.pkt_loss),
    "rkd": (FEATURES, losses.rkd_loss),
    "correlation": (FEATURES, losses.correlation_loss),
}
every_loss = pytest.mark.parametrize(("shape", "loss"), LOSSES.values(), ids=LOSSES)


def pair(shape):
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))


def test_every_loss_is_listed():
    """A new loss meets these tests too."""
    listed = {f"{name}_loss" for name in LOSSES} - {"lskd_loss"}
    assert listed == {name for name in losses.__all__ if name.endswith("_loss")}


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_give_a_float32_loss(shape, loss, dtype):
    exact = loss(*pair(shape))
    half = pair(shape).to(dtype)
    value = loss(*half)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(*half.float()), rtol=0, atol=0)
    torch.testing.assert_close(value, exact, rtol=0.03, atol=1e-4)


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_autocast_changes_nothing(shape, loss, dtype):
    """It would run matrix products in bfloat16, of float32 tensors too."""
    student, teacher = pair(shape).to(dtype)
    student.requires_grad_()
    values = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            values.append(loss(student, teacher))
    assert values[1].dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(*values, rtol=0, atol=0)
    gradients = [torch.autograd.grad(value, student)[0] for value in values]
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@every_loss
def test_half_precision_gradients_are_finite(shape, loss):
    student, teacher = pair(shape).half()
    student.requires_grad_()
    loss(student, teacher).backward()
    assert student.grad.isfinite().all() and student.grad.abs().sum() > 0


@every_loss
def test_double_precision_stays(shape, loss):
    assert loss(*pair(shape).double()).dtype == torch.float64


@every_loss
def test_float32_is_accurate(shape, loss):
    student, teacher = pair(shape)
    student.requires_grad_()
    value = loss(student, teacher)
    gradient = torch.autograd.grad(value, student)[0]
    exact_value = loss(student.double(), teacher.double())
    exact_gradient = torch.autograd.grad(exact_value, student)[0]
    torch.testing.assert_close(value, exact_value.float(), rtol=1e-5, atol=1e-7)
    scale = exact_gradient.abs().max().item()
    torch.testing.assert_close(gradient, exact_gradient, rtol=1e-4, atol=1e-5 * scale)


@every_loss
def test_a_student_equal_to_its_teacher_is_at_the_optimum(shape, loss):
    """Whose value is 0, but for VID, a likelihood."""
    teacher = pair(shape)[0].double()
    student = teacher.clone().requires_grad_()
    value = loss(student, teacher)
    value.backward()
    assert student.grad.abs().max() < 1e-8  # PKT's ε moves its optimum by about as much
    optimum = loss(teacher, teacher) if loss is LOSSES["vid"][1] else torch.zeros_like(value)
    torch.testing.assert_close(value, optimum, rtol=0, atol=1e-12)


@every_loss
@pytest.mark.parametrize("zero", [(0, 1), (1, 0), (0, 0)], ids=["student", "teacher", "both"])
def test_zeros_give_finite_losses_and_gradients(shape, loss, zero):
    student, teacher = (x * keep for x, keep in zip(pair(shape), zero, strict=True))
    student.requires_grad_()
    value = loss(student, teacher)
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()
    assert student.grad.abs().max() < 1e6


@every_loss
@pytest.mark.parametrize("size", [1, 2])
def test_small_batches_are_finite(shape, loss, size):
    student, teacher = pair(shape)[:, :size]
    student.requires_grad_()
    value = loss(student, teacher)
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()


@every_loss
def test_teachers_need_no_gradient_and_losses_are_scalars(shape, loss):
    student, teacher = pair(shape)
    assert loss(student, teacher).shape == ()
    assert not loss(student, teacher).requires_grad

"""KD from a teacher that is silent about some classes, against plain KD and its definition."""

import pytest
import torch
from torch import nn

from mcmi_core.components import DISTILLERS
from mcmi_core.data.loader import Batch
from mcmi_core.distillers.kd import KD
from mcmi_core.distillers.masked_kd import MaskedKD

CLASSES = 4
BATCH = Batch(torch.arange(6), torch.tensor([0, 1, 1, 0, 0, 1]), torch.arange(6))


class Fixed(nn.Module):
    """A network whose logits are given: samples are their own row numbers."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, inputs):
        return self.logits[inputs]


def network(seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return Fixed(3 * torch.randn(6, CLASSES, generator=generator, dtype=dtype))


def distil(student, teacher, text="masked_kd:classes=3+2"):
    distiller = DISTILLERS.build(text, student=student, teacher=teacher, sample=BATCH.inputs)
    return distiller.terms(student, BATCH)


def test_the_teacher_is_renormalised_over_the_other_classes():
    """0.9 · T² · Σ_k p_k log(p_k / q_k), p over the classes 0 and 1, q over all four."""
    student, teacher = network(0), network(1)
    p = (teacher.logits[:, :2] / 4).exp()
    p = p / p.sum(dim=1, keepdim=True)
    q = (student.logits / 4).exp()
    q = (q / q.sum(dim=1, keepdim=True))[:, :2]
    expected = 0.9 * 16 * (p * (p / q).log()).sum(dim=1).mean()
    torch.testing.assert_close(distil(student, teacher)["kd"], expected)


@pytest.mark.parametrize("temperature", [1, 1000])
def test_the_teacher_is_silent_at_any_temperature(temperature):
    """A probability of exactly 0, where a large negative logit would be e^(−1e4 / T)."""
    student, teacher = network(0), network(1)
    text = f"masked_kd:classes=3+2,temperature={temperature},weight=1"
    rest = (student.logits / temperature).softmax(1)[:, :2]
    p = (teacher.logits[:, :2] / temperature).softmax(1)
    expected = temperature**2 * (p * (p / rest).log()).sum(dim=1).mean()
    torch.testing.assert_close(distil(student, teacher, text)["kd"], expected)


def test_it_differs_from_plain_kd_only_in_the_teacher():
    student, teacher = network(0), network(1)
    plain = KD(student, teacher).terms(student, BATCH)
    masked = distil(student, teacher)
    assert masked["cross_entropy"] == plain["cross_entropy"]
    silent = Fixed(teacher.logits.detach().clone())
    silent.logits.data[:, 2:] = -1e9  # as good as −∞
    torch.testing.assert_close(masked["kd"], KD(student, silent).terms(student, BATCH)["kd"])


def test_what_the_teacher_says_of_a_masked_class_changes_nothing():
    student, teacher = network(0), network(1)
    before = distil(student, teacher)["kd"]
    teacher.logits.data[:, 2:] += 50
    assert distil(student, teacher)["kd"] == before
    assert (teacher.logits[:, 2:] > 10).any()  # and its own logits are not written over


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_loss_and_gradient_are_finite_and_push_masked_classes_down(dtype):
    student, teacher = network(0, dtype), network(1, dtype)
    sum(distil(student, teacher).values()).backward()
    assert student.logits.grad.isfinite().all()
    assert (student.logits.grad[:, 2:] > 0).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("masked_kd", "option 'classes' of distiller 'masked_kd': Field required"),
        ("masked_kd:classes=4", r"cannot mask class 4; there are 0\.\.3"),
        ("masked_kd:classes=0+-1", r"cannot mask class -1; there are 0\.\.3"),
        ("masked_kd:classes=3+2+1+0", r"masking classes \[0, 1, 2, 3\] leaves none of 4"),
    ],
)
def test_bad_classes_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        distil(network(0), network(1), text)


def test_nothing_to_mask_is_plain_kd():
    with pytest.raises(ValueError, match="masked_kd needs classes to mask, such as classes=9"):
        MaskedKD(network(0), network(1), BATCH.inputs, classes=())


def test_what_is_masked_moves_with_the_distiller_and_is_not_saved():
    """The options are in the run's configuration, so a checkpoint need not hold them."""
    distiller = MaskedKD(network(0), network(1), BATCH.inputs, classes=(3, 2))
    assert dict(distiller.named_buffers())["masked"].tolist() == [False, False, True, True]
    assert distiller.state_dict() == {}

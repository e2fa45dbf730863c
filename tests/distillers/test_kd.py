"""Plain KD against its formula, and the names and options that build it."""

import math

import pytest
import torch
from torch import nn

from mcmi_core.data.loader import Batch
from mcmi_core.distillers import DISTILLERS, KD

CLASSES = 3


class Fixed(nn.Module):
    """A network whose logits are given: samples are their own row numbers."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, inputs):
        return self.logits[inputs]


def random_logits(seed):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(6, CLASSES, generator=generator, dtype=torch.float64)


@pytest.fixture
def student():
    return Fixed(random_logits(0))


@pytest.fixture
def teacher():
    return Fixed(random_logits(1))


BATCH = Batch(torch.arange(6), torch.tensor([0, 1, 2, 0, 0, 1]), torch.arange(6))


def softened(logits, temperature):
    rows = [[math.exp(value / temperature) for value in row] for row in logits.tolist()]
    return [[value / sum(row) for value in row] for row in rows]


def divergence(first, second):
    """Mean over samples of Σ_k p_k log(p_k / q_k)."""
    rows = zip(first, second, strict=True)
    return sum(p * math.log(p / q) for a, b in rows for p, q in zip(a, b, strict=True)) / len(first)


def cross_entropy(logits, labels):
    rows = zip(softened(logits, 1), labels.tolist(), strict=True)
    return -sum(math.log(row[label]) for row, label in rows) / len(labels)


def numbers(terms):
    return {name: term.item() for name, term in terms.items()}


def test_default_terms_are_those_of_the_paper(student, teacher):
    """0.1 · CE + 0.9 · 4² · KL(teacher ‖ student)."""
    kl = divergence(softened(teacher.logits, 4), softened(student.logits, 4))
    expected = {
        "cross_entropy": 0.1 * cross_entropy(student.logits, BATCH.labels),
        "kd": 0.9 * 16 * kl,
    }
    terms = KD(student, teacher).terms(student, BATCH)
    assert numbers(terms) == pytest.approx(expected, rel=1e-12)


def test_options_set_weights_and_temperature(student, teacher):
    kl = divergence(softened(teacher.logits, 2), softened(student.logits, 2))
    expected = {
        "cross_entropy": 0.7 * cross_entropy(student.logits, BATCH.labels),
        "kd": 0.3 * 4 * kl,
    }
    distiller = DISTILLERS.build(
        "kd:temperature=2,weight=0.3,cross_entropy_weight=0.7", student=student, teacher=teacher
    )
    assert isinstance(distiller, KD)
    assert numbers(distiller.terms(student, BATCH)) == pytest.approx(expected, rel=1e-12)


def test_direction_is_teacher_to_student(student, teacher):
    """The teacher is the truth: the two directions differ here, and this is the first."""
    p, q = softened(teacher.logits, 1), softened(student.logits, 1)
    assert abs(divergence(p, q) - divergence(q, p)) > 0.05
    term = KD(student, teacher, temperature=1.0, weight=1.0).terms(student, BATCH)["kd"]
    assert term.item() == pytest.approx(divergence(p, q), rel=1e-12)


def test_gradient_pulls_the_student_towards_both_truths(student, teacher):
    """∂/∂s: 0.1 · (P_s − onehot) / N + 0.9 · T · (P_s^T − P_t^T) / N."""
    sum(KD(student, teacher).terms(student, BATCH).values()).backward()
    s, t = student.logits.detach(), teacher.logits.detach()
    labels = torch.eye(CLASSES, dtype=torch.float64)[BATCH.labels]
    expected = 0.1 * (s.softmax(1) - labels) + 0.9 * 4 * ((s / 4).softmax(1) - (t / 4).softmax(1))
    torch.testing.assert_close(student.logits.grad, expected / 6)
    assert teacher.logits.grad is None


def test_student_equal_to_its_teacher_has_no_distillation_loss(teacher):
    term = KD(teacher, teacher).terms(teacher, BATCH)["kd"]
    assert term.item() == pytest.approx(0, abs=1e-14)


def test_kd_has_neither_parameters_nor_state(student, teacher):
    distiller = KD(student, teacher)
    assert not list(distiller.parameters()) and not distiller.state_dict()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kdd", "unknown distiller 'kdd'; choose from .*kd"),
        ("kd:alpha=1", "unknown option 'alpha' .* takes temperature, weight, cross_entropy_weight"),
        ("kd:teacher=mll", "unknown option 'teacher'"),
        ("kd:temperature=warm", "option 'temperature' of distiller 'kd': .* got 'warm'"),
        ("kd:weight=inf", "option 'weight' of distiller 'kd': .*finite"),
        ("kd:temperature=0", r"temperature must be positive, got 0\.0"),
        ("kd:cross_entropy_weight=-1", r"cross_entropy_weight must be ≥ 0, got -1\.0"),
    ],
)
def test_bad_options_are_refused(text, message, student, teacher):
    with pytest.raises(ValueError, match=message):
        DISTILLERS.build(text, student=student, teacher=teacher).terms(student, BATCH)


def test_a_teacher_of_other_classes_is_refused(student):
    teacher = Fixed(torch.zeros(6, CLASSES + 1, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"the same shape, got \(6, 3\) and \(6, 4\)"):
        KD(student, teacher).terms(student, BATCH)

"""Losses of outputs against slow implementations, written from their definitions."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from mcmi_core.losses import dist_loss, dkd_loss, kd_loss, standardise_logits

LABELS = torch.tensor([0, 4, 2, 2, 1, 3])


@pytest.fixture
def logits():
    """Of a student, which learns, and of a teacher: (6, 5)."""
    student, teacher = 3 * torch.randn(
        2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    return student.requires_grad_(), teacher


def softened(logits, temperature):
    rows = [[math.exp(value / temperature) for value in row] for row in logits.tolist()]
    return [[value / sum(row) for value in row] for row in rows]


def divergence(p, q):
    """KL(p ‖ q) of two lists."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def slow_kd(student, teacher, temperature):
    """T² · mean over the batch of Σ_k p_k log(p_k / q_k)."""
    rows = zip(softened(teacher, temperature), softened(student, temperature), strict=True)
    return temperature**2 * sum(divergence(p, q) for p, q in rows) / len(student)


def slow_dkd(student, teacher, labels, alpha, beta, temperature):
    total = 0.0
    rows = zip(softened(teacher, temperature), softened(student, temperature), strict=True)
    for (p, q), label in zip(rows, labels.tolist(), strict=True):
        total += alpha * divergence([p[label], 1 - p[label]], [q[label], 1 - q[label]])
        others = [k for k in range(len(p)) if k != label]
        total += beta * divergence(
            [p[k] / (1 - p[label]) for k in others], [q[k] / (1 - q[label]) for k in others]
        )
    return temperature**2 * total / len(labels)


def pearson(first, second):
    a = [value - sum(first) / len(first) for value in first]
    b = [value - sum(second) / len(second) for value in second]
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def slow_dist(student, teacher, beta, gamma, temperature):
    p, q = softened(teacher, temperature), softened(student, temperature)
    inter = 1 - sum(map(pearson, p, q)) / len(p)
    columns_p, columns_q = list(zip(*p, strict=True)), list(zip(*q, strict=True))
    intra = 1 - sum(map(pearson, columns_p, columns_q)) / len(columns_p)
    return temperature**2 * (beta * inter + gamma * intra)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_equals_its_definition(temperature, logits):
    loss = kd_loss(*logits, temperature)
    assert loss.item() == pytest.approx(slow_kd(*logits, temperature), rel=1e-12)
    assert gradcheck(lambda student: kd_loss(student, logits[1], temperature), logits[0])


def torchs_kd(student, teacher, temperature):
    student, teacher = (F.log_softmax(t / temperature, dim=1) for t in (student, teacher))
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def test_kd_equals_torchs_divergence_bit_for_bit(logits):
    student, teacher = (tensor.detach().float() for tensor in logits)
    student.requires_grad_()
    losses = [loss(student, teacher, 4.0) for loss in (kd_loss, torchs_kd)]
    gradients = [torch.autograd.grad(loss, student)[0] for loss in losses]
    assert torch.equal(*losses)
    assert torch.equal(*gradients)


def test_kd_gradient_is_the_scaled_difference_of_softened_outputs(logits):
    student, teacher = logits
    kd_loss(student, teacher, 4.0).backward()
    expected = 4 * ((student / 4).softmax(1) - (teacher / 4).softmax(1)) / 6
    torch.testing.assert_close(student.grad, expected.detach())


@pytest.mark.parametrize(("alpha", "beta", "temperature"), [(1.0, 8.0, 4.0), (0.5, 2.0, 1.0)])
def test_dkd_equals_its_definition(alpha, beta, temperature, logits):
    student, teacher = logits
    loss = dkd_loss(student, teacher, LABELS, alpha, beta, temperature)
    expected = slow_dkd(student, teacher, LABELS, alpha, beta, temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda s: dkd_loss(s, teacher, LABELS, alpha, beta, temperature), student)


def test_dkd_of_one_sample_is_kd_when_the_rest_is_weighted_by_its_probability(logits):
    """KD = TCKD + (1 − p_y) · NCKD, as in the paper's equation 7."""
    student, teacher = (x[:1] for x in logits)
    rest = 1 - (teacher / 4).softmax(1)[0, 3].item()
    decoupled = dkd_loss(student, teacher, torch.tensor([3]), 1.0, rest, 4.0)
    torch.testing.assert_close(decoupled, kd_loss(student, teacher, 4.0))


def test_dkd_is_exact_for_a_certain_teacher():
    """The rest has probability e^-200 in float32, which 1 − p_y would round to 0."""
    teacher = torch.tensor([[200.0, 0.0, 1.0]])
    student = torch.zeros(1, 3, requires_grad=True)
    loss = dkd_loss(student, teacher, torch.tensor([0]), 1.0, 1.0, 1.0)
    loss.backward()
    p = 1 / (1 + math.e)
    others = divergence([p, 1 - p], [0.5, 0.5])
    assert loss.item() == pytest.approx(math.log(3) + others, rel=1e-6)
    expected = [-2 / 3, 1 / 3 + 0.5 - p, 1 / 3 + p - 0.5]
    torch.testing.assert_close(student.grad, torch.tensor([expected]))


def test_dkd_of_two_classes_has_only_its_target_part(logits):
    student, teacher = (x[:, :2] for x in logits)
    labels = LABELS % 2
    loss = dkd_loss(student, teacher, labels, 1.0, 8.0, 4.0)
    torch.testing.assert_close(loss, kd_loss(student, teacher, 4.0))


@pytest.mark.parametrize(("beta", "gamma", "temperature"), [(2.0, 2.0, 4.0), (1.0, 0.5, 1.0)])
def test_dist_equals_its_definition(beta, gamma, temperature, logits):
    student, teacher = logits
    loss = dist_loss(student, teacher, beta, gamma, temperature)
    expected = slow_dist(student, teacher, beta, gamma, temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda s: dist_loss(s, teacher, beta, gamma, temperature), student)


def test_dist_of_one_sample_has_no_relation_between_samples(logits):
    """No correlation is no agreement: the intra part is γ, and pulls nowhere."""
    student, teacher = (x[:1] for x in logits)
    inter = 1 - pearson(*(softened(x, 1.0)[0] for x in (student, teacher)))
    assert dist_loss(student, teacher, 1.0, 3.0).item() == pytest.approx(inter + 3.0)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_standardised_logits_equal_their_definition(temperature, logits):
    student, _ = logits
    standardised = standardise_logits(student, temperature)
    for row, z in zip(standardised.tolist(), student.tolist(), strict=True):
        mean = sum(z) / 5
        deviation = math.sqrt(sum((value - mean) ** 2 for value in z) / 5)
        assert row == pytest.approx([(value - mean) / deviation / temperature for value in z])
    assert gradcheck(lambda s: standardise_logits(s, temperature), student)


def test_standardised_logits_do_not_depend_on_offset_and_scale(logits):
    student, _ = logits
    torch.testing.assert_close(
        standardise_logits(7 * student + 100, 2.0), standardise_logits(student, 2.0)
    )


def test_constant_logits_standardise_to_zero_with_a_finite_gradient():
    """Also where their mean is not exact: 0.1 · 3 / 3 ≠ 0.1."""
    logits = torch.full((2, 3), 0.1, dtype=torch.float64, requires_grad=True)
    standardised = standardise_logits(logits, 2.0)
    standardised.square().sum().backward()
    assert torch.equal(standardised, torch.zeros_like(logits))
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: kd_loss(s, s[:, :4], 4.0), r"same shape, got \(6, 5\) and \(6, 4\)"),
        (lambda s: kd_loss(s[0], s[0], 4.0), r"shape \(N, C\), got \(5,\)"),
        (lambda s: kd_loss(s[:0], s[:0], 4.0), r"hold no sample, got shape \(0, 5\)"),
        (lambda s: kd_loss(s, s, -1), "temperature must be positive, got -1"),
        (lambda s: dkd_loss(s, s[:5], LABELS, 1, 8, 4.0), r"got \(6, 5\) and \(5, 5\)"),
        (lambda s: dkd_loss(s, s, LABELS[:4], 1, 8, 4.0), r"shape \(6,\), .* shape \(4,\)"),
        (lambda s: dkd_loss(s, s, LABELS.float(), 1, 8, 4.0), r"integer .* got torch.float32"),
        (lambda s: dkd_loss(s, s, LABELS, 1, 8, 0), "temperature must be positive, got 0"),
        (lambda s: dkd_loss(s[:, :1], s[:, :1], LABELS, 1, 8, 4.0), r"shape \(N, C\), got \(6, 1"),
        (lambda s: dkd_loss(s, s, LABELS + 1, 1, 8, 4.0), r"label 5 is outside 0\.\.4"),
        (lambda s: dist_loss(s, s[:, :4]), r"same shape, got \(6, 5\) and \(6, 4\)"),
        (lambda s: dist_loss(s, s, temperature=0), "temperature must be positive, got 0"),
        (lambda s: standardise_logits(s[0], 2.0), r"shape \(N, C\), got \(5,\)"),
        (lambda s: standardise_logits(s, 0.0), r"temperature must be positive, got 0\.0"),
    ],
)
def test_bad_input_is_refused(call, message, logits):
    with pytest.raises(ValueError, match=message):
        call(logits[0])

"""Logits of −inf: where all exclude the same classes, a problem is that of the other classes."""

import math

import pytest
import torch
from torch.func import vmap

from mcmi_core.cmi import OutputSums, bayes_divergence
from mcmi_core.data.loader import Batch
from mcmi_core.losses import dist_loss, dkd_loss, kd_loss, standardise_logits
from mcmi_core.objectives import (
    EntropyBonusLoss,
    LabelSmoothingLoss,
    MCMILoss,
    MLLLoss,
    SquaredErrorLoss,
)

CLASSES, KEPT, OUT = 6, [1, 2, 4], [0, 3, 5]
INF = math.inf
LABELS = torch.tensor([0, 2, 1, 1, 0])  # among the classes kept
CENTROIDS = torch.rand(3, 3, generator=torch.Generator().manual_seed(1)).double().softmax(1)


def lskd(student, teacher, temperature=2.0):
    pair = (standardise_logits(x, temperature) for x in (student, teacher))
    return kd_loss(*pair, temperature=1.0)


def mcmi(logits, labels, policy="fixed"):
    classes = logits.shape[1]
    if policy == "tracked":
        loss = MCMILoss(0.7, "tracked", num_classes=classes).double()
        loss(logits.detach().roll(1, dims=0), labels)
        return loss(logits, labels)
    centroids = torch.zeros(classes, classes).double()
    kept = torch.arange(3) if classes == 3 else torch.tensor(KEPT)
    centroids[kept[:, None], kept] = CENTROIDS
    return MCMILoss(0.7, centroids)(logits, labels)


PAIRS = {
    "kd": lambda s, t, y: kd_loss(s, t, 4.0),
    "dkd": lambda s, t, y: dkd_loss(s, t, y, 1.0, 8.0, 4.0),
    "lskd": lambda s, t, y: lskd(s, t),
    "mll": lambda s, t, y: MLLLoss()(s, y),
    "mcmi fixed": lambda s, t, y: mcmi(s, y),
    "mcmi tracked": lambda s, t, y: mcmi(s, y, "tracked"),
    "entropy": lambda s, t, y: EntropyBonusLoss(0.3)(s, y),
    "squared error": lambda s, t, y: SquaredErrorLoss()(s, y),
    "bayes divergence": lambda s, t, y: bayes_divergence(s, t.softmax(1), 1.5).mean(),
}
every_loss = pytest.mark.parametrize("loss", PAIRS.values(), ids=PAIRS)


@pytest.fixture
def small():
    """Student, teacher, labels over the classes that are kept."""
    generator = torch.Generator().manual_seed(0)
    return *(3 * torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)), LABELS


def exclude(logits):
    """The same among all classes, the others −inf."""
    full = torch.full((*logits.shape[:-1], CLASSES), -INF, dtype=logits.dtype)
    full[..., KEPT] = logits.detach()
    return full


def large(small):
    student, teacher, labels = small
    return exclude(student), exclude(teacher), torch.tensor(KEPT)[labels]


def value_and_gradient(loss, student, teacher, labels):
    student, teacher = (x.clone().requires_grad_() for x in (student, teacher))
    value = loss(student, teacher, labels)
    gradients = torch.autograd.grad(value, (student, teacher), allow_unused=True)
    return value.detach(), *(torch.zeros(1) if g is None else g for g in gradients)


@every_loss
def test_what_both_exclude_might_as_well_not_exist(loss, small):
    value, *gradients = value_and_gradient(loss, *large(small))
    expected, *expected_gradients = value_and_gradient(loss, *small)
    torch.testing.assert_close(value, expected)
    for gradient, of_kept in zip(gradients, expected_gradients, strict=True):
        if len(gradient) > 1:
            torch.testing.assert_close(gradient[:, KEPT], of_kept)
            assert (gradient[:, OUT] == 0).all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision_excludes_too(loss, dtype, small):
    student, teacher, labels = large(small)
    exact = loss(student, teacher, labels).float()
    value, gradient, _ = value_and_gradient(loss, student.to(dtype), teacher.to(dtype), labels)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(value.float(), exact, rtol=tolerance, atol=tolerance)
    assert gradient.isfinite().all() and (gradient[:, OUT] == 0).all()


@every_loss
@pytest.mark.parametrize("poison", [math.nan, INF])
@pytest.mark.parametrize("place", [KEPT[0], OUT[0]], ids=["kept", "excluded"])
def test_nan_and_plus_inf_are_never_hidden(loss, poison, place, small):
    student, teacher, labels = large(small)
    student[3, place] = poison
    assert loss(student, teacher, labels).isnan()
    if loss in [PAIRS[name] for name in ("kd", "dkd", "lskd")]:
        assert loss(teacher, student, labels).isnan()


@every_loss
def test_a_sample_of_which_all_is_excluded_has_no_value(loss, small):
    student, teacher, labels = large(small)
    student[3] = -INF
    assert loss(student, teacher, labels).isnan()


@pytest.mark.parametrize("name", ["kd", "dkd", "lskd"])
def test_stacked_losses_exclude_as_single_ones(name, small):
    students, teachers = (torch.stack([x, x.flip(0), x + 1]) for x in large(small)[:2])
    labels = torch.tensor(KEPT)[LABELS].expand(3, -1)
    students[1, 0] = 1.0  # this student excludes none of a sample
    stacked = vmap(PAIRS[name])(students, teachers, labels)
    single = [PAIRS[name](*of_one) for of_one in zip(students, teachers, labels, strict=True)]
    torch.testing.assert_close(stacked, torch.stack(single))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_from_a_teacher_that_alone_excludes(temperature, small):
    """∂/∂s = T · (q − p) / N holds for every class, p = 0 included."""
    _, teacher, labels = large(small)
    student = torch.randn(5, CLASSES, dtype=torch.float64)
    loss = lambda s, t, y: kd_loss(s, t, temperature)  # noqa: E731
    value, gradient, of_teacher = value_and_gradient(loss, student, teacher, labels)
    p, q = ((x / temperature).softmax(1) for x in (teacher, student))
    expected = (p * (p / q).log())[:, KEPT].sum() * temperature**2 / 5
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, temperature * (q - p) / 5)
    assert of_teacher.isfinite().all() and (of_teacher[:, OUT] == 0).all()


@pytest.mark.parametrize("name", ["kd", "dkd", "lskd"])
def test_a_student_that_alone_excludes_is_infinitely_far(name, small):
    student, _, labels = large(small)
    teacher = torch.randn(5, CLASSES, dtype=torch.float64)
    value, gradient, _ = value_and_gradient(PAIRS[name], student, teacher, labels)
    assert value == INF and not gradient.isnan().any()
    student[:] = -INF
    student[torch.arange(5), labels] = 0.0  # all but the label
    value, gradient, _ = value_and_gradient(PAIRS[name], student, teacher, labels)
    assert value == INF and not gradient.isnan().any()


def test_the_truth_is_infinitely_far_from_what_excludes_it(small):
    student, _, _ = large(small)
    posterior = torch.full((5, CLASSES), 1 / CLASSES)
    posterior[1:] = student[1:].softmax(1).float()
    divergence = bayes_divergence(student, posterior)
    assert divergence[0] == INF
    torch.testing.assert_close(divergence[1:], torch.zeros(4).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["kd", "dkd", "lskd", "entropy", "squared error", "mll"])
def test_a_single_class_left_is_certain(name):
    """Both say the same with certainty: nothing is lost, and nothing pulls."""
    logits = torch.full((2, CLASSES), -INF)
    logits[:, 2] = torch.tensor([0.5, -7.0])
    labels = torch.tensor([2, 2])
    value, *gradients = value_and_gradient(PAIRS[name], logits, logits, labels)
    assert value == 0
    assert all((gradient == 0).all() for gradient in gradients)


def test_dkd_of_a_certain_teacher_has_no_other_classes():
    """TCKD = −T² log q_y, whose gradient is that of cross-entropy times T; NCKD is 0."""
    student = torch.randn(3, CLASSES, dtype=torch.float64)
    student[2, 4] = -INF
    teacher = torch.full((3, CLASSES), -INF, dtype=torch.float64)
    labels = torch.tensor([2, 0, 5])
    teacher[torch.arange(3), labels] = 1.0
    loss = lambda s, t, y: dkd_loss(s, t, y, 0.5, 8.0, 4.0)  # noqa: E731
    value, gradient, of_teacher = value_and_gradient(loss, student, teacher, labels)
    q = (student / 4).softmax(1)
    own = q[torch.arange(3), labels]
    torch.testing.assert_close(value, -0.5 * 16 * own.log().mean())
    onehot = torch.eye(CLASSES).double()[labels]
    torch.testing.assert_close(gradient, 0.5 * 4 * (q - onehot) / 3)
    assert (of_teacher[teacher == -INF] == 0).all()


def test_dkd_where_both_exclude_the_label_compares_the_others(small):
    student, teacher, _ = large(small)
    labels = torch.full((5,), OUT[0])
    value, gradient, _ = value_and_gradient(PAIRS["dkd"], student, teacher, labels)
    torch.testing.assert_close(value, 8 * kd_loss(*small[:2], 4.0))
    assert (gradient[:, OUT] == 0).all()


def test_dist_counts_excluded_classes_as_zeros(small):
    """A row is correlated with its zeros; a column of zeros with nothing."""
    student, teacher, labels = large(small)
    rows, columns = 0.0, 0.0
    p, q = teacher.softmax(1), student.softmax(1)
    for i in range(5):
        rows += torch.corrcoef(torch.stack([p[i], q[i]]))[0, 1] / 5
    for k in KEPT:
        columns += torch.corrcoef(torch.stack([p[:, k], q[:, k]]))[0, 1] / CLASSES
    loss = lambda s, t, y: dist_loss(s, t, 2.0, 3.0)  # noqa: E731
    value, gradient, _ = value_and_gradient(loss, student, teacher, labels)
    torch.testing.assert_close(value, 2 * (1 - rows) + 3 * (1 - columns))
    assert gradient.isfinite().all() and (gradient[:, OUT] == 0).all()


def test_standardised_logits_are_those_of_the_classes_that_count(small):
    student = small[0]
    standardised = standardise_logits(exclude(student), 2.0)
    deviation = student.std(1, correction=0, keepdim=True)
    expected = (student - student.mean(1, keepdim=True)) / deviation / 2
    torch.testing.assert_close(standardised[:, KEPT], expected)
    assert (standardised[:, OUT] == -INF).all()


def test_constant_logits_standardise_to_zero_among_excluded_ones():
    logits = torch.tensor([[-INF, 0.1, 0.1, 0.1], [0.1, -INF, 0.1, 0.1], [-INF] * 4])
    logits = logits.double().requires_grad_()
    standardised = standardise_logits(logits, 2.0)
    counts = logits > -INF
    assert (standardised[counts] == 0).all() and (standardised[~counts] == -INF).all()
    (gradient,) = torch.autograd.grad(standardised, logits, torch.ones(3, 4).double())
    assert gradient.isfinite().all() and (gradient[~counts] == 0).all()


@pytest.mark.parametrize(
    "objective",
    [
        MLLLoss(),
        LabelSmoothingLoss(0.0),
        EntropyBonusLoss(0.3),
        MCMILoss(0.7, torch.full((CLASSES, CLASSES), 1 / CLASSES)),
        MCMILoss(0.7, "tracked", num_classes=CLASSES),
    ],
)
def test_a_label_that_is_excluded_costs_infinitely_much(objective, small):
    student, _, labels = large(small)
    labels[2] = OUT[1]
    loss = lambda s, t, y: objective(s, y)  # noqa: E731
    value, gradient, _ = value_and_gradient(loss, student.float(), student.float(), labels)
    assert value == INF and gradient.isfinite().all()


def test_smoothed_labels_cannot_be_met_where_a_class_is_excluded(small):
    student, _, labels = large(small)
    assert LabelSmoothingLoss(0.1)(student, labels) == INF


def test_prepared_centroids_are_those_of_the_classes_that_count(small):
    student, _, labels = large(small)
    objective = MCMILoss(0.7, "fixed", num_classes=CLASSES).double()
    objective.prepare(torch.nn.Identity(), [Batch(student, labels, labels)])
    smaller = MCMILoss(0.7, "fixed", num_classes=3).double()
    smaller.prepare(torch.nn.Identity(), [Batch(small[0], LABELS, LABELS)])
    torch.testing.assert_close(objective.centroids[KEPT][:, KEPT], smaller.centroids)
    assert (objective.centroids[KEPT][:, OUT] == 0).all()
    torch.testing.assert_close(objective.initial_log_likelihood, smaller.initial_log_likelihood)
    torch.testing.assert_close(objective(student, labels), smaller(small[0], LABELS))


def test_sums_leave_excluded_classes_out(small):
    student, _, labels = large(small)
    sums, smaller = OutputSums.zeros(CLASSES), OutputSums.zeros(3)
    sums.update(student, labels)
    smaller.update(small[0], LABELS)
    for quantity in ("cmi", "log_likelihood", "entropy"):
        torch.testing.assert_close(getattr(sums, quantity), getattr(smaller, quantity))

"""KD with few labels: which labels it sees, and what it makes of them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mcmi_core.data.loader import Batch
from mcmi_core.data.split import Split
from mcmi_core.distillers import DISTILLERS, KD

LABELS = torch.arange(40) % 4
SAMPLES = torch.arange(40)


class Fixed(nn.Module):
    """A network whose logits are given: samples are their own row numbers."""

    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.logits = nn.Parameter(torch.randn(40, 4, generator=generator, dtype=torch.float64))

    def forward(self, inputs):
        return self.logits[inputs]


@pytest.fixture
def student():
    return Fixed(0)


def build(student, options="labelled_fraction=0.2", labels=LABELS):
    return DISTILLERS.build(f"semi_kd:{options}", student=student, teacher=Fixed(1), labels=labels)


def batch(places):
    return Batch(places, LABELS[places], places)


def test_it_sees_the_labels_that_a_few_shot_student_of_the_same_seed_sees(student):
    for seed in (0, 1):
        few = Split(SAMPLES, LABELS).fraction(0.2, seed=seed)
        known = build(student, f"labelled_fraction=0.2,seed={seed}").known_labels
        assert torch.equal((known >= 0).nonzero().flatten(), few.inputs)
        assert torch.equal(known[few.inputs], few.labels)
        assert (known >= 0).sum() == 8
        assert set(known[known < 0].tolist()) == {-1}


def test_terms_over_all_samples_are_the_mean_over_the_labelled_and_plain_kd(student):
    distiller = build(student)
    labelled = distiller.known_labels >= 0
    terms = distiller.terms(student, batch(SAMPLES))
    expected = 0.1 * F.cross_entropy(student.logits[labelled], LABELS[labelled])
    plain = KD(student, Fixed(1)).terms(student, batch(SAMPLES))
    torch.testing.assert_close(terms, {"kd": plain["kd"], "cross_entropy": expected})


def test_batches_estimate_the_mean_over_the_labelled_without_bias(student):
    """Averaged over one epoch of equal batches, some without any label, it is that mean."""
    distiller = build(student, "labelled_fraction=0.1,cross_entropy_weight=0.7")
    labelled = distiller.known_labels >= 0
    batches = [batch(places) for places in SAMPLES.split(2)]
    terms = [distiller.terms(student, b)["cross_entropy"] for b in batches]
    assert any(term == 0 for term in terms)
    expected = 0.7 * F.cross_entropy(student.logits[labelled], LABELS[labelled])
    torch.testing.assert_close(torch.stack(terms).mean(), expected)


def test_hidden_labels_change_nothing(student):
    distiller = build(student)
    hidden = distiller.known_labels < 0
    wrong = torch.where(hidden, (LABELS + 1) % 4, LABELS)
    cheated = Batch(SAMPLES, wrong, SAMPLES)
    torch.testing.assert_close(
        distiller.terms(student, cheated), distiller.terms(student, batch(SAMPLES))
    )


def test_samples_without_labels_get_the_gradient_of_kd_alone(student):
    distiller = build(student, "labelled_fraction=0.2,temperature=2,weight=0.5")
    hidden = distiller.known_labels < 0
    sum(distiller.terms(student, batch(SAMPLES)).values()).backward()
    s, t = student.logits.detach() / 2, distiller.teacher.logits / 2
    expected = 0.5 * 2 * (s.softmax(1) - t.softmax(1)) / 40
    torch.testing.assert_close(student.logits.grad[hidden], expected[hidden])
    assert not torch.allclose(student.logits.grad[~hidden], expected[~hidden])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "option 'labelled_fraction' of distiller 'semi_kd': Field required"),
        ("labelled_fraction=0", r"fraction must be between 0 and 1, got 0\.0"),
        ("labelled_fraction=1", r"fraction must be between 0 and 1, got 1\.0"),
        ("labelled_fraction=0.5,cross_entropy_weight=-1", r"cross_entropy_weight must be ≥ 0"),
    ],
)
def test_bad_options_are_refused(student, options, message):
    with pytest.raises(ValueError, match=message):
        build(student, options)

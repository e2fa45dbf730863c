"""What holds of every registered distiller: it learns, leaves the teacher alone, and resumes."""

import copy

import pytest
import torch

from mcmi_core.components import DISTILLERS
from mcmi_core.data.loader import Batch
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.models.resnet import ResNet

NARROW, WIDE = (4, 4, 8, 16), (8, 8, 16, 32)
SAME_WIDTHS = {"fsp"}
"""Distillers that compare channel by channel, without a head."""

HEADED_TEACHER = {"hsakd"}
"""Distillers that learn from a teacher's auxiliary heads."""

REQUIRED_OPTIONS = {"masked_kd": "classes=2", "semi_kd": "labelled_fraction=0.5"}
"""Options without a default."""

LATE = 100
"""An epoch after every initial phase and warm-up."""

BATCH = Batch(
    torch.randn(12, 1, 16, 16, generator=torch.Generator().manual_seed(0)),
    torch.arange(12) % 3,
    torch.arange(12),
)
every_distiller = pytest.mark.parametrize("name", DISTILLERS)


def network(seed, widths):
    torch.manual_seed(seed)
    return ResNet(8, widths, num_classes=3, in_channels=1).train()


@pytest.fixture
def student():
    return network(0, NARROW)


@pytest.fixture
def teacher(name):
    teacher = network(1, NARROW if name in SAME_WIDTHS else WIDE)
    return HeadedNetwork(teacher) if name in HEADED_TEACHER else teacher


def build(name, student, teacher, seed=2):
    torch.manual_seed(seed)
    text = f"{name}:{REQUIRED_OPTIONS[name]}" if name in REQUIRED_OPTIONS else name
    distiller = DISTILLERS.build(
        text, student=student, teacher=teacher, sample=BATCH.inputs[:2], labels=BATCH.labels
    )
    return distiller.train()


def train(distiller, student, steps, seed=3):
    """Loss before each of some steps of plain gradient descent on one batch."""
    torch.manual_seed(seed)
    distiller.start_epoch(LATE)
    parameters = [*student.parameters(), *distiller.parameters()]
    history = []
    for _ in range(steps):
        loss = torch.stack(list(distiller.terms(student, BATCH).values())).sum()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.data -= 0.005 * gradient
        history.append(loss.item())
    return history


@every_distiller
def test_a_few_steps_lower_the_loss(name, student, teacher):
    history = train(build(name, student, teacher), student, steps=8)
    assert history[-1] < history[0], history


@every_distiller
def test_training_leaves_the_teacher_alone(name, student, teacher):
    distiller = build(name, student, teacher)
    before = copy.deepcopy(teacher.state_dict())
    train(distiller, student, steps=2)
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert not any(module.training for module in teacher.modules())


@pytest.mark.parametrize("name", [n for n in DISTILLERS if not DISTILLERS.load(n).uses_features])
def test_remembered_logits_give_the_same_terms(name, student, teacher):
    """Whatever it makes of the teacher's logits, it does not change what is remembered."""
    distiller = build(name, student.eval(), teacher)
    expected = distiller.terms(student, BATCH)
    logits = teacher(BATCH.inputs)
    remembered = torch.stack([torch.zeros_like(logits), logits])
    distiller.remember(remembered.clone())
    for _ in range(2):
        terms = distiller.terms(student, BATCH._replace(variants=torch.ones_like(BATCH.labels)))
        torch.testing.assert_close(terms, expected)


@every_distiller
def test_state_continues_in_a_fresh_distiller(name, student, teacher):
    """Heads and buffers are all that a distiller remembers."""
    distiller = build(name, student, teacher)
    train(distiller, student, steps=2)
    resumed_student = network(5, NARROW)
    resumed_student.load_state_dict(copy.deepcopy(student.state_dict()))
    resumed = build(name, resumed_student, teacher, seed=6)
    resumed.load_state_dict(copy.deepcopy(distiller.state_dict()))
    expected = train(distiller, student, steps=3)
    assert train(resumed, resumed_student, steps=3) == expected


SHARES = (slice(0, 5), slice(5, 7), slice(7, 12))
"""Of three processes, of different sizes."""


def of_shares(distiller, student):
    """Each term of the whole batch, and its mean over shares, weighted by their samples."""
    parts = [Batch(*(tensor[rows] for tensor in BATCH[:3])) for rows in SHARES]
    with torch.no_grad():
        whole = distiller.terms(student, BATCH)
        terms = [distiller.terms(student, part) for part in parts]
    weights = [len(part.labels) / len(BATCH.labels) for part in parts]
    return whole, {k: sum(w * t[k] for w, t in zip(weights, terms, strict=True)) for k in whole}


@pytest.mark.parametrize("epoch", [0, LATE])
@pytest.mark.parametrize("name", [n for n in DISTILLERS if DISTILLERS.load(n).shareable])
def test_terms_that_can_be_shared_are_means_over_samples(name, epoch, student, teacher):
    """Batch statistics aside, which processes share as well: so in eval mode."""
    distiller = build(name, student.eval(), teacher).eval()
    distiller.start_epoch(epoch)
    whole, shared = of_shares(distiller, student)
    torch.testing.assert_close(shared, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in DISTILLERS if not DISTILLERS.load(n).shareable])
def test_terms_that_cannot_be_shared_are_no_such_means(name, student, teacher):
    distiller = build(name, student.eval(), teacher).eval()
    distiller.start_epoch(LATE)
    whole, shared = of_shares(distiller, student)
    assert abs(shared[name] / whole[name] - 1) > 1e-4

"""CRD against a loop over samples and negatives: two steps, so that Z and memories count."""

import math

import pytest
import torch
from tiny_networks import gradients, tiny_batch, tiny_network
from torch import nn

from mcmi_core.distillers import DISTILLERS, Output
from mcmi_core.distillers.crd import CRD, Memory, OtherClasses, contrastive_loss

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 2])
DRAWN = [
    torch.tensor([[1, 4, 4], [0, 2, 8], [3, 3, 3], [5, 1, 2], [6, 7, 8], [0, 1, 0]]),
    torch.tensor([[2, 2, 5], [8, 7, 3], [1, 4, 0], [4, 4, 1], [2, 0, 0], [7, 6, 4]]),
]
"""Negatives of the batch's six samples, in two steps."""


class Drawn(nn.Module):
    """Gives negatives that the test knows."""

    def __init__(self, draws):
        super().__init__()
        self.draws = iter(draws)

    def forward(self, indices, number):
        return next(self.draws)


def make(student, teacher, **options):
    inputs = tiny_batch().inputs
    distiller = CRD(student, teacher, inputs, LABELS, **{"embedding_dimension": 5} | options)
    return distiller.double()


@pytest.fixture
def student():
    return tiny_network(0)


@pytest.fixture
def teacher():
    return tiny_network(1, widths=(2, 3, 5))


def unit(vector):
    return vector / vector.square().sum().sqrt()


class SlowCRD:
    """The method's formula, one sample and one negative at a time."""

    def __init__(self, distiller):
        self.linears = distiller.student_embedding, distiller.teacher_embedding
        self.banks = [
            [row.clone() for row in memory.bank]
            for memory in (distiller.student_memory, distiller.teacher_memory)
        ]
        self.scales = [None, None]

    def loss(self, features, indices, drawn):
        number, size = len(LABELS), drawn.shape[1]
        embeddings = [
            [unit(linear.weight @ row + linear.bias) for row in rows]
            for linear, rows in zip(self.linears, features, strict=True)
        ]
        total = 0
        for side, other in ((0, 1), (1, 0)):
            places = [[i, *row.tolist()] for i, row in zip(indices, drawn, strict=True)]
            scores = [
                [torch.exp(embedding @ self.banks[other][place] / 0.07) for place in row]
                for embedding, row in zip(embeddings[side], places, strict=True)
            ]
            if self.scales[side] is None:
                flat = [score.item() for row in scores for score in row]
                self.scales[side] = number * sum(flat) / len(flat)
            q = size / number
            for row in scores:
                own, *negatives = (score / self.scales[side] for score in row)
                log = torch.log(own / (own + q + 1e-7))
                log = log + sum(torch.log(q / (x + q + 1e-7)) for x in negatives)
                total = total - log / len(scores)
        for bank, rows in zip(self.banks, embeddings, strict=True):
            for place, row in zip(indices, rows, strict=True):
                bank[place] = unit(0.5 * bank[place] + 0.5 * row).detach()
        return total


def test_two_steps_equal_a_loop(student, teacher):
    distiller = make(student, teacher, num_negatives=3)
    distiller.negatives = Drawn(DRAWN)
    slow = SlowCRD(distiller)
    heads = [*distiller.student_embedding.parameters(), *distiller.teacher_embedding.parameters()]
    for step, drawn in enumerate(DRAWN):
        # The second batch holds the first one's samples, whose memories have moved.
        batch = tiny_batch(seed=step)
        batch = batch._replace(indices=torch.tensor([5, 3, 0, 1, 2, 4]), labels=LABELS[:6])
        outputs = [Output(*network.features(batch.inputs)) for network in (student, teacher)]
        loss = distiller(*outputs, batch)["crd"]
        features = [output.features[-1] for output in outputs]
        expected = 0.8 * slow.loss(features, batch.indices.tolist(), drawn)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        parameters = [*heads, *student.stages.parameters()]
        torch.testing.assert_close(gradients(loss, parameters), gradients(expected, parameters))
        memories = distiller.student_memory, distiller.teacher_memory
        for memory, bank in zip(memories, slow.banks, strict=True):
            torch.testing.assert_close(memory.bank, torch.stack(bank))
        # Z is of the first step, and of the side that reads the memory.
        assert memories[1].scale.item() == pytest.approx(slow.scales[0], rel=1e-12)
        assert memories[0].scale.item() == pytest.approx(slow.scales[1], rel=1e-12)


def test_loss_has_a_closed_form_when_all_scores_are_equal():
    """x = 1/n everywhere: log(1 + K) + K log((1 + K)/K), up to the ε of the formula."""
    scores, counts = torch.full((2, 10), 0.1, dtype=torch.float64), torch.zeros(2, 10)
    counts[:, 3:7] = 1.0
    loss = contrastive_loss(scores, torch.tensor([0, 1]), counts.double())
    assert loss.item() == pytest.approx(math.log(5) + 4 * math.log(5 / 4), rel=1e-5)


def test_memory_holds_both_embeddings_of_a_sample_that_is_twice_in_a_batch():
    memory = Memory(size=3, dimension=2, temperature=1.0, momentum=0.5)
    before = memory.bank.clone()
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    memory.write(embeddings, torch.tensor([2, 0, 0]))
    expected = [unit(before[0] + torch.ones(2)), before[1], unit(before[2] + embeddings[0])]
    torch.testing.assert_close(memory.bank, torch.stack(expected))


def test_negatives_are_uniform_over_the_other_classes():
    torch.manual_seed(0)
    number = 20_000
    drawn = OtherClasses(LABELS)(torch.arange(9), number)
    assert drawn.shape == (9, number)
    for sample in range(9):
        others = LABELS[sample] != LABELS
        share = 1 / others.sum().item()
        frequencies = drawn[sample].bincount(minlength=9) / number
        assert (frequencies[~others] == 0).all()
        deviation = math.sqrt(share * (1 - share) / number)
        assert ((frequencies[others] - share).abs() < 5 * deviation).all()


def test_negatives_follow_torchs_seed():
    negatives = OtherClasses(LABELS)
    torch.manual_seed(3)
    first = negatives(torch.arange(4), 10)
    torch.manual_seed(3)
    assert torch.equal(first, negatives(torch.arange(4), 10))


def test_state_is_heads_and_memories(student, teacher):
    distiller = make(student, teacher)
    assert {name for name, _ in distiller.named_parameters()} == {
        f"{side}_embedding.{name}" for side in ("student", "teacher") for name in ("weight", "bias")
    }
    memories = {
        f"{side}_memory.{name}" for side in ("student", "teacher") for name in ("bank", "scale")
    }
    assert distiller.state_dict().keys() - dict(distiller.named_parameters()).keys() == memories


def test_published_defaults(student, teacher):
    distiller = DISTILLERS.build(
        "crd", student=student, teacher=teacher, sample=tiny_batch().inputs, labels=LABELS
    )
    assert distiller.uses_features
    assert (distiller.weight, distiller.num_negatives) == (0.8, 16384)
    assert distiller.student_memory.bank.shape == (9, 128)
    assert (distiller.student_memory.temperature, distiller.teacher_memory.momentum) == (0.07, 0.5)
    lengths = distiller.teacher_memory.bank.norm(dim=1)
    assert lengths.mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be positive, got 0\.0"),
        ({"num_negatives": 0}, "num_negatives must be in 1..1,000,000, got 0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1\.0"),
        ({"embedding_dimension": -1}, "embedding_dimension must be positive, got -1"),
    ],
)
def test_bad_options_are_refused(options, message, student, teacher):
    with pytest.raises(ValueError, match=message):
        make(student, teacher, **options)


def test_one_class_has_no_negatives():
    with pytest.raises(ValueError, match=r"negatives of other classes, but all labels are \[4\]"):
        OtherClasses(torch.tensor([4, 4, 4]))


def test_memories_are_exact_under_autocast():
    """Which would compute their products in half precision."""
    generator = torch.Generator().manual_seed(0)
    vectors = nn.functional.normalize(torch.randn(6, 5, generator=generator))
    indices, counts = torch.tensor([0, 3, 3, 5, 8, 1]), torch.ones(6, 9)
    seen = []
    for enabled in (False, True):
        torch.manual_seed(1)
        memory = Memory(9, 5, temperature=0.07, momentum=0.5)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            scores = memory.scores(vectors, indices, counts)
            memory.write(vectors, indices)
        seen.append((scores, memory.bank, memory.scale))
    torch.testing.assert_close(*seen, rtol=0, atol=0)


def test_a_step_that_does_not_fit_into_the_memory_is_refused_before_it_is_done(
    student, teacher, monkeypatch
):
    """At ImageNet's size a step takes some 20 GB; here, of 6 and 9 images, 3240 bytes."""
    distiller = make(student, teacher, num_negatives=3)
    batches = [tiny_batch()]
    assert len(batches[0].labels) * len(LABELS) * 15 * 4 == 3240
    distiller.prepare(student, batches)
    monkeypatch.setattr("mcmi_core.distillers.crd.available_memory", lambda device: 3240)
    distiller.prepare(student, batches)
    monkeypatch.setattr("mcmi_core.distillers.crd.available_memory", lambda device: 3239)
    with pytest.raises(ValueError, match="compares the 6 images of a batch with all 9 .* 0.0 are"):
        distiller.prepare(student, batches)

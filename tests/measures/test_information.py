"""Exact information: against sums over every cell of the table, closed forms and the CMI metric."""

import itertools
import math

import pytest
import torch

from mcmi_core.cmi import conditional_mutual_information
from mcmi_core.measures.information import (
    entropy_by_class,
    information_by_class,
    mean_over_classes,
    mutual_information,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def random_table(generator, *shape) -> torch.Tensor:
    table = torch.rand(shape, generator=generator, dtype=torch.float64)
    table[table < 0.3] = 0  # impossible pairs, too
    return table / table.sum()


def brute_force(joint) -> float:
    """H(A) + H(B) − H(A, B), cell by cell."""

    def entropy(probabilities):
        return -sum(p * math.log(p) for p in probabilities if p > 0)

    rows, columns = joint.tolist(), joint.T.tolist()
    cells = itertools.chain.from_iterable(rows)
    return entropy(map(sum, rows)) + entropy(map(sum, columns)) - entropy(cells)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 4), (1, 5)])
def test_mutual_information_is_the_sum_over_the_table(generator, shape):
    for _ in range(20):
        joint = random_table(generator, *shape) if max(shape) > 1 else torch.ones(1, 1)
        assert mutual_information(joint).item() == pytest.approx(brute_force(joint), abs=1e-12)


def test_closed_forms():
    independent = torch.outer(torch.tensor([0.2, 0.8]), torch.tensor([0.5, 0.1, 0.4])).double()
    independent /= independent.sum()
    assert mutual_information(independent).item() == pytest.approx(0, abs=1e-12)
    assert mutual_information(torch.eye(5) / 5).item() == pytest.approx(math.log(5))
    flip = 0.1  # binary symmetric channel: log 2 − H(flip)
    noise = -flip * math.log(flip) - (1 - flip) * math.log(1 - flip)
    channel = torch.tensor([[1 - flip, flip], [flip, 1 - flip]], dtype=torch.float64) / 2
    assert mutual_information(channel).item() == pytest.approx(math.log(2) - noise)


def test_it_is_symmetric_and_does_not_grow_when_cells_are_merged(generator):
    joint = random_table(generator, 6, 4)
    merged = torch.stack([joint[:3].sum(0), joint[3:].sum(0)])
    assert mutual_information(joint.T) == pytest.approx(mutual_information(joint))
    assert mutual_information(merged) < mutual_information(joint)


def test_by_class_is_the_table_of_every_class(generator):
    channel = torch.rand(30, 4, generator=generator, dtype=torch.float64)
    channel /= channel.sum(1, keepdim=True)
    labels = torch.arange(30) % 3
    by_class = information_by_class(channel, labels, 4)
    for label in range(3):
        expected = brute_force(channel[labels == label] / 10)
        assert by_class[label].item() == pytest.approx(expected)
    assert by_class[3] == 0  # no samples


def test_the_mean_over_classes_is_the_cmi(generator):
    probs = torch.randn(50, 6, generator=generator, dtype=torch.float64).softmax(1)
    labels = torch.randint(3, (50,), generator=generator)  # classes of different sizes
    mean = mean_over_classes(information_by_class(probs, labels, 3), labels)
    assert mean.item() == pytest.approx(conditional_mutual_information(probs, labels).item())


def test_a_function_has_the_entropy_of_its_values(generator):
    cells = torch.randint(5, (60,), generator=generator)
    labels = torch.arange(60) % 4
    one_hot = torch.nn.functional.one_hot(cells, 5).double()
    counted = entropy_by_class(cells, labels, 5)
    torch.testing.assert_close(counted, information_by_class(one_hot, labels, 5))
    assert entropy_by_class(torch.arange(60), labels, 4).tolist() == pytest.approx(
        [math.log(15)] * 4  # injective
    )
    assert entropy_by_class(torch.zeros_like(cells), labels, 4).tolist() == [0] * 4


LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mutual_information(torch.ones(4) / 4), r"table \(A, B\), got shape \(4,\)"),
        (lambda: mutual_information(torch.ones(2, 2)), r"sum to 1, got minimum 1 and sum 4"),
        (lambda: mutual_information(torch.tensor([[1.5, -0.5]])), r"got minimum -0\.5 and sum 1"),
        (lambda: mutual_information(torch.full((2, 2), torch.nan)), "got minimum nan"),
        (lambda: information_by_class(torch.eye(3), LABELS, 2), r"do not fit: \(3, 3\) and \(2,\)"),
        (lambda: information_by_class(torch.ones(2, 2), LABELS, 2), "row 0 has minimum 1 and sum"),
        (lambda: information_by_class(torch.eye(2), LABELS, 1), r"label 1 is outside 0\.\.0"),
        (lambda: entropy_by_class(torch.zeros(3), LABELS, 2), "3 cells and 2 labels do not fit"),
        (lambda: entropy_by_class(LABELS, LABELS, 1), r"label 1 is outside 0\.\.0"),
    ],
)
def test_bad_tables_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Proposition 1: the inequality, its equality, and what happens without its premise."""

import math

import pytest
import torch
from small_runs import DATA
from torch import nn

from mcmi_core.cmi import conditional_mutual_information
from mcmi_core.components import MEASUREMENTS
from mcmi_core.data import load_dataset
from mcmi_core.measures.proposition import quantise
from mcmi_core.models import create_model


@pytest.fixture
def features():
    return torch.randn(200, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def subject():
    dataset = load_dataset(DATA)
    torch.manual_seed(0)
    model = create_model("mlp:width=8,depth=3", num_classes=4, in_channels=16, image_size=1)
    device = torch.device("cpu")
    return {"model": model, "dataset": dataset, "split": dataset.train, "device": device}


def test_cells_are_numbered_and_hold_their_mean(features):
    cells, means = quantise(features, 3)
    assert sorted(cells.unique().tolist()) == list(range(len(cells.unique())))
    assert len(cells.unique()) <= 8
    for cell in cells.unique():
        members = cells == cell
        torch.testing.assert_close(
            means[members], features[members].mean(0).expand_as(means[members])
        )


def test_one_bit_is_half_of_the_samples(features):
    assert torch.bincount(quantise(features, 1)[0]).tolist() == [100, 100]


def test_more_bits_refine_cells_and_come_closer(features):
    errors = []
    for bits in range(1, 7):
        (coarse, means), (fine, _) = quantise(features, bits), quantise(features, bits + 1)
        for cell in fine.unique():
            assert len(coarse[fine == cell].unique()) == 1
        errors.append((features - means).square().sum().item())
    assert errors == sorted(errors, reverse=True)


def test_the_first_bit_follows_the_widest_direction(features):
    features[:, 7] *= 100
    cells, _ = quantise(features, 1)
    above = features[:, 7] > features[:, 7].median()
    agree = (cells.bool() == above).float().mean()
    assert max(agree, 1 - agree) > 0.95


@pytest.mark.parametrize(
    ("shape", "bits", "message"),
    [
        ((4, 3, 2), 1, r"features must have shape \(N, D\), got \(4, 3, 2\)"),
        ((4, 3), 4, "bits must be from 1 to 3, got 4"),
        ((4, 3), 0, "bits must be from 1 to 3, got 0"),
    ],
)
def test_bad_quantisations_are_refused(shape, bits, message):
    with pytest.raises(ValueError, match=message):
        quantise(torch.zeros(shape), bits)


def measure(subject, bits="1+2+4") -> list[dict]:
    columns = MEASUREMENTS.build(f"proposition_1:bits={bits}", **subject)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_the_inequality_holds_in_every_class(subject):
    rows = measure(subject)
    assert [row["layer"] for row in rows] == [k for k in (1, 2, 3, 0) for _ in range(4)]
    assert [row["bits"] for row in rows] == [1, 2, 4, None] * 4
    for row in rows:
        assert row["smallest_gap_nats"] > -1e-12
        assert 0 <= row["output_nats"] <= row["feature_nats"] + 1e-12
        assert row["feature_nats"] <= math.log(row["cells"]) + 1e-12


def test_a_feature_without_collisions_identifies_the_sample(subject):
    for row in (row for row in measure(subject) if row["bits"] is None and row["layer"] == 0):
        assert row["feature_nats"] == pytest.approx(math.log(50))  # 200 samples of 4 classes


def test_the_unquantised_output_is_the_networks(subject):
    model, split = subject["model"], subject["split"]
    with torch.no_grad():
        probs = model.eval()(split.inputs).double().softmax(1)
    expected = conditional_mutual_information(probs, split.labels).item()
    for row in measure(subject):
        if row["bits"] is None:
            assert row["output_nats"] == pytest.approx(expected, rel=1e-5)


def test_equality_where_the_output_gives_the_feature_away(subject):
    """Logits so large that Ŷ is certain and, with one bit, tells the two cells apart."""
    subject["model"].head.weight.data *= 1e6
    for row in measure(subject, bits="1"):
        if row["layer"] == 0 and row["bits"] == 1:
            assert row["output_nats"] == pytest.approx(row["feature_nats"], abs=1e-6)
            assert row["feature_nats"] > 0


def test_without_the_markov_chain_it_can_fail(subject):
    """Ŷ of the unquantised feature against one bit of it: more than the bit is known."""
    subject["model"].head.weight.data *= 1e6
    exact = next(r for r in measure(subject) if r["bits"] is None)
    one_bit = next(r for r in measure(subject) if r["bits"] == 1)
    assert exact["output_nats"] > one_bit["feature_nats"]


def test_other_networks_are_refused(subject):
    with pytest.raises(ValueError, match="counted for the layers of an mlp, got Linear"):
        MEASUREMENTS.build("proposition_1:bits=1", **subject | {"model": nn.Linear(16, 4)})

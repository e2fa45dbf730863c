"""Measurements: columns of numbers that agree with the standard metrics."""

import pytest
import torch
from small_runs import DATA

from mcmi_core.data import load_dataset
from mcmi_core.evaluation import evaluate
from mcmi_core.measurements import MEASUREMENTS
from mcmi_core.models import create_model


@pytest.fixture
def subject():
    """What the caller supplies: a network, its data and where."""
    dataset = load_dataset(DATA)
    torch.manual_seed(0)
    model = create_model("mlp:width=8", num_classes=4, in_channels=16, image_size=1)
    device = torch.device("cpu")
    return {"model": model, "dataset": dataset, "split": dataset.test, "device": device}


def test_temperature_sweep_is_the_evaluation_at_each_temperature(subject):
    temperatures = [4.0, 0.5, 1.0]  # the order is kept
    columns = MEASUREMENTS.build("temperature_sweep:temperatures=4+0.5+1", **subject)
    rows = [evaluate(**subject, temperature=temperature) for temperature in temperatures]
    assert columns == {"temperature": temperatures} | {
        name: [row[name] for row in rows] for name in rows[0]
    }
    assert columns["entropy_nats"][0] > columns["entropy_nats"][2] > columns["entropy_nats"][1]
    assert len(set(columns["accuracy_percent"])) == 1  # temperature changes no ranking


def test_one_temperature_is_a_sweep_too(subject):
    columns = MEASUREMENTS.build("temperature_sweep:temperatures=2", **subject)
    assert columns["temperature"] == [2.0]
    assert columns["cmi_nats"] == [evaluate(**subject, temperature=2.0)["cmi_nats"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sweep", "unknown measurement 'sweep'; choose from .*temperature_sweep"),
        ("temperature_sweep", "option 'temperatures' of measurement 'temp.*': Field required"),
        ("temperature_sweep:temperatures=1+hot", "option 'temperatures.1' .* got 'hot'"),
        ("temperature_sweep:temperature=1", "unknown option 'temperature' .* takes temperatures"),
        ("temperature_sweep:split=test", "unknown option 'split'"),
        ("temperature_sweep:temperatures=1+-2", r"temperature must be positive, got -2\.0"),
    ],
)
def test_bad_measurements_are_refused(text, message, subject):
    with pytest.raises(ValueError, match=message):
        MEASUREMENTS.build(text, **subject)

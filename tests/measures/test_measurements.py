"""Measurements: columns of numbers that agree with the standard metrics."""

import base64
import math
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import DATA
from torch import nn

from mcmi_core.base.errors import NonFiniteLogits
from mcmi_core.cmi import class_centroids
from mcmi_core.components import MEASUREMENTS
from mcmi_core.data import load_dataset
from mcmi_core.data.split import Split
from mcmi_core.measures.evaluation import evaluate, predict_logits
from mcmi_core.models import create_model
from mcmi_core.objectives import MCMILoss


class Scale(nn.Module):
    """Multiplies: logits of a network that is more certain."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, logits):
        return self.factor * logits


class Fixed(nn.Module):
    """A network with these logits, whatever it sees."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, inputs):
        return self.logits


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


def test_unseen_is_the_evaluation_of_what_a_fraction_leaves(subject):
    columns = MEASUREMENTS.build("unseen:fraction=0.2,seed=3", **subject)
    seen, rest = subject["split"].divide(0.2, seed=3)
    assert len(seen) + len(rest) == len(subject["split"]) and len(seen) == 20
    expected = evaluate(**subject | {"split": rest})
    assert columns == {name: [value] for name, value in expected.items()}
    assert columns != MEASUREMENTS.build("unseen:fraction=0.2,seed=4", **subject)


def test_one_temperature_is_a_sweep_too(subject):
    columns = MEASUREMENTS.build("temperature_sweep:temperatures=2", **subject)
    assert columns["temperature"] == [2.0]
    assert columns["cmi_nats"] == [evaluate(**subject, temperature=2.0)["cmi_nats"]]


@pytest.mark.parametrize("scale", [20.0, 200.0])
def test_raised_share_is_where_the_gradient_of_mcmi_raises_a_wrong_class(subject, scale):
    """Against autograd: the sign of the loss's gradient in every wrong logit, sample by sample."""
    dataset, labels = subject["dataset"], subject["split"].labels
    network = subject["model"]
    subject["model"] = nn.Sequential(network, Scale(scale))  # 200: one-hot
    logits = predict_logits(**subject).double().requires_grad_()
    centroids = class_centroids(logits.detach().softmax(1), labels, dataset.num_classes)
    wrong = torch.ones_like(logits).bool().scatter(1, labels[:, None], False)
    expected = []
    lambdas = (0.1, 0.3, 0.7, 2.0, 10.0)
    for lam in lambdas:
        loss = MCMILoss(lam, centroids)(logits, labels)
        (gradient,) = torch.autograd.grad(loss, logits)
        expected.append(100 * ((gradient < 0) & wrong).any(dim=1).double().mean().item())
    columns = MEASUREMENTS.build("raised_share:lambdas=0.1+0.3+0.7+2.0+10.0", **subject)
    assert columns == {"lam": list(lambdas), "raised_percent": pytest.approx(expected)}
    assert expected == sorted(expected) and expected[0] < expected[-1]


def test_raised_share_in_closed_form():
    """Two samples of a class: P[k] / Q[k] is 2 / (1 + r) for the ratio r of their P[k]."""
    dataset = load_dataset(DATA)
    rare, certain = 0.2, 1e-6
    rows = [[1 - rare - 2 * certain, rare, certain, certain], [1 - 3 * certain, *[certain] * 3]]
    split = Split(inputs=torch.zeros(2, 16, 1, 1), labels=torch.tensor([0, 0]))
    subject = {"model": Fixed(torch.tensor(rows).double().log()), "dataset": dataset}
    probs = torch.tensor(rows).double()
    divergence = (probs[0] * (probs[0] / probs.mean(0)).log()).sum().item()
    threshold = 1 / (math.log(rare / probs[:, 1].mean().item()) - divergence)
    text = f"raised_share:lambdas={0.99 * threshold}+{1.01 * threshold}"
    columns = MEASUREMENTS.build(text, **subject, split=split, device=torch.device("cpu"))
    assert columns["raised_percent"] == [0, 50]


@pytest.mark.parametrize("excluded", [(1,), (1, 2)])
def test_an_excluded_class_cannot_be_raised(subject, excluded):
    labels = subject["split"].labels
    logits = predict_logits(**subject)
    rest = [k for k in range(4) if k not in excluded]
    kept = torch.isin(labels, torch.tensor(rest))
    split = Split(inputs=subject["split"].inputs[kept], labels=labels[kept])
    masked = logits[kept].clone()
    masked[:, list(excluded)] = -math.inf
    about = subject | {"model": Fixed(masked), "split": split}
    columns = MEASUREMENTS.build("raised_share:lambdas=100.0", **about)
    smaller = about | {"model": Fixed(logits[kept][:, rest])}
    smaller["split"] = Split(split.inputs, torch.searchsorted(torch.tensor(rest), split.labels))
    assert columns == MEASUREMENTS.build("raised_share:lambdas=100.0", **smaller)
    assert 0 < columns["raised_percent"][0] <= 100


@pytest.mark.parametrize("lambdas", ["0.0", "0.5+-1.0"])
def test_raised_share_needs_lambdas_above_0(subject, lambdas):
    with pytest.raises(ValueError, match=r"lambdas must be finite numbers above 0, got \("):
        MEASUREMENTS.build(f"raised_share:lambdas={lambdas}", **subject)


def test_confusion_matrix_counts_every_sample_in_its_cell(subject):
    subject["model"] = subject["dataset"].bayes_classifier
    columns = MEASUREMENTS.build("confusion_matrix", **subject)
    predicted = subject["model"](subject["split"].inputs).argmax(1).tolist()
    expected = [[0] * 4 for _ in range(4)]
    for true, guess in zip(subject["split"].labels.tolist(), predicted, strict=True):
        expected[true][guess] += 1
    cells = zip(columns["true_class"], columns["predicted_class"], strict=True)
    assert list(cells) == [(true, guess) for true in range(4) for guess in range(4)]
    assert columns["samples"] == [count for row in expected for count in row]
    assert len({tuple(row) for row in expected}) > 1  # rows are not columns


def test_by_class_against_a_loop(subject):
    """Σ_bins |Σ of P_x[k] − samples of class k| / N, in percent, bins of equal width."""
    subject["model"] = subject["dataset"].bayes_classifier
    columns = MEASUREMENTS.build("by_class:bins=5", **subject)
    labels = subject["split"].labels.tolist()
    rows = subject["model"](subject["split"].inputs).softmax(1).tolist()
    assert columns["class_index"] == [0, 1, 2, 3]
    for k in range(4):
        gaps, right, total = [0.0] * 5, 0, 0.0
        for label, probs in zip(labels, rows, strict=True):
            gaps[int(probs[k] * 5)] += probs[k] - (label == k)
            right += label == k and max(probs) == probs[k]
            total += probs[k]
        error = sum(map(abs, gaps))  # of 100 samples: percent
        assert columns["calibration_error_percent"][k] == pytest.approx(error, abs=1e-4)
        assert columns["accuracy_percent"][k] == pytest.approx(100 * right / labels.count(k))
        assert columns["frequency_percent"][k] == labels.count(k) == 25
        assert columns["probability_percent"][k] == pytest.approx(total)
    mean = sum(columns["accuracy_percent"]) / 4
    assert mean == pytest.approx(evaluate(**subject)["accuracy_percent"], abs=1e-4)


def test_the_truth_is_calibrated_and_silence_is_not():
    dataset = load_dataset("oracle:test_size=20000,train_size=10")
    subject = {"dataset": dataset, "split": dataset.test, "device": torch.device("cpu")}
    truth = MEASUREMENTS.build("by_class", model=dataset.bayes_classifier, **subject)
    assert max(truth["calibration_error_percent"]) < 1  # sampling error of 20,000 draws
    assert truth["probability_percent"] == pytest.approx([10] * 10, abs=0.5)

    class Silent(torch.nn.Module):
        def forward(self, inputs):
            logits = dataset.bayes_classifier(inputs).clone()
            logits[:, 9] = -100
            return logits

    silent = MEASUREMENTS.build("by_class", model=Silent(), **subject)
    assert silent["accuracy_percent"][9] == 0
    assert silent["calibration_error_percent"][9] == pytest.approx(10)


def test_a_class_without_samples_has_no_accuracy(subject):
    subject["split"] = subject["split"].omit([2])
    with pytest.raises(ValueError, match="class 2 has no samples in the split; by_class needs"):
        MEASUREMENTS.build("by_class", **subject)


def test_network_size_counts_weights_and_norms(subject):
    hidden = 16 * 8 + 8 * 8 + 2 * (8 + 8)  # two linear layers without bias, two batch norms
    columns = MEASUREMENTS.build("network_size", **subject)
    assert columns == {"parameters": [hidden + 8 * 4 + 4]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sweep", "unknown measurement 'sweep'; choose from .*temperature_sweep"),
        ("temperature_sweep", "option 'temperatures' of measurement 'temp.*': Field required"),
        ("temperature_sweep:temperatures=1+hot", "option 'temperatures.1' .* got 'hot'"),
        ("temperature_sweep:temperature=1", "unknown option 'temperature' .* takes temperatures"),
        ("temperature_sweep:split=test", "unknown option 'split'"),
        ("unseen:fraction=0.2", "option 'seed' of measurement 'unseen': Field required"),
        ("unseen:fraction=1,seed=0", r"fraction must be between 0 and 1, got 1\.0"),
        ("temperature_sweep:temperatures=1+-2", r"temperature must be positive, got -2\.0"),
    ],
)
def test_bad_measurements_are_refused(text, message, subject):
    with pytest.raises(ValueError, match=message):
        MEASUREMENTS.build(text, **subject)


@pytest.mark.parametrize("name", ["confusion_matrix", "by_class"])
def test_nan_is_no_prediction(name, subject):
    """It is the largest of all numbers to argmax."""
    subject["model"].head.bias.data[1] = torch.nan
    with pytest.raises(NonFiniteLogits, match="the logits contain NaN"):
        MEASUREMENTS.build(name, **subject)


def test_outputs_are_the_logits_of_single_samples(subject):
    columns = MEASUREMENTS.build("outputs", **subject)
    split, logits = subject["split"], predict_logits(**subject)
    assert columns["class_index"] == split.labels.tolist()
    assert columns["logits"] == [[round(z, 4) for z in row] for row in logits.tolist()]
    assert columns["class_names"][0] == list(subject["dataset"].class_names)
    assert "picture" not in columns  # vectors
    few = MEASUREMENTS.build("outputs:samples=2", **subject)
    first = [(split.labels == label).nonzero()[:2].flatten().tolist() for label in range(4)]
    assert few["class_index"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert few["logits"] == [columns["logits"][row] for rows in first for row in rows]
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        MEASUREMENTS.build("outputs:samples=0", **subject)


def test_outputs_of_images_have_pictures():
    dataset = load_dataset("digits")
    model = create_model("resnet8", num_classes=10, in_channels=1, image_size=8)
    device = torch.device("cpu")
    columns = MEASUREMENTS.build(
        "outputs:samples=1", model=model, dataset=dataset, split=dataset.train, device=device
    )
    shown = np.array(Image.open(BytesIO(base64.b64decode(columns["picture"][0]))))
    first = dataset.train.inputs[dataset.train.labels == 0][0]
    assert (shown == first[0].numpy()).all()

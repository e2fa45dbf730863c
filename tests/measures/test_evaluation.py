"""Evaluation against the definitions, written out in numpy on one pass over all samples."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from several_processes import on_processes
from torch import nn

from mcmi_core.data import Dataset, Split, load_dataset
from mcmi_core.measures import evaluation
from mcmi_core.measures.evaluation import evaluate, predict_logits
from mcmi_core.models import create_model

CPU = torch.device("cpu")
MOST = evaluation.MOST_AT_ONCE["cpu"]
INFORMATION = {"ll_nats", "cmi_nats", "entropy_nats"}


def oracle(classes=4, test_size=100):
    return load_dataset(
        f"oracle:train_size=100,test_size={test_size},dimension=16,latent_dimension=4,"
        f"classes={classes}"
    )


def mlp(dataset):
    """A network whose outputs vary, and whose batch statistics are not those of any batch."""
    torch.manual_seed(0)
    model = create_model(
        "mlp:width=8,depth=1",
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        image_size=dataset.image_size,
    )
    nn.init.normal_(model.head.weight, std=2)
    model.train()(2 * dataset.train.inputs)
    return model


def class_entropy(probs, labels):
    """H(Ŷ|Y) = −Σ_y share of y · Σ_k Q_y[k] log Q_y[k]."""
    total = 0.0
    for y in np.unique(labels):
        centroid = probs[labels == y].mean(axis=0)
        total -= (labels == y).mean() * (centroid * np.log(centroid)).sum()
    return total


def brute_force(model, split, temperature=1.0):
    """All metrics from the outputs of a single batch, float64."""
    with torch.no_grad():
        logits = model.eval()(split.inputs).double().numpy() / temperature
    labels = split.labels.numpy()
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ranks = (logits > logits[np.arange(len(labels)), labels][:, None]).sum(axis=1)
    entropy = -(probs * np.log(probs)).sum(axis=1).mean()
    results = {
        "accuracy_percent": 100 * (ranks == 0).mean(),
        "ll_nats": np.log(probs[np.arange(len(labels)), labels]).mean(),
        "cmi_nats": class_entropy(probs, labels) - entropy,
        "entropy_nats": entropy,
    }
    if probs.shape[1] >= 20:
        results["top5_accuracy_percent"] = 100 * (ranks < 5).mean()
    if split.posterior is not None:
        truth = split.posterior.numpy()
        results["bcpd_kl_nats"] = (truth * np.log(truth / probs)).sum(axis=1).mean()
    return results


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_metrics_equal_their_definitions(temperature):
    dataset = oracle()
    model = mlp(dataset)
    expected = brute_force(model, dataset.test, temperature)
    assert evaluate(model, dataset, dataset.test, CPU, temperature) == pytest.approx(
        expected, rel=1e-5
    )


def test_many_batches_equal_one():
    dataset = oracle(test_size=2 * MOST + 1)
    model = mlp(dataset)
    expected = brute_force(model, dataset.test)
    sizes = []
    model.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    assert evaluate(model, dataset, dataset.test, CPU) == pytest.approx(expected, rel=1e-5)
    assert sizes == [MOST, MOST, 1]


@pytest.mark.parametrize("most", [1, 7, 64, 100])
@pytest.mark.parametrize("summed", [1, 150, 2**18])
def test_metrics_do_not_depend_on_how_many_are_looked_at_together(monkeypatch, most, summed):
    dataset = oracle(classes=20)
    model = mlp(dataset)
    expected = evaluate(model, dataset, dataset.test, CPU)
    monkeypatch.setitem(evaluation.MOST_AT_ONCE, "cpu", most)
    monkeypatch.setattr(evaluation, "SUMMED_AT_ONCE", summed)
    sizes = []
    model.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    assert evaluate(model, dataset, dataset.test, CPU) == pytest.approx(expected, rel=1e-6)
    assert sum(sizes) == 100
    assert set(sizes) <= {most, 100 % most}


@pytest.mark.parametrize(
    ("size", "device", "expected"),
    [
        (1, "cpu", 512),
        (8, "cpu", 512),
        (32, "cpu", 64),
        (64, "cpu", 16),
        (224, "cpu", 1),
        (1000, "cpu", 1),
        (8, "cuda", 2048),
        (32, "cuda", 2048),
        (64, "cuda", 512),
        (224, "cuda", 41),
        (2000, "cuda", 1),
    ],
)
def test_large_images_are_looked_at_few_at_a_time(size, device, expected):
    shown = SimpleNamespace(image_size=size)
    assert evaluation.batch_size(shown, torch.device(device)) == expected


def test_large_images_are_evaluated_in_batches_of_that_size():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (67, 3, 32, 32), dtype=torch.uint8, generator=generator)
    split, half = Split(images, torch.arange(67) % 4), (0.5, 0.5, 0.5)
    dataset = Dataset("noise", split, split, tuple("abcd"), half, half)
    torch.manual_seed(0)
    model = create_model("resnet8", num_classes=4, in_channels=3, image_size=32)
    sizes = []
    model.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    predict_logits(model, dataset, split, CPU)
    assert sizes == [64, 3]


@pytest.mark.parametrize(
    ("size", "lengths"), [(1, [1] * 100), (30, [30, 30, 30, 10]), (50, [50, 50]), (999, [100])]
)
def test_slices_are_the_split_in_order_and_no_copy(size, lengths):
    split = oracle().test
    parts = list(split.slices(size))
    assert [len(part) for part in parts] == lengths
    for name in ("inputs", "labels", "posterior"):
        whole = getattr(split, name)
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), whole)
        storages = {getattr(part, name).untyped_storage().data_ptr() for part in parts}
        assert storages == {whole.untyped_storage().data_ptr()}


def test_slices_can_be_those_of_a_part():
    split = oracle().test
    parts = list(split.slices(30, start=20, stop=999))
    assert [len(part) for part in parts] == [30, 30, 20]
    assert torch.equal(torch.cat([part.labels for part in parts]), split.labels[20:])
    assert list(split.slices(30, start=40, stop=40)) == []


def evaluated_with(sizes):
    """Metrics of test splits of some sizes, in float64, and the batches that this process sees."""
    answers = []
    for size in sizes:
        dataset = oracle(classes=20, test_size=size)
        model = mlp(dataset)
        batches = []
        model.register_forward_hook(lambda module, args, output: batches.append(len(output)))  # noqa: B023
        answers.append((evaluate(model, dataset, dataset.test, CPU), batches))
    return answers


def test_several_processes_evaluate_what_one_does():
    """Without padding: neither samples nor batches need to divide, and some may have no batch."""
    sizes = [2 * MOST + 3, MOST, 4 * MOST + 1]
    expected = evaluated_with(sizes)
    answers = on_processes(3, evaluated_with, sizes)
    for place, (metrics, batches) in enumerate(expected):
        for answer in answers:
            assert answer[place][0] == pytest.approx(metrics, rel=1e-12, abs=1e-12)
        assert [size for answer in answers for size in answer[place][1]] == batches
    assert [len(answer[2][1]) for answer in answers] == [1, 2, 2]


def test_the_given_split_is_evaluated_with_its_own_posterior():
    dataset = oracle()
    model = mlp(dataset)
    part = dataset.train.subset(torch.arange(99, 0, -3))
    expected = brute_force(model, part)
    assert evaluate(model, dataset, part, CPU) == pytest.approx(expected, rel=1e-5)


def test_bcpd_error_is_known_only_where_the_posterior_is():
    dataset = oracle()
    without = replace(dataset.test, posterior=None)
    assert evaluate(mlp(dataset), dataset, without, CPU).keys() == INFORMATION | {
        "accuracy_percent"
    }


@pytest.mark.parametrize("classes", [19, 20])
def test_top_5_accuracy_from_20_classes_on(classes):
    dataset = oracle(classes=classes)
    model = mlp(dataset)
    results = evaluate(model, dataset, dataset.test, CPU)
    assert ("top5_accuracy_percent" in results) == (classes == 20)
    assert results == pytest.approx(brute_force(model, dataset.test), rel=1e-5)


def test_evaluation_leaves_the_network_as_it_was():
    dataset = oracle()
    model = mlp(dataset).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = []
    model.register_forward_hook(
        lambda module, args, output: modes.append((module.training, output.is_inference()))
    )
    evaluate(model, dataset, dataset.test, CPU)
    assert modes == [(False, True)]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    model.train()(dataset.test.inputs).sum().backward()  # and it can still be trained


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nan_in_the_logits_is_refused(value):
    dataset = oracle()
    model = mlp(dataset)
    model.head.bias.data[1] = value
    with pytest.raises(ValueError, match="logits contain NaN or inf"):
        evaluate(model, dataset, dataset.test, CPU)


def test_a_temperature_that_is_not_positive_is_refused():
    dataset = oracle()
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        evaluate(mlp(dataset), dataset, dataset.test, CPU, temperature=0)


def test_an_excluded_class_is_no_hit_among_the_first_five():
    """Where fewer than five are not excluded, topk takes some of those that are."""
    dataset = oracle(classes=20)
    model = mlp(dataset)
    model.head.bias.data[3:] = -torch.inf
    results = evaluate(model, dataset, dataset.test, CPU)
    among_three = 100 * (dataset.test.labels < 3).double().mean().item()
    assert results["top5_accuracy_percent"] == pytest.approx(among_three)
    assert results["ll_nats"] == -torch.inf

"""CMI, LL and the streaming metrics against closed forms and slow double loops."""

import math
import subprocess
import sys

import pytest
import torch
import torch.multiprocessing as mp
from torch.distributed import destroy_process_group, init_process_group
from torchmetrics import MetricCollection

from mcmi_core import cmi
from mcmi_core.cmi import (
    ConditionalMutualInformation,
    LogLikelihood,
    OutputSums,
    bayes_divergence,
    class_centroids,
    conditional_mutual_information,
    log_likelihood,
)

METRICS = [ConditionalMutualInformation, LogLikelihood]


@pytest.fixture
def outputs():
    """Unbalanced data: class 0 has many samples, class 3 one, class 4 none."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 40 + [1] * 15 + [2] * 9 + [3])
    logits = 3 * torch.randn(len(labels), 5, generator=generator, dtype=torch.float64)
    return logits, labels


def slow_cmi(probs, labels):
    """The definition, one sample and one class at a time, in Python floats."""
    total = 0.0
    for row, label in zip(probs.tolist(), labels.tolist(), strict=True):
        mates = [
            r for r, other in zip(probs.tolist(), labels.tolist(), strict=True) if other == label
        ]
        for k, p in enumerate(row):
            q = sum(mate[k] for mate in mates) / len(mates)
            if p > 0:
                total += p * math.log(p / q)
    return total / len(labels)


def test_centroids_are_class_means_and_uniform_without_samples(outputs):
    logits, labels = outputs
    probs = logits.softmax(1)
    centroids = class_centroids(probs, labels, num_classes=5)
    for y in range(4):
        torch.testing.assert_close(centroids[y], probs[labels == y].mean(0))
    torch.testing.assert_close(centroids[4], torch.full((5,), 0.2, dtype=torch.float64))
    torch.testing.assert_close(centroids[3], probs[-1])


def test_cmi_equals_its_definition_on_unbalanced_classes(outputs):
    logits, labels = outputs
    cmi = conditional_mutual_information(logits.softmax(1), labels)
    assert cmi.item() == pytest.approx(slow_cmi(logits.softmax(1), labels), rel=1e-12)


def test_cmi_is_a_mean_over_samples_not_classes():
    spread = torch.eye(2, dtype=torch.float64).repeat(5, 1)  # class 0: 10 samples, CMI log 2
    equal = torch.full((30, 2), 0.5, dtype=torch.float64)  # class 1: 30 samples, CMI 0
    labels = torch.tensor([0] * 10 + [1] * 30)
    cmi = conditional_mutual_information(torch.cat([spread, equal]), labels)
    assert cmi.item() == pytest.approx(math.log(2) / 4, rel=1e-12)


def test_cmi_is_zero_for_equal_outputs_in_each_class():
    labels = torch.arange(4).repeat(10)
    probs = torch.rand(4, 4, dtype=torch.float64).softmax(1)[labels]
    assert conditional_mutual_information(probs, labels).item() == pytest.approx(0, abs=1e-15)
    metric = ConditionalMutualInformation(4)
    metric.update(probs.log(), labels)
    assert metric.compute().item() == pytest.approx(0, abs=1e-14)


def test_cmi_is_log_c_for_one_hots_spread_over_all_classes():
    probs = torch.eye(6).repeat(6, 1)  # every class predicts every label once
    labels = torch.arange(6).repeat_interleave(6)
    assert conditional_mutual_information(probs, labels).item() == pytest.approx(math.log(6))
    metric = ConditionalMutualInformation(6)
    metric.update(probs.log(), labels)  # logits of −inf are zero probabilities
    assert metric.compute().item() == pytest.approx(math.log(6))


def test_cmi_does_not_depend_on_the_order_of_samples_or_classes(outputs):
    logits, labels = outputs
    probs = logits.softmax(1)
    cmi = conditional_mutual_information(probs, labels)
    samples, classes = torch.randperm(len(labels)), torch.randperm(5)
    permuted = conditional_mutual_information(probs[samples][:, classes], labels[samples])
    torch.testing.assert_close(permuted, cmi)
    torch.testing.assert_close(conditional_mutual_information(probs, classes[labels]), cmi)


def test_one_sample_has_no_cmi():
    assert conditional_mutual_information(torch.tensor([[0.3, 0.7]]), torch.tensor([1])) == 0


def test_cmi_has_a_finite_gradient_at_zero_probability():
    probs = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64, requires_grad=True)
    conditional_mutual_information(probs, torch.tensor([0, 0])).backward()
    assert probs.grad.isfinite().all()


def test_cmi_gradient_passes_gradcheck(outputs):
    logits, labels = outputs
    logits = logits[::6].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: conditional_mutual_information(z.softmax(1), labels[::6]), logits
    )


def test_log_likelihood_equals_negative_cross_entropy(outputs):
    logits, labels = outputs
    expected = -torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(log_likelihood(logits.softmax(1), labels), expected)


def test_log_likelihood_of_an_impossible_label_is_minus_infinity():
    assert log_likelihood(torch.tensor([[1.0, 0.0]]), torch.tensor([1])).item() == -math.inf


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("split", [[65], [1] * 65, [40, 25], [7, 50, 8]])
def test_metrics_equal_the_functions_under_any_split(outputs, split, temperature):
    logits, labels = outputs
    probs = (logits / temperature).softmax(1)
    exact, ll = conditional_mutual_information(probs, labels), log_likelihood(probs, labels)
    entropy = -(probs * probs.log()).sum(1).mean()
    sums = OutputSums.zeros(5)
    metrics = [metric(5, temperature) for metric in METRICS]
    for z, y in zip(logits.split(split), labels.split(split), strict=True):
        sums.update(z, y, temperature)
        for metric in metrics:
            metric.update(z, y)
    values = [sums.cmi, sums.log_likelihood, sums.entropy, *(m.compute() for m in metrics)]
    for value, expected in zip(values, [exact, ll, entropy, exact, ll], strict=True):
        assert value.item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_collection_of_both_metrics_looks_at_each_batch_once(outputs):
    collection = MetricCollection([metric(5) for metric in METRICS])
    for _ in range(2):
        collection.update(*outputs)
    assert len(collection.compute_groups) == 1
    exact = conditional_mutual_information(outputs[0].softmax(1), outputs[1]).item()
    assert collection.compute()["ConditionalMutualInformation"].item() == pytest.approx(exact)


def test_small_cmi_survives_float32_logits():
    """H(Ŷ|Y) − H(Ŷ|X) cancels; float32 sums would lose a CMI of 1e-7 in entropies near 2."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat(1000)
    logits = 3e-4 * torch.randn(len(labels), 10, generator=generator)
    metric = ConditionalMutualInformation(10)
    metric.update(logits, labels)
    exact = conditional_mutual_information(logits.double().softmax(1), labels).item()
    assert 1e-8 < exact < 1e-7
    assert metric.compute().item() == pytest.approx(exact, rel=1e-6)


def test_metric_state_does_not_grow_with_the_data():
    metric = ConditionalMutualInformation(100)
    sizes = []
    for _ in range(2):
        metric.update(torch.randn(5000, 100), torch.randint(100, (5000,)))
        sizes.append(sum(getattr(metric, name).numel() for name in metric._defaults))
    assert sizes == [100 * 100 + 100 + 2] * 2


def test_bayes_divergence_is_the_mean_kl_to_the_truth(outputs):
    logits, _ = outputs
    posterior = torch.randn_like(logits).softmax(1)
    posterior[0] = torch.tensor([1.0, 0, 0, 0, 0])  # exact zeros count as 0·log 0 = 0
    log_probs = logits.log_softmax(1)
    expected = torch.nn.functional.kl_div(log_probs, posterior, reduction="batchmean")
    divergence = bayes_divergence(logits, posterior)
    assert divergence.mean().item() == pytest.approx(expected.item(), rel=1e-12)
    exact = bayes_divergence(3 * log_probs, log_probs.exp(), temperature=3)
    assert exact.abs().max() < 1e-14


def test_bayes_divergence_refuses_what_is_no_posterior(outputs):
    with pytest.raises(ValueError, match="row 0 has minimum 1 and sum 2; apply softmax"):
        bayes_divergence(PROBS, 2 * PROBS)
    with pytest.raises(ValueError, match=r"of shape \(3, 2\) need a posterior .* got \(2, 2\)"):
        bayes_divergence(PROBS, PROBS[:2])


def _compute_in_process(rank, folder, logits, labels):
    init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.set_num_threads(1)
    half = slice(0, 20) if rank == 0 else slice(20, None)  # uneven halves
    metrics = [metric(5) for metric in METRICS]
    for metric in metrics:
        metric.update(logits[half], labels[half])
    torch.save([metric.compute() for metric in metrics], f"{folder}/{rank}.pt")
    destroy_process_group()


def test_two_processes_compute_what_one_does(outputs, tmp_path):
    logits, labels = outputs
    mp.spawn(_compute_in_process, (str(tmp_path), logits, labels), nprocs=2)
    for rank in range(2):
        computed = torch.load(tmp_path / f"{rank}.pt")
        for metric_class, value in zip(METRICS, computed, strict=True):
            metric = metric_class(5)
            metric.update(logits, labels)
            assert value.item() == pytest.approx(metric.compute().item(), abs=1e-12)


PROBS, LABELS = torch.full((3, 2), 0.5), torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (
            torch.ones(3),
            LABELS,
            r"probs must have shape \(N, C\), got \(3,\)",
        ),
        (torch.ones(3, 2, dtype=torch.int64), LABELS, "got torch.int64"),
        (PROBS, LABELS[:2], r"labels must be .* shape \(3,\), got torch.int64 of shape \(2,\)"),
        (PROBS, LABELS.float(), "got torch.float32"),
        (PROBS[:0], LABELS[:0], "hold no sample"),
        (PROBS * 2, LABELS, "row 0 has minimum 1 and sum 2; apply softmax"),
        (PROBS * math.nan, LABELS, "row 0 has minimum nan"),
        (PROBS, LABELS - 1, "label -1 is outside"),
    ],
)
@pytest.mark.parametrize("function", [conditional_mutual_information, log_likelihood])
def test_functions_refuse_bad_input(function, probs, labels, message):
    with pytest.raises(ValueError, match=message):
        function(probs, labels)


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(ValueError, match=r"label 2 is outside 0\.\.1"):
        log_likelihood(PROBS, LABELS + 1)
    with pytest.raises(ValueError, match=r"label 1 is outside 0\.\.0"):
        class_centroids(PROBS, LABELS, num_classes=1)


@pytest.mark.parametrize("metric_class", METRICS)
def test_metrics_refuse_bad_input(metric_class):
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        metric_class(1)
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        metric_class(2, temperature=0)
    with pytest.raises(ValueError, match="logits have 2 columns, not 3"):
        metric_class(3).update(PROBS, LABELS)
    with pytest.raises(ValueError, match=r"label 3 is outside 0\.\.1"):
        metric_class(2).update(PROBS, torch.tensor([0, 1, 3]))
    metric = metric_class(2)
    metric.update(PROBS * math.nan, LABELS)
    with pytest.raises(ValueError, match="logits contain NaN"):
        metric.compute()


def test_without_samples_there_is_no_value():
    for quantity in ("cmi", "log_likelihood", "entropy"):
        with pytest.raises(ValueError, match="no sample has been seen"):
            getattr(OutputSums.zeros(2), quantity)


def test_the_metrics_wait_until_they_are_asked_for():
    code = "import sys, mcmi_core.runs.trainer; print('torchmetrics' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "False\n"


def test_what_the_module_lacks_is_no_attribute():
    with pytest.raises(AttributeError, match="'mcmi_core.cmi' has no attribute 'Entropy'"):
        cmi.Entropy  # noqa: B018

"""Bytes counted against bytes known: of plain tensors, of a linear network, of whole runs."""

import pytest
import torch
from distillers.small_images import image_student, image_teacher
from small_runs import DATA, OPTIONS, kd_student, mcmi_teacher, mll_teacher
from torch import nn

from mcmi_core.data import load_dataset
from mcmi_core.distillation import student_run
from mcmi_core.distillers import DISTILLERS
from mcmi_core.errors import DataError, IncompatibleNetworks
from mcmi_core.memory import LiveBytes, bytes_needed, evaluation_peak, step_peak
from mcmi_core.objectives import MLLLoss
from mcmi_core.runs import BayesTeacher, Measurement, Recipe

META = torch.device("meta")


def numbers(count):
    return torch.empty(count, device=META)


def test_living_tensors_count_once_and_dead_ones_no_more():
    made_before = numbers(1000)
    with LiveBytes() as live:
        first = numbers(10) + 1  # for a moment both exist
        assert (live.now, live.peak) == (40, 80)
        view = first.view(2, 5)
        first += made_before[:10]
        assert live.now == 40
        del first
        assert live.now == 40  # the view holds it
        del view
        assert live.now == 0
        numbers(100)
    assert live.peak == 400


@pytest.fixture
def linear():
    return nn.Linear(16, 4, bias=False, device=META)


def test_a_step_of_a_linear_network(linear):
    """Batch, labels, gradients of the weights, and one to three tensors of the logits' shape."""
    samples = 512
    peak = step_peak(linear, MLLLoss(), load_dataset(kd_student().data), samples)
    batch, labels, logits, weights = 4 * 16 * samples, 8 * samples, 4 * 4 * samples, 4 * 16 * 4
    assert batch + labels + logits + weights <= peak <= batch + labels + 3 * logits + weights + 64


def test_an_evaluation_of_a_linear_network(linear):
    peak = evaluation_peak(linear, load_dataset(kd_student().data))
    assert peak == 4 * 512 * (16 + 4)


def test_a_step_on_the_meta_device_counts_what_the_cpu_does():
    dataset = load_dataset(image_teacher().data)
    sizes = []
    for device in ("cpu", META):
        network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
        network = network.append(nn.Linear(8 * 6 * 6, 4)).to(device)
        inputs = torch.empty(32, 1, 8, 8, device=device)
        labels = torch.zeros(32, dtype=torch.int64, device=device)
        with LiveBytes() as live:
            MLLLoss()(network(inputs), labels).backward()
        sizes.append(live.peak)
    inputs_and_labels = 32 * (4 * 8 * 8 + 8)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)
    network.zero_grad(set_to_none=True)
    counted = step_peak(network, MLLLoss(), dataset, 32)
    assert counted == pytest.approx(sizes[1] + inputs_and_labels, rel=0.02)


@pytest.mark.parametrize("name", DISTILLERS)
def test_every_distiller_can_be_estimated(name):
    teacher = image_teacher()
    settings = {"data": teacher.data, "model": "resnet8", "recipe": Recipe(batch_size=16)}
    run = student_run(distiller=OPTIONS.get(name, name), teacher=teacher, **settings)
    for link in run.chain():
        assert 10**6 < bytes_needed(link) < 10**9


def test_data_that_do_not_fit_stay_off_the_card():
    train, test = 4 * 200 * 16, 4 * 100 * 16
    needs = [bytes_needed(mll_teacher(), free) for free in (2 * train, 2 * test, test)]
    assert [needs[0] - need for need in needs] == [0, train, train + test]


def test_remembered_logits_count_if_they_fit():
    logits = 4 * 200 * 4  # of one variant of 200 samples in 4 classes
    needs = [bytes_needed(kd_student(), free) for free in (2 * logits, 2 * logits - 1)]
    assert needs[0] - needs[1] == logits


def test_need_grows_with_the_batch():
    needs = [
        bytes_needed(image_student("kd").model_copy(update={"recipe": Recipe(batch_size=size)}))
        for size in (64, 128, 256)
    ]
    assert needs[2] - needs[1] == pytest.approx(2 * (needs[1] - needs[0]), rel=0.01)
    assert needs[1] > needs[0]


@pytest.mark.parametrize(
    "run",
    [
        BayesTeacher(data=DATA),
        kd_student(BayesTeacher(data=DATA)),
        mcmi_teacher(),
        Measurement(of=mll_teacher(), what="temperature_sweep:temperatures=1+4"),
    ],
    ids=lambda run: run.id[:20],
)
def test_every_stage_can_be_estimated_and_no_network_is_touched(run):
    assert bytes_needed(run) > 4 * 300 * 16  # the data: 300 samples of 16 floats
    bayes = load_dataset(DATA).bayes_classifier
    assert all(buffer.device.type == "cpu" for buffer in bayes.buffers())


def test_what_is_wrong_with_a_run_is_said():
    with pytest.raises(DataError, match="nowhere"):
        bytes_needed(mll_teacher(data="imagefolder:folder=nowhere", model="resnet8"))
    with pytest.raises(IncompatibleNetworks):
        bytes_needed(kd_student(distiller="fitnet"))

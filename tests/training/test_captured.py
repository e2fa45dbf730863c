"""Captured steps are the steps, bit for bit; what of it needs a GPU is skipped without one."""

import copy

import pytest
import torch
from small_trainings import CPU, Small, a_plan, images

from mcmi_core.base.device import default_device, make_reproducible
from mcmi_core.training import lanes
from mcmi_core.training.captured import CapturedSteps, EagerSteps
from mcmi_core.training.lanes import run_in_lanes

METHODS = [
    "mll",
    "dropout",
    "mcmi:lam=0.05,centroids=tracked",
    "kd",
    "crd",
    "dkd:warmup_epochs=2",
    "ab:initial_epochs=1",
]
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="captures CUDA graphs")


def test_an_epochs_choices_are_copied_to_where_graphs_read_them():
    dataset = images()
    first, second = a_plan(dataset, 0), a_plan(dataset, 1)
    kept = copy.deepcopy((first.order, first.variants))
    steps = CapturedSteps()
    steps._load(first)
    lie = steps._plan.order.data_ptr(), steps._plan.variants.data_ptr(), steps._step.data_ptr()
    for plan in (first, second, second, first):
        steps._load(plan)
        for name in ("order", "variants"):
            assert torch.equal(getattr(steps._plan, name), getattr(plan, name))
        assert lie == (
            steps._plan.order.data_ptr(),
            steps._plan.variants.data_ptr(),
            steps._step.data_ptr(),
        )
    assert torch.equal(first.order, kept[0]) and torch.equal(first.variants, kept[1])


def trained(*smalls, engine="graph", resume_from=None):
    """Trainings, done side by side in lanes."""
    [device] = {small.device for small in smalls}
    make_reproducible(device)
    run_in_lanes([small.training(resume_from) for small in smalls], device, engine)
    return smalls[0] if len(smalls) == 1 else smalls


@pytest.fixture
def used(monkeypatch):
    """The kinds of steps that lanes chose."""
    kinds = []
    for kind in (CapturedSteps, EagerSteps):

        def chosen(kind=kind):
            kinds.append(kind)
            return kind()

        monkeypatch.setattr(lanes, kind.__name__, chosen)
    return kinds


def test_on_the_cpu_nothing_is_captured(used):
    trained(Small("mll", epochs=1), engine="graph")
    assert used == [EagerSteps]


@needs_a_gpu
@pytest.mark.parametrize("method", METHODS)
def test_captured_steps_are_the_steps_bit_for_bit(method, used):
    """Over epochs with a smaller last batch, a falling learning rate, warm-up and phases."""
    gpu = default_device()
    eager = trained(Small(method, device=gpu), engine="eager")
    graph = trained(Small(method, device=gpu), engine="graph")
    assert used == [EagerSteps, CapturedSteps]
    graph.assert_equals(eager)
    graph.assert_equals(trained(Small(method, device=gpu)))


@needs_a_gpu
@pytest.mark.parametrize("method", METHODS)
def test_captured_training_resumes_exactly(method):
    gpu = default_device()
    whole = trained(Small(method, device=gpu))
    for checkpoint in whole.checkpoints[:-1]:
        trained(Small(method, device=gpu), resume_from=checkpoint).assert_equals(whole)


@needs_a_gpu
def test_two_captured_lanes_at_once_are_each_what_they_are_alone(monkeypatch):
    monkeypatch.setattr("mcmi_core.training.loop.CHECK_EVERY", 2)  # they take turns in an epoch
    gpu = default_device()
    for methods in (("dropout", "crd"), ("kd", "ab:initial_epochs=1")):
        pair = [Small(method, seed, device=gpu) for seed, method in enumerate(methods)]
        for small in trained(*pair):
            small.assert_equals(trained(Small(small.method, small.seed, device=gpu)))


@needs_a_gpu
def test_what_lies_on_the_host_is_trained_without_a_graph(used, monkeypatch):
    gpu = default_device()
    with monkeypatch.context() as full:
        full.setattr("mcmi_core.data.split.free_memory", lambda device: 0)
        stayed = trained(Small("mll", device=gpu))
    assert used == [EagerSteps]
    stayed.assert_equals(trained(Small("mll", device=gpu), engine="eager"))


@needs_a_gpu
def test_a_gpu_trains_as_the_cpu_does():
    cpu, gpu = (trained(Small("kd", device=device)) for device in (CPU, default_device()))
    weights = [small.checkpoints[-1].tensors["model.head.weight"].cpu() for small in (cpu, gpu)]
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-4)

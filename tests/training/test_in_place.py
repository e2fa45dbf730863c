"""All that steps and epochs change is in tensors that keep their place in memory.

A captured step reads and writes places, and repeats what Python decided when it was captured. So
within a phase, a criterion may change numbers in tensors, but neither its attributes nor where the
tensors lie.
"""

import copy
from collections.abc import Iterable, Mapping

import pytest
import torch
from small_trainings import METHODS, a_criterion, a_plan, images, network
from torch import Tensor, nn

from mcmi_core.criterion import Criterion
from mcmi_core.distillers.hsakd import HeadsLoss
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.trainee import TermSums, Trainee

EPOCHS = (0, 1, 29, 30, 31, 100)
"""On both sides of where the initial phases end, and beyond every warm-up."""

REGISTERED = {"_parameters", "_buffers", "_modules"}


def modules_of(trainee):
    teacher = getattr(trainee.criterion, "teacher", None)
    parts = {"model": trainee.model, "criterion": trainee.criterion, "teacher": teacher}
    return {name: part for name, part in parts.items() if part is not None}


def places(trainee):
    """Where each tensor lies that a step may read or change."""
    tensors = {"learning rate": trainee.optimizer.param_groups[0]["lr"]}
    for part, module in modules_of(trainee).items():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            tensors[f"{part}.{name}"] = tensor
    for index, parameter in enumerate(trainee.optimizer.param_groups[0]["params"]):
        if state := trainee.optimizer.state[parameter]:
            tensors[f"momentum {index}"] = state["momentum_buffer"]
    return {name: tensor.data_ptr() for name, tensor in tensors.items()}


def seen(value):
    """A value as Python sees it: numbers as they are, tensors by place, other objects by name."""
    match value:
        case Tensor():
            return value.data_ptr()
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {key: seen(each) for key, each in value.items()}
        case Iterable() if not isinstance(value, nn.Module):
            return [seen(each) for each in value]
    return id(value)


def attributes(trainee):
    """What is no registered tensor, of all modules."""
    return {
        f"{part}.{path}.{name}": seen(value)
        for part, root in modules_of(trainee).items()
        for path, module in root.named_modules()
        for name, value in vars(module).items()
        if name not in REGISTERED
    }


def changes(trainee, dataset, epochs=EPOCHS):
    """Names of what moved, and of what changed within a phase, over some steps of some epochs."""
    trainee.model.train()
    trainee.criterion.train()
    first, moved, changed, by_phase, sums = places(trainee), set(), set(), {}, {}
    trainee.criterion.prepare(trainee.model, a_plan(dataset, 0))
    for epoch in epochs:
        trainee.criterion.start_epoch(epoch)
        trainee.set_learning_rate(0.01 / (epoch + 1))
        phase, plan = trainee.criterion.phase, a_plan(dataset, epoch)
        expected = by_phase.setdefault(phase, attributes(trainee))
        for step in (0, 1, len(plan) - 1):
            of_phase = sums.setdefault(phase, TermSums())
            of_phase.minimise(trainee.terms, trainee.optimizer, plan[step])
            moved |= unequal(places(trainee), first)
            changed |= unequal(attributes(trainee), expected)
            assert trainee.criterion.phase == phase
    return moved, changed


def unequal(now, before):
    return {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}


@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("method", METHODS)
def test_all_state_keeps_its_place_and_no_attribute_changes(method, momentum):
    dataset, model = images(), network()
    trainee = Trainee(model, a_criterion(method, model, dataset), Recipe(momentum=momentum))
    before = copy.deepcopy(trainee.snapshot())
    assert changes(trainee, dataset) == (set(), set())
    assert trainee.optimizer.param_groups[0]["lr"] == 0.01 / 101
    after = trainee.snapshot()
    assert not any(torch.equal(after[n], before[n]) for n in after if n.endswith("conv1.weight"))
    assert any("momentum" in name for name in after) == (momentum > 0)


def test_a_teachers_heads_are_trained_in_place():
    trainee = Trainee(HeadedNetwork(network()), HeadsLoss(), Recipe())
    assert changes(trainee, images()) == (set(), set())


@pytest.mark.parametrize("method", ["mll", "mcmi:lam=0.2,centroids=tracked", "crd"])
def test_a_snapshot_is_put_back_in_place(method):
    dataset, model = images(), network()
    trainee = Trainee(model, a_criterion(method, model, dataset), Recipe())
    before = copy.deepcopy(trainee.snapshot())
    lie = places(trainee)
    changes(trainee, dataset, epochs=(0,))
    assert not torch.equal(trainee.snapshot()["model.head.weight"], before["model.head.weight"])
    trainee.restore(before)
    assert places(trainee) == lie
    torch.testing.assert_close(trainee.snapshot(), before, rtol=0, atol=0, equal_nan=True)


class Moves(Criterion):
    """Changes something in every step, in one of several ways."""

    def __init__(self, change):
        super().__init__()
        self.register_buffer("memory", torch.zeros(()))
        self.inner = nn.Identity()
        self.inner.numbers = [0, 0]
        self.change = change

    def terms(self, model, batch):
        self.change(self)
        return {"mean": model(batch.inputs).mean()}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c.memory.add_(1), (set(), set())),
        (lambda c: setattr(c, "memory", c.memory + 1), ({"criterion.memory"}, set())),
        (
            lambda c: setattr(c, "steps", getattr(c, "steps", 0) + 1),
            (set(), {"criterion..steps"}),
        ),
        (
            lambda c: setattr(c.inner, "numbers", [0, c.inner.numbers[1] + 1]),
            (set(), {"criterion.inner.numbers"}),
        ),
    ],
    ids=["in place", "buffer", "attribute", "attribute of a part"],
)
def test_what_a_captured_step_would_miss_is_noticed(change, expected):
    dataset, model = images(), network()
    trainee = Trainee(model, Moves(change), Recipe())
    first = trainee.criterion.memory  # kept, so that its place is not taken again
    assert changes(trainee, dataset) == expected
    assert first.item() == (len(EPOCHS) * 3 if expected == (set(), set()) else 0)


def test_sums_of_terms_keep_their_place():
    dataset, model = images(), network()
    trainee = Trainee(model.train(), a_criterion("kd", model, dataset), Recipe())
    sums, lie = TermSums(), set()
    for batch in a_plan(dataset, 0):
        sums.minimise(trainee.terms, trainee.optimizer, batch)
        lie.add(sums.total.data_ptr())
    assert len(lie) == 1
    assert list(sums.read()) == ["cross_entropy", "kd"]

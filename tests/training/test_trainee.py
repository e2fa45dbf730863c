"""What a training changes: steps of SGD, sums of terms, and the state that is kept."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.trainee import TermSums, Trainee, sum_terms

RATES = [0.1, 0.1 / 3, 0.05, 1e-3 / 7]
"""Some of them no numbers of float32."""


class Errors(Criterion):
    """Two terms, and a parameter that no gradient reaches."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.ones(3))

    def terms(self, model, batch):
        outputs = model(batch.inputs)
        return {"fit": F.cross_entropy(outputs, batch.labels), "size": outputs.square().mean()}


def make_trainee(dtype=torch.float32, **settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    return Trainee(model.to(dtype), Errors().to(dtype), Recipe(**settings))


def batches(dtype=torch.float32, number=3):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(number, 6, 4, generator=generator, dtype=torch.float64).to(dtype)
    return [Batch(each, torch.arange(6) % 3, torch.arange(6)) for each in inputs]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 5e-4), (0.0, 0.0)])
def test_a_learning_rate_in_a_tensor_is_as_exact_as_a_number(dtype, momentum, weight_decay):
    settings = {"momentum": momentum, "weight_decay": weight_decay}
    trainee, plain = make_trainee(dtype, **settings), make_trainee(dtype, **settings)
    parameters = [*plain.model.parameters(), *plain.criterion.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=1.0, fused=True, **settings)
    for rate in RATES:
        trainee.set_learning_rate(rate)
        optimizer.param_groups[0]["lr"] = rate
        sums = sum_terms(trainee.terms, trainee.optimizer, batches(dtype))
        assert sum_terms(plain.terms, optimizer, batches(dtype)) == sums
        for one, other in zip(trainee.model.parameters(), plain.model.parameters(), strict=True):
            assert torch.equal(one, other)
    assert not torch.equal(trainee.model[0].weight, make_trainee(dtype).model[0].weight)
    assert torch.equal(trainee.criterion.unused, torch.ones(3, dtype=dtype))


def test_the_learning_rate_is_a_tensor_that_keeps_its_place():
    trainee = make_trainee(learning_rate=0.3)
    [settings] = trainee.optimizer.param_groups
    rate = settings["lr"]
    assert (rate.item(), rate.dtype, rate.shape) == (0.3, torch.float64, ())
    trainee.set_learning_rate(0.1 / 3)
    assert settings["lr"] is rate
    assert rate.item() == 0.1 / 3


def test_sums_are_those_of_the_terms_before_each_step():
    trainee, expected = make_trainee(), {"fit": 0.0, "size": 0.0}
    other = make_trainee()
    for batch in batches():
        for name, term in other.terms(batch).items():
            expected[name] += term.item()
        sum_terms(other.terms, other.optimizer, [batch])
    sums = sum_terms(trainee.terms, trainee.optimizer, batches())
    assert list(sums) == ["fit", "size"]
    assert sums == pytest.approx(expected, rel=1e-6)


def test_sums_of_several_models_are_lists():
    weights = nn.Parameter(torch.tensor([1.0, 2.0, 4.0]))
    optimizer = torch.optim.SGD([weights], lr=0.0)
    sums = sum_terms(lambda batch: {"a": weights, "b": weights * batch}, optimizer, [1, 10])
    assert sums == {"a": [2, 4, 8], "b": [11, 22, 44]}


def test_no_step_has_no_sums():
    assert sum_terms(None, None, []) == TermSums().read() == {}


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_a_snapshot_is_the_state_and_goes_back_into_another_trainee(momentum):
    trainee = make_trainee(momentum=momentum)
    sum_terms(trainee.terms, trainee.optimizer, batches())
    snapshot = trainee.snapshot()
    momenta = {f"optimizer.{index}.momentum_buffer" for index in range(5)}
    names = {f"model.{name}" for name in trainee.model.state_dict()} | {"criterion.unused"}
    assert snapshot.keys() == names | (momenta if momentum else set())

    other = make_trainee(momentum=momentum)
    other.restore(copy.deepcopy(snapshot))
    for each in (trainee, other):
        sum_terms(each.terms, each.optimizer, batches())
    again = other.snapshot()
    assert again.keys() == snapshot.keys()
    assert all(torch.equal(value, again[name]) for name, value in trainee.snapshot().items())


def test_momentum_starts_at_zero_in_the_order_of_its_parameter():
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    trainee = Trainee(model, Criterion(), Recipe())
    momentum = trainee.optimizer.state[model.weight]["momentum_buffer"]
    assert torch.equal(momentum, torch.zeros(4, 3, 3, 3))
    assert momentum.stride() == model.weight.stride()

"""The contract's defaults: a criterion that only has terms asks nothing else of anyone."""

import pytest
import torch
from torch import nn

from mcmi_core.components import DISTILLERS, OBJECTIVES
from mcmi_core.criterion import Criterion


def test_defaults_do_nothing():
    def untouched():
        raise AssertionError("batches were asked for")
        yield

    model = nn.BatchNorm1d(2).eval()
    criterion = Criterion()
    criterion.prepare(model, untouched())
    criterion.start_epoch(0)
    criterion.check({"cross_entropy": float("nan")})
    assert not model.training
    assert not criterion.state_dict() and not list(criterion.parameters())


def test_terms_have_to_be_said():
    with pytest.raises(NotImplementedError):
        Criterion().terms(nn.Identity(), batch=None)


@pytest.mark.parametrize("name", ["mll", "mcmi:lam=0.1,centroids=tracked"])
def test_objectives_are_criteria(name):
    assert isinstance(OBJECTIVES.build(name, num_classes=3), Criterion)


@pytest.mark.parametrize("name", DISTILLERS)
def test_distillers_are_criteria(name):
    assert issubclass(DISTILLERS.load(name), Criterion)


def test_parameters_and_buffers_are_the_state_of_a_run():
    criterion = Criterion()
    criterion.head = nn.Linear(2, 1)
    criterion.register_buffer("bank", torch.zeros(3))
    assert criterion.state_dict().keys() == {"head.weight", "head.bias", "bank"}

"""A network with its batch norms folded away computes what it computed."""

import copy

import pytest
import torch
from torch import nn

from mcmi_core.components import MODELS
from mcmi_core.models import create_model
from mcmi_core.models.folding import fold_batch_norms


def network(name):
    torch.manual_seed(0)
    channels, size = (16, 1) if name == "mlp" else (3, 64 if "imagenet" in name else 32)
    model = create_model(name, num_classes=4, in_channels=channels, image_size=size).double()
    inputs = torch.randn(4, channels, size, size) if size > 1 else torch.randn(4, channels)
    model.train()
    for _ in range(3):  # statistics as after some training, so that no layer explodes
        model(inputs.double())
    return model.eval(), inputs.double()


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_the_logits_stay_the_same(name):
    model, inputs = network(name)
    before = copy.deepcopy(model.state_dict())
    folded = fold_batch_norms(model)
    torch.testing.assert_close(folded(inputs), model(inputs), rtol=1e-8, atol=1e-8)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    norms = [sum(isinstance(m, nn.BatchNorm2d) for m in n.modules()) for n in (folded, model)]
    assert norms[0] < norms[1] or norms[1] == 0


def test_a_network_that_cannot_be_traced_is_returned_as_it_is():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x):
            return self.norm(x) if x.sum() > 0 else x

    model = Branches().eval()
    assert fold_batch_norms(model) is model


class Twice(nn.Module):
    """One convolution, before two batch norms."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.second(self.convolution(self.first(self.convolution(x))))


@torch.no_grad()
def test_a_convolution_that_is_called_twice_keeps_its_batch_norms():
    torch.manual_seed(0)
    model, images = Twice(), torch.randn(4, 3, 5, 5)
    for _ in range(3):
        model(images)
    folded = fold_batch_norms(model.eval())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == 2
    assert torch.equal(folded(images), model(images))


def test_a_network_that_asks_for_a_length_is_returned_as_it_is():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.norm(self.convolution(x)) / len(x)

    model = Counts().eval()
    assert fold_batch_norms(model) is model

"""Networks of a few weights, in float64, and a batch for them."""

import torch
from torch import nn

from mcmi_core.data.loader import Batch
from mcmi_core.models._base import StagedClassifier

CLASSES = 3


def tiny_network(seed, widths=(2, 3, 4), strides=(1, 2), classes=CLASSES) -> StagedClassifier:
    """A stem and stages of one convolution with batch norm each, for images of one channel."""
    torch.manual_seed(seed)

    def stage(before, width, stride):
        convolution = nn.Conv2d(before, width, 3, stride, padding=1)
        return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())

    network = StagedClassifier(
        stem=stage(1, widths[0], 1),
        stages=[
            stage(*arguments) for arguments in zip(widths[:-1], widths[1:], strides, strict=True)
        ],
        head=nn.Linear(widths[-1], classes),
    )
    return network.double()


def tiny_batch(seed=0, size=6, side=4) -> Batch:
    """Images of one channel with labels 0, 1, 2, 0, ... at places 0, 1, 2, ..."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 1, side, side, generator=generator, dtype=torch.float64)
    return Batch(images, torch.arange(size) % CLASSES, torch.arange(size))


def gradients(loss, parameters) -> list:
    """Of a loss by parameters that it depends on; the graph is kept."""
    return list(torch.autograd.grad(loss, list(parameters), retain_graph=True))

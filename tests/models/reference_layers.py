"""What the second implementations of networks share."""

import torch
from torch import nn
from torch.nn import functional as F


@torch.no_grad()
def randomise_norms(model):
    """Give every batch norm statistics and a scale and shift that show when one is left out."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.bias):
                values.normal_()
            for values in (module.running_var, module.weight):
                values.uniform_(0.5, 2)


def normalise(weights, x, norm):
    """Batch norm in eval mode, by its formula, with the values that a state dict has for it."""
    mean, variance, scale, shift = (
        weights[f"{norm}.{key}"].view(1, -1, 1, 1)
        for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def activate(weights, x, norm):
    """:func:`normalise` → ReLU."""
    return normalise(weights, x, norm).clamp(min=0)


def convolve(weights, x, conv, stride=1):
    """A convolution without bias whose padding keeps the size."""
    weight = weights[f"{conv}.weight"]
    return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)


def transplant(source, target):
    """Copy all weights and statistics in their order, whatever their names; shapes must agree."""
    values = source.state_dict().values()
    target.load_state_dict(dict(zip(target.state_dict(), values, strict=True)))

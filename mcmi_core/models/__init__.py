"""Networks by name, one file per family.

Every model returns logits when called, and stage features as well from ``model.features``.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mcmi_core.base.checks import MOST_CLASSES, check_count
from mcmi_core.base.registry import Component
from mcmi_core.components import MODELS

MOST_CHANNELS = 1_000_000
"""Of vector data, such as genes, there are tens of thousands."""

MOST_PIXELS = 10_000
"""Per side: of a whole photograph."""


def create_model(
    name: str | Component, *, num_classes: int, in_channels: int = 3, image_size: int = 32
) -> nn.Module:
    """A model with fresh random weights; ``torch.manual_seed`` decides them.

    Args:
        name: ``"resnet56"``, or with options: ``"mlp:width=512,depth=2"``.
        num_classes: C, 2 to 100,000.
        in_channels: channels of the images, or dimensions of vector data; at most 1,000,000.
        image_size: pixels per side, at most 10,000; 1 for vector data.

    Returns:
        A model whose call gives logits (N, C), and whose ``features`` gives the list of features
        and the logits.

    Raises:
        ValueError: unknown name or option, a value out of range, images too small for the model.
    """
    check_count(num_classes, "num_classes", 2, MOST_CLASSES)
    check_count(in_channels, "in_channels", 1, MOST_CHANNELS)
    check_count(image_size, "image_size", 1, MOST_PIXELS)
    model = MODELS.build(
        name, num_classes=num_classes, in_channels=in_channels, image_size=image_size
    )
    smallest = 2 ** getattr(model, "halvings", 0)
    if image_size < smallest:
        raise ValueError(
            f"{name} halves its images {model.halvings} times and needs image_size ≥ {smallest}, "
            f"got {image_size}"
        )
    return model


def list_models() -> list[str]:
    """The names that :func:`create_model` knows, family by family."""
    return list(MODELS)


class ModelCost(NamedTuple):
    """What a model costs: a row of :func:`describe_models`."""

    name: str
    parameters: int
    """Trainable parameters."""
    multiply_adds: int
    """Of one image's convolutions and linear layers."""


def describe_models(num_classes: int = 100, image_size: int = 32) -> list[ModelCost]:
    """The size and cost of every model, with its default options, for images of three channels.

    No weights are drawn and nothing is computed.

    Args:
        num_classes: C, at least 2.
        image_size: pixels per side, of the ImageNet models too.

    Raises:
        ValueError: as :func:`create_model`, when images are too small for one of the models.
    """
    return [_cost(name, num_classes, image_size) for name in MODELS]


@torch.no_grad()
def _cost(name: str, num_classes: int, image_size: int) -> ModelCost:
    with torch.device("meta"):
        model = create_model(name, num_classes=num_classes, image_size=image_size).eval()
        image = torch.empty(1, 3, image_size, image_size)
    multiply_adds = []

    def count(layer: nn.Conv2d | nn.Linear, _, output: Tensor) -> None:
        multiply_adds.append(output.numel() * layer.weight[0].numel())

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    model(image)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelCost(name, parameters, sum(multiply_adds))


__all__ = ["MODELS", "ModelCost", "create_model", "describe_models", "list_models"]

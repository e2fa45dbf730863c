"""Networks by name, one file per family. To add one: write its file and add its line here.

Every model returns logits when called, and stage features as well from ``model.features``.
"""

from torch import nn

from mcmi_core.models.mlp import MLP
from mcmi_core.models.resnet import RESNETS
from mcmi_core.registry import Component, Registry

MODELS = Registry(
    "model", {**RESNETS, "mlp": MLP}, context=("num_classes", "in_channels", "image_size")
)


def create_model(
    name: str | Component, *, num_classes: int, in_channels: int = 3, image_size: int = 32
) -> nn.Module:
    """A model with fresh random weights; ``torch.manual_seed`` decides them.

    Args:
        name: ``"resnet56"``, or with options: ``"mlp:width=512,depth=2"``.
        num_classes: C, at least 2.
        in_channels: channels of the images, or dimensions of vector data.
        image_size: pixels per side; 1 for vector data.

    Returns:
        A model whose call gives logits (N, C), and whose ``features`` gives the list of features
        and the logits.

    Raises:
        ValueError: unknown name or option, a value out of range, images too small for the model.
    """
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")
    if in_channels < 1:
        raise ValueError(f"in_channels must be at least 1, got {in_channels}")
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    return MODELS.build(
        name, num_classes=num_classes, in_channels=in_channels, image_size=image_size
    )


def list_models() -> list[str]:
    """The names that :func:`create_model` knows, family by family."""
    return list(MODELS)


__all__ = ["MODELS", "create_model", "list_models"]

"""Published teachers for ``torch.hub``.

torch.hub.load("path/to/clone", "teacher", NAME, source="local")
"""

from torch import nn

from mcmi_core.models.pretrained import load_pretrained

dependencies = ["torch", "safetensors", "pydantic", "numpy"]


def teacher(name: str) -> nn.Module:
    """A published teacher in eval mode: normalised images (N, 3, S, S) → logits (N, C).

    Args:
        name: as in ``weights/README.md``: ``"cifar10_16px_resnet20_mcmi_fixed"``.

    Raises:
        ValueError: there is no teacher of that name; the message has all names.
    """
    return load_pretrained(name)

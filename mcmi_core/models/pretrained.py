"""Published teachers by name: weights in the repository, with all that is needed to use them.

What they are, how they were trained and what they are not good for: ``weights/README.md``.
"""

from torch import nn

from mcmi_core.base.paths import PROJECT, require_clone
from mcmi_core.base.tensor_files import read_metadata, read_tensors
from mcmi_core.models import create_model

WEIGHTS = PROJECT / "weights"
SUFFIX = ".safetensors"


def list_pretrained() -> list[str]:
    """The names that :func:`load_pretrained` knows."""
    return sorted(path.stem for path in WEIGHTS.glob(f"*{SUFFIX}"))


def describe_pretrained(name: str) -> dict:
    """What is known of a published network.

    Returns:
        ``model``, ``num_classes``, ``in_channels`` and ``image_size``, as of
        :func:`~mcmi_core.models.create_model`; ``classes``, their names in the order of the logits;
        ``mean`` and ``std`` of each channel, on the scale from 0 to 1, to normalise images by; and
        ``run``, the id of its record.

    Raises:
        CompanionError: this is no clone, which has the weights.
        ValueError: there is no such network.
        StoreError: its file is damaged.
    """
    _check(name)
    return read_metadata(WEIGHTS / f"{name}{SUFFIX}")


def load_pretrained(name: str) -> nn.Module:
    """A published network, in eval mode: normalised images (N, 3, S, S) → logits (N, C).

    Args:
        name: ``"cifar10_16px_resnet20_mcmi_fixed"``; :func:`list_pretrained` has all.

    Raises:
        CompanionError: this is no clone, which has the weights.
        ValueError: there is no such network.
        StoreError: its file is damaged.
    """
    _check(name)
    weights, about = read_tensors(WEIGHTS / f"{name}{SUFFIX}")
    size = {key: about[key] for key in ("num_classes", "in_channels", "image_size")}
    model = create_model(about["model"], **size)
    model.load_state_dict(weights)
    return model.eval()


def _check(name: str) -> None:
    require_clone("a published network")
    if name not in list_pretrained():
        known = ", ".join(list_pretrained()) or "none: " + str(WEIGHTS) + " has no weights"
        raise ValueError(f"no published network {name!r}; choose from {known}")

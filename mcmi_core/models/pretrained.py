"""Teachers from files: those published in the repository, by name, and imported ones, by path.

What the published are, how they were trained and what they are not good for: ``weights/README.md``.
:mod:`~mcmi_core.models.imported` makes files of what others have trained.
"""

import os
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from mcmi_core.base.errors import StoreError
from mcmi_core.base.messages import in_a_line, quoted, shortened, without_breaks
from mcmi_core.base.paths import PROJECT, require_clone
from mcmi_core.base.tensor_files import read_metadata, read_tensors
from mcmi_core.models import create_model
from mcmi_core.models.imported import SUFFIX, check_fits, expected_tensors

WEIGHTS = PROJECT / "weights"


def list_pretrained() -> list[str]:
    """The names of the published networks."""
    return sorted(path.stem for path in WEIGHTS.glob(f"*{SUFFIX}"))


def describe_pretrained(name: str | Path) -> dict:
    """What is known of a network.

    Args:
        name: as of :func:`load_pretrained`.

    Returns:
        ``model``, ``num_classes``, ``in_channels`` and ``image_size``, as of
        :func:`~mcmi_core.models.create_model`. Of a published network also ``classes``, their names
        in the order of the logits; ``mean`` and ``std`` of each channel, on the scale from 0 to 1,
        to normalise images by; and ``run``, the id of its record. Of an imported one ``source`` and
        ``source_sha256``, the file that it was imported from.

    Raises:
        CompanionError: this is no clone, which has the weights.
        ValueError: there is no such network.
        StoreError: its file is damaged.
    """
    return read_metadata(_path(name))


def load_pretrained(name: str | Path) -> nn.Module:
    """A network, in eval mode: normalised images (N, 3, S, S) → logits (N, C).

    Args:
        name: ``"cifar10_16px_resnet20_mcmi_fixed"``; :func:`list_pretrained` has all. Or the path
            of a file that ``mcmi import-weights`` has written: ``"teacher.safetensors"``.

    Raises:
        CompanionError: this is no clone, which has the weights.
        ValueError: there is no such network.
        StoreError: its file is missing or damaged, or says of no model, or of another.
    """
    path = _path(name)
    weights, about = read_tensors(path)
    try:
        model = str(about["model"])
        size = {key: about[key] for key in ("num_classes", "in_channels", "image_size")}
        expected = expected_tensors(model, **size)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = in_a_line(error) if isinstance(error, ValidationError) else without_breaks(error)
        raise StoreError(
            f"{path} does not say of which model it is ({shortened(reason)}): it was not written "
            "by `mcmi import-weights`"
        ) from None
    check_fits(weights, expected, f"{path} does not fit {model}")
    network = create_model(model, **size)
    network.load_state_dict(weights)
    return network.eval()


def _path(name: str | Path) -> Path:
    name = os.fspath(name)
    if name.endswith(SUFFIX):
        return Path(name)
    require_clone("a published network")
    if name not in list_pretrained():
        known = ", ".join(list_pretrained()) or "none: " + str(WEIGHTS) + " has no weights"
        raise ValueError(
            f"no published network {quoted(name)}; choose from {known}, or name a file that "
            f"`mcmi import-weights` has written, NAME{SUFFIX}"
        )
    return WEIGHTS / f"{name}{SUFFIX}"

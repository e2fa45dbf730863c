"""Weights that other programs have trained, as files that ``load_pretrained`` reads.

Other programs give their tensors other names. Where no name is one of the model's, tensors are
taken in their order, if each is of the kind and shape of the model's in its place. So come the
CIFAR networks of RepDistiller and torchvision's ImageNet ResNets, whose layers are in the order of
ours.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcmi_core.base.errors import StoreError
from mcmi_core.base.foreign_files import read_foreign
from mcmi_core.base.messages import quoted, some
from mcmi_core.base.tensor_files import write_tensors
from mcmi_core.base.terminal import printable
from mcmi_core.models import create_model

SUFFIX = ".safetensors"

CONTAINERS = ("state_dict", "model", "model_state_dict", "net", "network", "teacher")
"""What an entry with the weights is usually called; if there are several, the first of these."""

WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+")
"""What DataParallel and torch.compile put before every name."""


def import_weights(
    source: str | Path,
    target: str | Path,
    model: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    image_size: int = 32,
) -> str:
    """Write the weights in a file of ``torch.save`` as safetensors, if they are those of a model.

    Args:
        source: of a state dict, or of a dict with one; read by
            :func:`~mcmi_core.base.foreign_files.read_foreign`, which runs nothing of it.
        target: ``NAME.safetensors``, for :func:`~mcmi_core.models.pretrained.load_pretrained`.
        model: as of :func:`~mcmi_core.models.create_model`.
        num_classes: C.
        in_channels: channels of the images.
        image_size: pixels per side.

    Returns:
        What was done, in a line.

    Raises:
        ValueError: another suffix, or what :func:`~mcmi_core.models.create_model` refuses.
        StoreError: ``source`` cannot be read or is refused, its tensors are not those of the model
            or hold NaN or inf, or ``target`` cannot be written. The message has names and shapes.
    """
    source, target = Path(source), Path(target)
    if target.suffix != SUFFIX:
        raise ValueError(f"imported weights are written as NAME{SUFFIX}, got {quoted(str(target))}")
    size = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    content, digest = read_foreign(source)
    theirs = printable(str(source))
    given = _state_dict(content, theirs)
    expected = expected_tensors(model, **size)
    in_order = not given.keys() & expected.keys()
    if in_order:
        _check_order(given, expected, f"{theirs} does not fit {model}")
        names = dict(zip(expected, given, strict=True))
    else:
        check_fits(given, expected, f"{theirs} does not fit {model}")
        names = {name: name for name in expected}
    weights = {ours: given[name].to(expected[ours].dtype) for ours, name in names.items()}
    if bad := [names[ours] for ours, value in weights.items() if not value.isfinite().all()]:
        raise StoreError(f"{theirs} holds NaN or inf in {some(map(quoted, bad))}")
    origin = {"source": source.name, "source_sha256": digest}
    write_tensors(target, weights, {"model": model, **size, **origin})
    taken = "in their order, as their names are others" if in_order else "by name"
    return f"{printable(str(target))}: {len(weights)} tensors of {model}, taken {taken}"


@torch.no_grad()
def expected_tensors(model: str, **size: int) -> dict[str, Tensor]:
    """The state dict of a model, without memory: names, types and shapes.

    Args:
        model: as of :func:`~mcmi_core.models.create_model`.
        size: likewise.
    """
    with torch.device("meta"):
        return create_model(model, **size).state_dict()


def check_fits(given: dict[str, Tensor], expected: dict[str, Tensor], problem: str) -> None:
    """Require the tensors of a model, by name.

    Args:
        given: what there is.
        expected: of :func:`expected_tensors`.
        problem: how the message begins.

    Raises:
        StoreError: names are missing or unknown, or shapes or types differ; the message has them.
    """
    both = [name for name in expected if name in given]
    wrong = [
        f"{name} {_kind(given[name])} instead of {_kind(expected[name])}"
        for name in both
        if not _alike(given[name], expected[name])
    ]
    parts = {
        "missing": [name for name in expected if name not in given],
        "unknown": [quoted(name) for name in given if name not in expected],
        "of another shape": wrong,
    }
    if any(parts.values()):
        said = (f"{len(names)} {what}: {some(names)}" for what, names in parts.items() if names)
        raise StoreError(f"{problem}: {'; '.join(said)}")


def _state_dict(content: Any, source: str) -> dict[str, Tensor]:
    """The tensors by name, out of what is around them."""
    found = {"": content} | (content if isinstance(content, dict) else {})
    found = {key: value for key, value in found.items() if _is_state_dict(value)}
    usual = ["", *CONTAINERS]
    key = next((key for key in usual if key in found), next(iter(found), None))
    if key is None:
        there = type(content).__name__
        if isinstance(content, dict):
            there = f"a dict with {some(map(quoted, content))}" if content else "an empty dict"
        raise StoreError(f"{source} holds no state dict, a dict of tensors by name, but {there}")
    state = found[key]
    if all(WRAPPERS.match(name) for name in state):
        state = {WRAPPERS.sub("", name): value for name, value in state.items()}
    return state


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(isinstance(name, str) and _is_plain(tensor) for name, tensor in value.items())
    )


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor with its numbers in memory: dense, and not quantised."""
    return (
        type(value) in (Tensor, nn.Parameter)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _check_order(given: dict[str, Tensor], expected: dict[str, Tensor], problem: str) -> None:
    problem = f"{problem}: none of its names is one of the model's, and in their order"
    if len(given) != len(expected):
        raise StoreError(f"{problem} they are {len(given)} tensors instead of {len(expected)}")
    for name, ours in zip(given, expected, strict=True):
        same_role = name.rpartition(".")[2] == ours.rpartition(".")[2]
        if not (same_role and _alike(given[name], expected[ours])):
            raise StoreError(
                f"{problem} {quoted(name)} {_kind(given[name])} stands for {ours!r} "
                f"{_kind(expected[ours])}"
            )


def _alike(given: Tensor, expected: Tensor) -> bool:
    """Of one shape; numbers of any precision, but no integers for fractions."""
    same_type = given.is_floating_point() == expected.is_floating_point()
    return given.shape == expected.shape and same_type and not given.is_complex()


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"

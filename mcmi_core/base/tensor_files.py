"""Tensors on the disk, in files that cannot run code when they are read."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import write_atomically


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict | None = None, *, durable: bool = True
) -> None:
    """Save tensors and JSON-able metadata as one safetensors file, atomically.

    Tensors that share their memory, as tied weights do, are saved one by one, each whole.

    Raises:
        StoreError: as :func:`~mcmi_core.base.files.write_atomically`.
    """
    on_host = {
        name: tensor.detach().to("cpu", non_blocking=True) for name, tensor in tensors.items()
    }
    if any(tensor.is_cuda for tensor in tensors.values()):
        torch.cuda.current_stream().synchronize()  # once, not for each tensor
    contiguous, seen = {}, set()
    for name, tensor in on_host.items():
        own = tensor.contiguous()
        place = own.untyped_storage().data_ptr()
        contiguous[name] = own.clone() if place in seen else own
        seen.add(place)
    text = {key: json.dumps(value) for key, value in (metadata or {}).items()}
    write_atomically(path, save(contiguous, text), durable=durable)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and metadata of a safetensors file.

    Raises:
        StoreError: the file is missing, damaged, or a pickle, which could run code.
    """
    with _opened(path) as (file, metadata):
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def read_metadata(path: Path) -> dict:
    """Metadata of a safetensors file, without its tensors.

    Raises:
        StoreError: as :func:`read_tensors`.
    """
    with _opened(path) as (_, metadata):
        return metadata


@contextmanager
def _opened(path: Path) -> Iterator[tuple[safe_open, dict]]:
    try:
        path.open("rb").close()  # safetensors takes a file that may not be read for a missing one
        with safe_open(path, framework="pt") as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            yield file, metadata
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, json.JSONDecodeError) as error:
        raise StoreError(
            f"{path} is damaged ({error}); delete it, and what it held is computed again. If it is "
            "a file of torch.save: those are not read, because a pickle can run any code; "
            "`mcmi import-weights` converts one and runs nothing of it"
        ) from None


def map_tensor(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> Tensor:
    """A tensor that is read from a file of bare numbers as they are needed; never written to."""
    # Only a read-only map may be larger than the memory; torch warns of it, and none writes to it.
    numbers = np.memmap(path, dtype, "r", shape=shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(numbers)

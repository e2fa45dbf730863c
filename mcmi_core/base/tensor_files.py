"""Tensors on the disk, in files that cannot run code when they are read, and show any damage."""

import hashlib
import json
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mcmi_core.base.errors import Damaged, StoreError
from mcmi_core.base.files import altered, content_of, exists, write_atomically
from mcmi_core.base.messages import without_breaks

CHECKSUM = "sha256"
"""Among the metadata of a file: the digest of everything else in it."""


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict | None = None, *, durable: bool = True
) -> None:
    """Save tensors and JSON-able metadata as one safetensors file, atomically, with a checksum.

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
    text[CHECKSUM] = json.dumps(_checksum(contiguous, text))
    write_atomically(path, save(contiguous, text), durable=durable)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors, in the order of their names, and metadata of a safetensors file.

    They are those that were written: SHA-256 says so, but in files of earlier versions and of other
    programs, which have no checksum.

    Raises:
        StoreError: the file cannot be read.
        Damaged: it is not whole, or a pickle, which could run code.
    """
    content = content_of(path)  # a map of the file would end the process if the disk fails
    text = _metadata(path, content, len(content))
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise _damaged(path, content, str(error)) from None
    except KeyError as error:
        raise _damaged(path, content, f"torch has no type {error}") from None
    checksum = text.pop(CHECKSUM, None)
    if checksum not in (None, json.dumps(_checksum(tensors, text))):
        raise _damaged(path, content, "its checksum is another")
    return dict(sorted(tensors.items())), _values(text)  # safetensors gives them in any order


def read_metadata(path: Path) -> dict:
    """Metadata of a safetensors file, without its tensors, so that nothing is checked but its size.

    Raises:
        StoreError: the file cannot be read.
        Damaged: its beginning or its size are not those of such a file.
    """
    exists(path)  # else opening a pipe would wait for its writer
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            beginning = file.read(8)
            beginning += file.read(min(_header_length(beginning), size))
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from None
    text = _metadata(path, beginning, size)
    text.pop(CHECKSUM, None)
    return _values(text)


def _checksum(tensors: dict[str, Tensor], text: dict[str, str]) -> str:
    """SHA-256 of names, types, shapes and bytes of tensors, and of the metadata."""
    about = {name: [str(tensor.dtype), list(tensor.shape)] for name, tensor in tensors.items()}
    digest = hashlib.sha256(json.dumps([about, text], sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _header_length(beginning: bytes) -> int:
    return int.from_bytes(beginning[:8], "little")


def _metadata(path: Path, content: bytes, size: int) -> dict[str, str]:
    """The metadata at the beginning of a file of so many bytes, as text.

    The format: 8 bytes with the header's length, the header in JSON, then the tensors.
    """
    start = 8 + _header_length(content)
    try:
        header = json.loads(content[8:start])
        text = header.pop("__metadata__", {})
        ends = [tensor["data_offsets"][1] for tensor in header.values()]
        whole = start + max(ends, default=0) == size
        if not isinstance(text, dict):
            raise ValueError("its metadata is no object")
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise _damaged(path, content, f"no header: {error}") from None
    if not whole:
        raise _damaged(path, content, f"it has {size:,} bytes, and its header says otherwise")
    if name := altered(CHECKSUM, text):
        raise _damaged(path, content, f"its {CHECKSUM} is called {name!r}")
    return text


def _values(text: dict[str, str]) -> dict:
    """What :func:`write_tensors` was given; other programs write text that is no JSON."""

    def value(entry: str) -> object:
        try:
            return json.loads(entry)
        except (ValueError, TypeError, RecursionError):
            return entry

    return {key: value(entry) for key, entry in text.items()}


def _damaged(path: Path, content: bytes, reason: str) -> Damaged:
    pickled = content.startswith((b"PK\x03\x04", b"\x80\x02"))  # torch.save's new and old format
    hint = (
        "; it seems to be a file of torch.save: those are not read, because a pickle can run any "
        "code; `mcmi import-weights` converts one and runs nothing of it"
    )
    return Damaged(f"{path} is damaged ({without_breaks(reason)}){hint if pickled else ''}")


def map_tensor(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> Tensor:
    """A tensor that is read from a file of bare numbers as they are needed; never written to."""
    # Only a read-only map may be larger than the memory; torch warns of it, and none writes to it.
    numbers = np.memmap(path, dtype, "r", shape=shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(numbers)

"""Files of ``torch.save`` from elsewhere: read as data, never as code."""

import hashlib
import os
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import torch

from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import exists
from mcmi_core.base.terminal import printable

ZIP = b"PK\x03\x04"
"""How a file of today's ``torch.save`` begins. Earlier ones are pickles, one after the other."""

OLD_PICKLES = 5
"""In a file of earlier days: two numbers, the machine, the content and the names of its tensors."""

MOST_NAMED_AGAIN = 10_000_000
"""Things; far more than in any network's file, and hashed in less than a second."""

FILLS = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD")
"""Opcodes that put something into what is there, of those that torch's reader knows."""

HARMLESS = re.compile(r"collections\.OrderedDict|torch\._utils\..*|torch\.(storage\.)?\w*Storage")
"""What tensors in a dict ask for."""


def read_foreign(path: Path) -> tuple[Any, str]:
    """What a file of ``torch.save`` holds, and the file's SHA-256.

    Tensors come to the CPU; beside them there may be numbers, texts, lists and dicts. A pickle that
    asks for anything else is refused, and what it asks for is neither imported nor called.

    Raises:
        StoreError: the file cannot be read, is damaged or too large once unpacked, or asks for a
            function or class; the message names it.
    """
    exists(path)  # else opening a pipe would wait for its writer
    name = printable(str(path))
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return _read(name, file), digest
    except OSError as error:
        raise StoreError(f"cannot read {name}: {error.strerror or error}") from None


def _read(name: str, file: BinaryIO) -> Any:
    try:
        _check_size(file)
        _check_names_again(file)
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about other protocols and TorchScript: refused anyhow
            return torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever a damaged or malicious file makes the reader stumble over
        if asked := _asked_for(file, str(error)):
            raise StoreError(
                f"{name} is refused: to be read, it would have to run {asked!r}. Nothing of it was "
                "run. If you trust it, save its tensors alone where it was made: "
                "torch.save(model.state_dict(), new_path)"
            ) from None
        raise StoreError(f"{name} is no whole file of torch.save ({_reason(error)})") from None


def _check_size(file: BinaryIO) -> None:
    """Refuse a zip that says to be larger than it is: ``torch.save`` compresses nothing."""
    file.seek(0)
    if file.read(len(ZIP)) == ZIP:
        there = os.fstat(file.fileno()).st_size
        unpacked = sum(part.file_size for part in zipfile.ZipFile(file).infolist())
        if unpacked > there:
            raise ValueError(f"it has {there:,} bytes, and would be unpacked to {unpacked:,}")


def _check_names_again(file: BinaryIO) -> None:
    """Refuse a pickle that is short since it names the same things again and again.

    Forty tuples, each of the one before it twice, take 2⁴⁰ steps to hash, as keys of a dict are.
    """
    pickles, things = _pickles_in(file), 0
    with suppress(Exception):  # where it is no pickle, which torch says
        opcodes = (pickletools.genops(pickles) for _ in range(OLD_PICKLES))
        for things in _named_again(chain.from_iterable(opcodes)):
            if things > MOST_NAMED_AGAIN:
                break
    if things > MOST_NAMED_AGAIN:
        raise ValueError(f"it names more than {MOST_NAMED_AGAIN:,} things again")


def _named_again(opcodes: Iterable[tuple]) -> Iterator[int]:
    """How many things a pickle has named again so far, with all that is in them, after each.

    The opcodes are only looked at. A thing is here a list of one number: it and all that it holds.
    """
    stack, marks, memo, things = [], [], {}, 0
    for opcode, argument, _ in opcodes:
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name.endswith("PUT"):
            memo[argument] = stack[-1]
        elif opcode.name.endswith("GET"):
            stack.append(memo[argument])
            things += memo[argument][0]
            yield things
        else:
            start = len(stack) - len(opcode.stack_before)
            if pickletools.markobject in opcode.stack_before:  # all that came after it
                start = marks.pop() - opcode.stack_before.index(pickletools.markobject)
            stack[start:], taken = [], stack[start:]
            if opcode.name in FILLS:
                taken[0][0] += sum(inner[0] for inner in taken[1:])
                stack.append(taken[0])
            elif opcode.stack_after:
                stack.append([1 + sum(inner[0] for inner in taken)])


def _asked_for(file: BinaryIO, message: str) -> str | None:
    """The function or class that a refused pickle asks for; None if it asks for none.

    From what torch says, which names the one that it stopped at; else from the opcodes, which are
    only looked at. Either is for people to read: the pickle is refused in any case.
    """
    if named := re.search(r"GLOBAL (\S+)", message):
        return named[1]
    with suppress(Exception):  # at the end, or where it is no pickle
        for name in _names_in(_pickles_in(file)):
            if not HARMLESS.fullmatch(name):
                return name
    return None


def _names_in(pickles: BinaryIO) -> Iterator[str]:
    """What pickles, one after the other, ask for; ends with an error where there is none."""
    texts: list[str] = []
    while True:
        for opcode, argument, _ in pickletools.genops(pickles):
            if opcode.name in ("GLOBAL", "INST"):
                yield argument.replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":
                yield ".".join(texts[-2:])
            elif isinstance(argument, str):
                texts.append(argument)


def _pickles_in(file: BinaryIO) -> BinaryIO:
    """Those that torch reads, so with its own reader of zips: others read some differently."""
    file.seek(0)
    zipped = file.read(len(ZIP)) == ZIP
    file.seek(0)
    return BytesIO(torch._C.PyTorchFileReader(file).get_record("data.pkl")) if zipped else file


def _reason(error: Exception) -> str:
    """In a line, without torch's advice to read the file in the way that runs code."""
    text = str(error)
    if inner := re.search(r"WeightsUnpickler error:\s*(.+)", text):
        return inner[1]
    text = text.split("In PyTorch")[0].strip().split("\n")[0]
    return text if isinstance(error, RuntimeError | ValueError) and text else repr(error)

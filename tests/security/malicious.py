"""Files that run code when they are unpickled: each makes a canary file, if it gets that far."""

import builtins
import io
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch


class Asks:
    """Unpickled, it calls a function."""

    def __init__(self, function: Callable, *arguments: str) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class LateAsks:
    """Unpickled, it is made first, and then given a state that calls a function."""

    def __init__(self, asks: Asks) -> None:
        self.asks = asks

    def __reduce__(self):
        return OrderedDict, (), {"innocent": self.asks}


def system(canary: Path) -> Asks:
    return Asks(os.system, f"touch {canary}")


def evaluated(canary: Path) -> Asks:
    return Asks(builtins.eval, f"open({str(canary)!r}, 'w').close()")


def executed(canary: Path) -> Asks:
    return Asks(builtins.exec, f"open({str(canary)!r}, 'w').close()")


def saved(content: object, **settings: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **settings)
    return file.getvalue()


def among_weights(asks: object) -> dict:
    weights = OrderedDict(weight=torch.zeros(2, 3), bias=asks)
    return {"epoch": 240, "model": weights, "best_acc": torch.tensor([72.0])}


def zipped(pickled: bytes) -> bytes:
    """As torch.save lays out its file, written by another program."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return file.getvalue()


def tarred(pickled: bytes) -> bytes:
    """As torch.save laid out its file before 2017."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(pickled)
            archive.addfile(info, io.BytesIO(pickled))
    return file.getvalue()


BUILDERS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "os.system": (lambda c: saved(system(c)), "posix.system"),
    "eval": (lambda c: saved(evaluated(c)), "eval"),
    "exec": (lambda c: saved(executed(c)), "exec"),
    "old torch.save": (
        lambda c: saved(system(c), _use_new_zipfile_serialization=False),
        "posix.system",
    ),
    "among weights": (lambda c: saved(among_weights(evaluated(c))), "eval"),
    "among weights, old torch.save": (
        lambda c: saved(among_weights(system(c)), _use_new_zipfile_serialization=False),
        "posix.system",
    ),
    "in the state of a dict": (lambda c: saved(LateAsks(system(c))), "posix.system"),
    "newest protocol": (lambda c: saved(among_weights(system(c)), pickle_protocol=5), "posix.syst"),
    "newest protocol, old torch.save": (
        lambda c: saved(system(c), pickle_protocol=5, _use_new_zipfile_serialization=False),
        "posix.system",
    ),
    "array of objects": (
        lambda c: saved({"weight": np.array([system(c)], dtype=object)}),
        "numpy._core.multiarray._reconstruct",
    ),
    "made by hand": (lambda c: zipped(pickle.dumps(system(c), 2)), "posix.system"),
    "made by hand, newest protocol": (lambda c: zipped(pickle.dumps(evaluated(c))), "builtins.e"),
    "text pickle": (lambda c: pickle.dumps(system(c), 0), "posix.system"),
    "plain pickle": (lambda c: pickle.dumps(system(c)), "posix.system"),
    "tar": (lambda c: tarred(pickle.dumps(system(c), 2)), "legacy .tar format"),
}
"""By name: what makes the file's bytes from the canary's path, and what a message says it asks for,
or how it begins."""

"""Damage to files, disks that fill up or vanish, and runs to see what becomes of them."""

import errno
import os
import random
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import torch
from small_runs import kd_student, mcmi_teacher, mll_teacher

from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure

CPU = torch.device("cpu")
TEACHER, FINE_TUNED = mll_teacher(), mcmi_teacher()
STUDENT, OF_FINE_TUNED = kd_student(TEACHER), kd_student(FINE_TUNED)
BEGUN = mll_teacher(seed=1)
"""Interrupted after its second epoch."""

FINISHED = [TEACHER, FINE_TUNED, STUDENT, OF_FINE_TUNED]


def fill(store):
    """Train the runs above."""
    for run in FINISHED:
        ensure(run, store, CPU)
    begin(BEGUN, store)


def begin(run, store, epochs=2):
    """Train some epochs of a run, and stop."""
    done = []

    def stop():
        done.append(1)
        if len(done) == epochs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(run, store, CPU, stop)


def copy(store, root):
    shutil.copytree(store.root, root)
    return Store(root)


def trained(run, store):
    """Make a run, and say how many epochs that took."""
    epochs = []
    ensure(run, store, CPU, lambda: epochs.append(1))
    return len(epochs)


def assert_same(runs, store, other):
    """Weights bit for bit, and everything that was measured."""
    for run in runs:
        first, second = store.weights(run), other.weights(run)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
        for field in ("metrics", "history", "status"):
            assert getattr(store.record(run), field) == getattr(other.record(run), field)


def contents(root):
    """Every file below a folder with its bytes."""
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def checkpoint(run, store):
    return store.folder(run) / "checkpoint.safetensors"


def weights(run, store):
    return store.folder(run) / "weights.safetensors"


def record(run, store):
    return store.path(run.id)


def cut(path, keep):
    os.truncate(path, keep)


def flip(path, bit):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def zero(path):
    """What a power cut leaves of a file whose size alone had reached the disk."""
    path.write_bytes(bytes(path.stat().st_size))


DAMAGE = {
    "empty": lambda path: cut(path, 0),
    "cut in its header": lambda path: cut(path, 20),
    "half": lambda path: cut(path, path.stat().st_size // 2),
    "cut at its end": lambda path: cut(path, path.stat().st_size - 2),
    "zeros": zero,
    "a bit": lambda path: flip(path, 8 * path.stat().st_size - 77),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"more"),
}


def damages(path, number, seed=0):
    """Damage a file in many ways, one after the other; it is whole again in the end.

    Args:
        path: of the file.
        number: of lengths it is cut to, and of bits that are flipped.
        seed: of these.

    Yields:
        What was done, such as ``cut to 17`` or ``bit 290``.
    """
    whole = path.read_bytes()
    choose = random.Random(seed)
    lengths = {0, 1, 7, 8, 9, len(whole) - 1} | {
        choose.randrange(len(whole)) for _ in range(number)
    }
    for keep in sorted(lengths):
        path.write_bytes(whole[:keep])
        yield f"cut to {keep}"
    for _ in range(number):
        path.write_bytes(whole)
        bit = choose.randrange(8 * len(whole))
        flip(path, bit)
        yield f"bit {bit}"
    path.write_bytes(whole)


def full(*arguments, **settings):
    """Instead of a function that writes."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def mounted(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mount {' '.join(map(str, arguments))}: {done.stderr.strip()}")


def unmounted(path):
    subprocess.run(["umount", "-l", path], check=True)


@contextmanager
def small_disk(path, size):
    """A disk of so many bytes, in the memory; needs the rights to mount."""
    path.mkdir()
    mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)
    try:
        yield path
    finally:
        unmounted(path)


@contextmanager
def read_only(path):
    """A folder, nothing of which can be written; needs the rights to mount."""
    mounted("--bind", path, path)
    try:
        mounted("-o", "remount,ro,bind", path)
        yield
    finally:
        unmounted(path)


def use_up(disk):
    """Take all room that is left on a small disk; the file that took it."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler

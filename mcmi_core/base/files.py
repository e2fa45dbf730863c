"""Files that are either whole or absent, damaged ones set aside, and locks."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mcmi_core.base.errors import StoreError


def make_folder(path: Path) -> None:
    """Make a folder, and those around it, if need be.

    Raises:
        StoreError: that is impossible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {path}: {error.strerror}") from error


def write_atomically(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write a file under another name and rename it, so that no reader ever sees half of it.

    What writers of the same file that were killed have left is deleted.

    Args:
        path: where; its folder is made.
        content: bytes, or text to encode as UTF-8.
        durable: wait until the disk has it, so that it also survives a power cut.

    Raises:
        StoreError: the disk is full or the folder cannot be written; what was there stays.
    """
    if isinstance(content, str):
        content = content.encode()
    unfinished = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        delete_leftovers(path)
        handle, unfinished = _unfinished_file(path)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            os.chmod(unfinished, 0o644)  # mkstemp's 0600 would hide committed files from others
            os.replace(unfinished, path)  # while it is still locked, so that nobody deletes it
    except OSError as error:
        if unfinished:
            Path(unfinished).unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror}; whatever it held before is still there"
        ) from error


def _unfinished_file(path: Path) -> tuple[int, str]:
    """A new file beside ``path``, open and locked: its lock says that its writer lives."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with suppress(OSError):  # where the file system has no locks, nothing is deleted either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, name
        os.close(handle)  # another writer took it for a leftover before it was locked


def exists(path: Path) -> bool:
    """Whether there is a file at ``path``; that a disk does not answer is no "no".

    Raises:
        StoreError: nobody can tell, as a folder may not be read or a disk fails; or there is
            something else, such as a pipe, which a reader would wait for.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise StoreError(f"cannot read {path}: it is no file")
    return True


def content_of(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        StoreError: it cannot be read, or is none.
    """
    exists(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from None


def altered(name: str, names: Iterable[str]) -> str | None:
    """That one of ``names`` which is ``name`` but for a letter: a flipped bit leaves it so."""
    for other in names:
        if len(other) == len(name) and sum(map(str.__ne__, other, name)) == 1:
            return other
    return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file to ``NAME.damaged``, in the place of an earlier one of that name.

    Returns:
        Its new path.

    Raises:
        StoreError: that is impossible.
    """
    aside = Path(f"{path}.damaged")
    try:
        os.replace(path, aside)
    except OSError as error:
        raise StoreError(f"cannot rename {path}, which is damaged: {error.strerror}") from error
    return aside


def delete_leftovers(path: Path) -> None:
    """Delete what killed writers of a file have left half-written beside it."""
    prefix = f".{path.name}."
    for entry in os.scandir(path.parent):
        if entry.name.startswith(prefix):
            with suppress(OSError), open(entry.path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)


@contextmanager
def locked(path: Path, *, wait: bool = True, remedy: str = "") -> Iterator[None]:
    """Hold a lock that no other process holds; the system frees it when its holder dies.

    Args:
        path: of a file that exists for this alone; it and its folder are made.
        wait: until whoever holds it is done.
        remedy: what the error says would do.

    Raises:
        StoreError: the file cannot be made, or not be written to.
        filelock.Timeout: another process holds it, and this one is not to wait.
    """
    lock = FileLock(path, blocking=wait)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise StoreError(f"cannot lock {path}: {error.strerror}{remedy}") from error
    try:
        yield
    finally:
        lock.release()

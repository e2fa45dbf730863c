"""Files that are either whole or absent."""

import os
import tempfile
from pathlib import Path

from mcmi_core.base.errors import StoreError


def write_atomically(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write a file under another name and rename it, so that no reader ever sees half of it.

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
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(unfinished, 0o644)  # mkstemp's 0600 would hide committed files from other users
        os.replace(unfinished, path)
    except OSError as error:
        if unfinished:
            Path(unfinished).unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror}; whatever it held before is still there"
        ) from error

"""Tar archives that others have packed: what is taken out of them is what was asked for."""

import re
import tarfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from mcmi_core.base.errors import StoreError
from mcmi_core.base.messages import quoted, without_breaks

DAMAGES = (tarfile.TarError, zlib.error, OSError, EOFError)
"""What :mod:`tarfile` and :mod:`zlib` raise where an archive is not whole."""

TRICKS = (ValueError, OverflowError, RecursionError)
"""What they stumble over: texts for numbers, sizes without end, headers within headers."""

GZIP = 16 + zlib.MAX_WBITS
"""Tells zlib of gzip's header and checksum."""


def files_in(path: Path, names: re.Pattern[str], most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in a tar archive, which gzip may have compressed.

    Nothing is written; a caller writes what it gets under names that it has asked for. So it needs
    none of tarfile's filters, which came with Python 3.11.4, and Debian 12 has 3.11.2.

    Args:
        path: of the archive.
        names: what every name has to match as a whole; such a pattern admits no ``..``.
        most_bytes: of the whole archive, uncompressed.

    Raises:
        StoreError: before anything is yielded: it cannot be read, is damaged or larger, or holds
            anything but folders and plain files of such names; the message names the first.
    """
    try:
        if path.stat().st_size > most_bytes:
            raise _too_large(most_bytes)
        content = _uncompressed(path.read_bytes(), most_bytes)
        with tarfile.open(fileobj=BytesIO(content), mode="r:") as archive:
            members = []
            for member in archive:  # one by one: a size below 0 would lead back for ever
                if member.isdir():
                    continue
                if not (_is_plain(member) and names.fullmatch(member.name)):
                    raise tarfile.TarError(f"{quoted(member.name)} is no file that belongs there")
                members.append(member)
            for member in members:
                yield member.name, archive.extractfile(member).read()
    except (*DAMAGES, *TRICKS) as error:
        raise StoreError(f"cannot unpack {path}: {without_breaks(error)}") from None


def _is_plain(member: tarfile.TarInfo) -> bool:
    """A file as it is: no link, device or pipe, nor a sparse file, whose gaps may have any size."""
    return member.isreg() and not member.issparse() and member.size >= 0


def _uncompressed(content: bytes, most_bytes: int) -> bytes:
    """As a whole, since gzip's checksum comes last."""
    if content.startswith(b"\x1f\x8b"):
        unzip = zlib.decompressobj(GZIP)
        content = unzip.decompress(content, most_bytes + 1)
        if len(content) <= most_bytes and not unzip.eof:
            raise EOFError("it ends before its checksum")
    if len(content) > most_bytes:
        raise _too_large(most_bytes)
    return content


def _too_large(most_bytes: int) -> tarfile.TarError:
    return tarfile.TarError(f"it holds more than {most_bytes:,} bytes")

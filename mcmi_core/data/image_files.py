"""Which files of a folder are images, of which class; what else lies there is skipped and counted.

Folders are taken as people have them: with hidden files, notes, thumbnails that a file manager has
made, and links that lead nowhere or in a circle.
"""

import errno
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple

from mcmi_core.base.errors import DataError
from mcmi_core.base.terminal import printable
from mcmi_core.data.image_decoding import (
    is_image,
    suffixes,
    without_pillow_warnings,
)

BOOKKEEPING = frozenset(
    {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
)
"""Folders that systems make for themselves. Some of them hold images: thumbnails, deleted ones."""

LEADS_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Skipped = defaultdict[str, list[str]]
"""Paths by the reason why they are skipped. A hidden folder counts once, as it is not opened."""

Place = tuple[int, int]
"""A folder's device and number there."""


class ImageFile(NamedTuple):
    """An image, and what tells whether it has changed."""

    path: str
    label: int
    state: tuple[int, ...]
    """Size, times of its last modification and change, and its number on the disk. Another image in
    its place may have the same size and modification time, but not the rest."""


class Listing(NamedTuple):
    """The images of a split."""

    root: Path
    folder: str
    """In ``root``; it holds a folder for each class."""
    classes: tuple[str, ...]
    files: list[ImageFile]
    """By class, then by folder and name."""
    skipped: Skipped

    def first(self, number: int) -> "Listing":
        """Without all but the first images of each class."""
        kept, seen = [], defaultdict(int)
        for file in self.files:
            seen[file.label] += 1
            if seen[file.label] <= number:
                kept.append(file)
        return self._replace(files=kept)


def list_folders(folder: Path) -> list[str]:
    """Names of the visible folders in ``folder``, sorted; none if there is no such folder.

    Raises:
        DataError: it cannot be read.
    """
    if not os.path.isdir(folder):
        return []
    with _said_if_unreadable():
        entries = _visible(str(folder), frozenset(), defaultdict(list))
        return [entry.name for entry, status in entries if S_ISDIR(status.st_mode)]


def list_images(root: Path, folder: str) -> Listing:
    """The images of ``root/folder``, each of them somewhere in the folder of its class.

    Files with an image's suffix are taken unseen; others, if they begin as an image does.

    Raises:
        DataError: something cannot be read, or there is no image of a class.
    """
    top, skipped, classes, files = str(root / folder), defaultdict(list), [], []
    with _said_if_unreadable(), without_pillow_warnings():
        around = frozenset({_place(os.stat(root)), _place(os.stat(top))})
        for entry, status in _visible(top, around, skipped):
            if S_ISDIR(status.st_mode):
                skipped_here = defaultdict(list)
                found = list(_images(entry.path, around | {_place(status)}, skipped_here))
                if not found:
                    reasons = describe_skipped(skipped_here, root)
                    raise DataError(f"{printable(entry.path)}: no image of this class{reasons}")
                found.sort(key=lambda image: os.path.split(image[0]))
                files += [ImageFile(path, len(classes), state) for path, state in found]
                classes.append(printable(entry.name))
                for reason, paths in skipped_here.items():
                    skipped[reason] += paths
            else:
                skipped["beside the class folders"].append(entry.path)
    return Listing(root, folder, tuple(classes), files, skipped)


def describe_skipped(skipped: Skipped, root: Path) -> str:
    """``; skipped 4: 3 hidden (such as train/.a.jpg), 1 of unknown format (train/cat/b.txt)``.

    Nothing if none was skipped.
    """
    if not skipped:
        return ""
    parts = [
        f"{len(paths):,} {reason} ({'such as ' * (len(paths) > 1)}"
        f"{printable(os.path.relpath(paths[0], root))})"
        for reason, paths in sorted(skipped.items(), key=lambda item: -len(item[1]))
    ]
    return f"; skipped {sum(map(len, skipped.values())):,}: {', '.join(parts)}"


@contextmanager
def _said_if_unreadable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read {printable(error.filename)}: {error.strerror}") from error


def _images(
    folder: str, around: frozenset[Place], skipped: Skipped
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Path and state of each image in ``folder`` and in what it holds."""
    for entry, status in _visible(folder, around, skipped):
        if S_ISDIR(status.st_mode):
            yield from _images(entry.path, around | {_place(status)}, skipped)
        elif not S_ISREG(status.st_mode):  # to open a pipe would wait for ever
            skipped["neither file nor folder"].append(entry.path)
        elif os.path.splitext(entry.name)[1].lower() in suffixes() or is_image(entry.path):
            state = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
            yield entry.path, state
        else:
            skipped["of unknown format"].append(entry.path)


def _visible(
    folder: str, around: frozenset[Place], skipped: Skipped
) -> Iterator[tuple[os.DirEntry, os.stat_result]]:
    """What is in ``folder``, by name, but for what is hidden and for links that are of no use."""
    with os.scandir(folder) as entries:
        by_name = sorted(entries, key=lambda entry: entry.name)
    for entry in by_name:
        if entry.name.startswith(".") or entry.name in BOOKKEEPING:
            skipped["hidden"].append(entry.path)
            continue
        try:
            status = entry.stat()
        except OSError as error:
            if not (entry.is_symlink() and error.errno in LEADS_NOWHERE):
                raise
            skipped["linked to nothing"].append(entry.path)
            continue
        if entry.is_symlink() and _place(status) in around:
            skipped["linked in a circle"].append(entry.path)
            continue
        yield entry, status


def _place(status: os.stat_result) -> Place:
    return status.st_dev, status.st_ino

"""Files are whole or absent."""

import errno
import os

import pytest

from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import write_atomically


@pytest.mark.parametrize("failing", ["write", "replace"])
def test_full_disk_keeps_the_old_file_and_leaves_no_rest(tmp_path, monkeypatch, failing):
    path = tmp_path / "record.json"
    write_atomically(path, "old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync" if failing == "write" else "replace", full)
    with pytest.raises(StoreError, match="record.json: No space left on device; whatever it held"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_atomically(tmp_path / "file" / "record.json", "text")

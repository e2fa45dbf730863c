"""Whatever is cut off or changed in a file is found, or changes nothing that the file says.

Hundreds of damages to each kind of file; each is found by whoever reads it, in one line.
"""

import json
from contextlib import suppress

import pytest
import torch
from faults import BEGUN, STUDENT, TEACHER, checkpoint, damages, flip, record, weights

from mcmi_core.base.errors import Damaged
from mcmi_core.base.tensor_files import CHECKSUM, read_metadata, read_tensors
from mcmi_core.runs.records import CHECKSUM as OF_RECORDS
from mcmi_core.runs.records import read_record

NUMBER = 300


def same(read, expected):
    """Nothing that was written is missing or different."""
    (tensors, metadata), (others, about) = read, expected
    return (
        tensors.keys() == others.keys()
        and all(torch.equal(tensors[name], others[name]) for name in tensors)
        and metadata == about
    )


def look_at_tensors(path):
    expected, found = read_tensors(path), 0
    for done in damages(path, NUMBER):
        try:
            assert same(read_tensors(path), expected), done
        except Damaged as damage:
            assert str(damage).startswith(f"{path} is damaged (") and "\n" not in str(damage)
            found += 1
        with suppress(Damaged):
            read_metadata(path)
    assert same(read_tensors(path), expected)
    return found


def test_damaged_weights(store):
    assert look_at_tensors(weights(TEACHER, store)) > 1.9 * NUMBER


def test_a_damaged_checkpoint(store):
    assert look_at_tensors(checkpoint(BEGUN, store)) > 1.9 * NUMBER


def test_a_damaged_record(store):
    path = record(STUDENT, store)
    expected, found = read_record(path), 0
    for done in damages(path, NUMBER):
        try:
            assert read_record(path) == expected, done
        except Damaged as damage:
            assert str(damage).startswith(f"{path} is damaged (") and "\n" not in str(damage)
            found += 1
    assert found > 1.9 * NUMBER


def test_a_checksum_is_not_overlooked_as_its_name_was_altered(store):
    files = ((record(TEACHER, store), OF_RECORDS), (weights(TEACHER, store), CHECKSUM))
    for (path, name), read in zip(files, (read_record, read_tensors), strict=True):
        whole = path.read_bytes()
        begin = 8 * whole.index(f'"{name}"'.encode()) + 8
        for bit in range(begin, begin + 8 * len(name)):
            flip(path, bit)
            with pytest.raises(Damaged, match=f"{path} is damaged "):
                read(path)
            path.write_bytes(whole)
        read(path)


def test_files_of_earlier_versions_have_no_checksum_and_are_read(store):
    path = record(TEACHER, store)
    fields, expected = json.loads(path.read_text()), store.record(TEACHER)
    del fields[OF_RECORDS]
    path.write_text(json.dumps(fields))
    assert store.record(TEACHER) == expected

    path = weights(TEACHER, store)
    content, tensors = path.read_bytes(), read_tensors(path)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"][CHECKSUM]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    assert read_tensors(path)[1] == tensors[1]
    assert same(read_tensors(path), tensors)

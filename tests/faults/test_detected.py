"""Whatever is cut off or changed in a file is found, or changes nothing that the file says.

Hundreds of damages to each kind of file; each is found by whoever reads it, in one line.
"""

import json
from contextlib import suppress

import torch
from faults import BEGUN, STUDENT, TEACHER, checkpoint, damages, record, weights

from mcmi_core.base.errors import Damaged, StoreError
from mcmi_core.base.tensor_files import CHECKSUM, read_metadata, read_tensors
from mcmi_core.runs.records import CHECKSUM as OF_RECORDS
from mcmi_core.runs.records import read_record

NUMBER = 300


def same(read, expected):
    """Nothing that was written is missing or different; a misspelt checksum may be there."""
    (tensors, metadata), (others, about) = read, expected
    return (
        tensors.keys() == others.keys()
        and all(torch.equal(tensors[name], others[name]) for name in tensors)
        and all(metadata[name] == about[name] for name in about)
        and len(metadata) <= len(about) + 1
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
    name = path.read_bytes().index(OF_RECORDS.encode())
    for done in damages(path, NUMBER):
        kind, place = done.split()[0], int(done.split()[-1])
        try:
            assert read_record(path) == expected, done
        except Damaged as damage:
            assert str(damage).startswith(f"{path} is damaged (") and "\n" not in str(damage)
            found += 1
        except StoreError:  # a field that nobody knows may also be of another version
            assert kind == "bit" and name <= place // 8 < name + len(OF_RECORDS), done
            found += 1
    assert found > 1.9 * NUMBER


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

"""Tensors come back as they were, and nothing that could run code is read."""

import json

import pytest
import torch

from mcmi_core.base.errors import Damaged, StoreError
from mcmi_core.base.tensor_files import read_metadata, read_tensors, write_tensors

TENSORS = {"weight": torch.randn(3, 4), "steps": torch.tensor(7), "mask": torch.tensor([True])}


def test_tensors_round_trip_exactly(tmp_path):
    path = tmp_path / "new" / "weights.safetensors"
    write_tensors(path, TENSORS, {"epoch": 3, "history": [{"loss": 0.1}]})
    tensors, metadata = read_tensors(path)
    assert metadata == {"epoch": 3, "history": [{"loss": 0.1}]}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert read_metadata(path) == metadata


def test_the_order_of_tensors_is_always_the_same(tmp_path):
    names = [f"layer{number:02}" for number in range(50)]
    write_tensors(tmp_path / "weights", {name: torch.zeros(1) for name in reversed(names)})
    assert list(read_tensors(tmp_path / "weights")[0]) == names


def test_pickles_are_refused_with_the_way_out(tmp_path):
    for number, new_format in enumerate((True, False)):
        path = tmp_path / f"{number}.pt"
        torch.save(TENSORS, path, _use_new_zipfile_serialization=new_format)
        for read in (read_tensors, read_metadata):
            with pytest.raises(StoreError, match="is damaged.*torch.save.*`mcmi import-weights`"):
                read(path)


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_truncated_files_are_reported_as_damaged(tmp_path, keep):
    path = tmp_path / "weights.safetensors"
    write_tensors(path, TENSORS)
    path.write_bytes(path.read_bytes()[:keep])
    for read in (read_tensors, read_metadata):
        with pytest.raises(Damaged, match="weights.safetensors is damaged "):
            read(path)


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(StoreError, match="cannot read .*absent: No such file"):
        read_tensors(tmp_path / "absent")


@pytest.mark.parametrize("length", [640, 19280])
def test_a_header_whose_length_begins_a_pickle_or_a_zip_is_none(tmp_path, length):
    """Its first two bytes are those of a pickle (640) or a zip (19280 = 0x4b50)."""
    path = tmp_path / "weights.safetensors"
    write_tensors(path, TENSORS, {"padding": ""})
    padding = "x" * (length - int.from_bytes(path.read_bytes()[:8], "little"))
    write_tensors(path, TENSORS, {"padding": padding})  # a header is padded to a multiple of 8
    assert path.read_bytes()[:2] == length.to_bytes(2, "little")
    assert read_tensors(path)[1] == {"padding": padding}


def foreign(path, dtype, size, metadata=None):
    """A file of another program, with one tensor of two numbers in so many bytes."""
    header = {"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, size]}}
    text = json.dumps(header | {"__metadata__": metadata or {}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
    return path


@pytest.mark.parametrize(("dtype", "size"), [("F4", 1), ("F8_E8M0", 2), ("F99", 2)])
def test_types_that_torch_lacks_are_damage(tmp_path, dtype, size):
    with pytest.raises(Damaged, match=rf"a.safetensors is damaged \(.*{dtype}.*\)$"):
        read_tensors(foreign(tmp_path / "a.safetensors", dtype, size))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "no JSON", ""])
def test_metadata_of_other_programs_is_text(tmp_path, text):
    path = foreign(tmp_path / "a.safetensors", "F32", 8, {"model": text})
    assert read_metadata(path) == read_tensors(path)[1] == {"model": text}


def test_tied_weights_come_back_as_weights_of_their_own(tmp_path):
    weight = torch.randn(3, 3)
    parts = torch.randn(4, 4)
    tied = {"encoder": weight, "decoder": weight.T, "first": parts[:2], "second": parts[2:]}
    write_tensors(tmp_path / "weights.safetensors", tied)
    tensors, _ = read_tensors(tmp_path / "weights.safetensors")
    assert tensors.keys() == tied.keys()
    assert all(torch.equal(tensors[name], tied[name]) for name in tied)

"""What processes that share a run tell each other, and that one that is alone asks nobody."""

import pytest
import torch
from several_processes import on_processes

from mcmi_core.base import device, processes
from mcmi_core.base.errors import CompanionError, StoreError
from mcmi_core.base.processes import from_first, sum_over_processes, without_samples


def test_a_process_that_is_alone_is_the_first_of_one():
    assert (processes.rank(), processes.number(), processes.is_first()) == (0, 1, True)
    tensor = torch.ones(2)
    assert sum_over_processes(tensor) is tensor
    assert from_first(lambda: "found") == "found"
    processes.check_same("anything", object())
    processes.leave()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "0", "WORLD_SIZE": "1"}, False),
        ({"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2"}, False),
        ({"RANK": "1", "WORLD_SIZE": "2"}, False),  # as Kubernetes' operators for PyTorch set
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "1", "WORLD_SIZE": "2"}, True),
    ],
)
def test_torchrun_is_recognised_by_what_it_sets(monkeypatch, environment, expected):
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.launched() is expected


def sums():
    """Of rank + 1, its gradient for a loss of twice the sum, and a sum without the last process."""
    own = torch.tensor([float(processes.rank() + 1)], requires_grad=True)
    total = sum_over_processes(own)
    (2 * total).sum().backward()
    if processes.rank() == processes.number() - 1:
        with without_samples():
            rest = sum_over_processes(own)
    else:
        rest = sum_over_processes(own)
    return total.item(), own.grad.item(), rest.item(), sum_over_processes(own).item()


def test_sums_and_their_gradients_are_those_of_all_processes():
    """Every process has its own loss, and each of them depends on what every one has."""
    assert on_processes(3, sums) == [(6.0, 6.0, 3.0, 6.0)] * 3


def first_finds():
    return [from_first(lambda: f"{processes.rank()}"), from_first(lambda: None), processes.rank()]


def test_all_learn_what_the_first_finds():
    assert on_processes(3, first_finds) == [["0", None, 0], ["0", None, 1], ["0", None, 2]]


def first_fails():
    def find():
        raise StoreError(f"of {processes.rank()}")

    with pytest.raises(CompanionError) as told:
        from_first(find)
    return str(told.value), type(told.value).__name__


def test_all_learn_why_the_first_fails():
    assert on_processes(2, first_fails) == [("of 0", "StoreError"), ("of 0", "CompanionError")]


def differ(values):
    processes.check_same("the data", values[0])  # which is the same
    with pytest.raises(CompanionError) as told:
        processes.check_same("the data", values[processes.rank()])
    return str(told.value)


def test_what_has_to_be_the_same_is_named_where_it_differs():
    message = (
        "the data is a for process 0 and b for process 2; all processes need the same MCMI_STORE "
        "and MCMI_DATA"
    )
    assert on_processes(3, differ, ["a", "a", "b"]) == [message] * 3


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device.default_device() == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(CompanionError, match="process 2 of this machine has no GPU .* are 2; give"):
        device.default_device()

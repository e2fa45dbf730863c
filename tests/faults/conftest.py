"""What all faults are injected into."""

import faults
import pytest
import torch

from mcmi_core.runs import trainer
from mcmi_core.runs.store import Store


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A store with all runs of :mod:`faults`, which stays as it is."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "TIME_FOR_CHECKPOINTS", float("inf"))
        store = Store(tmp_path_factory.mktemp("whole") / "store")
        faults.fill(store)
    return store


@pytest.fixture
def store(whole, tmp_path):
    """A copy of it, to damage."""
    return faults.copy(whole, tmp_path / "store")

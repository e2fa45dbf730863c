"""Shared by the tests: networks and data so small that a run takes a fraction of a second."""

import pytest
import torch

from mcmi_core.runs import Recipe, Student, Teacher
from mcmi_core.store import Store

DATA = "oracle:train_size=200,test_size=100,dimension=16,latent_dimension=4,classes=4"


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors gain nothing from threads, and equal thread counts give equal bits."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No test reads or writes the user's store, outputs, caches or data."""
    for name in ("store", "output", "cache", "data"):
        monkeypatch.setenv(f"MCMI_{name.upper()}", str(tmp_path / name))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def mll_teacher(epochs=4, **changes) -> Teacher:
    recipe = Recipe(epochs=epochs, milestones=(3,), evaluate_every=2)
    settings = {"data": DATA, "model": "mlp:width=8", "objective": "mll", "recipe": recipe}
    return Teacher(**settings | changes)


def mcmi_teacher(centroids="tracked", lam=0.2, epochs=4, **changes) -> Teacher:
    recipe = Recipe(epochs=epochs, schedule="cosine")
    objective = f"mcmi:lam={lam},centroids={centroids}"
    return mll_teacher(objective=objective, start=mll_teacher(), recipe=recipe, **changes)


def kd_student(teacher=None, epochs=4, **changes) -> Student:
    settings = {"data": DATA, "model": "mlp:width=4", "distiller": "kd"}
    settings |= {
        "teacher": teacher or mll_teacher(),
        "recipe": Recipe(epochs=epochs, milestones=(3,)),
    }
    return Student(**settings | changes)

"""The check of a device: it finds what differs, by the distance that it says."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch

from mcmi_core.base.seeding import OwnRandomNumbers, seed_torch
from mcmi_core.objectives import MCMILoss
from mcmi_core.sprint import check as module
from mcmi_core.sprint.check import (
    LONG_METHOD,
    METHODS,
    TOLERANCES,
    Trained,
    check,
    distance,
    random_images,
)
from mcmi_core.training.trainee import Trainee

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Two steps on small batches of small images; too few to be better than guessing."""
    monkeypatch.setattr(MCMILoss, "check", lambda criterion, means: None)
    monkeypatch.setattr(module, "BATCH_SIZE", 10)
    monkeypatch.setattr(module, "IMAGE_SIZE", 8)
    monkeypatch.setattr(module, "trained", partial(module.trained, steps=2))


def test_a_cpu_trains_as_a_cpu_does():
    table = check(CPU)
    assert list(table.columns) == ["method", "compared", "distance", "tolerance", "agrees"]
    assert list(table.method) == [m for m in METHODS for _ in TOLERANCES] + 2 * [LONG_METHOD]
    long = ["graph beside another", "graph resumed"]
    assert list(table.compared) == list(TOLERANCES) * len(METHODS) + long
    assert table.agrees.all()
    assert (table.distance == 0).all()
    against_cpu = table[table.compared == "eager − CPU"].set_index("method").tolerance
    assert (against_cpu["kd"], against_cpu["crd"]) == (0.02, 0.25)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (0, {"eager − CPU"}),
        (1, {"eager − CPU", "graph − eager"}),
        (2, {"graph − eager", "graph again"}),
        (3, {"graph again"}),
        (4, {"graph, bf16"}),
        (5, {"graph, bf16"}),
    ],
)
def test_a_training_that_differs_is_found(monkeypatch, place, wrong):
    """Of those of a method, in turn: on the CPU, eager, two by graphs, two in bf16."""
    trained, seeds = module.trained, []

    def seed_once_otherwise(seed, epoch, purpose):
        seed_torch(seed + 1, epoch, purpose)

    def one_differs(*arguments, **settings):
        with monkeypatch.context() as patched:
            if len(seeds) == place:
                patched.setattr(module, "seed_torch", seed_once_otherwise)
            seeds.append(1)
            return trained(*arguments, **settings)

    monkeypatch.setattr(module, "trained", one_differs)
    table = check(CPU, ["mll"])
    assert set(table[~table.agrees].compared) == wrong
    assert (table[~table.agrees].distance > 0.02).all()
    assert len(seeds) == 6


def at(*weights):
    return Trained(torch.tensor(weights), torch.tensor([1.0, 1.0]))


def test_a_distance_is_a_share_of_the_others_way():
    assert distance(at(4.0, 5.0), at(4.0, 5.0)) == 0
    assert distance(at(4.0, 5.0), at(1.0, 3.0)) == pytest.approx(13**0.5 / 2)  # (3, 2) of (0, 2)
    assert distance(at(1.0, 3.0), at(4.0, 5.0)) == pytest.approx(13**0.5 / 5)  # of (3, 4)


def test_bf16_is_another_training_and_more_steps_go_further():
    full, halved = (module.trained("mll", CPU, precision=name) for name in ("float32", "bf16"))
    assert torch.equal(full.start, halved.start)
    assert 0 < distance(halved, full) < 0.5
    longer = module.trained("mll", CPU, steps=6)
    assert (longer.weights - longer.start).norm() > (full.weights - full.start).norm()


@pytest.mark.parametrize("broken", ["random numbers of its own", "checkpoints"])
def test_a_training_that_is_disturbed_or_resumed_wrongly_is_found(monkeypatch, broken):
    monkeypatch.setattr("mcmi_core.training.loop.CHECK_EVERY", 2)  # so that lanes take turns
    assert module._go_on_alike(CPU) == {"graph beside another": 0, "graph resumed": 0}
    if broken == "checkpoints":
        restore = Trainee.restore

        def without_momentum(trainee, tensors):
            restore(trainee, {k: 0 * v if "momentum" in k else v for k, v in tensors.items()})

        monkeypatch.setattr(Trainee, "restore", without_momentum)
    else:
        monkeypatch.setattr(OwnRandomNumbers, "in_use", lambda self: nullcontext())
    apart = module._go_on_alike(CPU)
    assert (apart["graph beside another"] > 0) == (broken != "checkpoints")
    assert (apart["graph resumed"] > 0) == (broken == "checkpoints")


def test_images_can_be_told_apart_by_their_brightness():
    dataset = random_images(200)
    inputs, labels = dataset.train.inputs.double(), dataset.train.labels
    brightness = torch.stack([inputs[labels == label].mean() for label in range(10)])
    assert (brightness.diff() > 5).all()
    assert dataset.num_classes == 10


def test_negatives_are_of_other_classes_whatever_the_device():
    negatives = module._SameNegatives(samples=37)
    indices = torch.arange(30)
    chosen = negatives(indices, 25)
    assert chosen.shape == (30, 25)
    assert chosen.min() >= 0 and chosen.max() < 30
    assert (chosen % 10 != indices[:, None] % 10).all()
    assert all(len(row.unique()) == 25 for row in chosen)

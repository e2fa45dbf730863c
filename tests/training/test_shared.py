"""Steps on several processes are those of one, whatever is trained and however batches divide."""

import copy
from functools import cache

import pytest
import torch
from several_processes import on_processes
from tiny_networks import tiny_network

from mcmi_core.base import processes
from mcmi_core.components import DISTILLERS
from mcmi_core.criterion import Criterion
from mcmi_core.data import Dataset, Split
from mcmi_core.data.loader import EpochPlan, training_batches
from mcmi_core.distillers.hsakd import HeadsLoss
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.sprint.check import criterion_of
from mcmi_core.training.global_batch_norm import use_global_statistics
from mcmi_core.training.loop import run_in_step, training
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.shared import SharedSteps

CPU = torch.device("cpu")
HEADS = "a teacher's auxiliary heads"
SHAREABLE = (
    HEADS,
    "mll",
    "mcmi:lam=0.2,centroids=fixed",
    "mcmi:lam=0.2,centroids=tracked",
    "label_smoothing:share=0.1",
    "entropy:weight=0.1",
    "mse",
    "kd",
    "masked_kd:classes=2",
    "semi_kd:labelled_fraction=0.5",
    "lskd",
    "dkd:warmup_epochs=2",
    "fitnet",
    "at",
    "nst",
    "vid",
    "reviewkd:warmup_epochs=2",
    "hsakd",
    "ab:initial_epochs=1",
    "ft:initial_epochs=1",
    "fsp:initial_epochs=1",
)
PROCESSES = 3
BATCH_SIZE, SAMPLES = 8, 18
"""Two batches that three processes cannot divide evenly, and one of two, of which one has none."""


@cache
def images() -> Dataset:
    """Float64 images, so that an order of sums hardly matters."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(SAMPLES, 1, 8, 8, generator=generator, dtype=torch.float64)
    split = Split(pixels, torch.arange(SAMPLES) % 3)
    return Dataset("noise", split, split, tuple("abc"), augmentation="crop_flip")


def a_plan(epoch: int) -> EpochPlan:
    sizes = {"batch_size": BATCH_SIZE, "epoch_length": SAMPLES, "device": CPU}
    share = {"part": processes.rank(), "parts": processes.number()}
    return training_batches(images(), images().train, seed=0, epoch=epoch, **sizes, **share)


def trained(method: str) -> tuple[list, dict]:
    """History and state after two epochs of three steps, by however many processes there are."""
    model, checkpoints = tiny_network(0), []
    torch.manual_seed(2)
    if method == HEADS:
        model, criterion = HeadedNetwork(model).double(), HeadsLoss()
    else:
        criterion = criterion_of(method, model, tiny_network(1), images()).double()
    getattr(criterion, "teacher", model).double()  # its heads
    criterion.check = lambda means: None  # MCMI starts no better than guessing
    if processes.number() > 1:
        use_global_statistics(model)
        use_global_statistics(criterion)
    one = training(
        model,
        criterion,
        a_plan,
        Recipe(epochs=2, learning_rate=0.01, milestones=(1,)),
        seed=0,
        evaluate=lambda last: {},
        on_epoch_end=lambda checkpoint: checkpoints.append(copy.deepcopy(checkpoint)),
    )
    advance = [SharedSteps().advance] if processes.number() > 1 else []
    [history] = run_in_step([one], *advance)
    return [row | {"metrics": 0} for row in history], checkpoints[-1].tensors


def all_trained() -> dict[str, tuple[list, dict]]:
    return {method: trained(method) for method in SHAREABLE}


@pytest.fixture(scope="module")
def shared():
    """Of each method, what each process ends with."""
    return on_processes(PROCESSES, all_trained)


@pytest.mark.parametrize("method", SHAREABLE)
def test_several_processes_train_as_one_does(method, shared):
    history, tensors = trained(method)
    for answers in shared:
        other_history, other_tensors = answers[method]
        for row, other in zip(history, other_history, strict=True):
            assert other == pytest.approx(row, rel=1e-9)
        assert other_tensors.keys() == tensors.keys()
        torch.testing.assert_close(other_tensors, tensors, rtol=0, atol=1e-10)


def test_every_distiller_that_can_be_shared_is_tried():
    able = {name for name in DISTILLERS if DISTILLERS.load(name).shareable}
    assert able == {method.partition(":")[0] for method in SHAREABLE} & set(DISTILLERS)


class Draws(Criterion):
    """Keeps what a step draws, as dropout would."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def terms(self, model, batch):
        self.drawn.append(torch.rand(()).item())
        return {"size": model(batch.inputs).square().mean()}


def drawn():
    model, criterion = tiny_network(0), Draws()
    settings = {"recipe": Recipe(epochs=2), "seed": 0, "evaluate": lambda last: {}}
    run_in_step([training(model, criterion, a_plan, **settings)], SharedSteps().advance)
    return criterion.drawn


def test_processes_draw_random_numbers_of_their_own():
    """The same in a run that is repeated, other ones in every process and epoch."""
    first, second = on_processes(2, drawn)
    assert len({*first, *second}) == len(first + second) == 12
    assert on_processes(2, drawn) == [first, second]

"""bf16 steps against float32 ones: the same training, the same files."""

import copy

import pytest
import torch
from small_runs import OBJECTIVES_WITH_OPTIONS, OPTIONS
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from mcmi_core.base.device import place
from mcmi_core.components import DISTILLERS, OBJECTIVES
from mcmi_core.data.loader import Batch
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.models.resnet import ResNet
from mcmi_core.training.loop import train
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.trainee import autocast_of

CPU = torch.device("cpu")
CLASSES, SIZE = 4, 40
TOLERANCES = {
    "mll": 0.01,
    "mcmi:lam=0.2,centroids=fixed": 0.01,
    "mcmi:lam=0.2,centroids=tracked": 0.01,
    "kd": 0.01,
    "crd": 0.01,
    "at": 0.1,
    "rkd": 0.1,
}
"""Of bf16 loss curves, as a share of the first loss: bf16 rounds by up to 0.4 %, which the large
weights of some terms multiply."""


def network(seed=0):
    torch.manual_seed(seed)
    return place(ResNet(8, (4, 4, 8, 16), num_classes=CLASSES, in_channels=3), CPU)


def epoch_batches(epoch):
    """Images of classes that differ in brightness, in batches of 16, 16 and 8."""
    labels = torch.arange(SIZE) % CLASSES
    images = torch.randn(SIZE, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images += labels[:, None, None, None]
    order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(epoch))
    return [Batch(images[i], labels[i], i) for i in order.split(16)]


def make_criterion(name, student):
    torch.manual_seed(2)
    if name in OBJECTIVES_WITH_OPTIONS:
        return OBJECTIVES.build(name, num_classes=CLASSES)
    teacher = network(seed=1)
    return DISTILLERS.build(
        OPTIONS.get(name, name),
        student=student,
        teacher=HeadedNetwork(teacher) if name == "hsakd" else teacher,
        sample=epoch_batches(0)[0].inputs[:2],
        labels=torch.arange(SIZE) % CLASSES,
    )


@torch.no_grad()
def outputs(model):
    return model.eval()(epoch_batches(0)[0].inputs)


def trained(name, model=None, resume_from=None, **options):
    """The history of a training, its model, and the checkpoint of every epoch."""
    model = model or (trained("mll")[1] if name.startswith("mcmi") else network())
    checkpoints = []
    history = train(
        model,
        make_criterion(name, model),
        epoch_batches,
        Recipe(epochs=4, learning_rate=0.01, milestones=(), **options),
        seed=0,
        evaluate=lambda last: {"test": {"mean": outputs(model).mean().item()}},
        resume_from=resume_from,
        on_epoch_end=lambda checkpoint: checkpoints.append(copy.deepcopy(checkpoint)),
    )
    return history, model, checkpoints


def losses(history):
    """Sum of the terms of each epoch."""
    return torch.tensor(
        [sum(value for name, value in row.items() if name.startswith("loss_")) for row in history]
    )


@pytest.mark.parametrize(("name", "tolerance"), TOLERANCES.items())
def test_bf16_trains_as_float32_does(name, tolerance):
    expected, halved = (losses(trained(name, precision=p)[0]) for p in ("float32", "bf16"))
    assert not torch.equal(expected, halved)
    torch.testing.assert_close(halved, expected, rtol=0, atol=tolerance * expected[0])
    assert expected[0] - expected[-1] > tolerance * expected[0]  # it learns more than that


@pytest.mark.parametrize("name", ["mcmi:lam=0.2,centroids=fixed", "crd", "fitnet"])
def test_all_that_training_keeps_is_float32(name):
    *_, (*_, last) = trained(name, precision="bf16")
    assert {t.dtype for t in last.tensors.values() if t.is_floating_point()} == {torch.float32}


def test_evaluation_is_float32():
    history, model, _ = trained("mll", precision="bf16")
    plain = network(seed=5)
    plain.load_state_dict(model.state_dict())
    assert outputs(plain).dtype == torch.float32
    assert history[-1]["metrics"]["test"]["mean"] == outputs(plain).mean().item()


@pytest.mark.parametrize("name", ["mcmi:lam=0.2,centroids=tracked", "kd", "crd"])
def test_bf16_training_resumes_exactly(name):
    history, model, checkpoints = trained(name, precision="bf16")
    again, resumed, _ = trained(name, network(5), checkpoints[1], precision="bf16")
    assert again == history
    first, second = model.state_dict(), resumed.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


class HalvedProducts(TorchDispatchMode):
    """Notes convolutions and matrix products in bf16, and in which layer, if any, they are."""

    def __init__(self):
        super().__init__()
        self.layers = []
        self.seen = []

    def __enter__(self):
        self.hooks = (
            register_module_forward_pre_hook(lambda module, args: self.layers.append(module)),
            register_module_forward_hook(lambda module, args, output: self._leave()),
        )
        return super().__enter__()

    def _leave(self):
        self.layers.pop()

    def __exit__(self, *error):
        for hook in self.hooks:
            hook.remove()
        super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        products = ("mm", "addmm", "bmm", "baddbmm", "convolution", "mkldnn_linear")
        if function.overloadpacket.__name__ in products and result.dtype == torch.bfloat16:
            self.seen.append(type(self.layers[-1]) if self.layers else None)
        return result


@pytest.mark.parametrize("name", [*OBJECTIVES_WITH_OPTIONS, *DISTILLERS])
def test_only_layers_are_halved(name):
    """Losses are float32, and so are their own products; they agree with those of float32."""
    batch, terms = epoch_batches(0)[0], {}
    for precision in ("float32", "bf16"):
        model = network().train()
        criterion = make_criterion(name, model).train()
        criterion.start_epoch(100)  # after every warm-up
        if name.startswith("mcmi"):
            criterion.prepare(model, epoch_batches(0))
        torch.manual_seed(0)
        with HalvedProducts() as halved, autocast_of(Recipe(precision=precision), CPU):
            terms[precision] = criterion.terms(model, batch)
        if precision == "float32":
            assert halved.seen == []
    layers = {nn.Conv2d, nn.ConvTranspose2d, nn.Linear}
    assert halved.seen
    assert set(halved.seen) <= layers
    assert all(term.dtype == torch.float32 for term in terms["bf16"].values())
    torch.testing.assert_close(terms["bf16"], terms["float32"], rtol=0.05, atol=0.01)

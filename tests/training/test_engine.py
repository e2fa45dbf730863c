"""bf16 and compiled steps against eager float32 ones: the same training, the same files."""

import contextlib
import copy

import pytest
import torch
from small_runs import OBJECTIVES_WITH_OPTIONS, OPTIONS
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from mcmi_core.base.device import place
from mcmi_core.base.errors import CompanionError
from mcmi_core.data.loader import Batch
from mcmi_core.distillers import DISTILLERS
from mcmi_core.models import create_model
from mcmi_core.models.auxiliary import HeadedNetwork
from mcmi_core.models.resnet import ResNet
from mcmi_core.objectives import OBJECTIVES
from mcmi_core.runs import Recipe
from mcmi_core.training.engine import Engine
from mcmi_core.training.loop import train

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
    for indices in order.split(16):
        yield Batch(images[indices], labels[indices], indices)


def make_criterion(name, student):
    torch.manual_seed(2)
    if name in OBJECTIVES_WITH_OPTIONS:
        return OBJECTIVES.build(name, num_classes=CLASSES)
    teacher = network(seed=1)
    return DISTILLERS.build(
        OPTIONS.get(name, name),
        student=student,
        teacher=HeadedNetwork(teacher) if name == "hsakd" else teacher,
        sample=next(epoch_batches(0)).inputs[:2],
        labels=torch.arange(SIZE) % CLASSES,
    )


@torch.no_grad()
def outputs(model):
    return model.eval()(next(epoch_batches(0)).inputs)


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
    batch, terms = next(epoch_batches(0)), {}
    for precision in ("float32", "bf16"):
        model = network().train()
        criterion = make_criterion(name, model).train()
        criterion.start_epoch(100)  # after every warm-up
        if name.startswith("mcmi"):
            criterion.prepare(model, epoch_batches(0))
        engine = Engine(Recipe(precision=precision), CPU, [model, *criterion.networks()])
        torch.manual_seed(0)
        with HalvedProducts() as halved, engine:
            terms[precision] = criterion.terms(model, batch)
        if precision == "float32":
            assert halved.seen == []
    layers = {nn.Conv2d, nn.ConvTranspose2d, nn.Linear}
    assert halved.seen
    assert set(halved.seen) <= layers
    assert all(term.dtype == torch.float32 for term in terms["bf16"].values())
    torch.testing.assert_close(terms["bf16"], terms["float32"], rtol=0.05, atol=0.01)


def mlp(seed):
    torch.manual_seed(seed)
    size = {"num_classes": 3, "in_channels": 5, "image_size": 1}
    return create_model("mlp:width=4,depth=1", **size).double()


def vectors(epoch):
    """Batches of 8, 8 and 4 samples."""
    inputs = torch.randn(20, 5, generator=torch.Generator().manual_seed(epoch)).double()
    for indices in torch.arange(20).split(8):
        yield Batch(inputs[indices], indices % 3, indices)


def trained_on_vectors(engine):
    """A student of features, its history, and an evaluation between epochs."""
    model = mlp(0)
    inputs = torch.ones(3, 5).double()
    history = train(
        model,
        DISTILLERS.build("rkd", student=model, teacher=mlp(1)),
        vectors,
        Recipe(epochs=2, learning_rate=0.02, milestones=(), engine=engine),
        seed=0,
        evaluate=lambda last: {"test": {"mean": model.eval()(inputs).mean().item()}},
    )
    return model, history


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_compiled_steps_train_as_eager_ones_do():
    eager, expected = trained_on_vectors("eager")
    compiled, history = trained_on_vectors("compiled")
    for row, expected_row in zip(history, expected, strict=True):
        metrics, expected_metrics = row.pop("metrics"), expected_row.pop("metrics")
        assert row == pytest.approx(expected_row, rel=1e-9)
        assert metrics["test"] == pytest.approx(expected_metrics["test"], rel=1e-9)
    assert "features" not in vars(compiled)
    fresh = mlp(2)
    fresh.load_state_dict(compiled.state_dict())  # the names are a plain network's
    torch.testing.assert_close(fresh.state_dict(), eager.state_dict(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("device", "mode"), [("cpu", "default"), ("cuda", "reduce-overhead")])
def test_on_a_gpu_networks_become_cuda_graphs(device, mode, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda method, **options: asked.append(options) or method)
    Engine(Recipe(engine="compiled"), torch.device(device), [network(), network()])
    assert asked == 4 * [{"mode": mode, "dynamic": False}]  # forward and features of each


@pytest.mark.parametrize("fails", [False, True])
def test_networks_are_themselves_again_after_a_step(fails, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda method, **options: "compiled")
    model = network()
    engine = Engine(Recipe(engine="compiled", precision="bf16"), CPU, [model])
    with contextlib.suppress(ZeroDivisionError), engine:
        assert model.forward == model.features == "compiled"
        assert torch.is_autocast_enabled("cpu")
        if fails:
            raise ZeroDivisionError
    assert not torch.is_autocast_enabled("cpu")
    assert {"forward", "features"}.isdisjoint(vars(model))


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    message = "engine 'compiled' needs a C\\+\\+ compiler, and there is no 'no-such-compiler -O2'"
    with pytest.raises(CompanionError, match=f"{message}.*or use engine 'eager'"):
        trained("mll", engine="compiled")
    trained("mll")  # needs none

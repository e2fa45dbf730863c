"""Weights of others: taken whole, into their places, or refused with what does not fit."""

import hashlib
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from reference_layers import randomise_norms
from torch import nn
from torchvision.models import get_model
from torchvision.models.resnet import BasicBlock

from mcmi_core import cli
from mcmi_core.base.errors import StoreError
from mcmi_core.base.tensor_files import write_tensors
from mcmi_core.models import create_model
from mcmi_core.models.imported import import_weights
from mcmi_core.models.pretrained import describe_pretrained, load_pretrained

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.manual_seed(0))


@pytest.fixture
def convert(tmp_path):
    """Import what ``torch.save`` writes of some content, as a network of 10 classes."""

    def run(content, model="resnet8", num_classes=10, **settings):
        torch.save(content, tmp_path / "theirs.pth")
        target = tmp_path / "new" / "ours.safetensors"
        said = import_weights(
            tmp_path / "theirs.pth", target, model, num_classes=num_classes, **settings
        )
        assert said.startswith(f"{target}: ")
        return load_pretrained(str(target))

    return run


def trained(name="resnet8", **settings):
    torch.manual_seed(1)
    network = create_model(name, num_classes=10, **settings)
    randomise_norms(network)
    return network.eval()


def prefixed(state, prefix):
    return OrderedDict((prefix + name, value) for name, value in state.items())


class PublicResNet(nn.Module):
    """ResNet-20 with the names that RepDistiller, and with it most of this literature, gives."""

    def __init__(self, num_classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = self.layer(16, 16, 1)
        self.layer2 = self.layer(16, 32, 2)
        self.layer3 = self.layer(32, 64, 2)
        self.fc = nn.Linear(64, num_classes)

    @staticmethod
    def layer(before, width, stride):
        shortcut = None
        if stride > 1:
            convolution = nn.Conv2d(before, width, 1, stride, bias=False)
            shortcut = nn.Sequential(convolution, nn.BatchNorm2d(width))
        first = BasicBlock(before, width, stride, shortcut)
        return nn.Sequential(first, BasicBlock(width, width), BasicBlock(width, width))

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


@torch.no_grad()
def test_a_checkpoint_of_the_distillation_literature_gives_its_logits(convert):
    torch.manual_seed(2)
    theirs = PublicResNet(100)
    randomise_norms(theirs)
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1, momentum=0.9)
    content = {"epoch": 240, "model": theirs.state_dict(), "best_acc": torch.tensor([72.3])}
    content["optimizer"] = optimizer.state_dict()
    ours = convert(content, "resnet20", 100)
    torch.testing.assert_close(ours(IMAGES), theirs.eval()(IMAGES), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_torchvision_s_resnet_gives_its_logits(convert):
    torch.manual_seed(3)
    theirs = get_model("resnet18", num_classes=5)
    randomise_norms(theirs)
    ours = convert(theirs.state_dict(), "imagenet_resnet18", 5, image_size=64)
    torch.testing.assert_close(ours(IMAGES), theirs.eval()(IMAGES), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "around",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"net": state, "lr": [0.1, 0.01]},
        lambda state: {"anything": state, "numbers": {"a": 1}},
        lambda state: {"ema": prefixed(state, "x."), "model": state},
        lambda state: {"model": prefixed(state, "module."), "best": 0.7},
        lambda state: prefixed(state, "_orig_mod."),
        lambda state: prefixed(state, "module._orig_mod."),
        lambda state: {name: nn.Parameter(value, False) for name, value in state.items()},
        lambda state: {n: v.double() if v.is_floating_point() else v for n, v in state.items()},
    ],
)
@torch.no_grad()
def test_what_lies_around_the_weights_is_taken_off(around, convert):
    network = trained()
    assert torch.equal(convert(around(network.state_dict()))(IMAGES), network(IMAGES))


def test_the_file_says_what_it_is_and_where_it_comes_from(convert, tmp_path):
    convert(trained().state_dict())
    digest = hashlib.sha256((tmp_path / "theirs.pth").read_bytes()).hexdigest()
    assert describe_pretrained(str(tmp_path / "new" / "ours.safetensors")) == {
        "model": "resnet8",
        "num_classes": 10,
        "in_channels": 3,
        "image_size": 32,
        "source": "theirs.pth",
        "source_sha256": digest,
    }


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


STATE = trained().state_dict()
NAN = torch.tensor([0.0] * 9 + [float("nan")])
REFUSED = {
    "missing": (without(STATE, "head.bias"), "does not fit resnet8: 1 missing: head.bias"),
    "unknown": (STATE | {"extra": torch.ones(1)}, "does not fit resnet8: 1 unknown: 'extra'"),
    "many": (
        {"head.bias": STATE["head.bias"]},
        "55 missing: stem.0.weight, stem.1.weight, stem.1.bias, stem.1.running_mean, "
        "stem.1.running_var, and 50 more",
    ),
    "shape": (
        STATE | {"head.bias": torch.ones(3)},
        "1 of another shape: head.bias float32[3] instead of float32[10]",
    ),
    "integers": (
        STATE | {"head.bias": torch.ones(10, dtype=torch.int64)},
        "1 of another shape: head.bias int64[10] instead of float32[10]",
    ),
    "complex": (
        STATE | {"head.bias": torch.ones(10, dtype=torch.complex64)},
        "1 of another shape: head.bias complex64[10] instead of float32[10]",
    ),
    "NaN": (STATE | {"head.bias": NAN}, "holds NaN or inf in 'head.bias'"),
    "other names, too few": (
        {"fc.bias": torch.ones(10)},
        "does not fit resnet8: none of its names is one of the model's, and in their order they "
        "are 1 tensors instead of 56",
    ),
    "other names, another shape": (
        prefixed(STATE | {"head.bias": torch.ones(3)}, "x."),
        "in their order 'x.head.bias' float32[3] stands for 'head.bias' float32[10]",
    ),
    "other names, another role": (
        {name[:-1] + "x" if name == "head.bias" else f"x.{name}": v for name, v in STATE.items()},
        "in their order 'head.biax' float32[10] stands for 'head.bias' float32[10]",
    ),
    "no dict": (torch.ones(3), "holds no state dict, a dict of tensors by name, but Tensor"),
    "no tensors": ({"epoch": 3, "lr": 0.1}, "but a dict with 'epoch', 'lr'"),
    "empty": ({}, "holds no state dict, a dict of tensors by name, but an empty dict"),
    "forged": (
        STATE | {"x\nmcmi: written": NAN, "y" * 3000: NAN},
        r"2 unknown: 'x\nmcmi: written', 'yyy",
    ),
    "forged, of no tensors": ({"x\nmcmi: written": 3}, r"a dict with 'x\nmcmi: written'"),
    "forged, other names": (
        prefixed(STATE | {"head.bias": torch.ones(3)}, "x\n" * 1000),
        r"in their order 'x\nx\n",
    ),
    "forged, NaN": (
        prefixed(STATE | {"head.bias": NAN}, "x\n" * 1000),
        r"holds NaN or inf in 'x\nx\n",
    ),
    "sparse": ({"weight": torch.eye(3).to_sparse()}, "holds no state dict"),
    "meta": ({"weight": torch.ones(3, device="meta")}, "holds no state dict"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of sparse tensors
@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_fit_is_said_and_nothing_is_written(kind, convert, tmp_path):
    content, message = REFUSED[kind]
    with pytest.raises(StoreError) as refused:
        convert(content)
    assert str(refused.value).startswith(f"{tmp_path / 'theirs.pth'} ")
    assert message in str(refused.value)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 600
    assert not (tmp_path / "new").exists()


def test_a_tensor_that_only_says_to_be_large_takes_no_memory(convert):
    """One number, repeated a million million times by its strides."""
    with pytest.raises(StoreError, match=r"float32\[1000000000000\] instead of float32\[10\]"):
        convert(STATE | {"head.bias": torch.ones(1).expand(10**12)})


def test_the_source_is_never_the_target(tmp_path):
    with pytest.raises(ValueError, match=r"written as NAME.safetensors, got '.*theirs.pth'$"):
        import_weights(tmp_path / "a.pth", tmp_path / "theirs.pth", "resnet8", num_classes=10)


def test_paths_are_texts_or_paths_and_said_in_a_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(STATE, "their\n.pth")
    said = import_weights("their\n.pth", "our\n.safetensors", "resnet8", num_classes=10)
    assert said == r"our\n.safetensors: 56 tensors of resnet8, taken by name"
    for path in ("our\n.safetensors", Path("our\n.safetensors")):
        assert describe_pretrained(path)["source"] == "their\n.pth"
        assert torch.equal(load_pretrained(path).head.bias, STATE["head.bias"])
    torch.save({}, "their\n.pth")
    with pytest.raises(StoreError, match=r"^their\\n.pth holds no state dict"):
        import_weights("their\n.pth", "our\n.safetensors", "resnet8", num_classes=10)


def test_an_unknown_model_is_refused(convert):
    with pytest.raises(ValueError, match="unknown model 'resnet9'; choose from resnet8"):
        convert(STATE, "resnet9")


def test_a_file_of_another_program_or_for_another_model_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    about = {"model": "resnet8", "num_classes": 10, "in_channels": 3, "image_size": 32}
    for wrong in (
        {},
        {"model": "resnet9"},
        about | {"num_classes": 1},
        about | {"num_classes": "10"},
        about | {"num_classes": 10**20},
        about | {"model": 3},
        about | {"model": {"name": "resnet8"}},
        about | {"model": "resnet8\nx" * 1000},
        about | {"model": f"mlp:width={10**18}"},
        without(about, "image_size"),
    ):
        write_tensors(path, STATE, wrong)
        with pytest.raises(StoreError, match=r"does not say of which .+ \(.+\): it was n") as error:
            load_pretrained(str(path))
        assert str(error.value).isprintable() and len(str(error.value)) < 600
    write_tensors(path, STATE, about | {"model": f"mlp:width={10**9}"})  # larger than any memory
    with pytest.raises(StoreError, match="does not fit mlp:width=1000000000: 12 missing: "):
        load_pretrained(str(path))


def test_to_look_at_a_model_draws_no_random_number(convert):
    convert(STATE)
    torch.manual_seed(0)
    expected = create_model("resnet8", num_classes=10), torch.get_rng_state()
    torch.manual_seed(0)
    convert(STATE)
    assert torch.equal(torch.get_rng_state(), expected[1])


def test_the_command_line_imports(tmp_path, monkeypatch, capsys):
    torch.save({"model": STATE}, tmp_path / "theirs.pth")
    out = tmp_path / "ours.safetensors"
    command = ["import-weights", str(tmp_path / "theirs.pth"), "--model", "resnet8"]
    command += ["--num-classes", "10", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["mcmi", *command])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code in (0, None)
    assert capsys.readouterr().out == f"{out}: 56 tensors of resnet8, taken by name\n"

"""CIFAR from a stand-in for torchvision's classes: no network, a few images."""

from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import datasets

from mcmi_core.base.errors import DataError
from mcmi_core.base.paths import data_root
from mcmi_core.data.cifar import STATISTICS, cifar10, cifar100

CIFAR = {"cifar10": (cifar10, 10, 50), "cifar100": (cifar100, 100, 100)}


@pytest.fixture(params=CIFAR)
def name(request):
    return request.param


@pytest.fixture
def torchvision(monkeypatch, name):
    """A class that holds random images, and remembers how it was called."""
    _, classes, size = CIFAR[name]

    class Stub:
        filename = f"{name}-python.tar.gz"
        base_folder, tgz_md5 = f"{name}-batches-py", "0"
        train_list, test_list = [("data_batch_1", "0")], [("test_batch", "0")]
        meta = {"filename": "batches.meta", "md5": "0"}  # noqa: RUF012
        calls = ()
        present = True
        failure = None

        def __init__(self, root, train=True, download=False):
            assert root == data_root()
            Stub.calls = (*Stub.calls, (train, download))
            if download and Stub.failure:
                raise Stub.failure
            Stub.present |= download
            if not Stub.present:
                raise RuntimeError("Dataset not found or corrupted.")
            generator = np.random.default_rng(int(train))
            shape = (size if train else size - 1, 32, 32, 3)
            self.data = generator.integers(256, size=shape, dtype=np.uint8)
            self.targets = generator.integers(classes, size=len(self.data)).tolist()
            self.classes = [f"class {k}" for k in range(classes)]

    monkeypatch.setattr(datasets, name.upper(), Stub)
    return Stub


def load(name):
    return CIFAR[name][0]()


def test_images_and_labels_are_torchvisions(torchvision, name):
    dataset = load(name)
    for split, train in ((dataset.train, True), (dataset.test, False)):
        truth = torchvision(data_root(), train=train)
        assert split.inputs.dtype == torch.uint8 and split.inputs.is_contiguous()
        assert np.array_equal(split.inputs.numpy(), truth.data.transpose(0, 3, 1, 2))
        assert split.labels.tolist() == truth.targets
    assert dataset.class_names == tuple(truth.classes)


def test_what_is_there_is_not_downloaded(torchvision, name):
    load(name)
    assert torchvision.calls == ((True, False), (False, False))


def test_what_is_missing_is_downloaded_once(torchvision, name):
    torchvision.present = False
    first = load(name)
    assert torchvision.calls == ((True, False), (True, True), (False, True))
    torchvision.calls = ()
    assert load(name).fingerprint() == first.fingerprint()
    assert torchvision.calls == ((True, False), (False, False))


@pytest.mark.parametrize(
    "failure", [URLError("no network"), RuntimeError("File not found or corrupted.")]
)
def test_what_cannot_be_downloaded_is_said_with_its_folder(torchvision, name, failure):
    torchvision.present, torchvision.failure = False, failure
    with pytest.raises(DataError) as caught:
        load(name)
    assert str(caught.value) == (
        f"{name} is not in {data_root()} and cannot be downloaded ({failure}). On a machine with "
        f"a network, fetch {name}-python.tar.gz, then put it there or name its folder in MCMI_DATA"
    )


@pytest.mark.parametrize(
    ("place", "reason"), [("file/data", "Not a directory"), ("/proc/nowhere", "No such file or")]
)
def test_a_folder_that_cannot_be_made_is_said(
    torchvision, name, place, reason, tmp_path, monkeypatch
):
    torchvision.present = False
    (tmp_path / "file").write_text("in the way")
    root = tmp_path / place
    monkeypatch.setenv("MCMI_DATA", str(root))
    with pytest.raises(DataError) as caught:
        load(name)
    said = f"{name} is not in {root} and cannot be downloaded (cannot lock {root}/.{name}.lock: "
    assert str(caught.value).startswith(said + reason)
    assert str(caught.value).endswith(
        f"fetch {name}-python.tar.gz, then put it there or name its folder in MCMI_DATA"
    )


def test_statistics_are_those_of_the_literature(torchvision, name):
    assert STATISTICS == {
        "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    }
    dataset = load(name)
    assert (dataset.mean, dataset.std) == STATISTICS[name]


def test_training_crops_and_flips(torchvision, name):
    dataset = load(name)
    assert dataset.name == name
    assert dataset.augmentation == "crop_flip"
    assert (dataset.num_classes, dataset.in_channels, dataset.image_size) == (
        CIFAR[name][1],
        3,
        32,
    )


def test_these_are_the_classes_of_torchvision(name):
    """What the stand-in assumes of the real ones."""
    real = getattr(datasets, name.upper())
    assert real.filename == f"cifar-{name.removeprefix('cifar')}-python.tar.gz"
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        real(data_root(), train=True)

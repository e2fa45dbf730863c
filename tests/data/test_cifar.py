"""CIFAR from a stand-in for torchvision's classes: no network, a few images.

What a malicious archive does: tests/security/test_archives.py.
"""

import io
import tarfile
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
        url, filename, tgz_md5 = "https://example.org", f"{name}-python.tar.gz", "checksum"
        base_folder = f"{name}-batches-py"
        train_list, test_list = [("data_batch_1", "0")], [("test_batch", "0")]
        meta = {"filename": "batches.meta", "md5": "0"}  # noqa: RUF012
        calls = ()
        present = True
        failure = None

        def __init__(self, root, train=True):
            assert root == data_root()
            Stub.calls = (*Stub.calls, train)
            if not (Stub.present or (root / Stub.base_folder / "train").exists()):
                raise RuntimeError("Dataset not found or corrupted.")
            generator = np.random.default_rng(int(train))
            shape = (size if train else size - 1, 32, 32, 3)
            self.data = generator.integers(256, size=shape, dtype=np.uint8)
            self.targets = generator.integers(classes, size=len(self.data)).tolist()
            self.classes = [f"class {k}" for k in range(classes)]

    def download(url, root, filename, md5):
        assert (url, filename, md5) == (Stub.url, Stub.filename, Stub.tgz_md5)
        if Stub.failure:
            raise Stub.failure
        Stub.calls = (*Stub.calls, "download")
        with tarfile.open(root / filename, "w:gz") as archive:
            for member, kind in (("", tarfile.DIRTYPE), ("/train", tarfile.REGTYPE)):
                info = tarfile.TarInfo(f"{Stub.base_folder}{member}")
                info.type, info.size = kind, 3 if member else 0
                archive.addfile(info, io.BytesIO(b"abc"))

    monkeypatch.setattr(datasets, name.upper(), Stub)
    monkeypatch.setattr(datasets.utils, "download_url", download)
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
    assert torchvision.calls == (True, False)


def test_what_is_missing_is_downloaded_once(torchvision, name):
    torchvision.present = False
    first = load(name)
    assert torchvision.calls == (True, True, "download", True, False)
    assert (data_root() / torchvision.base_folder / "train").read_bytes() == b"abc"
    torchvision.calls = ()
    assert load(name).fingerprint() == first.fingerprint()
    assert torchvision.calls == (True, False)


def test_what_another_process_has_downloaded_meanwhile_is_taken(torchvision, name, monkeypatch):
    class Late(torchvision):
        def __init__(self, *arguments, **settings):
            torchvision.present = len(torchvision.calls) > 0
            super().__init__(*arguments, **settings)

    monkeypatch.setattr(datasets, name.upper(), Late)
    load(name)
    assert torchvision.calls == (True, True, False)


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

"""What can be derived again, is: a teacher's logits, decoded images, CIFAR unpacked."""

import errno
import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from faults import CPU, DAMAGE, contents, damages, trained
from small_runs import draw_images, kd_student, mll_teacher
from torchvision import datasets
from torchvision.datasets import utils

from mcmi_core.base.errors import DataError, StoreError
from mcmi_core.base.paths import cache_root, data_root
from mcmi_core.data import Dataset, Split, image_cache
from mcmi_core.data.cifar import cifar10
from mcmi_core.data.image_folder import image_folder
from mcmi_core.models import create_model
from mcmi_core.runs.store import Store
from mcmi_core.runs.teacher_logits import teacher_logits
from mcmi_core.training.recipe import Recipe

# A teacher's logits

TEACHER = mll_teacher(data="digits", recipe=Recipe(epochs=1))
RECIPE = Recipe(epochs=9, milestones=(6,), batch_size=512, evaluate_every=9)
STUDENT, SECOND = (
    kd_student(TEACHER, seed=seed, data="digits", model="mlp:width=4", recipe=RECIPE)
    for seed in range(2)
)


@pytest.fixture
def ask(tmp_path):
    """The logits of a network on 12 images, and the files that they lie in."""
    torch.manual_seed(1)
    images = torch.randint(256, (12, 3, 8, 8), dtype=torch.uint8)
    split, half = Split(images, torch.arange(12) % 3), (0.5, 0.5, 0.5)
    data = Dataset("noise", split, split, tuple("abc"), half, half, augmentation="crop")
    model = create_model("mlp:width=4", num_classes=3, in_channels=3, image_size=8).eval()
    store = Store(tmp_path / "of_logits")
    store.folder(TEACHER).mkdir(parents=True)

    def ask():
        return teacher_logits(TEACHER, model.requires_grad_(False), data, split, store, CPU)

    ask()
    [ask.logits] = store.root.glob("*/logits-*.float32")
    ask.checksums = Path(f"{ask.logits}.crc32")
    return ask


@pytest.mark.parametrize("which", ["logits", "checksums"])
def test_damaged_logits_are_computed_again(ask, which, caplog):
    path = getattr(ask, which)
    expected, files = ask().clone(), contents(ask.logits.parent)
    for done in damages(path, 60):
        caplog.clear()
        assert torch.equal(ask(), expected), done
        lines = [f"{ask.logits} is damaged, or of an earlier version; it is computed again"]
        # Without its last checksum alone, a file is as a killed process leaves it.
        unfinished = which == "checksums" and done in [f"cut to {n}" for n in range(32, 36)]
        assert caplog.messages == ([] if unfinished else lines), done
        assert contents(ask.logits.parent) == files


def test_logits_that_cannot_be_read_are_an_error_and_stay(ask, monkeypatch):
    before = contents(ask.logits.parent)
    monkeypatch.setattr(
        "mcmi_core.runs.teacher_logits.open", lambda *_: os.read(-1, 1), raising=False
    )
    with pytest.raises(StoreError, match=f"^cannot read {ask.logits}: Bad file descriptor$"):
        ask()
    assert contents(ask.logits.parent) == before


def test_a_student_of_damaged_logits_is_the_same_and_its_teacher_stays(tmp_path, caplog):
    whole, store = Store(tmp_path / "one"), Store(tmp_path / "two")
    for each in (whole, store):
        trained(TEACHER, each)
    trained(STUDENT, whole)
    trained(SECOND, store)
    [path] = store.root.glob("*/logits-*.float32")
    DAMAGE["a bit"](path)
    assert trained(STUDENT, store) == STUDENT.epochs
    assert len(caplog.messages) == 1
    assert store.record(STUDENT).history == whole.record(STUDENT).history


# Decoded images


def load():
    return image_folder(folder="pets", image_size=4)


def look_at(dataset):
    splits = (dataset.train, dataset.test)
    tensors = [tensor for split in splits for tensor in (split.inputs, split.labels)]
    return [tensor.tolist() for tensor in tensors], dataset.mean, dataset.std, dataset.fingerprint()


@pytest.mark.parametrize("which", ["train", "test", "safetensors"])
def test_damaged_images_are_decoded_again(which, caplog):
    draw_images(data_root() / "pets")
    expected = look_at(load())
    [path] = (cache_root() / "imagefolder").glob(f"*.{which}")
    names = contents(cache_root()).keys()
    for done in damages(path, 20):
        caplog.clear()
        damaged = path.read_bytes()
        assert look_at(load()) == expected, done
        assert contents(cache_root()).keys() == names
        lines = [line for line in caplog.messages if "damaged" in line]
        # Pixels of a wrong size are taken for those of a killed process, without a line.
        said = which == "safetensors" or not done.startswith("cut")
        assert len(lines) == (said and path.read_bytes() != damaged), done


def test_of_too_many_images_some_are_compared(monkeypatch):
    draw_images(data_root() / "pets")
    expected = look_at(load())
    monkeypatch.setattr(image_cache, "CHECKED_WHOLE", 0)
    monkeypatch.setattr(image_cache, "CHECKED", 1)
    [path] = (cache_root() / "imagefolder").glob("*.train")
    path.write_bytes(bytes(path.stat().st_size))  # each image is damaged, so any one tells
    assert look_at(load()) == expected


def test_damage_once_found_is_not_overlooked(monkeypatch):
    draw_images(data_root() / "pets")
    expected = look_at(load())
    monkeypatch.setattr(image_cache, "CHECKED_WHOLE", 0)
    monkeypatch.setattr(image_cache, "CHECKED", 1)
    # Whoever loads first sees the last image, whoever comes later the first one.
    draws = iter([[-1]])
    chosen = SimpleNamespace(choice=lambda *_, **__: next(draws, [0]))
    monkeypatch.setattr(np.random, "default_rng", lambda: chosen)
    [path] = (cache_root() / "imagefolder").glob("*.train")
    DAMAGE["a bit"](path)
    assert look_at(load()) == expected


def test_a_cache_of_an_earlier_version_has_no_checksums(monkeypatch):
    draw_images(data_root() / "pets")
    expected = look_at(load())
    monkeypatch.setattr(image_cache, "_checksums", lambda split: f"{split} had none")
    assert look_at(load()) == expected


# CIFAR


@pytest.fixture
def archive(monkeypatch):
    """CIFAR-10 with 4 images a file, where no network is; its archive is in place."""
    generator, files = np.random.default_rng(0), {}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        pixels = generator.integers(256, size=(4, 3072), dtype=np.uint8)
        files[name] = pickle.dumps({"data": pixels, "labels": [0, 1, 2, 3]})
    files["batches.meta"] = pickle.dumps({"label_names": list("abcdefghij")})
    real = datasets.CIFAR10
    path = data_root() / real.filename
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{real.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    train = [[name, md5] for name, md5 in sums.items() if name.startswith("data")]
    monkeypatch.setattr(real, "train_list", train)
    monkeypatch.setattr(real, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(real, "meta", real.meta | {"md5": sums["batches.meta"]})
    monkeypatch.setattr(real, "tgz_md5", hashlib.md5(path.read_bytes()).hexdigest())

    def no_network(*arguments, **settings):
        raise URLError("no network")

    monkeypatch.setattr(utils, "_get_redirect_url", no_network)
    return path


def pixels_and_labels():
    dataset = cifar10()
    return [
        tensor.tolist()
        for split in (dataset.train, dataset.test)
        for tensor in (split.inputs, split.labels)
    ]


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch"])
def test_a_damaged_part_of_cifar_is_unpacked_again(archive, name):
    expected = pixels_and_labels()
    path = archive.parent / datasets.CIFAR10.base_folder / name
    whole = path.read_bytes()
    for done in damages(path, 20):
        assert pixels_and_labels() == expected, done
        assert path.read_bytes() == whole


def test_a_damaged_archive_is_named(archive):
    for done in damages(archive, 20):
        with pytest.raises(DataError) as refused:
            cifar10()
        assert str(refused.value) == (
            f"cifar10 in {data_root()} is damaged and cannot be downloaded again (<urlopen error "
            "no network>): cifar-10-python.tar.gz. Delete the folder cifar-10-batches-py, and put "
            "a whole cifar-10-python.tar.gz beside it: that is unpacked"
        ), done
        assert not (archive.parent / datasets.CIFAR10.base_folder).exists()
    assert len(pixels_and_labels()[1]) == 20


def test_what_is_unpacked_needs_no_archive(archive):
    expected = pixels_and_labels()
    archive.write_bytes(b"damaged")
    assert pixels_and_labels() == expected


@pytest.mark.parametrize("name", ["data_batch_1", "batches.meta"])
def test_damaged_parts_without_a_whole_archive_are_named(archive, name):
    expected = pixels_and_labels()
    folder = archive.parent / datasets.CIFAR10.base_folder
    for _ in damages(folder / name, 10):
        whole = archive.read_bytes()
        archive.write_bytes(whole[:-5])
        with pytest.raises(DataError, match=rf": {folder.name}/{name}, {archive.name}\. Delete"):
            cifar10()
        archive.write_bytes(whole)
        assert pixels_and_labels() == expected


def test_a_disk_that_does_not_answer_is_said(archive, monkeypatch):
    pixels_and_labels()

    def refuse(*arguments, **settings):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "data_batch_1")

    monkeypatch.setattr(pickle, "load", refuse)
    with pytest.raises(OSError, match="Input/output error: 'data_batch_1'"):  # a line of `mcmi`
        cifar10()

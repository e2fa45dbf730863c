"""A teacher's remembered logits: those it would give, on disk once, used where it pays."""

import multiprocessing
import os
import shutil
from collections import namedtuple
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from small_runs import mll_teacher

from mcmi_core.base.errors import StoreError
from mcmi_core.components import DISTILLERS
from mcmi_core.data import Dataset, Split, load_dataset
from mcmi_core.data.loader import training_batches
from mcmi_core.measures.evaluation import predict_logits
from mcmi_core.models import create_model
from mcmi_core.runs import teacher_logits as logits_module
from mcmi_core.runs.config import Part, Student
from mcmi_core.runs.on_cores import WARM
from mcmi_core.runs.store import Store
from mcmi_core.runs.teacher_logits import pays_for_one_student, teacher_logits
from mcmi_core.runs.trainer import ensure
from mcmi_core.training.recipe import Recipe

CPU, META = torch.device("cpu"), torch.device("meta")
NUMBER, CLASSES, VARIANTS = 30, 5, 9  # 600 bytes a variant
TEACHER = mll_teacher(data="digits", recipe=Recipe(epochs=1))
ENOUGH = Recipe(epochs=9, milestones=(6,), batch_size=512, evaluate_every=9)
"""As many epochs as digits have variants."""


def dataset(augmentation="crop", size=8, number=NUMBER):
    generator = torch.Generator().manual_seed(0)
    shape = number, 3, size, size
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(number) % CLASSES)
    half = (0.5, 0.5, 0.5)
    return Dataset("noise", split, split, tuple("abcde"), half, half, augmentation=augmentation)


@pytest.fixture
def model():
    torch.manual_seed(1)
    network = create_model("resnet8", num_classes=CLASSES, in_channels=3, image_size=8)
    return network.eval().requires_grad_(False)


@pytest.fixture
def ask(store, model):
    """The logits that ``model``, as if it were a finished run, is remembered to give."""
    store.folder(TEACHER).mkdir(parents=True)

    def ask(data=None, split=None, device=CPU):
        data = data or dataset()
        return teacher_logits(TEACHER, model, data, split or data.train, store, device)

    return ask


def files(store):
    return sorted(store.root.glob("*/logits-*.float32"))


def student(distiller="kd", **changes):
    settings = {"data": "digits", "model": "mlp:width=4", "teacher": TEACHER, "recipe": ENOUGH}
    return Student(distiller=distiller, **settings | changes)


def assert_same_result(run, first, second):
    weights, others = first.weights(run), second.weights(run)
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert first.record(run).history == second.record(run).history


@pytest.fixture
def trained(tmp_path):
    """Makes stores that hold the trained teacher and none of its logits."""
    original = Store(tmp_path / "original")
    ensure(TEACHER, original, CPU)

    def make(name):
        shutil.copytree(original.root, tmp_path / name)
        return Store(tmp_path / name)

    return make


# What is remembered


def test_they_are_what_the_teacher_says_of_the_images_that_students_see(ask, model):
    data = dataset()
    logits = ask(data)
    assert (tuple(logits.shape), logits.dtype) == ((VARIANTS, NUMBER, CLASSES), torch.float32)
    sizes = {"batch_size": 7, "epoch_length": 300, "seed": 3, "epoch": 5}
    seen = set()
    for batch in training_batches(data, data.train, device=CPU, **sizes):
        live = model(batch.inputs)
        torch.testing.assert_close(
            logits[batch.variants, batch.indices], live, rtol=1e-5, atol=1e-5
        )
        seen |= set(batch.variants.tolist())
    assert seen == set(range(VARIANTS))
    assert (logits - logits[0]).abs().amax(dim=(1, 2))[1:].min() > 1e-2  # a wrong one is noticed


def test_without_augmentation_they_are_exactly_those_of_an_evaluation(ask, model, store):
    data = dataset("none")
    split = Split(torch.randn(NUMBER, 3, 8, 8, dtype=torch.float64), data.train.labels)
    model.double()
    logits = ask(data, split)
    assert logits.dtype == torch.float64
    assert torch.equal(logits, predict_logits(model, data, split, CPU)[None])
    assert files(store) == []


def test_a_part_has_rows_of_its_own(ask, store):
    data = dataset()
    whole = ask(data)
    places = Split(torch.arange(NUMBER), data.train.labels)
    for part in (Part(fraction=0.4, seed=1), Part(omit=(1, 3))):
        few, _ = part.select(data.train)
        rows = part.select(places)[0].inputs
        torch.testing.assert_close(ask(data, few), whole[:, rows], rtol=1e-5, atol=1e-5)
    assert len(files(store)) == 3


@pytest.mark.parametrize("missing", [0, 1])
def test_they_move_to_the_device_if_half_of_its_free_memory_is_enough(ask, monkeypatch, missing):
    there = ask()
    free = 2 * there.nbytes - missing
    monkeypatch.setattr(logits_module, "free_memory", {META: free}.__getitem__)
    assert ask(device=META).device == (CPU if missing else META)


# The file


@pytest.fixture
def predicted(monkeypatch):
    """The variants that were computed, in turn."""
    variants = []

    def predict(model, data, split, device, variant):
        variants.append(variant)
        return predict_logits(model, data, split, device, variant)

    monkeypatch.setattr(logits_module, "predict_logits", predict)
    return variants


def test_of_all_students_only_the_first_computes(trained, predicted):
    store = trained("store")
    for run in (student(), student(seed=1), student("dkd"), student(model="mlp:width=5")):
        ensure(run, store, CPU)
        assert predicted == list(range(VARIANTS))
        assert len(files(store)) == 1


def _ensure(run, store):
    torch.set_num_threads(1)
    ensure(run, store, CPU)


def test_students_in_processes_side_by_side_are_those_of_one_after_the_other(trained):
    one_by_one, side_by_side = trained("one by one"), trained("side by side")
    students = [student(seed=seed) for seed in range(2)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WARM)
    processes = [context.Process(target=_ensure, args=(run, side_by_side)) for run in students]
    for process in processes:
        process.start()
    for run in students:
        ensure(run, one_by_one, CPU)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for run in students:
        assert_same_result(run, one_by_one, side_by_side)
    assert files(one_by_one)[0].read_bytes() == files(side_by_side)[0].read_bytes()


@pytest.mark.parametrize("deleted", [False, True])
def test_interrupted_training_resumes_exactly(trained, deleted):
    whole, interrupted = trained("whole"), trained("interrupted")

    def stop():
        raise KeyboardInterrupt

    ensure(student(), whole, CPU)
    with pytest.raises(KeyboardInterrupt):
        ensure(student(), interrupted, CPU, on_epoch=stop)
    if deleted:
        files(interrupted)[0].unlink()
    ensure(student(), interrupted, CPU)
    assert_same_result(student(), whole, interrupted)


@pytest.mark.parametrize(
    ("kept", "first"),
    [(0, 0), (599, 0), (600, 1), (601, 1), (8 * 600, 8), (9 * 600 - 1, 8)],
)
def test_a_file_that_was_cut_off_is_completed(ask, store, predicted, kept, first):
    whole = ask().clone()
    [path] = files(store)
    path.write_bytes(path.read_bytes()[:kept])
    predicted.clear()
    assert torch.equal(ask(), whole)
    assert predicted == list(range(first, VARIANTS))


def test_every_variant_is_kept_as_soon_as_it_is_computed(ask, store, monkeypatch):
    def predict(model, data, split, device, variant):
        if variant == 4:
            raise KeyboardInterrupt
        return predict_logits(model, data, split, device, variant)

    monkeypatch.setattr(logits_module, "predict_logits", predict)
    with pytest.raises(KeyboardInterrupt):
        ask()
    assert [path.stat().st_size for path in files(store)] == [4 * 600]


def test_a_bar_counts_the_variants_that_are_missing(ask, store, monkeypatch):
    bars = []

    @contextmanager
    def watched(total, unit):
        bars.append(SimpleNamespace(n=0, total=total, unit=unit))
        bars[-1].update = lambda: vars(bars[-1]).update(n=bars[-1].n + 1)
        yield bars[-1]

    monkeypatch.setattr(logits_module, "progress_bar", watched)
    ask()
    [path] = files(store)
    path.write_bytes(path.read_bytes()[: 7 * 600])
    ask()
    ask()
    counted = [(bar.n, bar.total, bar.unit) for bar in bars]
    assert counted == [(9, 9, "logits variant"), (2, 2, "logits variant")]


@pytest.mark.parametrize("file", ["logits", "checksums"])
def test_a_file_that_is_too_long_is_computed_again(ask, store, caplog, file):
    whole = ask()
    before = whole.clone()
    [path] = files(store)
    target = path if file == "logits" else path.with_name(f"{path.name}.crc32")
    content = {each: each.read_bytes() for each in (path, path.with_name(f"{path.name}.crc32"))}
    target.write_bytes(target.read_bytes() + b"xxxx")
    assert torch.equal(ask(), before)
    assert caplog.messages == [f"{path} is damaged, or of an earlier version; it is computed again"]
    assert {each: each.read_bytes() for each in content} == content
    assert torch.equal(whole, before)  # whoever has mapped the file keeps its numbers


@pytest.fixture
def disk(store, monkeypatch):
    """A disk of a size that is to be set, on which nothing but logits lies."""
    usage = namedtuple("usage", "free")

    def disk_usage(folder):
        assert folder == store.root
        return usage(disk.size - sum(path.stat().st_size for path in files(store)))

    disk = SimpleNamespace(size=0)
    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    return disk


def test_a_disk_without_room_is_reported_before_anything_is_computed(ask, store, disk, predicted):
    disk.size = 2 * 5400 - 1
    with pytest.raises(StoreError, match="need 5,400 bytes .* beside 0 .* may take 5,399, half of"):
        ask()
    assert predicted == files(store) == []
    disk.size = 2 * 5400
    ask()


def test_the_longest_unused_make_room(ask, store, disk):
    disk.size = 2 * 3 * 5400
    splits = [replace(dataset().train, labels=torch.full((NUMBER,), n)) for n in range(4)]
    paths = [store.folder(TEACHER) / f"logits-{s.fingerprint()}-cpu1.float32" for s in splits]
    first = ask(split=splits[0])
    before = first.clone()
    for split in (splits[1], splits[2], splits[0]):  # the first is used again
        ask(split=split)
    ask(split=splits[3])
    assert [path.exists() for path in paths] == [True, False, True, True]
    ask(split=splits[1])
    ask(split=splits[2])
    assert [path.exists() for path in paths] == [False, True, True, True]
    assert torch.equal(first, before)  # whoever has them keeps them


def test_what_is_being_computed_is_not_deleted(ask, store, disk):
    disk.size = 2 * 5400
    ask()
    [path] = files(store)
    other = replace(dataset().train, labels=torch.zeros_like(dataset().train.labels))
    with FileLock(f"{path}.lock"), pytest.raises(StoreError, match="beside 5,400 that others are"):
        ask(split=other)
    assert files(store) == [path]
    ask(split=other)
    assert len(files(store)) == 1 and files(store) != [path]


def test_a_disk_that_fills_up_is_reported(ask, store, monkeypatch):
    monkeypatch.setattr(logits_module, "exists", os.path.exists)  # else it is seen to be no file
    path = store.folder(TEACHER) / f"logits-{dataset().train.fingerprint()}-cpu1.float32"
    path.symlink_to("/dev/full")
    with pytest.raises(StoreError, match="cannot write .*float32: No space left on device"):
        ask()


# Where it pays


@pytest.mark.parametrize(
    ("augmentation", "size", "number", "looks", "pays"),
    [
        ("none", 32, 30, 30, True),
        ("crop", 8, 30, 9 * 30, True),
        ("crop", 8, 30, 9 * 30 - 1, False),
        ("crop_flip", 32, 30, 240 * 30, True),  # the paper's recipe
        ("crop_flip", 32, 30, 162 * 30, True),
        ("crop_flip", 32, 30, 161 * 30, False),
        ("crop_flip", 32, 10, 60 * 30, True),  # a third of the samples, cycled
        ("resized_crop", 32, 30, 10**9, False),
    ],
)
def test_it_pays_from_as_many_looks_as_variants_on(augmentation, size, number, looks, pays):
    data = dataset(augmentation, size, number)
    assert pays_for_one_student(data, data.train, looks) == pays


@pytest.mark.parametrize(
    ("changes", "samples"),
    [
        ({}, 1438),
        ({"recipe": ENOUGH.shortened(8)}, None),
        ({"recipe": ENOUGH.shortened(1), "part": Part(fraction=0.1)}, 143),
        ({"recipe": ENOUGH.shortened(8), "part": Part(omit=(1, 2))}, None),
        ({"part": Part(omit=(1, 2))}, 1150),
        ({"distiller": "masked_kd:classes=3"}, 1438),
        ({"distiller": "semi_kd:labelled_fraction=0.1"}, 1438),
        ({"distiller": "pkt"}, None),
    ],
)
def test_students_remember_where_it_pays(trained, changes, samples):
    store = trained("store")
    run = student(**changes)
    ensure(run, store, CPU)
    if samples is None:
        assert files(store) == []
    else:
        split, _ = run.part.select(load_dataset("digits").train)
        assert len(split) == samples
        [path] = files(store)
        assert path.parent == store.folder(TEACHER)
        assert path.stat().st_size == VARIANTS * samples * 10 * 4


def test_those_that_read_no_features_remember():
    names = {name for name in DISTILLERS if not DISTILLERS.load(name).uses_features}
    assert names == {"kd", "masked_kd", "semi_kd", "lskd", "dkd", "dist"}

"""Old results never answer for other data that goes by the same name."""

import shutil

import pytest
import torch
from small_runs import draw_images

from mcmi_core.base.errors import DataError, RunsFailed
from mcmi_core.base.paths import data_root
from mcmi_core.data import _load
from mcmi_core.runs.config import Measurement, Part, Student, Teacher
from mcmi_core.runs.execute import execute
from mcmi_core.runs.trainer import ensure, load_model
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
PETS = {"data": "imagefolder:folder=pets,image_size=4", "recipe": Recipe(epochs=2, batch_size=4)}
NETWORK = {"model": "mlp:width=8"}
TEACHER = Teacher(objective="mll", **NETWORK, **PETS)
STUDENT = Student(distiller="kd", teacher=TEACHER, **NETWORK, **PETS)
LOOK = Measurement(of=TEACHER, what="network_size")
CHANGED = (
    "was made with data imagefolder:.*pets.* of fingerprint [0-9a-f]{16} at commit .*, "
    "but that has [0-9a-f]{16} now, in /"
)


@pytest.fixture(autouse=True)
def pets():
    draw_images(data_root() / "pets")
    _load.cache_clear()  # as in a process of its own


def swap_classes(monkeypatch):
    train = data_root() / "pets" / "train"
    (train / "cat").rename(train / "x")
    (train / "dog").rename(train / "cat")
    (train / "x").rename(train / "dog")


def delete_images(monkeypatch):
    (data_root() / "pets" / "train" / "cat" / "0.png").unlink()


def name_another_folder(monkeypatch):
    draw_images(data_root().with_name("elsewhere") / "pets", seed=1)
    monkeypatch.setenv("MCMI_DATA", str(data_root().with_name("elsewhere")))


CHANGES = [swap_classes, delete_images, name_another_folder]


@pytest.fixture(params=CHANGES)
def change(request, monkeypatch):
    def change():
        request.param(monkeypatch)
        _load.cache_clear()

    return change


def ask_again(store):
    ensure(TEACHER, store, CPU)


def ask_many(store):
    execute([TEACHER], store, device=CPU)


def evaluate(store):
    load_model(TEACHER, store, CPU)


def learn(store):
    ensure(STUDENT, store, CPU)


def learn_among_others(store):
    execute([STUDENT], store, device=CPU)


def measure(store):
    ensure(LOOK, store, CPU)


USES = [ask_again, ask_many, evaluate, learn, learn_among_others, measure]


@pytest.mark.parametrize("use", USES)
def test_what_was_made_with_other_data_is_not_used(change, use, store):
    ensure(TEACHER, store, CPU)
    use(store)  # of the same data
    for run in (STUDENT, LOOK):
        shutil.rmtree(store.folder(run), ignore_errors=True)
    change()
    with pytest.raises((DataError, RunsFailed), match=f"{TEACHER.id} {CHANGED}") as refused:
        use(store)
    assert f"delete {store.folder(TEACHER)} and the runs that build on it" in str(refused.value)
    assert store.record(STUDENT) is None and store.record(LOOK) is None


def stop():
    raise KeyboardInterrupt


def test_a_checkpoint_does_not_go_on_with_other_data(change, store):
    with pytest.raises(KeyboardInterrupt):
        ensure(TEACHER, store, CPU, stop)
    change()
    with pytest.raises(DataError, match=f"{TEACHER.id} {CHANGED}"):
        ensure(TEACHER, store, CPU)
    shutil.rmtree(store.folder(TEACHER))  # as the message says
    assert ensure(TEACHER, store, CPU).status == "done"


def test_data_that_came_back_is_the_same(store, monkeypatch):
    before = ensure(TEACHER, store, CPU)
    for _ in range(2):
        swap_classes(monkeypatch)
        _load.cache_clear()
    assert ensure(TEACHER, store, CPU).provenance == before.provenance


def test_one_data_set_that_changed_does_not_stop_the_others(store, monkeypatch):
    draw_images(data_root() / "birds", seed=2)
    others = {**PETS, "data": "imagefolder:folder=birds,image_size=4"}
    other = Teacher(objective="mll", **NETWORK, **others)
    few = Student(distiller="kd", teacher=other, part=Part(fraction=0.5), **NETWORK, **others)
    execute([TEACHER, other], store, device=CPU)
    swap_classes(monkeypatch)
    _load.cache_clear()
    with pytest.raises(RunsFailed, match=f"1 of 4 runs failed: {TEACHER.id}. First .*{CHANGED}"):
        execute([STUDENT, few], store, device=CPU)
    assert store.record(few).status == "done"
    assert store.record(STUDENT) is None

"""A run of several processes is the run of one: numbers, store, and what an interruption leaves."""

from functools import partial
from unittest import mock

import pandas as pd
import pytest
import torch
from several_processes import on_processes
from small_runs import DATA, kd_student, mll_teacher

from mcmi_core.base import processes
from mcmi_core.base.errors import CompanionError
from mcmi_core.components import DISTILLERS
from mcmi_core.runs import store as store_module
from mcmi_core.runs import trainer
from mcmi_core.runs.config import BayesTeacher, Part, Student, Teacher
from mcmi_core.runs.sharing import lock
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=21, learning_rate=0.01, milestones=(1,))
IMAGES = {"data": "digits", "model": "resnet8", "part": Part(fraction=0.15), "seed": 1}
MLL = mll_teacher(epochs=2, recipe=RECIPE)
PHOTOGRAPHED = Teacher(objective="mll", recipe=Recipe(epochs=1, batch_size=150), **IMAGES)
RUNS = {
    "MLL, perceptron": MLL,
    "MLL, batch norm on maps": PHOTOGRAPHED,
    "MCMI fixed": mll_teacher(objective="mcmi:lam=0.2,centroids=fixed", start=MLL, recipe=RECIPE),
    "MCMI tracked": mll_teacher(
        objective="mcmi:lam=0.2,centroids=tracked", start=MLL, recipe=RECIPE
    ),
    "KD": kd_student(MLL, recipe=RECIPE),
    "KD from P*": kd_student(BayesTeacher(data=DATA), recipe=RECIPE),
}
"""Of twenty steps each, whose batches of 21 and 11 do not divide, but the second."""


def in_rows(module, device, precision="float32"):
    """Weights in the order in which torch's batch norm is as precise as the global one.

    With channels last, on a CPU, its outputs are wrong by 3e-6, not by 7e-8, and ten steps of this
    network make 0.01 of that in its weights.
    """
    return module.to(device)


def ensure_all(root, runs):
    with mock.patch.object(trainer, "place", in_rows):
        for run in runs:
            ensure(run, Store(root), CPU)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Stores of all runs, trained by one process and by two."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    torch.set_num_threads(1)
    ensure_all(one, RUNS.values())
    on_processes(2, ensure_all, two, list(RUNS.values()))
    return one, two


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_end_where_one_does(name, folders):
    run = RUNS[name]
    assert_same_results(run, *map(Store, folders))
    alone, shared = (Store(folder).record(run).provenance for folder in folders)
    assert "processes" not in alone and shared["processes"] == 2


def assert_same_results(run, store, other_store):
    record, other = store.record(run), other_store.record(run)
    assert record.status == other.status == "done"
    assert record.history.keys() == other.history.keys()
    for column, values in record.history.items():
        shown, others = (pd.Series(v, dtype=float) for v in (values, other.history[column]))
        pd.testing.assert_series_equal(others, shown, rtol=1e-4, atol=1e-5, obj=column)
    for split, metrics in record.metrics.items():
        assert other.metrics[split] == pytest.approx(metrics, rel=1e-4, abs=1e-5)
    if not isinstance(run, BayesTeacher):
        weights = store.weights(run), other_store.weights(run)
        torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=1e-5)


def stop_all():
    raise KeyboardInterrupt


def begin(root, run):
    with pytest.raises(KeyboardInterrupt):
        ensure(run, Store(root), CPU, on_epoch=stop_all)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_another_number_of_processes_goes_on(before, after, folders, store):
    run = MLL
    for number, work in ((before, begin), (after, partial(ensure, device=CPU))):
        arguments = (store.root, run) if work is begin else (run, store)
        work(*arguments) if number == 1 else on_processes(number, work, *arguments)
        if work is begin:
            assert store.epochs_left(run) == 1
    assert_same_results(run, Store(folders[0]), store)
    assert store.record(run).provenance["processes"] == f"{before}, then {after}"


def message_of(root, run):
    """What each process is told, and whether it had waited for the others in vain."""
    with pytest.raises(CompanionError) as refused:
        ensure(run, Store(root), CPU)
    return str(refused.value)


@pytest.mark.parametrize("name", sorted(n for n in DISTILLERS if not DISTILLERS.load(n).shareable))
def test_distillers_that_compare_samples_are_refused(name, store):
    run = Student(distiller=name, teacher=PHOTOGRAPHED, recipe=RECIPE, **IMAGES)
    [first, second] = on_processes(2, message_of, store.root, run)
    able = [name for name in DISTILLERS if DISTILLERS.load(name).shareable]
    assert first == second
    assert f"distiller {name!r} compares" in first
    assert first.endswith(f"choose from {', '.join(able)}")
    assert not store.root.exists()  # before its teacher is trained


def test_a_record_of_another_run_is_told_to_all(store):
    other = mll_teacher(epochs=1)
    ensure(other, store, CPU)
    store.folder(MLL).mkdir(parents=True)
    store.path(MLL.id).write_bytes(store.path(other.id).read_bytes())
    messages = on_processes(2, message_of, store.root, MLL)
    assert messages[0] == messages[1]
    assert f"holds the record of another run, {other.id}" in messages[0]


def test_a_run_with_a_damaged_record_is_made_again(store):
    store.folder(MLL).mkdir(parents=True)
    store.path(MLL.id).write_text("{")
    on_processes(2, ensure_all, store.root, [MLL])
    assert store.record(MLL).status == "done"
    assert (store.folder(MLL) / "record.json.damaged").read_text() == "{"


def load_damaged(root, run):
    """No process sets the checkpoint aside before every one has seen that it is damaged."""
    real, store = store_module.read_tensors, Store(root)

    def read_at_once(path):
        try:
            return real(path)
        finally:
            processes.check_same("the file", path.name)

    with mock.patch.object(store_module, "read_tensors", read_at_once), lock(run, store, wait=True):
        return store.load_checkpoint(run, CPU)


def test_a_damaged_checkpoint_is_set_aside_once(store):
    begin(store.root, MLL)
    path = store.folder(MLL) / "checkpoint.safetensors"
    path.write_bytes(damaged := path.read_bytes()[:-1])
    assert on_processes(2, load_damaged, store.root, MLL) == [(None, {})] * 2
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").read_bytes() == damaged


def test_damaged_weights_of_a_teacher_are_for_one_process(store):
    ensure(MLL, store, CPU)
    path = store.folder(MLL) / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    messages = on_processes(2, message_of, store.root, RUNS["KD"])
    assert messages[0] == messages[1]
    assert "is damaged" in messages[0]
    assert "the same command in one process makes it again" in messages[0]
    ensure(RUNS["KD"], store, CPU)
    assert store.record(RUNS["KD"]).status == "done"


def message_elsewhere(root, run):
    return message_of(root / str(processes.rank()), run)


def test_processes_that_see_different_stores_are_refused(store):
    begin(store.root / "0", MLL)
    messages = on_processes(2, message_elsewhere, store.root, MLL)
    assert messages[0] == messages[1]
    assert messages[0] == (
        f"the last epoch of {MLL.id} that was saved is 1 for process 0 and 0 for process 1; all "
        "processes need the same MCMI_STORE and MCMI_DATA"
    )


def test_a_collapse_is_seen_by_all(store):
    run = mll_teacher(recipe=Recipe(epochs=2, batch_size=20, learning_rate=1e6))
    ensure(run, alone := Store(store.root / "alone"), CPU)
    on_processes(2, partial(ensure, device=CPU), run, shared := Store(store.root / "shared"))
    messages = {each.record(run).message.split(";")[0] for each in (alone, shared)}
    assert shared.record(run).status == "collapsed"
    assert len(messages) == 1

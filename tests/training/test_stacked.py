"""Students trained together are the students trained alone, bit for bit."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from small_runs import DATA, OPTIONS, kd_student, mll_teacher

from mcmi_core.distillers import DISTILLERS, Distiller
from mcmi_core.runs.config import BayesTeacher, Measurement, Part
from mcmi_core.runs.stacking import axis
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure, ensure_together
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
WITHOUT_FEATURES = [name for name in DISTILLERS if not DISTILLERS.load(name).uses_features]


def members(**changes):
    """Three runs of one axis, on two data sets, with three teachers."""
    second = f"{DATA},seed=1"
    return [
        kd_student(mll_teacher(), seed=5, **changes),
        kd_student(mll_teacher(data=second), data=second, seed=6, **changes),
        kd_student(mll_teacher(seed=1), seed=7, **changes),
    ]


def with_parents(runs, store):
    for run in runs:
        ensure(run.parent, store, CPU)
    return store


def assert_equal(runs, store, other_store):
    for run in runs:
        record, other = store.record(run), other_store.record(run)
        assert record.status == other.status == "done"
        assert record.metrics == other.metrics
        for name in (column for column in other.history if column != "trained_together"):
            assert record.history[name] == other.history[name]
        weights, others = store.weights(run), other_store.weights(run)
        assert all(torch.equal(weights[name], others[name]) for name in others)


@pytest.fixture
def alone(tmp_path):
    return Store(tmp_path / "alone")


@pytest.mark.parametrize("name", WITHOUT_FEATURES)
def test_together_as_alone(name, store, alone):
    runs = members(distiller=OPTIONS.get(name, name), epochs=2)
    records = ensure_together(runs, with_parents(runs, store), CPU)
    assert [record.key for record in records] == [run.key for run in runs]
    for run in runs:
        ensure(run, alone, CPU)
    assert_equal(runs, store, alone)
    for record in records:
        assert record.provenance["trained_together"] == 3
        assert record.history["trained_together"] == [3, 3]
    single = alone.record(runs[0])
    assert "trained_together" not in single.provenance | single.history


@pytest.mark.parametrize(
    "changes",
    [
        {"part": Part(fraction=0.1)},
        {"recipe": Recipe(epochs=2, momentum=0.0)},
        {"recipe": Recipe(epochs=2, batch_size=8, weight_decay=0.0)},
    ],
    ids=["few shots", "no momentum", "many steps"],
)
def test_whatever_the_recipe(changes, store, alone, monkeypatch):
    monkeypatch.setattr("mcmi_core.training.loop.CHECK_EVERY", 7)  # several windows in an epoch
    runs = members(**changes)
    ensure_together(runs, with_parents(runs, store), CPU)
    for run in runs:
        ensure(run, alone, CPU)
    assert_equal(runs, store, alone)


def test_a_single_run_is_trained_alone(store, alone):
    [run, *_] = members()
    ensure_together([run], with_parents([run], store), CPU)
    ensure(run, alone, CPU)
    assert_equal([run], store, alone)


def stop_after(epochs):
    """Interrupts training in its n-th epoch, of whichever run."""
    left = iter(range(epochs - 1))

    def on_epoch():
        if next(left, None) is None:
            raise KeyboardInterrupt

    return on_epoch


def epochs_done(run, store):
    checkpoint, _ = store.load_checkpoint(run, CPU)
    return checkpoint.epoch if checkpoint else 0


@pytest.mark.parametrize("epochs", [1, 3, 4, 11])
def test_interrupted_members_go_on_together(epochs, store, alone):
    runs = members()
    with_parents(runs, store)
    with pytest.raises(KeyboardInterrupt):
        ensure_together(runs, store, CPU, stop_after(epochs))
    done = [4 if store.record(run) else epochs_done(run, store) for run in runs]
    assert sum(done) == epochs
    assert max(done) - min(done) <= 1

    rest = []
    ensure_together(runs, store, CPU, lambda: rest.append(1))
    assert len(rest) == 12 - epochs
    for run in runs:
        ensure(run, alone, CPU)
    assert_equal(runs, store, alone)


def test_members_that_are_behind_catch_up(store):
    runs = members()
    with_parents(runs, store)
    with pytest.raises(KeyboardInterrupt):
        ensure(runs[0], store, CPU, stop_after(2))
    ahead, *behind = ensure_together(runs, store, CPU)
    assert ahead.history["trained_together"] == [None, None, 3, 3]
    assert all(record.history["trained_together"] == [2, 2, 3, 3] for record in behind)
    assert ahead.provenance["trained_together"] == 3


def test_finished_members_are_left_out(store):
    runs = members()
    ensure(runs[1], with_parents(runs, store), CPU)
    finished = store.record(runs[1])
    epochs = []
    records = ensure_together(runs, store, CPU, lambda: epochs.append(1))
    assert len(epochs) == 2 * 4
    assert records[1] == store.record(runs[1]) == finished
    assert records[0].provenance["trained_together"] == 2


def test_a_collapsed_member_does_not_stop_the_others(store, alone):
    runs = members()
    teacher = runs[0].parent
    record = ensure(teacher, store, CPU)
    broken = {name: weight * 1e38 for name, weight in store.weights(teacher).items()}
    store.finish(teacher, record, broken)
    collapsed, *others = ensure_together(runs, with_parents(runs, store), CPU)
    assert collapsed.status == "collapsed"
    assert collapsed.message.startswith("epoch 1: cross_entropy is nan")
    assert all(record.status == "done" for record in others)
    for run in runs[1:]:
        ensure(run, alone, CPU)
    assert_equal(runs[1:], store, alone)


def test_what_cannot_be_stacked_is_trained_in_turn(store, alone, monkeypatch):
    """Such as students whose teachers look at every batch anew."""
    monkeypatch.setattr(Distiller, "remember", lambda distiller, logits: None)
    runs = members()
    ensure_together(runs, with_parents(runs, store), CPU)
    for run in runs:
        assert "trained_together" not in store.record(run).history
        ensure(run, alone, CPU)
        weights, others = store.weights(run), alone.weights(run)
        assert all(torch.equal(weights[name], others[name]) for name in others)


def test_a_run_that_is_asked_for_twice_is_one(store):
    [run, *_] = members()
    first, second = ensure_together([run, run], with_parents([run], store), CPU)
    assert first == second
    assert "trained_together" not in first.provenance


def test_who_asks_in_another_order_waits_without_a_deadlock(store):
    """Threads, as locks of files do not tell them from processes."""
    runs = members()
    with_parents(runs, store)
    epochs = []
    with ThreadPoolExecutor(3) as pool:
        answers = [
            pool.submit(ensure_together, asked, store, CPU, lambda: epochs.append(1))
            for asked in (runs, runs[::-1], runs[1:])
        ]
        for answer in answers:
            assert all(record.status == "done" for record in answer.result(timeout=60))
    assert len(epochs) == 3 * 4


def test_an_axis_is_all_but_seeds_and_teachers():
    runs = members(part=Part(fraction=0.1)) + members(part=Part(fraction=0.1, seed=3))
    assert len({axis(run) for run in runs}) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "mlp:width=64"},
        {"distiller": "kd:temperature=2"},
        {"distiller": "dkd"},
        {"recipe": Recipe(epochs=5)},
        {"part": Part(fraction=0.5)},
        {"part": Part(omit=(1,))},
        {"teacher": BayesTeacher(data=DATA)},
    ],
    ids=str,
)
def test_another_configuration_is_another_axis(changes):
    assert axis(kd_student(**changes)) not in (None, axis(kd_student()))


@pytest.mark.parametrize(
    "run",
    [
        mll_teacher(),
        BayesTeacher(data=DATA),
        Measurement(of=mll_teacher(), what="temperature_sweep:temperatures=1"),
        kd_student(distiller="crd"),
        kd_student(mll_teacher(data="digits"), data="digits", model="resnet8"),
        kd_student(model="mlp:width=48"),
        kd_student(recipe=Recipe(precision="bf16")),
        kd_student(recipe=Recipe(threads=2)),
    ],
    ids=str,
)
def test_what_is_trained_alone_has_no_axis(run):
    assert axis(run) is None

"""What a plan says is what training then does."""

import pytest
from small_runs import kd_student, mll_teacher

from mcmi_core.runs.config import Measurement
from mcmi_core.runs.plan import plan
from mcmi_core.runs.records import Record
from mcmi_core.training.loop import Checkpoint

HERE = "this machine"


def record(run, seconds, hardware=HERE):
    return Record(
        key=run.key,
        run=run.model_dump(mode="json"),
        history={"epoch": list(range(1, run.epochs + 1))},
        provenance={"hardware": hardware, "seconds": seconds},
    )


def test_what_is_done_what_is_left_and_how_long_it_takes(store):
    teachers = [mll_teacher(seed=seed) for seed in (0, 1, 2)]
    students = [kd_student(teacher, epochs=5) for teacher in teachers]
    done = record(teachers[0], seconds=8)
    store.finish(teachers[0], done, None)
    timed = [done, record(mll_teacher(seed=7), 16), record(mll_teacher(seed=8), 400)]
    timed.append(record(mll_teacher(seed=9), 0.1, hardware="another machine"))

    table = plan(students, store, timed, HERE)

    options = "classes=4, latent_dimension=4, dimension=16, train_size=200, test_size=100"
    teacher, student = f"teacher oracle mlp mll ({options}, width=8)", "student oracle mlp kd"
    student = f"{student} ({options}, width=32, from mlp:width=8,depth=2)"
    assert list(table.index) == [teacher, student]
    assert list(table.loc[teacher]) == [3, 1, 8, 4, 32]  # 4 s: median of 8/4, 16/4 and 400/4
    assert list(table.loc[student].iloc[:3]) == [3, 0, 15]
    assert table.loc[student].iloc[3:].isna().all()


def test_epochs_in_a_checkpoint_are_not_left(store):
    teacher = mll_teacher()  # 4 epochs
    store.lock(teacher)
    store.save_checkpoint(teacher, Checkpoint(epoch=3), {})
    [row] = plan([teacher], store, [], HERE).itertuples()
    assert (row.done, row.epochs_left) == (0, 1)


def test_below_a_collapsed_run_nothing_is_left(store):
    teacher, student = mll_teacher(), kd_student()
    collapsed = record(teacher, 1).model_copy(update={"status": "collapsed"})
    store.finish(teacher, collapsed, None)
    table = plan([student], store, [], HERE)
    assert list(table.done) == [1, 0]
    assert list(table.epochs_left) == list(table.seconds_left) == [0, 0]


def test_nothing_left_takes_no_time(store):
    teacher = mll_teacher()
    store.finish(teacher, record(teacher, 1), None)
    [row] = plan([teacher], store, [], HERE).itertuples()
    assert (row.done, row.epochs_left, row.seconds_left) == (1, 0, 0)


@pytest.mark.parametrize("changes", [{"seed": 3}, {"data": "oracle:classes=4,seed=5"}])
def test_seeds_are_of_one_kind(store, changes):
    data = {"data": "oracle:classes=4"}
    assert len(plan([mll_teacher(**data), mll_teacher(**data | changes)], store, [], HERE)) == 1


def test_measurements_are_runs_without_epochs(store):
    look = Measurement(of=mll_teacher(), what="network_size")
    _, measurement = plan([look], store, [], HERE).itertuples()
    assert measurement.Index.startswith("measurement oracle network size (")
    assert (measurement.runs, measurement.epochs_left, measurement.seconds_left) == (1, 0, 0)

"""What a plan says is what training then does."""

import pytest
from small_runs import kd_student, mll_teacher

from mcmi_core.runs import Measurement
from mcmi_core.runs.plan import plan
from mcmi_core.runs.store import Record

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

    teacher, student = plan(students, store, timed, HERE)

    assert teacher.kind.startswith("teacher mlp:width=8,depth=2 mll on oracle:classes=4")
    assert (teacher.runs, teacher.done, teacher.epochs_left) == (3, 1, 8)
    assert teacher.seconds_per_epoch == 4  # median of 8/4, 16/4 and 400/4
    assert teacher.seconds_left == 32
    assert (student.runs, student.done, student.epochs_left) == (3, 0, 15)
    assert student.seconds_per_epoch is student.seconds_left is None


def test_nothing_left_takes_no_time(store):
    teacher = mll_teacher()
    store.finish(teacher, record(teacher, 1), None)
    [kind] = plan([teacher], store, [], HERE)
    assert (kind.done, kind.epochs_left, kind.seconds_left) == (1, 0, 0)


@pytest.mark.parametrize("changes", [{"seed": 3}, {"data": "oracle:classes=4,seed=5"}])
def test_seeds_are_of_one_kind(store, changes):
    default = mll_teacher(data="oracle:classes=4")
    assert (
        len(
            plan(
                [
                    default,
                    default.model_copy(),
                    mll_teacher(**{"data": "oracle:classes=4"} | changes),
                ],
                store,
                [],
                HERE,
            )
        )
        == 1
    )


def test_measurements_are_runs_without_epochs(store):
    look = Measurement(of=mll_teacher(), what="network_size")
    _, measurement = plan([look], store, [], HERE)
    assert measurement.kind.startswith("measurement network_size of a teacher on oracle")
    assert (measurement.runs, measurement.epochs_left, measurement.seconds_left) == (1, 0, 0)

"""What is kept of a run that failed, until it is asked for again."""

import pytest
import torch
from small_runs import kd_student, mll_teacher

from mcmi_core.base.errors import CompanionError, DataError, RunsFailed, StoreError
from mcmi_core.runs import queue as module
from mcmi_core.runs import work as worker
from mcmi_core.runs.execute import execute
from mcmi_core.runs.failures import LAST_LINES, Failure
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.trainer import ensure
from mcmi_core.runs.work import work

CPU = torch.device("cpu")


def test_an_error_for_people_is_its_message():
    failure = Failure.of(mll_teacher(), DataError("no such\nfolder"))
    assert (failure.run_id, failure.reason) == (mll_teacher().id, "no such folder")
    assert failure.last_lines == ()
    assert failure.host and failure.date
    assert not failure.killed


def test_a_bug_keeps_the_last_lines_of_its_traceback():
    def one(depth):
        if depth == 0:
            raise KeyError("a bug")
        other(depth)

    def other(depth):  # two that call each other, as lines that repeat are left out
        one(depth - 1)

    try:
        one(20)
    except KeyError as error:
        failure = Failure.of(mll_teacher(), error)
    assert failure.reason == "KeyError: 'a bug'"
    assert len(failure.last_lines) == LAST_LINES
    assert failure.last_lines[-1] == "KeyError: 'a bug'"
    assert any('raise KeyError("a bug")' in line for line in failure.last_lines)


def test_a_bug_in_one_run_of_a_group_fails_that_run_alone(store, monkeypatch):
    ensure(mll_teacher(), store, CPU)
    runs = tuple(kd_student(seed=seed) for seed in range(3))
    groups, ensure_together = [], worker.ensure_together

    def fail_with_seed_1(group, *arguments):
        groups.append([run.seed for run in group])
        if 1 in groups[-1]:
            raise ArithmeticError("a bug")
        return ensure_together(group, *arguments)

    monkeypatch.setattr(worker, "ensure_together", fail_with_seed_1)
    outcomes = work(runs, store, CPU, lambda: None)
    assert groups == [[0, 1, 2], [0], [1], [2]]
    assert [outcome.key for outcome in outcomes] == [run.key for run in runs]
    assert [outcome.usable for outcome in outcomes] == [True, False, True]
    assert outcomes[1].failure.reason == "ArithmeticError: a bug"


def test_on_a_gpu_each_of_a_group_has_an_outcome_of_its_own(store, monkeypatch):
    good, bad = mll_teacher(), mll_teacher(seed=1)
    store.folder(bad).joinpath("lock").mkdir(parents=True)
    in_lanes = worker.execute_on_card
    monkeypatch.setattr(
        worker,
        "execute_on_card",
        lambda queue, store, card, streams: in_lanes(queue, store, CPU, streams=streams),
    )
    done, failed = work((good, bad), store, torch.device("cuda"), lambda: None)
    assert done == (good.key, True, None)
    assert (failed.key, failed.usable) == (bad.key, False)
    assert failed.failure.reason.startswith("cannot lock")


def test_on_a_gpu_what_fails_beside_others_is_tried_again_alone(store, monkeypatch):
    runs, streams_used = (mll_teacher(), mll_teacher(seed=1)), []
    in_lanes = worker.execute_on_card

    def too_large_for_two(queue, store, card, streams):
        streams_used.append(streams)
        if streams == 1:
            in_lanes(queue, store, CPU, streams=1)
            return
        for run in runs:
            queue.start((run,))
            failure = Failure.of(run, CompanionError("CUDA out of memory"))
            queue.finish((run,), [module.Outcome(run.key, failure=failure)])

    monkeypatch.setattr(worker, "execute_on_card", too_large_for_two)
    outcomes = work(runs, store, torch.device("cuda"), lambda: None)
    assert outcomes == [(run.key, True, None) for run in runs]
    assert streams_used == [2, 1, 1]


def test_a_run_whose_parent_failed_meanwhile_has_failed_for_that_reason(store):
    queue = Queue([kd_student()], store)
    queue.start((mll_teacher(),))
    failure = Failure.of(mll_teacher(), StoreError("no disk"))
    queue.finish((mll_teacher(),), [module.Outcome(mll_teacher().key, failure=failure)])
    assert not queue.waiting
    assert queue.outcome(kd_student()) == (kd_student().key, False, failure)


def test_a_run_whose_parent_collapsed_meanwhile_is_not_finished(store):
    queue = Queue([kd_student()], store)
    queue.start((mll_teacher(),))
    queue.finish((mll_teacher(),), [module.Outcome(mll_teacher().key, usable=False)])
    outcome = queue.outcome(kd_student())
    assert outcome.failure.reason == f"{mll_teacher().id} cannot be built upon"


def failed(store, run, reason="no disk"):
    queue = Queue([run], store)
    queue.start((run,))
    outcome = module.Outcome(run.key, failure=Failure.of(run, StoreError(reason)))
    queue.finish((run,), [outcome])
    return queue


def test_a_failure_is_kept_until_the_run_is_started_again(store):
    run = mll_teacher()
    queue = failed(store, run)
    [[failure], _] = store.failures()
    assert (failure.run_id, failure.reason) == (run.id, "no disk")
    assert queue.outcome(run).failure == failure
    Queue([run], store).start((run,))
    assert store.failures() == ([], [])


def test_a_finished_run_has_no_failure(store):
    failed(store, mll_teacher())
    ensure(mll_teacher(), store, CPU)
    assert store.failures() == ([], [])


def test_a_failure_that_cannot_be_kept_is_said_all_the_same(store, monkeypatch):
    def full(*arguments, **settings):
        raise StoreError("cannot write: no space left")

    monkeypatch.setattr(type(store), "keep_failure", full)
    with pytest.raises(RunsFailed, match="1 of 1 runs failed: .*: no disk"):
        failed(store, mll_teacher()).check_failures()


def test_damaged_failures_are_named(store):
    failed(store, mll_teacher())
    path = store.folder(mll_teacher()) / "failure.json"
    path.write_text("{")
    [], [error] = store.failures()
    assert str(error) == f"{path} is damaged"


def test_what_failed_is_tried_again(store):
    run = mll_teacher(data="imagefolder:folder=nowhere", model="resnet8")
    for _ in range(2):
        with pytest.raises(RunsFailed, match="1 of 1 runs failed: .*nowhere"):
            execute([run], store, workers=1, device=CPU)
    assert [failure.run_id for failure in store.failures()[0]] == [run.id]

"""What takes longest starts first, once it is known how long it takes."""

import math
from concurrent.futures import Future

import pytest
from small_runs import kd_student, mll_teacher

from mcmi_core.runs.config import Measurement
from mcmi_core.runs.durations import Durations, seconds_per_epoch
from mcmi_core.runs.execute import _drive
from mcmi_core.runs.failures import Failure, Outcome
from mcmi_core.runs.order import LongestFirst
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.records import Record

WIDE = "mlp:width=16"
FAR = 1e12
"""A deadline, in seconds since 1970."""


def alone(*runs):
    return [(run,) for run in runs]


def test_an_epoch_is_expected_to_take_what_others_of_its_kind_took():
    durations = Durations()
    assert durations.expected(mll_teacher()) == 0
    for seed, seconds in enumerate((1, 2, 600)):
        durations.learn(mll_teacher(seed=seed), seconds)
    durations.learn(mll_teacher(model=WIDE), 5)
    assert durations.expected(mll_teacher(seed=9, epochs=100)) == 2
    assert durations.expected(mll_teacher(seed=9, model=WIDE)) == 5


def test_else_what_others_with_its_networks_took_else_as_long_as_the_longest():
    durations = Durations()
    durations.learn(kd_student(distiller="at"), 3)
    durations.learn(mll_teacher(), 7)
    assert durations.expected(kd_student(distiller="kd")) == 3
    assert durations.expected(kd_student(mll_teacher(model=WIDE))) == 7
    assert durations.expected(kd_student(model=WIDE)) == 7


def test_a_record_of_others_need_not_say_how_long_it_took():
    record = record_of(mll_teacher(epochs=3))
    assert seconds_per_epoch(record) == 1
    for provenance in ({}, {"seconds": "long"}):
        assert seconds_per_epoch(record.model_copy(update={"provenance": provenance})) is None
    assert seconds_per_epoch(record.model_copy(update={"history": {}})) is None


def test_whatever_waits_for_it_counts(store):
    short, long = mll_teacher(epochs=1), mll_teacher(epochs=9, model=WIDE)
    last = kd_student(short, epochs=20)
    alone_for_long = kd_student(long, epochs=2)
    order = LongestFirst(Queue([alone_for_long, last], store))
    groups = alone(long, short)
    assert order.sort(groups) == groups  # nothing is known
    for run in (short, long, last):
        order.learn(run, 1.0)
    assert order.sort(groups) == alone(short, long)  # 1 + 20 epochs, 9 + 2
    order.learn(long, 9.0)
    order.learn(long, 9.0)
    assert order.sort(groups) == alone(long, short)


def test_what_trains_nothing_takes_no_time_and_teaches_nothing(store):
    teacher = mll_teacher()
    measured = Measurement(of=teacher, what="network_size")
    other = mll_teacher(model=WIDE)
    order = LongestFirst(Queue([measured, other], store))
    order.learn(measured, None)
    order.learn(other, 1.0)
    assert order.sort(alone(measured, other)) == alone(other, measured)


def test_of_a_group_the_longest_run_counts_and_ties_stay_in_order(store):
    teachers = [mll_teacher(seed=seed, epochs=epochs) for seed, epochs in enumerate((2, 2, 1, 5))]
    order = LongestFirst(Queue(teachers, store))
    order.learn(teachers[0], 1.0)
    groups = [(teachers[0],), (teachers[1],), (teachers[2], teachers[3])]
    assert order.sort(groups) == [groups[2], groups[0], groups[1]]


class OneWorker:
    """Finishes at once what it is given, one run at a time, and remembers in which order."""

    number = 1

    def __init__(self, store, fails=()):
        self.store, self.fails, self.started = store, fails, []

    def submit(self, group):
        self.started += group
        future = Future()
        future.set_result(None)
        return future

    def outcomes(self, future, group):
        return [self.outcome(run) for run in group]

    def outcome(self, run):
        if run in self.fails:
            return Outcome(run.key, failure=Failure.of(run, OSError("broken")))
        self.store.finish(run, record_of(run), None)
        return Outcome(run.key, usable=True)

    def report(self, queue, bar):
        pass


def record_of(run):
    return Record(
        key=run.key,
        run=run.model_dump(mode="json"),
        history={"epoch": list(range(1, run.epochs + 1))},
        provenance={"hardware": "here", "seconds": float(run.epochs)},
    )


@pytest.mark.parametrize("deadline", [math.inf, FAR])
def test_with_a_deadline_what_is_asked_for_first_starts_first(store, deadline):
    runs = [mll_teacher(seed=seed, epochs=epochs) for seed, epochs in enumerate((2, 1, 3, 4))]
    worker = OneWorker(store, fails=runs[1:2])
    _drive(Queue(runs, store), worker, deadline)
    learnt = [runs[0], runs[3], runs[2], runs[1]]  # nothing is known before the first
    assert worker.started == (learnt if deadline == math.inf else runs)


def test_what_was_done_before_is_known(store):
    done = mll_teacher(seed=5)
    store.finish(done, record_of(done), None)
    runs = [mll_teacher(seed=seed, epochs=epochs) for seed, epochs in enumerate((2, 4))]
    worker = OneWorker(store)
    _drive(Queue([*runs, done], store), worker, math.inf)
    assert worker.started == runs[::-1]

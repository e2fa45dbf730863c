"""Lanes on the CPU give what `ensure` gives; what fails stops only what it must.

What is left to a GPU is how a step is done, which `mcmi sprint` checks there.
"""

import math
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock, Timeout
from small_runs import DATA, kd_student, mcmi_teacher, mll_teacher

from mcmi_core.base.errors import OutOfTime, RunsFailed
from mcmi_core.runs import on_card
from mcmi_core.runs.config import BayesTeacher, Measurement
from mcmi_core.runs.execute import STREAMS, cores, default_workers, execute
from mcmi_core.runs.failures import Outcome
from mcmi_core.runs.on_card import execute_on_card
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.training.captured import EagerSteps
from mcmi_core.training.lanes import Lane

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
MISSING = mll_teacher(data="imagefolder:folder=nowhere", model="resnet8")
# Of a width that no CPU stacks, as a card stacks none.
ALL_KINDS = [
    kd_student(mcmi_teacher("fixed"), model="mlp:width=4"),
    kd_student(mcmi_teacher("tracked"), model="mlp:width=4", seed=1),
    kd_student(distiller="crd:num_negatives=16"),
    kd_student(BayesTeacher(data=DATA), model="mlp:width=4"),
    Measurement(of=mll_teacher(), what="temperature_sweep:temperatures=1.0+4.0"),
]


def in_lanes(runs, store, streams=3, deadline=math.inf):
    queue = Queue(runs, store)
    execute_on_card(queue, store, CPU, streams=streams, engine="graph", deadline=deadline)
    return queue


def links(runs):
    return {link.key: link for run in runs for link in run.chain()}.values()


def assert_same_results(runs, one, other):
    for run in links(runs):
        first, second = one.record(run), other.record(run)
        for field in ("status", "metrics", "history", "result"):
            assert getattr(first, field) == getattr(second, field), run.id
        if first.history:
            weights, others = one.weights(run), other.weights(run)
            assert weights.keys() == others.keys()
            assert all(torch.equal(weights[name], others[name]) for name in weights), run.id


def assert_free(runs, store):
    for run in links(runs):
        with store.lock(run, wait=False):
            pass


@pytest.mark.parametrize("streams", [1, 3])
def test_lanes_give_the_results_of_one_run_after_the_other(tmp_path, streams):
    lanes, alone = Store(tmp_path / "lanes"), Store(tmp_path / "alone")
    queue = in_lanes(ALL_KINDS, lanes, streams)
    queue.check_failures()
    assert str(queue) == "9 of 9 runs done"
    assert sum(queue.epochs_left.values()) == 0
    for run in ALL_KINDS:
        ensure(run, alone, CPU)
    assert_same_results(ALL_KINDS, lanes, alone)
    assert_free(ALL_KINDS, lanes)


def test_as_many_are_under_way_as_there_are_streams(store, monkeypatch):
    most, open_lanes = [], set()
    advance = Lane.advance

    def watched(lane):
        open_lanes.add(lane)
        most.append(len(open_lanes))
        if goes_on := advance(lane):
            return goes_on
        open_lanes.remove(lane)
        return False

    monkeypatch.setattr(Lane, "advance", watched)
    in_lanes([mll_teacher(seed=seed) for seed in range(5)], store, streams=3)
    assert max(most) == 3


def test_a_run_that_fails_stops_no_other(store):
    student = kd_student(MISSING, data=MISSING.data, model="resnet8")
    queue = in_lanes([MISSING, student, kd_student()], store)
    assert store.record(kd_student()).status == "done"
    with pytest.raises(RunsFailed, match=f"1 of 4 runs failed: {MISSING.id}. First .*nowhere"):
        queue.check_failures()
    assert_free([MISSING, kd_student()], store)


def test_a_collapse_stops_only_what_builds_on_it(store):
    collapsing = mcmi_teacher("fixed", lam=50.0)
    queue = in_lanes([kd_student(collapsing), kd_student()], store)
    queue.check_failures()
    assert store.record(collapsing).status == "collapsed"
    assert store.record(kd_student(collapsing)) is None
    assert store.record(kd_student()).status == "done"
    assert sum(queue.epochs_left.values()) == 0


def test_out_of_time_the_next_call_goes_on_to_the_same_result(tmp_path, monkeypatch):
    stopped, whole = Store(tmp_path / "stopped"), Store(tmp_path / "whole")
    runs = [mll_teacher(seed=seed) for seed in range(2)]
    with pytest.raises(OutOfTime, match="0 of 2 runs done"):
        in_lanes(runs, stopped, deadline=time.time() - 1)
    assert_free(runs, stopped)

    epochs = []
    count = Queue.count_epoch

    def counted(queue, key):
        epochs.append(key)
        count(queue, key)

    monkeypatch.setattr(Queue, "count_epoch", counted)
    clock = SimpleNamespace(time=lambda: len(epochs), sleep=time.sleep)
    monkeypatch.setattr(on_card, "time", clock)
    with pytest.raises(OutOfTime, match="0 of 2 runs done"):
        in_lanes(runs, stopped, deadline=4)
    assert [stopped.epochs_left(run) for run in runs] == [2, 2]
    assert_free(runs, stopped)
    in_lanes(runs, stopped)
    in_lanes(runs, whole)
    assert len(epochs) == 8 + 8  # none was trained twice
    assert_same_results(runs, stopped, whole)


@pytest.mark.parametrize("beside", [[], [mll_teacher(seed=1), mll_teacher(seed=2)]])
def test_a_run_that_another_process_makes_is_waited_for(store, beside):
    run, held = kd_student(), threading.Event()

    def hold():
        with FileLock(store.folder(run.parent) / "lock"):
            held.set()
            time.sleep(0.3)

    store.folder(run.parent).mkdir(parents=True)
    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    begun = time.monotonic()
    queue = in_lanes([run, *beside], store)
    other.join()
    assert time.monotonic() - begun > 0.2
    queue.check_failures()
    assert str(queue) == f"{2 + len(beside)} of {2 + len(beside)} runs done"
    assert all(store.record(each).status == "done" for each in [run, *beside])


def test_waiting_for_another_process_ends_at_the_deadline(store):
    with store.lock(mll_teacher()), pytest.raises(OutOfTime, match="0 of 1 runs done"):
        in_lanes([mll_teacher()], store, deadline=time.time() + 0.1)


def test_runs_that_others_make_let_a_free_one_pass(store, monkeypatch):
    held, free, slept = [mll_teacher(seed=1), mll_teacher(seed=2)], mll_teacher(seed=3), []
    clock = SimpleNamespace(time=lambda: len(slept), sleep=slept.append)
    monkeypatch.setattr(on_card, "time", clock)
    with (
        store.lock(held[0]),
        store.lock(held[1]),
        pytest.raises(OutOfTime, match="1 of 3 runs done"),
    ):
        in_lanes([*held, free], store, streams=2, deadline=3)
    assert store.record(free).status == "done"


def test_what_another_process_made_meanwhile_is_not_made_again(store, monkeypatch):
    make, asked = on_card.make, []

    def made_elsewhere_first(run, *arguments, **settings):
        asked.append(run)
        if len(asked) == 1:
            yield from _timeout()
        ensure(run, store, CPU)
        return (yield from make(run, *arguments, **settings))

    def _timeout():
        raise Timeout("lock")
        yield

    monkeypatch.setattr(on_card, "make", made_elsewhere_first)
    monkeypatch.setattr(on_card, "POLL_SECONDS", 0)
    queue = in_lanes([mll_teacher()], store)
    assert (len(asked), str(queue)) == (2, "1 of 1 runs done")


def test_too_little_memory_is_said_and_what_to_do(store, monkeypatch):
    advance = Lane.advance
    failing = []

    def fail(lane):
        failing.append(lane)
        if lane is failing[0]:
            raise torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has a total capacity of 9 GiB"
            )
        return advance(lane)

    monkeypatch.setattr(Lane, "advance", fail)
    runs = [mll_teacher(seed=seed) for seed in range(2)]
    queue = in_lanes(runs, store)
    message = "CUDA out of memory; run again with fewer at a time, and it goes on"
    with pytest.raises(RunsFailed, match=f"1 of 2 runs failed: {runs[0].id}.*{message}$"):
        queue.check_failures()
    assert store.record(runs[1]).status == "done"


def test_a_step_that_fails_ends_its_training_and_says_where(store, monkeypatch):
    failing, lanes, advance, do_steps = [], set(), Lane.advance, EagerSteps.queue

    def watched(lane):
        lanes.add(lane)  # so that nothing is freed by chance
        return advance(lane)

    def fail(steps, request):
        failing.append(request.trainee)
        if request.trainee is failing[0]:
            raise ValueError("a bad step")
        do_steps(steps, request)

    monkeypatch.setattr(Lane, "advance", watched)
    monkeypatch.setattr(EagerSteps, "queue", fail)
    runs = [mll_teacher(seed=seed) for seed in range(2)]
    queue = in_lanes(runs, store)
    assert len(lanes) == 2
    assert all(lane.training.gi_frame is None for lane in lanes)
    assert_free(runs, store)
    message = f"1 of 2 runs failed: {runs[0].id}.*a bad step"
    with pytest.raises(RunsFailed, match=message):
        queue.check_failures()
    [[failure], _] = store.failures()
    assert failure.reason == "ValueError: a bad step"
    assert failure.last_lines[0].startswith("Traceback")
    assert failure.last_lines[-1] == "ValueError: a bad step"
    assert store.record(runs[1]).status == "done"


def test_an_interrupt_frees_all_locks(store, monkeypatch):
    def stop(queue, key):
        raise KeyboardInterrupt

    runs = [mll_teacher(seed=seed) for seed in range(3)]
    monkeypatch.setattr(Queue, "count_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        in_lanes(runs, store)
    assert_free(runs, store)
    assert sum(store.epochs_left(run) for run in runs) == 3 * 4 - 1


# The queue, and the way here


def test_what_is_postponed_waits_again_and_keeps_what_builds_on_it(store):
    teacher, student, other = mll_teacher(), kd_student(), mll_teacher(seed=1)
    queue = Queue([student, other], store)
    queue.start((teacher,))
    queue.start((other,))
    queue.postpone(teacher)
    assert queue.groups(workers=2) == [(teacher,)]
    queue.finish((other,), [Outcome(other.key, usable=True)])
    assert list(queue.waiting.values()) == [teacher, student]
    assert sum(queue.epochs_left.values()) == 4 + 4
    queue.start((teacher,))
    queue.finish((teacher,), [Outcome(teacher.key, usable=True)])
    assert list(queue.waiting.values()) == [student]


def test_runs_at_a_time_unless_somebody_says_otherwise(monkeypatch):
    assert default_workers(CARD, []) == STREAMS
    monkeypatch.setenv("MCMI_CORES", "3")
    assert default_workers(CPU, []) == cores() == 3


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"streams": STREAMS, "engine": "graph", "deadline": math.inf}),
        (
            {"workers": 5, "engine": "eager", "deadline": 7.0},
            {"streams": 5, "engine": "eager", "deadline": 7.0},
        ),
    ],
)
def test_a_gpu_is_used_by_this_process(store, monkeypatch, settings, expected):
    asked = []

    def no_card(queue, store, device, **how):
        asked.append((device, how, queue.together))
        raise OutOfTime(str(queue))

    monkeypatch.setattr(on_card, "execute_on_card", no_card)
    with pytest.raises(OutOfTime, match="0 of 2 runs done"):
        execute([kd_student()], store, device=CARD, **settings)
    assert asked == [(CARD, expected, 1)]


def test_finished_runs_need_no_gpu(store, monkeypatch):
    ensure(mll_teacher(), store, CPU)
    monkeypatch.setattr(on_card, "execute_on_card", None)
    execute([mll_teacher()], store, device=CARD)

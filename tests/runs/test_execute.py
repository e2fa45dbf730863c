"""Runs end to end: once, resumed exactly, raced, killed, failed and collapsed."""

import math
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from small_runs import DATA, kd_student, mcmi_teacher, mll_teacher
from waiting import wait_until

from mcmi_core.base.errors import (
    DataError,
    OutOfTime,
    RunsFailed,
    StoreError,
    TrainingCollapsed,
)
from mcmi_core.data import load_dataset
from mcmi_core.measures.evaluation import evaluate
from mcmi_core.runs.config import BayesTeacher, Measurement, Part
from mcmi_core.runs.execute import default_workers, execute
from mcmi_core.runs.failures import Outcome
from mcmi_core.runs.on_cores import WARM
from mcmi_core.runs.queue import Queue, group_runs
from mcmi_core.runs.rehearsal import rehearse
from mcmi_core.runs.stacking import axis, side_by_side
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure, load_model
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
KINDS = [mll_teacher(), mcmi_teacher("fixed"), mcmi_teacher("tracked"), kd_student()]


def ids(run):
    return f"{run.stage}-{run.label}"


def assert_same_result(run, store, other_store):
    first, second = store.weights(run), other_store.weights(run)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for field in ("metrics", "history", "status"):
        assert getattr(store.record(run), field) == getattr(other_store.record(run), field)


def test_chain_trains_and_learns(store):
    student = kd_student(mcmi_teacher())
    record = ensure(student, store, CPU)
    assert record.metrics["test"]["accuracy_percent"] > 40  # guessing: 25
    assert record.history["epoch"] == [1, 2, 3, 4]
    assert record.history["learning_rate"] == pytest.approx([0.05, 0.05, 0.05, 0.005])
    assert {"loss_cross_entropy", "loss_kd", "test_cmi_nats"} <= record.history.keys()
    assert record.provenance["torch"] == torch.__version__
    assert all(store.record(run) for run in student.chain())
    assert not list(store.root.glob("*/checkpoint.safetensors"))


def test_stored_weights_give_the_recorded_metrics(store):
    run = mcmi_teacher()
    record = ensure(run, store, CPU)
    dataset = load_dataset(run.data)
    again = evaluate(load_model(run, store, CPU), dataset, dataset.test, CPU)
    assert again == pytest.approx(record.metrics["test"], rel=1e-6)


def test_a_finished_run_is_not_trained_again(store):
    ensure(mll_teacher(), store, CPU)
    epochs = []
    ensure(mll_teacher(), store, CPU, on_epoch=lambda: epochs.append(1))
    assert epochs == []


@pytest.mark.parametrize("run", KINDS, ids=ids)
def test_interrupted_training_resumes_exactly(run, tmp_path):
    whole, interrupted = Store(tmp_path / "whole"), Store(tmp_path / "interrupted")
    ensure(run, whole, CPU)
    if run.parent:
        ensure(run.parent, interrupted, CPU)
    for _ in range(2):  # stopped after the first epoch of each attempt

        def stop():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ensure(run, interrupted, CPU, on_epoch=stop)
    ensure(run, interrupted, CPU)
    assert_same_result(run, whole, interrupted)


def _ensure_and_count(run, root, epochs):
    torch.set_num_threads(1)
    ensure(run, Store(root), CPU, on_epoch=lambda: epochs.put(1))


@pytest.fixture(scope="module")
def fresh_process():
    """Starts processes that have torch loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WARM)
    return context


def test_ten_kills_at_random_moments_change_nothing(tmp_path, fresh_process):
    run = kd_student(mcmi_teacher(epochs=80), epochs=240)
    random.seed(0)
    kills = 0
    while kills < 10:
        epochs = fresh_process.SimpleQueue()
        process = fresh_process.Process(
            target=_ensure_and_count, args=(run, tmp_path / "killed", epochs)
        )
        process.start()
        while epochs.empty() and process.is_alive():
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.15))
        if not process.is_alive():
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    assert kills == 10
    ensure(run, Store(tmp_path / "killed"), CPU)
    ensure(run, Store(tmp_path / "whole"), CPU)
    for link in run.chain():
        assert_same_result(link, Store(tmp_path / "killed"), Store(tmp_path / "whole"))


def test_two_processes_that_ask_at_once_train_once(tmp_path, fresh_process):
    run = mll_teacher(epochs=20)
    epochs = fresh_process.SimpleQueue()
    processes = [
        fresh_process.Process(target=_ensure_and_count, args=(run, tmp_path, epochs))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    trained = 0
    while not epochs.empty():
        trained += epochs.get()
    assert trained == 20


def test_parallel_execution_equals_one_after_the_other(tmp_path):
    runs = [kd_student(mll_teacher(seed=s), seed=s) for s in range(2)] + [mcmi_teacher()]
    execute(runs, Store(tmp_path / "parallel"), workers=2, device=CPU, together=1)
    for run in runs:
        ensure(run, Store(tmp_path / "serial"), CPU)
        assert_same_result(run, Store(tmp_path / "parallel"), Store(tmp_path / "serial"))


def test_small_students_are_trained_together(tmp_path):
    runs = [kd_student(mll_teacher(), seed=s) for s in range(4)]
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    execute(runs, together, workers=2, device=CPU)
    execute(runs, alone, workers=2, device=CPU, together=1)
    for run in runs:
        record, other = together.record(run), alone.record(run)
        assert record.provenance["trained_together"] == 2  # of four, so that both processes work
        assert "trained_together" not in other.provenance
        assert record.history["loss_kd"] == pytest.approx(other.history["loss_kd"], rel=1e-4)


@pytest.mark.parametrize(
    ("number", "workers", "together", "sizes"),
    [(10, 2, 16, [5, 5]), (40, 2, 16, [14, 13, 13]), (3, 8, 16, [1, 1, 1]), (4, 1, 3, [2, 2])],
)
def test_groups_give_every_process_work(number, workers, together, sizes):
    runs = [kd_student(seed=seed) for seed in range(number)]
    groups = group_runs(runs, {run.key: axis(run) for run in runs}, workers, together)
    assert [len(group) for group in groups] == sizes
    assert sorted(run.key for group in groups for run in group) == sorted(r.key for r in runs)


def test_runs_that_others_may_build_on_come_first_then_the_largest_group():
    wide = [kd_student(model="mlp:width=64", seed=seed) for seed in range(2)]
    narrow = [kd_student(seed=seed) for seed in range(3)]
    teacher = mll_teacher()
    axes = {run.key: axis(run) for run in [*wide, *narrow, teacher]}
    groups = group_runs([*wide, *narrow, teacher], axes, 1, 16)
    assert groups == [(teacher,), tuple(narrow), tuple(wide)]


def test_a_gpu_of_a_cluster_gets_runs_that_take_as_long_side_by_side(store):
    students = [kd_student(mcmi_teacher(lam=lam), seed=s) for lam in (0.1, 0.2) for s in range(3)]
    longer = [kd_student(seed=seed, epochs=9) for seed in range(2)]
    queue = Queue([mll_teacher(seed=seed) for seed in range(5)], store, 8, side_by_side)
    assert [len(group) for group in queue.groups(workers=2)] == [3, 2]
    assert len({side_by_side(run) for run in students}) == 1
    assert side_by_side(longer[0]) == side_by_side(longer[1]) != side_by_side(students[0])


def test_cores_that_others_use_are_left_to_them(store, monkeypatch):
    monkeypatch.setenv("MCMI_CORES", "1")
    runs = [kd_student(mll_teacher(), seed=s) for s in range(3)]
    execute(runs, store, device=CPU)
    for run in runs:
        about = store.record(run).provenance
        assert (about["threads"], about["trained_together"]) == (1, 3)


def test_threads_are_those_of_the_recipe_whatever_there_is(store, monkeypatch):
    monkeypatch.setenv("MCMI_CORES", "6")
    one, three = mll_teacher(), mll_teacher(recipe=Recipe(epochs=2, threads=3))
    execute([one, three, kd_student(one)], store, workers=2, device=CPU)
    for run in (one, three, kd_student(one)):
        assert store.record(run).provenance["threads"] == run.recipe.threads


def test_fewer_runs_at_a_time_where_each_has_several_threads(monkeypatch):
    monkeypatch.setenv("MCMI_CORES", "6")
    threads = [mll_teacher(recipe=Recipe(threads=number)) for number in (1, 3, 7)]
    workers = [default_workers(CPU, threads[:number]) for number in (0, 1, 2, 3)]
    assert workers == [6, 6, 2, 1]


@pytest.mark.parametrize("cores", ["0", "-1", "two", "1.5"])
def test_a_number_of_cores_that_is_none_is_refused(store, monkeypatch, cores):
    monkeypatch.setenv("MCMI_CORES", cores)
    with pytest.raises(ValueError, match=f"MCMI_CORES must be .* at least 1, got '{cores}'"):
        execute([kd_student()], store)


def test_at_least_one_run_at_a_time(store):
    with pytest.raises(ValueError, match="together must be at least 1, got 0"):
        execute([kd_student()], store, together=0)


def test_after_the_deadline_only_what_is_finished_is_returned(store):
    ensure(mll_teacher(), store, CPU)
    execute([mll_teacher()], store, deadline=time.time() - 1)
    with pytest.raises(OutOfTime, match="1 of 2 runs done"):
        execute([kd_student()], store, deadline=time.time() - 1)
    assert store.record(kd_student()) is None


SLOW = """
import os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
import torch
from mcmi_core.base.errors import OutOfTime
from mcmi_core.runs import execute
from mcmi_core.runs.store import Store
from small_runs import mll_teacher

root = Path(os.environ["MCMI_STORE"])
stuck = root / "stuck"
step = torch.optim.SGD.step


def endless_step(self, *arguments):
    if list(root.glob("*/checkpoint.safetensors")):
        stuck.touch()
        time.sleep(3600)
    return step(self, *arguments)


torch.optim.SGD.step = endless_step  # in workers too, which import this file
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    deadline = float(sys.argv[1])
    if deadline == 1:
        execute.time = SimpleNamespace(time=stuck.exists)  # it is 1 when a worker is stuck
    runs = [mll_teacher(seed=seed) for seed in range(3)]
    print("begun", flush=True)
    try:
        execute.execute(runs, Store(root), workers=2, device=torch.device("cpu"), deadline=deadline)
    except (KeyboardInterrupt, OutOfTime) as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def slow(tmp_path):
    """Starts a program that trains and gets stuck in its second epoch."""
    program = tmp_path / "slow.py"
    program.write_text(SLOW)
    folders = {"PYTHONPATH": str(Path(__file__).parents[1]), "MCMI_STORE": str(tmp_path / "slow")}
    started = []

    def start(deadline):
        command = [sys.executable, str(program), str(deadline)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        settings = {"env": os.environ | folders, "start_new_session": True}
        process = subprocess.Popen(command, **pipes, **settings)
        started.append(process)
        assert process.stdout.readline() == "begun\n"
        return process

    yield start
    for process in started:
        if _group_lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("deadline", "message"),
    [(1, "OutOfTime: 0 of 3 runs done\n"), (math.inf, "KeyboardInterrupt: \n")],
)
def test_training_stops_in_the_middle_of_an_epoch_and_goes_on_to_the_same_result(
    slow, tmp_path, deadline, message
):
    process = slow(deadline)
    stopped, whole = Store(tmp_path / "slow"), Store(tmp_path / "whole")
    wait_until((stopped.root / "stuck").exists, 60)
    begun = time.monotonic()
    if deadline == math.inf:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.wait(timeout=60)
    assert time.monotonic() - begun < 10  # 1 s where nothing else runs
    _, errors = process.communicate(timeout=30)  # until the process without work has ended too
    wait_until(lambda: not _group_lives(process.pid), 10)
    assert errors == message
    runs = [mll_teacher(seed=seed) for seed in range(3)]
    assert sum(run.epochs - stopped.epochs_left(run) for run in runs) >= 1
    for run in runs:
        ensure(run, stopped, CPU)
        ensure(run, whole, CPU)
        assert_same_result(run, stopped, whole)
        assert {path.name for path in stopped.folder(run).iterdir()} == {
            "lock",
            "record.json",
            "weights.safetensors",
        }


def test_nothing_is_printed_when_stopped_before_anything_has_begun(slow):
    process = slow(math.inf)
    time.sleep(0.3)  # the process that workers are copied from is just importing torch
    os.killpg(process.pid, signal.SIGINT)
    begun = time.monotonic()
    assert process.wait(timeout=60) == 1
    assert time.monotonic() - begun < 10
    _, errors = process.communicate()  # when that process has ended too
    assert errors == "KeyboardInterrupt: \n"


def test_a_plan_counts_epochs_and_leaves_out_what_cannot_start(store):
    collapsing = mcmi_teacher("fixed", lam=50.0)
    stopped = mll_teacher(seed=1)

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(stopped, store, CPU, on_epoch=stop)
    ensure(mll_teacher(), store, CPU)
    plan = Queue([kd_student(collapsing), stopped], store, together=16)
    assert str(plan) == "1 of 4 runs done"
    assert sum(plan.epochs_left.values()) == 4 + 4 + 3
    assert plan.groups(workers=2) == [(collapsing,), (stopped,)]
    plan.start((collapsing,))
    plan.count_epoch(collapsing.key)
    assert sum(plan.epochs_left.values()) == 3 + 4 + 3
    assert plan.groups(workers=2) == [(stopped,)]
    plan.finish((collapsing,), [Outcome(collapsing.key)])  # its record says that it collapsed
    assert str(plan) == "2 of 4 runs done"
    assert plan.epochs_left == {stopped.key: 3}
    assert list(plan.waiting.values()) == [stopped]
    plan.check_failures()


def test_workers_have_the_environment_of_who_asks(tmp_path, monkeypatch):
    """A worker of one call is no copy of another call's."""
    measured = mll_teacher(data="digits", model="mlp:width=8", recipe=Recipe(epochs=1))
    for name in ("one", "two"):
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", name)  # which provenance states
        store = Store(tmp_path / name)
        execute([measured], store, workers=1, device=CPU)
        assert store.record(measured).provenance["settings"] == f"NVIDIA_TF32_OVERRIDE={name}"


def test_collapse_is_a_recorded_result_and_stops_what_builds_on_it(store):
    collapsing = mcmi_teacher("fixed", lam=50.0)
    student = kd_student(collapsing)
    execute([student, kd_student()], store, workers=1, device=CPU)  # the healthy one is finished
    record = store.record(collapsing)
    assert record.status == "collapsed"
    assert "λ = 50 and fixed centroids collapsed" in record.message
    assert "centroids=tracked" in record.message
    assert store.record(student) is None
    assert store.record(kd_student()).status == "done"
    with pytest.raises(TrainingCollapsed, match="builds on .*, which is collapsed. epoch 1: MCMI"):
        ensure(student, store, CPU)


def test_divergence_is_reported(store):
    run = mll_teacher(recipe=Recipe(epochs=3, learning_rate=1e20))
    record = ensure(run, store, CPU)
    assert record.status == "collapsed"
    assert "epoch 1: cross_entropy is nan; try a smaller learning rate" in record.message
    assert record.metrics == {}


def test_failed_runs_are_listed_and_do_not_stop_the_others(store):
    missing = mll_teacher(data="imagefolder:folder=nowhere", model="resnet8")
    with pytest.raises(RunsFailed, match="1 of 2 runs failed: teacher-imagefolder.*nowhere"):
        execute([missing, mll_teacher()], store, workers=1, device=CPU)
    assert store.record(mll_teacher()).status == "done"


def test_what_fails_together_is_tried_again_one_by_one(store):
    runs = [kd_student(seed=seed) for seed in range(3)]
    ensure(mll_teacher(), store, CPU)
    store.folder(runs[0]).mkdir()
    store.folder(runs[0]).joinpath("lock").mkdir()  # so that it cannot be locked
    with pytest.raises(RunsFailed, match=f"1 of 4 runs failed: {runs[0].id}.*cannot lock"):
        execute(runs, store, workers=1, device=CPU)
    assert [bool(store.record(run)) for run in runs] == [False, True, True]
    [[failure], _] = store.failures()
    assert failure.run_id == runs[0].id
    assert failure.reason.startswith("cannot lock")
    assert failure.last_lines == ()  # the reason says it all
    store.folder(runs[0]).joinpath("lock").rmdir()
    execute(runs, store, workers=1, device=CPU)
    assert store.record(runs[0]).status == "done"
    assert store.failures() == ([], [])


def _kill_workers(store, others):
    """As soon as something is under way."""
    while not list(store.root.glob("student*/checkpoint.safetensors")):
        time.sleep(0.01)
    for process in {*multiprocessing.active_children()} - others:
        process.kill()


@pytest.fixture
def killer(store):
    ensure(mll_teacher(), store, CPU)
    others = {*multiprocessing.active_children()}  # of other tests
    thread = threading.Thread(target=_kill_workers, args=(store, others))
    thread.start()
    yield
    thread.join()


def test_a_killed_process_stops_no_other_run_and_is_kept_as_a_failure(store, killer):
    runs = [kd_student(model="mlp:width=8", epochs=60, seed=seed) for seed in range(3)]
    with pytest.raises(RunsFailed, match="1 of 4 runs failed: student-.*was killed") as failed:
        execute(runs, store, workers=1, device=CPU)
    killed, *others = runs
    assert killed.id in str(failed.value)
    assert all(store.record(run).status == "done" for run in others)
    [[failure], _] = store.failures()
    assert re.fullmatch(
        r"its process was killed \(out of memory\?\) after epoch \d+ of 60; run again to go on",
        failure.reason,
    )
    before = store.epochs_left(killed)
    assert before < 60
    execute(runs, store, workers=1, device=CPU)
    assert store.record(killed).status == "done"
    assert store.failures() == ([], [])


def test_runs_whose_process_was_killed_together_are_tried_again_one_by_one(store, killer):
    runs = [kd_student(epochs=60, seed=seed) for seed in range(3)]
    execute(runs, store, workers=1, device=CPU)
    for run in runs:
        record = store.record(run)
        assert record.status == "done"
        assert record.history.get("trained_together", [None])[-1] is None
    assert store.failures() == ([], [])


def test_few_shot_epochs_make_as_many_updates(store, monkeypatch):
    record = ensure(kd_student(part=Part(fraction=0.1)), store, CPU)
    assert record.metrics["train"]["accuracy_percent"] >= 0  # evaluated on the 20 samples it saw
    assert record.run["part"]["fraction"] == 0.1


def test_bayes_teacher_is_the_truth(store):
    record = ensure(BayesTeacher(data=DATA), store, CPU)
    assert record.metrics["test"]["bcpd_kl_nats"] == pytest.approx(0, abs=1e-9)
    student = ensure(kd_student(BayesTeacher(data=DATA)), store, CPU)
    assert student.status == "done"


def test_bayes_teacher_needs_data_with_a_known_posterior(store):
    with pytest.raises(DataError, match="true BCPD of data set 'digits' is not known; use oracle"):
        ensure(BayesTeacher(data="digits"), store, CPU)
    with pytest.raises(DataError, match="true BCPD of data set 'digits' is not known; use oracle"):
        rehearse(kd_student(BayesTeacher(data="digits"), data="digits"))


def test_temperature_sweep_measures_softened_outputs(store):
    teacher = mll_teacher()
    sweep = Measurement(of=teacher, what="temperature_sweep:temperatures=1.0+4.0")
    result = ensure(sweep, store, CPU).result
    assert result["temperature"] == [1, 4]
    assert result["cmi_nats"][0] == pytest.approx(
        store.record(teacher).metrics["train"]["cmi_nats"], rel=1e-6
    )
    assert result["entropy_nats"][0] < result["entropy_nats"][1]


def test_unfinished_runs_have_no_model(store):
    with pytest.raises(StoreError, match="is not finished in"):
        load_model(mll_teacher(), store, CPU)

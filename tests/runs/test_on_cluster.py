"""A Dask cluster of processes of this machine: what it trains, what it lacks, what dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
import torch
from distributed import Client, LocalCluster
from small_cluster import LOCAL
from small_runs import DATA, QUICKSTART, kd_student, mcmi_teacher, mll_teacher, profile_of
from waiting import wait_until

from mcmi_core.base.errors import CompanionError, OutOfTime, RunsFailed
from mcmi_core.base.registry import Component
from mcmi_core.components import DATASETS
from mcmi_core.data import load_dataset
from mcmi_core.runs import on_cluster
from mcmi_core.runs.config import Measurement
from mcmi_core.runs.execute import execute
from mcmi_core.runs.preflight import (
    SAME,
    check_answers,
    check_here,
    held_file,
    to_check,
    versions,
)
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.runs.training_process import ProcessDied, TrainingProcess

CPU, CARD = torch.device("cpu"), torch.device("cuda")


def assert_same_result(run, store, other):
    assert store.record(run).metrics == other.record(run).metrics
    assert store.record(run).result == other.record(run).result
    if run.epochs:
        first, second = store.weights(run), other.weights(run)
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_cluster_gives_the_same_results_as_one_process(client, store, tmp_path):
    measured = Measurement(of=mll_teacher(), what="temperature_sweep:temperatures=1.0")
    runs = [kd_student(mcmi_teacher(), model="mlp:width=8"), kd_student(seed=1), measured]
    execute(runs, store, device=CPU, cluster=client)
    alone = Store(tmp_path / "alone")
    for run in runs:
        ensure(run, alone, CPU)
        for link in run.chain():
            assert_same_result(link, store, alone)
            assert {path.name for path in store.folder(link).iterdir()} <= {
                "lock",
                "record.json",
                "weights.safetensors",
            }
    assert not list(store.root.glob(".check*"))


def test_what_fails_on_a_worker_is_kept_and_stops_no_other(client, store):
    bad, good = kd_student(seed=0), kd_student(seed=1)
    store.folder(bad).mkdir(parents=True)
    store.folder(bad).joinpath("lock").mkdir()
    with pytest.raises(RunsFailed, match=f"1 of 3 runs failed: {bad.id}.*cannot lock"):
        execute([bad, good], store, device=CPU, cluster=client)
    assert store.record(good).status == "done"
    assert [failure.run_id for failure in store.failures()[0]] == [bad.id]


def training_processes(cluster):
    workers = [psutil.Process(nanny.pid) for nanny in cluster.workers.values()]
    children = [child for worker in workers for child in worker.children(recursive=True)]
    return [child for child in children if "mcmi_core.runs.training_process" in child.cmdline()]


def is_dead(process):
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_a_killed_training_is_kept_and_takes_no_worker_with_it(client, cluster, store):
    run, other = mll_teacher(epochs=5000), mll_teacher(seed=1)

    def kill():
        wait_until(lambda: list(store.folder(run).glob("checkpoint*")) and store.record(other))
        for process in training_processes(cluster):
            process.kill()
            wait_until(lambda process=process: is_dead(process))  # else it may get the next run

    workers = {nanny.pid for nanny in cluster.workers.values()}
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        RunsFailed, match="1 of 2 runs failed: .* killed by signal 9 .* of 5000; run"
    ):
        execute([run, other], store, device=CPU, cluster=client)
    killer.join()
    assert store.record(other).status == "done"
    assert {nanny.pid for nanny in cluster.workers.values()} == workers
    execute([kd_student(seed=3)], store, device=CPU, cluster=client)


def test_at_the_deadline_training_stops_within_seconds(client, cluster, store):
    run = mll_teacher(epochs=100_000)
    ensure(mll_teacher(), store, CPU)
    execute([mll_teacher()], store, device=CPU, cluster=client)
    with pytest.raises(OutOfTime, match="0 of 1 runs done"):
        execute([run], store, device=CPU, cluster=client, deadline=time.time() + 12)
    with store.lock(run):  # as soon as nobody trains it
        before = store.epochs_left(run)
    time.sleep(1)
    assert store.epochs_left(run) == before < 100_000


DRIVER = """
import sys, torch
from pathlib import Path
from small_runs import mll_teacher
from mcmi_core.runs.execute import execute
from mcmi_core.runs.cluster_client import connected
from mcmi_core.runs.store import Store
with connected(sys.argv[1]) as client:
    store = Store(Path(sys.argv[2]))
    execute([mll_teacher(epochs=100_000)], store, device=torch.device("cpu"), cluster=client)
"""


def test_training_stops_when_whoever_asked_is_killed(client, cluster, store):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", DRIVER, cluster.scheduler_address, str(store.root)]
    driver = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    run = mll_teacher(epochs=100_000)
    wait_until((store.root / run.id / "checkpoint.safetensors").exists)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    with store.lock(run):
        assert 0 < store.epochs_left(run) < 100_000


def test_epochs_are_counted_from_checkpoints(client, store, monkeypatch):
    counted = []
    monkeypatch.setattr(on_cluster, "REPORT_SECONDS", 0)
    monkeypatch.setattr(on_cluster.Queue, "count_epoch", lambda queue, key: counted.append(key))
    run = mll_teacher(epochs=400)
    execute([run], store, device=CPU, cluster=client)
    assert set(counted) == {run.key}
    assert 1 <= len(counted) <= 400


# What a cluster must have


def test_workers_without_a_gpu_get_no_runs_that_need_one(client, store, monkeypatch):
    monkeypatch.setattr(on_cluster, "WORKER_SECONDS", 0)
    message = "no worker that announces a GPU; start some, .* --nthreads 1 --resources GPU=1"
    with pytest.raises(CompanionError, match=message):
        execute([mll_teacher()], store, device=CARD, cluster=client)


def test_a_cluster_without_workers_is_said(store, monkeypatch):
    monkeypatch.setattr(on_cluster, "WORKER_SECONDS", 0)
    with (
        LocalCluster(n_workers=0, **LOCAL) as empty,
        Client(empty, set_as_default=False) as client,
        pytest.raises(CompanionError, match="the cluster has no worker; start some, .*nthreads 1$"),
    ):
        execute([mll_teacher()], store, device=CPU, cluster=client)


def test_what_workers_lack_is_said_before_anything_is_trained(client, store):
    missing = mll_teacher(data="imagefolder:folder=nowhere", model="resnet8")
    with pytest.raises(
        CompanionError, match="2 of 2 workers cannot train: tcp://.*nowhere.*; tcp://"
    ):
        execute([missing, mll_teacher()], store, device=CPU, cluster=client)
    assert store.find() == []


def check(held, device="cpu", like=None, datasets=()):
    return check_here(str(held), device, like or versions(), list(datasets))


def test_a_gpu_that_torch_does_not_find_is_a_problem(store):
    with held_file(store.root) as held:
        assert check(held, "cuda")["problem"] == "torch finds no CUDA GPU"


def test_the_store_must_be_shared_and_have_locks(store):
    elsewhere = store.root / ".check-of-another-machine"
    assert "is not the folder that it is here" in check(elsewhere)["problem"]
    with held_file(store.root) as held:
        about = check(held, datasets=[DATA])
        assert about == {"problem": "", "data": {DATA: load_dataset(DATA).fingerprint()}}
    assert not list(store.root.glob(".check*"))
    unheld = store.root / ".check-unheld"
    unheld.touch()
    assert "does not let one machine see another's locks" in check(unheld)["problem"]
    with held_file(store.root):
        assert not unheld.exists()  # as whoever held it was killed


@pytest.mark.parametrize("name", SAME)
def test_versions_must_be_those_of_whoever_asks(store, name):
    here = versions()[name]
    with held_file(store.root) as held:
        problem = check(held, like=versions() | {name: "0"})["problem"]
    assert problem == f"{name} is {here} there, and 0 for whoever asks: results would differ"


def test_all_workers_that_cannot_train_are_named():
    fit = {"problem": "", "data": {"digits": "1"}}
    check_answers({"tcp://a": fit, "tcp://b": fit})
    with pytest.raises(CompanionError, match="^1 of 2 workers cannot train: tcp://b: no disk$"):
        check_answers({"tcp://a": fit, "tcp://b": {"problem": "no disk"}})
    message = "data digits has another content on tcp://b than on tcp://a; all need the same"
    with pytest.raises(CompanionError, match=message):
        check_answers({"tcp://a": fit, "tcp://b": {"problem": "", "data": {"digits": "2"}}})


def test_large_photographs_are_left_to_the_runs_that_need_them():
    small, large = (f"imagefolder:folder=x,image_size={size}" for size in (32, 224))
    complete = [DATASETS.complete(Component.model_validate(d)) for d in (small, large, DATA)]
    assert to_check([*complete, complete[0]]) == sorted([str(complete[0]), str(complete[2])])


def test_a_worker_that_has_joined_and_cannot_train_ends_the_sweep(client, store, monkeypatch):
    submit = on_cluster.ClusterWorkers.submit

    def submit_to_another_version(workers, group):
        workers._check = workers._check | {"like": versions() | {"torch": "0"}}
        return submit(workers, group)

    monkeypatch.setattr(on_cluster.ClusterWorkers, "submit", submit_to_another_version)
    with pytest.raises(CompanionError, match="1 of 1 workers cannot train: tcp://.*: torch is"):
        execute([mll_teacher()], store, device=CPU, cluster=client)
    assert store.find() == []


def test_what_goes_wrong_on_a_worker_outside_a_training_is_kept_with_its_run(
    client, store, monkeypatch
):
    def submit_nonsense(workers, group):
        future = workers._executor.submit(int, "no number")
        workers._under_way[future] = group, 0
        return future

    monkeypatch.setattr(on_cluster.ClusterWorkers, "submit", submit_nonsense)
    with pytest.raises(RunsFailed, match="1 of 1 runs failed: .*ValueError: invalid literal"):
        execute([mll_teacher()], store, device=CPU, cluster=client)


def test_a_check_that_cannot_be_made_is_said(client, store, monkeypatch):
    monkeypatch.setattr(on_cluster, "_ask", int)  # which takes no question
    with pytest.raises(CompanionError, match="2 of 2 workers cannot train: tcp://.*TypeError"):
        execute([mll_teacher()], store, device=CPU, cluster=client)


def test_a_worker_that_dies_with_its_answer_is_left_out():
    fit = {"problem": "", "data": {}}
    lost, given = (Mock(status="finished", **{"done.return_value": True}) for _ in range(2))
    lost.result.side_effect = TimeoutError  # Dask would compute it again, on the worker that died
    given.result.return_value = fit
    client = Mock()
    client.scheduler_info.return_value = {"workers": {"tcp://a": {}, "tcp://b": {}}}
    client.submit.side_effect = [lost, given]
    workers = on_cluster.ClusterWorkers(client, None, None, CPU, float("inf"))
    assert workers._ask_all({}) == {"tcp://b": fit}


def test_the_deadline_holds_while_workers_are_waited_for(client, store):
    with pytest.raises(OutOfTime, match="0 of 1 runs done"):
        execute([mll_teacher()], store, device=CARD, cluster=client, deadline=time.time() - 1)


def test_profiles_train_on_the_cluster_that_is_named(cluster, store, monkeypatch):
    profile = profile_of(QUICKSTART)
    said = []
    profile.train(profile.experiments, say=said.append, cluster=cluster.scheduler_address)
    [line] = said
    assert "done" in line and "not run" not in line
    monkeypatch.setenv("MCMI_CLUSTER", cluster.scheduler_address)
    asked = []

    def execute_nothing(runs, store, cluster, **settings):
        asked.append(cluster.scheduler.address)

    monkeypatch.setattr("mcmi_core.runs.execute.execute", execute_nothing)
    profile.lab(train=True).ensure([mll_teacher(seed=9)])
    assert asked == [cluster.scheduler_address]


def test_what_is_finished_needs_no_cluster(store, monkeypatch):
    profile = profile_of(QUICKSTART)
    profile.train(profile.experiments, say=lambda text: None)
    monkeypatch.setenv("MCMI_CLUSTER", "nowhere")
    profile.train(profile.experiments, say=lambda text: None)
    profile.lab(train=True).ensure(QUICKSTART.runs())


# The process that trains


@pytest.fixture
def process():
    process = TrainingProcess()
    yield process
    process.stop()


def test_a_process_that_dies_says_how_and_what_it_wrote_last(process, store):
    with pytest.raises(ProcessDied, match="its process ended with code 1") as died:
        process.ask({"check": {}}, lambda: True)
    assert died.value.lines[0].startswith("Traceback")
    assert "missing 4 required positional arguments" in died.value.lines[-1]
    assert not process.lives
    assert not died.value.was_idle


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path, monkeypatch):
    customized = tmp_path / "sitecustomize.py"
    customized.write_text("import os; os.write(2, b'\\xff\\n' + b' ' * 10**6 + b'\\n')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    process = TrainingProcess()
    end = time.monotonic() + 60
    with pytest.raises(ProcessDied) as died:
        process.ask({"check": {}}, lambda: time.monotonic() < end)
    assert died.value.lines[0] == "\ufffd"


def test_an_answer_that_nobody_wants_any_more_ends_the_process(process, store):
    run = mll_teacher(epochs=10**6)
    with held_file(store.root) as held:
        check = {"held": str(held), "like": versions(), "device": "cpu", "datasets": []}
        question = {"check": check, "runs": [run.model_dump(mode="json")], "store": str(store.root)}
        assert process.ask(question, lambda: not store.folder(run).exists()) is None
    assert not process.lives


def test_a_process_that_nobody_asks_ends(monkeypatch):
    code = "from mcmi_core.runs import training_process as t; t.IDLE_SECONDS = 0.1; t.main()"
    command = [sys.executable, "-c", code]
    idle = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert idle.wait(timeout=60) == 0
    idle.stdin.close()
    assert ProcessDied(0, []).was_idle

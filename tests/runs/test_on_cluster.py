"""A Dask cluster of processes of this machine: what it trains, what it lacks, what dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from distributed import Client, LocalCluster
from small_runs import DATA, QUICKSTART, kd_student, mcmi_teacher, mll_teacher, profile_of

from mcmi_core.base.errors import CompanionError, OutOfTime, RunsFailed
from mcmi_core.runs import on_cluster
from mcmi_core.runs.config import Measurement
from mcmi_core.runs.execute import execute
from mcmi_core.runs.on_cluster import connected
from mcmi_core.runs.preflight import SAME, check_answers, check_here, held_file
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.runs.training_process import ProcessDied, TrainingProcess

LOCAL = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
CPU, CARD = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, **LOCAL) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        yield client


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


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_training_is_kept_and_takes_no_worker_with_it(client, cluster, store):
    run, other = mll_teacher(epochs=5000), mll_teacher(seed=1)

    def kill():
        wait_until(lambda: list(store.folder(run).glob("checkpoint*")) and store.record(other))
        for process in training_processes(cluster):
            process.kill()

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
        execute([run], store, device=CPU, cluster=client, deadline=time.time() + 8)
    with store.lock(run):  # as soon as nobody trains it
        before = store.epochs_left(run)
    time.sleep(1)
    assert store.epochs_left(run) == before < 100_000


DRIVER = """
import sys, torch
from pathlib import Path
from small_runs import mll_teacher
from mcmi_core.runs.execute import execute
from mcmi_core.runs.on_cluster import connected
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


def test_without_a_scheduler_it_is_said_what_to_give(tmp_path, monkeypatch):
    with pytest.raises(CompanionError, match="no cluster at 'nowhere'; give the address"):
        connected("nowhere").__enter__()
    monkeypatch.setattr(on_cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(CompanionError, match="no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        connected("tcp://127.0.0.1:9").__enter__()
    with pytest.raises(CompanionError, match="no Dask scheduler answers at 'other://here'"):
        connected("other://here").__enter__()
    damaged = tmp_path / "scheduler.json"
    for text, problem in (("{", "Expecting property name"), ("[]", "the file names no address")):
        damaged.write_text(text)
        with pytest.raises(CompanionError, match=f"answers at .*scheduler.json': {problem}"):
            connected(str(damaged)).__enter__()


def test_a_scheduler_is_found_by_its_file(client, tmp_path):
    client.write_scheduler_file(str(tmp_path / "scheduler.json"))
    with connected(str(tmp_path / "scheduler.json")) as other:
        assert other.scheduler_info()["id"] == client.scheduler_info()["id"]


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
    with pytest.raises(CompanionError, match="2 workers cannot train. tcp://.*nowhere.*; tcp://"):
        execute([missing, mll_teacher()], store, device=CPU, cluster=client)
    assert store.find() == []


def test_a_gpu_that_torch_does_not_find_is_a_problem(store):
    with held_file(store.root) as held:
        assert check_here(str(held), "cuda", [])["problem"] == "torch finds no CUDA GPU"


def test_the_store_must_be_shared_and_have_locks(store):
    elsewhere = str(store.root / ".check-of-another-machine")
    assert "is not the folder that it is here" in check_here(elsewhere, "cpu", [])["problem"]
    with held_file(store.root) as held:
        about = check_here(str(held), "cpu", [DATA])
        assert about["problem"] == ""
        assert about["torch"] == torch.__version__
        assert about.keys() == {*SAME, "hardware", "problem"}
    assert not list(store.root.glob(".check*"))
    unheld = store.root / ".check-unheld"
    unheld.touch()
    assert (
        "does not let one machine see another's locks"
        in check_here(str(unheld), "cpu", [])["problem"]
    )


def test_workers_must_be_alike():
    alike = {name: "1" for name in SAME} | {"problem": ""}
    check_answers({"here": alike, "tcp://a": alike})
    other = alike | {"torch": "2"}
    with pytest.raises(
        CompanionError, match="the same torch, but there are 1 on here, 2 on tcp://b"
    ):
        check_answers({"here": alike, "tcp://b": other})
    bad = alike | {"problem": "no disk"}
    with pytest.raises(CompanionError, match="1 workers cannot train. tcp://b: no disk"):
        check_answers({"here": alike, "tcp://b": bad})


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
    profile.lab(train=True).ensure(QUICKSTART.runs())
    assert asked == [cluster.scheduler_address]


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
    assert "missing 3 required positional arguments" in died.value.lines[-1]
    assert not process.lives
    assert not died.value.was_idle


def test_an_answer_that_nobody_wants_any_more_ends_the_process(process, store):
    question = {"runs": [mll_teacher(epochs=10**6).model_dump(mode="json")]}
    question |= {"store": str(store.root), "device": "cpu"}
    assert process.ask(question, lambda: not store.root.exists()) is None
    assert not process.lives


def test_a_process_that_nobody_asks_ends(monkeypatch):
    code = "from mcmi_core.runs import training_process as t; t.IDLE_SECONDS = 0.1; t.main()"
    command = [sys.executable, "-c", code]
    idle = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert idle.wait(timeout=60) == 0
    idle.stdin.close()
    assert ProcessDied(0, []).was_idle

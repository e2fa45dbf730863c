"""A Dask cluster of processes of this machine: what it trains, what it lacks, what dies."""

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
import torch
from distributed import Client, LocalCluster, Security
from small_runs import DATA, QUICKSTART, kd_student, mcmi_teacher, mll_teacher, profile_of

from mcmi_core.base.errors import CompanionError, OutOfTime, RunsFailed
from mcmi_core.base.registry import Component
from mcmi_core.components import DATASETS
from mcmi_core.data import load_dataset
from mcmi_core.runs import on_cluster
from mcmi_core.runs.config import Measurement
from mcmi_core.runs.execute import execute
from mcmi_core.runs.on_cluster import TLS_SETTING, connected
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


NO_ADDRESSES = [
    *("nowhere", "other://here:1", "http://localhost:1", "inproc://x", "tcp://", "tcp://here"),
    *("tcp://:1", "tcp://[::1", "tcp://here:port", "tcp://here:0", "tcp://here:65536"),
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_of_what_is_no_address_it_is_said_what_would_be_one(address):
    message = f"^no cluster at '{re.escape(address)}'; give the address .* as tcp://host:8786, or"
    with pytest.raises(CompanionError, match=message):
        connected(address).__enter__()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", ": Expecting property name"),
        *((text, ", which names None; give the address") for text in ("[]", "{}", "null")),
        ('{"address": null}', ", which names None; give the address"),
        ('{"address": 5}', ", which names 5; give"),
        ('{"address": ["a"]}', r", which names \['a'\]; give"),
        ('{"address": "other://here:1"}', ", which names 'other://here:1'; give"),
    ],
)
def test_a_file_of_a_scheduler_must_name_an_address(text, problem, tmp_path):
    damaged = tmp_path / "scheduler.json"
    damaged.write_text(text)
    with pytest.raises(CompanionError, match=f"^no cluster at '.*scheduler.json'{problem}"):
        connected(str(damaged)).__enter__()


@contextmanager
def listening(greeting=b""):
    """The address of a port at which something else than Dask answers."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as connections:

        def answer():
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connections.enter_context(connection).sendall(greeting)

        threading.Thread(target=answer, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_it_is_said_that_no_scheduler_answers(client, monkeypatch):
    monkeypatch.setattr(on_cluster, "CONNECT_SECONDS", 1)
    with listening() as silent, listening(b"SSH-2.0-OpenSSH\r\n") as other:
        for address, reason in (
            ("tcp://127.0.0.1:9", "(Timed out|no answer in 1 s)"),
            (f"tcp://{'a' * 70}:1", ".*label too long"),
            (silent, "no answer in 1 s"),
            (other, "Unable to allocate"),
            (next(iter(client.scheduler_info()["workers"])), "it is the address of a Worker"),
        ):
            with pytest.raises(CompanionError, match=f"^no Dask .* at '{address}': {reason}"):
                connected(address).__enter__()


CONNECT = """
import sys
from mcmi_core.endings import run_command
from mcmi_core.runs import on_cluster
on_cluster.CONNECT_SECONDS = 1
def command(**_):
    with on_cluster.connected(sys.argv[1]) as client:
        print(client.submit(int, "7").result())
run_command(command)
"""


def connect(address, **environment):
    """Connect in a process of its own, which must end soon afterwards."""
    command = [sys.executable, "-c", CONNECT, address]
    environment = os.environ | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("address", ["other://here:1", "tcp://localhost:1", f"tcp://{'a' * 70}:1"])
def test_a_failed_connection_is_a_line_and_is_not_waited_for(address):
    done = connect(address)
    assert done.returncode == 1
    assert re.fullmatch(f"mcmi: no .* at '{address}'.*\n", done.stderr)


def test_what_tls_lacks_is_a_line():
    done = connect("tls://localhost:1")
    names = ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")
    problem = "TLS needs certificates:" + "".join(f" {TLS_SETTING}{name}=None" for name in names)
    assert done.stderr == f"mcmi: no Dask scheduler answers at 'tls://localhost:1': {problem}\n"
    assert done.returncode == 1


def test_a_certificate_that_is_not_there_is_named(tmp_path):
    missing = str(tmp_path / "missing.pem")
    given = {f"{TLS_SETTING}{name}": missing for name in ("CA_FILE", "CLIENT__CERT")}
    done = connect("tls://localhost:1", **given)
    assert f"No such file or directory: {TLS_SETTING}CA_FILE='{missing}' " in done.stderr
    assert done.stderr.count("\n") == done.returncode == 1


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes the certificate")
def test_with_certificates_a_cluster_is_reached_by_tls(tmp_path):
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout {key} -out {certificate}"
    subprocess.run(make.split(), check=True, capture_output=True)
    roles = ("scheduler", "worker", "client")
    files = {f"tls_{role}_cert": certificate for role in roles}
    files |= {f"tls_{role}_key": key for role in roles}
    security = Security(require_encryption=True, tls_ca_file=certificate, **files)
    given = {"CA_FILE": certificate, "CLIENT__CERT": certificate, "CLIENT__KEY": key}
    given = {f"{TLS_SETTING}{name}": file for name, file in given.items()}
    with LocalCluster(n_workers=1, protocol="tls://", security=security, **LOCAL) as cluster:
        assert cluster.scheduler_address.startswith("tls://")
        done = connect(cluster.scheduler_address, **given)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")


LOSE = """
import os, signal, sys, time
from mcmi_core.endings import run_command
from mcmi_core.runs.on_cluster import connected
def command(**_):
    with connected(sys.argv[1]) as client:
        os.kill(int(sys.argv[2]), signal.SIGKILL)
        while client.status == "running":
            time.sleep(0.1)
        time.sleep(1)  # for tries to connect again, of which Dask's log tells as the client closes
run_command(command)
"""


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler's process, to be killed, and the file that names its address."""
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host=127.0.0.1"]
    command += ["--port=0", "--no-dashboard", f"--scheduler-file={file}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: file.exists() and file.read_text())
    yield process, str(file)
    process.kill()
    process.wait()


def test_of_a_lost_scheduler_dasks_log_tells_nothing(scheduler):
    process, file = scheduler
    command = [sys.executable, "-c", LOSE, file, str(process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_dasks_log_is_as_it_was_afterwards(cluster):
    log = logging.getLogger("distributed.client")
    level = log.getEffectiveLevel()
    with connected(cluster.scheduler_address):
        assert log.getEffectiveLevel() == logging.CRITICAL != level
    assert log.getEffectiveLevel() == level


def test_a_scheduler_that_is_lost_while_workers_are_waited_for_is_said(
    scheduler, store, monkeypatch
):
    monkeypatch.setattr(on_cluster, "CONNECT_SECONDS", 5)  # also to wait for it to come back
    process, file = scheduler
    with connected(file) as client:
        process.kill()
        with pytest.raises(CompanionError, match="lost the cluster's scheduler, 0 of 1 runs done"):
            execute([mll_teacher()], store, device=CPU, cluster=client)


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

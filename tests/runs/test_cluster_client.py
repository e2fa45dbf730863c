"""What is said of a scheduler that is not there, is none, or is lost."""

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress

import pytest
import torch
from distributed import LocalCluster, Security
from small_cluster import LOCAL
from small_runs import mll_teacher
from waiting import wait_until

from mcmi_core.base.errors import CompanionError
from mcmi_core.runs import cluster_client
from mcmi_core.runs.cluster_client import TLS_SETTING, connected
from mcmi_core.runs.execute import execute

CPU = torch.device("cpu")

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
    monkeypatch.setattr(cluster_client, "CONNECT_SECONDS", 1)
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
from mcmi_core.runs import cluster_client
cluster_client.CONNECT_SECONDS = 1
def command(**_):
    with cluster_client.connected(sys.argv[1]) as client:
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
from mcmi_core.runs.cluster_client import connected
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
    monkeypatch.setattr(cluster_client, "CONNECT_SECONDS", 5)  # also to wait for it to come back
    process, file = scheduler
    with connected(file) as client:
        process.kill()
        with pytest.raises(CompanionError, match="lost the cluster's scheduler, 0 of 1 runs done"):
            execute([mll_teacher()], store, device=CPU, cluster=client)


def test_a_scheduler_is_found_by_its_file(client, tmp_path):
    client.write_scheduler_file(str(tmp_path / "scheduler.json"))
    with connected(str(tmp_path / "scheduler.json")) as other:
        assert other.scheduler_info()["id"] == client.scheduler_info()["id"]

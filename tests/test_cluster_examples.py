"""The examples for clusters: their syntax, the options that they give, and what they start.

No test has a batch system or Kubernetes: stand-ins note what they are asked for, and manifests are
checked against Kubernetes' own schemas.
"""

import importlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from kubernetes_validate import validate
from test_documents import check_command_line

from mcmi_core.base.paths import PROJECT

FOLDER = PROJECT / "examples" / "cluster"
SCRIPTS = [FOLDER / "slurm.sh", FOLDER / "ssh.sh"]
KUBERNETES = "1.34"
"""The version whose schemas the manifests are held to."""

SBATCH = {
    "--job-name": r"\w+",
    "--nodes": r"\d+",
    "--ntasks": r"\d+",
    "--ntasks-per-node": r"\d+",
    "--gpus-per-task": r"\d+",
    "--cpus-per-task": r"\d+",
    "--mem": r"\d+[KMGT]",
    "--mem-per-cpu": r"\d+[KMGT]",
    "--time": r"(\d+-)?\d+:\d\d:\d\d",
    "--partition": r"\w+",
    "--requeue": "",
    "--no-kill": "",
    "--output": r"\S+",
}
"""Options of sbatch and what may follow them."""
SHORT = {"-J": "--job-name", "-p": "--partition", "-t": "--time"}


def directives(script: str) -> dict[str, str]:
    """Option → value of a job script's #SBATCH lines."""
    found = {}
    for line in re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE):
        name, value = re.fullmatch(r"(-\w|--[\w-]+)[ =]?(.*)", line.strip()).groups()
        found[SHORT.get(name, name)] = value
    return found


def check_directives(script: str) -> None:
    """All are options of sbatch with values that it takes."""
    assert directives(script)
    for name, value in directives(script).items():
        assert name in SBATCH, name
        assert re.fullmatch(SBATCH[name], value), f"{name}={value}"


def check_dask(words: list[str]) -> dict:
    """Let Dask's own command line take a command apart; its parameters.

    Raises:
        click.UsageError: Dask refuses it.
    """
    module = importlib.import_module(f"distributed.cli.dask_{words[0]}")
    return module.main.make_context(words[0], list(words[1:])).params


def check_worker(words: list[str]) -> None:
    """It is a worker as the driver expects it: one run at a time, on one GPU."""
    parameters = check_dask(["worker", *words])
    assert parameters["nthreads"] == 1
    assert parameters["resources"] == "GPU=1"
    assert parameters["n_workers"] in (None, "1")


STAND_INS = {
    "dask": """#!/bin/bash
echo "dask $*" >> calls
case "$*" in
"scheduler "*)
    while test "$1" != --scheduler-file; do shift; done
    echo '{}' > "$2"
    exec sleep 60
    ;;
esac
""",
    "srun": """#!/bin/bash
while test "${1#--}" != "$1"; do shift; done
"$@"
exec sleep 60
""",
    "ssh": """#!/bin/bash
test "$1" = -n && shift
echo "to $1" >> calls
shift
bash -c "$*"
exec sleep 60
""",
    "mcmi": """#!/bin/bash
until test "$(grep -c "dask worker" calls)" = "$WORKERS"; do sleep 0.05; done
echo "mcmi $*" >> calls
exit 75
""",
}


@pytest.fixture
def project(tmp_path):
    """A folder with the stand-ins in its .venv, and a way to run a script in it."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in STAND_INS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (programs / "activate").write_text(f"PATH={programs}:$PATH\n")

    def run(script, *arguments, **environment):
        return subprocess.run(
            ["bash", FOLDER / script, *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            timeout=30,
        )

    run.calls = lambda: [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    run.store = tmp_path / "store"
    return run


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_have_no_fault_that_can_be_seen_without_running_them(script):
    for checker in (["bash", "-n"], ["shellcheck"]):
        if shutil.which(checker[0]):
            done = subprocess.run([*checker, script], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr


def test_slurm_takes_the_options_of_the_job():
    check_directives((FOLDER / "slurm.sh").read_text())


def test_a_misspelt_option_of_a_job_is_seen():
    for line in ("--gpu-per-task=1", "--time=1 day", "--nodes=some"):
        with pytest.raises(AssertionError):
            check_directives(f"#SBATCH {line}\n")


def test_a_slurm_job_starts_one_worker_a_gpu_and_one_driver(project):
    given = {"MCMI_STORE": str(project.store), "MCMI_DATA": "data"}
    job = {"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "4"}
    done = project("slurm.sh", "all", "--profile", "paper", **given, **job, WORKERS="1")
    assert done.returncode == 75, done.stderr  # what mcmi said
    scheduler, worker, train = project.calls()
    file = str(project.store / "scheduler-7.json")
    assert check_dask(scheduler[1:])["scheduler_file"]
    check_worker(worker[2:])
    assert train == ["mcmi", "train", "all", "--profile", "paper", "--cluster", file]
    assert not list(project.store.iterdir())


def test_ssh_starts_one_worker_a_gpu_of_each_machine(project, tmp_path):
    (tmp_path / "machines.txt").write_text("one 2\ntwo 1\n")
    given = {"MCMI_STORE": str(project.store), "MCMI_DATA": "data"}
    done = project("ssh.sh", "machines.txt", "02_mll_training_dynamics", **given, WORKERS="3")
    assert done.returncode == 75, done.stderr
    calls = project.calls()
    assert sorted(call for call in calls if call[0] == "to") == [
        ["to", "one"],
        ["to", "one"],
        ["to", "two"],
    ]
    workers = [call[2:] for call in calls if call[:2] == ["dask", "worker"]]
    assert len(workers) == 3
    for worker in workers:
        check_worker(worker)
    assert calls[-1][:4] == ["mcmi", "train", "02_mll_training_dynamics", "--cluster"]
    assert not list(project.store.iterdir())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_store_that_is_not_named_is_asked_for(script, project):
    done = project(script.name, "machines.txt")
    assert done.returncode != 0
    assert "MCMI_STORE: must name a folder that all" in done.stderr


@pytest.fixture
def slurm_cluster(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("MCMI_STORE", "/shared/the store")
    monkeypatch.setenv("MCMI_DATA", "/shared/data")
    monkeypatch.delenv("MCMI_CACHE", raising=False)
    script = importlib.import_module("slurm")
    with script.cluster_on("gpu") as cluster:
        yield cluster
    del sys.modules["slurm"]


def test_jobqueue_asks_slurm_for_one_gpu_and_starts_one_worker(slurm_cluster, tmp_path):
    text = slurm_cluster.job_script()
    check_directives(text)
    assert directives(text)["--gpus-per-task"] == directives(text)["--ntasks"] == "1"
    [command] = re.findall(r"^\S+ -m distributed\.cli\.dask_worker (.*)$", text, re.MULTILINE)
    assert slurm_cluster.scheduler_address in command
    check_worker(shlex.split(command))
    before = text.partition(command)[0].rpartition("\n")[0]
    shown = subprocess.run(
        ["bash", "-euc", f'{before}\necho "$MCMI_STORE|$MCMI_DATA"'], capture_output=True, text=True
    )
    assert shown.stdout == "/shared/the store|/shared/data\n", shown.stderr


@pytest.fixture(scope="module")
def manifests():
    """By kind and name."""
    documents = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def test_kubernetes_takes_the_manifests(manifests):
    assert len(manifests) == 5
    for manifest in manifests.values():
        assert validate(manifest, KUBERNETES, strict=True) == KUBERNETES


def pod_of(manifest: dict) -> tuple[dict, dict]:
    """The specification of its pods, and of their only container."""
    pod = manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]
    return pod, container


def test_what_the_manifests_start_fits_together(manifests):
    scheduler, worker = (manifests["Deployment", f"mcmi-{n}"] for n in ("scheduler", "worker"))
    job = manifests["Job", "mcmi-train"]
    service = manifests["Service", "scheduler"]["spec"]
    address = f"tcp://scheduler:{service['ports'][0]['port']}"
    for deployment in (scheduler, worker):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["selector"] == scheduler["spec"]["template"]["metadata"]["labels"]

    (_, scheduling), (worker_pod, working), (job_pod, training) = map(
        pod_of, (scheduler, worker, job)
    )
    port = check_dask(scheduling["command"][1:])["port"]
    assert address == f"tcp://scheduler:{port}"
    assert working["command"][:3] == ["dask", "worker", address]
    check_worker(working["command"][2:])
    assert working["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert training["command"][-2:] == ["--cluster", address]
    assert working["env"] == training["env"]
    assert working["volumeMounts"] == training["volumeMounts"]
    [mount] = working["volumeMounts"]
    assert all(each["value"].startswith(f"{mount['mountPath']}/") for each in working["env"])
    for pod in (worker_pod, job_pod):
        [volume] = pod["volumes"]
        assert volume["name"] == mount["name"]
        claim = volume["persistentVolumeClaim"]["claimName"]
        assert manifests["PersistentVolumeClaim", claim]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_images_are_for_the_user_to_name(manifests):
    images = {pod_of(m)[1]["image"] for m in manifests.values() if "template" in m["spec"]}
    assert images == {"IMAGE"}
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert re.findall(r"^FROM (.*)$", dockerfile, re.MULTILINE) == ["${BASE}"]
    for source in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE):
        assert (PROJECT / source).exists()


def test_records_made_in_an_image_name_their_commit():
    dockerfile = (FOLDER / "Dockerfile").read_text()
    [folder] = re.findall(r"^WORKDIR (.*)$", dockerfile, re.MULTILINE)
    assert f"\nRUN git config --system --add safe.directory {folder}\n" in dockerfile
    assert ".git" not in (PROJECT / ".dockerignore").read_text().splitlines()


def test_an_image_holds_nothing_that_git_ignores():
    """In `.dockerignore` a name alone is that of the top folder."""
    ignored = (PROJECT / ".gitignore").read_text().split()
    names = [n.strip("/") if n.startswith("/") else f"**/{n.strip('/')}" for n in ignored]
    assert (PROJECT / ".dockerignore").read_text().splitlines()[1:] == names


def test_the_driver_is_a_command_that_there_is(manifests):
    check_command_line(pod_of(manifests["Job", "mcmi-train"])[1]["command"][1:])
    for script in (*SCRIPTS, FOLDER / "slurm.py"):
        comment = script.read_text().partition("set -e")[0].partition('"""\n\n')[0]
        asked = re.search(rf"cluster/{script.name} (?:64 PARTITION |machines\.txt )?(.*)", comment)
        check_command_line(["train", *asked[1].split(), "--cluster", "scheduler.json"])

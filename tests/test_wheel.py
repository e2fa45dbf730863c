"""The wheel in an empty environment: what it brings, what works there, and what says what it lacks.

The environment lies in a repository of somebody else's, as a .venv does.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import distributions, version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mcmi_core.base.paths import PROJECT

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BESIDE = Path(sys.executable).with_name("uv")
UV = str(BESIDE) if BESIDE.exists() else shutil.which("uv")

pytestmark = [
    pytest.mark.skipif(UV is None, reason="needs uv, which `make env` installs"),
    pytest.mark.skipif(
        "+" in version("torch"),
        reason=f"torch {version('torch')} is from an index of its own: make env TORCH_BACKEND=lock",
    ),
]

WALK = """\
train-teacher --data oracle:train_size=100 --model mlp:width=8 --epochs 2
distill teacher-oracle-mlp-mll --student mlp:width=4 --epochs 2
runs list
plan all
train 13_proposition_1 --minutes 0"""
IN_ONE_PROCESS = f"""
import sys
from mcmi_core.cli import main
for line in {WALK.splitlines()}:
    sys.argv = ["mcmi", *line.split()]
    try:
        main()
    except SystemExit as stop:
        print(sys.argv[1], "exits with", stop.code)
"""
"""As each process takes seconds to import torch."""

UNWANTED = re.compile("jupyter|ipy|nb|notebook|papermill|matplotlib|seaborn|dask|pytest|sphinx")


class Environment(SimpleNamespace):
    """A virtual environment with the wheel in it, and a working directory that is no clone."""

    folder: Path
    work: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: object, **variables: str) -> subprocess.CompletedProcess:
        """With nothing of this process's settings that leads to the clone."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MCMI_", "PYTHON"))}
        return subprocess.run(
            list(map(str, command)),
            cwd=self.work,
            env=kept | variables,
            capture_output=True,
            text=True,
        )

    def succeed(self, *command: object, **variables: str) -> str:
        done = self.run(*command, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mcmi(self, *arguments: object) -> str:
        return self.succeed(self.folder / "bin" / "mcmi", *arguments)

    def refusal(self, *command: object, **variables: str) -> str:
        """The one line that a command fails with."""
        done = self.run(*command, **variables)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        [line] = done.stderr.splitlines()
        return line

    def distributions(self) -> set[str]:
        listed = self.succeed(UV, "pip", "list", "--python", self.python, "--format", "json")
        return {canonicalize_name(each["name"]) for each in json.loads(listed)}

    def install(self, *requirements: object, constraints: Path) -> None:
        """From uv's cache, which `make env` fills; what is not there, over the network."""
        command = [UV, "pip", "install", "--quiet", "--python", self.python, "-c", constraints]
        if self.run(*command, "--offline", *requirements).returncode:
            self.succeed(*command, *requirements)


def names(requirements: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: setuptools would add to it what an earlier build has left in build/."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "mcmi_core", source / "mcmi_core", ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / file, source)
    command = [UV, "build", "--wheel", "--no-build-isolation", "--offline"]
    command += ["--python", sys.executable, "--out-dir", out, source]
    subprocess.run(command, check=True, capture_output=True)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def constraints(tmp_path_factory) -> Path:
    """The versions of this environment, which are the lock's."""
    path = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    pins = {f"{each.name}=={each.version}" for each in distributions()}
    path.write_text("\n".join(pin for pin in pins if not pin.startswith(PYPROJECT["name"])))
    return path


@pytest.fixture(scope="module")
def core(wheel, constraints, tmp_path_factory) -> Environment:
    """The wheel and what it asks for, nothing else."""
    work = tmp_path_factory.mktemp("theirs")
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, work / ".venv"], check=True)
    environment = Environment(folder=work / ".venv", work=work)
    environment.install(wheel, constraints=constraints)
    return environment


@pytest.fixture
def copy(core, tmp_path) -> Environment:
    """To install more into; of hard links, with the bytecode that is compiled by now."""
    shutil.copytree(core.folder, tmp_path / ".venv", symlinks=True, copy_function=os.link)
    return Environment(folder=tmp_path / ".venv", work=tmp_path)


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    files = [path for path in (PROJECT / "mcmi_core").rglob("*") if path.is_file()]
    expected = {str(path.relative_to(PROJECT)) for path in files if path.suffix != ".pyc"}
    held = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in held if name.startswith("mcmi_companion-")}
    assert held - about == expected
    assert any(name.endswith("licenses/LICENSE") for name in about)


def test_the_core_brings_no_notebook_plotting_or_cluster_library(core):
    installed = core.distributions()
    assert names(PYPROJECT["dependencies"]) < installed
    assert not [name for name in installed if UNWANTED.match(name)]
    extras = [text for extra in PYPROJECT["optional-dependencies"].values() for text in extra]
    assert installed & names(extras) == {PYPROJECT["name"]}


def test_the_loss_and_the_metrics_work_in_the_core(core):
    page = (PROJECT / "docs" / "use.md").read_text(encoding="utf-8")
    [shown] = [b for b in re.findall(r"```python\n(.*?)```", page, re.S) if "MCMILoss(" in b]
    metric = "\nfrom mcmi_core.metrics import ConditionalMutualInformation as Metric"
    metric += "\nmetric = Metric(num_classes=10); metric.update(logits, labels)"
    metric += "\nprint(f'{metric.compute():.3f}')"
    lines = core.succeed(core.python, "-c", shown + metric).splitlines()
    assert re.fullmatch(r"CMI 0\.\d{3} nats", lines[0])
    assert re.fullmatch(r"0\.\d{3}", lines[1])


def test_the_command_line_works_in_the_core(core):
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    if shutil.which("git"):
        core.succeed(*git, "init", "--quiet")
        core.succeed(*git, "commit", "--quiet", "--allow-empty", "--message", "theirs")
    before = {path for path in core.folder.rglob("*") if "__pycache__" not in path.parts}

    assert "train-teacher" in core.mcmi("--help")
    assert "mcmi:lam" in core.mcmi("list", "objectives")
    said = core.succeed(core.python, "-c", IN_ONE_PROCESS)
    exits = re.findall(r"^(\S+) exits with (\d+)$", said, re.MULTILINE)
    assert [code for _, code in exits] == ["0", "0", "0", "0", str(os.EX_TEMPFAIL)], said
    assert re.search(r"^0 of \d+ runs done", said, re.MULTILINE)

    records = [json.loads(path.read_text()) for path in core.work.glob("store/*/record.json")]
    assert len(records) == 2
    for record in records:
        assert record["provenance"]["commit"] == "unknown"  # not that of the repository around
    after = {path for path in core.folder.rglob("*") if "__pycache__" not in path.parts}
    assert after == before  # all is in the working directory


@pytest.mark.parametrize(
    "command",
    ["notebook run 00b_quickstart --output out", "evidence", "publish"],
    ids=lambda command: command.split()[0],
)
def test_what_needs_the_notebooks_and_records_says_so(command, core):
    line = core.refusal(core.folder / "bin" / "mcmi", *command.split())
    assert re.match(rf"mcmi: `mcmi {command[:8]}.*` needs a clone of the repository", line)
    assert line.endswith(": pip install --editable CLONE")


def test_published_weights_are_those_of_a_clone(core):
    load = "from mcmi_core.models.pretrained import load_pretrained; load_pretrained('x')"
    message = core.run(core.python, "-c", load).stderr.splitlines()[-1]
    assert "a published network needs a clone of the repository" in message


def test_what_needs_an_extra_names_it(core):
    line = core.refusal(core.python, "-m", "mcmi_core.report.site", "site")
    assert "mcmi_core.report needs papermill, " in line
    assert "matplotlib, seaborn: pip install 'mcmi-companion[notebooks]'" in line
    command = ["-m", "mcmi_core.cli", "train", "13_proposition_1", "--cluster", "tcp://here:1"]
    line = core.refusal(core.python, *command)
    assert line == "mcmi: --cluster needs distributed: pip install 'mcmi-companion[cluster]'"


def test_in_a_clone_an_extra_is_installed_from_there(core):
    """By its name, pip would look on an index for what is not installed, and not there either."""
    command = ["-m", "mcmi_core.cli", "notebook", "run", "00b_quickstart", "--output", "out"]
    line = core.refusal(core.python, *command, PYTHONPATH=str(PROJECT))
    assert line.startswith("mcmi: mcmi_core.report needs papermill, ")
    assert line.endswith(f": pip install --editable '{PROJECT}[notebooks]'")


def test_with_the_extra_for_notebooks_one_is_executed(copy, constraints):
    message = copy.run(copy.python, "-c", "import mcmi_core.report.plots").stderr
    [requirement] = shlex.split(message.splitlines()[-1].partition(": pip install ")[2])
    copy.install(requirement, constraints=constraints)
    copy.succeed(copy.python, "-c", "import jupyter, papermill, matplotlib, seaborn")
    assert "distributed" not in copy.distributions()
    command = "-m mcmi_core.cli notebook run 15_authors_trials --profile stored --output out"
    copy.succeed(copy.python, *command.split(), PYTHONPATH=str(PROJECT))
    assert list(copy.work.glob("out/figures/*.png"))


def test_with_the_extra_for_clusters_there_is_dask(copy, constraints):
    copy.install("mcmi-companion[cluster]", constraints=constraints)
    copy.succeed(copy.python, "-c", "import distributed, dask_jobqueue")
    assert "papermill" not in copy.distributions()

"""What a record says about where it was made, on machines of several kinds."""

import json
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

import pytest
import torch

import mcmi_core
from mcmi_core.runs import provenance

CPU = torch.device("cpu")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture(autouse=True)
def ask_again():
    """The answers are kept for the life of a process; here, every test asks afresh."""
    kept = (provenance.commit, provenance._processor)
    for answer in kept:
        answer.cache_clear()
    yield
    for answer in kept:
        answer.cache_clear()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with one committed file, in a repository of its own."""
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set inside git's hooks
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    (tmp_path / "mcmi_core").mkdir()
    (tmp_path / "mcmi_core" / "train.py").write_text("first = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    signing = ("-c", "commit.gpgsign=false")
    git(tmp_path, *identity, *signing, "commit", "--quiet", "--message=first")
    return tmp_path


def git(folder, *arguments):
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_description_says_what_a_record_needs(monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            # The same moment where clocks are two hours ahead of UTC is already the next day.
            return datetime(2031, 2, 3, 22, 30) if tz is UTC else datetime(2031, 2, 4, 0, 30)

    monkeypatch.setattr(provenance, "datetime", Clock)
    monkeypatch.setattr(provenance, "commit", lambda: "0123456789ab")
    monkeypatch.setattr(provenance, "hardware", lambda device: f"name of {device}")
    torch.set_num_threads(2)
    assert provenance.describe(CPU) == {
        "mcmi_core": mcmi_core.__version__,
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "python": platform.python_version(),
        "hardware": "name of cpu",
        "threads": 2,
        "commit": "0123456789ab",
        "date": "2031-02-03",
    }


def test_a_description_fits_into_json():
    about = provenance.describe(CPU)
    assert json.loads(json.dumps(about)) == about
    assert re.fullmatch(r"([0-9a-f]{12}\+?|unknown)", about["commit"])
    assert all(about.values())


@needs_git
def test_commit_of_unchanged_files(project):
    assert provenance.commit() == git(project, "rev-parse", "HEAD")[:12]


@needs_git
@pytest.mark.parametrize(
    ("path", "mark"),
    [("mcmi_core/train.py", "+"), ("mcmi_core/new.py", "+"), ("README.md", "")],
)
def test_a_plus_marks_a_package_that_differs_from_its_commit(path, mark, project):
    """Edits and new files of the package count; others, such as notes, do not."""
    (project / path).write_text("second = 2\n")
    assert provenance.commit() == git(project, "rev-parse", "HEAD")[:12] + mark


@needs_git
def test_commit_is_looked_up_once(project):
    before = provenance.commit()
    (project / "mcmi_core" / "train.py").write_text("second = 2\n")
    assert provenance.commit() == before


@needs_git
def test_commit_outside_a_repository_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("GIT_DIR", raising=False)
    assert provenance.commit() == "unknown"


@needs_git
def test_the_commit_of_a_repository_around_an_installed_package_is_not_taken(project, monkeypatch):
    installed = project / ".venv" / "site-packages"
    (installed / "mcmi_core").mkdir(parents=True)
    monkeypatch.setattr(provenance, "PROJECT", installed)
    monkeypatch.chdir(project)
    assert provenance.commit() == "unknown"


def test_commit_without_git_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit() == "unknown"


def test_hardware_names_the_gpu_or_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(provenance, "_processor", lambda: "a processor")
    assert provenance.hardware(torch.device("cuda", 1)) == "GPU 1"
    assert provenance.hardware(CPU) == "a processor"


@pytest.mark.parametrize(
    ("cpuinfo", "processor", "expected"),
    [
        ("vendor\t: V\nmodel name\t: CPU: 4 GHz\nmodel name\t: other\n", "x", "CPU: 4 GHz"),
        ("processor\t: 0\nBogoMIPS\t: 50.0\n", "armv8", "armv8"),  # no name, as on ARM
        (None, "Some Other CPU", "Some Other CPU"),  # no such file, as on macOS
        (None, "", "machine"),
    ],
)
def test_processor_is_named_as_well_as_the_system_can(
    cpuinfo, processor, expected, tmp_path, monkeypatch
):
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    places = {"/proc/cpuinfo": path}
    monkeypatch.setattr(provenance, "Path", places.__getitem__)
    monkeypatch.setattr(platform, "processor", lambda: processor)
    monkeypatch.setattr(platform, "machine", lambda: "machine")
    assert provenance._processor() == expected

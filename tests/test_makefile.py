"""The Makefile, run for real in a scratch folder with stand-ins for the programs it calls."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mcmi_core.base.paths import PROJECT

FAKE_MCMI = """#!/bin/sh
echo "$*" >> calls
for folder; do :; done  # the last argument
case "$*" in
"notebook run"*)
    mkdir -p $folder
    shift 2
    while test "$1" != --profile; do
        echo half > $folder/$1.ipynb
        case $(cat notebooks/$1.ipynb) in
        slow) sleep 0.5 ;;
        broken) echo "Traceback: $1"; exit 1 ;;
        esac
        echo whole > $folder/$1.ipynb
        echo "end of $1" >> calls
        shift
    done ;;
esac
"""


class Scratch:
    """A folder with the Makefile, two notebooks, and programs that only note their calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(PROJECT / "Makefile", folder)
        shutil.copy(PROJECT / "requirements.lock", folder)
        for path in ("pyproject.toml", "mcmi_core/a.py", "notebooks/01_a.ipynb"):
            self.write(path, "x")
        self.write("notebooks/02_b.ipynb", "x")
        self.write(".venv/.installed", "lock\n")
        self.write(".venv/bin/uv", "#!/bin/sh\n").chmod(0o755)
        self.write(".venv/bin/mcmi", FAKE_MCMI).chmod(0o755)
        self.touch(".venv/.installed")

    def write(self, path: str, text: str) -> Path:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)
        return self.folder / path

    def touch(self, path: str) -> None:
        """Make a file newer than all others; seconds apart, whatever the file system stores."""
        for other in self.folder.rglob("*"):
            os.utime(other, (100, 100))
        os.utime(self.folder / path, (200, 200))

    def make(self, *arguments: str, fails: bool = False, path: str = "") -> str:
        """What ``make`` prints."""
        environment = {"PATH": f"{path}{os.environ['PATH']}", "HOME": str(self.folder)}
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def calls(self) -> list[str]:
        """How ``mcmi`` was called since the last time this was asked."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def built(self, folder: str = "build/smoke") -> dict[str, str]:
        return {
            path.name: path.read_text().strip() for path in (self.folder / folder).glob("*.ipynb")
        }


@pytest.fixture
def scratch(tmp_path):
    return Scratch(tmp_path)


def run(profile: str = "smoke") -> list[str]:
    command = f"notebook run 01_a 02_b --profile {profile} --train --output build/{profile}"
    return [command, "end of 01_a", "end of 02_b"]


def test_what_was_written_is_listed_with_its_size(scratch):
    scratch.write("build/smoke/figures/01_a.png", "x" * 5000)
    listing = scratch.make("figures")
    for name in ("01_a.ipynb", "02_b.ipynb", "figures/01_a.png"):
        assert re.search(rf"^\S+K\s+build/smoke/{name}$", listing, flags=re.MULTILINE)


def test_help_is_the_default_and_lists_every_phony_target(scratch):
    text = (PROJECT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (help .*)", text, flags=re.MULTILINE).group(1).split()
    listed = re.findall(r"^make ([a-z-]+) +\S.*", scratch.make(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(targets)
    assert {"env", "figures", "replay", "test", "lint", "evidence", "clean"} <= set(listed)
    assert scratch.make("help") == scratch.make()


def test_figures_are_built_once(scratch):
    scratch.make("figures")
    assert scratch.calls() == run()
    assert scratch.built() == {"01_a.ipynb": "whole", "02_b.ipynb": "whole"}
    scratch.make("figures")
    assert scratch.calls() == []


@pytest.mark.parametrize("changed", ["notebooks/02_b.ipynb", "mcmi_core/a.py"])
def test_after_a_change_they_are_built_again(scratch, changed):
    scratch.make("figures")
    scratch.calls()
    scratch.touch(changed)
    scratch.make("figures")
    assert scratch.calls() == run()


def test_profiles_are_built_side_by_side(scratch):
    scratch.make("figures")
    scratch.calls()
    scratch.make("figures", "PROFILE=gpu")
    assert scratch.calls() == run("gpu")
    assert scratch.built("build/gpu") == scratch.built("build/smoke")


def test_the_notebook_that_trains_starts_first(scratch):
    scratch.write("notebooks/14_c.ipynb", "x")
    scratch.make("replay")
    assert scratch.calls()[0].startswith("notebook run 14_c 01_a 02_b --profile stored")


def test_cleaning_comes_before_what_is_asked_for_with_it(scratch):
    scratch.make("figures")
    scratch.calls()
    for name in ("01_a", "02_b"):
        scratch.write(f"notebooks/{name}.ipynb", "slow")
    scratch.make("clean", "figures")
    assert scratch.calls() == run()
    assert scratch.built() == {"01_a.ipynb": "whole", "02_b.ipynb": "whole"}


def test_a_broken_notebook_stops_the_build_which_starts_again(scratch):
    scratch.write("notebooks/01_a.ipynb", "broken")
    assert "Traceback: 01_a" in scratch.make("figures", fails=True)
    assert scratch.calls() == run()[:1]
    assert not (scratch.folder / "build/smoke/.made").exists()
    scratch.write("notebooks/01_a.ipynb", "repaired")
    scratch.make("figures")
    assert scratch.built() == {"01_a.ipynb": "whole", "02_b.ipynb": "whole"}


def test_replay_never_trains_and_always_starts_afresh(scratch):
    scratch.write("build/replay/99_gone.ipynb", "from an earlier time")
    for _ in range(2):
        scratch.make("replay")
        calls = scratch.calls()
        assert calls == [
            "notebook run 01_a 02_b --profile stored --output build/replay",
            "end of 01_a",
            "end of 02_b",
        ]
        assert scratch.built("build/replay") == {"01_a.ipynb": "whole", "02_b.ipynb": "whole"}


@pytest.mark.parametrize("profile", ["cpu", "smoke"])
def test_replay_shows_the_profile_that_is_asked_for(scratch, profile):
    scratch.make("replay", f"PROFILE={profile}")
    asked = f"notebook run 01_a 02_b --profile {profile} --output build/replay"
    assert scratch.calls()[0] == asked


def test_replay_fails_when_a_notebook_does(scratch):
    scratch.write("notebooks/01_a.ipynb", "broken")
    assert "Traceback: 01_a" in scratch.make("replay", fails=True)


def test_evidence_and_clean(scratch):
    for asked, profile in ((["PROFILE=gpu"], "gpu"), ([], "cpu")):
        scratch.make("evidence", *asked)
        assert [call.split() for call in scratch.calls()] == [["evidence", "--profile", profile]]
    scratch.make("evidence", "PROFILE=gpu", "ONLY=01_a 02_b", "MINUTES=9")
    asked = "evidence --profile gpu --only 01_a --only 02_b --minutes 9"
    assert scratch.calls() == [asked]
    scratch.write("store/run/weights", "")
    scratch.make("figures")
    scratch.make("clean")
    assert not (scratch.folder / "build").exists()
    assert (scratch.folder / "store/run/weights").exists()
    assert (scratch.folder / ".venv").exists()


def test_checks_stop_at_the_first_failure_and_keep_what_pytest_prints(scratch):
    scratch.write("tests/end_to_end.sh", "mcmi end to end")
    pytest_stand_in = scratch.write(".venv/bin/pytest", "#!/bin/sh\necho pytest $*\n")
    pytest_stand_in.chmod(0o755)
    lines = scratch.make("test").splitlines()
    assert "pytest tests" in lines
    assert "pytest --nbval --nbval-current-env notebooks" in lines
    assert scratch.calls() == ["end to end"]  # it found the environment's mcmi
    pytest_stand_in.write_text("#!/bin/sh\necho 1 failed\nexit 1\n")
    assert "1 failed" in scratch.make("test", fails=True)
    assert scratch.calls() == []


def test_the_browser_is_not_needed_by_the_other_checks(scratch):
    scratch.write("tests/end_to_end.sh", "mcmi end to end")
    scratch.write(".venv/bin/pytest", "#!/bin/sh\necho called: pytest $*\n").chmod(0o755)
    called = "called: pytest tests/browser --screenshot only-on-failure --output build/browser"
    assert called in scratch.make("test-browser").splitlines()
    assert "tests/browser" not in scratch.make("test")


def test_the_environment_is_installed_once(scratch):
    assert "Nothing to be done" in scratch.make("env")
    scratch.touch("requirements.lock")
    assert "uv pip sync --require-hashes requirements.lock" in scratch.make("env")
    scratch.touch("pyproject.toml")
    assert "uv pip install --no-deps --no-build-isolation --editable ." in scratch.make("env")


def test_the_choice_of_torch_is_remembered(scratch):
    printed = scratch.make("env", "TORCH_BACKEND=cpu")
    assert re.search(r"uv pip install --torch-backend cpu .*\^\(torch\|torchvision\)==", printed)
    assert "Nothing to be done" in scratch.make("env")
    assert "Nothing to be done" in scratch.make("env", "TORCH_BACKEND=cpu")
    assert "sync --require-hashes requirements.lock" in scratch.make("env", "TORCH_BACKEND=lock")


def test_another_torch_leaves_the_rest_of_the_lock_as_it_is(scratch):
    scratch.make("env", "TORCH_BACKEND=cpu")
    lock = (PROJECT / "requirements.lock").read_text()
    rest = (scratch.folder / ".venv/without-torch.lock").read_text()
    before = re.findall(r"^[a-z0-9._-]+==", lock, flags=re.MULTILINE)
    after = re.findall(r"^[a-z0-9._-]+==", rest, flags=re.MULTILINE)
    removed = set(before) - set(after)
    assert {"torch==", "torchvision==", "triton==", "nvidia-cublas==", "cuda-bindings=="} <= removed
    assert all(re.match(r"torch==|torchvision==|triton==|nvidia-|cuda-", name) for name in removed)
    assert all(line in lock for line in rest.splitlines())


def test_other_platforms_are_told_that_the_lock_is_not_theirs(scratch):
    scratch.write("bin/uname", "#!/bin/sh\necho Darwin arm64\n").chmod(0o755)
    scratch.touch("requirements.lock")
    printed = scratch.make("env", path=f"{scratch.folder}/bin:")
    assert "WARNING: the lock is for Linux x86_64. This is Darwin arm64" in printed
    assert "uv pip install  " in printed
    assert "--requirements pyproject.toml --extra dev" in printed
    assert "sync" not in printed


def test_an_old_python_is_named(scratch):
    shutil.rmtree(scratch.folder / ".venv")
    old = scratch.write("bin/python3", '#!/bin/sh\ntest "$1" = -c && exit 1\necho Python 3.9.2\n')
    old.chmod(0o755)
    printed = scratch.make("env", path=f"{scratch.folder}/bin:", fails=True)
    assert (
        "error: .venv needs Python 3.11 or newer, python3 is Python 3.9.2; "
        "name another: make env PYTHON=python3.12\n"
    ) in printed


def test_an_environment_of_ones_own_is_used_and_left_alone(scratch):
    own = scratch.folder / "conda" / "bin"
    own.mkdir(parents=True)
    shutil.move(scratch.folder / ".venv/bin/mcmi", own / "mcmi")
    shutil.rmtree(scratch.folder / ".venv")
    scratch.make("figures", f"BIN={own}")
    assert scratch.calls() == run()
    assert not (scratch.folder / ".venv").exists()

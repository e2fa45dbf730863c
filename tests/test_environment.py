"""environment.yml, pyproject.toml and requirements.lock describe one environment."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from mcmi_core.base.paths import PROJECT

LOCK = (PROJECT / "requirements.lock").read_text()
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
DEPENDENCIES = PYPROJECT["project"]["dependencies"]
OLDEST_PYTHON = PYPROJECT["project"]["requires-python"].removeprefix(">=")


def locked_packages(lock: str) -> dict[str, tuple[Version, int]]:
    """Version and number of hashes of each package in a lock."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    packages = {}
    for entry in entries:
        name, version = re.match(r"([A-Za-z0-9._-]+)==(\S+)", entry).groups()
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)
        packages[canonicalize_name(name)] = (Version(version), len(hashes))
    return packages


def unlocked(requirements: list[str], lock: str) -> list[str]:
    """The requirements that a lock does not hold at a version that they admit."""
    locked = {name: version for name, (version, _) in locked_packages(lock).items()}
    parsed = [Requirement(text) for text in requirements]
    return [
        str(requirement)
        for requirement in parsed
        if (name := canonicalize_name(requirement.name)) not in locked
        or locked[name] not in requirement.specifier
    ]


def test_every_dependency_is_in_the_lock():
    name, extras = (PYPROJECT["project"][key] for key in ("name", "optional-dependencies"))
    wanted = [text for extra in extras.values() for text in extra]
    requirements = DEPENDENCIES + [text for text in wanted if not text.startswith(name)]
    # The project itself is built with the lock's setuptools, so that nothing unpinned is fetched.
    requirements = requirements + PYPROJECT["build-system"]["requires"]
    assert unlocked(requirements, LOCK) == [], "update the lock: make lock"


def test_a_missing_or_outdated_lock_entry_is_found():
    lock = "# made by hand\nnumpy==2.1.0 \\\n    --hash=sha256:0\ntorch==2.10.0\n"
    assert unlocked(["numpy>=2", "torch==2.11.0", "Safe_Tensors"], lock) == [
        "torch==2.11.0",
        "Safe_Tensors",
    ]


def test_torch_is_pinned_to_the_same_release_everywhere():
    pins = {Requirement(text).name: str(Requirement(text).specifier) for text in DEPENDENCIES}
    locked = locked_packages(LOCK)
    for name in ("torch", "torchvision"):
        assert pins[name] == f"=={locked[name][0]}"


def test_every_lock_entry_has_a_hash():
    packages = locked_packages(LOCK)
    assert len(packages) > 100
    assert [name for name, (_, hashes) in packages.items() if hashes == 0] == []


def test_the_lock_names_no_index():
    """Where packages come from is the user's configuration, not the project's."""
    for line in LOCK.splitlines():
        assert re.fullmatch(
            r"#.*|[a-z0-9][a-z0-9._-]*==\S+ \\| {4}--hash=sha256:[0-9a-f]{64}( \\)?| {4}#.*", line
        ), line
    assert not re.search(r"://|\.(org|com|io)\b|index-url|find-links", LOCK)


def test_conda_environment_holds_nothing_that_could_drift():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    assert environment == {
        "name": PYPROJECT["project"]["name"],
        "channels": ["conda-forge", "nodefaults"],
        "dependencies": [
            f"python={OLDEST_PYTHON}",
            "pip>=26.2",  # the first that takes --no-require-hashes from a requirements file
            {"pip": ["--no-require-hashes", "-r requirements.lock", "-e ."]},
        ],
    }


def test_the_lock_is_made_for_the_oldest_python():
    assert f"--python-version {OLDEST_PYTHON} " in (PROJECT / "Makefile").read_text()


def imported(files: Iterable[Path]) -> set[str]:
    """Distributions whose modules some files import, wherever the import stands."""
    modules = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module)
    modules = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    known = packages_distributions()
    return {canonicalize_name(known[name][0]) for name in modules - {"mcmi_core"}}


def test_the_core_imports_just_what_it_depends_on():
    """And what it imports for a cluster, if it is asked for one; only report needs other extras."""
    package = PROJECT / "mcmi_core"
    core = [path for path in package.rglob("*.py") if not path.is_relative_to(package / "report")]
    for_clusters = {"dask", *PYPROJECT["project"]["optional-dependencies"]["cluster"]}
    wanted = {canonicalize_name(Requirement(text).name) for text in DEPENDENCIES}
    assert imported(core) - for_clusters == wanted


def test_on_a_bare_machine_only_what_the_gpu_page_names_has_to_be_there():
    page = (PROJECT / "docs" / "gpu.md").read_text(encoding="utf-8")
    [there, brought] = re.search(
        r"On a machine that has (.*?), but no network, only (.*?) has", page, re.DOTALL
    ).groups()
    named = {canonicalize_name(word.lower()) for word in re.findall(r"[A-Za-z][\w-]+", there)}
    named = {{"pytorch": "torch"}.get(name, name) for name in named - {"and"}} | {brought}
    comes_with = {"filelock": "torch", "numpy": "torchvision", "pillow": "torchvision"}
    comes_with["scipy"] = "scikit-learn"
    for text in DEPENDENCIES:
        name = canonicalize_name(Requirement(text).name)
        source = comes_with.get(name, name)
        assert source in named, f"docs/gpu.md does not say that {name} is needed"
        if source != name:
            needed = {canonicalize_name(Requirement(each).name) for each in requires(source)}
            assert name in needed

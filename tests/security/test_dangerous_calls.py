"""What can run code, start programs, unpack or fetch is called where it was reviewed, only."""

import ast
from collections.abc import Iterator

import pytest

from mcmi_core.base.paths import PROJECT

MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"),
    *("subprocess", "pty", "ctypes", "cffi", "code", "codeop", "runpy", "importlib.util", "imp"),
    *("tarfile", "zipfile", "gzip", "bz2", "lzma", "zlib", "yaml", "xml", "torchvision.datasets"),
    *("urllib.request", "http", "requests", "httpx", "socket", "ftplib", "smtplib", "webbrowser"),
    *("pickletools", "pkgutil"),
}
"""Whose import is reviewed."""

FUNCTIONS = {
    *("eval", "exec", "compile", "__import__", "breakpoint", "input"),
    *("os.system", "os.popen", "os.startfile", "os.fork", "pty.spawn", "shutil.unpack_archive"),
    *("torch.load", "torch.jit.load", "torch.export.load", "torch.package.PackageImporter"),
    *("torch.hub.load", "torch.hub.load_state_dict_from_url", "torch.hub.download_url_to_file"),
    *("torch.serialization.add_safe_globals", "torch.serialization.safe_globals"),
    *("numpy.load", "numpy.fromregex", "pandas.read_pickle", "pandas.eval", "pandas.read_html"),
    *("importlib.import_module", "urllib.request.urlopen", "urllib.request.urlretrieve"),
    "papermill.execute_notebook",
}
"""That are reviewed wherever they are called, whatever they are imported as."""

METHODS = {"extractall", "extract", "to_pickle", "read_pickle", "system", "popen"}
"""Of whatever object."""

BEGINNINGS = ("execv", "execl", "spawn")
"""Of the names of other such methods."""

REVIEWED = {
    "base/archives.py": {"tarfile", "zlib"},  # by name and size
    "base/extras.py": {"importlib.util"},  # only looks for libraries that its callers name
    "base/foreign_files.py": {"torch.load", "pickletools", "zipfile"},  # weights_only; looks only
    "base/options.py": {"eval", "importlib.util"},  # annotations in the source of the project
    "base/registry.py": {"pkgutil"},  # names that components.py has
    "data/cifar.py": {"torchvision.datasets"},  # reads pickles once their checksums are right
    "data/image_cache.py": {"zlib"},  # checksums
    "experiments/bring_your_own_teacher.py": {"torch.export.load"},  # what it has just written
    "report/notebooks.py": {"papermill.execute_notebook"},  # the project's
    "runs/provenance.py": {"subprocess"},  # git, for the commit
    "runs/teacher_logits.py": {"zlib"},  # checksums
    "runs/training_process.py": {"subprocess"},  # this package, with no argument
    "sprint/luggage.py": {"tarfile"},  # packs; to unpack is for base/archives.py
    "sprint/sprint.py": {"subprocess"},  # its own benchmark
}
"""What each file may use. Whoever adds to it has thought of what others could put into it."""

FILES = [*sorted((PROJECT / "mcmi_core").rglob("*.py")), PROJECT / "hubconf.py"]


def used(tree: ast.AST) -> Iterator[str]:
    """What a file imports or calls of the above."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name if alias.asname else alias.name.partition(".")[0]
                names[alias.asname or root] = root
                yield from listed(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield from listed(f"{node.module}.{alias.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):  # called, or handed on to be called
            name = full_name(node, names)
            if name in FUNCTIONS:
                yield name
        match node:
            case ast.Attribute(attr=name) if name in METHODS or name.startswith(BEGINNINGS):
                yield f".{name}"
            case ast.keyword(arg="shell" | "allow_pickle"):
                yield f"{node.arg}="
            case ast.keyword(arg="weights_only", value=ast.Constant(value=True)):
                pass
            case ast.keyword(arg="weights_only"):
                yield "weights_only=False"


def listed(module: str) -> Iterator[str]:
    parts = module.split(".")
    beginnings = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    yield from beginnings & MODULES


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_only_what_was_reviewed_is_used(path):
    name = str(path.relative_to(PROJECT / "mcmi_core")) if "mcmi_core" in path.parts else path.name
    found = set(used(ast.parse(path.read_text(encoding="utf-8"))))
    assert found == REVIEWED.get(name, set()), f"{name}: review it, then change REVIEWED"


UNSAFE = {"torch.load", "weights_only=False"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle as p", {"pickle"}),
        ("from torch import load\nload('x')", {"torch.load"}),
        (
            "import torch as t\nt.load('x', weights_only=False)",
            {"torch.load", "weights_only=False"},
        ),
        (
            "import torch as t\nt.load('x', weights_only=strict)",
            {"torch.load", "weights_only=False"},
        ),
        ("import torch\nread = torch.load", {"torch.load"}),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", {"numpy.load", "allow_pickle="}),
        ("import os.path\nos.system('ls')", {"os.system", ".system"}),
        ("import os\nos.execvp('ls', [])", {".execvp"}),
        ("from subprocess import run\nrun('ls', shell=True)", {"subprocess", "shell="}),
        ("archive.extractall('.')", {".extractall"}),
        ("import torchvision.datasets", {"torchvision.datasets"}),
        ("from urllib.request import urlopen", {"urllib.request"}),
        ("def f():\n    return eval('1')", {"eval"}),
        ("model.eval()\nmodel.load_state_dict({})\nre.compile('x')", set()),
    ],
)
def test_it_is_found_however_it_is_written(source, found):
    assert set(used(ast.parse(source))) == found


def test_no_file_of_the_project_reads_pickles_or_starts_a_shell_without_saying_so():
    """Tests, benchmarks and examples start programs; none through a shell."""
    folders = ("tests", "benchmarks", "examples")
    files = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    assert len(files) > 100
    for path in files:
        if "security" in path.parts:
            continue
        found = set(used(ast.parse(path.read_text(encoding="utf-8"))))
        assert not found & {"shell=", "allow_pickle=", ".system", ".popen", "weights_only=False"}, (
            path
        )

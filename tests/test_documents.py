"""Every command that a document shows is accepted, and runs where that needs no GPU and no hours.

The walk through the command line in docs/use.md runs in tests/end_to_end.sh; `make env`, `lint`,
`test` and `figures` run in .ci/run.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import typer
from PIL import Image
from torch.distributed.run import get_args_parser

from mcmi_core import cli
from mcmi_core.base.paths import PROJECT
from mcmi_core.data import load_dataset
from mcmi_core.profiles import get_profile

DOCUMENTS = [
    *PROJECT.glob("*.md"),
    *PROJECT.glob("docs/*.md"),
    *PROJECT.glob("benchmarks/*.md"),
    *sorted(PROJECT.glob("notebooks/*.ipynb")),
]
GPU_PAGE = (PROJECT / "docs" / "gpu.md").read_text(encoding="utf-8")


def text_of(document: Path) -> str:
    """Of a notebook, what is explained between the code."""
    if document.suffix == ".md":
        return document.read_text(encoding="utf-8")
    cells = nbformat.read(document, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def commands(text: str) -> list[str]:
    """Lines of shell blocks, and inline code that begins with `make` or `mcmi` and a word."""
    blocks = re.findall(r"```sh\n(.*?)```", text.replace("\\\n", " "), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    lines = [line for line in lines if not line.startswith("#")]
    inline = re.findall(r"`((?:make|mcmi) [^`]+)`", text)
    lines = [" ".join(line.split()) for line in lines + inline]
    return [line for line in lines if line and "..." not in line]


SHOWN = [
    pytest.param(command, id=f"{document.name}: {command}")
    for document in DOCUMENTS
    for command in dict.fromkeys(commands(text_of(document)))
]


def check_command_line(arguments: list[str]) -> None:
    """Let the command line take its arguments apart as it would; it raises what it refuses.

    A command without any argument is only named, as in "see `mcmi plan`".
    """
    command, name = typer.main.get_command(cli.app), "mcmi"
    if arguments == ["--install-completion"]:  # taking it apart would do it
        assert "--install-completion" in {name for p in command.params for name in p.opts}
        return
    while True:
        named_only = not hasattr(command, "resolve_command") and not arguments
        context = command.make_context(name, list(arguments), resilient_parsing=named_only)
        if not hasattr(command, "resolve_command"):
            return
        name, command, arguments = command.resolve_command(context, arguments)


def check_experiments(arguments: list[str]) -> None:
    """What is planned or trained has the whole name of an experiment."""
    if arguments[0] in ("plan", "train"):
        for name in arguments[1:2]:
            assert name == "all" or get_profile("cpu").named(name)


@pytest.mark.parametrize("command", SHOWN)
def test_every_command_is_accepted(command):
    words = shlex.split(command, comments=True)
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if words[0] == "make":
        dry = ["make", "--dry-run", f"BIN={PROJECT / 'no environment'}", *words[1:]]
        done = subprocess.run(dry, cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif words[0].endswith("mcmi"):
        check_command_line(words[1:])
        check_experiments(words[1:])
    elif words[:3] == ["python", "-m", "mcmi_core.cli"]:
        check_command_line(words[3:])
    elif words[0] == "torchrun":
        given = get_args_parser().parse_args(words[1:])
        assert given.no_python and given.training_script == "mcmi"
        assert given.training_script_args[0] in cli.SHARED
        check_command_line(given.training_script_args)
    elif words[0] == ".":
        assert words[1:] == [".venv/bin/activate"]  # which make env makes
    elif words[0].endswith("python"):
        script = [sys.executable, PROJECT / words[1], "--help"]
        usage = subprocess.run(script, capture_output=True, text=True, check=True).stdout
        for option in (word for word in words if word.startswith("--")):
            assert option in usage
    else:  # those below run them, but for what needs a network
        assert words[0] in ("mkdir", "tar", "pip"), f"no test runs {command!r}"


def shell_block(first_word: str) -> str:
    """The one block of the GPU page in which a line begins with that word."""
    [block] = re.findall(rf"```sh\n((?:(?!```).)*?^{first_word}.*?)```", GPU_PAGE, re.DOTALL | re.M)
    return "\n".join(line for line in block.splitlines() if line.startswith(("mkdir", "tar")))


def test_images_are_unpacked_to_where_they_are_found(tmp_path, monkeypatch):
    for name in ("cifar10-jpeg", "tinyimagenet100-32"):
        for split in ("train", "test"):
            for label in ("a", "b"):
                folder = tmp_path / "images" / split / label
                folder.mkdir(parents=True, exist_ok=True)
                picture = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
                picture.save(folder / "1.jpg")
        archive = ["tar", "-C", tmp_path / "images", "-cJf", tmp_path / f"{name}.tar.xz"]
        subprocess.run([*archive, "train", "test"], check=True)
    subprocess.run(["bash", "-euc", shell_block("tar -xf")], cwd=tmp_path, check=True)
    monkeypatch.setenv("MCMI_DATA", str(tmp_path / "data"))
    for name in ("cifar10-jpeg", "tinyimagenet100-32"):
        assert len(load_dataset(f"imagefolder:folder={name}").train) == 2


def test_a_store_survives_the_way_to_the_next_machine(tmp_path):
    for name in ("teacher-1", "student-2"):
        folder = tmp_path / "store" / name
        folder.mkdir(parents=True)
        for file in ("record.json", "weights.safetensors", "lock"):
            (folder / file).write_text(f"{name} {file}")
    pack, unpack = shell_block("tar -C store --exclude").splitlines()
    subprocess.run(["bash", "-euc", pack], cwd=tmp_path, check=True)
    shutil.rmtree(tmp_path / "store")
    subprocess.run(["bash", "-euc", unpack], cwd=tmp_path, check=True)
    there = {str(p.relative_to(tmp_path / "store")) for p in tmp_path.glob("store/*/*")}
    assert there == {
        "teacher-1/record.json",
        "teacher-1/weights.safetensors",
        "student-2/record.json",
    }

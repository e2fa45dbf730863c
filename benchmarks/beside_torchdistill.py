"""The same KD step here and in torchdistill, a framework for distillation, on the CPU.

    python benchmarks/beside_torchdistill.py --help

Both train a ResNet-20 by 0.1 CE + 0.9 KD at T = 4 from a ResNet-56, on the same random images with
the same augmentation, in turn: torchdistill in a process that waits at a pipe, its models, loss and
training box used as its own examples use them. The plain PyTorch loop runs beside them, to tell a
framework's cost from that of PIL images and float32 in PyTorch's order.

torchdistill gets an environment of its own under build/, with the torch that is measured here: its
newer releases ask for another. The first call therefore needs a network, and gigabytes of disk.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torchvision
import typer
from _loops import CLASSES, Ours, Plain
from _measure import RESULTS, best_seconds, random_images, write_table

from mcmi_core.base.paths import PROJECT

ENVIRONMENT = PROJECT / "build" / "torchdistill"
UV = Path(sys.executable).with_name("uv")
CHILD = Path(__file__).with_name("_torchdistill.py")
REQUIREMENTS = (
    "torchdistill==1.1.4",  # 1.1.5 asks for torch 2.12
    *(f"{module.__name__}=={module.__version__.split('+')[0]}" for module in (torch, torchvision)),
)


def prepare(environment: Path = ENVIRONMENT) -> Path:
    """Make torchdistill's environment, unless it is there, and return its interpreter.

    Raises:
        SystemExit: it cannot be installed; the message says why and what is needed.
    """
    stamp, python = environment / "installed", environment / "bin" / "python"
    if stamp.exists() and stamp.read_text() == "\n".join(REQUIREMENTS):
        return python
    print(f"installing {', '.join(REQUIREMENTS)} into {environment}", file=sys.stderr)
    try:
        for command in (
            ("venv", "--clear", "--python", sys.executable, environment),
            ("pip", "install", "--python", python, *REQUIREMENTS),
        ):
            subprocess.run([UV, "--quiet", *command], check=True, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        sys.exit(f"there is no {UV}; `make env` installs it")
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"cannot install {', '.join(REQUIREMENTS)}, which needs a network: "
            f"{error.stderr.strip()}"
        )
    stamp.write_text("\n".join(REQUIREMENTS))
    return python


class Torchdistill:
    """The process that trains with torchdistill."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.about = json.loads(self._answer())

    def run(self, steps: int) -> float:
        """Seconds for some steps."""
        print(steps, file=self.process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        if line := self.process.stdout.readline():
            return line
        sys.exit(f"torchdistill's process ended with status {self.process.wait()}; see above")


@contextmanager
def torchdistill(python: Path, dataset, *arguments: object) -> Iterator[Torchdistill]:
    """Start torchdistill on the training images of a data set; it ends with the context."""
    with TemporaryDirectory() as folder:
        images = Path(folder, "images.pt")
        torch.save((dataset.train.inputs, dataset.train.labels), images)
        command = [python, CHILD, images, *arguments]
        with subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield Torchdistill(process)
            finally:
                # The plain loop's workers hold copies of its pipe, so closing ours ends nothing.
                process.terminate()


def beside_torchdistill(
    student: str = "resnet20",
    teacher: str = "resnet56",
    batch_size: int = 64,
    images: int = 4096,
    steps: int = 3,
    rounds: int = 3,
    threads: int = 2,
    workers: int = 2,
    output: Path = RESULTS,
) -> None:
    """Measure and write beside_torchdistill.md: the best of some rounds of some steps."""
    python = prepare()
    torch.set_num_threads(threads)
    dataset = random_images(images, CLASSES)
    networks = {"student": student, "teacher": teacher}
    arguments = (threads, batch_size, workers, teacher, student, dataset.num_classes)
    with torchdistill(python, dataset, *arguments) as theirs:
        loops = {
            "ours": Ours("kd", dataset, batch_size, **networks),
            "plain": Plain("kd", dataset, batch_size, workers=workers, **networks),
            "torchdistill": theirs,
        }
        for loop in loops.values():
            loop.run(1)  # allocates
        best = best_seconds(
            {name: lambda loop=loop: loop.run(steps) for name, loop in loops.items()}, rounds
        )
        about = theirs.about
    model = loops["ours"].trainees[0].model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters != about["parameters"]:
        sys.exit(f"the students differ: {parameters} parameters, {about['parameters']} in theirs")
    versions = ", ".join(f"{name} {about[name]}" for name in ("torchdistill", "torch"))
    write_table(
        "beside_torchdistill",
        f"KD, {teacher} → {student} at 32x32, batch {batch_size}, {images} images",
        ("loop", "images/s", "of torchdistill"),
        [
            (name, f"{steps * batch_size / value:.0f}", f"{best['torchdistill'] / value:.2f}")
            for name, value in best.items()
        ],
        output,
        note=f"Best of {rounds} rounds of {steps} steps, in turn; {versions}; {workers} workers "
        "load for plain and for torchdistill.",
    )


if __name__ == "__main__":
    typer.run(beside_torchdistill)

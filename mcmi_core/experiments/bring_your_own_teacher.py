"""14 · Around the lines that the notebook shows: a folder of images, two networks, an export.

No experiment with runs and records: it trains in front of the reader.
"""

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from mcmi_core.base.device import default_device
from mcmi_core.base.tensor_files import write_tensors
from mcmi_core.criterion import Criterion
from mcmi_core.data import load_dataset
from mcmi_core.data.loader import Batch, evaluation_batches, training_batches
from mcmi_core.data.split import Dataset
from mcmi_core.models import pretrained
from mcmi_core.training.loop import train
from mcmi_core.training.recipe import Recipe

WEIGHTS, PROGRAM = "student.safetensors", "student.pt2"


def open_workspace() -> tuple[TemporaryDirectory, torch.device]:
    """Where to work: a folder, and the device to train on.

    The folder is for decoded images and exported students; it is deleted when the program ends.
    Random weights are those of seed 0, to begin with. Torch keeps to one thread, which is all that
    tensors this small can use, and tables print on lines of 120 characters.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pd.set_option("display.width", 120)
    return TemporaryDirectory(), default_device()


def open_images(folder: str, image_size: int, workspace: str) -> Dataset:
    """The images of a folder ``train/CLASS/*`` with ``test/CLASS/*``, or scikit-learn's digits.

    Folders are cropped and flipped in training; a flipped digit is no digit, so digits are only
    cropped.

    Args:
        folder: of the images; empty: digits, written as such a folder.
        image_size: pixels per side that a network sees.
        workspace: folder for digits and for decoded images.

    Raises:
        DataError: a folder that is missing or empty, or an image that cannot be decoded.
    """
    path = Path(folder).resolve() if folder else write_digits_as_folder(Path(workspace, "digits"))
    with _environment(MCMI_CACHE=workspace):
        data = load_dataset("imagefolder", folder=str(path), image_size=image_size)
    return data if folder else replace(data, augmentation="crop")


def write_digits_as_folder(folder: Path) -> Path:
    """Write scikit-learn's digits as ``train/CLASS/*.png`` and ``test/CLASS/*.png``.

    Returns:
        The folder.
    """
    digits = load_dataset("digits")
    for name, split in (("train", digits.train), ("test", digits.test)):
        for number, label in enumerate(split.labels.tolist()):
            path = folder / name / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(split.inputs[number, 0].numpy()).save(path)
    return folder


def small_network(
    classes: int, image_size: int, *, width: int, hidden: int | None = None
) -> nn.Sequential:
    """A network from images (N, 3, S, S) to logits (N, C): one convolution, then linear.

    Args:
        classes: C.
        image_size: S.
        width: channels of the convolution.
        hidden: units of a hidden layer behind it; None: no such layer.
    """
    layers = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    layers.append(nn.Flatten())
    size = width * image_size**2
    if hidden:
        layers += [nn.Linear(size, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
        size = hidden
    return nn.Sequential(*layers, nn.Linear(size, classes))


def published_teachers() -> pd.DataFrame:
    """One row per published teacher, by name: what their card, ``weights/README.md``, says."""
    card = (pretrained.WEIGHTS / "README.md").read_text(encoding="utf-8").splitlines()
    lines = [line.strip("| ").split(" | ") for line in card if line.startswith(("| name", "| `"))]
    table = pd.DataFrame(lines[1:], columns=lines[0]).drop(columns="record")
    return table.assign(name=table.name.str.strip("`")).set_index("name")


def starting_network(data: Dataset, published: str) -> nn.Module:
    """What a teacher is before it learns: a small network, or a published teacher.

    Args:
        data: whose images it is for.
        published: name of a published teacher, or path of an imported one; empty: random weights.

    Returns:
        From images to logits. The last layer of a published teacher is new, unless the classes are
        known to be its own: logits of an airplane say nothing about a digit.

    Raises:
        ValueError: there is no such teacher.
    """
    if not published:
        return small_network(data.num_classes, data.image_size, width=32, hidden=64)
    network = pretrained.load_pretrained(published)
    if pretrained.describe_pretrained(published).get("classes") != list(data.class_names):
        network.head = nn.Linear(network.head.in_features, data.num_classes)
    return network


def starting_student(data: Dataset) -> nn.Sequential:
    """What a student is before it learns: a smaller network, with the same weights at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return small_network(data.num_classes, data.image_size, width=8)


def as_it_is(network: nn.Module) -> nn.Module:
    """A copy, which stays as it is when the network learns on."""
    return copy.deepcopy(network)


def batches_by_epoch(
    data: Dataset, device: torch.device, fraction: float = 1
) -> Callable[[int], Sequence[Batch]]:
    """The training batches of an epoch, by its number from 0: 64 images each, augmented.

    Args:
        data: whose training images are taken.
        device: of the batches.
        fraction: share of every class, in (0, 1]. Its images are repeated until an epoch is as
            long as with all of them.
    """
    split = data.train if fraction == 1 else data.train.fraction(fraction, seed=0)
    images = split.to(device)
    settings = {"batch_size": 64, "epoch_length": len(data.train), "seed": 0, "device": device}
    return lambda number: training_batches(data, images, epoch=number, **settings)


def learn(
    network: nn.Module, criterion: Criterion, batches: Callable[[int], Sequence[Batch]]
) -> None:
    """Train a network in place, 15 epochs of SGD at a rate that falls to 0.

    Args:
        network: from images to logits.
        criterion: an objective or a distiller.
        batches: of an epoch, by its number.
    """
    recipe = Recipe(epochs=15, schedule="cosine")
    train(network, criterion, batches, recipe, seed=0, evaluate=lambda last: {})


def stage_table(stages: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """One row per stage: accuracy in percent, LL, CMI and entropy in nats."""
    columns = {
        "accuracy_percent": "accuracy, %",
        "ll_nats": "log-likelihood, nats",
        "cmi_nats": "CMI, nats",
        "entropy_nats": "entropy, nats",
    }
    return pd.DataFrame(stages).T[list(columns)].rename(columns=columns).round(2)


def checks(stages: Mapping[str, Mapping[str, float]]) -> str:
    """What is expected of the stages, a line each, and whether it is so."""
    before, after = (stages[f"{name} teacher, training images"] for name in ("MLL", "MCMI"))
    alone, *taught = (
        stages[f"student of {name} teacher, test images"]["accuracy_percent"]
        for name in ("no", "the MLL", "the MCMI")
    )
    expected = {
        "CMI of the teacher rose": after["cmi_nats"] > before["cmi_nats"],
        "it still knows the training images, 90 % at least": after["accuracy_percent"] >= 90,
        "both students with a teacher beat the one without": min(taught) > alone,
    }
    return "\n".join(f"{what}: {is_so}" for what, is_so in expected.items())


def export_student(student: nn.Module, data: Dataset, folder: str) -> None:
    """Write a network's weights as ``student.safetensors`` and all of it as ``student.pt2``.

    Args:
        student: the network; left in eval mode.
        data: whose images it is for.
        folder: where.
    """
    write_tensors(Path(folder, WEIGHTS), student.state_dict())
    sample = next(_test_batches(student, data, batch_size=2)).inputs
    sizes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(student.eval(), (sample,), dynamic_shapes=sizes)
    torch.export.save(program, Path(folder, PROGRAM))


def compare_exported(student: nn.Module, data: Dataset, folder: str) -> str:
    """Read back what :func:`export_student` wrote, and compare it with the network.

    Returns:
        That they agree.

    Raises:
        AssertionError: other weights, or logits of a test image that differ by more than 1e-4,
            relative and absolute: an exported program may order its sums in another way.
    """
    weights = load_file(Path(folder, WEIGHTS))
    own = {name: value.cpu() for name, value in student.state_dict().items()}
    torch.testing.assert_close(weights, own, rtol=0, atol=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given buffer is not writable")  # load's own
        exported = torch.export.load(Path(folder, PROGRAM)).module()
    student.eval()
    for batch in _test_batches(student, data, batch_size=512):
        torch.testing.assert_close(
            exported(batch.inputs), student(batch.inputs), rtol=1e-4, atol=1e-4
        )
    return "exported student: logits agree to 1e-4 on every test image"


def _test_batches(student: nn.Module, data: Dataset, batch_size: int) -> Iterator[Batch]:
    device = next(student.parameters()).device
    return iter(evaluation_batches(data, data.test, batch_size=batch_size, device=device))


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Environment variables that are as before afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

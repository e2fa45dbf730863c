"""Two training loops to measure: this project's, and a plain one of PyTorch's parts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import cycle, islice, repeat

import torch
from _measure import CPU, seconds
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from mcmi_core.base.device import place
from mcmi_core.components import DISTILLERS, OBJECTIVES
from mcmi_core.data import Dataset
from mcmi_core.data.loader import Batch, training_batches
from mcmi_core.models import create_model
from mcmi_core.training.loop import Steps, autocast_of, train_steps
from mcmi_core.training.recipe import Recipe

CLASSES = 100
OBJECTIVE = {"mll": "mll", "mcmi": "mcmi:lam=0.2,centroids=tracked"}


class PILImages(TorchDataset):
    """The training images as PIL images, transformed one by one."""

    def __init__(self, dataset: Dataset) -> None:
        self.images = [
            Image.fromarray(image.permute(1, 2, 0).numpy()) for image in dataset.train.inputs
        ]
        self.labels = dataset.train.labels.tolist()
        size = dataset.image_size
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(size, padding=size // 8),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(dataset.mean, dataset.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        """The image, its label and its place."""
        return self.transform(self.images[index]), self.labels[index], index


class Training:
    """A student and what trains it, put on a device as this project does it or as PyTorch does."""

    def __init__(
        self,
        criterion: str,
        dataset: Dataset,
        student: str,
        teacher: str,
        device: torch.device,
        put: Callable[[nn.Module, torch.device], nn.Module],
    ) -> None:
        torch.manual_seed(0)
        self.device = device
        size = {
            "num_classes": dataset.num_classes,
            "in_channels": dataset.in_channels,
            "image_size": dataset.image_size,
        }
        self.model = put(create_model(student, **size), device)
        if criterion in OBJECTIVE:
            self.criterion = OBJECTIVES.build(OBJECTIVE[criterion], num_classes=dataset.num_classes)
        else:
            self.criterion = DISTILLERS.build(
                criterion,
                student=self.model,
                teacher=put(create_model(teacher, **size), device),
                sample=dataset.normalise(dataset.train.inputs[:2].to(device)),
                labels=dataset.train.labels.to(device),
            )
        put(self.criterion, device)
        self.optimizer = torch.optim.SGD(
            [*self.model.parameters(), *self.criterion.parameters()],
            lr=1e-3,
            momentum=0.9,
            weight_decay=5e-4,
            fused=isinstance(self, Ours),
        )
        self.model.train()
        self.criterion.train()


class CompiledStep:
    """The context of a compiled step, which autocast's encloses.

    On a GPU, a CUDA graph may overwrite outputs of the step before, but none of this one: the loss
    needs those of teacher and student.
    """

    def __init__(self, autocast: AbstractContextManager) -> None:
        self.autocast = autocast

    def __enter__(self) -> None:
        torch.compiler.cudagraph_mark_step_begin()
        self.autocast.__enter__()

    def __exit__(self, *error: object) -> None:
        self.autocast.__exit__(*error)


class Ours(Training):
    """This project's loop.

    Args:
        precision: of a recipe.
        compiled: whether the calls of student and teacher go through ``torch.compile``, on a GPU as
            CUDA graphs; features that a distiller reads do not.
    """

    def __init__(
        self,
        criterion: str,
        dataset: Dataset,
        batch_size: int,
        device: torch.device = CPU,
        precision: str = "float32",
        compiled: bool = False,
        **networks: str,
    ) -> None:
        put = partial(place, precision=precision)
        super().__init__(criterion, dataset, **networks, device=device, put=put)
        self.batches = _endless(dataset, batch_size, device)
        self.context = autocast_of(Recipe(precision=precision), device)
        if compiled:
            mode = "reduce-overhead" if device.type == "cuda" else "default"
            for network in (self.model, getattr(self.criterion, "teacher", None)):
                if network is not None:
                    network.compile(mode=mode, dynamic=False)
            self.context = CompiledStep(self.context)

    def run(self, steps: int) -> float:
        """Seconds for some steps."""
        batches = islice(self.batches, steps)
        request = Steps(0, self.model, self.criterion, self.optimizer, batches, self.context)
        return seconds(lambda: train_steps(request), self.device)


def _endless(dataset: Dataset, batch_size: int, device: torch.device) -> Iterator[Batch]:
    split = dataset.train.to(device)
    for epoch, _ in enumerate(repeat(None)):
        yield from training_batches(
            dataset,
            split,
            batch_size=batch_size,
            epoch_length=len(split) - len(split) % batch_size,
            seed=0,
            epoch=epoch,
            device=device,
        )


class Plain(Training):
    """The usual loop: worker processes, PIL transforms, float32, ``.item()`` in every step."""

    def __init__(
        self,
        criterion: str,
        dataset: Dataset,
        batch_size: int,
        device: torch.device = CPU,
        *,
        workers: int = 2,
        **networks: str,
    ) -> None:
        super().__init__(criterion, dataset, **networks, device=device, put=nn.Module.to)
        self.loader = DataLoader(
            PILImages(dataset),
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            prefetch_factor=1,
            persistent_workers=True,
            pin_memory=device.type == "cuda",
        )
        self.batches = (batch for loader in cycle([self.loader]) for batch in loader)

    def run(self, steps: int) -> float:
        """Seconds for some steps, after those whose batches the workers had ready."""
        self._steps(self.loader.num_workers)
        return seconds(lambda: self._steps(steps), self.device)

    def _steps(self, steps: int) -> None:
        total = 0.0
        for batch in islice(self.batches, steps):
            batch = Batch(*(part.to(self.device, non_blocking=True) for part in batch))
            loss = sum(self.criterion.terms(self.model, batch).values())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()

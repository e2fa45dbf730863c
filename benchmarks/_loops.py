"""Two training loops to measure: this project's, and a plain one of PyTorch's parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice

import torch
from _measure import CPU, seconds
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from mcmi_core.base.device import make_reproducible, place
from mcmi_core.components import DISTILLERS, OBJECTIVES
from mcmi_core.criterion import Criterion
from mcmi_core.data import Dataset
from mcmi_core.data.loader import Batch, EpochPlan, training_batches
from mcmi_core.models import create_model
from mcmi_core.models.folding import fold_batch_norms
from mcmi_core.training.lanes import Engine, Lane
from mcmi_core.training.loop import CHECK_EVERY, Steps, Training
from mcmi_core.training.recipe import Recipe
from mcmi_core.training.trainee import Trainee

CLASSES = 100
LEARNING_RATE = 1e-3
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


def build(
    criterion: str,
    dataset: Dataset,
    student: str,
    teacher: str,
    device: torch.device,
    put: Callable[[nn.Module, torch.device], nn.Module],
    *,
    fold: bool = False,
) -> tuple[nn.Module, Criterion]:
    """A student and what trains it, put on a device as this project does it or as PyTorch does.

    With ``fold``, the teacher of a distiller that reads no features has no batch norms.
    """
    torch.manual_seed(0)
    size = {
        "num_classes": dataset.num_classes,
        "in_channels": dataset.in_channels,
        "image_size": dataset.image_size,
    }
    model = put(create_model(student, **size), device)
    if criterion in OBJECTIVE:
        loss = OBJECTIVES.build(OBJECTIVE[criterion], num_classes=dataset.num_classes)
    else:
        frozen = create_model(teacher, **size).eval()
        if fold and not DISTILLERS.load(criterion).uses_features:
            frozen = fold_batch_norms(frozen)
        loss = DISTILLERS.build(
            criterion,
            student=model,
            teacher=put(frozen, device),
            sample=dataset.normalise(dataset.train.inputs[:2].to(device)),
            labels=dataset.train.labels.to(device),
        )
    return model.train(), put(loss, device).train()


class Ours:
    """This project's loop, for one training or for several on one card.

    Args:
        precision: of a recipe.
        engine: how a GPU does steps.
        streams: trainings at a time.
    """

    def __init__(
        self,
        criterion: str,
        dataset: Dataset,
        batch_size: int,
        device: torch.device = CPU,
        precision: str = "float32",
        engine: Engine = "eager",
        streams: int = 1,
        **networks: str,
    ) -> None:
        make_reproducible(device)
        self.device = device
        self.window = CHECK_EVERY
        recipe = Recipe(precision=precision, learning_rate=LEARNING_RATE)
        split = dataset.train.to(device)
        plan = training_batches(
            dataset,
            split,
            batch_size=batch_size,
            epoch_length=CHECK_EVERY * batch_size,
            seed=0,
            epoch=0,
            device=device,
        )
        put = partial(place, precision=precision)
        self.trainees, self.lanes = [], []
        for _ in range(streams):
            fold = precision == "bf16"  # as the trainer does it
            parts = build(criterion, dataset, **networks, device=device, put=put, fold=fold)
            self.trainees.append(Trainee(*parts, recipe))
            training = self._endless(self.trainees[-1], plan)
            self.lanes.append(Lane(training, device, engine))

    def run(self, steps: int) -> float:
        """Seconds for some steps of each training; the first call allocates, and captures."""
        return seconds(lambda: self._do(steps), self.device)

    def _do(self, steps: int) -> None:
        for first in range(0, steps, CHECK_EVERY):
            self.window = min(CHECK_EVERY, steps - first)
            for lane in self.lanes:
                lane.advance()
        for lane in self.lanes:
            lane.wait()  # other threads start the steps, so the device alone would not tell

    def close(self) -> None:
        """End all trainings."""
        for lane in self.lanes:
            lane.close()

    def _endless(self, trainee: Trainee, plan: EpochPlan) -> Training[None]:
        while True:
            yield Steps(0, trainee, plan, range(self.window))


@contextmanager
def pytorch_defaults() -> Iterator[None]:
    """TF32 convolutions and whatever kernel is fastest, as where nobody asks for anything."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    tf32 = torch.backends.cudnn.allow_tf32
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        torch.backends.cudnn.allow_tf32 = tf32


class Plain:
    """The usual loop: worker processes, PIL transforms, ``.item()`` in every step.

    float32 in PyTorch's default memory order; on a GPU that is TF32, as PyTorch's default is.
    """

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
        self.device = device
        self.model, self.criterion = build(
            criterion, dataset, **networks, device=device, put=nn.Module.to
        )
        self.optimizer = torch.optim.SGD(
            [*self.model.parameters(), *self.criterion.parameters()],
            lr=LEARNING_RATE,
            momentum=0.9,
            weight_decay=5e-4,
        )
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
        with pytorch_defaults():
            self._steps(self.loader.num_workers)
            return seconds(lambda: self._steps(steps), self.device)

    def close(self) -> None:
        """End the workers."""
        del self.batches, self.loader

    def _steps(self, steps: int) -> None:
        total = 0.0
        for batch in islice(self.batches, steps):
            batch = Batch(*(part.to(self.device, non_blocking=True) for part in batch))
            loss = sum(self.criterion.terms(self.model, batch).values())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()

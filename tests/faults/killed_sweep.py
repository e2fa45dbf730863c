"""A sweep that is there to be killed: runs of every stage and framework, which keep a log.

The log has a line for everything that a store is asked to do. As its lines are appended whole, they
tell in which order all processes did what, whenever they were killed.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from small_runs import DATA, OPTIONS, kd_student, mcmi_teacher, mll_teacher

from mcmi_core.base.errors import RunsFailed
from mcmi_core.components import DISTILLERS, NEED_HEADS
from mcmi_core.runs import trainer
from mcmi_core.runs.config import (
    BayesTeacher,
    Measurement,
    Part,
    Run,
    Student,
    Teacher,
    TeacherHeads,
)
from mcmi_core.runs.execute import execute
from mcmi_core.runs.records import Record
from mcmi_core.runs.store import Store
from mcmi_core.training.loop import Checkpoint
from mcmi_core.training.recipe import Recipe

RECIPE = Recipe(epochs=3, milestones=(2,))
MAPS = (
    "oracle:images=true,dimension=64,latent_dimension=4,classes=4,separation=4,"
    "train_size=128,test_size=32"
)
FOLDER = "imagefolder:folder=pets,image_size=8,augmentation=crop_flip"
VARIANTS = 18
"""Of an image of 8x8 pixels: 9 crops, flipped or not."""
PER_CLASS = 60
"""Images of a class and split in the folder."""

SHORT_PHASES = {
    "crd": "crd:num_negatives=50",
    "ab": "ab:initial_epochs=1",
    "fsp": "fsp:initial_epochs=1",
    "ft": "ft:initial_epochs=1",
    "reviewkd": "reviewkd:warmup_epochs=2",
}
"""So that three epochs see both phases."""

PAUSE = 0.003
"""Seconds that the disk takes to rename or delete a file, or to have it: kills find it at that."""


def _maps(kind: type, **settings: Any) -> Run:
    return kind(**{"data": MAPS, "recipe": RECIPE} | settings)


MLL = mll_teacher()
OF_MAPS = _maps(Teacher, model="resnet8", objective="mll")
HEADS = _maps(TeacherHeads, teacher=OF_MAPS)
OF_FOLDER = Teacher(data=FOLDER, model="mlp:width=64", objective="mll", recipe=RECIPE)
COLLAPSE = mcmi_teacher("fixed", lam=50.0)


def _of_folder(epochs: int) -> Student:
    """Its teacher is remembered if there are enough epochs: as many as images have variants."""
    recipe = RECIPE.shortened(epochs)
    return Student(
        data=FOLDER, model="mlp:width=4", distiller="kd", teacher=OF_FOLDER, recipe=recipe
    )


REMEMBERING = _of_folder(VARIANTS)


def _learner(name: str) -> Student:
    """A student of few images by a framework; a batch holds some of them twice."""
    distiller = SHORT_PHASES.get(name) or OPTIONS.get(name, name)
    teacher = HEADS if name in NEED_HEADS else OF_MAPS
    part = Part(fraction=0.3)
    return _maps(Student, model="resnet8", distiller=distiller, teacher=teacher, part=part)


LEARNERS = {name: _learner(name) for name in DISTILLERS}

KINDS: dict[str, list[Run]] = {
    "MLL teacher": [MLL, OF_MAPS, OF_FOLDER],
    "MCMI fixed": [mcmi_teacher("fixed")],
    "MCMI tracked": [mcmi_teacher("tracked")],
    "control λ=0": [mcmi_teacher("fixed", lam=0.0)],
    "collapse": [COLLAPSE],
    "incompatible": [kd_student(distiller="at", model="mlp:width=4")],
    "true posterior": [BayesTeacher(data=DATA)],
    "measurement": [
        Measurement(of=OF_MAPS, what="eigen_cam_coverage"),
        Measurement(of=LEARNERS["kd"], what="temperature_sweep:temperatures=1.0+4.0"),
    ],
    "heads": [HEADS],
    "asks its teacher": [_of_folder(3)],
    "remembers its teacher": [REMEMBERING],
    "student of P*": [kd_student(BayesTeacher(data=DATA))],
    "student of a student": [
        _maps(Student, model="resnet8", distiller="kd", teacher=LEARNERS["kd"])
    ],
    "stacked students": [kd_student(seed=seed) for seed in range(4)],
} | {name: [run] for name, run in LEARNERS.items()}
"""What is to be hit by a kill; the runs are of different lengths, in no special order."""

SWEEP = [run for runs in KINDS.values() for run in runs]
FAILS_FOR_GOOD = kd_student(COLLAPSE)
"""Never trained, as its teacher collapses."""


def draw_pets(root: Path) -> None:
    """The images of :data:`FOLDER`."""
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in ("cat", "dog"):
            folder = root / "pets" / split / kind
            folder.mkdir(parents=True)
            for number in range(PER_CLASS):
                pixels = generator.integers(256, size=(64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")


class LoggedStore(Store):
    """Says in a log what it is asked to do, on a slow disk; every epoch has a checkpoint."""

    def __init__(self, root: Path, log: Path) -> None:
        super().__init__(root)
        self.log = log
        trainer.TIME_FOR_CHECKPOINTS = math.inf
        _slow_down()

    def __reduce__(self) -> tuple:
        return LoggedStore, (self.root, self.log)  # so that a worker is prepared in the same way

    def note(self, what: str, name: str, epoch: int = 0) -> None:
        """Append a line to the log."""
        line = f"{time.time():.4f}\t{os.getpid()}\t{what}\t{name}\t{epoch}\n"
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode())
        os.close(handle)

    @contextmanager
    def lock(self, run: Run, wait: bool = True) -> Iterator[None]:
        with super().lock(run, wait):
            self.note("locked", run.id)
            try:
                yield
            finally:
                self.note("unlocked", run.id)

    def load_checkpoint(self, run: Run, device: torch.device) -> tuple:
        checkpoint, provenance = super().load_checkpoint(run, device)
        self.note("begun", run.id, checkpoint.epoch if checkpoint else 0)
        return checkpoint, provenance

    def save_checkpoint(self, run: Run, checkpoint: Checkpoint, provenance: Any) -> None:
        self.note("trained", run.id, checkpoint.epoch)
        super().save_checkpoint(run, checkpoint, provenance)
        self.note("kept", run.id, checkpoint.epoch)

    def finish(self, run: Run, record: Record, weights: Any) -> None:
        self.note("finishing", run.id)
        super().finish(run, record, weights)
        self.note("finished", run.id)


def _slow_down() -> None:
    def slow(function: Callable) -> Callable:
        def pausing(*arguments: Any, **settings: Any) -> Any:
            time.sleep(PAUSE)
            return function(*arguments, **settings)

        pausing.slow = True
        return pausing

    for name in ("replace", "unlink", "fsync"):
        function = getattr(os, name)
        if not hasattr(function, "slow"):
            setattr(os, name, slow(function))


def drive(root: str, log: str) -> None:
    """Make the sweep; when it is said to have failed, ask again."""
    store = LoggedStore(Path(root), Path(log))
    while True:
        try:
            execute([*SWEEP, FAILS_FOR_GOOD], store, workers=2, device=torch.device("cpu"))
            return
        except RunsFailed as error:
            store.note("RunsFailed", " ".join(str(error).split()))

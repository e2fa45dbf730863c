"""Runs on 128 images of 8x8 pixels, whole or interrupted, down to the last checkpoint."""

import shutil

import pytest
import torch

from mcmi_core.runs.config import Part, Student, Teacher
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=64, evaluate_every=2)
DATA = (
    "oracle:images=true,dimension=64,latent_dimension=4,classes=4,separation=4,"
    "train_size=128,test_size=32"
)
SETTINGS = {"data": DATA, "model": "resnet8", "recipe": RECIPE}
FEW = Part(fraction=0.3)
"""38 images, cycled: a batch of 64 holds some of them twice."""


def image_teacher() -> Teacher:
    return Teacher(objective="mll", **SETTINGS | {"recipe": RECIPE.shortened(1)})


def image_student(distiller, teacher=None) -> Student:
    teacher = teacher or image_teacher()
    return Student(distiller=distiller, teacher=teacher, part=FEW, **SETTINGS)


class KeepsCheckpoint(Store):
    """Remembers all that training changed, also what is not part of the trained network."""

    def save_checkpoint(self, run, checkpoint, provenance):
        super().save_checkpoint(run, checkpoint, provenance)
        self.tensors = {name: value.clone() for name, value in checkpoint.tensors.items()}
        self.history = checkpoint.history


def stop():
    raise KeyboardInterrupt


def trained_whole_and_interrupted(run, tmp_path):
    """Stores of the same run, trained at once and in two sessions."""
    stores = [KeepsCheckpoint(tmp_path / name) for name in ("whole", "interrupted")]
    ensure(run.parent, stores[0], torch.device("cpu"))
    shutil.copytree(stores[0].root, stores[1].root)
    ensure(run, stores[0], torch.device("cpu"))
    with pytest.raises(KeyboardInterrupt):
        ensure(run, stores[1], torch.device("cpu"), on_epoch=stop)
    ensure(run, stores[1], torch.device("cpu"))
    return stores


def assert_same_training(first, second):
    """Equal weights, heads, memories, momenta and history, bit for bit."""
    assert first.history == second.history
    assert first.tensors.keys() == second.tensors.keys()
    for name, value in first.tensors.items():
        assert torch.equal(value, second.tensors[name]), name

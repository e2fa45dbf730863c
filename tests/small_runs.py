"""Runs so small that one takes a fraction of a second."""

import numpy as np
from PIL import Image

from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.quickstart import Quickstart
from mcmi_core.profiles import Profile
from mcmi_core.runs.config import Student, Teacher
from mcmi_core.training.recipe import Recipe

OPTIONS = {"masked_kd": "masked_kd:classes=2", "semi_kd": "semi_kd:labelled_fraction=0.5"}
"""Of distillers that cannot do without."""

OBJECTIVES_WITH_OPTIONS = (
    "mll",
    "mcmi:lam=0.2,centroids=fixed",
    "mcmi:lam=0.2,centroids=tracked",
    "label_smoothing:share=0.1",
    "entropy:weight=0.1",
    "mse",
)

DATA = "oracle:train_size=200,test_size=100,dimension=16,latent_dimension=4,classes=4"


PAIR = Pair(
    data=DATA,
    teacher="mlp:width=8",
    student="mlp:width=4",
    lam=0.1,
    recipe=Recipe(epochs=3, milestones=(2,)),
    fine_tuning=Recipe(epochs=2, schedule="cosine"),
)
QUICKSTART = Quickstart(pair=PAIR, seeds=(0,), few=0.5)
"""MLL, fine-tuned with λ = 0, MCMI; a student of each, and one from scratch."""


def profile_of(*experiments) -> Profile:
    return Profile(name="tiny", needs_gpu=False, workers=1, experiments=experiments)


def mll_teacher(epochs=4, **changes) -> Teacher:
    recipe = Recipe(epochs=epochs, milestones=(3,), evaluate_every=2)
    settings = {"data": DATA, "model": "mlp:width=8", "objective": "mll", "recipe": recipe}
    return Teacher(**settings | changes)


def mcmi_teacher(centroids="tracked", lam=0.2, epochs=4, **changes) -> Teacher:
    recipe = Recipe(epochs=epochs, schedule="cosine")
    objective = f"mcmi:lam={lam},centroids={centroids}"
    return mll_teacher(objective=objective, start=mll_teacher(), recipe=recipe, **changes)


def kd_student(teacher=None, epochs=4, **changes) -> Student:
    settings = {"data": DATA, "model": "mlp:width=32", "distiller": "kd"}
    settings |= {
        "teacher": teacher or mll_teacher(),
        "recipe": Recipe(epochs=epochs, milestones=(3,)),
    }
    return Student(**settings | changes)


def draw_images(root, seed=0):
    """A folder of six training and six test images of each of two classes."""
    generator = np.random.default_rng(seed)
    for split in ("train", "test"):
        for kind in ("cat", "dog"):
            folder = root / split / kind
            folder.mkdir(parents=True)
            for number in range(6):
                pixels = generator.integers(256, size=(4, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")

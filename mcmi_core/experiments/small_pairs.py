"""Pairs that a CPU can train, and the seeds of their results.

How each setting was chosen before a student was trained: docs/protocol.md.
"""

from dataclasses import replace

from mcmi_core.experiments.pair import Pair
from mcmi_core.training.recipe import Recipe

ORACLE = Pair(
    data="oracle",
    teacher="mlp:width=512",
    student="mlp:width=32",
    lam=0.25,
    tracked_lam=0.7,
    recipe=Recipe(evaluate_every=20).shortened(60),
    fine_tuning=Recipe(epochs=20, schedule="cosine", evaluate_every=20),
    resample=True,
)
"""Ten Gaussians whose P* is known. This task was chosen because it shows the paper's effects."""

BINARY_ORACLE = replace(
    ORACLE, data="oracle:classes=2,separation=1.2,train_size=2000,test_size=2000"
)
"""Two Gaussians that overlap about as much as the ten: even P* errs on a fifth of the samples."""

THREE_GAUSSIANS = replace(
    ORACLE, data="oracle:classes=3,separation=1.5,train_size=600,test_size=1000"
)
"""Three Gaussians, whose outputs are points of a triangle: to look at, no claim rests on them."""

ON_A_TRIANGLE = {
    "pair": THREE_GAUSSIANS,
    "stops": (2, 6, 15),
    "lambdas": (0.0, 0.25, 0.4, 0.7, 1.0),
    "temperatures": (1.0, 2.0, 4.0, 8.0),
}
"""What notebook 00 shows of them. At λ = 1.5 training collapses."""

IMAGE_ORACLE = Pair(
    data="oracle:images=True,dimension=64,train_size=800,test_size=1000",
    teacher="resnet14",
    student="resnet8",
    lam=0.25,
    tracked_lam=0.7,
    recipe=Recipe(evaluate_every=20).shortened(20),
    fine_tuning=Recipe(epochs=6, schedule="cosine", evaluate_every=6),
    student_recipe=Recipe(evaluate_every=3).shortened(6),
    resample=True,
)
"""The oracle's vectors as images of 8x8 pixels, for frameworks that compare maps."""

TWENTY_CLASSES = replace(
    IMAGE_ORACLE,
    data="oracle:classes=20,images=True,dimension=64,train_size=800,test_size=1000,separation=3",
)
"""As many classes as top-5 accuracy needs to say something."""

ORACLE_SEEDS = tuple(range(100, 110))
"""Used by nothing before. Networks, recipe and λ were chosen on seeds 0 to 4."""

PHOTOGRAPH_RECIPE = Recipe(precision="bf16", evaluate_every=0)
"""The paper's in bf16, before it is shortened."""

PHOTOGRAPHS = Pair(
    data="imagefolder:folder=cifar10-jpeg,image_size=16,images_per_class=1000,augmentation=none",
    teacher="resnet20",
    student="resnet8",
    lam=0.25,
    tracked_lam=0.7,
    recipe=PHOTOGRAPH_RECIPE.shortened(25),
    fine_tuning=Recipe(precision="bf16", evaluate_every=0, epochs=10, schedule="cosine"),
    student_recipe=Recipe(precision="bf16", evaluate_every=5).shortened(20),
)
"""The first 1,000 training images of each class of CIFAR-10, at 16 x 16 pixels."""

HUNDRED_CLASSES = replace(
    PHOTOGRAPHS,
    data="imagefolder:folder=tinyimagenet100-32,image_size=16,images_per_class=100,augmentation=none",
    lam=0.15,
)
"""The first 100 training images of each of 100 classes of Tiny-ImageNet, at 16 x 16 pixels."""

PHOTOGRAPH_SEEDS = tuple(range(100, 105))
"""Used by nothing before: the recipe was chosen on seeds 0 and 1."""

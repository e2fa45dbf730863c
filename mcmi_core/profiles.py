"""How big: the same notebooks on a laptop (smoke), on one GPU (gpu), at the paper's size (paper).

A profile names, for every experiment, the teacher-student pairs, their data and their recipes.
"""

from dataclasses import dataclass, replace

from mcmi_core.data import load_dataset
from mcmi_core.device import default_device
from mcmi_core.errors import CompanionError
from mcmi_core.registry import Component
from mcmi_core.runs import BayesTeacher, Part, Recipe, Student, Teacher

PAPER_RECIPE = Recipe()
PAPER_FINE_TUNING = Recipe(epochs=20, schedule="cosine")


@dataclass(frozen=True)
class Pair:
    """A teacher and its student on one data set, and how they are trained.

    Components are written as on the command line: ``mlp:width=512``.
    """

    data: str
    teacher: str
    student: str
    lam: float
    """λ of the MCMI teacher, where an experiment does not vary it."""
    centroids: str = "fixed"
    """Centroid policy of the MCMI teacher: ``fixed``, as in the paper, or ``tracked``."""
    recipe: Recipe = PAPER_RECIPE
    """For the MLL teacher and every student."""
    fine_tuning: Recipe = PAPER_FINE_TUNING
    """For the MCMI teacher, from the MLL teacher on."""
    resample: bool = False
    """Draw new (synthetic) data for every seed, so that intervals cover the data as well."""

    def mll(self, seed: int) -> Teacher:
        """The MLL teacher, both splits evaluated after every epoch: its dynamics are a result."""
        recipe = self.recipe.model_copy(update={"evaluate_every": 1, "evaluate_train": True})
        return Teacher(
            data=self._data(seed), model=self.teacher, objective="mll", recipe=recipe, seed=seed
        )

    def mcmi(self, seed: int, *, lam: float | None = None, centroids: str | None = None) -> Teacher:
        """The MCMI teacher, fine-tuned from the MLL teacher of the same seed."""
        objective = Component(
            name="mcmi",
            lam=self.lam if lam is None else lam,
            centroids=centroids or self.centroids,
        )
        return Teacher(
            data=self._data(seed),
            model=self.teacher,
            objective=objective,
            start=self.mll(seed),
            recipe=self.fine_tuning,
            seed=seed,
        )

    def bayes(self, seed: int) -> BayesTeacher:
        """The true posterior as a teacher."""
        return BayesTeacher(data=self._data(seed))

    def distill(
        self,
        teacher: Teacher | BayesTeacher,
        seed: int,
        *,
        distiller: str = "kd",
        fraction: float = 1.0,
        omit: tuple[int, ...] = (),
    ) -> Student:
        """A student of ``teacher``, on all or part of the training data."""
        return Student(
            data=self._data(seed),
            model=self.student,
            teacher=teacher,
            distiller=distiller,
            part=Part(fraction=fraction, omit=omit, seed=seed),
            recipe=self.recipe,
            seed=seed,
        )

    def __str__(self) -> str:
        return f"{self.teacher} → {self.student} on {self.data}"

    def _data(self, seed: int) -> str:
        if not self.resample:
            return self.data
        return f"{self.data}{',' if ':' in self.data else ':'}seed={seed}"


@dataclass(frozen=True)
class Profile:
    """What every notebook runs, at one size."""

    name: str
    needs_gpu: bool
    workers: int | None
    """Runs at a time; None: one per processor core."""
    seeds: tuple[int, ...]
    quickstart: Pair
    temperature_pairs: tuple[Pair, ...]
    temperatures: tuple[float, ...]
    """Of the teacher in plain KD; 4 is the customary one."""
    dynamics_pairs: tuple[Pair, ...]
    lambda_pair: Pair
    lambdas: tuple[float, ...]
    oracle_pair: Pair
    oracle_seeds: tuple[int, ...]
    oracle_lambdas: tuple[float, float]
    """λ with fixed and with tracked centroids."""
    few: float = 0.05
    """Fraction of the training data that counts as few-shot."""

    def check(self) -> None:
        """Fail now, not after hours, if a GPU or a data set is missing.

        Raises:
            CompanionError: the profile needs a GPU and there is none.
            DataError: a data set cannot be found or downloaded.
        """
        if self.needs_gpu and default_device().type != "cuda":
            raise CompanionError(
                f"profile {self.name!r} needs a CUDA GPU and torch finds none; PROFILE=smoke runs "
                "the same notebooks on a CPU"
            )
        for data in sorted(
            {pair.data for pair in (self.quickstart, *self.temperature_pairs, *self.dynamics_pairs)}
            | {self.lambda_pair.data, self.oracle_pair.data}
        ):
            load_dataset(data)


ORACLE = Pair(
    data="oracle",
    teacher="mlp:width=512",
    student="mlp:width=32",
    lam=0.7,
    centroids="tracked",
    recipe=Recipe(evaluate_every=20).shortened(60),
    fine_tuning=Recipe(epochs=20, schedule="cosine", evaluate_every=20),
    resample=True,
)
"""Synthetic data with a known posterior; small enough for any machine."""

DIGITS = Pair(
    data="digits",
    teacher="resnet20",
    student="resnet8",
    lam=0.15,
    recipe=Recipe(evaluate_every=5).shortened(10),
    fine_tuning=Recipe(epochs=10, schedule="cosine", evaluate_every=10),
)
"""Real 8x8 images that come with scikit-learn."""

TINY_IMAGENET = Pair(
    data="imagefolder:folder=tinyimagenet100-32",
    teacher="resnet56",
    student="resnet20",
    lam=0.15,
    recipe=Recipe().shortened(60),
)
"""A stand-in for CIFAR-100 of the same size and shape, for machines without its download."""

CIFAR100 = Pair(data="cifar100", teacher="resnet56", student="resnet20", lam=0.15)
"""The paper's data, pair and recipe."""

PROFILES = {
    "smoke": Profile(
        name="smoke",
        needs_gpu=False,
        workers=None,
        seeds=(0, 1, 2),
        quickstart=ORACLE,
        temperature_pairs=(ORACLE, replace(ORACLE, student="mlp:width=64"), DIGITS),
        temperatures=(1.0, 2.0, 4.0, 8.0, 16.0),
        dynamics_pairs=(ORACLE, DIGITS),
        lambda_pair=ORACLE,
        lambdas=(0.0, 0.25, 0.4, 0.7, 1.0),
        oracle_pair=ORACLE,
        oracle_seeds=(0, 1, 2, 3, 4),
        oracle_lambdas=(0.4, 0.7),
    ),
    "gpu": Profile(
        name="gpu",
        needs_gpu=True,
        workers=8,
        seeds=(0, 1, 2),
        quickstart=TINY_IMAGENET,
        temperature_pairs=(
            TINY_IMAGENET,
            replace(TINY_IMAGENET, teacher="resnet110", student="resnet32"),
            replace(TINY_IMAGENET, teacher="resnet32x4", student="resnet8x4"),
        ),
        temperatures=(1.0, 2.0, 4.0, 8.0, 16.0),
        dynamics_pairs=(TINY_IMAGENET, replace(TINY_IMAGENET, teacher="resnet20")),
        lambda_pair=TINY_IMAGENET,
        lambdas=(0.0, 0.05, 0.1, 0.15, 0.25, 0.4, 0.8),
        oracle_pair=ORACLE,
        oracle_seeds=tuple(range(10)),
        oracle_lambdas=(0.4, 0.7),
    ),
    "paper": Profile(
        name="paper",
        needs_gpu=True,
        workers=8,
        seeds=(0, 1, 2, 3, 4),
        quickstart=CIFAR100,
        temperature_pairs=(
            CIFAR100,
            replace(CIFAR100, teacher="resnet110", student="resnet32"),
            replace(CIFAR100, teacher="resnet32x4", student="resnet8x4"),
        ),
        temperatures=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0),
        dynamics_pairs=(CIFAR100, replace(CIFAR100, teacher="resnet20")),
        lambda_pair=CIFAR100,
        lambdas=(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.4, 0.6, 0.8),
        oracle_pair=ORACLE,
        oracle_seeds=tuple(range(20)),
        oracle_lambdas=(0.4, 0.7),
    ),
}


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        CompanionError: there is none.
    """
    if name not in PROFILES:
        raise CompanionError(f"unknown profile {name!r}; choose from {', '.join(PROFILES)}")
    return PROFILES[name]

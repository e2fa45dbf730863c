"""How big: the same notebooks on a laptop (smoke), on one GPU (gpu), at the paper's size (paper).

A profile names, for every experiment, the teacher-student pairs, their data and their recipes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mcmi_core.data import load_dataset
from mcmi_core.device import default_device
from mcmi_core.distillation import student_run
from mcmi_core.errors import CompanionError
from mcmi_core.pairs import (
    CIFAR100_PAIRS,
    FRAMEWORKS,
    FURTHER_FRAMEWORKS,
    IMAGENET_PAIRS,
    TablePair,
    fine_tuning_rate,
    learning_rate,
)
from mcmi_core.registry import Component
from mcmi_core.runs import BayesTeacher, Measurement, Part, Recipe, Student, Teacher

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
    student_recipe: Recipe | None = None
    """For every student, where that is not ``recipe``."""
    distillers: tuple[str, ...] = ()
    """Frameworks with other options for this pair than by default, such as ``dkd:beta=2``."""

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
        return self.fine_tuned(seed, objective)

    def fine_tuned(self, seed: int, objective: str | Component) -> Teacher:
        """The MLL teacher of the same seed, fine-tuned by any objective, as MCMI does it."""
        return Teacher(
            data=self._data(seed),
            model=self.teacher,
            objective=objective,
            start=self.mll(seed),
            recipe=self.fine_tuning,
            seed=seed,
        )

    def from_scratch(self, seed: int, objective: str | Component) -> Teacher:
        """A teacher trained by any objective from random weights on, with the MLL recipe."""
        return Teacher(
            data=self._data(seed),
            model=self.teacher,
            objective=objective,
            recipe=self.recipe,
            seed=seed,
        )

    def early_stopped(self, seed: int, epochs: int) -> Teacher:
        """The MLL teacher as it was after some epochs: the same training, stopped there.

        Its learning rate is that of the whole recipe, not of one shortened to those epochs, which
        would be another training.
        """
        recipe = self.recipe.model_copy(update={"epochs": epochs})
        return Teacher(
            data=self._data(seed), model=self.teacher, objective="mll", recipe=recipe, seed=seed
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
        sampling: str = "stratified",
        omit: tuple[int, ...] = (),
    ) -> Student:
        """A student of ``teacher``, on all or part of the training data.

        A framework that the pair has options for is asked for by its bare name. For how first
        epochs and auxiliary heads come about, see :func:`~mcmi_core.distillation.student_run`.
        """
        own_options = {text.partition(":")[0]: text for text in self.distillers}
        return student_run(
            data=self._data(seed),
            model=self.student,
            teacher=teacher,
            distiller=own_options.get(distiller, distiller),
            part=Part(fraction=fraction, sampling=sampling, omit=omit, seed=seed),
            recipe=self.student_recipe or self.recipe,
            heads_recipe=self.fine_tuning,
            seed=seed,
        )

    def on_unseen_training_data(self, student: Student) -> Measurement:
        """A few-shot student on the training samples that it was not given: to choose settings."""
        part = student.part
        return Measurement(of=student, what=f"unseen:fraction={part.fraction},seed={part.seed}")

    @property
    def posterior_is_known(self) -> bool:
        """Whether the truth can teach (:meth:`bayes`): on synthetic data only."""
        return self.data.partition(":")[0] == "oracle"

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
    zero_shot_pair: Pair
    zero_shot_teachers: tuple[tuple[str, float], ...]
    """Centroid policy and λ of the MCMI teachers, that of the pair among them."""
    zero_shot_seeds: tuple[int, ...]
    omitted_sets: tuple[tuple[int, ...], ...]
    """Classes that the student's data omits."""
    size_pairs: tuple[Pair, ...]
    """One student with teachers of growing size."""
    few_shot_pair: Pair
    few_shot_fractions: Mapping[str, tuple[float, ...]]
    """Parts of the training data that a student sees, by distiller."""
    cam_pair: Pair
    """Whose teachers Eigen-CAM shows: of real images, with maps."""
    distillation_pairs: tuple[Pair, ...]
    distillation_frameworks: tuple[str, ...]
    distillation_seeds: tuple[int, ...]
    imagenet_pairs: tuple[Pair, ...]
    imagenet_frameworks: tuple[str, ...]
    imagenet_seeds: tuple[int, ...]
    alternatives_pair: Pair
    alternatives_seeds: tuple[int, ...]
    alternative_objectives: tuple[str, ...]
    """To fine-tune the MLL teacher by; the pair's own MCMI among them."""
    alternative_temperatures: tuple[float, ...]
    """Of KD from the MLL teacher, beside the customary 4."""
    alternative_stops: tuple[int, ...]
    """Epochs after which MLL training is stopped early."""
    semi_supervised_pair: Pair
    semi_supervised_seeds: tuple[int, ...]
    binary_pair: Pair
    """Of data with two classes and a known posterior."""
    binary_seeds: tuple[int, ...]
    binary_lambdas: tuple[float, ...]
    few: float = 0.05
    """Fraction of the training data that counts as few-shot."""
    feature_bits: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    """That features are quantised to, where both sides of Proposition 1 are counted."""
    cam_stage: int = 3
    """Whose map Eigen-CAM draws; the last, or one that still has places to tell apart."""

    def check(self) -> None:
        """Fail now, not after hours, if a GPU or a data set is missing.

        ImageNet, which few have at hand, is left to the notebook that needs it.

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
            | {pair.data for pair in (self.zero_shot_pair, *self.size_pairs, self.few_shot_pair)}
            | {self.cam_pair.data}
            | {pair.data for pair in self.distillation_pairs}
            | {pair.data for pair in (self.alternatives_pair, self.semi_supervised_pair)}
            | {self.binary_pair.data}
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

CIFAR10_JPEG = Pair(
    data="imagefolder:folder=cifar10-jpeg",
    teacher="resnet56",
    student="resnet20",
    lam=0.25,
    recipe=Recipe().shortened(60),
)
"""CIFAR-10 as a folder of JPEG files."""

CIFAR10 = Pair(data="cifar10", teacher="resnet56", student="resnet20", lam=0.25)
"""The paper's zero-shot experiment."""

CIFAR100 = Pair(data="cifar100", teacher="resnet56", student="resnet20", lam=0.15)
"""The paper's data, pair and recipe."""

RESNETS = tuple(f"resnet{depth}" for depth in (14, 20, 32, 44, 56, 110))
FRACTIONS = (0.05, 0.1, 0.25, 0.35, 0.5, 0.75)
OMITTED_SETS = ((9,), (9, 7), (9, 7, 5), (9, 7, 5, 3, 1), (9, 7, 5, 3, 1, 0))
ZERO_SHOT_TEACHERS = tuple(("fixed", lam) for lam in (0.1, 0.15, 0.2, 0.25))
"""Settings of the paper."""

IMAGENET = "imagefolder:folder=imagenet,image_size=224"
IMAGENET_RECIPE = Recipe(
    epochs=100, batch_size=256, learning_rate=0.1, weight_decay=1e-4, milestones=(30, 60, 90)
)
"""The customary one."""

IMAGENET_FINE_TUNING = IMAGENET_RECIPE.model_copy(
    update={"epochs": 10, "schedule": "cosine", "learning_rate": 0.01}
)
"""Ours: a tenth of the training, from a tenth of its rate; the paper does not say."""

IMAGENET_FRAMEWORKS = ("kd", "at", "dkd", "reviewkd")
"""Of the paper's eleven: CRD's memory, read as a whole, does not fit ImageNet."""

GPU_PAIRS = (
    ("resnet56", "resnet20"),
    ("resnet32x4", "resnet8x4"),
    ("vgg13", "mobilenetv2"),
    ("resnet32x4", "shufflenetv2"),
)
"""Two pairs of one family and two of different ones."""

IMAGE_ORACLE = Pair(
    data="oracle:images=True,dimension=64,train_size=800,test_size=1000",
    teacher="resnet14",
    student="resnet8",
    lam=0.7,
    centroids="tracked",
    recipe=Recipe(evaluate_every=20).shortened(20),
    fine_tuning=Recipe(epochs=6, schedule="cosine", evaluate_every=6),
    student_recipe=Recipe(evaluate_every=3).shortened(6),
    resample=True,
)
"""The oracle's vectors as images of 8x8 pixels, for networks with maps."""

TWENTY_CLASSES = replace(
    IMAGE_ORACLE,
    data="oracle:classes=20,images=True,dimension=64,train_size=800,test_size=1000,separation=3",
)
"""As many classes as top-5 accuracy needs to say something."""


def table_pair(row: TablePair, data: str, recipe: Recipe, fine_tuning: Recipe) -> Pair:
    """A pair of the paper's Table 1 on some data, at the learning rates of its networks."""
    rates = learning_rate(row.teacher), learning_rate(row.student)
    teacher_recipe, student_recipe = (
        recipe.model_copy(update={"learning_rate": rate}) for rate in rates
    )
    return Pair(
        data=data,
        teacher=row.teacher,
        student=row.student,
        lam=row.lam,
        recipe=teacher_recipe,
        student_recipe=student_recipe,
        fine_tuning=fine_tuning.model_copy(update={"learning_rate": fine_tuning_rate(row.teacher)}),
        distillers=row.distillers,
    )


def imagenet_pair(row: TablePair, data: str, epochs: int = 100) -> Pair:
    """A pair of the paper's Table 2 on some data, with ImageNet's customary recipe."""
    recipe = IMAGENET_RECIPE.shortened(epochs)
    fine_tuning = IMAGENET_FINE_TUNING.shortened(max(1, epochs // 10))
    return Pair(
        data=data,
        teacher=row.teacher,
        student=row.student,
        lam=row.lam,
        recipe=recipe,
        fine_tuning=fine_tuning,
        distillers=row.distillers,
    )


BINARY_ORACLE = replace(
    ORACLE, data="oracle:classes=2,separation=1.2,train_size=2000,test_size=2000"
)
"""Two Gaussians that overlap about as much as the ten: even P* errs on a fifth of the samples."""

ALTERNATIVE_OBJECTIVES = (
    "mcmi:lam=0.1,centroids=fixed",
    "mcmi:lam=0.15,centroids=fixed",
    "mcmi:lam=0.25,centroids=fixed",
    "label_smoothing:share=0.1",
    "label_smoothing:share=0.2",
    "label_smoothing:share=0.4",
    "entropy:weight=0.1",
    "entropy:weight=0.2",
    "entropy:weight=0.4",
)

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
        zero_shot_pair=ORACLE,
        zero_shot_teachers=(("fixed", 0.4), ("tracked", 0.7), ("tracked", 1.0)),
        zero_shot_seeds=(0, 1, 2, 3, 4),
        omitted_sets=((9,), (9, 7, 5)),
        size_pairs=tuple(replace(ORACLE, teacher=f"mlp:width={w}") for w in (32, 128, 512)),
        few_shot_pair=ORACLE,
        few_shot_fractions={"kd": (0.05, 0.1, 0.25), "crd:num_negatives=1024": (0.05,)},
        cam_pair=replace(DIGITS, lam=1.0, centroids="tracked"),
        cam_stage=2,
        distillation_pairs=(IMAGE_ORACLE,),
        distillation_frameworks=FRAMEWORKS,
        distillation_seeds=(0, 1, 2),
        imagenet_pairs=(TWENTY_CLASSES,),
        imagenet_frameworks=("kd", "dkd"),
        imagenet_seeds=(0, 1, 2),
        alternatives_pair=ORACLE,
        alternatives_seeds=(0, 1, 2, 3, 4),
        alternative_objectives=(
            "mcmi:lam=0.7,centroids=tracked",
            "mcmi:lam=1.0,centroids=tracked",
            "label_smoothing:share=0.1",
            "label_smoothing:share=0.4",
            "entropy:weight=0.4",
            "entropy:weight=0.6",
        ),
        alternative_temperatures=(8.0, 16.0),
        alternative_stops=(10, 25),
        semi_supervised_pair=ORACLE,
        semi_supervised_seeds=(0, 1, 2, 3, 4),
        binary_pair=BINARY_ORACLE,
        binary_seeds=(0, 1, 2, 3, 4),
        binary_lambdas=(0.7, 1.0, 1.5),
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
        zero_shot_pair=CIFAR10_JPEG,
        zero_shot_teachers=ZERO_SHOT_TEACHERS,
        zero_shot_seeds=(0, 1, 2),
        omitted_sets=OMITTED_SETS,
        size_pairs=tuple(replace(TINY_IMAGENET, teacher=t, student="resnet8") for t in RESNETS),
        few_shot_pair=TINY_IMAGENET,
        few_shot_fractions={"kd": FRACTIONS, "crd": FRACTIONS},
        cam_pair=TINY_IMAGENET,
        distillation_pairs=tuple(
            table_pair(row, TINY_IMAGENET.data, TINY_IMAGENET.recipe, TINY_IMAGENET.fine_tuning)
            for row in CIFAR100_PAIRS
            if (row.teacher, row.student) in GPU_PAIRS
        ),
        distillation_frameworks=FRAMEWORKS,
        distillation_seeds=(0, 1, 2),
        imagenet_pairs=tuple(
            imagenet_pair(row, f"{TINY_IMAGENET.data},image_size=64", epochs=30)
            for row in IMAGENET_PAIRS
        ),
        imagenet_frameworks=IMAGENET_FRAMEWORKS,
        imagenet_seeds=(0, 1, 2),
        alternatives_pair=TINY_IMAGENET,
        alternatives_seeds=(0, 1, 2),
        alternative_objectives=ALTERNATIVE_OBJECTIVES,
        alternative_temperatures=(2.0, 8.0, 16.0),
        alternative_stops=(10, 20, 37),
        semi_supervised_pair=TINY_IMAGENET,
        semi_supervised_seeds=(0, 1, 2),
        binary_pair=BINARY_ORACLE,
        binary_seeds=tuple(range(10)),
        binary_lambdas=(0.7, 1.0, 1.5),
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
        zero_shot_pair=CIFAR10,
        zero_shot_teachers=ZERO_SHOT_TEACHERS,
        zero_shot_seeds=(0, 1, 2, 3, 4),
        omitted_sets=OMITTED_SETS,
        size_pairs=tuple(replace(CIFAR100, teacher=t, student="resnet8") for t in RESNETS),
        few_shot_pair=CIFAR100,
        few_shot_fractions={"kd": FRACTIONS, "crd": FRACTIONS},
        cam_pair=CIFAR100,
        distillation_pairs=tuple(
            table_pair(row, CIFAR100.data, PAPER_RECIPE, PAPER_FINE_TUNING)
            for row in CIFAR100_PAIRS
        ),
        distillation_frameworks=FRAMEWORKS + FURTHER_FRAMEWORKS,
        distillation_seeds=(0, 1, 2, 3, 4),
        imagenet_pairs=tuple(imagenet_pair(row, IMAGENET) for row in IMAGENET_PAIRS),
        imagenet_frameworks=IMAGENET_FRAMEWORKS,
        imagenet_seeds=(0, 1, 2),
        alternatives_pair=CIFAR100,
        alternatives_seeds=(0, 1, 2, 3, 4),
        alternative_objectives=ALTERNATIVE_OBJECTIVES,
        alternative_temperatures=(2.0, 8.0, 16.0),
        alternative_stops=(40, 80, 149),
        semi_supervised_pair=CIFAR100,
        semi_supervised_seeds=(0, 1, 2, 3, 4),
        binary_pair=BINARY_ORACLE,
        binary_seeds=tuple(range(20)),
        binary_lambdas=(0.7, 1.0, 1.5),
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

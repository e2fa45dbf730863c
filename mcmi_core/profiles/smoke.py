"""Any CPU, minutes: synthetic data with known posterior, and scikit-learn's digits."""

from dataclasses import replace

from mcmi_core import experiments
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.paper_pairs import FRAMEWORKS
from mcmi_core.profiles.profile import Profile
from mcmi_core.training.recipe import Recipe

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

BINARY_ORACLE = replace(
    ORACLE, data="oracle:classes=2,separation=1.2,train_size=2000,test_size=2000"
)
"""Two Gaussians that overlap about as much as the ten: even P* errs on a fifth of the samples."""

SEEDS = (0, 1, 2)
ORACLE_SEEDS = (0, 1, 2, 3, 4)

SMOKE = Profile(
    name="smoke",
    needs_gpu=False,
    workers=None,
    experiments=(
        experiments.Quickstart(pair=ORACLE, seeds=SEEDS),
        experiments.TemperatureAndCmi(
            pairs=(ORACLE, DIGITS),
            temperatures=(1.0, 2.0, 4.0, 8.0),
            seeds=SEEDS,
        ),
        experiments.MllTrainingDynamics(pairs=(ORACLE, DIGITS), seeds=SEEDS),
        experiments.EigenCam(
            pair=replace(DIGITS, lam=1.0, centroids="tracked"), stage=2, seeds=SEEDS
        ),
        experiments.ZeroShot(
            pair=ORACLE,
            teachers=(("fixed", 0.4), ("tracked", 0.7), ("tracked", 1.0)),
            omitted_sets=((9,), (9, 7, 5)),
            seeds=SEEDS,
        ),
        experiments.TeacherSize(
            pairs=tuple(replace(ORACLE, teacher=f"mlp:width={w}") for w in (32, 128, 512)),
            seeds=SEEDS,
        ),
        experiments.Cifar100Distillation(
            pairs=(IMAGE_ORACLE,),
            frameworks=FRAMEWORKS,
            seeds=SEEDS,
        ),
        experiments.ImagenetDistillation(
            pairs=(TWENTY_CLASSES,), frameworks=("kd", "dkd"), seeds=SEEDS
        ),
        experiments.FewShot(
            pair=ORACLE,
            fractions={"kd": (0.05, 0.1, 0.25), "crd:num_negatives=256": (0.05,)},
            seeds=SEEDS,
        ),
        experiments.LambdaAndCentroids(pair=ORACLE, lambdas=(0.0, 0.4, 0.7, 1.0), seeds=SEEDS),
        experiments.Alternatives(
            pair=ORACLE,
            objectives=(
                "mcmi:lam=0.7,centroids=tracked",
                "mcmi:lam=1.0,centroids=tracked",
                "label_smoothing:share=0.1",
                "label_smoothing:share=0.4",
                "entropy:weight=0.4",
                "entropy:weight=0.6",
            ),
            temperatures=(8.0, 16.0),
            stops=(10, 25),
            seeds=SEEDS,
        ),
        experiments.SemiSupervisedAndBinary(
            pair=ORACLE,
            seeds=SEEDS,
            binary_pair=BINARY_ORACLE,
            binary_lambdas=(0.7, 1.5),
            binary_seeds=(0, 1, 2),
        ),
        experiments.BayesOracle(pair=ORACLE, lam_fixed=0.4, lam_tracked=0.7, seeds=ORACLE_SEEDS),
        experiments.Proposition1(pair=ORACLE, seeds=ORACLE_SEEDS),
    ),
)

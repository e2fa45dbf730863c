"""What every notebook runs, at one size."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from mcmi_core.base.device import default_device
from mcmi_core.base.errors import CompanionError
from mcmi_core.data import load_dataset
from mcmi_core.experiments.pair import Pair


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
    imagenet_workers: int | None
    """Runs at a time: at 224 pixels, one fills a card."""
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

        ImageNet, which few have at hand and which takes long to decode, is left to the notebook
        that needs it.

        Raises:
            CompanionError: the profile needs a GPU and there is none.
            DataError: a data set cannot be found or downloaded.
        """
        if self.needs_gpu and default_device().type != "cuda":
            raise CompanionError(
                f"profile {self.name!r} needs a CUDA GPU and torch finds none; PROFILE=smoke runs "
                "the same notebooks on a CPU"
            )
        for data in sorted({pair.data for pair in self._pairs()}):
            load_dataset(data)

    def _pairs(self) -> Iterator[Pair]:
        for field in fields(self):
            value = getattr(self, field.name)
            candidates = value if isinstance(value, tuple) else (value,)
            if field.name != "imagenet_pairs":
                yield from (pair for pair in candidates if isinstance(pair, Pair))

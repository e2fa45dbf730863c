"""A profile: the settings of every experiment at one size."""

from dataclasses import dataclass

from mcmi_core.base.device import default_device
from mcmi_core.base.errors import CompanionError
from mcmi_core.base.paths import records_root, store_root
from mcmi_core.data import load_dataset
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.lab import Lab
from mcmi_core.runs import Run
from mcmi_core.runs.execute import deadline_from_environment, execute
from mcmi_core.runs.store import Records, Store


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What every notebook runs, at one size."""

    name: str
    needs_gpu: bool
    workers: int | None
    """Runs at a time; None: one per processor core."""
    experiments: tuple[Experiment, ...]

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name, with this profile's settings.

        Raises:
            CompanionError: there is none.
        """
        by_name = {experiment.name: experiment for experiment in self.experiments}
        if name not in by_name:
            raise CompanionError(f"unknown experiment {name!r}; choose from {', '.join(by_name)}")
        return by_name[name]

    def lab(self, train: bool = False) -> Lab:
        """Access to its runs.

        Args:
            train: whether to train what is missing, into the store; if not, only committed records
                answer.
        """
        if not train:
            return Lab(self.name, Records(records_root() / self.name))
        store = Store(store_root())

        def train_missing(runs: list[Run], workers: int | None) -> None:
            deadline = deadline_from_environment()
            execute(runs, store, workers=workers or self.workers, deadline=deadline)

        return Lab(self.name, store, train_missing)

    def check(self) -> None:
        """Fail now, not after hours, if a GPU or a data set is missing.

        ImageNet, which few have at hand and which takes long to decode, is left to the notebook
        that needs it.

        Raises:
            CompanionError: the profile needs a GPU and there is none.
            DataError: a data set cannot be found or downloaded.
        """
        self.check_device()
        checked = [experiment for experiment in self.experiments if experiment.data_is_checked]
        for data in sorted(
            {pair.data for experiment in checked for pair in experiment.all_pairs()}
        ):
            load_dataset(data)

    def check_device(self) -> None:
        """Fail if the profile needs a GPU and there is none.

        Raises:
            CompanionError: there is none.
        """
        if self.needs_gpu and default_device().type != "cuda":
            raise CompanionError(
                f"profile {self.name!r} needs a CUDA GPU and torch finds none; PROFILE=smoke runs "
                "the same notebooks on a CPU"
            )

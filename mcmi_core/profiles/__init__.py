"""How big: the same experiments on a laptop (smoke), on one GPU (gpu), at the paper's size (paper).

A profile holds the settings of every experiment: pairs of networks, their data, recipes and seeds.
"""

from mcmi_core.base.errors import CompanionError
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.lab import Lab
from mcmi_core.profiles.gpu import GPU
from mcmi_core.profiles.paper import PAPER
from mcmi_core.profiles.profile import Profile
from mcmi_core.profiles.smoke import SMOKE

PROFILES = {profile.name: profile for profile in (SMOKE, GPU, PAPER)}


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        CompanionError: there is none.
    """
    if name not in PROFILES:
        raise CompanionError(f"unknown profile {name!r}; choose from {', '.join(PROFILES)}")
    return PROFILES[name]


def open_experiment(name: str, profile: str, train: bool = False) -> tuple[Experiment, Lab]:
    """An experiment at a profile's size, and the lab that answers for its runs.

    Args:
        name: of the experiment: ``04_zero_shot``.
        profile: its name.
        train: whether to train all its runs that are missing, now; if not, records answer.

    Raises:
        CompanionError: unknown profile or experiment.
        RunsFailed: training failed.
    """
    settings = get_profile(profile)
    experiment, lab = settings.experiment(name), settings.lab(train)
    lab.ensure(experiment.runs(), experiment.workers)
    return experiment, lab


__all__ = ["PROFILES", "Profile", "get_profile", "open_experiment"]

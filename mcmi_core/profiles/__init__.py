"""How big: the same experiments to try them (smoke), on a CPU (cpu), on a GPU (gpu), as the paper.

A profile holds the settings of every experiment: pairs of networks, their data, recipes and seeds.
"""

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.messages import meant, quoted
from mcmi_core.base.paths import records_root
from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import TIERS
from mcmi_core.experiments.lab import Lab
from mcmi_core.profiles.cpu import CPU
from mcmi_core.profiles.four_seeds import open_four_seeds
from mcmi_core.profiles.gpu import GPU
from mcmi_core.profiles.paper import PAPER
from mcmi_core.profiles.profile import Profile
from mcmi_core.profiles.smoke import SMOKE

PROFILES = {profile.name: profile for profile in (SMOKE, CPU, GPU, PAPER)}


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        CompanionError: there is none.
    """
    if not isinstance(name, str) or name not in PROFILES:
        known = ", ".join(PROFILES)
        raise CompanionError(
            f"unknown profile {quoted(name)}; choose from {known}{meant(name, PROFILES)}"
        )
    return PROFILES[name]


def open_experiments(name: str, profile: str, train: bool = False) -> tuple[list[Experiment], Lab]:
    """An experiment at a profile's size, once for each data set, and the lab that answers for it.

    Args:
        name: of the experiment: ``04_zero_shot``.
        profile: its name.
        train: whether to train all its runs that are missing, now; if not, records answer.

    Raises:
        CompanionError: unknown profile or experiment.
        RunsFailed: training failed.
    """
    settings = get_profile(profile)
    found, lab = settings.named(name), settings.lab(train)
    if not found:
        print(f"{name}: not measured, profile {profile!r} leaves it out")
    for experiment in found:
        lab.ensure(experiment.runs(), experiment.workers)
    return found, lab


def open_evidence(profile: str, train: bool = False) -> list[tuple[tuple[Experiment, ...], Lab]]:
    """All experiments of a profile with their lab, then those of the others that have records.

    Args:
        profile: its name. If it is no evidence (``smoke``), no other stands beside it.
        train: whether to train all its runs that are missing, now; the others' records answer.

    Returns:
        Experiments and lab: of the profile, then of every other tier of evidence with a folder of
        records.

    Raises:
        CompanionError: unknown profile.
        RunsFailed: training failed.
    """
    settings = get_profile(profile)
    lab = settings.lab(train)
    for experiment in settings.experiments:
        lab.ensure(experiment.runs(), experiment.workers)
    sources = [(settings.experiments, lab)]
    others = [name for name in TIERS if profile in TIERS and name != profile]
    for other in others:
        if (records_root() / other).is_dir():
            sources.append((get_profile(other).experiments, get_profile(other).lab()))
    return sources


def open_beside(name: str, profile: str, tier: str = "gpu") -> tuple[list[Experiment], Lab]:
    """The same experiment in another tier of evidence, to stand beside that of a profile.

    Args:
        name: of the experiment: ``03_eigen_cam``.
        profile: that the notebook shows.
        tier: the other one, of :data:`~mcmi_core.experiments.finding.TIERS`.

    Returns:
        Its experiments and lab, which answers from records. No experiment where the profile is no
        evidence, is that tier itself, or the tier has no records.

    Raises:
        CompanionError: unknown tier or experiment.
    """
    settings = get_profile(tier)
    found = settings.named(name)
    stands = profile in TIERS and profile != tier and (records_root() / tier).is_dir()
    return (found if stands else []), settings.lab()


__all__ = [
    "PROFILES",
    "Profile",
    "get_profile",
    "open_beside",
    "open_evidence",
    "open_experiments",
    "open_four_seeds",
]

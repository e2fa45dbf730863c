"""How big: the same notebooks on a laptop (smoke), on one GPU (gpu), at the paper's size (paper).

A profile names, for every experiment, the teacher-student pairs, their data and their recipes.
"""

from mcmi_core.base.errors import CompanionError
from mcmi_core.experiments.pair import PAPER_FINE_TUNING, PAPER_RECIPE, Pair
from mcmi_core.profiles._profile import Profile
from mcmi_core.profiles.gpu import GPU, TINY_IMAGENET
from mcmi_core.profiles.paper import CIFAR100, PAPER
from mcmi_core.profiles.smoke import DIGITS, ORACLE, SMOKE

PROFILES = {profile.name: profile for profile in (SMOKE, GPU, PAPER)}


def get_profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        CompanionError: there is none.
    """
    if name not in PROFILES:
        raise CompanionError(f"unknown profile {name!r}; choose from {', '.join(PROFILES)}")
    return PROFILES[name]


__all__ = [
    "CIFAR100",
    "DIGITS",
    "ORACLE",
    "PAPER_FINE_TUNING",
    "PAPER_RECIPE",
    "PROFILES",
    "TINY_IMAGENET",
    "Pair",
    "Profile",
    "get_profile",
]

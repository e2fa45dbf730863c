"""What a GPU has of notebook 10 with four of five seeds: shown, but nothing is decided by it.

Label smoothing, the entropy bonus and KD at T = 8 lack seed 104, so the profile ``gpu`` does not
ask for them. Their records are those of the sprint; their students were looked at afterwards.
"""

from mcmi_core.base.paths import records_root
from mcmi_core.experiments import Alternatives
from mcmi_core.experiments.finding import TIERS
from mcmi_core.experiments.lab import Lab
from mcmi_core.profiles.gpu import CIFAR10_JPEG, SEEDS, STOP
from mcmi_core.runs.config import Run
from mcmi_core.runs.records import Record, Records

FOLDERS = ("gpu", "sprint")


class _Folders:
    """Several folders of records, as one."""

    def __init__(self) -> None:
        self._all = [Records(records_root() / name) for name in FOLDERS]

    def record(self, run: Run) -> Record | None:
        return next((record for each in self._all if (record := each.record(run))), None)


def open_four_seeds(profile: str) -> list[tuple[Alternatives, Lab]]:
    """The experiment with four seeds and the lab that answers for it, to stand beside a profile's.

    Args:
        profile: that the notebook shows.

    Returns:
        None where the profile is no evidence, or without their records.
    """
    there = all((records_root() / name).is_dir() for name in FOLDERS)
    if profile not in TIERS or not there:
        return []
    experiment = Alternatives(
        pair=CIFAR10_JPEG,
        objectives=("label_smoothing:share=0.1", "entropy:weight=0.4"),
        temperatures=(8.0,),
        stops=(STOP,),
        mse=False,
        seeds=SEEDS[:4],
    )
    return [(experiment, Lab("gpu", _Folders()))]

"""Committing evidence: records, figures, the notebooks' outputs and the README's tables."""

import math
import shutil
from collections.abc import Sequence

from mcmi_core.base.files import write_atomically
from mcmi_core.base.paths import PROJECT, records_root
from mcmi_core.profiles import Profile
from mcmi_core.report.notebooks import (
    execute_notebooks,
    list_notebooks,
    notebook_path,
    shown_profile,
    store_outputs,
)
from mcmi_core.report.readme import FIGURES, README, with_results


def update_evidence(profile: Profile, only: Sequence[str] = (), deadline: float = math.inf) -> None:
    """Replace the committed evidence of a profile by what its notebooks give now.

    Trains what is missing, executes the notebooks on the records, then copies records, figures and
    the notebooks' outputs.

    Args:
        profile: whose.
        only: names of notebooks, if not all: their records and figures are added to those of the
            others, and from then on their stored outputs show this profile. Without it, outputs of
            notebooks that show another profile stay.
        deadline: when training stops, in seconds since 1970; the epochs under way are lost.

    Raises:
        ValueError: ``only`` names a notebook that does not exist.
        OutOfTime: not all is trained; nothing was replaced, and the next call goes on.
        RunsFailed: training failed; nothing was replaced.
        NotebookFailed: a notebook failed; nothing was replaced.
    """
    for name in only:
        notebook_path(name)
    notebooks = only or list_notebooks()
    built = PROJECT / "build" / "evidence" / profile.name
    shutil.rmtree(built, ignore_errors=True)
    records, figures = built / "records", built / "figures"
    profile.train(profile.experiments_of(notebooks), deadline, records)
    parameters = {"profile": profile.name, "train": False}
    executed = execute_notebooks(notebooks, built, parameters, records)
    for made, target in ((records / profile.name, records_root()), (figures, FIGURES)):
        if not only:
            shutil.rmtree(target / profile.name, ignore_errors=True)
        if made.exists():  # a notebook may have no runs, or save no figure
            shutil.copytree(made, target / profile.name, dirs_exist_ok=True)
    for path in executed:
        if only or shown_profile(path.stem) == profile.name:
            store_outputs(path, profile.name)
    write_atomically(README, with_results(README.read_text(encoding="utf-8")))

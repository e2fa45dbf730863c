"""Committing evidence: records, figures, the notebooks' outputs and the documents' tables."""

import math
import shutil
from collections.abc import Sequence

from mcmi_core.base.errors import CompanionError
from mcmi_core.base.files import write_atomically
from mcmi_core.base.paths import PROJECT, records_root
from mcmi_core.experiments.finding import TIERS
from mcmi_core.profiles import Profile
from mcmi_core.profiles.profile import CLAIMS
from mcmi_core.report.documents import FIGURES, PAPER, README, RESULTS, SHOWN, with_results
from mcmi_core.report.notebooks import (
    execute_notebooks,
    list_notebooks,
    notebook_path,
    shown_profile,
    store_outputs,
)


def update_evidence(profile: Profile, only: Sequence[str] = (), deadline: float = math.inf) -> None:
    """Replace the committed evidence of a profile by what its notebooks give now.

    Trains what is missing, executes the notebooks on the records, then copies records, figures and
    the notebooks' outputs. The scoreboard shows all tiers, so it is made anew in any case, as part
    of the figures that the documents show.

    Args:
        profile: whose: a tier of evidence.
        only: names of notebooks, if not all: their records and figures are added to those of the
            others. Outputs of a notebook that shows another tier of evidence stay; which one that
            is, its parameter ``profile`` says.
        deadline: when training stops, in seconds since 1970; the epochs under way are lost.

    Raises:
        CompanionError: the profile is no evidence.
        ValueError: ``only`` names a notebook that does not exist.
        OutOfTime: not all is trained; nothing was replaced, and the next call goes on.
        RunsFailed: training failed; nothing was replaced.
        NotebookFailed: a notebook failed; nothing was replaced.
    """
    if profile.name not in TIERS:
        raise CompanionError(f"{profile.name!r} is no evidence; choose from {', '.join(TIERS)}")
    for name in only:
        notebook_path(name)
    notebooks = only or list_notebooks()
    built = PROJECT / "build" / "evidence" / profile.name
    shutil.rmtree(built, ignore_errors=True)
    records, executed = built / "records", []
    # All folders, not those of tiers alone: notebook 10 reads those of the sprint, too.
    for folder in sorted(records_root().glob("*/")):
        if only or folder.name != profile.name:
            shutil.copytree(folder, records / folder.name)
    profile.train(profile.experiments_of(notebooks), deadline, records)
    others = [name for name in notebooks if name != CLAIMS]
    for name, shown in ((profile.name, others), (SHOWN, [CLAIMS])):
        parameters = {"profile": name, "train": False}
        executed += execute_notebooks(shown, built / name, parameters, records)
    if not only:
        for target in (records_root(), FIGURES):
            shutil.rmtree(target / profile.name, ignore_errors=True)
    for made, target in (
        (records / profile.name, records_root() / profile.name),
        (built / profile.name / "figures", FIGURES / profile.name),
        (built / SHOWN / "figures", FIGURES / SHOWN),
    ):
        if made.exists():  # a notebook may have no runs, or save no figure
            shutil.copytree(made, target, dirs_exist_ok=True)
    for path in executed:
        name = SHOWN if path.stem == CLAIMS else profile.name
        shown = shown_profile(path.stem)
        if shown == name or shown not in TIERS:
            store_outputs(path, name)
    for document in (README, RESULTS, PAPER):
        write_atomically(document, with_results(document))

"""The findings of an experiment, as its notebook shows and saves them."""

from collections.abc import Sequence

from IPython.display import Markdown, display

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import Finding, findings_table
from mcmi_core.experiments.lab import Lab
from mcmi_core.experiments.words import method_in_words
from mcmi_core.report.plots import save_table
from mcmi_core.report.tables import count_text, readable_findings, shared_control


def show_findings(
    experiment: Experiment, lab: Lab, *, fold: bool = False, save: bool = True
) -> None:
    """Display all findings, and save them, with all that they depend on, as ``..._findings_DATA``.

    Primary ones have a table of their own, before the exploratory ones, whose verdicts are adjusted
    for their number.

    Args:
        experiment: whose findings they are.
        lab: that has the records.
        fold: whether the exploratory ones, where they are many, are shown at a click only.
        save: False for those of another tier, shown beside those of the profile: the names of
            their files do not tell the tier.

    Raises:
        NotMeasured: a run has no record.
        StoreError: the folder cannot be written.
    """
    findings = experiment.findings(lab)
    display(
        Markdown(
            f"**{experiment.subject}**: {count_text(findings)}. "
            "A claim is true if its difference is positive."
        )
    )
    primary = [each for each in findings if each.primary]
    elsewhere = [each for each in findings if each.decided_in]
    exploratory = [each for each in findings if each.exploratory]
    _show("Primary: each decides a claim of the [scoreboard](99_claims.ipynb)", primary)
    notebooks = sorted({each.decided_in.partition("_")[0] for each in elsewhere})
    _show(f"Decided in notebook {' and '.join(notebooks)}, shown here beside the others", elsewhere)
    _show("Exploratory: verdicts are adjusted for their number (Holm)", exploratory, fold=fold)
    if save:
        save_table(findings_table(findings), experiment.figure_name("findings"))


def _show(heading: str, findings: Sequence[Finding], *, fold: bool = False) -> None:
    """A table of findings below its heading, which names what they are compared with."""
    if not findings:
        return
    control = shared_control(findings)
    against = f"; all against {method_in_words(control)}" if control else ""
    table = readable_findings(findings)
    if fold:
        summary = f"<summary><em>{heading}</em>{against}: {len(findings)} rows, click</summary>"
        html = f"<details>{summary}{table.to_html()}</details>"
        display({"text/html": html, "text/plain": table.to_string()}, raw=True)
    else:
        display(Markdown(f"*{heading}*{against}"), table)

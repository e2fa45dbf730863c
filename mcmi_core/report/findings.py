"""The findings of an experiment, as its notebook shows and saves them."""

from IPython.display import Markdown, display

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.finding import findings_table
from mcmi_core.experiments.lab import Lab
from mcmi_core.report.plots import save_table
from mcmi_core.report.tables import count_text, readable_findings


def show_findings(experiment: Experiment, lab: Lab) -> None:
    """Display all findings, and save them, with all that they depend on, as ``..._findings_DATA``.

    Raises:
        NotMeasured: a run has no record.
        StoreError: the folder cannot be written.
    """
    findings = experiment.findings(lab)
    heading = Markdown(f"**{experiment.subject}**: {count_text(findings)}")
    display(heading, readable_findings(findings))
    save_table(findings_table(findings), experiment.figure_name("findings"))

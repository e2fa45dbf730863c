"""What a notebook shows of an experiment's findings it also saves, with all that they depend on."""

from dataclasses import replace

import pandas as pd
from made_up import FIXED_DATA, PAIR, accuracy, made_up_lab

from mcmi_core.experiments.few_shot import FewShot
from mcmi_core.experiments.finding import findings_table
from mcmi_core.experiments.semi_supervised_and_binary import SemiSupervisedAndBinary
from mcmi_core.experiments.teacher_size import TeacherSize
from mcmi_core.report.findings import show_findings


def test_findings_are_shown_and_saved(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path))
    experiment = FewShot(pair=PAIR, seeds=(0, 1, 2), fractions={"kd": (0.1,)})
    lab = made_up_lab(lambda run: accuracy(50 + 10 * ("MCMI" in run.label)))
    show_findings(experiment, lab)
    saved = pd.read_csv(tmp_path / "figures" / "08_few_shot_findings_oracle.csv")
    expected = findings_table(experiment.findings(lab))
    assert list(saved.columns) == list(expected.columns)
    assert list(saved.claim) == list(expected.claim)
    assert saved["mean"].round(6).tolist() == expected["mean"].round(6).tolist()
    printed = capsys.readouterr().out
    assert "08_few_shot_findings_oracle.csv: sha256" in printed


def test_findings_of_another_tier_are_shown_and_not_saved(tmp_path, monkeypatch, capsys):
    """Their file would take the place of the profile's own."""
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path))
    experiment = FewShot(pair=PAIR, seeds=(0, 1, 2), fractions={"kd": (0.1,)})
    lab = made_up_lab(lambda run: accuracy(50 + 10 * ("MCMI" in run.label)))
    shown = []
    monkeypatch.setattr("mcmi_core.report.findings.display", lambda *parts: shown.extend(parts))
    show_findings(experiment, lab, save=False)
    assert shown
    assert list(tmp_path.iterdir()) == []
    assert "sha256" not in capsys.readouterr().out


def test_primary_findings_come_first_in_a_table_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path))
    shown = []
    monkeypatch.setattr("mcmi_core.report.findings.display", lambda *parts: shown.extend(parts))
    lab = made_up_lab(lambda run: accuracy(50 + 10 * ("MCMI" in run.label)))
    experiment = FewShot(pair=PAIR, seeds=(0, 1, 2), fractions={"kd": (0.05, 0.1)})
    show_findings(experiment, lab)
    heading, primary_heading, primary, exploratory_heading, exploratory = shown
    findings = experiment.findings(lab)
    assert heading.data.startswith(f"**{experiment.subject}**: ")
    assert primary_heading.data.startswith("*Primary")
    assert primary_heading.data.endswith("; all against fine-tuned λ=0")
    assert len(primary) == sum(each.primary for each in findings) > 0
    assert exploratory_heading.data.startswith("*Exploratory")
    assert len(exploratory) == sum(each.exploratory for each in findings) > 0


def test_many_exploratory_findings_are_folded_but_all_there(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path))
    shown = []
    monkeypatch.setattr("mcmi_core.report.findings.display", lambda *p, **_: shown.extend(p))
    lab = made_up_lab(lambda run: accuracy(50 + 10 * ("MCMI" in run.label)))
    experiment = FewShot(pair=PAIR, seeds=(0, 1, 2), fractions={"kd": (0.05, 0.1)})
    show_findings(experiment, lab, fold=True)
    *_, primary, folded = shown
    findings = experiment.findings(lab)
    assert len(primary) == sum(each.primary for each in findings)
    exploratory = [each.claim for each in findings if each.exploratory]
    assert folded["text/html"].startswith("<details><summary><em>Exploratory")
    assert f"{len(exploratory)} rows" in folded["text/html"]
    for claim in exploratory:
        assert claim in folded["text/html"] and claim in folded["text/plain"]


def test_a_heading_names_the_pair_or_the_data_of_several_in_words():
    one = FewShot(pair=PAIR, seeds=(0, 1), fractions={"kd": (0.1,)})
    assert one.subject == "ten Gaussians: MLP, 64 wide → MLP, 8 wide"
    larger = replace(PAIR, teacher="mlp:width=128")
    assert TeacherSize(pairs=(PAIR, larger), seeds=(0, 1)).subject == "ten Gaussians"
    two = {"pair": PAIR, "seeds": (0, 1), "binary_pair": FIXED_DATA, "binary_seeds": (0, 1)}
    subject = "ten Gaussians; scikit-learn's digits"
    assert SemiSupervisedAndBinary(**two).subject == subject

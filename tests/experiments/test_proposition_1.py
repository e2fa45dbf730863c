import pytest
from made_up import PAIR, made_up_lab

from mcmi_core.experiments.proposition_1 import Proposition1

EXPERIMENT = Proposition1(pair=PAIR, seeds=(0, 1, 2), bits=(1, 4))
MLL, MCMI = PAIR.mll(0).label, PAIR.mcmi(0).label
LAYERS = (1, 0)


def answer(run):
    """Output 1 nat and feature 3; MCMI adds 0.5 to the output, takes 0.25 from the feature.

    At 1 bit both are a tenth, without quantisation the feature has 4.
    """
    if run.stage != "measurement":
        return {"metrics": {"train": {"cmi_nats": 0.1}}}
    mcmi = run.label == MCMI
    output, feature = 1 + 0.5 * mcmi, 3 - 0.25 * mcmi
    lines = []
    for layer in LAYERS:
        lines += [
            {"layer": layer, "bits": 1, "output_nats": output / 10, "feature_nats": feature / 10},
            {"layer": layer, "bits": 4, "output_nats": output, "feature_nats": feature},
            {"layer": layer, "bits": None, "output_nats": output, "feature_nats": 4.0},
        ]
    result = {name: [line[name] for line in lines] for name in lines[0]}
    return {"result": result | {"cells": [2] * len(lines), "smallest_gap_nats": [0.0] * len(lines)}}


def collapsing(*seeds):
    """MCMI teachers of some seeds collapsed, so that nothing was measured on them."""

    def collapsing_answer(run):
        if run.label != MCMI or (run.of if run.stage == "measurement" else run).seed not in seeds:
            return answer(run)
        return None if run.stage == "measurement" else {"status": "collapsed"}

    return made_up_lab(collapsing_answer)


def test_every_teacher_is_measured():
    runs = EXPERIMENT.runs()
    assert [(run.of.label, run.of.seed) for run in runs] == [
        (label, seed) for seed in (0, 1, 2) for label in (MLL, MCMI)
    ]
    assert {str(run.what) for run in runs} == {"proposition_1:bits=1+4"}


def test_table():
    table = EXPERIMENT.table(made_up_lab(answer))
    columns = "layer bits cells label seed output_nats feature_nats gap_nats smallest_gap_nats"
    assert list(table.columns) == columns.split()
    assert len(table) == 3 * 2 * 2 * 3
    assert list(table.layer.unique()) == ["hidden 1", "logits"]
    assert list(table.gap_nats[:3]) == pytest.approx([0.2, 2, 3])


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    gap = "I(X; Ŷ | Y) ≤ I(X; f | Y), mean over MLL and MCMI teachers, layers and bits"
    assert means == pytest.approx(
        {
            gap: (0.2 + 2 + 3 + 0.125 + 1.25 + 2.5) / 6,
            f"hidden 1: I(X; Ŷ | Y) at 4 bits is larger in {MCMI}": 0.5,
            f"logits: I(X; Ŷ | Y) at 4 bits is larger in {MCMI}": 0.5,
            f"hidden 1: I(X; f | Y) at 4 bits is larger in {MCMI}": -0.25,
            f"logits: I(X; f | Y) at 4 bits is larger in {MCMI}": -0.25,
        }
    )
    assert [finding.claim for finding in findings if finding.primary] == [gap]
    assert (findings[0].policy, findings[0].lam, findings[0].unit) == ("–", None, "nats")
    assert findings[0].treatment == "I(X; f | Y) of MLL and MCMI teachers"
    assert {(f.policy, f.lam, f.control) for f in findings[1:]} == {("tracked", 0.7, "MLL")}
    assert {finding.networks for finding in findings} == {PAIR.teacher}


def test_intervals_are_of_quantised_features():
    quantised = EXPERIMENT.quantised(made_up_lab(answer))
    assert quantised.index.names == ["label", "layer", "bits"]
    assert list(quantised.index.unique("bits")) == [1, 4]
    assert quantised.feature_nats[MCMI, "logits", 4].mean == pytest.approx(2.75)


def test_features_as_they_are():
    text = EXPERIMENT.unquantised_as_text(made_up_lab(answer))
    assert list(text.columns) == ["output_nats", "feature_nats", "gap_nats", "teachers"]
    assert list(text.index) == [(k, t) for t in (MLL, MCMI) for k in ("hidden 1", "logits")]
    assert list(text.loc[("logits", MCMI)]) == [
        "1.500 [1.500, 1.500]",
        "4.000 [4.000, 4.000]",
        "2.500 [2.500, 2.500]",
        "done",
    ]


@pytest.mark.parametrize("gap", [-1e-8, float("nan")])
def test_a_violation_in_one_class_is_a_bug(gap):
    def broken(run):
        record = answer(run)
        if run.stage == "measurement" and run.label == MCMI and run.of.seed == 1:
            record["result"]["smallest_gap_nats"][4] = gap
        return record

    message = rf"got a gap of {gap:.3g} nats \({MCMI}, seed 1, logits, 4 bits\)"
    with pytest.raises(ValueError, match=message):
        EXPERIMENT.findings(made_up_lab(broken))


def test_rounding_is_no_violation():
    def rounded(run):
        record = answer(run)
        if run.stage == "measurement":
            record["result"]["smallest_gap_nats"][0] = -1e-12
        return record

    assert EXPERIMENT.findings(made_up_lab(rounded))


def test_collapsed_teachers_leave_the_other_seeds():
    lab = collapsing(0)
    assert [finding.difference.n for finding in EXPERIMENT.findings(lab)] == [3, 2, 2, 2, 2]
    assert EXPERIMENT.unquantised_as_text(lab).teachers[("logits", MCMI)] == "1 of 3 collapsed"


def test_of_too_few_seeds_there_is_no_finding_but_a_count():
    lab = collapsing(0, 1)
    assert [finding.primary for finding in EXPERIMENT.findings(lab)] == [True]
    row = EXPERIMENT.unquantised_as_text(lab).loc[("hidden 1", MCMI)]
    assert list(row) == ["", "", "", "2 of 3 collapsed"]

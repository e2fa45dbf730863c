import math

import pytest
from made_up import LABELS, PAIR, made_up_lab

from mcmi_core.experiments.proposition_1 import Proposition1

EXPERIMENT = Proposition1(pair=PAIR, seeds=(0, 1, 2), bits=(1, 4))
MLL, UNTREATED, FIXED, TRACKED, _ = LABELS
OUTPUT = {MLL: 1, UNTREATED: 1.25, FIXED: 1.5, TRACKED: 2}
FEATURE = {MLL: 3, UNTREATED: 3, FIXED: 2.75, TRACKED: 3.5}
"""Nats at 4 bits; at 1 bit both are a tenth, without quantisation a feature has 4."""
LAYERS = (1, 0)


def answer(run):
    if run.stage != "measurement":
        return {"metrics": {"train": {"cmi_nats": 0.1}}}
    output, feature = OUTPUT[run.label], FEATURE[run.label]
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
    """Tracked teachers of some seeds collapsed, so that nothing was measured on them."""

    def collapsing_answer(run):
        if (
            run.label != TRACKED
            or (run.of if run.stage == "measurement" else run).seed not in seeds
        ):
            return answer(run)
        return None if run.stage == "measurement" else {"status": "collapsed"}

    return made_up_lab(collapsing_answer)


def test_every_teacher_is_measured():
    runs = EXPERIMENT.runs()
    assert [(run.of.label, run.of.seed) for run in runs] == [
        (label, seed) for seed in (0, 1, 2) for label in LABELS[:4]
    ]
    assert {str(run.what) for run in runs} == {"proposition_1:bits=1+4"}


def test_table():
    table = EXPERIMENT.table(made_up_lab(answer))
    columns = "layer bits cells label seed output_nats feature_nats gap_nats smallest_gap_nats"
    assert list(table.columns) == columns.split()
    assert len(table) == 3 * 4 * 2 * 3
    assert list(table.layer.unique()) == ["hidden 1", "logits"]
    assert list(table.gap_nats[:3]) == pytest.approx([0.2, 2, 3])


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    expected = {}
    for side, nats in (("I(X; Ŷ | Y)", OUTPUT), ("I(X; f | Y)", FEATURE)):
        for layer in ("hidden 1", "logits"):
            for treatment, control in ((FIXED, UNTREATED), (TRACKED, UNTREATED), (UNTREATED, MLL)):
                claim = f"{layer}: {side} at 4 bits is larger in {treatment} than in {control}"
                expected[claim] = nats[treatment] - nats[control]
    assert means == pytest.approx(expected)
    assert {(f.unit, f.networks) for f in findings} == {("nats", PAIR.teacher)}
    assert [(f.policy, f.lam) for f in findings[:3]] == [
        ("fixed", 0.4),
        ("tracked", 0.7),
        ("–", None),
    ]
    assert findings[1].against_mll.mean == 1


def test_a_theorem_is_no_finding():
    assert not any(finding.primary for finding in EXPERIMENT.findings(made_up_lab(answer)))


def test_intervals_are_of_quantised_features():
    quantised = EXPERIMENT.quantised(made_up_lab(answer))
    assert quantised.index.names == ["label", "layer", "bits"]
    assert list(quantised.index.unique("bits")) == [1, 4]
    assert quantised.feature_nats[FIXED, "logits", 4].mean == pytest.approx(2.75)


def test_each_side_as_text():
    output, feature = EXPERIMENT.sides_as_text(made_up_lab(answer)).values()
    assert list(output.columns) == list(LABELS[:4])
    assert output.loc[("logits", 4), TRACKED] == "2.00 [2.00, 2.00]"
    assert feature.loc[("hidden 1", 1), TRACKED] == "0.35 [0.35, 0.35]"


def test_features_as_they_are():
    table = EXPERIMENT.unquantised(made_up_lab(answer))
    assert list(table.columns) == ["output_nats", "feature_nats", "gap_nats"]
    assert set(table.index) == {(t, k) for t in LABELS[:4] for k in ("hidden 1", "logits")}
    means = [interval.mean for interval in table.loc[(FIXED, "logits")]]
    assert means == pytest.approx([1.5, 4, 2.5])


def test_differences_from_the_control():
    above = EXPERIMENT.over_the_control(made_up_lab(answer))
    assert list(above.index.unique("label")) == [MLL, FIXED, TRACKED]
    assert list(above.index.unique("bits")) == [1, 4, math.inf]
    means = above.map(lambda interval: interval.mean)
    assert list(means.loc[TRACKED, "logits", 4.0]) == pytest.approx([0.75, 0.5])
    assert list(means.loc[MLL, "hidden 1", 1.0]) == pytest.approx([-0.025, 0])
    assert list(means.loc[FIXED, "logits", math.inf]) == pytest.approx([0.25, 0])


def test_numbers_are_what_the_figure_shows():
    numbers = EXPERIMENT.numbers(made_up_lab(answer))
    assert len(numbers) == 3 * 2 * 3 * 2
    interval = numbers[TRACKED, "logits", 4.0, "feature_nats_over_the_control"]
    assert interval.mean == pytest.approx(0.5)


def test_a_feature_tells_at_most_which_image_it_is():
    assert EXPERIMENT.ceiling(made_up_lab(answer)) == 4


@pytest.mark.parametrize("gap", [-1e-8, float("nan")])
def test_a_violation_in_one_class_is_a_bug(gap):
    def broken(run):
        record = answer(run)
        if run.stage == "measurement" and run.label == FIXED and run.of.seed == 1:
            record["result"]["smallest_gap_nats"][4] = gap
        return record

    message = rf"got a gap of {gap:.3g} nats \({FIXED}, seed 1, logits, 4 bits\)"
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
    n = {f.treatment: f.difference.n for f in EXPERIMENT.findings(lab)}
    assert n == {FIXED: 3, TRACKED: 2, UNTREATED: 3}
    assert EXPERIMENT.outcomes(lab)[TRACKED] == "1 of 3 collapsed"


def test_of_too_few_seeds_there_is_no_finding_but_a_count():
    lab = collapsing(0, 1)
    assert TRACKED not in {finding.treatment for finding in EXPERIMENT.findings(lab)}
    assert EXPERIMENT.outcomes(lab)[TRACKED] == "2 of 3 collapsed"
    assert TRACKED not in EXPERIMENT.unquantised(lab).index.unique("label")


def test_the_subject_has_no_student():
    teacher, student = PAIR.networks_in_words.split(" → ")
    assert EXPERIMENT.subject.endswith(f": {teacher}")
    assert student not in EXPERIMENT.subject

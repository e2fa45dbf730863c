from dataclasses import replace

import pytest
from made_up import FIXED_DATA, LABELS, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.eigen_cam import EigenCam

EXPERIMENT = EigenCam(pair=FIXED_DATA, stage=1, seeds=(0, 1, 2))
MLL, UNTREATED, FIXED, TRACKED, _ = LABELS
COVERAGE = {MLL: 40, UNTREATED: 45, FIXED: 42, TRACKED: 48}
"""Percent at stage 1 of maps as drawn; centred ones have a tenth of it, stage 2 twice."""
INFORMATION = {MLL: 0.5, UNTREATED: 0.2, FIXED: 0.3, TRACKED: 0.4}
"""Nats at stage 1; likewise."""


def answer(run):
    """Every seed adds a point of coverage and a hundredth of a nat to MCMI."""
    if run.stage != "measurement":
        return {"metrics": {"train": {"cmi_nats": 0.1 + run.seed}, "test": {}}}
    label, extra = run.of.label, run.of.seed * ("MCMI" in run.of.label)
    if run.what.name == "eigen_cam_maps":
        return {"result": {"class_index": [0, 1], "picture": ["p", "q"], "heat": [[[0]], [[1]]]}}
    share = 0.1 if run.what.options.get("centred") else 1
    coverage, information = COVERAGE[label] + extra, INFORMATION[label] + extra / 100
    return {
        "result": {
            "stage_index": [1, 2],
            "positions": [16, 4],
            "coverage_percent": [share * coverage, 2 * share * coverage],
            "place_information_nats": [share * information, 2 * share * information],
        }
    }


def test_findings():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    expected = {}
    for kind, share in (("maps", 1), ("centred maps", 0.1)):
        for treatment, control, coverage, information in (
            (FIXED, UNTREATED, -2, 0.11),  # a seed adds 1 and 0.01 on average
            (TRACKED, UNTREATED, 4, 0.21),
            (UNTREATED, MLL, 5, -0.3),
        ):
            of = f"{kind} of {treatment}"
            expected[f"{of} cover more of the image than those of {control}"] = share * coverage
            expected[f"{of} differ more by image than those of {control}"] = share * information
    assert means == pytest.approx(expected)


def test_the_coverage_of_maps_as_drawn_is_primary():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    fixed, tracked = (finding for finding in findings if finding.primary)
    assert fixed.claim.startswith(f"maps of {FIXED} cover more")
    assert fixed.quantity == "share of the image covered, maps of stage 1"
    assert [f.decides for f in (fixed, tracked)] == ["eigen_cam"] * 2
    assert [(f.policy, f.lam, f.control) for f in (fixed, tracked)] == [
        ("fixed", 0.4, UNTREATED),
        ("tracked", 0.7, UNTREATED),
    ]
    assert tracked.against_mll.mean == pytest.approx(9)
    assert (fixed.unit, findings[3].unit) == ("points", "nats")
    assert {(f.replicate, f.networks) for f in findings} == {("weights", "mlp:width=64")}


def test_one_row_per_kind_of_map_teacher_and_stage():
    table = EXPERIMENT.coverage_table(made_up_lab(answer))
    assert list(table.columns) == [
        "centred",
        "stage_index",
        "positions",
        "label",
        "seed",
        "coverage_percent",
        "place_information_nats",
    ]
    assert len(table) == 2 * 12 * 2
    assert list(table.label[:8:2]) == [MLL, UNTREATED, FIXED, TRACKED]
    drawn = EXPERIMENT.drawn(table)
    assert len(drawn) == 12
    assert not drawn.centred.any()
    assert set(drawn.stage_index) == {1}


def test_the_last_two_stages_are_shown_beside_the_control():
    summary = EXPERIMENT.coverage_summary(made_up_lab(answer))
    assert summary.index.names == ["stage_index", "positions", "label"]
    assert summary.loc[(1, 16, MLL)].tolist() == [
        "40.0 [40.0, 40.0]",
        "-5.00 [-5.00, -5.00]",
        "0.5000 [0.5000, 0.5000]",
        "+0.3000 [+0.3000, +0.3000]",
    ]
    assert summary.loc[(2, 4, MLL)].iloc[1] == "-10.00 [-10.00, -10.00]"
    assert summary.loc[(1, 16, UNTREATED)].iloc[[1, 3]].tolist() == ["–", "–"]
    assert len(summary) == 2 * 4
    assert set(summary.index.get_level_values("stage_index")) == {1, 2}
    assert list(summary.index.get_level_values("label")[:4]) == [MLL, UNTREATED, FIXED, TRACKED]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("coverage_percent", 100.5, "coverage must be from 0 to 100 %, got 100.5"),
        ("coverage_percent", -1.0, "coverage must be from 0 to 100 %, got -1"),
        ("place_information_nats", -0.1, "information must not be negative, got -0.1"),
    ],
)
def test_what_cannot_be_is_refused(column, value, message):
    def broken(run):
        fields = answer(run)
        if column in fields.get("result", {}):
            fields["result"][column][0] = value
        return fields

    with pytest.raises(ValueError, match=message):
        EXPERIMENT.coverage_table(made_up_lab(broken))


def test_a_stage_that_there_is_not():
    with pytest.raises(ValueError, match="no stage 3; choose from 1, 2"):
        replace(EXPERIMENT, stage=3).coverage_table(made_up_lab(answer))


def test_all_runs_are_asked_for_once():
    asked = [run.key for run in EXPERIMENT.runs()]
    assert len(asked) == len(set(asked)) == 12 + 12 + 12 + 4
    assert {run.of.seed for run in EXPERIMENT.maps()} == {0}


def test_the_maps_of_the_first_seeds_teachers():
    pictures = EXPERIMENT.pictures(made_up_lab(answer))
    assert list(pictures.label[::2]) == [MLL, UNTREATED, FIXED, TRACKED]
    assert list(pictures.picture[:2]) == ["p", "q"]


@pytest.mark.parametrize(("seeds", "left"), [((1,), {2}), ((1, 2), set()), ((0, 1, 2), set())])
def test_mcmi_teachers_that_collapsed(seeds, left):
    def answer_or_collapse(run):
        teacher = run.of if run.stage == "measurement" else run
        if teacher.label != TRACKED or teacher.seed not in seeds:
            return answer(run)
        return {"status": "collapsed"} if teacher is run else None

    lab = made_up_lab(answer_or_collapse)
    findings = EXPERIMENT.findings(lab)
    assert {f.difference.n for f in findings if f.treatment == TRACKED} == left
    assert {f.difference.n for f in findings if f.treatment == FIXED} == {3}
    assert EXPERIMENT.outcomes(lab)[TRACKED] == f"{len(seeds)} of 3 collapsed"
    assert (TRACKED in EXPERIMENT.teacher_summary(lab, ["train_cmi_nats"]).index) == bool(left)
    shown = EXPERIMENT.coverage_summary(lab).index.get_level_values("label")
    assert (TRACKED in shown) == bool(left)
    assert {MLL, UNTREATED, FIXED} <= set(shown)


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured):
        EXPERIMENT.findings(made_up_lab(lambda run: None))

from dataclasses import replace

import pytest
from made_up import FIXED_DATA, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.eigen_cam import EigenCam

EXPERIMENT = EigenCam(pair=FIXED_DATA, stage=1, seeds=(0, 1, 2))
MLL, UNTREATED, MCMI = "MLL", "MCMI tracked λ=0", "MCMI tracked λ=0.7"
COVERAGE = {MLL: 40, UNTREATED: 45, MCMI: 42}
"""Percent at stage 1 of maps as drawn; centred ones have a tenth of it, stage 2 twice."""
INFORMATION = {MLL: 0.5, UNTREATED: 0.2, MCMI: 0.3}
"""Nats at stage 1; likewise."""


def answer(run):
    """Every seed adds a point of coverage and a hundredth of a nat to MCMI."""
    if run.stage != "measurement":
        return {"metrics": {"train": {"cmi_nats": 0.1 + run.seed}, "test": {}}}
    label, extra = run.of.label, run.of.seed * (run.of.label == MCMI)
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


def test_eight_findings_of_which_one_is_primary():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    assert means == pytest.approx(
        {
            "MCMI's maps of stage 1 cover more of the image than MLL's": 3,
            "MCMI's maps of stage 1 cover more of the image than MCMI tracked λ=0's": -2,
            "MCMI's maps of stage 1 differ more within a class than MLL's": -0.19,
            "MCMI's maps of stage 1 differ more within a class than MCMI tracked λ=0's": 0.11,
            "MCMI's centred maps of stage 1 cover more of the image than MLL's": 0.3,
            "MCMI's centred maps of stage 1 cover more of the image than MCMI tracked λ=0's": -0.2,
            "MCMI's centred maps of stage 1 differ more within a class than MLL's": -0.019,
            "MCMI's centred maps of stage 1 differ more within a class than MCMI tracked λ=0's": (
                0.011
            ),
        }
    )
    first = findings[0]
    assert [finding.primary for finding in findings] == [True] + [False] * 7
    assert (first.unit, findings[2].unit) == ("points", "nats")
    assert {(f.policy, f.lam, f.replicate, f.networks) for f in findings} == {
        ("tracked", 0.7, "weights", "mlp:width=64")
    }
    assert [f.control for f in findings[:2]] == [MLL, UNTREATED]


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
    assert len(table) == 2 * 9 * 2
    assert list(table.label[:6:2]) == [MLL, UNTREATED, MCMI]
    drawn = EXPERIMENT.drawn(table)
    assert len(drawn) == 9
    assert not drawn.centred.any()
    assert set(drawn.stage_index) == {1}


def test_the_drawn_and_the_last_stage_are_shown():
    summary = EXPERIMENT.coverage_summary(made_up_lab(answer))
    assert summary.index.names == ["centred", "stage_index", "positions", "label"]
    assert summary.loc[(False, 1, 16, MLL)].tolist() == [
        "40.0 [40.0, 40.0]",
        "0.5000 [0.5000, 0.5000]",
    ]
    assert set(summary.index.get_level_values("stage_index")) == {1, 2}


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


def test_a_treatment_that_is_the_control():
    with pytest.raises(ValueError, match="λ must be above 0, which is the control's, got 0"):
        replace(EXPERIMENT, pair=replace(FIXED_DATA, lam=0.0))


def test_all_runs_are_asked_for_once():
    asked = [run.key for run in EXPERIMENT.runs()]
    assert len(asked) == len(set(asked)) == 9 + 9 + 9 + 3
    assert {run.of.seed for run in EXPERIMENT.maps()} == {0}


def test_the_maps_of_the_first_seeds_teachers():
    pictures = EXPERIMENT.pictures(made_up_lab(answer))
    assert list(pictures.label) == [MLL, MLL, UNTREATED, UNTREATED, MCMI, MCMI]
    assert list(pictures.picture[:2]) == ["p", "q"]


@pytest.mark.parametrize(("seeds", "left"), [((1,), 2), ((1, 2), None), ((0, 1, 2), None)])
def test_mcmi_teachers_that_collapsed(seeds, left):
    def answer_or_collapse(run):
        teacher = run.of if run.stage == "measurement" else run
        if teacher.label != MCMI or teacher.seed not in seeds:
            return answer(run)
        return {"status": "collapsed"} if teacher is run else None

    lab = made_up_lab(answer_or_collapse)
    findings = EXPERIMENT.findings(lab)
    assert [finding.difference.n for finding in findings] == ([left] * 8 if left else [])
    assert EXPERIMENT.outcomes(lab)[MCMI] == f"{len(seeds)} of 3 collapsed"
    assert (MCMI in EXPERIMENT.teacher_summary(lab, ["train_cmi_nats"]).index) == bool(left)
    shown = EXPERIMENT.coverage_summary(lab).index.get_level_values("label")
    assert (MCMI in shown) == bool(left)
    assert {MLL, UNTREATED} <= set(shown)


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured):
        EXPERIMENT.findings(made_up_lab(lambda run: None))

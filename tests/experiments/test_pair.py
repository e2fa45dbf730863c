"""A pair's teachers, students and controls: what differs between them, and what must not."""

from dataclasses import replace

import pandas as pd
import pytest
from made_up import FIXED_DATA, LABELS, PAIR

from mcmi_core.experiments.pair import distinct_teachers, name_from_scratch

MLL, UNTREATED, FIXED, TRACKED, TRUTH = LABELS


def test_all_teachers_of_a_seed():
    assert [teacher.label for teacher in PAIR.teachers(3)] == list(LABELS)
    assert [teacher.label for teacher in PAIR.trained_teachers(3)] == list(LABELS[:4])
    assert {teacher.seed for teacher in PAIR.trained_teachers(3)} == {3}


def test_where_the_truth_is_unknown_it_does_not_teach():
    assert FIXED_DATA.teachers(0) == FIXED_DATA.trained_teachers(0)


def test_a_pair_without_a_lambda_for_tracked_centroids():
    pair = replace(PAIR, tracked_lam=None)
    assert [teacher.label for teacher in pair.trained_teachers(0)] == [MLL, UNTREATED, FIXED]
    message = "mlp:width=64 → mlp:width=8 on oracle has no λ for tracked centroids; give one"
    with pytest.raises(ValueError, match=message):
        pair.mcmi(0, centroids="tracked")
    assert pair.mcmi(0, centroids="tracked", lam=1.5).label == "MCMI tracked λ=1.5"


@pytest.mark.parametrize("settings", [{"lam": 0.0}, {"tracked_lam": 0.0}])
def test_a_treatment_that_is_the_control(settings):
    with pytest.raises(ValueError, match="λ must be above 0, which is the control's, got 0"):
        replace(PAIR, **settings)


def test_the_control_of_mcmi_differs_by_cmi_alone():
    mcmi, untreated = PAIR.mcmi(0), PAIR.untreated(0)
    assert untreated.objective.options == mcmi.objective.options | {"lam": 0.0}
    same = {"objective": mcmi.objective}
    assert untreated.model_copy(update=same) == mcmi
    assert untreated.start == PAIR.mll(0)


@pytest.mark.parametrize("pair", [PAIR, replace(PAIR, student_recipe=PAIR.fine_tuning)])
def test_the_control_of_distillation_differs_by_the_teacher_alone(pair):
    part = {"fraction": 0.05, "sampling": "first", "omit": (9, 7)}
    taught, alone = pair.distill(pair.mll(4), 4, **part), pair.student_from_scratch(4, **part)
    for field in ("data", "model", "part", "recipe", "seed"):
        assert getattr(taught, field) == getattr(alone, field)
    assert (alone.objective.name, alone.start) == ("mll", None)


def test_data_of_its_own_for_every_seed():
    runs = [*PAIR.teachers(5), PAIR.student_from_scratch(5), PAIR.distill(PAIR.mll(5), 5)]
    assert {run.data.options["seed"] for run in runs} == {5}
    assert {str(run.data) for run in FIXED_DATA.teachers(5)} == {str(FIXED_DATA.mll(0).data)}


def test_students_from_scratch_have_a_label_of_their_own():
    runs = [PAIR.mll(0), PAIR.student_from_scratch(0), PAIR.distill(PAIR.mcmi(0), 0)]
    table = pd.DataFrame({"stage": [run.stage for run in runs], "label": [r.label for r in runs]})
    assert list(table.label) == [MLL, MLL, FIXED]
    assert list(name_from_scratch(table[1:]).label) == ["from scratch", FIXED]


@pytest.mark.parametrize(
    ("data", "name", "title"),
    [
        ("oracle:classes=20", "oracle", "oracle"),
        ("digits", "digits", "digits"),
        ("imagefolder:folder=cifar10-jpeg,image_size=16", "imagefolder", "cifar10-jpeg"),
    ],
)
def test_names_of_data(data, name, title):
    pair = replace(PAIR, data=data)
    assert (pair.data_name, pair.data_title) == (name, title)


def test_pairs_that_share_a_teacher():
    other_student = replace(PAIR, student="mlp:width=16")
    other_teacher = replace(PAIR, teacher="mlp:width=128")
    distinct = distinct_teachers([PAIR, other_student, other_teacher])
    assert [pair.teacher for pair in distinct] == ["mlp:width=64", "mlp:width=128"]

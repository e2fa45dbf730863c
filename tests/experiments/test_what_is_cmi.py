"""Outputs to look at: what is drawn is what the records hold."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.experiments.what_is_cmi import CONTROL, TRUTH, WhatIsCmi

EXPERIMENT = WhatIsCmi(
    pair=replace(PAIR, data="oracle:classes=3"),
    stops=(2,),
    lambdas=(0.7, 0.0),
    temperatures=(1.0, 4.0),
    photographs=FIXED_DATA,
    images=1,
    seed=0,
)
MCMI = "MCMI tracked, λ = 0.7"
PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])


def answer(run, collapsed=()):
    if run.label in collapsed or (run.stage == "measurement" and run.of.label in collapsed):
        return {"status": "collapsed"} if run.stage != "measurement" else None
    if run.stage != "measurement":
        cmi = 0.5 if run.label == "true BCPD" else 0.1
        return {"metrics": {"train": {"cmi_nats": cmi, "ll_nats": -1.0, "accuracy_percent": 90.0}}}
    if run.what.name == "temperature_sweep":
        return {"result": {"temperature": [1.0, 4.0], "cmi_nats": [0.2, 0.1]}}
    return {
        "result": {
            "class_index": [0, 1],
            "logits": (np.log(PROBABILITIES) + 7).tolist(),
            "class_names": [["cat", "dog", "ship"]] * 2,
            "picture": ["png"] * 2,
        }
    }


def test_points_are_softmax_of_the_logits():
    lab = made_up_lab(answer)
    outputs, labels = EXPERIMENT.points(lab, EXPERIMENT.truth())
    np.testing.assert_allclose(outputs, PROBABILITIES)
    assert labels.tolist() == [0, 1]
    assert list(EXPERIMENT.all_points(lab)) == ["MLL, epoch 2", "MLL, epoch 20", MCMI, TRUTH]
    by_lambda = ["MLL, epoch 20", CONTROL, MCMI]
    assert list(EXPERIMENT.points_by_lambda(lab)) == by_lambda


def test_a_collapsed_teacher_has_no_triangle():
    lab = made_up_lab(lambda run: answer(run, collapsed=("MCMI tracked λ=0.7",)))
    assert MCMI not in EXPERIMENT.all_points(lab)
    assert list(EXPERIMENT.points_by_lambda(lab)) == ["MLL, epoch 20", CONTROL]


def test_teachers_by_title():
    table = EXPERIMENT.teacher_table(made_up_lab(answer))
    assert list(table.index) == [
        "MLL, epoch 2",
        "MLL, epoch 20",
        CONTROL,
        MCMI,
        TRUTH,
    ]
    assert table["CMI, nats"].tolist() == [0.1] * 4 + [0.5]
    assert table["mean KL(P* ‖ P), nats"].isna().all()  # not among the made-up metrics


def test_cmi_by_temperature():
    table = EXPERIMENT.cmi_by_temperature(made_up_lab(answer))
    assert list(table.index) == ["MLL, epoch 2", "MLL, epoch 20", CONTROL, MCMI, TRUTH]
    assert table["T = 4"].tolist() == [0.1] * 5


def test_photographs_by_teacher_the_most_probable_class_first():
    table = EXPERIMENT.photograph_table(made_up_lab(answer))
    assert table.label.unique().tolist() == list(EXPERIMENT.photograph_teachers())
    first, second = table[table.label == "MLL"].itertuples()
    assert (first.class_name, second.class_name) == ("cat", "dog")
    assert list(first.probabilities.index[:1]) == ["cat"]
    assert second.probabilities.to_dict() == pytest.approx({"dog": 0.8, "cat": 0.1, "ship": 0.1})
    numbers = EXPERIMENT.photograph_numbers(made_up_lab(answer))
    assert numbers[numbers.label == "MLL"].dog.tolist() == pytest.approx([0.25, 0.8])


def test_everything_shown_is_asked_for():
    asked = {run.key for run in EXPERIMENT.runs()}
    shown = set()

    def seen(run):
        if run.stage == "measurement":
            shown.add(run.key)
        return answer(run)

    lab = made_up_lab(seen)
    EXPERIMENT.all_points(lab), EXPERIMENT.points_by_lambda(lab)
    EXPERIMENT.cmi_by_temperature(lab), EXPERIMENT.photograph_table(lab)
    assert shown <= asked
    assert EXPERIMENT.findings(lab) == []


def test_p_star_must_be_known():
    with pytest.raises(ValueError, match="P\\* must be known, as on oracle data; got digits"):
        replace(EXPERIMENT, pair=FIXED_DATA)

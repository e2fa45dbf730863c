from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.mll_training_dynamics import MllTrainingDynamics, two_epochs
from mcmi_core.training.recipe import Recipe

EXPERIMENT = MllTrainingDynamics(pairs=(PAIR, FIXED_DATA), seeds=(0, 1, 2))
"""Teachers of 20 epochs: compared are epochs 2 and 20."""


def answer(run):
    """CMI goes from 0.9 down by 0.02 an epoch, LL from −2.1 up by 0.1 and a hundredth by seed."""
    epochs = list(range(1, run.recipe.epochs + 1))
    history = {
        "epoch": epochs,
        "train_cmi_nats": [0.9 - 0.02 * epoch for epoch in epochs],
        "train_ll_nats": [-2.1 + (0.1 + run.seed / 100) * epoch for epoch in epochs],
        "train_accuracy_percent": [50.0] * len(epochs),
    }
    return {"history": history}


def test_cmi_falls_and_ll_rises():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    means = {finding.claim: finding.difference.mean for finding in findings}
    assert means == pytest.approx(
        {
            "mlp:width=64 on oracle: CMI falls from epoch 2 to 20": 0.36,
            "mlp:width=64 on oracle: LL rises from epoch 2 to 20": 1.98,
            "mlp:width=64 on digits: CMI falls from epoch 2 to 20": 0.36,
            "mlp:width=64 on digits: LL rises from epoch 2 to 20": 1.98,
        }
    )
    assert [finding.primary for finding in findings] == [True, False, True, False]
    assert [(finding.treatment, finding.control) for finding in findings[:2]] == [
        ("MLL at epoch 2", "epoch 20"),
        ("MLL at epoch 20", "epoch 2"),
    ]
    assert {(f.policy, f.lam, f.unit, f.networks) for f in findings} == {
        ("–", None, "nats", "mlp:width=64")
    }


def test_a_rise_of_cmi_is_no_fall():
    def upside_down(run):
        fields = answer(run)
        fields["history"]["train_cmi_nats"].reverse()
        return fields

    first, *_ = EXPERIMENT.findings(made_up_lab(upside_down))
    assert first.difference.mean == pytest.approx(-0.36)
    assert first.verdict == "does not hold"


def test_two_moments():
    table = EXPERIMENT.two_moments(made_up_lab(answer))
    names = ("mlp:width=64 on oracle", "mlp:width=64 on digits")
    assert list(table.index) == [(name, epoch) for name in names for epoch in (2, 20)]
    assert list(table.columns) == ["train_cmi_nats", "train_ll_nats"]
    assert table.loc[(names[0], 2), "train_cmi_nats"].mean == pytest.approx(0.86)
    assert table.loc[(names[0], 20), "train_ll_nats"].mean == pytest.approx(0.1)


@pytest.mark.parametrize(("epochs", "early"), [(60, 6), (10, 1), (4, 1), (240, 24)])
def test_the_early_moment_is_a_tenth_and_at_least_one_epoch(epochs, early):
    recipe = Recipe(epochs=epochs, milestones=())
    assert two_epochs(replace(PAIR, recipe=recipe)) == (early, epochs)


def test_history_has_every_epoch_of_every_teacher_once():
    same_teacher = replace(PAIR, student="mlp:width=4")
    experiment = replace(EXPERIMENT, pairs=(PAIR, same_teacher, FIXED_DATA))
    history = experiment.history(made_up_lab(answer))
    assert len(history) == 2 * 3 * 20
    assert not history.duplicated(["teacher", "seed", "epoch"]).any()
    assert list(history.teacher.unique()) == list(experiment.milestones())
    assert len(experiment.runs()) == len({run.key for run in experiment.runs()}) == 6
    assert experiment.milestones()["mlp:width=64 on oracle"] == PAIR.recipe.milestones


@pytest.mark.parametrize(("seeds", "left"), [((0,), 2), ((0, 1), None)])
def test_teachers_that_collapsed_are_left_out(seeds, left):
    def answer_or_collapse(run):
        if run.data.name == "oracle" and run.seed in seeds:
            history = {name: values[:3] for name, values in answer(run)["history"].items()}
            return {"status": "collapsed", "history": history}
        return answer(run)

    lab = made_up_lab(answer_or_collapse)
    n_on = {finding.data: finding.difference.n for finding in EXPERIMENT.findings(lab)}
    assert n_on == ({"oracle": left, "digits": 3} if left else {"digits": 3})
    history = EXPERIMENT.history(lab)
    assert not (history.data_name.eq("oracle") & history.seed.isin(seeds)).any()
    moments = EXPERIMENT.two_moments(lab).index.unique("teacher")
    assert ("mlp:width=64 on oracle" in moments) == bool(left)
    assert list(EXPERIMENT.outcomes(lab)) == [f"{len(seeds)} of 3 collapsed", "done"]


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured):
        EXPERIMENT.findings(made_up_lab(lambda run: None))

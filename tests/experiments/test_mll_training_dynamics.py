from dataclasses import replace

import pytest
from made_up import FIXED_DATA, PAIR, made_up_lab

from mcmi_core.base.errors import NotMeasured
from mcmi_core.experiments.mll_training_dynamics import (
    MllTrainingDynamics,
    last_epoch_before_the_drop,
    two_epochs,
)
from mcmi_core.training.recipe import Recipe

EXPERIMENT = MllTrainingDynamics(pairs=(PAIR, FIXED_DATA), seeds=(0, 1, 2))
"""Teachers of 20 epochs, whose learning rate drops after epoch 12: compared are 5 and 20."""


def answer(run):
    """CMI goes from 0.9 down, by 0.02 an epoch to epoch 12 and by 0.05 from there; LL goes up.

    LL goes from −2.1 up by 0.1 an epoch and a hundredth by seed.
    """
    epochs = list(range(1, run.recipe.epochs + 1))
    history = {
        "epoch": epochs,
        "train_cmi_nats": [0.9 - 0.02 * epoch - 0.03 * max(0, epoch - 12) for epoch in epochs],
        "train_ll_nats": [-2.1 + (0.1 + run.seed / 100) * epoch for epoch in epochs],
        "train_accuracy_percent": [50.0 + epoch for epoch in epochs],
    }
    return {"history": history}


def test_cmi_falls_and_ll_rises():
    findings = EXPERIMENT.findings(made_up_lab(answer))
    drop = "CMI falls more after the learning rate first drops, epochs 12 to 20, than before"
    means = {finding.claim: finding.difference.mean for finding in findings}
    assert means == pytest.approx(
        {
            f"{data}: MLP, 64 wide: {claim}": mean
            for data in ("ten Gaussians", "scikit-learn's digits")
            for claim, mean in (
                ("CMI falls from epoch 5 to 20", 0.3 + 0.24),
                ("log-likelihood rises from epoch 5 to 20", 1.65),
                (f"{drop}, epochs 5 to 12", 0.4 - 0.14),
            )
        }
    )
    assert [finding.decides for finding in findings] == ["dynamics", *[None] * 5]
    assert [(finding.treatment, finding.control) for finding in findings[:3]] == [
        ("MLL at epoch 5", "epoch 20"),
        ("MLL at epoch 20", "epoch 5"),
        ("MLL, epochs 12 to 20", "epochs 5 to 12"),
    ]
    assert {(f.policy, f.lam, f.unit, f.networks) for f in findings} == {
        ("–", None, "nats", "mlp:width=64")
    }


def test_a_single_teacher_is_not_named_in_its_claims():
    first, *_ = replace(EXPERIMENT, pairs=(PAIR,)).findings(made_up_lab(answer))
    assert first.claim == "CMI falls from epoch 5 to 20"


def test_the_early_moment_is_that_of_the_findings():
    names = ("mlp:width=64 on oracle", "mlp:width=64 on digits")
    assert EXPERIMENT.early_epochs() == dict.fromkeys(names, 5)


def test_a_rise_of_cmi_is_no_fall():
    def upside_down(run):
        fields = answer(run)
        fields["history"]["train_cmi_nats"].reverse()
        return fields

    first, *_ = EXPERIMENT.findings(made_up_lab(upside_down))
    assert first.difference.mean == pytest.approx(-(0.02 * 15 + 0.03 * 4))  # epochs 16 and 1
    assert first.verdict == "opposite"


MOMENTS = [
    ("first evaluated, largest CMI", 1),
    ("early moment", 5),
    ("last before the drop", 12),
    ("first after the drop", 13),
    ("end", 20),
]


def test_moments_with_the_accuracy_that_the_network_had():
    table = EXPERIMENT.moments(made_up_lab(answer))
    assert sorted(table.index.unique("teacher")) == [
        "mlp:width=64 on digits",
        "mlp:width=64 on oracle",
    ]
    table = table.loc["mlp:width=64 on oracle"]
    assert list(table.index) == MOMENTS
    assert list(table.columns) == ["train_accuracy_percent", "train_cmi_nats", "train_ll_nats"]
    means = table.map(lambda interval: interval.mean)
    assert list(means.train_cmi_nats) == pytest.approx([0.88, 0.8, 0.66, 0.61, 0.26])
    assert means.train_ll_nats.iloc[-1] == pytest.approx(0.1)
    assert list(means.train_accuracy_percent) == [51, 55, 62, 63, 70]


def test_moments_of_a_single_teacher_do_not_name_it():
    table = replace(EXPERIMENT, pairs=(PAIR,)).moments(made_up_lab(answer))
    assert list(table.index) == MOMENTS


def test_a_schedule_without_drops_has_no_moments_around_one():
    pair = replace(PAIR, recipe=Recipe(epochs=20, milestones=(), evaluate_every=0))
    table = replace(EXPERIMENT, pairs=(pair,)).moments(made_up_lab(answer))
    assert [epoch for _, epoch in table.index] == [1, 5, 20]


@pytest.mark.parametrize(
    ("epochs", "every", "early"),
    [(60, 20, 15), (60, 0, 12), (20, 0, 5), (240, 0, 48), (240, 1, 60), (5, 1, 1), (3, 1, 1)],
)
def test_the_early_moment_is_the_last_evaluated_epoch_of_the_first_quarter(epochs, every, early):
    recipe = Recipe(evaluate_every=every).shortened(epochs)
    pair = replace(PAIR, recipe=recipe)
    assert two_epochs(pair) == (early, epochs)
    assert pair.mll(0).recipe.evaluates_after(early)


@pytest.mark.parametrize(
    ("recipe", "drop"),
    [
        (Recipe(evaluate_every=0).shortened(20), 12),
        (Recipe(evaluate_every=0).shortened(60), 36),  # drops after 38; evaluated every 6th
        (Recipe(epochs=20, schedule="cosine"), None),
        (Recipe(epochs=20, milestones=()), None),
        (Recipe(epochs=20, milestones=(5,)), None),  # not after the early moment
        (Recipe(epochs=20, milestones=(20,)), None),
    ],
)
def test_the_drop_must_lie_between_the_two_moments(recipe, drop):
    pair = replace(PAIR, recipe=recipe)
    assert last_epoch_before_the_drop(pair) == drop
    experiment = replace(EXPERIMENT, pairs=(pair,))
    assert len(experiment.findings(made_up_lab(answer))) == (2 if drop is None else 3)


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
    moments = EXPERIMENT.moments(lab).index.unique("teacher")
    assert ("mlp:width=64 on oracle" in moments) == bool(left)
    assert list(EXPERIMENT.outcomes(lab)) == [f"{len(seeds)} of 3 collapsed", "done"]


def test_epochs_that_were_not_evaluated_have_no_row():
    def answer_sparsely(run):
        history = answer(run)["history"]
        sparse = {
            name: [value if epoch % 5 == 0 else None for epoch, value in enumerate(values, 1)]
            for name, values in history.items()
            if name != "epoch"
        }
        return {"history": {"epoch": history["epoch"], **sparse}}

    history = EXPERIMENT.history(made_up_lab(answer_sparsely))
    assert list(history.epoch.unique()) == [5, 10, 15, 20]
    assert history.train_cmi_nats.notna().all()


def test_nothing_is_concluded_from_missing_records():
    with pytest.raises(NotMeasured):
        EXPERIMENT.findings(made_up_lab(lambda run: None))

"""Table 1: our numbers beside those that are published."""

from dataclasses import replace

import pytest
from made_up import FIXED_DATA, made_up_lab

from mcmi_core.experiments.cifar100_distillation import (
    Cifar100Distillation,
    literature,
    readable_literature,
)

PAIR = replace(FIXED_DATA, teacher="resnet32x4", student="resnet8x4")
EXPERIMENT = Cifar100Distillation(
    pairs=(PAIR, replace(PAIR, teacher="resnet20", student="resnet8")),
    frameworks=("kd", "dist"),
    seeds=(0, 1, 2),
)


def answer(run):
    """MCMI's students lose 2 points at last, but only 1 at their best epoch; from scratch: 30."""
    mcmi = "MCMI" in run.label
    last, best = 60 - 2 * mcmi, 62 - mcmi
    if run.stage == "teacher" and run.model.name in ("resnet8x4", "resnet8"):
        last = best = 30
    test = {"accuracy_percent": last + run.seed}
    train = {"cmi_nats": 0.1 + mcmi, "ll_nats": -0.1}
    return {
        "metrics": {"test": test, "train": train},
        "history": {"epoch": [1, 2], "test_accuracy_percent": [best + run.seed, last + run.seed]},
    }


def test_the_mean_decides_one_claim_and_dkd_another():
    experiment = replace(EXPERIMENT, frameworks=("kd", "dkd"))
    found = experiment.findings(made_up_lab(answer))
    primary = [f for f in found if f.primary]
    assert [(f.decides, f.policy) for f in primary] == [
        *(("frameworks", "fixed"), ("frameworks", "tracked"), ("dkd", "fixed"), ("dkd", "tracked"))
    ]
    assert {(f.difference.mean, f.verdict) for f in primary} == {(-2, "opposite")}
    assert len(found) == 4 + 1 + 2 * 2 * 2


def test_without_dkd_nothing_decides_its_claim():
    found = EXPERIMENT.findings(made_up_lab(answer))
    assert {f.decides for f in found} == {"frameworks", None}


def test_teachers_have_cmi_and_ll():
    table = EXPERIMENT.teacher_table(made_up_lab(answer))
    assert list(table) == ["test_accuracy_percent", "train_cmi_nats", "train_ll_nats"]
    mcmi = table.loc[("resnet20 → resnet8", "MCMI tracked λ=0.7", "done")]
    assert mcmi.train_cmi_nats.mean == pytest.approx(1.1)


def test_losses_of_a_framework_are_means_by_epoch():
    def with_losses(run):
        fields = answer(run)
        if run.stage == "student" and run.distiller.name == "kd":
            weight = 1 if run.seed else 4  # mean 2 over the three seeds
            fields["history"] |= {"loss_cross_entropy": [2, 1], "loss_kd": [3 * weight, weight]}
        return fields

    table = EXPERIMENT.losses(made_up_lab(with_losses), "kd")
    assert list(table.index) == [1, 2]
    assert list(table["cross-entropy"]) == [2, 1]
    assert list(table["imitation"]) == [6, 2]


def test_last_and_best_epoch_and_what_is_published_where_networks_agree():
    lab = made_up_lab(answer)
    numbers = EXPERIMENT.numbers(lab)
    assert list(numbers)[:5] == ["pair", "framework", "scratch_mean", "scratch_sd", "mll_mean"]
    assert list(numbers)[-4:] == [
        "cifar100_published_percent",
        "cifar100_authors_lam",
        "cifar100_authors_percent",
        "cifar100_cells",
    ]
    assert list(numbers.framework) == ["kd", "dist"] * 2 + ["mean of 2"] * 2
    assert list(numbers.fixed_over_untreated_mean) == [-2] * 6
    assert list(numbers.selected_on_test_fixed_over_untreated_mean) == [-1] * 6
    assert list(EXPERIMENT.best_on_test(lab).mll_mean) == [63] * 6
    published = numbers.set_index(["pair", "framework"]).cifar100_published_percent
    assert published.loc[("resnet32x4 → resnet8x4", "kd")] == 73.33
    assert (
        published.loc[[("resnet20 → resnet8", "kd"), ("resnet20 → resnet8", "dist")]].isna().all()
    )


def test_literature_has_one_row_per_pair_and_framework():
    table = literature()
    assert not table.duplicated(["pair", "framework"]).any()
    assert table.pair.nunique() == 13


def test_published_as_text_in_the_order_of_our_frameworks():
    table = readable_literature(("crd", "kd", "not published"))
    assert list(table) == ["teacher", "student", "CRD", "KD"]
    assert table.loc["ResNet-32x4 → ResNet-8x4", "KD"] == "73.3 (74.7)"
    assert table.loc["ResNet-110 → ResNet-20", "KD"] == "70.7"
    assert readable_literature(("dkd",)).loc["ResNet-50 → VGG-8", "DKD"] == "–"

"""Table 2: top-1, top-5 and the best epoch."""

from dataclasses import replace

from made_up import PAIR, made_up_lab

from mcmi_core.experiments.imagenet_distillation import ImagenetDistillation, readable_published

TWENTY_CLASSES = replace(PAIR, data="oracle:classes=20,dimension=64")
EXPERIMENT = ImagenetDistillation(
    pairs=(TWENTY_CLASSES,), frameworks=("kd", "dkd"), seeds=(0, 1, 2), workers=1
)


def answer(run):
    """MCMI's students gain 1 point of top-1, 2 of top-5, 3 at the best epoch; from scratch: 30."""
    mcmi = "MCMI" in run.label
    top_1 = 30 if run.stage == "teacher" and run.model.options["width"] == 8 else 60 + mcmi
    test = {"accuracy_percent": top_1, "top5_accuracy_percent": 80 + 2 * mcmi}
    return {
        "metrics": {"test": test, "train": {"cmi_nats": 0.1}},
        "history": {"epoch": [1, 2], "test_accuracy_percent": [70 + 3 * mcmi, top_1]},
    }


def test_three_accuracies():
    table = EXPERIMENT.table(made_up_lab(answer))
    assert list(table)[:3] == ["accuracy", "pair", "framework"]
    assert list(table.accuracy.unique()) == [
        "top-1",
        "top-5",
        "best epoch's top-1, selected on test",
    ]
    assert list(table.fixed_over_untreated_mean) == [1, 1, 2, 2, 3, 3]
    assert table.index.is_unique


def test_the_best_epoch_is_left_out_where_only_the_last_was_evaluated():
    def last_only(run):
        fields = answer(run)
        last = fields["metrics"]["test"]["accuracy_percent"]
        return fields | {"history": {"epoch": [2], "test_accuracy_percent": [last]}}

    table = EXPERIMENT.table(made_up_lab(last_only))
    assert list(table.accuracy.unique()) == ["top-1", "top-5"]


def test_whether_a_framework_trains_is_a_matter_of_top_1():
    """By top-5, students from scratch are as good as any of MLL."""
    assert EXPERIMENT.table(made_up_lab(answer)).trains.all()


def test_the_mean_decides_and_rows_are_exploratory():
    found = EXPERIMENT.findings(made_up_lab(answer))
    primary = [f for f in found if f.primary]
    assert [(f.decides, f.policy) for f in primary] == [
        *(("imagenet", "fixed"), ("imagenet", "tracked"))
    ]
    assert {f.difference.mean for f in primary} == {1}
    assert primary[0].claim.endswith("mean over 2 of 2 frameworks")
    assert len(found) == 2 + 1 + 2 * 2


def test_teachers_have_top_5():
    table = EXPERIMENT.teacher_table(made_up_lab(answer))
    assert list(table)[1] == "test_top5_accuracy_percent"
    assert [interval.mean for interval in table["test_top5_accuracy_percent"]] == [80, 80, 82, 82]


def test_its_data_is_not_loaded_beforehand_and_few_run_at_a_time():
    assert not EXPERIMENT.data_is_checked
    assert EXPERIMENT.workers == 1


def test_published_in_words():
    table = readable_published()
    assert table.index.is_unique
    assert table.loc[("ResNet-34 → ResNet-18", "DKD"), "top-1, %"] == "71.70"

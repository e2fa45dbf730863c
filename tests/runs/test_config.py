"""Configurations: keys, chains, validation, and the paper's schedules."""

import math

import pytest
import torch
from pydantic import ValidationError
from small_runs import DATA, kd_student, mcmi_teacher, mll_teacher

from mcmi_core.data.split import Split
from mcmi_core.runs.config import (
    BayesTeacher,
    Measurement,
    Part,
    Student,
    Teacher,
    TeacherHeads,
    parse_run,
)
from mcmi_core.training.recipe import Recipe


def measurement():
    return Measurement(of=mcmi_teacher(), what="temperature_sweep:temperatures=1+4")


ALL_KINDS = [mll_teacher(), mcmi_teacher(), BayesTeacher(data=DATA), kd_student(), measurement()]


@pytest.mark.parametrize("run", ALL_KINDS, ids=lambda run: run.stage)
def test_configurations_round_trip_through_json_with_their_key(run):
    again = parse_run(run.model_dump(mode="json"))
    assert (again, again.key, again.id) == (run, run.key, run.id)


def test_key_does_not_depend_on_how_a_component_is_written():
    assert mll_teacher(model="mlp:depth=2,width=8").key == mll_teacher(model="mlp:width=8").key


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"model": "mlp:width=9"},
        {"recipe": Recipe(epochs=5)},
        {"part": Part(omit=(1,))},
    ],
)
def test_key_depends_on_every_choice(change):
    assert mll_teacher(**change).key != mll_teacher().key


def test_key_depends_on_the_whole_chain():
    students = [kd_student(mcmi_teacher(lam=lam)) for lam in (0.1, 0.2)]
    assert students[0].key != students[1].key


def test_keys_of_old_records_stay_valid():
    """If this fails, committed records no longer answer: raise RUN_FORMAT and make them anew."""
    paper = Teacher(data="cifar100", model="resnet56", objective="mll")
    assert paper.key == "6d2fc90497cf6e25"


def test_old_records_say_nothing_of_precision():
    old = mll_teacher()
    stored = old.model_dump(mode="json")
    assert "precision" not in stored["recipe"]
    assert old.recipe.precision == "float32"
    stored["recipe"] |= {"precision": "float32"}  # said, it is the same run
    assert parse_run(stored).key == old.key


def test_another_precision_is_another_run():
    change = {"precision": "bf16"}
    run = mll_teacher(recipe=Recipe(**change))
    assert run.key != mll_teacher(recipe=Recipe()).key
    again = parse_run(run.model_dump(mode="json"))
    assert (again, again.key) == (run, run.key)
    assert Recipe(**change).shortened(60) == Recipe().shortened(60).model_copy(update=change)


def test_chain_lists_what_a_run_builds_on_first_things_first():
    student = kd_student(mcmi_teacher())
    assert [run.label for run in student.chain()] == ["MLL"] + 2 * ["MCMI tracked λ=0.2"]
    assert student.chain()[-1] is student


def test_readable_ids():
    assert kd_student().id == f"student-oracle-mlp-kd-{kd_student().key}"
    assert measurement().id.startswith("measurement-oracle-temperature-sweep-")


def test_paper_step_schedule():
    rates = [Recipe().learning_rate_at(epoch) for epoch in (0, 149, 150, 180, 210, 239)]
    assert rates == pytest.approx([0.05, 0.05, 5e-3, 5e-4, 5e-5, 5e-5])


def test_cosine_schedule_equals_torchs():
    recipe = Recipe(epochs=20, schedule="cosine")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=recipe.learning_rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for epoch in range(20):
        expected = optimizer.param_groups[0]["lr"]
        assert recipe.learning_rate_at(epoch) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_shortened_recipe_scales_its_milestones():
    assert Recipe().shortened(60).milestones == (38, 45, 52)
    assert Recipe().shortened(240) == Recipe()


@pytest.fixture
def split():
    return Split(torch.zeros(100, 1), torch.arange(100) % 4)


def test_part_cycles_a_fraction_to_full_epochs(split):
    few, epoch_length = Part(fraction=0.2).select(split)
    assert (len(few), epoch_length) == (20, 100)


def test_part_omits_classes(split):
    kept, epoch_length = Part(omit=(1, 3), fraction=0.5).select(split)
    assert (len(kept), epoch_length) == (24, 50)  # 12.5 of each class, rounded to even
    assert set(kept.labels.tolist()) == {0, 2}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mll_teacher(model="resnet57"), "unknown model 'resnet57'; choose from"),
        (lambda: mll_teacher(data="oracel"), "unknown data set 'oracel'; choose from"),
        (lambda: mll_teacher(objective="mcmi:lam=0.1"), "option 'centroids'.*Field required"),
        (lambda: kd_student(distiller="telepathy"), "unknown distiller"),
        (lambda: mll_teacher(seed=-1), "greater than or equal to 0"),
        (
            lambda: mll_teacher(sed=1),
            "unknown field 'sed' of Teacher; .* did you mean seed",
        ),
        (lambda: Recipe(epochs=0), "greater than or equal to 1"),
        (lambda: Recipe(learning_rate=math.nan), "finite number"),
        (lambda: Recipe(schedule="linear"), "'step' or 'cosine'"),
        (lambda: Recipe(precision="fp8"), "'float32' or 'bf16'"),
        (lambda: Part(fraction=0), "greater than 0"),
        (lambda: Part(fraction=1.1), "less than or equal to 1"),
        (
            lambda: mll_teacher(
                objective="mcmi:lam=0.1,centroids=fixed", data="digits", start=mll_teacher()
            ),
            "teacher: data digits is not that of its teacher, oracle",
        ),
        (
            lambda: mcmi_teacher(model="mlp:width=9"),
            "mlp:width=9,depth=2 cannot start from the weights of mlp:width=8",
        ),
        (
            lambda: Student(data="digits", model="resnet8", distiller="kd", teacher=mll_teacher()),
            "student: data digits is not that of its teacher, oracle",
        ),
        (lambda: Measurement(of=mll_teacher(), what="speed"), "unknown measurement 'speed'"),
        (lambda: parse_run({"stage": "pupil"}), "'pupil' found using 'stage' does not match"),
    ],
)
def test_bad_configurations_are_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


def test_a_student_of_a_student_says_through_whom_it_learnt():
    first = kd_student(mll_teacher())
    second = kd_student(first, seed=1)
    assert [first.label, second.label] == ["MLL", "MLL via mlp"]
    assert Measurement(of=second, what="network_size").label == "MLL via mlp"
    heads = TeacherHeads(data=DATA, teacher=first)
    assert kd_student(heads, distiller="hsakd").label == "MLL via mlp"
    heads = TeacherHeads(data=DATA, teacher=mll_teacher())
    assert kd_student(heads, distiller="hsakd").label == "MLL"

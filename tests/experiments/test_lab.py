"""The lab: trained and replayed tables are the same, and what is missing is named."""

import shutil
from dataclasses import replace

import pandas as pd
import pytest
from small_runs import DATA, kd_student, mcmi_teacher, mll_teacher

from mcmi_core.base.errors import CompanionError, NotMeasured
from mcmi_core.base.registry import Component
from mcmi_core.experiments import lab as lab_module
from mcmi_core.experiments.lab import Lab
from mcmi_core.profiles import PROFILES
from mcmi_core.runs import BayesTeacher, Measurement
from mcmi_core.runs.trainer import ensure

COLLAPSING = mcmi_teacher(lam=50.0, centroids="fixed")


def execute_here(runs, store, workers):
    for run in runs:
        if not any(link == COLLAPSING for link in run.chain()[:-1]):
            ensure(run, store)


@pytest.fixture(autouse=True)
def tiny_profile(tmp_path, monkeypatch):
    monkeypatch.setitem(PROFILES, "tiny", replace(PROFILES["smoke"], name="tiny"))
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path / "records"))
    monkeypatch.setattr(lab_module, "execute", execute_here)


@pytest.fixture
def commit_records(tmp_path):
    """What `make evidence` does with the records that a notebook used."""
    return lambda: shutil.copytree(tmp_path / "output" / "records", tmp_path / "records" / "tiny")


def test_replayed_tables_equal_trained_ones(commit_records):
    runs = [mll_teacher(), mcmi_teacher(), BayesTeacher(data=DATA)]
    measurement = Measurement(of=runs[0], what="temperature_sweep:temperatures=1+4")

    def tables(lab):
        return [
            lab.collect(runs),
            lab.collect_histories(runs[:2]),
            lab.collect_results([measurement]),
        ]

    trained = tables(Lab("tiny", train=True))
    commit_records()
    for table, again in zip(trained, tables(Lab("tiny")), strict=True):
        pd.testing.assert_frame_equal(table, again)


def test_one_row_per_run_with_its_configuration_and_metrics():
    run = mcmi_teacher(lam=0.2)
    table = Lab("tiny", train=True).collect([run, BayesTeacher(data=DATA)])
    row = table.iloc[0]
    assert list(table.label) == ["MCMI tracked λ=0.2", "true BCPD"]
    assert (row.id, row.key, row.parent_key) == (run.id, run.key, run.start.key)
    assert (row.objective_lam, row.seed, row.model_width, row.status) == (0.2, 0, 8, "done")
    assert 0 <= row.test_accuracy_percent <= row.best_test_accuracy_percent <= 100
    assert table.train_bcpd_kl_nats[1] == pytest.approx(0, abs=1e-6)


def test_histories_have_one_row_per_epoch():
    run = mll_teacher(epochs=3)
    history = Lab("tiny", train=True).collect_histories([run])
    assert list(history.epoch) == [1, 2, 3]
    assert list(history.learning_rate) == pytest.approx([0.05, 0.05, 0.05])
    assert list(history.test_accuracy_percent.isna()) == [True, False, False]  # every second, last
    assert set(history.label) == {"MLL"}


def test_results_have_one_row_per_line():
    run = Measurement(of=mll_teacher(), what="temperature_sweep:temperatures=1+4+9")
    table = Lab("tiny", train=True).collect_results([run])
    assert list(table.temperature) == [1, 4, 9]
    assert (table.of_objective_name == "mll").all()


def test_results_may_hold_what_has_no_number(commit_records):
    run = Measurement(of=mll_teacher(), what="proposition_1:bits=1+2")
    trained = Lab("tiny", train=True).collect_results([run])
    commit_records()
    pd.testing.assert_frame_equal(Lab("tiny").collect_results([run]), trained)
    assert list(trained.bits.isna()) == [False, False, True] * 3


def test_a_student_of_a_collapsed_teacher_is_not_run(commit_records):
    student = kd_student(teacher=COLLAPSING)
    for train in (True, False):
        lab = Lab("tiny", train=train)
        table = lab.collect([COLLAPSING, student])
        assert list(table.status) == ["collapsed", "not run"]
        assert table.isna().test_accuracy_percent[1]
        assert lab.collect_histories([student]).empty
        if train:
            commit_records()


def test_what_a_distiller_cannot_compare_is_a_row(commit_records):
    student = kd_student().model_copy(update={"distiller": Component(name="at")})
    student = type(student).model_validate(student.model_dump())
    for train in (True, False):
        table = Lab("tiny", train=train).collect([student, kd_student()])
        assert list(table.status) == ["incompatible", "done"]
        assert table.isna().test_accuracy_percent[0]
        if train:
            commit_records()


def test_what_is_not_measured_is_named():
    missing = mll_teacher()
    with pytest.raises(NotMeasured, match="1 of 1 runs have no record") as error:
        Lab("tiny").collect([missing])
    assert missing.id in str(error.value)
    assert "make figures PROFILE=tiny" in str(error.value)


def test_provenance_counts_every_run_that_was_used():
    lab = Lab("tiny", train=True)
    assert lab.provenance() == "no runs collected yet"
    lab.collect([mcmi_teacher()])
    assert lab.provenance().startswith("2 runs, ")  # the MLL teacher that it starts from, too
    assert "torch 2." in lab.provenance()


def test_runs_that_need_more_memory_get_fewer_workers(monkeypatch):
    asked = []

    def execute(runs, store, workers):
        asked.append(workers)
        execute_here(runs, store, workers)

    monkeypatch.setattr(lab_module, "execute", execute)
    lab = Lab("tiny", train=True)
    lab.collect([mll_teacher()])
    lab.collect([mll_teacher()], workers=1)
    assert asked == [lab.profile.workers, 1]


def test_it_says_where_numbers_come_from():
    assert str(Lab("tiny")) == "profile tiny: replaying committed records"
    assert str(Lab("tiny", train=True)) == "profile tiny: training what is missing"
    with pytest.raises(CompanionError, match="unknown profile 'huge'; choose from smoke"):
        Lab("huge")

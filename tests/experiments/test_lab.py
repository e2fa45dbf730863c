"""The lab: trained and replayed tables are the same, and what is missing is named."""

from types import SimpleNamespace

import pandas as pd
import pytest
from made_up import MadeUpRecords, accuracy
from small_runs import DATA, kd_student, mcmi_teacher, mll_teacher

from mcmi_core.base.errors import NotMeasured, StoreError
from mcmi_core.base.files import write_atomically
from mcmi_core.base.registry import Component
from mcmi_core.experiments.lab import Lab
from mcmi_core.runs.config import BayesTeacher, Measurement
from mcmi_core.runs.records import Records
from mcmi_core.runs.trainer import ensure

COLLAPSING = mcmi_teacher(lam=50.0, centroids="fixed")


@pytest.fixture
def training(store):
    """A lab that trains what is missing, one run after the other."""

    def train(runs, workers):
        for run in runs:
            if COLLAPSING not in run.chain()[:-1]:
                ensure(run, store)

    return Lab("tiny", store, train)


@pytest.fixture
def replay(store, tmp_path):
    """Commits the records of the store, as `make evidence` does; gives a lab of these."""

    def commit() -> Lab:
        for record in store.records()[0]:
            write_atomically(tmp_path / "records" / f"{record.id}.json", record.to_json())
        return Lab("tiny", Records(tmp_path / "records"))

    return commit


def test_replayed_tables_equal_trained_ones(training, replay):
    runs = [mll_teacher(), mcmi_teacher(), BayesTeacher(data=DATA)]
    measurement = Measurement(of=runs[0], what="temperature_sweep:temperatures=1+4")

    def tables(lab):
        return [
            lab.collect(runs),
            lab.collect_histories(runs[:2]),
            lab.collect_results([measurement]),
        ]

    trained = tables(training)
    for table, again in zip(trained, tables(replay()), strict=True):
        pd.testing.assert_frame_equal(table, again)


def test_one_row_per_run_with_its_configuration_and_metrics(training):
    run = mcmi_teacher(lam=0.2)
    table = training.collect([run, BayesTeacher(data=DATA)])
    row = table.iloc[0]
    assert list(table.label) == ["MCMI tracked λ=0.2", "true BCPD"]
    assert (row.id, row.key, row.parent_key) == (run.id, run.key, run.start.key)
    assert (row.objective_lam, row.seed, row.model_width, row.status) == (0.2, 0, 8, "done")
    assert 0 <= row.test_accuracy_percent <= row.best_test_accuracy_percent <= 100
    assert table.train_bcpd_kl_nats[1] == pytest.approx(0, abs=1e-6)


def test_histories_have_one_row_per_epoch(training):
    run = mll_teacher(epochs=3)
    history = training.collect_histories([run])
    assert list(history.epoch) == [1, 2, 3]
    assert list(history.learning_rate) == pytest.approx([0.05, 0.05, 0.05])
    assert list(history.test_accuracy_percent.isna()) == [True, False, False]  # every second, last
    assert set(history.label) == {"MLL"}


def test_results_have_one_row_per_line(training):
    run = Measurement(of=mll_teacher(), what="temperature_sweep:temperatures=1+4+9")
    table = training.collect_results([run])
    assert list(table.temperature) == [1, 4, 9]
    assert (table.of_objective_name == "mll").all()


def test_results_may_hold_what_has_no_number(training, replay):
    run = Measurement(of=mll_teacher(), what="proposition_1:bits=1+2")
    trained = training.collect_results([run])
    pd.testing.assert_frame_equal(replay().collect_results([run]), trained)
    assert list(trained.bits.isna()) == [False, False, True] * 3


def test_a_student_of_a_collapsed_teacher_is_not_run(training, replay):
    student = kd_student(teacher=COLLAPSING)

    def check(lab):
        table = lab.collect([COLLAPSING, student])
        assert list(table.status) == ["collapsed", "not run"]
        assert table.isna().test_accuracy_percent[1]
        assert lab.collect_histories([student]).empty

    check(training)
    check(replay())


def test_what_a_distiller_cannot_compare_is_a_row(training, replay):
    student = kd_student().model_copy(update={"distiller": Component(name="at")})
    student = type(student).model_validate(student.model_dump())

    def check(lab):
        table = lab.collect([student, kd_student()])
        assert list(table.status) == ["incompatible", "done"]
        assert table.isna().test_accuracy_percent[0]

    check(training)
    check(replay())


def test_what_is_not_measured_is_named(tmp_path):
    missing = mll_teacher()
    lab = Lab("tiny", Records(tmp_path / "nothing"))
    lab.ensure([missing])  # a replay trains nothing
    with pytest.raises(NotMeasured, match="1 of 1 runs have no record in the 'tiny' rec") as error:
        lab.collect([missing])
    assert missing.id in str(error.value)
    assert "mcmi notebook run NAME --profile tiny --train" in str(error.value)


def test_provenance_counts_every_run_that_was_used(training):
    assert training.provenance() == "no runs collected yet"
    training.collect([mcmi_teacher()])
    assert training.provenance().startswith("2 runs, ")  # the MLL teacher that it starts from, too
    assert "torch 2." in training.provenance()


def lab_of(*provenances: dict) -> Lab:
    """A lab that has found runs of these provenances."""
    lab = Lab("tiny", MadeUpRecords(lambda run: None))
    about = {"hardware": "CPU", "threads": 1, "torch": "2.11", "date": "2026-11-27", "seconds": 90}
    lab._found = {
        number: SimpleNamespace(provenance=about | each) for number, each in enumerate(provenances)
    }
    return lab


def test_one_run_and_one_thread_are_not_many():
    assert lab_of({"commit": "a1"}).provenance() == (
        "1 run, 1.5 min of training, on CPU, 1 thread each, torch 2.11, 2026-11-27, commit a1"
    )


def test_runs_of_one_machine_share_a_line_that_names_their_commits():
    went_on = {"commit": "b2, then a1", "date": "2026-11-28"}
    lines = lab_of(
        {"commit": "a1"}, went_on, {"commit": "c3", "hardware": "GPU", "threads": 4}
    ).provenance()
    assert lines.splitlines() == [
        "2 runs, 3.0 min of training, on CPU, 1 thread each, torch 2.11, 2026-11-27 to 2026-11-28, "
        "commits a1, b2",
        "1 run, 1.5 min of training, on GPU, 4 threads each, torch 2.11, 2026-11-27, commit c3",
    ]


def test_a_record_is_looked_up_once(store):
    looked_up = []

    class Counting:
        def record(self, run):
            looked_up.append(run.key)
            return store.record(run)

    run = mll_teacher()
    ensure(run, store)
    lab = Lab("tiny", Counting())
    pd.testing.assert_frame_equal(lab.collect([run]), lab.collect([run]))
    assert looked_up == [run.key]


def test_runs_that_need_more_memory_get_fewer_workers(store):
    asked = []

    def train(runs, workers):
        asked.append((runs, workers))
        for run in runs:
            ensure(run, store)

    lab, run = Lab("tiny", store, train), mll_teacher()
    lab.ensure(iter([run]), workers=1)
    lab.collect([run])
    other = mll_teacher(seed=1)
    lab.collect([run, other])
    assert asked == [([run], 1), ([other], None)]  # None: as many as the profile has


def test_it_says_where_numbers_come_from(training, tmp_path):
    replaying = Lab("tiny", Records(tmp_path / "nothing"))
    assert str(replaying) == "profile tiny: replaying records"
    assert str(training) == "profile tiny: training what is missing"


def test_runs_are_trained_once_however_often_they_are_collected():
    asked = []
    source = MadeUpRecords(lambda run: accuracy(50))
    lab = Lab("made up", source, lambda runs, workers: asked.append(len(runs)))
    teachers = [mll_teacher(seed=seed) for seed in (0, 1)]
    for _ in range(2):
        lab.collect(teachers)
    lab.collect([*teachers, mll_teacher(seed=2)])
    assert asked == [2, 1]


def test_all_damaged_records_are_named_at_once(tmp_path):
    runs = [mll_teacher(seed=seed) for seed in range(3)]
    for run in runs[:2]:
        (tmp_path / f"{run.id}.json").write_text("")
    with pytest.raises(StoreError) as refused:
        Lab("tiny", Records(tmp_path)).collect(runs)
    assert all(run.id in str(refused.value) for run in runs[:2])

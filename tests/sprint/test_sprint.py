"""A sprint, rehearsed on the CPU: what it brings back, and that the next one goes on from it."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import tiny_sprint
import torch
from tiny_sprint import CPU, PAIR, agreeing, in_lanes, skip_measuring, sprint, wanted

from mcmi_core.base.errors import CompanionError, DataError, OutOfTime, RunsFailed, StoreError
from mcmi_core.base.paths import data_root, store_root
from mcmi_core.base.tensor_files import write_tensors
from mcmi_core.experiments.pair import Pair
from mcmi_core.objectives import MCMILoss
from mcmi_core.runs import on_card
from mcmi_core.runs.execute import STREAMS
from mcmi_core.runs.provenance import hardware
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.sprint import check, plan
from mcmi_core.sprint import sprint as module
from mcmi_core.sprint.luggage import unpack
from mcmi_core.training.recipe import Recipe

WANTED = wanted()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All runs of the tiny sprint, trained without interruption."""
    torch.set_num_threads(1)
    store = Store(tmp_path_factory.mktemp("whole"))
    in_lanes(WANTED, store)
    return store


@pytest.fixture
def quick(monkeypatch):
    skip_measuring(monkeypatch.setattr)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def assert_same_results(runs, one, other):
    for run in runs:
        first, second = one.record(run), other.record(run)
        for field in ("status", "metrics", "history", "result"):
            assert getattr(first, field) == getattr(second, field), run.id
        if first.history:
            weights, others = one.weights(run), other.weights(run)
            assert all(torch.equal(weights[name], others[name]) for name in weights), run.id


def assert_is_luggage(out):
    files = list(out.iterdir())
    assert len(files) <= 8
    assert all(path.stat().st_size <= 16 * 2**20 for path in files)
    assert not [path.name for path in files if path.name.startswith(".")]


def headings(out):
    lines = (out / "report.md").read_text().splitlines()
    return [line for line in lines if line.startswith("#")]


RESULTS = [
    "## Results",
    "### 04_zero_shot_oracle, n = 2 of 2 seeds",
    "### 08_few_shot_oracle, n = 2 of 2 seeds",
]


def test_a_rehearsal_checks_measures_trains_and_packs(out, monkeypatch, store):
    """All of it as it is, in processes, but for its sizes."""
    smaller = ["--student", "resnet8", "--teacher", "resnet8", "--no-memory"]

    def run(command, **settings):
        return subprocess.run([*command, *smaller], **settings)

    monkeypatch.setattr(module, "subprocess", SimpleNamespace(**vars(subprocess) | {"run": run}))
    monkeypatch.setattr(check, "BATCH_SIZE", 10)
    monkeypatch.setattr(check, "IMAGE_SIZE", 8)
    monkeypatch.setattr(check, "trained", partial(check.trained, steps=2))
    monkeypatch.setattr(MCMILoss, "check", lambda criterion, means: None)
    monkeypatch.setattr(module, "STREAMS", 2)
    recipe = Recipe(epochs=1, batch_size=512, precision="bf16")
    pair = Pair(
        data="digits",
        teacher="resnet8",
        student="resnet8",
        lam=0.25,
        recipe=recipe,
        fine_tuning=recipe.model_copy(update={"schedule": "cosine", "learning_rate": 0.01}),
    )
    said = []
    module.sprint(out, 10, CPU, pair=pair, seeds=(0,), say=said.append)
    assert headings(out)[:4] == ["# Sprint", "## Check", "## Speed", "## Results"]
    report = (out / "report.md").read_text()
    assert report.count("| True |") == 22
    assert "| network | criterion | loop | images/s |" in report
    assert "too few to compare" in report
    assert_is_luggage(out)
    assert [line.partition(" s  ")[2].partition(":")[0] for line in said[1:]] == [
        "data is there",
        "checked",
        "measured",
        "packed",
    ]
    runs = wanted(pair, (0,))
    assert said[-1].endswith(f"packed: {len(runs)} of {len(runs)} runs done")
    assert all(store.record(run).status == "done" for run in runs)
    again = Store(out.with_name("again"))
    assert unpack(out, again) == len(runs)
    assert_same_results(runs, again, store)


def test_the_report_has_the_findings_and_the_controls(out, quick, whole):
    said = []
    sprint(out, say=said.append)
    assert headings(out) == ["# Sprint", "## Check", *RESULTS]
    assert f"packed: {len(WANTED)} of {len(WANTED)} runs done" in said[-1]
    report = (out / "report.md").read_text()
    assert (
        "| claim | quantity | mean | low | high | n | asked | unit | replicate | treatment |"
        in report
    )
    for claim in ("zero_shot", "few_shot", "all_data"):
        assert report.count(f"| {claim} |") == 2  # a primary comparison of each kind of MCMI
    assert_is_luggage(out)
    assert_same_results(WANTED, Store(store_root()), whole)


@pytest.fixture
def until(monkeypatch):
    """Lets the time be over after so many epochs."""

    def set_limit(limit):
        epochs, count = [], Queue.count_epoch

        def counted(queue, key):
            epochs.append(key)
            count(queue, key)

        def stop_there(runs, store, *, deadline, **settings):
            in_lanes(runs, store, deadline=limit, **settings)

        clock = SimpleNamespace(time=lambda: len(epochs), sleep=time.sleep)
        monkeypatch.setattr(on_card, "time", clock)
        monkeypatch.setattr(Queue, "count_epoch", counted)
        monkeypatch.setattr(module, "execute", stop_there)

    return set_limit


@pytest.mark.parametrize("epochs", [0, 6, 32, 79])
def test_out_of_time_the_next_sprint_goes_on_to_the_same_weights(
    out, quick, whole, until, monkeypatch, tmp_path, epochs
):
    said = []
    until(epochs)
    sprint(out, say=said.append)  # no error: that is what was to be expected
    assert f"of {len(WANTED)} runs done" in said[-2] and "packed" in said[-1]
    assert_is_luggage(out)
    first = Store(store_root())
    done = [run for run in WANTED if first.record(run)]
    begun = [run for run in WANTED if 0 < first.epochs_left(run) < run.epochs]
    assert len(done) < len(WANTED)
    assert bool(begun) == (epochs > 0)
    assert "too few to compare" in (out / "report.md").read_text()

    monkeypatch.setenv("MCMI_STORE", str(tmp_path / "empty"))
    again, epochs_again = Store(tmp_path / "empty"), []
    until(float("inf"))
    count = Queue.count_epoch
    monkeypatch.setattr(
        Queue, "count_epoch", lambda queue, key: (epochs_again.append(key), count(queue, key))
    )
    sprint(tmp_path / "second", out, say=said.append)
    assert f"{len(done)} records and their weights taken over from {out}" in said[-4]
    assert len(epochs_again) == sum(first.epochs_left(run) for run in WANTED)
    assert headings(tmp_path / "second")[-len(RESULTS) :] == RESULTS
    assert_same_results(WANTED, again, whole)


KILLED = """
import sys, time
from pathlib import Path
import torch
import tiny_sprint
from mcmi_core.runs.queue import Queue

torch.set_num_threads(1)
tiny_sprint.skip_measuring(setattr)
tiny_sprint.module.PACK_EVERY = 0.1
count = Queue.count_epoch


def slowly(queue, key):
    count(queue, key)
    time.sleep(0.03)


Queue.count_epoch = slowly
tiny_sprint.sprint(Path(sys.argv[1]))
"""


def test_from_what_a_killed_sprint_left_another_goes_on(out, quick, whole, tmp_path, monkeypatch):
    folders = f"{Path(tiny_sprint.__file__).parent}"
    environment = os.environ | {"PYTHONPATH": folders, "MCMI_STORE": str(tmp_path / "killed")}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(out)], env=environment)
    try:
        end = time.monotonic() + 60
        while _records(out) < 4 and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 4 <= _records(out) < len(WANTED)
    assert headings(out) == ["# Sprint", "## Check"]  # so far

    monkeypatch.setenv("MCMI_STORE", str(tmp_path / "empty"))
    said, epochs = [], []
    count = Queue.count_epoch
    monkeypatch.setattr(
        Queue, "count_epoch", lambda queue, key: (epochs.append(key), count(queue, key))
    )
    sprint(tmp_path / "second", out, say=said.append)
    assert f"{_records(out)} records and their weights taken over" in said[1]
    assert len(epochs) < sum(run.epochs for run in WANTED)
    assert_same_results(WANTED, Store(tmp_path / "empty"), whole)
    assert_is_luggage(tmp_path / "second")


def _records(out):
    path = out / "records.tar.gz"
    if not path.exists():
        return 0
    with tarfile.open(path) as archive:
        return len(archive.getnames())


def test_it_packs_now_and_then_and_once_more_at_the_end(out, store, monkeypatch):
    packed, done = [], threading.Event()

    def pack(*arguments):
        packed.append(arguments)
        if len(packed) == 3:
            done.set()

    monkeypatch.setattr(module, "pack", pack)
    monkeypatch.setattr(module, "PACK_EVERY", 0.01)
    with pytest.raises(KeyboardInterrupt), module._Packer(WANTED, store, out):
        assert done.wait(10)
        before = len(packed)
        raise KeyboardInterrupt
    after = len(packed)
    assert after > before
    time.sleep(0.05)
    assert len(packed) == after
    assert packed[0] == (WANTED, store, out)


def test_what_failed_is_said_after_all_is_packed(out, quick, monkeypatch, store):
    failing = WANTED[0]
    write_tensors(store.folder(failing) / "checkpoint.safetensors", {}, {"key": "another"})
    said = []
    with pytest.raises(RunsFailed, match=f"1 of {len(WANTED)} runs failed: {failing.id}"):
        sprint(out, say=said.append)
    assert "n = 1 of 2 seeds" in (out / "report.md").read_text()
    assert "packed" in said[-1]
    assert _records(out) == sum(store.record(run) is not None for run in WANTED) > 0


def test_a_sprint_in_which_all_collapse_is_reported(out, quick):
    recipe = PAIR.recipe.model_copy(update={"learning_rate": 1e20})
    sprint(out, pair=replace(PAIR, recipe=recipe))
    assert (out / "report.md").read_text().count("too few to compare") == 2


def test_missing_data_is_said_before_anything_else(out, monkeypatch):
    monkeypatch.setattr(module, "check", None)
    with pytest.raises(DataError, match="no folder .*cifar10-jpeg"):
        module.sprint(out, 5, CPU)


def test_nothing_to_resume_is_said(out, tmp_path):
    with pytest.raises(StoreError, match="holds no records.tar.gz"):
        sprint(out, resume=tmp_path / "nowhere")


def test_time_to_pack_is_left(out, quick, monkeypatch):
    deadlines = []

    def execute(runs, store, *, workers, device, engine, deadline):
        deadlines.append((workers, device, engine, deadline - time.time()))
        raise OutOfTime("0 of 9 runs done")

    monkeypatch.setattr(module, "execute", execute)
    sprint(out, minutes=2)
    [(workers, device, engine, left)] = deadlines
    assert (workers, device, engine) == (3, CPU, "graph")
    assert left == pytest.approx(120 - module.SECONDS_TO_PACK, abs=10)


# What is trained


def test_what_decides_a_claim_comes_first_and_has_its_controls():
    zero_shot, few_shot = plan.decisive()
    for experiment in (zero_shot, few_shot):
        labels = {link.label for run in experiment.runs() for link in run.chain()}
        assert labels >= {"MLL", "fine-tuned λ=0", "MCMI fixed λ=0.25", "MCMI tracked λ=0.7"}
    assert plan.wanted()[: len(zero_shot.runs())] == zero_shot.runs()
    scratch = [run for run in few_shot.runs() if run.stage == "teacher"]
    taught = {(run.model.name, run.part.fraction) for run in scratch}
    assert taught == {("resnet20", plan.FEW), ("resnet20", 1.0)}
    assert zero_shot.stops == (plan.STOP,)


def test_tiny_imagenet_is_trained_where_it_is_there_and_a_rehearsal_has_nothing_further():
    def data():
        return {str(pair.data) for e in plan.further() for pair in e.all_pairs()}

    assert data() == {plan.PAIR.data}
    (data_root() / plan.TINY_IMAGENET.data_title).mkdir(parents=True)
    assert data() == {plan.PAIR.data, plan.TINY_IMAGENET.data}
    assert plan.further(PAIR) == []
    keys = [run.key for run in plan.wanted()]
    assert len(set(keys)) > len({run.key for e in plan.decisive() for run in e.runs()})


# The engine, and the number of streams


@pytest.mark.parametrize(
    ("wrong", "engine"),
    [
        ([], "graph"),
        (["graph − eager"], "eager"),
        (["graph again"], "eager"),
        (["graph, bf16"], "eager"),
    ],
)
def test_graphs_are_used_if_they_do_what_eager_steps_do(wrong, engine):
    assert module._engine(agreeing(**dict.fromkeys(wrong, False))) == engine


@pytest.mark.parametrize("also", [[], ["graph − eager", "graph again"]])
def test_a_device_that_trains_otherwise_than_the_cpu_is_refused(also, out, quick, monkeypatch):
    table = agreeing(**dict.fromkeys(["eager − CPU", *also], False))
    with pytest.raises(CompanionError, match=r"as the CPU does: \S+ ends \S+ apart, at most \S+$"):
        module._engine(table)
    monkeypatch.setattr(module, "check", lambda device: table)
    monkeypatch.setattr(module, "execute", None)
    with pytest.raises(CompanionError, match="does not train as the CPU does"):
        sprint(out)


def rows(**speeds):
    """Of KD, by number of streams, among others that must not count."""
    kd = [
        {"criterion": "kd", "loop": f"{name[1:]} streams", "images/s": speed}
        for name, speed in speeds.items()
    ]
    others = [
        {"criterion": "mll", "loop": "16 streams", "images/s": 10**9},
        {"criterion": "kd", "loop": "graph bf16", "images/s": 10**9},
        {"criterion": "kd", "loop": "plain", "images/s": 10},
    ]
    return [*others[:1], *kd, *others[1:]]


@pytest.mark.parametrize(
    ("speeds", "streams"),
    [
        ({"n4": 100, "n8": 200, "n16": 300}, 16),
        ({"n4": 100, "n8": 285, "n16": 300}, 8),  # exactly 5 % less
        ({"n4": 100, "n8": 284, "n16": 300}, 16),
        ({"n4": 290, "n8": 300, "n16": 250}, 4),
        ({"n16": 299, "n8": 300, "n4": 10}, 8),
        ({"n8": 300}, 8),
        ({}, STREAMS),
    ],
)
def test_the_fewest_streams_that_are_nearly_the_fastest_are_taken(speeds, streams):
    assert module._fastest(rows(**speeds)) == streams


@pytest.fixture
def measured(monkeypatch):
    """Commands that would measure; they write a table and rows, or fail as they are told to."""
    asked = []

    def run(command, **settings):
        asked.append(command)
        if measured.error:
            raise measured.error
        folder = Path(command[command.index("--output") + 1])
        Path(command[command.index("--rows-to") + 1]).write_text(json.dumps(rows(n4=9)))
        (folder / "training_step_cpu.md").write_text("# A table\n\n| of rows |\n")

    measured = SimpleNamespace(asked=asked, error=None)
    monkeypatch.setattr(module, "subprocess", SimpleNamespace(**vars(subprocess) | {"run": run}))
    return measured


def speed(out, resume=None, left=600):
    report = {}
    out.mkdir(exist_ok=True)
    return module._speed(out, resume, CPU, time.time() + left, report), report


def test_a_card_is_measured_once(out, tmp_path, measured):
    found, report = speed(out)
    assert found == rows(n4=9)
    assert report == {"Speed": "A table\n\n| of rows |\n"}
    kept = json.loads((out / "speed.json").read_text())
    assert kept == {"hardware": hardware(CPU), "rows": found, "table": report["Speed"]}
    assert len(measured.asked) == 1
    assert speed(out) == (found, report)
    assert speed(tmp_path / "second", out) == (found, report)
    assert json.loads((tmp_path / "second" / "speed.json").read_text()) == kept
    assert len(measured.asked) == 1


def test_another_card_is_measured_anew(out, tmp_path, measured):
    speed(out)
    other = json.loads((out / "speed.json").read_text()) | {"hardware": "another", "rows": []}
    (out / "speed.json").write_text(json.dumps(other))
    found, _ = speed(tmp_path / "second", out)
    assert found == rows(n4=9)
    assert len(measured.asked) == 2
    assert json.loads((tmp_path / "second/speed.json").read_text())["hardware"] == hardware(CPU)


@pytest.mark.parametrize(
    "damaged",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"hardware": hardware(CPU)}),
        json.dumps({"hardware": hardware(CPU), "rows": [{}]}),
    ],
)
def test_what_an_earlier_measurement_left_damaged_is_measured_anew(out, measured, damaged):
    out.mkdir()
    (out / "speed.json").write_text(damaged)
    found, report = speed(out)
    assert found == rows(n4=9)
    assert len(measured.asked) == 1
    assert json.loads((out / "speed.json").read_text())["table"] == report["Speed"]


@pytest.mark.parametrize(("left", "minutes"), [(3600, 2.0), (240, 1.0)])
def test_measuring_takes_a_quarter_of_the_time_at_most(out, measured, left, minutes):
    speed(out, left=left)
    [command] = measured.asked
    asked = float(command[command.index("--minutes") + 1])
    assert asked == pytest.approx(minutes, abs=0.01)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (subprocess.CalledProcessError(1, "x", stderr="Traceback\nValueError: bad\n"), "ValueErr"),
        (subprocess.CalledProcessError(1, "x", stderr=""), "returned non-zero exit status 1"),
        (subprocess.TimeoutExpired("x", 60, stderr=b"half a li"), "timed out after 60 seconds"),
    ],
)
def test_a_sprint_goes_on_where_measuring_fails(out, measured, error, said):
    measured.error = error
    found, report = speed(out)
    assert (found, list(out.iterdir())) == ([], [])
    assert report["Speed"].startswith("not measured: ")
    assert said in report["Speed"]


def test_a_table_is_markdown():
    table = pd.DataFrame(
        {"method": ["kd", "crd"], "distance": [0.012345, 0.0], "ok": [True, False]}
    )
    assert module._table(table) == (
        "| method | distance | ok |\n| --- | --- | --- |\n"
        "| kd | 0.01235 | True |\n| crd | 0 | False |\n"
    )


def test_a_finished_sprint_trains_nothing_again(out, quick, whole, monkeypatch, store):
    for run in WANTED[:1]:
        ensure(run, store, CPU)
    sprint(out)
    monkeypatch.setattr(Queue, "start", None)
    sprint(out.with_name("second"), out)
    assert _records(out.with_name("second")) == len(WANTED)

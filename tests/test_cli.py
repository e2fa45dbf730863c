"""The command line: the whole chain, and one line for every mistake."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import DATA, PAIR, QUICKSTART, draw_images, mll_teacher, profile_of

from mcmi_core import cli
from mcmi_core.base.device import default_device
from mcmi_core.base.errors import DataError, OutOfTime, RunsFailed, TrainingCollapsed
from mcmi_core.base.paths import data_root
from mcmi_core.components import MODELS
from mcmi_core.data import _load
from mcmi_core.profiles import PROFILES, Profile
from mcmi_core.runs.config import Measurement
from mcmi_core.runs.failures import Failure
from mcmi_core.runs.records import read_record
from mcmi_core.runs.trainer import ensure

TINY_IMAGES = "oracle:images=True,dimension=64,train_size=40,test_size=20,classes=4"
SHORT = ("--epochs", "1")
TEACHER = ["train-teacher", "--data", DATA, "--model", "mlp:width=8", "--epochs", "2"]


@pytest.fixture
def mcmi_errors():
    """Run ``mcmi`` in a process of its own: what it writes to standard error."""

    def run(*arguments: str) -> str:
        command = [Path(sys.executable).with_name("mcmi"), *arguments]
        environment = os.environ | {"MCMI_CORES": "1"}  # else a busy machine is mentioned
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return ran.stderr

    return run


def test_from_a_teacher_to_its_student(mcmi):
    teacher, *metrics = mcmi(*TEACHER).splitlines()
    assert re.fullmatch(r"teacher-oracle-mlp-mll-[0-9a-f]{16}", teacher)
    assert [line.split()[0] for line in metrics] == ["train", "test"]
    tuned = mcmi("fine-tune", teacher[:-10], "--lam", "0.1", "--epochs", "2").splitlines()[0]
    student = mcmi(
        *("distill", tuned, "--student", "mlp:width=4", "--epochs", "2"),
        *("--fraction", "0.5", "--omit", "3", "--distiller", "kd:temperature=2"),
    ).splitlines()[0]

    evaluated = mcmi("evaluate", student)
    assert "cmi_nats" in evaluated
    assert evaluated != mcmi("evaluate", student, "--temperature", "4")

    listing = mcmi("runs", "list").splitlines()
    assert [line.split()[0] for line in listing[1:]] == sorted([teacher, tuned, student])
    assert len({line.index("done") for line in listing[1:]}) == 1  # a table

    record = mcmi("runs", "show", student.rpartition("-")[2])  # by its key
    assert '"fraction": 0.5' in record
    assert '"omit": [3]' in record
    assert '"lam": 0.1' in record


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("fine-tune", ["--lam", "0.1"]),
        ("distill", ["--student", "resnet8", "--distiller", "hsakd"]),
    ],
)
def test_a_recipe_reaches_all_that_is_trained_for_a_run(mcmi, monkeypatch, command, options):
    teacher = mll_teacher(data="digits", model="resnet8")
    runs = []
    monkeypatch.setattr(cli, "_find_run", lambda reference: teacher)
    monkeypatch.setattr(cli, "_train", runs.append)
    asked = ["--recipe", "precision=bf16,batch_size=32"]
    mcmi(command, "teacher", *options, *asked)
    mcmi("train-teacher", "--data", "digits", "--model", "resnet8", *asked)
    for run in runs:
        for link in run.chain():
            expected = ("float32", 64) if link == teacher else ("bf16", 32)
            assert (link.recipe.precision, link.recipe.batch_size) == expected


def test_a_finished_run_is_not_trained_again(mcmi, monkeypatch):
    first = mcmi(*TEACHER)
    monkeypatch.setattr("mcmi_core.runs.trainer.training", None)
    assert mcmi(*TEACHER) == first


def test_every_component_is_listed_with_its_options(mcmi):
    listing = mcmi("list")
    for text in ("digits", "imagefolder:folder=...,image_size=32", "resnet8x4", "kd:temperature=4"):
        assert re.search(rf"^ *{re.escape(text)}", listing, re.MULTILINE)


def test_models_are_a_table_of_their_costs(mcmi):
    head, *lines = mcmi("list", "models").splitlines()
    assert head == "models:"
    assert lines[0].split()[0] == "parameters,"
    costs = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert costs["resnet56"] == ["0.86", "125.8"]
    assert costs["mlp:width=512,depth=2"][0] == "1.89"
    assert len(costs) == len(lines) - 1 == len(MODELS)


def test_one_kind_can_be_listed(mcmi):
    assert mcmi("list", "objectives").startswith("objectives:\n  mll\n")
    message = mcmi("list", "networks", fails=True)
    assert "unknown kind 'networks'; choose from data sets, models" in message
    assert cli._names(cli.REGISTRIES)("d") == ["data sets", "distillers"]


def test_heads_are_trained_on_the_way(mcmi):
    data = "oracle:train_size=40,test_size=20,dimension=16,latent_dimension=4,classes=4,images=True"
    train = ["train-teacher", "--data", data, "--model", "resnet8", "--epochs", "1"]
    teacher = mcmi(*train).splitlines()[0]
    mcmi(
        *("distill", teacher, "--student", "resnet8", "--distiller", "hsakd", "--epochs", "1"),
        *("--heads-epochs", "1"),
    )
    kinds = [line.split("-")[0] for line in mcmi("runs", "list").splitlines()[1:]]
    assert sorted(kinds) == ["heads", "student", "teacher"]


def test_what_a_distiller_cannot_compare_is_a_failure(mcmi):
    teacher = mcmi(*TEACHER).splitlines()[0]
    arguments = ("--student", "mlp:width=4", "--epochs", "1", "--distiller", "at")
    assert "as many stage maps" in mcmi("distill", teacher, *arguments, fails=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*TEACHER, "--data", "mnist"], "data: unknown data set 'mnist'; choose from oracle"),
        ([*TEACHER, "--data", "oracle:size=3"], "data: unknown option 'size' of data set 'oracle'"),
        ([*TEACHER, "--model", "vgg"], "model: unknown model 'vgg'; choose from resnet8"),
        ([*TEACHER, "--objective", "mle"], "objective: unknown objective 'mle'; choose from mll"),
        ([*TEACHER, "--epochs", "0"], "epochs: Input should be greater than or equal to 1"),
        ([*TEACHER, "--fraction", "2"], "fraction: Input should be less than or equal to 1"),
        ([*TEACHER, "--omit", "7"], "7"),
        (["evaluate", "nothing"], "no run in "),
        (["notebook", "run", "77", "--output", "out"], "unknown notebook '77'; choose from 00_"),
        (["evidence", "--only", "4"], "unknown notebook '4'; choose from 00_"),
        (["evidence", "--profile", "smoke"], "'smoke' is no evidence; choose from cpu, gpu, paper"),
        (
            ["notebook", "run", "99_claims", "--output", "o", "--train", "--profile", "stored"],
            "--train needs a --profile, not 'stored'",
        ),
        (
            ["train", "98", "--profile", "smoke"],
            "unknown experiment '98'; choose from 00_what_is_cmi",
        ),
        (
            ["plan", "00b_quickstart", "--profile", "huge"],
            "unknown profile 'huge'; choose from smoke",
        ),
        (["check", "--profile", "huge"], "unknown profile 'huge'; choose from smoke, cpu, gpu"),
    ],
)
def test_mistakes_get_one_line(mcmi, arguments, message):
    assert message in mcmi(*arguments, fails=True)


@pytest.fixture
def tiny_profile(monkeypatch):
    """A profile with one experiment."""
    monkeypatch.setitem(PROFILES, "tiny", profile_of(QUICKSTART))


def test_an_experiment_is_planned_then_trained_without_its_notebook(mcmi, tiny_profile):
    before = mcmi("plan", "00b_quickstart", "--profile", "tiny").splitlines()
    assert len(before) == 1 + 4 + 1  # kinds: two teachers, a student, and one from scratch
    assert before[-1].startswith("0 of 7 runs done; 0:00:00 of training left with 1 at a time on")
    assert before[-1].endswith("and 7 runs of kinds that were never timed here")

    trained = mcmi("train", "all", "--profile", "tiny")
    assert trained == "00b_quickstart: 7 done\n"
    assert len(mcmi("runs", "list").splitlines()) == 1 + 7

    after = mcmi("plan", "00b_quickstart", "--profile", "tiny").splitlines()
    assert after[-1].startswith("7 of 7 runs done; 0:00:00 of training left")
    assert "never timed" not in after[-1]


def test_an_experiment_is_planned_and_trained_on_all_its_data_sets(mcmi, monkeypatch):
    other = replace(QUICKSTART, pair=replace(PAIR, data=f"{DATA},seed=1"))
    monkeypatch.setitem(PROFILES, "tiny", profile_of(QUICKSTART, other))
    for names in (["00b_quickstart"], ["00b_quickstart", "00b_quickstart"], ["all"]):
        last = mcmi("plan", *names, "--profile", "tiny").splitlines()[-1]
        assert last.startswith("0 of 14 runs done")
    trained = mcmi("train", "00b_quickstart", "--profile", "tiny")
    assert trained == "00b_quickstart: 7 done\n" * 2


def test_notebooks_are_executed_when_their_runs_are_trained(
    mcmi, tiny_profile, monkeypatch, tmp_path
):
    asked, out = [], tmp_path / "out"
    monkeypatch.setattr(
        "mcmi_core.report.notebooks.execute_notebooks", lambda *arguments: asked.append(arguments)
    )
    command = ["notebook", "run", "00b_quickstart", "--profile", "tiny", "--output", str(out)]
    assert mcmi(*command) == ""
    assert mcmi(*command, "--train", "--jobs", "2") == "00b_quickstart: 7 done\n"
    assert len(list((out / "records" / "tiny").iterdir())) == 7
    executed = ["00b_quickstart"], out, {"profile": "tiny", "train": False}
    assert asked == [(*executed, None, 3), (*executed, out / "records", 2)]


def test_notebooks_can_be_executed_as_they_are_stored(mcmi, monkeypatch, tmp_path):
    """Each with the profile that it shows, which its parameters name."""
    asked = []
    monkeypatch.setattr(
        "mcmi_core.report.notebooks.execute_notebooks",
        lambda *arguments, **settings: asked.append((*arguments, settings)),
    )
    names = ["00b_quickstart", "04_zero_shot"]
    command = ["notebook", "run", *names, "--profile", "stored", "--output", str(tmp_path)]
    assert mcmi(*command, "--jobs", "2") == ""
    assert asked == [(names, tmp_path, {}, {"jobs": 2})]


def test_notebooks_are_executed_though_a_run_failed(mcmi, tiny_profile, monkeypatch, tmp_path):
    executed = []

    def fail(*arguments, **settings):
        raise RunsFailed("1 of 4 runs failed")

    monkeypatch.setattr(Profile, "train", fail)
    monkeypatch.setattr(
        "mcmi_core.report.notebooks.execute_notebooks", lambda names, *rest: executed.extend(names)
    )
    command = ["notebook", "run", "00b_quickstart", "--profile", "tiny", "--train"]
    assert mcmi(*command, "--output", str(tmp_path), fails=True) == "mcmi: 1 of 4 runs failed"
    assert executed == ["00b_quickstart"]


def test_a_notebook_without_runs_trains_none(mcmi, monkeypatch, tmp_path):
    monkeypatch.setattr(Profile, "train", None)
    monkeypatch.setattr("mcmi_core.report.notebooks.execute_notebooks", lambda *arguments: None)
    name = "14_bring_your_own_teacher"
    mcmi("notebook", "run", name, "--profile", "gpu", "--train", "--output", str(tmp_path))


def test_a_profile_for_a_gpu_is_not_trained_without_one(mcmi):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    message = mcmi("train", "00b_quickstart", "--profile", "gpu", fails=True)
    assert "profile 'gpu' needs a CUDA GPU and torch finds none" in message


def test_a_collapse_is_counted(mcmi, tiny_profile, monkeypatch):
    reckless = replace(QUICKSTART, pair=replace(PAIR, lam=100.0))
    monkeypatch.setitem(PROFILES, "tiny", profile_of(reckless))
    trained = mcmi("train", "all", "--profile", "tiny")
    assert trained == "00b_quickstart: 5 done, 1 collapsed, 1 not run\n"


@pytest.mark.parametrize(
    ("command", "says", "does_not_say"),
    [
        ("fine-tune", ["falls to 0", "0.005"], "milestones"),
        ("train-teacher", ["milestones"], "0.005"),
    ],
)
def test_help_is_of_the_schedule_that_is_used(mcmi, monkeypatch, command, says, does_not_say):
    monkeypatch.setenv("COLUMNS", "200")
    text = mcmi(command, "--help")
    assert all(words in text for words in says)
    assert does_not_say not in text


def test_out_of_time_nothing_is_trained(mcmi, tiny_profile, capsys):
    with pytest.raises(AssertionError, match="75"):
        mcmi("train", "00b_quickstart", "--profile", "tiny", "--minutes", "0")
    assert mcmi("runs", "list").startswith("no finished run in ")


def test_a_measurement_has_nothing_to_evaluate(mcmi, store):
    look = Measurement(of=mll_teacher(), what="network_size")
    ensure(look, store)
    message = mcmi("evaluate", look.id, fails=True)
    assert message.startswith(f"mcmi: {look.id} has no network; use the run that it measured")


@pytest.mark.parametrize(
    "command", [("fine-tune", "--lam", "0.1"), ("distill", "--student", "mlp")]
)
def test_only_networks_are_fine_tuned_and_distilled(mcmi, store, command):
    name, *options = command
    look = Measurement(of=mll_teacher(), what="network_size")
    ensure(look, store)
    assert f"{look.id} is no network to " in mcmi(name, look.id, *options, fails=True)


def test_chains_of_distillation(mcmi):
    """A student is fine-tuned, and what became of it is distilled again, with heads."""
    teacher = mcmi("train-teacher", "--data", TINY_IMAGES, "--model", "resnet8", *SHORT).split()[0]
    student = mcmi("distill", teacher, "--student", "resnet8", *SHORT).split()[0]
    tuned = mcmi("fine-tune", student, "--lam", "0.1", "--epochs", "1").split()[0]
    for assistant, distiller in ((student, "kd"), (tuned, "at"), (student, "hsakd")):
        heads = ("--heads-epochs", "1") if distiller == "hsakd" else ()
        last = mcmi(
            *("distill", assistant, "--student", "resnet8", "--distiller", distiller),
            *(*SHORT, *heads, "--seed", "1"),
        ).split()[0]
        chain = [link.id for link in cli._find_run(last).chain()]
        assert chain[0] == teacher and assistant in chain and chain[-1] == last
    assert len(mcmi("runs", "list").splitlines()) == 1 + 7


@pytest.mark.parametrize(
    ("model", "rates"),
    [("mobilenetv2", (0.01, 0.005)), ("shufflenetv1", (0.01, 0.005)), ("resnet8", (0.05, 0.05))],
)
def test_networks_train_at_the_rates_of_the_paper(mcmi, monkeypatch, model, rates):
    runs, source = [], mll_teacher(data="digits", model=model)
    monkeypatch.setattr(cli, "_find_run", lambda reference: source)
    monkeypatch.setattr(cli, "_train", runs.append)
    mcmi("train-teacher", "--data", "digits", "--model", model)
    mcmi("distill", "teacher", "--student", model)
    mcmi("fine-tune", "teacher", "--lam", "0.1")
    mcmi("distill", "teacher", "--student", model, "--recipe", "learning_rate=0.5")
    expected = [rates[0], rates[0], rates[1], 0.5]
    assert [run.recipe.learning_rate for run in runs] == expected


def test_recipes_are_validated_however_they_are_made(mcmi):
    assert "learning_rate" in mcmi(*TEACHER, "--recipe", "learning_rate=-1", fails=True)
    assert "batch_size" in mcmi(*TEACHER, "--recipe", "batch_size=1", fails=True)
    message = mcmi(*TEACHER, "--recipe", "batchsize=8", fails=True)
    assert "unknown field 'batchsize' of a recipe; choose from batch_size, learning_rate" in message
    assert cli._recipe_fields("batch_size=8,prec") == ["batch_size=8,precision="]


def test_an_ambiguous_run_lists_the_candidates(mcmi):
    ids = [mcmi(*TEACHER, "--seed", seed).splitlines()[0] for seed in "01"]
    message = mcmi("evaluate", "teacher", fails=True)
    assert "2 runs in" in message
    assert all(run_id in message for run_id in ids)


BAD_RECORDS = {
    "": "is damaged (no JSON: Expecting value",
    '{"key": 1}': "is not a record: key: Input should be a valid string",
}


@pytest.fixture
def bad_records(store):
    """Two runs that the store cannot read, and one of a component that this version lacks."""
    for number, text in enumerate(BAD_RECORDS):
        path = store.path(f"x{number}")
        path.parent.mkdir(parents=True)
        path.write_text(text)
    run = mll_teacher(seed=3)
    text = store.path(ensure(run, store, torch.device("cpu")).id).read_text()
    path = store.path("teacher-of-tomorrow-0123456789abcdef")
    path.parent.mkdir()
    fields = json.loads(text.replace('"name": "mll"', '"name": "newer"'))
    del fields["checksum"]
    path.write_text(json.dumps(fields))
    return run


def test_bad_records_are_named_and_the_rest_is_served(mcmi, bad_records, store, capsys):
    good = bad_records.id
    assert f"{good} " in mcmi("runs", "list")
    assert mcmi("runs", "show", good) == read_record(store.path(good)).to_json()
    assert "cmi_nats" in mcmi("evaluate", good)
    student = mcmi("distill", good, "--student", "mlp:width=8", "--epochs", "1").split()[0]
    assert student in mcmi("runs", "list")
    assert mcmi("fine-tune", good, "--lam", "0.1", "--epochs", "1").startswith("teacher-oracle")


def test_each_bad_record_is_a_line(mcmi_errors, bad_records):
    for command in (["runs", "list"], ["plan", "00b_quickstart"]):
        lines = mcmi_errors(*command).splitlines()
        assert len(lines) == 3
        for line, reason in zip(
            lines,
            ["unknown objective 'newer'; choose from mll,", *BAD_RECORDS.values()],
            strict=True,
        ):
            assert re.match(r"mcmi: skipped: /.*/record.json is .*", line)
            assert reason in line


def test_a_bad_record_that_is_asked_for_is_a_line(mcmi, bad_records):
    message = mcmi("runs", "show", "x0", fails=True)
    assert "x0/record.json is damaged (no JSON: " in message
    assert message.strip().endswith("; the command that made this run makes it again")
    assert "x1/record.json is not a record" in mcmi("runs", "show", "x1", fails=True)
    assert "unknown objective 'newer'" in mcmi("evaluate", "0123456789abcdef", fails=True)


def test_what_failed_is_listed_with_its_reason(mcmi, store):
    run = mll_teacher()
    lines = ("Traceback (most recent call last):", "ArithmeticError: a bug")
    failure = Failure.of(run, DataError("no such folder")).model_copy(update={"last_lines": lines})
    store.keep_failure(run, failure)
    listed = mcmi("runs", "list")
    assert f"failed: {run.id} ({failure.date}, {failure.host}): no such folder\n" in listed
    for reference in (run.id, run.id[:-3], run.key[:5]):
        shown = mcmi("runs", "show", reference)
        assert shown.splitlines() == [f"{run.id} failed: no such folder", *lines]
    ensure(run, store, torch.device("cpu"))
    assert "failed" not in mcmi("runs", "list")


def test_a_damaged_record_is_made_again_by_the_same_command(mcmi, store):
    command = ("train-teacher", "--data", DATA, "--model", "mlp:width=8", "--epochs", "2")
    said = mcmi(*command)
    path = store.path(said.split()[0])
    path.write_bytes(path.read_bytes()[:50])
    assert mcmi(*command) == said
    assert path.with_name("record.json.damaged").exists()


def test_a_cluster_that_is_not_there_is_a_line(mcmi, tiny_profile, monkeypatch):
    train = ("train", "00b_quickstart", "--profile", "tiny")
    message = "no cluster at 'nowhere.json'; give the address of a Dask scheduler"
    assert message in mcmi(*train, "--cluster", "nowhere.json", fails=True)
    monkeypatch.setenv("MCMI_CLUSTER", "nowhere.json")
    assert message in mcmi(*train, fails=True)


def test_one_record_of_another_run_stops_only_what_builds_on_it(mcmi, store, tiny_profile):
    runs = [link for run in QUICKSTART.runs() for link in run.chain()]
    teacher = next(run for run in runs if run.stage == "teacher" and run.start)
    store.path(teacher.id).parent.mkdir(parents=True)
    store.path(teacher.id).write_text("{}")
    message = mcmi("train", "00b_quickstart", "--profile", "tiny", fails=True)
    assert f"runs failed: {teacher.id}. First error" in message
    assert store.path(teacher.id).read_text() == "{}"
    for run in runs:
        builds_on_it = teacher in run.chain()
        assert (run.id in store.find()) == (not builds_on_it or run == teacher)


@pytest.mark.parametrize("variable", ["MCMI_STORE", "MCMI_CACHE", "MCMI_DATA"])
@pytest.mark.parametrize("place", ["a file", "/proc/nowhere"])
def test_places_that_are_no_folders_are_a_line(mcmi, monkeypatch, tmp_path, variable, place):
    (tmp_path / "a file").write_text("")
    draw_images(data_root() / "pets")
    _load.cache_clear()
    monkeypatch.setenv(variable, str(tmp_path / place))
    command = ["train-teacher", "--data", "imagefolder:folder=pets,image_size=4", *SHORT]
    message = mcmi(*command, "--model", "mlp:width=8", "--recipe", "batch_size=4", fails=True)
    assert str(tmp_path / place) in message
    if variable == "MCMI_STORE":
        assert mcmi("runs", "list").startswith("no finished run in ")


def test_output_that_is_no_folder_is_a_line(mcmi, tmp_path):
    (tmp_path / "file").write_text("")
    for command in (["notebook", "run", "00b_quickstart", "--output"], ["sprint", "--out"]):
        message = mcmi(*command, str(tmp_path / "file"), fails=True)
        assert message == f"mcmi: cannot make the folder {tmp_path / 'file'}: File exists"


def test_images_that_are_taken_and_skipped_are_told(mcmi_errors):
    """Once, when they are decoded."""
    draw_images(data_root() / "pets")
    (data_root() / "pets" / "train" / "cat" / "notes.txt").write_text("")
    for split in ("train", "test"):
        (data_root() / "pets" / split / ".ipynb_checkpoints").mkdir()
    command = ["train-teacher", "--data", "imagefolder:folder=pets,image_size=4", *SHORT]
    command += ["--model", "mlp:width=8", "--recipe", "batch_size=4"]
    [line] = mcmi_errors(*command).splitlines()
    assert line.startswith(f"mcmi: {data_root() / 'pets'}: 12 training images (train) and 12 test")
    assert "skipped 3: 2 hidden (such as train/.ipynb_checkpoints), 1 of unknown format" in line
    assert mcmi_errors(*command) == ""


def test_other_images_of_the_same_name_are_a_line(mcmi):
    draw_images(data_root() / "pets")
    command = ["train-teacher", "--data", "imagefolder:folder=pets,image_size=4", *SHORT]
    command += ["--model", "mlp:width=8", "--recipe", "batch_size=4"]
    teacher = mcmi(*command).split()[0]
    (data_root() / "pets" / "train" / "cat" / "0.png").unlink()
    _load.cache_clear()
    for again in (command, ["evaluate", teacher], ["distill", teacher, "--student", "mlp"]):
        message = mcmi(*again, fails=True)
        assert message.startswith(f"mcmi: {teacher} was made with data imagefolder:folder=pets,")
    assert '"status": "done"' in mcmi("runs", "show", teacher)


def test_a_collapse_is_a_failure_that_says_what_to_try(mcmi):
    teacher = mcmi(*TEACHER).splitlines()[0]
    message = mcmi("fine-tune", teacher, "--lam", "50", fails=True)
    assert "MCMI with λ = 50 and fixed centroids collapsed" in message
    assert "Try a smaller λ or centroids=tracked" in message
    assert "collapsed" in mcmi("runs", "list")


def test_bad_temperature(mcmi):
    teacher = mcmi(*TEACHER).splitlines()[0]
    message = mcmi("evaluate", teacher, "--temperature", "0", fails=True)
    assert message == "mcmi: temperature must be positive, got 0.0"


def test_files_that_may_not_be_used_are_a_line(mcmi, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr(cli, "_find_run", refuse)
    assert mcmi("evaluate", "x", fails=True) == "mcmi: /some/file: Permission denied"


def test_more_threads_than_cores_are_mentioned(mcmi_errors):
    cores = os.cpu_count()
    line = mcmi_errors(*TEACHER, "--recipe", f"threads={cores + 1}", "--epochs", "1")
    assert line.startswith(f"mcmi: {cores + 1} threads on {cores} cores wait for each other, so")
    assert mcmi_errors(*TEACHER, "--epochs", "1") == ""


def test_bugs_keep_their_traceback(monkeypatch):
    def broken(standalone_mode):
        raise TypeError("a bug")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(TypeError):
        cli.main()


def test_errors_of_the_package_are_messages(monkeypatch):
    def collapse(standalone_mode):
        raise TrainingCollapsed("too large a λ")

    monkeypatch.setattr(cli, "app", collapse)
    with pytest.raises(SystemExit, match="mcmi: too large a λ"):
        cli.main()


def test_out_of_time_asks_to_be_called_again(monkeypatch, capsys):
    asked = []

    def stop(*arguments):
        asked.append(arguments)
        raise OutOfTime("04_zero_shot: 3 of 8 runs done")

    monkeypatch.setattr("mcmi_core.report.evidence.update_evidence", stop)
    options = ["--profile", "gpu", "--only", "04_zero_shot", "--minutes", "9"]
    monkeypatch.setattr(sys, "argv", ["mcmi", "evidence", *options])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 75
    message = "mcmi: 04_zero_shot: 3 of 8 runs done; the same command goes on\n"
    assert capsys.readouterr().err == message
    [(profile, only, deadline)] = asked
    assert (profile, only) == (PROFILES["gpu"], ["04_zero_shot"])
    assert deadline == pytest.approx(time.time() + 540, abs=60)


def test_a_sprint_says_what_it_is_for(mcmi, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = mcmi("sprint", "--help")
    for words in ("--out", "--minutes", "--resume", "--streams", "cifar10-jpeg"):
        assert words in text


def test_a_sprint_without_data_is_one_line(mcmi, tmp_path):
    message = mcmi("sprint", "--out", str(tmp_path / "out"), "--minutes", "1", fails=True)
    assert message.startswith("mcmi: no folder ")
    assert "cifar10-jpeg" in message and "MCMI_DATA" in message


def test_a_sprint_is_asked_for_as_the_options_say(mcmi, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "mcmi_core.sprint.sprint.sprint", lambda *arguments, say: asked.append(arguments)
    )
    device = default_device()
    mcmi("sprint", "--out", "here")
    mcmi("sprint", "--out", "here", "--minutes", "3", "--resume", "there", "--streams", "4")
    assert asked == [
        (Path("here"), 12, device, None, 0),
        (Path("here"), 3, device, Path("there"), 4),
    ]


def test_names_are_completed(mcmi):
    teacher = mcmi(*TEACHER).splitlines()[0]
    assert cli._run_ids("teach") == [teacher]
    assert cli._names(MODELS)("resnet8") == ["resnet8", "resnet8x4"]
    assert cli._profiles("p") == ["paper"]
    assert cli._profiles("c") == ["cpu"]
    assert cli._notebooks("12") == ["12_bayes_oracle"]
    assert cli._experiments("a") == ["all"]
    assert cli._experiments("1")[-1] == "13_proposition_1"  # 14 has no runs
    assert cli._experiments("02") == ["02_mll_training_dynamics"]  # though on two data sets


@pytest.mark.parametrize(
    ("load", "cores", "device", "speaks"),
    [
        (9, None, "cpu", True),
        (0, None, "cpu", False),
        (9, "1", "cpu", False),
        (9, None, "cuda", False),
    ],
)
def test_a_busy_machine_is_mentioned_to_whoever_did_not_choose(
    monkeypatch, capsys, load, cores, device, speaks
):
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.delenv("MCMI_CORES", raising=False)
    if cores:
        monkeypatch.setenv("MCMI_CORES", cores)
    cli._say_if_busy(torch.device(device))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("this machine is busy (load 9.0 on 2 cores)" in printed.err) == speaks
    assert bool(printed.err) == speaks

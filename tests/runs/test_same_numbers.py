"""Equal key, equal result: nothing of the machine or of the caller enters the numbers unseen."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from small_runs import kd_student, mll_teacher

from mcmi_core.base.device import own_arithmetic
from mcmi_core.data.oracle import oracle
from mcmi_core.runs import provenance
from mcmi_core.runs.config import Measurement, Student, Teacher
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
IMAGES = {"data": "oracle:images=True,dimension=64,train_size=200,test_size=100,classes=4"}
BF16 = Recipe(epochs=2, precision="bf16")


def results(run, store):
    record = store.record(run)
    return record.metrics, record.history, {n: w.tolist() for n, w in store.weights(run).items()}


@pytest.mark.parametrize("model", ["mlp", "resnet8"])
def test_the_command_line_answers_alike_whatever_omp_num_threads(tmp_path, model):
    answers = set()
    for threads in "12":
        store = str(tmp_path / threads)
        environment = os.environ | {"OMP_NUM_THREADS": threads, "MCMI_STORE": store}
        command = [Path(sys.executable).with_name("mcmi"), "train-teacher", "--epochs", "1"]
        command += ["--data", "digits", "--model", model, "--fraction", "0.3"]
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout
        answers.add(answer)
    assert len(answers) == 1


BACKENDS = torch.backends
SETTINGS = {
    "threads": (torch.set_num_threads, 2),
    "precision of products": (torch.set_float32_matmul_precision, "medium"),
    "precision, newer way": (partial(setattr, BACKENDS.mkldnn.matmul, "fp32_precision"), "bf16"),
    "precision, everywhere": (partial(setattr, BACKENDS, "fp32_precision"), "tf32"),
    "precision on a GPU": (partial(setattr, BACKENDS.cuda.matmul, "fp32_precision"), "tf32"),
    "default type": (torch.set_default_dtype, torch.float64),
    "default device": (torch.set_default_device, "meta"),
    "autocast": (partial(torch.set_autocast_enabled, "cpu"), True),
    "no gradients": (torch.set_grad_enabled, False),
    "other kernels": (partial(setattr, BACKENDS.mkldnn, "enabled"), False),
}


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS.keys())
def change(request):
    """What a caller may have set before; not left to the next test."""
    kinds = (BACKENDS, BACKENDS.mkldnn, BACKENDS.cudnn, BACKENDS.cuda.matmul)
    kinds += (BACKENDS.mkldnn.matmul, BACKENDS.mkldnn.conv, BACKENDS.mkldnn.rnn)
    kinds += (BACKENDS.cudnn.conv, BACKENDS.cudnn.rnn)
    precisions = [kind.fp32_precision for kind in kinds]
    with own_arithmetic(1):
        function, value = request.param
        yield lambda: function(value)
    for kind, precision in zip(kinds, precisions, strict=True):
        kind.fp32_precision = precision
    torch.set_default_device(None)


@pytest.mark.parametrize(
    "run",
    [
        mll_teacher(model="mlp:width=64", epochs=2),
        Teacher(model="resnet8", objective="mll", recipe=BF16, **IMAGES),
        kd_student(epochs=2),
    ],
    ids=["float32", "bf16", "stacked"],
)
def test_settings_of_the_caller_do_not_enter(run, change, store, tmp_path):
    undisturbed = Store(tmp_path / "undisturbed")
    ensure(run, undisturbed, CPU)
    change()
    before = _settings()
    ensure(run, store, CPU)
    assert _settings() == before  # which are the caller's again
    assert results(run, store) == results(run, undisturbed)


def _settings():
    return (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        BACKENDS.mkldnn.enabled,
        BACKENDS.mkldnn.matmul.fp32_precision,
        BACKENDS.cuda.matmul.fp32_precision,
    )


@pytest.mark.parametrize("outer", [torch.autocast("cpu", torch.bfloat16), torch.inference_mode()])
def test_contexts_of_the_caller_do_not_enter(outer, store, tmp_path):
    """Within an outer autocast, rounded weights would be kept from step to step."""
    run = Teacher(model="resnet8", objective="mll", recipe=BF16, **IMAGES)
    ensure(run, store, CPU)
    other = Store(tmp_path / "other")
    with outer:
        ensure(run, other, CPU)
    assert results(run, store) == results(run, other)


def test_the_random_numbers_of_the_caller_go_on(store):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    ensure(mll_teacher(), store, CPU)
    assert torch.equal(torch.rand(3), expected)


def test_results_do_not_depend_on_what_else_is_asked_for(tmp_path):
    teachers = [mll_teacher(seed=seed) for seed in range(2)]
    students = [kd_student(teacher, seed=seed) for teacher in teachers for seed in range(3)]
    alone, two, all_of_them = (Store(tmp_path / name) for name in ("alone", "two", "all"))
    for run in students:
        execute([run], alone, device=CPU)
    execute(students[:2], two, device=CPU, workers=1)
    execute(students, two, device=CPU, workers=2)
    execute(students, all_of_them, device=CPU, workers=1, together=4)
    for run in students:
        _, history, weights = results(run, alone)
        for store in (two, all_of_them):
            _, other_history, other_weights = results(run, store)
            other_history.pop("trained_together", None)
            assert (history, weights) == (other_history, other_weights)


def test_a_measurement_has_the_threads_of_its_run():
    run = mll_teacher(recipe=Recipe(threads=3))
    assert Measurement(of=run, what="network_size").threads == 3
    assert kd_student(run).threads == 1  # its own recipe's


def test_threads_are_part_of_the_key_but_for_a_single_one():
    one, two = (mll_teacher(recipe=Recipe(threads=number)) for number in (1, 2))
    assert "threads" not in one.model_dump()["recipe"]
    assert one.key == mll_teacher(recipe=Recipe()).key != two.key
    with pytest.raises(ValueError, match="threads\n.*greater than or equal to 1.*input_value=0"):
        Recipe(threads=0)


def test_logits_of_a_teacher_are_those_of_the_threads_that_ask(store):
    """Few-shot students, whose teachers' logits lie on the disk."""
    few = {"fraction": 0.1}
    data = {"data": "digits", "model": "resnet8", "part": few}
    teacher = Teacher(data="digits", model="resnet8", objective="mll", recipe=Recipe(epochs=1))
    for threads in (1, 2):
        recipe = Recipe(epochs=2, threads=threads)
        ensure(Student(distiller="kd", teacher=teacher, recipe=recipe, **data), store, CPU)
    names = {path.name.split("-")[2] for path in store.folder(teacher).glob("logits-*.float32")}
    assert names == {"cpu1.float32", "cpu2.float32"}


def test_logits_of_a_teacher_go_when_it_is_trained_anew(store):
    run = mll_teacher()
    ensure(run, store, CPU)
    before = results(run, store)
    logits = store.folder(run) / "logits-0123-cpu1.float32"
    logits.write_bytes(b"of the teacher before")
    store.path(run.id).unlink()
    ensure(run, store, CPU)
    assert results(run, store) == before
    assert not logits.exists()


def stop():
    raise KeyboardInterrupt


def test_a_record_says_where_each_part_of_its_training_was_made(store, monkeypatch):
    run = mll_teacher()
    hardware = iter(["one machine", "another machine", "another machine"])
    monkeypatch.setattr(provenance, "hardware", lambda device: next(hardware))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            ensure(run, store, CPU, stop)
    about = ensure(run, store, CPU).provenance
    assert about["hardware"] == "one machine, then another machine"
    assert about["torch"] == torch.__version__


def test_a_record_says_which_settings_chose_other_kernels(store, monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert ensure(mll_teacher(), store, CPU).provenance["settings"] == "MKL_CBWR=COMPATIBLE"
    monkeypatch.delenv("MKL_CBWR")
    assert "settings" not in ensure(mll_teacher(seed=1), store, CPU).provenance


def test_settings_that_came_or_went_in_the_middle_are_told():
    plain, special = {"torch": "2", "date": "1"}, {"torch": "2", "date": "2", "settings": "A=1"}
    assert provenance.joined(plain, special)["settings"] == "none, then A=1"
    assert provenance.joined(special, plain)["settings"] == "A=1, then none"
    assert provenance.joined({}, special) == special
    assert provenance.joined(plain, special)["date"] == "2"


def test_data_of_the_oracle_are_the_same_whatever_the_caller_has_set(change):
    settings = {"train_size": 50, "test_size": 50}
    before = oracle(**settings).fingerprint()
    change()
    if torch.get_default_device().type == "cpu":
        assert oracle(**settings).fingerprint() == before

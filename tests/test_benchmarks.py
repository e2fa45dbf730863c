"""Every benchmark runs, at tiny sizes, and what can be known of its table is right."""

import json
import re
import sys

import pytest
import torch
import typer
from small_runs import kd_student, mll_teacher

from mcmi_core.base.paths import PROJECT
from mcmi_core.models import create_model
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.training.recipe import Recipe


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    yield
    for path in (PROJECT / "benchmarks").glob("*.py"):
        sys.modules.pop(path.stem, None)


LOOPS = ("ours", "ours bf16", "plain")


def table(path):
    """The rows of a table's body."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_floor_counts_one_convolution_as_by_hand():
    from floor import cost

    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.nn.ReLU(), torch.nn.Flatten()
    )
    found = cost(layers, image_size=4, batch_size=2, backward=False)
    assert found.operations == 2 * (5 * 16) * (3 * 9)
    images, weights, maps = 3 * 16, 5 * 27 / 2, 5 * 16  # elements per image, two bytes each
    assert found.fused_bytes == 2 * (images + weights + maps)
    assert found.unfused_bytes == 2 * (images + weights + maps) + 2 * 2 * maps


def test_floor_counts_a_backward_pass_as_two_forward_ones_but_for_the_images():
    from floor import cost

    size = {"num_classes": 100, "in_channels": 3, "image_size": 32}
    forward, both = (
        cost(create_model("resnet20", **size), 32, 2, backward=b).operations for b in (False, True)
    )
    assert forward == 2 * 40_818_944  # multiply-adds of the model zoo's reference
    stem = 2 * (16 * 32 * 32) * (3 * 9)  # nobody needs the gradient of the images
    assert both == 3 * forward - stem


def test_floor_says_what_bounds(capsys):
    from floor import floor

    floor(teacher="resnet8", student="resnet8", images=10, epochs=2, terabytes_per_second=1e-3)
    printed = capsys.readouterr().out
    assert printed.startswith("20 images at 790 TFLOP/s and 0.001 TB/s")
    assert "memory traffic bounds" in printed


def test_the_floor_in_the_readme_is_what_the_script_says(capsys):
    from floor import floor

    floor()
    printed = capsys.readouterr().out
    readme = (PROJECT / "benchmarks/README.md").read_text()
    for bound in ("arithmetic", "traffic, fused", "traffic, unfused"):
        row = next(line for line in printed.splitlines() if line.startswith(f"| {bound} |"))
        assert "|".join(row.split("|")[:3]) + "|" in readme


def test_training_step(tmp_path):
    from training_step import training_step

    setting = {"student": "resnet8", "teacher": "resnet8", "image_size": 8, "images": 64}
    sizes = {"batch_size": 4, "steps": 1, "rounds": 1, "threads": 1, "memory": False}
    places = {"output": tmp_path, "rows_to": tmp_path / "rows.json"}
    training_step(criteria="mll,kd", loops=",".join(LOOPS), **places, **setting, **sizes)
    rows = table(tmp_path / "training_step_cpu.md")
    [first, *_] = json.loads(places["rows_to"].read_text())
    assert [first[name] for name in ("network", "criterion", "loop")] == rows[0][:3]
    assert [row[:3] for row in rows] == [
        ["resnet8", criterion, loop] for criterion in ("mll", "kd") for loop in LOOPS
    ]
    assert [row[4] for row in rows[2::3]] == ["1.00", "1.00"]
    assert all(float(row[3]) > 0 for row in rows)


def test_our_loop_does_as_many_steps_as_it_is_asked_for(monkeypatch):
    import _loops
    from _measure import random_images

    monkeypatch.setattr(_loops, "CHECK_EVERY", 3)
    images, networks = random_images(16, 10, 8), {"student": "resnet8", "teacher": "resnet8"}
    loop = _loops.Ours("mll", images, 4, streams=2, **networks)
    done = 0
    for steps in (1, 3, 3 + 2):
        loop.run(steps)
        done += steps
        for trainee in loop.trainees:
            norms = [m for m in trainee.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
            assert {int(norm.num_batches_tracked) for norm in norms} == {done}
    loop.close()


def test_training_step_names_the_loops_that_it_knows(tmp_path):
    from training_step import training_step

    with pytest.raises(typer.BadParameter, match="unknown loop 'mine'; choose from ours, ours bf1"):
        training_step(loops="mine", output=tmp_path)


def test_a_step_has_the_floor_that_the_floor_says(capsys):
    from floor import floor
    from training_step import Setting

    floor(terabytes_per_second=3.0)
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "|" in line]
    [per_second] = [float(row[3].replace(",", "")) for row in rows if "traffic, fused" in row[1]]
    kd, mll = (Setting(c, "resnet20", "resnet56", 0, 32, 64, "cpu", 0) for c in ("kd", "mll"))
    assert 1 / kd.floor(3.0) == pytest.approx(per_second, rel=1e-5)
    assert kd.floor(6.0) == pytest.approx(kd.floor(3.0) / 2)
    assert mll.floor(3.0) < kd.floor(3.0)


def test_cmi_streaming(tmp_path):
    from cmi_streaming import cmi_streaming

    sizes = {"samples": "60", "classes": 5, "batch_size": 16, "rounds": 1, "threads": 1}
    cmi_streaming(output=tmp_path, memory=False, **sizes)
    streaming, materialised = table(tmp_path / "cmi_streaming.md")
    assert streaming[:2] + materialised[:2] == ["60", "streaming", "60", "materialised"]
    assert streaming[4] == materialised[4]
    assert float(streaming[4]) > 0


def test_evaluation_cost(tmp_path):
    from evaluation_cost import evaluation_cost

    setting = {"images": 16, "image_size": 8, "batch_size": 256, "rounds": 1, "threads": 1}
    evaluation_cost(output=tmp_path, **setting)
    rows = table(tmp_path / "evaluation_cost.md")
    assert [row[1] for row in rows] == ["4000", "1438", "16", "16"]


@pytest.mark.parametrize("model", ["mlp:width=4", "resnet8"])
def test_students_that_are_stacked_learn_what_they_learn_in_turn(model):
    from packing import InTurn, Setting, Stacked

    setting = Setting(model, torch.device("cpu"), samples=20, batch_size=4)
    in_turn, stacked = InTurn(setting, range(2)), Stacked(setting, range(2))
    fresh = [network.head.weight.clone() for network in in_turn.networks]
    for way in (in_turn, stacked):
        way.run(2)
    for seed, network in enumerate(in_turn.networks):
        assert not torch.allclose(network.head.weight, fresh[seed], atol=1e-3)
        for name, value in network.state_dict().items():
            together = (stacked.parameters | stacked.buffers)[name][seed]
            torch.testing.assert_close(together, value, rtol=1e-3, atol=1e-4)


def test_packing(tmp_path):
    from packing import packing

    sizes = {"samples": 20, "batch_size": 4, "steps": 1, "rounds": 1, "threads": 1}
    packing(model="mlp:width=4", students="1,2", most_processes=1, output=tmp_path, **sizes)
    rows = table(tmp_path / "packing_cpu_mlp.md")
    ways = [["1", "in turn"], ["1", "processes"], ["1", "stacked"], ["2", "in turn"]]
    assert [row[:2] for row in rows] == [*ways, ["2", "stacked"]]
    assert rows[0][4] == "1.00"
    for number, _, each, total, _ in rows:
        assert float(total) == pytest.approx(int(number) * float(each), abs=0.2)


def test_teacher_cache(tmp_path):
    from teacher_cache import teacher_cache

    setting = {"student": "resnet8", "teacher": "resnet56", "images": 64, "image_size": 8}
    teacher_cache(output=tmp_path, batch_size=32, steps=1, rounds=2, threads=1, **setting)
    live, remembered, fill, variants, *epochs = (
        float(row[1]) for row in table(tmp_path / "teacher_cache.md")
    )
    assert remembered > live
    assert variants == 18
    saved = 1000 / live - 1000 / remembered
    expected = [variants * fill / (students * saved) for students in (1, 5, 22)]
    assert epochs == pytest.approx(expected, rel=0.1, abs=0.06)


def test_precision(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_CORES", "1")
    from precision import precision

    store = tmp_path / "pairs"
    settings = {"teacher": "resnet8", "student": "resnet8", "epochs": 1, "seeds": 2}
    precision(data="digits", store=store, output=tmp_path, **settings)
    rows = table(tmp_path / "precision_cpu.md")
    assert [row[1] for row in rows] == ["MLL"] * 6 + ["KD from resnet8"] * 6
    records, _ = Store(store).records()
    assert len(records) == 2 * 2 * 2
    for _, method, split, text, *values in rows:
        metric = {"accuracy": "accuracy_percent", "LL": "ll_nats", "CMI": "cmi_nats"}
        stage = "teacher" if method == "MLL" else "student"
        float32, bf16 = (
            [
                record.metrics[split][metric[text.partition(",")[0]]]
                for record in sorted(records, key=lambda record: record.run["seed"])
                if record.parsed_run.stage == stage and record.parsed_run.recipe.precision == name
            ]
            for name in ("float32", "bf16")
        )
        one, other = (bf16[seed] - float32[seed] for seed in range(2))
        assert one != other
        half = 12.7062 * abs(one - other) / 2  # t of 97.5 % with one degree of freedom
        mean = (one + other) / 2
        numbers = [float(number) for number in re.findall(r"[-+]?\d+\.\d+", " ".join(values))]
        expected = [sum(float32) / 2, sum(bf16) / 2, mean, mean - half, mean + half]
        assert numbers == pytest.approx(expected, abs=1e-3)


def test_peak_memory_is_that_of_the_work():
    from _measure import peak_megabytes

    assert 95 < peak_megabytes(torch.ones, 25 * 2**20) < 120  # float32: 100 MB


CHILD = """
import json, sys
print(json.dumps({"torchdistill": "9", "torch": "8", "parameters": PARAMETERS}), flush=True)
for line in sys.stdin:
    print(1000.0 * int(line), flush=True)
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """The script, with a stand-in for torchdistill's process and environment."""
    import beside_torchdistill as script

    monkeypatch.setattr(script, "CHILD", tmp_path / "child.py")
    monkeypatch.setattr(script, "prepare", lambda: sys.executable)
    return script


SIZES = {"batch_size": 4, "images": 8, "steps": 1, "rounds": 1, "threads": 1, "workers": 1}


def test_beside_torchdistill(beside, tmp_path):
    networks = {"student": "resnet8", "teacher": "resnet8"}
    beside.CHILD.write_text(CHILD.replace("PARAMETERS", "7"))
    with pytest.raises(SystemExit, match=r"students differ: \d+ parameters, 7 in theirs"):
        beside.beside_torchdistill(**networks, **SIZES, output=tmp_path)
    resnet8 = create_model("resnet8", num_classes=100, in_channels=3, image_size=32)
    parameters = sum(parameter.numel() for parameter in resnet8.parameters())
    beside.CHILD.write_text(CHILD.replace("PARAMETERS", str(parameters)))
    beside.beside_torchdistill(**networks, **SIZES, output=tmp_path)
    ours, _, theirs = table(tmp_path / "beside_torchdistill.md")
    assert theirs == ["torchdistill", "0", "1.00"]  # 1000 s for 4 images
    assert float(ours[2]) == pytest.approx(float(ours[1]) / 4e-3, rel=0.1)
    assert "torchdistill 9, torch 8" in (tmp_path / "beside_torchdistill.md").read_text()


def test_a_torchdistill_that_ends_is_reported(beside, tmp_path):
    beside.CHILD.write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="torchdistill's process ended with status 3"):
        beside.beside_torchdistill(student="resnet8", teacher="resnet8", output=tmp_path, **SIZES)


def test_torchdistill_needs_uv_and_a_network_once(tmp_path, monkeypatch):
    import beside_torchdistill as script

    environment, uv = tmp_path / "environment", tmp_path / "uv"
    monkeypatch.setattr(script, "UV", uv)
    with pytest.raises(SystemExit, match="there is no .*/uv; `make env` installs it"):
        script.prepare(environment)
    uv.write_text("#!/bin/sh\necho 'error: dns' >&2\nexit 2\n")
    uv.chmod(0o755)
    with pytest.raises(SystemExit, match=r"cannot install torchdistill==.*a network: error: dns"):
        script.prepare(environment)
    environment.mkdir()
    uv.write_text("#!/bin/sh\n")
    assert script.prepare(environment) == environment / "bin" / "python"
    uv.unlink()
    script.prepare(environment)  # installed already


def made_up_graph(*chains):
    """Runs that build on each other, by the seconds of each: two a chain, or one."""
    from schedule import Graph
    from small_runs import kd_student, mll_teacher

    runs, seconds = [], {}
    for number, chain in enumerate(chains):
        teacher = mll_teacher(seed=number)
        runs += [teacher, kd_student(teacher)][: len(chain)]
        seconds |= {run.key: each for run, each in zip(runs[-len(chain) :], chain, strict=True)}
    return Graph("made up", runs, seconds)


def test_a_schedule_is_as_by_hand():
    from schedule import simulate

    graph = made_up_graph((4, 2), (1, 3), (5,))
    assert (graph.work(), graph.longest_chain()) == (15, 6)
    assert simulate(graph, 1) == graph.bound(1) == 15
    # One worker: 4, then its student 2, then 3. The other: 1, then 5, in the queue's order, as the
    # student of 3 is expected to take as long as a teacher.
    assert simulate(graph, 2) == 9
    assert graph.bound(2) == 7.5
    assert simulate(graph, 3) == simulate(graph, 64) == graph.bound(3) == 6
    # Two of the teachers side by side, 4 and 5 s; then the third, as its student waits, longer than
    # the student that could start; then both students.
    pairs = graph._replace(
        together=2, common=lambda run: run.stage, gain=lambda number: {1: 1.0, 2: 1.25}[number]
    )
    assert pairs.work() == 15 / 1.25
    assert simulate(pairs, 1) == pytest.approx((4 + 5) / 1.25 + 1 + (2 + 3) / 1.25)


def test_what_kills_cost_is_as_in_closed_form():
    import math
    import random

    from schedule import DAY, Kills

    kills, generator = Kills(per_day=24.0, restart=60.0), random.Random(0)
    rate, seconds, draws = 24.0 / DAY, 3000.0, 20_000
    # Without checkpoints, a run starts anew until it gets through without a kill.
    expected = math.expm1(rate * seconds) * (1 / rate + kills.restart)
    mean = sum(kills.stretch(seconds, 1, generator) for _ in range(draws)) / draws
    assert mean == pytest.approx(expected, rel=0.03)
    # With so many that nothing is lost, only the restarts.
    mean = sum(kills.stretch(seconds, 10**6, generator) for _ in range(draws)) / draws
    assert mean == pytest.approx(seconds * (1 + rate * kills.restart), rel=0.01)
    assert Kills(1e-9, 60.0).stretch(5.0, 2, generator) == 5.0


def test_the_papers_table_has_as_many_students_as_the_paper():
    from schedule import papers_table

    runs = papers_table()
    students = [run for run in runs if run.stage == "student"]
    assert len(students) == 13 * 11 * 2 * 5 == 1430  # pairs, frameworks, teachers, seeds
    teachers = [run for run in runs if run.stage == "teacher"]
    assert len(teachers) == (6 + 8) * 5  # MLL of six networks, two of which have two λ
    assert {run.parent.key for run in runs if run.parent} < {run.key for run in runs}


def test_seconds_of_runs_follow_from_measured_speed():
    from _durations import DATA, computed, gain_on_h200, measured, on_h200, traffic

    assert measured("training_step_cuda")["kd", "graph float32"] == 11_837
    assert [gain_on_h200(number) for number in (1, 4, 6, 16, 99)] == pytest.approx(
        [rate / 21_810 for rate in (21_810, 51_000, (51_000 + 63_660) / 2, 64_747, 64_747)]
    )
    speed = on_h200("graph bf16")
    from mcmi_core.profiles.paper import CIFAR100

    mll = CIFAR100.mll(seed=100)
    student = CIFAR100.distill(mll, 100)
    images = DATA["cifar100"]
    found = computed([mll, student], speed)
    forward, both = (traffic("resnet56", images, backward=b) for b in (False, True))
    # 240 evaluations of the test images, 239 of 10,000 training images and one of all.
    looked_at = 240 * 10_000 + 239 * 10_000 + 50_000
    seconds = (240 * 50_000 + looked_at * forward / both) / measured("training_step_cuda")[
        "mll", "graph bf16"
    ]
    assert found[mll.key] == pytest.approx(seconds)
    assert found[student.key] > 240 * 50_000 / 21_810


def test_schedule(tmp_path, monkeypatch):
    import schedule as script

    monkeypatch.setattr(script, "graphs", lambda: [made_up_graph((4, 2), (1, 3), (5,))])
    monkeypatch.setattr(script, "papers_table", lambda seeds=(0, 1, 2): made_up_graph((1, 1)).runs)
    monkeypatch.setattr(script, "count_the_storage", lambda output: None)  # of real runs only
    monkeypatch.setattr(script, "ROUNDS", 1)
    script.schedule(workers="1,2", output=tmp_path)
    one, two = table(tmp_path / "schedule.md")
    assert one[:3] == ["made up", "5", "1"]
    assert two[7:9] == ["100.0", f"{100 * 15 / 18:.1f}"]
    assert [row[0] for row in table(tmp_path / "schedule_driver.md")] == ["2", "2"]


def test_files_are_those_that_runs_leave(store):
    from _storage import FILES_OF_A_RUN, FILES_OF_LOGITS, storage_row

    from mcmi_core.profiles.paper import CIFAR100

    teacher = mll_teacher(data="digits", recipe=Recipe(epochs=1))
    recipe = Recipe(epochs=9, milestones=(6,), batch_size=512, evaluate_every=9)
    student = kd_student(teacher, data="digits", model="mlp:width=4", recipe=recipe)
    ensure(student, store, torch.device("cpu"))
    count = {run: len(list(store.folder(run).iterdir())) for run in (teacher, student)}
    assert count == {teacher: FILES_OF_A_RUN + FILES_OF_LOGITS, student: FILES_OF_A_RUN}
    mll = CIFAR100.mll(seed=100)
    files = storage_row("both", [mll, CIFAR100.distill(mll, 100, distiller="kd")])[2]
    assert int(files) == sum(count.values())


def test_storage_is_that_of_real_files():
    from _durations import DATA
    from _storage import logits_bytes, pixel_bytes, record_bytes, remembers, weight_bytes

    from mcmi_core.profiles.paper import CIFAR100

    # Ten classes there, and 64 weights and a bias for each of the other ninety.
    file = PROJECT / "weights" / "cifar10_16px_resnet20_mll.safetensors"
    rest = weight_bytes("resnet20", DATA["cifar100"]) - 4 * 90 * (64 + 1)
    assert 0 < file.stat().st_size - rest < 25_000  # names and shapes
    assert logits_bytes("cifar100") == 4 * 162 * 50_000 * 100
    assert pixel_bytes("imagefolder") == (1_281_167 + 50_000) * 3 * 256**2
    assert 10_000 < record_bytes() < 50_000
    mll = CIFAR100.mll(seed=100)
    kinds = (CIFAR100.distill(mll, 100, distiller=name) for name in ("kd", "dkd", "crd", "at"))
    assert [remembers(run, "cifar100") for run in kinds] == [True, True, False, False]
    assert not remembers(mll, "cifar100")

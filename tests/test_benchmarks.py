"""Every benchmark runs, at tiny sizes, and what can be known of its table is right."""

import sys

import pytest
import torch

from mcmi_core.models import create_model
from mcmi_core.paths import PROJECT


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    yield
    for name in ("_measure", "floor", "cpu_step", "cmi_streaming", "evaluation_cost", "packing"):
        sys.modules.pop(name, None)


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


def test_cpu_step(tmp_path):
    from cpu_step import cpu_step

    setting = {"student": "resnet8", "teacher": "resnet8", "image_size": 8, "images": 64}
    sizes = {"batch_size": 4, "steps": 1, "rounds": 1, "threads": 1, "memory": False}
    cpu_step(criteria="mll,kd", output=tmp_path, **setting, **sizes)
    rows = table(tmp_path / "cpu_step.md")
    assert [row[:2] for row in rows] == [
        [criterion, loop] for criterion in ("mll", "kd") for loop in ("ours", "plain")
    ]
    assert [row[3] for row in rows[1::2]] == ["1.00", "1.00"]
    assert all(float(row[2]) > 0 for row in rows)


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
    assert [row[1] for row in table(tmp_path / "evaluation_cost.md")] == ["4000", "1438", "16"]


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


def test_peak_memory_is_that_of_the_work():
    from _measure import peak_megabytes

    assert 95 < peak_megabytes(torch.ones, 25 * 2**20) < 120  # float32: 100 MB

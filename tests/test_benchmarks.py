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
    for name in (
        "_measure",
        "floor",
        "cpu_step",
        "cmi_streaming",
        "evaluation_cost",
        "teacher_cache",
    ):
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


def test_peak_memory_is_that_of_the_work():
    from _measure import peak_megabytes

    assert 95 < peak_megabytes(torch.ones, 25 * 2**20) < 120  # float32: 100 MB

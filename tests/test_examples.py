"""The example that the README names runs, and what it exports is the student."""

import runpy
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mcmi_core.base.paths import PROJECT

SCRIPT = PROJECT / "examples" / "bring_your_own_teacher.py"


@pytest.fixture(params=["pictures", "notes+pets, 2nd"])
def folder(tmp_path, request):
    """Sixty noisy images of two classes, one dark and one bright."""
    root = tmp_path / request.param
    generator = torch.Generator().manual_seed(0)
    for split, size in (("train", 24), ("test", 6)):
        for name, level in (("dark", 40), ("bright", 160)):
            place = root / split / name
            place.mkdir(parents=True)
            for number in range(size):
                noise = torch.randint(80, (8, 8, 3), generator=generator, dtype=torch.uint8)
                Image.fromarray((noise + level).numpy()).save(place / f"{number}.png")
    return root


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # torch.export.load's own
def test_bring_your_own_teacher(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(folder)])
    names = runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["MLL teacher", "MCMI teacher", "student"]
    assert "'accuracy_percent': 100.0" in lines[2]  # dark and bright are easily told apart

    student = names["network"](8, 2)
    student.load_state_dict(load_file(folder / "student.safetensors"))
    exported = torch.export.load(folder / "student.pt2").module()
    images = torch.randn(5, 3, 8, 8)  # another batch size than it was exported with
    torch.testing.assert_close(exported(images), student.eval()(images))


def test_it_stays_short():
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) < 60

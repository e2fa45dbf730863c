"""The Python that README and guides show works as it stands, and their links lead somewhere."""

import re

import pytest
import torch

from mcmi_core.base.paths import PROJECT
from mcmi_core.components import DATASETS, DISTILLERS, OBJECTIVES
from mcmi_core.data.loader import Batch
from mcmi_core.data.split import Dataset
from mcmi_core.models import create_model

SHOWN = [PROJECT / "docs" / "use.md", PROJECT / "docs" / "extending.md"]
BLOCKS = [
    block
    for page in SHOWN
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]
LINK = re.compile(r"\]\(([^)#:]+)\)|\]\((#[^)]+)\)")
DOCUMENTS = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/*.md")]


@pytest.fixture(scope="module")
def shown():
    """The names that the Python blocks define, one after the other."""
    names = {"__name__": "shown"}
    for block in BLOCKS:
        exec(block, names)
    return names


def test_own_teacher(shown, capsys):
    assert 0 <= shown["cmi"].compute() <= torch.tensor(10.0).log()
    assert shown["loss"].known.any()


def test_distiller(shown):
    size = {"num_classes": 3, "in_channels": 5, "image_size": 1}
    student, teacher = (create_model("mlp:width=4", **size) for _ in range(2))
    distiller = shown["LogitRegression"](student, teacher, weight=2.0)
    inputs, labels = torch.randn(6, 5), torch.arange(6) % 3
    batch = Batch(inputs, labels, torch.arange(6))
    assert set(distiller.terms(student, batch)) == {"cross_entropy", "logits"}


def test_objective(shown):
    loss = shown["Focal"](gamma=2.0)
    expected = (2 / 3) ** 2 * torch.tensor(3.0).log()  # all three classes are equally likely
    assert loss(torch.zeros(2, 3), torch.tensor([0, 2])) == pytest.approx(expected)


def test_data_set(shown):
    dataset = shown["noise"](size=12, classes=4)
    assert isinstance(dataset, Dataset)
    assert (dataset.num_classes, dataset.image_size) == (4, 32)


@pytest.mark.parametrize(
    ("registry", "name", "component", "usage"),
    [
        (DISTILLERS, "LogitRegression", "x:weight=2", "x:weight=1.0,cross_entropy_weight=1.0"),
        (OBJECTIVES, "Focal", "x:gamma=1", "x:gamma=2.0"),
        (DATASETS, "noise", "x:size=12", "x:size=100,classes=3"),
    ],
)
def test_what_extends_it_is_a_component_by_one_line(
    registry, name, component, usage, tmp_path, monkeypatch
):
    [block] = [block for block in BLOCKS if re.search(rf"^(class|def) {name}\b", block, re.M)]
    shared = "import torch\nfrom torch.nn import functional as F\n"
    (tmp_path / f"shown_{name}.py").write_text(shared + block, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry, "x", f"shown_{name}:{name}")
    assert registry.usage("x") == usage
    model = create_model("mlp:width=4", num_classes=3, in_channels=5, image_size=1)
    context = {"student": model, "teacher": model, "num_classes": 3}
    assert type(registry.build(component, **context)).__name__ in (name, "Dataset")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    headings = {
        "#" + re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for path, anchor in LINK.findall(text):
        if anchor:
            assert anchor in headings, anchor
        else:
            assert (document.parent / path).exists(), path


def test_tests_that_the_documents_name_exist():
    existing = {path.name for path in (PROJECT / "tests").rglob("test_*.py")}
    for document in DOCUMENTS:
        for name in re.findall(r"\btest_\w+\.py", document.read_text(encoding="utf-8")):
            assert name in existing, f"{document.name} names {name}"


def test_every_decimal_of_the_readme_is_on_the_page_of_results():
    """What README says in a sentence, that page has with its interval."""
    number = re.compile(r"\d+\.\d+")
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    found = readme.split("## What we found")[1].split("\n## ")[0]
    known = set(number.findall((PROJECT / "docs" / "results.md").read_text(encoding="utf-8")))
    assert [value for value in number.findall(found) if value not in known] == []
    assert number.findall(found)

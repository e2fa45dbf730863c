"""Published teachers: what is written is the teacher, and loads by name in one line."""

import re
from dataclasses import replace

import pytest
import torch

from mcmi_core.base.errors import StoreError
from mcmi_core.base.paths import PROJECT
from mcmi_core.data import load_dataset
from mcmi_core.data.loader import evaluation_batches
from mcmi_core.experiments.pair import Pair
from mcmi_core.models import pretrained
from mcmi_core.report.published import publish_teachers
from mcmi_core.runs.execute import execute
from mcmi_core.runs.records import read_record
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import load_model
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=1, schedule="cosine")
PAIR = Pair(
    data="digits",
    teacher="resnet8",
    student="resnet8",
    lam=0.25,
    tracked_lam=0.7,
    recipe=RECIPE,
    fine_tuning=RECIPE,
)
KINDS = ("mll", "fine_tuned", "mcmi_fixed", "mcmi_tracked")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A store with four teachers, and the folder that they were published in."""
    folder = tmp_path_factory.mktemp("published")
    store = Store(folder / "store")
    execute(PAIR.teachers(3), store, workers=1, device=CPU)
    publish_teachers(PAIR, 3, "digits_8px", store, folder / "weights")
    return store, folder / "weights"


@pytest.fixture(autouse=True)
def from_there(published, monkeypatch):
    monkeypatch.setattr(pretrained, "WEIGHTS", published[1])


def test_names_are_data_network_and_kind():
    assert set(pretrained.list_pretrained()) == {f"digits_8px_resnet8_{kind}" for kind in KINDS}


@pytest.mark.parametrize(("kind", "teacher"), list(zip(KINDS, PAIR.teachers(3), strict=True)))
def test_what_is_loaded_is_the_teacher(kind, teacher, published):
    data, about = (
        load_dataset("digits"),
        pretrained.describe_pretrained(f"digits_8px_resnet8_{kind}"),
    )
    [batch] = evaluation_batches(data, data.test, batch_size=len(data.test), device=CPU)
    model = pretrained.load_pretrained(f"digits_8px_resnet8_{kind}")
    assert not model.training
    for name, value in published[0].weights(teacher).items():
        assert torch.equal(model.state_dict()[name], value)
    expected = load_model(teacher, published[0], CPU)(batch.inputs)
    torch.testing.assert_close(model(batch.inputs), expected, rtol=1e-4, atol=1e-4)
    mean, std = (torch.tensor(about[name])[:, None, None] for name in ("mean", "std"))
    scaled = data.test.inputs.float() / 255
    torch.testing.assert_close((scaled - mean) / std, batch.inputs)
    assert about["run"] == teacher.id
    assert about["classes"] == list("0123456789")


def test_the_card_says_what_the_records_say(published):
    store, folder = published
    card = (folder / "README.md").read_text(encoding="utf-8")
    for kind, teacher in zip(KINDS, PAIR.teachers(3), strict=True):
        [line] = [
            line for line in card.splitlines() if line.startswith(f"| `digits_8px_resnet8_{kind}`")
        ]
        train, test = (store.record(teacher).metrics[split] for split in ("train", "test"))
        numbers = [f"{metrics['accuracy_percent']:.1f}" for metrics in (train, test)]
        numbers += [f"{train[name]:.3f}" for name in ("ll_nats", "cmi_nats")]
        assert re.split(r" *\| *", line)[2:8] == [teacher.label, *numbers, f"`{teacher.id}`"]


def test_an_unknown_name_is_refused_with_all_names(monkeypatch, tmp_path):
    with pytest.raises(
        ValueError, match="no published network 'mll'; choose from digits_8px_resne"
    ):
        pretrained.load_pretrained("mll")
    with pytest.raises(ValueError, match="'../store'"):
        pretrained.describe_pretrained("../store")
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    with pytest.raises(ValueError, match="choose from none: .* has no weights"):
        pretrained.load_pretrained("mll")


def test_a_damaged_file_is_named(monkeypatch, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    with pytest.raises(StoreError, match="broken.safetensors is damaged"):
        pretrained.load_pretrained("broken")


def test_what_is_not_trained_is_not_published(published, tmp_path):
    with pytest.raises(StoreError):
        publish_teachers(replace(PAIR, lam=0.3), 3, "digits", published[0], tmp_path)
    assert not (tmp_path / "README.md").exists()


def test_hub_loads_it_from_a_clone():
    name = "digits_8px_resnet8_mll"
    model = torch.hub.load(str(PROJECT), "teacher", name, source="local")
    for key, value in pretrained.load_pretrained(name).state_dict().items():
        assert torch.equal(model.state_dict()[key], value)


def test_the_committed_card_is_that_of_the_committed_records(monkeypatch):
    folder = PROJECT / "weights"
    monkeypatch.setattr(pretrained, "WEIGHTS", folder)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert len(pretrained.list_pretrained()) == len(KINDS)
    for name in pretrained.list_pretrained():
        assert pretrained.load_pretrained(name)(torch.zeros(1, 3, 16, 16)).isfinite().all()
        run = pretrained.describe_pretrained(name)["run"]
        metrics = read_record(PROJECT / "records" / "cpu" / f"{run}.json").metrics
        numbers = [f"{metrics[split]['accuracy_percent']:.1f}" for split in ("train", "test")]
        numbers += [f"{metrics['train'][metric]:.3f}" for metric in ("ll_nats", "cmi_nats")]
        [line] = [line for line in card.splitlines() if line.startswith(f"| `{name}`")]
        assert re.split(r" *\| *", line)[3:8] == [*numbers, f"`{run}`"]

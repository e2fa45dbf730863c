"""Data sets by name: loaded once per process, however the name is written."""

import importlib
import re

import pytest

from mcmi_core.base.registry import Component
from mcmi_core.data import DATASETS, Dataset, load_dataset

PACKAGE = importlib.import_module("mcmi_core.data")
ORACLE = "oracle:classes=3,dimension=16,latent_dimension=2,train_size=9,test_size=6"


@pytest.fixture(autouse=True)
def nothing_loaded():
    """Folders are other ones in every test; no data set of the last may be taken."""
    PACKAGE._load.cache_clear()
    yield
    PACKAGE._load.cache_clear()


def test_the_data_sets_are_these():
    assert list(DATASETS) == ["oracle", "digits", "cifar10", "cifar100", "imagefolder"]


def test_options_reach_the_data_set():
    dataset = load_dataset(ORACLE)
    assert isinstance(dataset, Dataset)
    assert (dataset.num_classes, dataset.in_channels) == (3, 16)
    assert (len(dataset.train), len(dataset.test)) == (9, 6)


def test_a_data_set_is_loaded_once(monkeypatch):
    calls = []
    build = type(DATASETS).build

    def counting(registry, component):
        calls.append(component.name)
        return build(registry, component)

    monkeypatch.setattr(type(DATASETS), "build", counting)
    assert load_dataset("digits") is load_dataset("digits")
    assert calls == ["digits"]


@pytest.mark.parametrize(
    "written",
    [
        "oracle:train_size=9,test_size=6,latent_dimension=2,dimension=16,classes=3",
        "oracle: classes=3, dimension=16, latent_dimension=2, train_size=9, test_size=6",
        ORACLE + ",separation=2.3,images=False,seed=0",
        ORACLE + ",images=no,separation=2.30",
        Component(
            name="oracle", classes=3, dimension=16, latent_dimension=2, train_size=9, test_size=6
        ),
        Component(
            name="oracle",
            classes="3",
            dimension=16.0,
            latent_dimension=2,
            train_size=9,
            test_size=6,
        ),
    ],
)
def test_however_it_is_written(written):
    assert load_dataset(written) is load_dataset(ORACLE)


def test_other_options_are_other_data_sets():
    first, other = load_dataset(ORACLE), load_dataset(ORACLE + ",seed=1")
    assert first is not other
    assert first.fingerprint() != other.fingerprint()


def test_the_last_four_stay_in_memory():
    loaded = [load_dataset(f"{ORACLE},seed={seed}") for seed in range(5)]
    for seed in (4, 3, 2, 1):
        assert load_dataset(f"{ORACLE},seed={seed}") is loaded[seed]
    assert load_dataset(f"{ORACLE},seed=0") is not loaded[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "mnist",
            "unknown data set 'mnist'; choose from oracle, digits, cifar10, cifar100, imagefolder",
        ),
        ("digits:size=8", "unknown option 'size' of data set 'digits'; it takes no options"),
        (
            "oracle:size=8",
            "unknown option 'size' of data set 'oracle'; it takes classes, latent_dimension, "
            "dimension, separation, train_size, test_size, images, seed; did you mean test_size?",
        ),
        (
            "imagefolder",
            "option 'folder' of data set 'imagefolder': Field required",
        ),
    ],
)
def test_unknown_names_and_options_are_refused(data, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_dataset(data)


@pytest.mark.parametrize("option", ["classes=two", "classes=2.5", "separation=inf", "images=maybe"])
def test_values_of_the_wrong_type_are_refused(option):
    key, _, value = option.partition("=")
    with pytest.raises(ValueError, match=f"option '{key}' of data set 'oracle': .*, got '{value}'"):
        load_dataset(f"oracle:{option}")


def test_a_failure_is_not_remembered():
    for _ in range(2):
        with pytest.raises(ValueError, match="^oracle needs at least 2 classes"):
            load_dataset("oracle:classes=1")
    assert PACKAGE._load.cache_info().currsize == 0


def test_options_can_be_given_by_keyword():
    settings = {"train_size": 50, "test_size": 20, "classes": 3}
    expected = load_dataset("oracle:train_size=50,test_size=20,classes=3")
    assert load_dataset("oracle", **settings) is expected
    assert load_dataset("oracle:train_size=9,classes=3", train_size=50, test_size=20) is expected
    with pytest.raises(ValueError, match="unknown option 'clases' of data set 'oracle'"):
        load_dataset("oracle", clases=3)

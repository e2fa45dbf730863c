from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from made_up import PAIR, made_up_lab

from mcmi_core.experiments.experiment import Experiment
from mcmi_core.experiments.pair import Pair

OTHER = replace(PAIR, teacher="mlp:width=128")


@dataclass(frozen=True, kw_only=True)
class Made(Experiment):
    name = "15_made"

    pair: Pair
    pairs: tuple[Pair, ...] = ()
    seeds: tuple[int, ...] = (0, 1)
    fractions: Mapping[str, tuple[float, ...]] | None = None
    omitted: tuple[tuple[int, ...], ...] | None = None
    sampling: str = "first"


def test_settings_print_one_a_line_without_brackets():
    made = Made(pair=PAIR, pairs=(OTHER,), fractions={"kd": (0.05, 0.5)}, omitted=((9,), (9, 7)))
    assert str(made).splitlines() == [
        "pair: mlp:width=64 → mlp:width=8 on oracle",
        "pairs: mlp:width=128 → mlp:width=8 on oracle",
        "seeds: 0, 1",
        "fractions: kd 0.05, 0.5",
        "omitted: 9; 9, 7",
        "sampling: first",
    ]


def test_what_is_not_set_is_not_printed():
    assert "omitted" not in str(Made(pair=PAIR))
    assert str(Made(pair=PAIR, workers=1)).splitlines()[0] == "workers: 1"


def test_all_pairs_of_the_settings():
    """Also where a setting is itself named ``pairs``."""
    assert list(Made(pair=PAIR, pairs=(OTHER, PAIR)).all_pairs()) == [PAIR, OTHER, PAIR]
    assert list(Made(pair=PAIR).all_pairs()) == [PAIR]


def test_a_figure_is_named_after_experiment_part_and_data():
    """Of its first pair; data that is a folder of images has the folder's name."""
    assert Made(pair=PAIR).figure_name() == "15_made_oracle"
    photographs = replace(PAIR, data="imagefolder:folder=cifar10-jpeg,image_size=16")
    made = Made(pair=photographs, pairs=(OTHER,))
    assert made.figure_name("confusion") == "15_made_confusion_cifar10-jpeg"


def test_an_experiment_says_its_runs_and_findings_itself():
    with pytest.raises(NotImplementedError):
        Made(pair=PAIR).runs()
    with pytest.raises(NotImplementedError):
        Made(pair=PAIR).findings(made_up_lab(lambda run: None))


def test_settings_cannot_change():
    with pytest.raises(AttributeError):
        Made(pair=PAIR).seeds = (5,)

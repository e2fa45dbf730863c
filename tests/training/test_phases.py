"""Warm-ups and phases as a training sees them, epoch by epoch."""

import numpy as np
import pytest
import torch
from small_trainings import METHODS, Small, a_criterion, a_plan, images, network

from mcmi_core.components import DISTILLERS
from mcmi_core.distillers._phases import TwoPhases, WarmUp
from mcmi_core.training.loop import run_in_step

WARMING_UP = [name for name in DISTILLERS if issubclass(DISTILLERS.load(name), WarmUp)]
TWO_PHASES = [name for name in DISTILLERS if issubclass(DISTILLERS.load(name), TwoPhases)]


def build(method):
    student = network()
    return a_criterion(method, student, images()), student


def test_these_are_the_distillers_that_change():
    assert set(WARMING_UP) == {"dkd", "reviewkd"}
    assert set(TWO_PHASES) == {"ab", "fsp", "ft"}


@pytest.mark.parametrize("warmup_epochs", [0, 1, 3, 20])
@pytest.mark.parametrize("name", WARMING_UP)
def test_the_weight_grows_with_the_epochs(name, warmup_epochs):
    distiller, _ = build(f"{name}:weight=0.7,warmup_epochs={warmup_epochs}")
    place = distiller.weight_now.data_ptr()
    assert distiller.weight_now == np.float32(0.7 * (1 / warmup_epochs if warmup_epochs else 1))
    for epoch in (0, 1, 2, 3, 9, 18, 19, 20, 239, 4):  # 4: as if resumed
        distiller.start_epoch(epoch)
        share = min((epoch + 1) / warmup_epochs, 1) if warmup_epochs else 1
        assert distiller.weight_now.dtype == torch.float32
        assert distiller.weight_now.shape == ()
        assert distiller.weight_now.item() == np.float32(0.7 * share)
        assert distiller.weight_now.data_ptr() == place
    assert "weight_now" not in distiller.state_dict()


@pytest.mark.parametrize("name", WARMING_UP)
def test_a_resumed_training_has_the_weight_of_its_epoch(name):
    method = f"{name}:warmup_epochs=3"
    whole = Small(method, epochs=4)
    run_in_step([whole.training()])
    for checkpoint in whole.checkpoints[:-1]:
        resumed = Small(method, epochs=4)
        request = next(resumed.training(checkpoint))
        assert request.epoch == checkpoint.epoch
        expected = np.float32(min((request.epoch + 1) / 3, 1))
        assert request.trainee.criterion.weight_now.item() == expected
        run_in_step([resumed.training(checkpoint)])
        resumed.assert_equals(whole)


@pytest.mark.parametrize("method", METHODS)
def test_terms_have_other_names_exactly_in_another_phase(method):
    criterion, student = build(method)
    batch = a_plan(images(), 0)[0]
    if method.startswith("mcmi"):
        criterion.prepare(student, a_plan(images(), 0))
    names, phases = {}, []
    for epoch in (0, 1, 28, 29, 30, 31, 200):
        criterion.start_epoch(epoch)
        phases.append(criterion.phase)
        terms = tuple(criterion.terms(student, batch))
        assert names.setdefault(criterion.phase, terms) == terms
    if method in TWO_PHASES:
        assert [phase == phases[0] for phase in phases] == [True] * 4 + [False] * 3
        assert len(set(phases)) == len(set(names.values())) == 2
    else:
        assert set(phases) == {None}


@pytest.mark.parametrize("initial_epochs", [0, 1, 2])
@pytest.mark.parametrize("name", TWO_PHASES)
def test_the_phase_changes_once_after_the_initial_epochs(name, initial_epochs):
    distiller, _ = build(f"{name}:initial_epochs={initial_epochs}")
    phases = []
    for epoch in range(4):
        distiller.start_epoch(epoch)
        phases.append(distiller.phase)
    assert phases == [epoch < initial_epochs for epoch in range(4)]

"""Distillers with phases, heads or memories: in real runs, resumed bit for bit."""

import pytest
from small_images import assert_same_training, image_student, trained_whole_and_interrupted

RUNS = {
    "crd:num_negatives=50": [{"cross_entropy", "crd"}] * 2,
    "reviewkd:warmup_epochs=2": [{"cross_entropy", "reviewkd"}] * 2,
    "ab:initial_epochs=1": [{"ab"}, {"cross_entropy"}],
    "fsp:initial_epochs=1": [{"fsp"}, {"cross_entropy"}],
    "ft:initial_epochs=1": [{"reconstruction"}, {"cross_entropy", "ft"}],
}
"""Terms of the first and of the second epoch."""


@pytest.mark.parametrize("distiller", RUNS)
def test_interrupted_training_resumes_exactly_in_its_phase(distiller, tmp_path):
    run = image_student(distiller)
    whole, interrupted = trained_whole_and_interrupted(run, tmp_path)
    assert_same_training(whole, interrupted)
    terms = [
        {name.removeprefix("loss_") for name in row if name.startswith("loss_")}
        for row in whole.history
    ]
    assert terms == RUNS[distiller]
    assert whole.record(run).status == "done"
    heads = [name for name in whole.tensors if name.startswith("criterion.")]
    assert bool(heads) == (not distiller.startswith("fsp"))
    assert not any("criterion" in name or "bank" in name for name in whole.weights(run))

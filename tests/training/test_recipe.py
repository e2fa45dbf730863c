"""When a recipe asks for an evaluation."""

import pytest

from mcmi_core.training.recipe import Recipe


def evaluated(recipe):
    return [epoch for epoch in range(1, recipe.epochs + 1) if recipe.evaluates_after(epoch)]


@pytest.mark.parametrize(
    ("epochs", "every", "expected"),
    [
        (5, 1, [1, 2, 3, 4, 5]),
        (7, 3, [3, 6, 7]),
        (3, 10, [3]),
        (4, 0, [1, 2, 3, 4]),
        (25, 0, [*range(1, 11), 12, 14, 16, 18, 20, 22, 24, 25]),
        (80, 0, [*range(1, 11), 16, 24, 32, 40, 48, 56, 64, 72, 80]),
        (240, 0, [*range(1, 11), *range(24, 241, 24)]),
    ],
)
def test_evaluations_come_at_equal_distances_or_dense_early_and_sparse_late(
    epochs, every, expected
):
    assert evaluated(Recipe(epochs=epochs, evaluate_every=every)) == expected


def test_a_tenth_of_the_training_is_always_looked_at():
    """There the dynamics of MLL training are judged."""
    for epochs in range(10, 300):
        assert max(1, epochs // 10) in evaluated(Recipe(epochs=epochs, evaluate_every=0))

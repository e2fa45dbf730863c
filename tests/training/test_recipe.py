"""When a recipe asks for an evaluation, and at which learning rate it trains."""

import pytest

from mcmi_core.training.recipe import RATE_IS_FOR, Recipe


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


def rates(**changes):
    recipe = Recipe(epochs=8, learning_rate=0.1, milestones=(6,), **changes)
    return [recipe.learning_rate_at(epoch) for epoch in range(recipe.epochs)]


@pytest.mark.parametrize(("rule", "factor"), [("no", 1), ("linear", 16), ("sqrt", 4)])
def test_the_rate_follows_the_batch_size_as_the_rule_says(rule, factor):
    at_sixteen_times = rates(batch_size=16 * RATE_IS_FOR, scale_rate=rule)
    assert at_sixteen_times == pytest.approx([0.1 * factor] * 6 + [0.01 * factor] * 2)
    assert rates(scale_rate=rule) == rates()  # at the batch size that it is for


def test_the_rate_warms_up_to_the_scaled_one():
    warmed = rates(batch_size=5 * RATE_IS_FOR, scale_rate="linear", warm_up_epochs=4)
    assert warmed == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.05, 0.05])


def test_a_cosine_falls_from_the_scaled_rate():
    big = rates(batch_size=2 * RATE_IS_FOR, scale_rate="linear", schedule="cosine")
    assert big == pytest.approx([2 * rate for rate in rates(schedule="cosine")])


def test_a_warm_up_scales_with_the_epochs():
    settings = {"scale_rate": "linear", "warm_up_epochs": 6, "milestones": (60,)}
    short = Recipe(epochs=120, **settings).shortened(20)
    assert (short.warm_up_epochs, short.milestones) == (1, (10,))


def test_a_warm_up_needs_two_rates():
    with pytest.raises(ValueError, match="warm_up_epochs=5 needs scale_rate=linear or scale_rate="):
        Recipe(warm_up_epochs=5)


def test_rules_are_named_where_one_is_unknown():
    with pytest.raises(ValueError, match="'no', 'linear' or 'sqrt'"):
        Recipe().changed("scale_rate=cubic")


def test_a_recipe_that_scales_nothing_is_stored_as_before():
    assert not {"scale_rate", "warm_up_epochs"} & Recipe().model_dump().keys()
    scaled = Recipe().changed("batch_size=1024,scale_rate=linear,warm_up_epochs=5")
    assert Recipe(**scaled.model_dump()) == scaled
    assert scaled.learning_rate_at(5) == pytest.approx(0.05 * 1024 / 64)

"""The loop against SGD written out by hand, its resume, its checks and what it reports."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mcmi_core.base.errors import NonFiniteLogits, TrainingCollapsed
from mcmi_core.base.seeding import STEPS, WEIGHTS, derive_seed
from mcmi_core.criterion import Criterion
from mcmi_core.data.loader import Batch
from mcmi_core.training import loop as training
from mcmi_core.training.loop import Checkpoint, Steps, Window, run_in_step, train
from mcmi_core.training.recipe import Recipe

CLASSES, SIZE = 3, 40


class Loss(Criterion):
    """Two terms, a parameter that is trained and a buffer that moves; notes what is called."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))
        self.calls = []

    def prepare(self, model, batches):
        self.calls.append(("prepare", model, [batch.indices.tolist() for batch in batches]))

    def start_epoch(self, epoch):
        self.calls.append(("start_epoch", epoch))

    def check(self, mean_terms):
        self.calls.append(("check", int(self.steps), mean_terms))

    def terms(self, model, batch):
        self.steps += 1
        logits = model(batch.inputs)
        return {
            "fit": F.cross_entropy(logits, batch.labels),
            # The weight of this term depends on the state that a resumed run has to get back.
            "size": 0.01 * self.steps * (self.scale - logits.square().mean()).square(),
        }

    def called(self, name):
        return [details for called, *details in self.calls if called == name]


class OneTerm(Criterion):
    """A term that is what a function of the step (from 0) says, times the mean logit."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.done = 0

    def terms(self, model, batch):
        value = self.factor(self.done) * model(batch.inputs).mean()
        self.done += 1
        return {"cross_entropy": torch.zeros(()), "distance": value}


def make_model(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    layers = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(dropout), nn.Linear(6, 3)
    return nn.Sequential(*layers).double()


def epoch_batches(epoch, batch_size=16):
    """Batches of 16, 16 and 8 samples, in another order in every epoch."""
    inputs = torch.randn(SIZE, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(epoch))
    return [Batch(inputs[i], i % CLASSES, i) for i in order.split(batch_size)]


def run(model, criterion, recipe, batches=epoch_batches, seed=0, evaluate=None, **options):
    evaluate = evaluate or (lambda last: {})
    return train(model, criterion, batches, recipe, seed=seed, evaluate=evaluate, **options)


def keep(checkpoints):
    """Keeps copies: the tensors of a checkpoint are those that training goes on to change."""
    return lambda checkpoint: checkpoints.append(copy.deepcopy(checkpoint))


def assert_equal_state(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def by_hand(model, criterion, rates, momentum, weight_decay):
    """SGD from its definition: v ← m·v + g + d·w, w ← w − rate·v; mean terms of each epoch."""
    parameters = [*model.parameters(), criterion.scale]
    velocities = [torch.zeros_like(p) for p in parameters]
    means = []
    for epoch, rate in enumerate(rates):
        rows = []
        for batch in epoch_batches(epoch):
            terms = criterion.terms(model, batch)
            gradients = torch.autograd.grad(sum(terms.values()), parameters)
            with torch.no_grad():
                for p, v, g in zip(parameters, velocities, gradients, strict=True):
                    v.mul_(momentum).add_(g + weight_decay * p)
                    p.sub_(rate * v)
            rows.append([term.item() for term in terms.values()])
        means.append([sum(column) / len(rows) for column in zip(*rows, strict=True)])
    return means


STEP = [0.1, 0.1, 0.02, 0.004, 0.004]
COSINE = [0.1 * (1 + math.cos(math.pi * epoch / 5)) / 2 for epoch in range(5)]


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [({"milestones": (2, 3), "decay": 0.2}, STEP), ({"schedule": "cosine"}, COSINE)],
    ids=["step", "cosine"],
)
@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 0.01), (0.0, 0.0)])
def test_training_equals_sgd_by_hand(schedule, rates, momentum, weight_decay):
    recipe = Recipe(
        epochs=5, learning_rate=0.1, momentum=momentum, weight_decay=weight_decay, **schedule
    )
    model, criterion = make_model(), Loss()
    start = make_model().state_dict()["0.weight"]
    history = run(
        # The evaluation leaves the model in eval mode, as the true one does.
        model,
        criterion,
        recipe,
        evaluate=lambda last: {"test": {"mode": float(model.eval().training)}},
    )

    plain, loss = make_model().train(), Loss()
    means = by_hand(plain, loss, rates, momentum, weight_decay)
    torch.testing.assert_close(model.state_dict(), plain.state_dict(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(criterion.scale, loss.scale, rtol=1e-9, atol=1e-12)
    assert (model[0].weight - start).abs().max() > 0.01
    assert abs(criterion.scale.item() - 0.5) > 1e-3

    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    assert [row["learning_rate"] for row in history] == pytest.approx(rates)
    for row, mean in zip(history, means, strict=True):
        assert [row["loss_fit"], row["loss_size"]] == pytest.approx(mean, rel=1e-9)


def test_criterion_is_told_what_it_has_to_know():
    model, criterion = make_model(), Loss()
    run(model, criterion.eval(), Recipe(epochs=2))
    assert criterion.training
    [(prepared, indices)] = criterion.called("prepare")
    assert prepared is model
    assert indices == [batch.indices.tolist() for batch in epoch_batches(0)]
    assert criterion.called("start_epoch") == [[0], [1]]
    assert criterion.calls[0][0] == "prepare"


@pytest.mark.parametrize(
    ("epochs", "every", "expected"),
    [
        (5, 2, {2: False, 4: False, 5: True}),
        (4, 2, {2: False, 4: True}),
        (3, 1, {1: False, 2: False, 3: True}),
        (3, 10, {3: True}),
    ],
)
def test_evaluation_comes_every_few_epochs_and_at_the_end(epochs, every, expected):
    asked = []

    def evaluate(last):
        asked.append(last)
        return {"test": {"accuracy_percent": 10.0 * len(asked)}}

    history = run(
        make_model(), Loss(), Recipe(epochs=epochs, evaluate_every=every), evaluate=evaluate
    )
    evaluated = [row["epoch"] for row in history if "metrics" in row]
    assert dict(zip(evaluated, asked, strict=True)) == expected
    assert history[-1]["metrics"] == {"test": {"accuracy_percent": 10.0 * len(asked)}}


def test_evaluation_sees_the_weights_of_the_end_of_its_epoch():
    model, checkpoints, seen = make_model(), [], []

    def evaluate(last):
        seen.append(model[0].weight.detach().clone())
        return {}

    run(model, Loss(), Recipe(epochs=3), evaluate=evaluate, on_epoch_end=keep(checkpoints))
    for weight, checkpoint in zip(seen, checkpoints, strict=True):
        assert torch.equal(weight, checkpoint.tensors["model.0.weight"])


def test_a_checkpoint_follows_every_epoch():
    model, criterion, checkpoints = make_model(), Loss(), []
    history = run(model, criterion, Recipe(epochs=3), on_epoch_end=keep(checkpoints))
    assert [checkpoint.epoch for checkpoint in checkpoints] == [1, 2, 3]
    assert [checkpoint.history for checkpoint in checkpoints] == [history[:n] for n in (1, 2, 3)]
    names = {f"model.{name}" for name in model.state_dict()}
    names |= {"criterion.scale", "criterion.steps"}
    names |= {f"optimizer.{index}.momentum_buffer" for index in range(7)}  # six weights, one scale
    assert checkpoints[-1].tensors.keys() == names
    assert torch.equal(checkpoints[-1].tensors["model.4.weight"], model[4].weight)
    assert checkpoints[-1].tensors["criterion.steps"] == 9


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_resumed_training_equals_uninterrupted(interrupted_after, momentum):
    """Bit for bit, with dropout, batch statistics, momentum and the criterion's own state."""
    recipe = Recipe(
        epochs=4, learning_rate=0.1, momentum=momentum, milestones=(2,), evaluate_every=2
    )
    whole, criterion, checkpoints = make_model(dropout=0.5), Loss(), []
    history = run(
        whole,
        criterion,
        recipe,
        evaluate=lambda last: {"test": {"draw": torch.rand(()).item()}},  # disturbs the generator
        on_epoch_end=keep(checkpoints),
    )

    resumed, resumed_criterion, later = make_model(seed=9, dropout=0.5), Loss(), []
    torch.manual_seed(9)
    again = run(
        resumed,
        resumed_criterion,
        recipe,
        evaluate=lambda last: {"test": {"draw": torch.rand(()).item()}},
        resume_from=checkpoints[interrupted_after - 1],
        on_epoch_end=keep(later),
    )
    assert again == history
    assert_equal_state(resumed, whole)
    assert_equal_state(resumed_criterion, criterion)
    assert later[-1].tensors.keys() == checkpoints[-1].tensors.keys()
    for name, tensor in later[-1].tensors.items():
        assert torch.equal(tensor, checkpoints[-1].tensors[name]), name
    assert resumed_criterion.called("prepare") == []
    assert resumed_criterion.called("start_epoch") == [[e] for e in range(interrupted_after, 4)]


def test_the_last_checkpoint_leaves_nothing_to_do():
    checkpoints = []
    history = run(make_model(), Loss(), Recipe(epochs=2), on_epoch_end=keep(checkpoints))
    model, criterion = make_model(seed=9), Loss()
    again = run(model, criterion, Recipe(epochs=2), resume_from=checkpoints[-1])
    assert again == history
    assert torch.equal(model[0].weight, checkpoints[-1].tensors["model.0.weight"])
    assert criterion.calls == []


def test_a_fresh_checkpoint_is_empty():
    assert Checkpoint() == Checkpoint(epoch=0, history=[], tensors={})
    assert Checkpoint().history is not Checkpoint().history


def dropout_masks(model):
    masks = []
    model[3].register_forward_hook(lambda module, args, output: masks.append(output == 0))
    return masks


@pytest.mark.parametrize(("seed", "equal"), [(3, True), (4, False)])
def test_the_seed_decides_dropout(seed, equal):
    weights = []
    for run_seed in (3, seed):
        model = make_model(dropout=0.5)
        torch.manual_seed(len(weights))  # what was drawn before does not matter
        run(model, Loss(), Recipe(epochs=1), seed=run_seed)
        weights.append(model[0].weight)
    assert torch.equal(*weights) == equal


def test_dropout_differs_from_epoch_to_epoch():
    model = make_model(dropout=0.5)
    model[1], model[2] = nn.Identity(), nn.Identity()  # no other zeros than those of dropout
    masks = dropout_masks(model)
    run(model, Loss(), Recipe(epochs=2, learning_rate=1e-6))
    first, second = masks[:3], masks[3:]
    assert not any(map(torch.equal, first, second))


def test_steps_draw_from_a_stream_of_their_own():
    """Not from that of the initial weights, with which the first epoch once shared its numbers."""
    drawn = []

    def draw(step):
        drawn.append(torch.rand(4))
        return 0.0

    run(make_model(), OneTerm(draw), Recipe(epochs=2), seed=3)
    for epoch, first in enumerate(drawn[::3]):  # of three steps
        generator = torch.Generator().manual_seed(derive_seed(3, epoch, STEPS))
        assert torch.equal(first, torch.rand(4, generator=generator))
    generator = torch.Generator().manual_seed(derive_seed(3, 0, WEIGHTS))
    assert not torch.equal(drawn[0], torch.rand(4, generator=generator))


def test_the_criterion_checks_means_during_an_epoch(monkeypatch):
    """Windows of 3, 3 and 2 of the epoch's 8 steps, each with the means of its own steps."""
    monkeypatch.setattr(training, "CHECK_EVERY", 3)
    model, criterion = make_model(), Loss()
    fits = []
    terms = criterion.terms

    def noted(model, batch):
        result = terms(model, batch)
        fits.append(result["fit"].item())
        return result

    criterion.terms = noted
    history = run(model, criterion, Recipe(epochs=2), batches=lambda e: epoch_batches(e, 5))
    checks = criterion.called("check")
    assert [steps for steps, _ in checks] == [3, 6, 8, 11, 14, 16]
    ends = [(0, 3), (3, 6), (6, 8), (8, 11), (11, 14), (14, 16)]
    expected = [sum(fits[start:end]) / (end - start) for start, end in ends]
    assert [means["fit"] for _, means in checks] == pytest.approx(expected)
    assert checks[0][1].keys() == {"fit", "size"}
    epochs = [sum(fits[:8]) / 8, sum(fits[8:]) / 8]  # over steps, not over windows
    assert [row["loss_fit"] for row in history] == pytest.approx(epochs)


def test_no_check_of_nothing(monkeypatch):
    """Where the epoch ends with a window, no empty one follows."""
    monkeypatch.setattr(training, "CHECK_EVERY", 4)
    criterion = Loss()
    run(make_model(), criterion, Recipe(epochs=1), batches=lambda e: epoch_batches(e, 5))
    assert [steps for steps, _ in criterion.called("check")] == [4, 8]


def test_collapse_said_by_the_criterion_stops_at_once_and_names_the_epoch(monkeypatch):
    monkeypatch.setattr(training, "CHECK_EVERY", 2)
    criterion, checkpoints = Loss(), []

    def check(mean_terms):
        if criterion.steps > 9:  # the second epoch begins with step 9
            raise TrainingCollapsed("worse than guessing. Try a smaller λ.")

    criterion.check = check
    with pytest.raises(TrainingCollapsed, match="^epoch 2: worse than guessing. Try a smaller λ.$"):
        run(
            make_model(),
            criterion,
            Recipe(epochs=3),
            batches=lambda e: epoch_batches(e, 5),
            on_epoch_end=keep(checkpoints),
        )
    assert criterion.steps == 10
    assert [checkpoint.epoch for checkpoint in checkpoints] == [1]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_term_that_is_not_finite_is_named(value, monkeypatch):
    monkeypatch.setattr(training, "CHECK_EVERY", 2)
    model = make_model()
    nn.init.ones_(model[4].bias)  # the mean logit is positive
    nn.init.zeros_(model[4].weight)
    criterion = OneTerm(lambda step: value if step == 4 else 0.0)  # three steps an epoch
    excluded = ", unless a logit of −inf excludes a class that a label or teacher names"
    remedy = "try a smaller learning rate" + (excluded if value == math.inf else "")
    message = f"^epoch 2: distance is {value}; {remedy}$"
    with pytest.raises(TrainingCollapsed, match=message):
        run(model, criterion, Recipe(epochs=5))
    assert criterion.done == 5


@pytest.mark.parametrize("epochs", [2, 3], ids=["at the end", "in between"])
def test_logits_that_are_not_finite_are_a_collapse(epochs):
    """Terms are those before a step, so the last step may ruin the weights unnoticed."""
    asked, checkpoints = [], []

    def evaluate(last):
        asked.append(last)
        if len(asked) == 2:
            raise NonFiniteLogits("the logits contain NaN or inf")
        return {}

    message = "^epoch 2: the logits contain NaN or inf; try a smaller learning rate$"
    with pytest.raises(TrainingCollapsed, match=message):
        run(
            make_model(),
            Loss(),
            Recipe(epochs=epochs),
            evaluate=evaluate,
            on_epoch_end=keep(checkpoints),
        )
    assert asked == [False, epochs == 2]
    assert [checkpoint.epoch for checkpoint in checkpoints] == [1]


def test_a_criterion_needs_no_more_than_terms():
    history = run(make_model(), OneTerm(lambda step: step), Recipe(epochs=1))
    terms = {"loss_cross_entropy", "loss_distance"}
    assert history[0].keys() == {"epoch", "learning_rate", "metrics"} | terms


def asking(name, epochs, closed, error=None):
    """A training without anything to train; returns the windows that it was sent."""
    answers = []
    try:
        for epoch in epochs:
            answers.append((yield Steps(epoch, name, [], range(1))))
        if error:
            raise error
        return answers
    finally:
        closed.append(name)


def advance_and_note(rounds):
    def advance(requests):
        rounds.append([(steps.trainee, steps.epoch) for steps in requests])
        return [Window({}, len(requests)) for _ in requests]

    return advance


def test_trainings_run_in_step_once_those_behind_have_caught_up():
    rounds, closed = [], []
    trainings = [
        asking("short", range(2), closed),
        asking("resumed", range(1, 3), closed),
        asking("finished", [], closed),
    ]
    short, resumed, finished = run_in_step(trainings, advance_and_note(rounds))
    assert rounds == [[("short", 0)], [("short", 1), ("resumed", 1)], [("resumed", 2)]]
    assert [window.together for window in short] == [1, 2]
    assert [window.together for window in resumed] == [2, 1]
    assert finished == []


def test_an_error_closes_all_trainings_before_it_is_raised():
    closed = []
    trainings = [
        asking("failing", range(1), closed, ValueError("broken")),
        asking("healthy", range(9), closed),
    ]
    with pytest.raises(ValueError, match="broken"):
        run_in_step(trainings, advance_and_note([]))
    assert closed == ["failing", "healthy"]


def test_an_epoch_without_a_step_is_refused():
    with pytest.raises(ValueError, match="no step: a batch needs at least two samples"):
        run(make_model(), Loss(), Recipe(epochs=1), batches=lambda epoch: [])

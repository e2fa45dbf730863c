"""The MCMI surrogate against autograd through the exact CMI, and the centroid policies."""

import math

import pytest
import torch
from torch import nn

from mcmi_core.base.errors import TrainingCollapsed
from mcmi_core.cmi import class_centroids, conditional_mutual_information
from mcmi_core.components import OBJECTIVES
from mcmi_core.data.loader import Batch
from mcmi_core.objectives import (
    EntropyBonusLoss,
    LabelSmoothingLoss,
    MCMILoss,
    MLLLoss,
    SquaredErrorLoss,
)

CLASSES = 4


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 7 + [1] * 5 + [2] * 2 + [3])
    logits = 2 * torch.randn(len(labels), CLASSES, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), labels


def _epoch(inputs, labels, size):
    indices = torch.arange(len(labels))
    columns = zip(inputs.split(size), labels.split(size), indices.split(size), strict=True)
    return [Batch(*column) for column in columns]


def test_surrogate_gradient_is_the_gradient_of_the_exact_cmi(batch):
    """The envelope theorem: at the optimal Q, holding Q constant changes no gradient."""
    logits, labels = batch
    centroids = class_centroids(logits.detach().softmax(1), labels, CLASSES)
    lam = 0.7
    (surrogate,) = torch.autograd.grad(MCMILoss(lam, centroids)(logits, labels), logits)
    exact_loss = nn.functional.cross_entropy(logits, labels) - lam * conditional_mutual_information(
        logits.softmax(1), labels
    )
    (exact,) = torch.autograd.grad(exact_loss, logits)
    torch.testing.assert_close(surrogate, exact, rtol=0, atol=1e-9)


def test_surrogate_gradient_differs_away_from_the_optimal_centroids(batch):
    """The check above can fail: with other centroids, the two gradients are not the same."""
    logits, labels = batch
    uniform = torch.full((CLASSES, CLASSES), 1 / CLASSES, dtype=torch.float64)
    (surrogate,) = torch.autograd.grad(MCMILoss(1.0, uniform)(logits, labels), logits)
    exact_loss = nn.functional.cross_entropy(logits, labels) - conditional_mutual_information(
        logits.softmax(1), labels
    )
    (exact,) = torch.autograd.grad(exact_loss, logits)
    assert (surrogate - exact).abs().max() > 1e-2


def test_loss_equals_its_definition(batch):
    logits, labels = batch
    centroids = torch.rand(CLASSES, CLASSES, dtype=torch.float64).softmax(1)
    probs = logits.detach().softmax(1)
    expected = sum(
        -math.log(probs[i, y])
        - 0.25
        * sum(
            p * math.log(p / q)
            for p, q in zip(probs[i].tolist(), centroids[y].tolist(), strict=True)
        )
        for i, y in enumerate(labels.tolist())
    ) / len(labels)
    assert MCMILoss(0.25, centroids)(logits, labels).item() == pytest.approx(expected, rel=1e-12)


def test_zero_lambda_is_maximum_log_likelihood(batch):
    logits, labels = batch
    centroids = torch.eye(CLASSES, dtype=torch.float64)
    torch.testing.assert_close(MCMILoss(0, centroids)(logits, labels), MLLLoss()(logits, labels))


def test_centroids_get_no_gradient(batch):
    logits, labels = batch
    loss = MCMILoss(1.0, torch.eye(CLASSES, dtype=torch.float64))
    assert not list(loss.parameters())
    assert not loss(logits, labels).isnan()


def test_prepare_computes_centroids_in_train_mode_over_all_batches():
    """Train mode: batch normalisation uses each batch's own statistics, as the authors' code."""
    model = nn.Sequential(nn.Linear(3, CLASSES), nn.BatchNorm1d(CLASSES)).double().eval()
    inputs, labels = torch.randn(40, 3, dtype=torch.float64), torch.arange(40) % CLASSES
    loss = MCMILoss(0.1, "fixed", num_classes=CLASSES).double()
    loss.prepare(model, _epoch(inputs, labels, size=10))
    assert model.training
    outputs = torch.cat([model(part).softmax(1) for part in inputs.split(10)])
    torch.testing.assert_close(loss.centroids, class_centroids(outputs, labels, CLASSES).detach())
    expected = outputs.gather(1, labels[:, None]).log().mean()
    assert loss.initial_log_likelihood.item() == pytest.approx(expected.item())


def test_fixed_centroids_do_not_move(batch):
    logits, labels = batch
    loss = MCMILoss(0.1, "fixed", num_classes=CLASSES).double()
    loss.prepare(nn.Identity(), _epoch(logits.detach(), labels, size=15))
    before = loss.centroids.clone()
    loss(logits + 1, labels)
    assert torch.equal(loss.centroids, before)


def test_tracked_centroids_are_a_moving_average_of_class_means(batch):
    logits, labels = batch
    probs = logits.detach().softmax(1)
    loss = MCMILoss(0.1, "tracked", momentum=0.9, num_classes=CLASSES).double()
    first, second = slice(0, 12), slice(7, 15)  # classes 0 and 1, then 1, 2 and 3
    loss(logits[first], labels[first])
    means = class_centroids(probs[first], labels[first], CLASSES)
    torch.testing.assert_close(loss.centroids[:2], means[:2])  # first sight: taken whole
    before = loss.centroids.clone()
    loss(logits[second], labels[second])
    later = class_centroids(probs[second], labels[second], CLASSES)
    torch.testing.assert_close(loss.centroids[0], before[0])  # absent: unchanged
    torch.testing.assert_close(loss.centroids[1], 0.9 * before[1] + 0.1 * later[1])
    torch.testing.assert_close(loss.centroids[3], later[3])


def test_tracked_centroids_rest_in_eval_mode(batch):
    logits, labels = batch
    loss = MCMILoss(0.1, "tracked", num_classes=CLASSES).double()
    loss(logits, labels)
    before = loss.centroids.clone()
    loss.eval()(logits + torch.randn_like(logits), labels)
    assert torch.equal(loss.centroids, before)


def test_state_dict_carries_the_centroids(batch):
    logits, labels = batch
    loss = MCMILoss(0.1, "tracked", num_classes=CLASSES).double()
    loss(logits, labels)
    resumed = MCMILoss(0.1, "tracked", num_classes=CLASSES).double()
    resumed.load_state_dict(loss.state_dict())
    torch.testing.assert_close(resumed(logits, labels), loss(logits, labels))


def test_one_hot_outputs_give_a_finite_loss_and_gradient():
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    loss = MCMILoss(1.0, torch.eye(2))(logits, torch.tensor([0, 1]))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize("policy", ["fixed", "tracked"])
@pytest.mark.parametrize("cross_entropy", [2.0, math.nan])
def test_collapse_names_lambda_policy_and_remedy(policy, cross_entropy):
    loss = MCMILoss(0.4, policy, num_classes=CLASSES)
    loss.check({"cross_entropy": math.log(CLASSES) - 0.01})  # still better than guessing
    remedy = "centroids=tracked" if policy == "fixed" else "smaller learning rate"
    with pytest.raises(TrainingCollapsed, match=f"λ = 0.4 and {policy} centroids") as error:
        loss.check({"cross_entropy": cross_entropy})
    assert policy in str(error.value) and remedy in str(error.value)


def test_collapse_is_losing_half_of_what_training_had_won():
    loss = MCMILoss(0.4, "fixed", num_classes=CLASSES)
    loss.initial_log_likelihood.fill_(-0.2)
    halfway = (0.2 + math.log(CLASSES)) / 2
    loss.check({"cross_entropy": halfway - 0.01})
    with pytest.raises(TrainingCollapsed, match=r"it was -0\.20 before fine-tuning"):
        loss.check({"cross_entropy": halfway + 0.01})


def test_objectives_build_by_name():
    loss = OBJECTIVES.build("mcmi:lam=0.25,centroids=tracked", num_classes=10)
    assert (loss.lam, loss.policy, loss.momentum) == (0.25, "tracked", 0.9)
    assert isinstance(OBJECTIVES.build("mll", num_classes=10), MLLLoss)
    assert OBJECTIVES.build("label_smoothing:share=0.2", num_classes=10).share == 0.2
    assert OBJECTIVES.build("entropy:weight=0.3", num_classes=10).weight == 0.3
    assert isinstance(OBJECTIVES.build("mse", num_classes=10), SquaredErrorLoss)


def minimiser(objective, label=2):
    """The distribution that an objective makes of one certain label, found by LBFGS."""
    logits = torch.zeros(1, CLASSES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12)

    def closure():
        optimizer.zero_grad()
        loss = objective(logits, torch.tensor([label]))
        loss.backward()
        return loss

    optimizer.step(closure)
    return logits.detach().softmax(1)[0]


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_smoothed_labels_are_learned(share):
    expected = torch.full((CLASSES,), share / CLASSES, dtype=torch.float64)
    expected[2] += 1 - share
    probs = minimiser(LabelSmoothingLoss(share))
    torch.testing.assert_close(probs, expected, rtol=0, atol=1e-5)
    assert probs[2].log() == pytest.approx(math.log(1 - share + share / CLASSES), abs=1e-4)


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_an_entropy_bonus_balances_label_and_entropy(weight):
    """Where p is the label's probability: 1/p = weight · log(p (C − 1) / (1 − p))."""
    probs = minimiser(EntropyBonusLoss(weight))
    p = probs[2].item()
    assert 1 / p == pytest.approx(weight * math.log(p * (CLASSES - 1) / (1 - p)), rel=1e-4)
    torch.testing.assert_close(probs[[0, 1]], probs[[1, 3]], rtol=0, atol=1e-6)


def test_entropy_bonus_equals_its_definition(batch):
    logits, labels = batch
    rows = logits.detach().softmax(1).tolist()
    entropy = -sum(p * math.log(p) for row in rows for p in row) / len(rows)
    terms = EntropyBonusLoss(0.3).loss_terms(logits, labels)
    assert terms["negative_entropy"].item() == pytest.approx(-0.3 * entropy, rel=1e-12)
    torch.testing.assert_close(terms["cross_entropy"], MLLLoss()(logits, labels))


def test_mcmi_with_uniform_centroids_is_an_entropy_malus(batch):
    """KL(P ‖ uniform) = log C − H(P): there the two pull in opposite directions."""
    logits, labels = batch
    uniform = torch.full((CLASSES, CLASSES), 1 / CLASSES, dtype=torch.float64)
    mcmi = MCMILoss(0.3, uniform).loss_terms(logits, labels)["negative_cmi"]
    bonus = EntropyBonusLoss(0.3).loss_terms(logits, labels)["negative_entropy"]
    torch.testing.assert_close(mcmi + bonus, torch.tensor(-0.3 * math.log(CLASSES)).double())


def test_squared_error_equals_its_definition_and_its_gradient(batch):
    logits, labels = batch
    rows = zip(logits.detach().softmax(1).tolist(), labels.tolist(), strict=True)
    expected = sum((p - (k == y)) ** 2 for row, y in rows for k, p in enumerate(row)) / len(labels)
    loss = SquaredErrorLoss()(logits, labels)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    (gradient,) = torch.autograd.grad(loss, logits)
    probs = logits.detach().softmax(1)
    error = 2 * (probs - torch.eye(CLASSES, dtype=torch.float64)[labels])
    by_hand = probs * (error - (probs * error).sum(1, keepdim=True)) / len(labels)
    torch.testing.assert_close(gradient, by_hand)


def test_squared_error_is_least_at_the_true_distribution():
    """A proper score: labels drawn as 3 : 1 make an output of (¾, ¼) the best."""
    labels = torch.tensor([0, 0, 0, 1])
    candidates = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    losses = [
        SquaredErrorLoss()(torch.stack([p, 1 - p]).log().expand(4, 2), labels) for p in candidates
    ]
    assert candidates[torch.stack(losses).argmin()] == pytest.approx(0.75)


def test_without_share_or_weight_only_log_likelihood_is_left(batch):
    logits, labels = batch
    expected = MLLLoss()(logits, labels)
    torch.testing.assert_close(LabelSmoothingLoss(0.0)(logits, labels), expected)
    torch.testing.assert_close(EntropyBonusLoss(0.0)(logits, labels), expected)


@pytest.mark.parametrize("make", [lambda: EntropyBonusLoss(1.0), SquaredErrorLoss])
def test_one_hot_outputs_give_finite_alternatives(make):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    loss = make()(logits, torch.tensor([0, 1]))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


LOGITS, LABELS = torch.zeros(2, 3), torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MCMILoss(-0.1, "fixed", num_classes=3), "lam must be .* got -0.1"),
        (lambda: MCMILoss(math.nan, "fixed", num_classes=3), "lam must be .* got nan"),
        (lambda: MCMILoss(0.1, "fixed", 1.0, 3), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: MCMILoss(0.1, "moving", num_classes=3), "'fixed' or 'tracked', got 'moving'"),
        (lambda: MCMILoss(0.1, "tracked"), "centroids='tracked' needs num_classes"),
        (lambda: MCMILoss(0.1, torch.zeros(2, 3)), r"centroids must be \(C, C\), got \(2, 3\)"),
        (lambda: MCMILoss(0.1, torch.eye(4))(LOGITS, LABELS), "logits have 3 columns, not 4"),
        (lambda: MCMILoss(0.1, torch.eye(3))(LOGITS, LABELS + 1), r"label 3 is outside 0\.\.2"),
        (
            lambda: MCMILoss(0.1, "fixed", num_classes=3)(LOGITS, LABELS),
            "fixed centroids are not known yet; call prepare",
        ),
        (lambda: MLLLoss()(LOGITS, LABELS[:1]), "labels must be"),
        (lambda: LabelSmoothingLoss(1.0), r"share must be in \[0, 1\), got 1.0"),
        (lambda: LabelSmoothingLoss(math.nan), r"share must be in \[0, 1\), got nan"),
        (lambda: LabelSmoothingLoss(0.1)(LOGITS, LABELS[:1]), "labels must be"),
        (lambda: EntropyBonusLoss(-1.0), r"weight must be .* got -1\.0"),
        (lambda: EntropyBonusLoss(math.inf), "weight must be .* got inf"),
        (lambda: EntropyBonusLoss(0.1)(LOGITS, LABELS[:1]), "labels must be"),
        (lambda: SquaredErrorLoss()(LOGITS, LABELS[:1]), "labels must be"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()

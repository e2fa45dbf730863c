"""What training leaves behind: metrics, history, and collapses that an evaluation finds."""

import gc
import math
from weakref import WeakValueDictionary

import pytest
import torch
from small_runs import DATA, kd_student, mll_teacher

from mcmi_core.base.errors import NonFiniteLogits, StoreError
from mcmi_core.components import MODELS
from mcmi_core.data import load_dataset
from mcmi_core.measures.evaluation import evaluate
from mcmi_core.models._base import Classifier
from mcmi_core.runs import trainer
from mcmi_core.runs.config import Measurement
from mcmi_core.runs.records import flat_metrics
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import _Job, ensure, ensure_together, load_model
from mcmi_core.training.recipe import Recipe

CPU = torch.device("cpu")
METRICS = ["accuracy_percent", "ll_nats", "cmi_nats", "entropy_nats", "bcpd_kl_nats"]
ALL_AT_ONCE = 200
"""A batch of the whole training split: every epoch is a single step."""


def columns_of(record, split):
    return [name for name in record.history if name.startswith(f"{split}_")]


def test_metrics_are_those_of_the_last_epoch(store):
    recipe = Recipe(epochs=3, evaluate_every=2)
    record = ensure(mll_teacher(recipe=recipe), store, CPU)
    assert list(record.history)[:3] == ["epoch", "learning_rate", "loss_cross_entropy"]
    assert columns_of(record, "test") == [f"test_{name}" for name in METRICS]
    assert columns_of(record, "train") == [f"train_{name}" for name in METRICS]
    assert len(record.history) == 3 + 2 * len(METRICS)
    assert list(record.metrics) == ["train", "test"]
    for name, value in flat_metrics(record.metrics).items():
        first, second, last = record.history[name]
        assert first is None and last == value
        assert (second is None) == name.startswith("train")  # looked at in the end only


def test_both_splits_are_evaluated_every_time_if_the_recipe_says_so(store):
    recipe = Recipe(epochs=2, evaluate_train=True)
    record = ensure(mll_teacher(recipe=recipe), store, CPU)
    assert all(None not in values for values in record.history.values())
    assert len(columns_of(record, "train")) == len(METRICS)


@pytest.fixture
def looked_at(monkeypatch):
    """The splits that are evaluated, in order."""
    splits = []

    def noted(model, dataset, split, device):
        splits.append(split)
        return evaluate(model, dataset, split, device)

    monkeypatch.setattr(trainer, "evaluate", noted)
    return splits


def test_between_epochs_equal_shares_of_every_class_are_evaluated(store, looked_at, monkeypatch):
    monkeypatch.setattr(trainer, "GLANCED_SAMPLES", 40)
    recipe = Recipe(epochs=3, evaluate_every=1, evaluate_train=True)
    # Every fifth sample would be of one class: their labels take turns.
    run = mll_teacher(recipe=recipe, data=DATA.replace("classes=4", "classes=5"))
    ensure(run, store, CPU)
    first, second, last = looked_at[1::2]
    train = load_dataset(run.data).train
    assert first is second
    assert len(first) <= 40
    assert torch.equal(last.inputs, train.inputs)
    assert first.labels.bincount().tolist() == [40 / 5] * 5


def test_runs_on_the_same_samples_share_them_while_they_are_trained(store, looked_at, monkeypatch):
    samples = WeakValueDictionary()
    monkeypatch.setattr(trainer, "_samples", samples)
    recipe = Recipe(epochs=2, evaluate_train=True)
    ensure_together([mll_teacher(recipe=recipe, seed=seed) for seed in range(2)], store, CPU)
    assert len(looked_at) == 2 * 2 * 2
    assert len({id(split) for split in looked_at}) == 2
    gc.collect()
    assert len(samples) == 0


def rates_that_explode(epochs, rate):
    """Of the second epoch and those after it; momentum would only carry them on."""
    return Recipe(
        epochs=epochs,
        batch_size=ALL_AT_ONCE,
        learning_rate=0.05,
        momentum=0,
        weight_decay=0,
        milestones=(1,),
        decay=rate / 0.05,
    )


@pytest.mark.parametrize("epochs", [2, 3], ids=["at the end", "in between"])
@pytest.mark.parametrize(
    ("rate", "finite"), [(1e300, False), (1e30, True)], ids=["infinite weights", "finite weights"]
)
def test_infinite_logits_are_a_collapse(rate, finite, epochs, store):
    """The loss of the only step in the second epoch is finite: it is that before the step."""
    run = mll_teacher(recipe=rates_that_explode(epochs, rate))
    record = ensure(run, store, CPU)
    weights = store.weights(run).values()
    assert all(weight.isfinite().all() for weight in weights) == finite
    assert record.status == "collapsed"
    expected = "epoch 2: the logits contain NaN or inf; try a smaller learning rate"
    assert record.message == expected
    assert record.metrics == {}
    assert record.history["epoch"] == [1]
    assert 0 <= record.history["test_accuracy_percent"][0] <= 100
    epochs_again = []
    again = ensure(run, store, CPU, lambda: epochs_again.append(1))
    assert (again.status, again.message) == ("collapsed", expected)
    assert epochs_again == []


def test_a_collapse_in_a_member_does_not_stop_the_others(store, monkeypatch):
    """Students of one shape, of which one has infinite logits after its last step."""
    runs = [kd_student(seed=seed) for seed in range(3)]
    ensure(runs[0].parent, store, CPU)
    evaluated = []

    def fails_once(*arguments):
        evaluated.append(arguments)
        if len(evaluated) == 2:
            raise NonFiniteLogits("the logits contain NaN or inf")
        return evaluate(*arguments)

    monkeypatch.setattr("mcmi_core.runs.trainer.evaluate", fails_once)
    records = ensure_together(runs, store, CPU)
    assert sorted(record.status for record in records) == ["collapsed", "done", "done"]


@pytest.fixture
def bad_test_split(monkeypatch):
    """What comes of evaluating the test split, instead of the truth; an error is raised."""
    results = {}

    def evaluate_unless_test(model, dataset, split, device):
        if len(split) == len(dataset.test):
            if isinstance(results["test"], Exception):
                raise results["test"]
            return results["test"]
        return evaluate(model, dataset, split, device)

    monkeypatch.setattr("mcmi_core.runs.trainer.evaluate", evaluate_unless_test)
    return results


def test_a_collapsed_run_keeps_the_metrics_that_exist(store, bad_test_split):
    bad_test_split["test"] = NonFiniteLogits("the logits contain NaN or inf")
    record = ensure(mll_teacher(), store, CPU)
    assert record.status == "collapsed"
    assert record.history.keys() == {"epoch", "learning_rate", "loss_cross_entropy"}
    assert record.metrics.keys() == {"train"}
    assert list(record.metrics["train"]) == METRICS


def test_a_probability_of_exactly_zero_is_a_collapse(store, bad_test_split):
    """Only an infinite logit gives one, and a record of −inf would spoil every mean."""
    bad_test_split["test"] = {"accuracy_percent": 50.0, "ll_nats": -math.inf}
    record = ensure(mll_teacher(), store, CPU)
    assert (record.status, record.metrics.keys()) == ("collapsed", {"train"})
    expected = "epoch 2: test_ll_nats is -inf: some logits are infinite; try a smaller"
    assert record.message.startswith(expected)


def test_other_errors_of_an_evaluation_are_no_collapse(store, bad_test_split):
    bad_test_split["test"] = ValueError("labels must be integers")
    with pytest.raises(ValueError, match="labels must be integers"):
        ensure(mll_teacher(), store, CPU)
    assert store.record(mll_teacher()) is None


def test_seconds_add_up_over_interruptions(store, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))

    def stop():
        raise KeyboardInterrupt

    run = mll_teacher(epochs=2)
    with pytest.raises(KeyboardInterrupt):
        ensure(run, store, CPU, stop)
    _, before = store.load_checkpoint(run, CPU)
    # It began at 0, and looked at the clock before it saved and after it.
    assert before["seconds"] == 20
    # It goes on at 40, saves a checkpoint from 50 to 70 and is done at 80.
    assert ensure(run, store, CPU).provenance["seconds"] == 20 + 80 - 40


@pytest.fixture
def clock(monkeypatch):
    """An epoch takes 3 s, a checkpoint 1 s; the epochs that have one."""
    saved, now = [], [0.0]
    save = Store.save_checkpoint

    def slow(store, run, checkpoint, provenance):
        save(store, run, checkpoint, provenance)
        saved.append(checkpoint.epoch)
        now[0] += 1

    def epoch_batches(job, epoch):
        now[0] += 3
        return batches(job, epoch)

    batches = _Job.epoch_batches
    monkeypatch.setattr(_Job, "epoch_batches", epoch_batches)
    monkeypatch.setattr(Store, "save_checkpoint", slow)
    monkeypatch.setattr("mcmi_core.runs.trainer.TIME_FOR_CHECKPOINTS", 0.05)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return saved


def test_checkpoints_take_a_twentieth_of_the_time(store, clock):
    ensure(mll_teacher(epochs=20), store, CPU)
    assert clock == [1, 8, 15]  # 21 s apart, since 18 are too few


def test_where_an_epoch_takes_long_enough_every_one_has_a_checkpoint(store, clock, monkeypatch):
    monkeypatch.setattr("mcmi_core.runs.trainer.TIME_FOR_CHECKPOINTS", 1 / 3)
    ensure(mll_teacher(epochs=4), store, CPU)
    assert clock == [1, 2, 3, 4]


def test_an_interrupted_run_goes_on_from_an_older_checkpoint_to_the_same_result(tmp_path, clock):
    whole, interrupted = Store(tmp_path / "whole"), Store(tmp_path / "interrupted")
    run, epochs = mll_teacher(epochs=6), []
    ensure(run, whole, CPU)
    clock.clear()

    def stop():
        epochs.append(1)
        if len(epochs) in (3, 5):
            raise KeyboardInterrupt

    for checkpoint in (1, 2):  # after the first epoch of each process
        with pytest.raises(KeyboardInterrupt):
            ensure(run, interrupted, CPU, stop)
        assert interrupted.load_checkpoint(run, CPU)[0].epoch == checkpoint
    ensure(run, interrupted, CPU, stop)
    assert clock == [1, 2, 3]
    assert len(epochs) == 3 + 2 + 4
    assert interrupted.record(run).history == whole.record(run).history
    weights, others = interrupted.weights(run), whole.weights(run)
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_measurement_has_no_network(tmp_path):
    run = Measurement(of=mll_teacher(), what="temperature_sweep:temperatures=1")
    message = f"{run.id} has no network; use the run that it measured, {run.of.id}"
    with pytest.raises(StoreError, match=message):
        load_model(run, Store(tmp_path), CPU)


class Tied(Classifier):
    """Two layers that share one square weight, as the two ends of an autoencoder do."""

    def __init__(self, *, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        self.first = torch.nn.Linear(in_channels, in_channels, bias=False)
        self.second = torch.nn.Linear(in_channels, in_channels)
        self.second.weight = self.first.weight
        self.head = torch.nn.Linear(in_channels, num_classes)

    def features(self, inputs):
        hidden = self.second(self.first(inputs).relu()).relu()
        return [hidden], self.head(hidden)


def test_tied_weights_are_kept_resumed_and_still_tied(store, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "tied", f"{__name__}:Tied")
    run = mll_teacher(model="tied")

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(run, store, CPU, stop)
    ensure(run, store, CPU)
    whole = Store(tmp_path / "whole")
    ensure(run, whole, CPU)
    assert store.record(run).metrics == whole.record(run).metrics
    model = load_model(run, store, CPU)
    assert model.first.weight is model.second.weight
    assert store.record(run).metrics["train"]["accuracy_percent"] > 50  # of four classes

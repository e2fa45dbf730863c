"""Metrics, objectives and losses in loops of other people: what they take, and what they refuse."""

import copy
import io
import math
import pickle
import re

import pytest
import torch
from torch import nn
from torchmetrics import MetricCollection

from mcmi_core import losses
from mcmi_core.cmi import (
    ConditionalMutualInformation,
    LogLikelihood,
    OutputSums,
    bayes_divergence,
    class_centroids,
    conditional_mutual_information,
    log_likelihood,
)
from mcmi_core.data.loader import Batch
from mcmi_core.losses import dkd_loss, kd_loss
from mcmi_core.objectives import (
    EntropyBonusLoss,
    LabelSmoothingLoss,
    MCMILoss,
    MLLLoss,
    SquaredErrorLoss,
)

SAMPLES, CLASSES = 7, 5
METRICS = [ConditionalMutualInformation, LogLikelihood]


def measured(metric_class):
    def call(logits, labels):
        metric = metric_class(CLASSES)
        metric.update(logits, labels)
        return metric.compute()

    return call


def of_probs(function):
    """In the type of the logits, as a user's softmax is."""
    return lambda logits, labels: function(logits.softmax(1), labels)


def centroids(logits, labels):
    return class_centroids(logits.softmax(1), labels, CLASSES)


UNIFORM = torch.full((CLASSES, CLASSES), 1 / CLASSES)
OBJECTIVES = {
    "mll": MLLLoss,
    "mcmi fixed": lambda: MCMILoss(0.5, UNIFORM),
    "mcmi tracked": lambda: MCMILoss(0.5, "tracked", num_classes=CLASSES),
    "label smoothing": lambda: LabelSmoothingLoss(0.1),
    "entropy bonus": lambda: EntropyBonusLoss(0.3),
    "squared error": SquaredErrorLoss,
}
METRIC_CALLS = {metric.__name__: measured(metric) for metric in METRICS}
LOSS_CALLS = {
    **{name: lambda z, y, make=make: make()(z, y) for name, make in OBJECTIVES.items()},
    "dkd": lambda z, y: losses.dkd_loss(z, z.flip(1), y, 1.0, 8.0, 4.0),
}
FUNCTION_CALLS = {
    "cmi": of_probs(conditional_mutual_information),
    "log likelihood": of_probs(log_likelihood),
    "centroids": centroids,
}
CALLS = METRIC_CALLS | LOSS_CALLS | FUNCTION_CALLS
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)

PAIRED = {
    "kd": ((6, 5), lambda s, t: losses.kd_loss(s, t, 4.0)),
    "dkd": ((6, 5), lambda s, t: losses.dkd_loss(s, t, torch.arange(6) % 5, 1.0, 8.0, 4.0)),
    "dist": ((6, 5), losses.dist_loss),
    "hint": ((6, 4, 4, 4), losses.hint_loss),
    "attention": ((6, 4, 4, 4), lambda s, t: losses.attention_loss([s, s.flip(0)], [t, t.flip(0)])),
    "vid": ((6, 4, 4, 4), lambda s, t: losses.vid_loss(s, t, torch.ones(4))),
    "nst": ((6, 4, 4, 4), lambda s, t: losses.nst_loss([s], [t])),
    "hcl": ((6, 4, 4, 4), lambda s, t: losses.hcl_loss([s], [t])),
    "fsp": ((6, 4, 4, 4), lambda s, t: losses.fsp_loss([s, s.flip(1)], [t, t.flip(1)])),
    "similarity": ((6, 4, 4, 4), losses.similarity_loss),
    "pkt": ((6, 8), losses.pkt_loss),
    "rkd": ((6, 8), losses.rkd_loss),
    "correlation": ((6, 8), losses.correlation_loss),
}
every_pair = pytest.mark.parametrize(("shape", "loss"), PAIRED.values(), ids=PAIRED)

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTEGERS = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(SAMPLES, CLASSES, generator=generator, dtype=torch.float64)
    return logits, torch.tensor([0, 1, 1, 2, 4, 4, 4])


def exact(call, logits, labels):
    return call(logits.double(), labels.long())


@every_call
@pytest.mark.parametrize("dtype", FLOATS)
def test_logits_of_any_precision(call, dtype, batch):
    """Half-precision logits count exactly as they are; probabilities are rounded before."""
    logits, labels = batch[0].to(dtype), batch[1]
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(dtype, 1e-5)
    if call not in FUNCTION_CALLS.values():
        tolerance = 1e-5
    value = call(logits, labels).double()
    torch.testing.assert_close(
        value, exact(call, logits, labels).double(), rtol=tolerance, atol=tolerance
    )


@every_call
@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_of_any_integer_type(call, dtype, batch):
    """uint8 too, which as an index would be taken for a mask."""
    logits, labels = batch
    torch.testing.assert_close(call(logits, labels.to(dtype)), exact(call, logits, labels))


@every_call
def test_labels_that_are_bool(call, batch):
    logits, labels = batch[0], batch[1] > 1
    torch.testing.assert_close(call(logits, labels), exact(call, logits, labels))


@every_call
def test_tensors_that_are_not_contiguous(call, batch):
    logits, labels = batch
    spread = logits.T.contiguous().T, torch.stack([labels, labels], 1)[:, 0]
    assert not any(tensor.is_contiguous() for tensor in spread)
    torch.testing.assert_close(call(*spread), call(*batch))


@every_call
@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_any_mode_and_logits_with_a_gradient(call, context, batch):
    logits, labels = batch
    with context():
        value = call(logits.clone().requires_grad_(), labels)
    torch.testing.assert_close(value.detach().clone(), call(*batch))


@every_call
def test_autocast_changes_no_value(call, batch):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = call(batch[0].float(), batch[1])
    torch.testing.assert_close(value, call(batch[0].float(), batch[1]), rtol=0, atol=0)


@every_call
def test_a_batch_of_one(call, batch):
    logits, labels = batch
    value = call(logits[:1], labels[:1])
    assert value.isfinite().all()
    if call in (CALLS["cmi"], CALLS["ConditionalMutualInformation"]):
        assert value == 0


def test_classes_of_one_sample_have_no_cmi(batch):
    logits = batch[0][:CLASSES]
    for name in ("cmi", "ConditionalMutualInformation"):
        assert CALLS[name](logits, torch.arange(CLASSES)).item() == pytest.approx(0, abs=1e-15)


@every_call
def test_a_batch_of_a_single_class(call, batch):
    logits, labels = batch
    assert call(logits, torch.full_like(labels, 3)).isfinite().all()


@pytest.mark.parametrize("call", METRIC_CALLS.values(), ids=METRIC_CALLS)
def test_a_batch_without_samples_adds_nothing_to_a_metric(call, batch):
    sums = OutputSums.zeros(CLASSES)
    sums.update(batch[0][:0], batch[1][:0])
    assert all((total == 0).all() for total in vars(sums).values())
    metric = ConditionalMutualInformation(CLASSES)
    for part in (slice(0, 3), slice(3, 3), slice(3, None)):
        metric.update(batch[0][part], batch[1][part])
    torch.testing.assert_close(metric.compute(), CALLS["ConditionalMutualInformation"](*batch))


@pytest.mark.parametrize(
    "call", (LOSS_CALLS | FUNCTION_CALLS).values(), ids=LOSS_CALLS | FUNCTION_CALLS
)
def test_there_is_no_mean_over_nothing(call, batch):
    with pytest.raises(ValueError, match="hold no sample"):
        call(batch[0][:0], batch[1][:0])


REFUSED = {
    "integer logits": (
        lambda z, y: (z.long(), y),
        r"must be a floating-point tensor, got torch\.int64; \w+\.float\(\) would do",
    ),
    "an array": (lambda z, y: (z.numpy(), y), r"got ndarray; torch\.as_tensor\(\w+\) would do"),
    "a list": (lambda z, y: (z, y.tolist()), r"labels .* got list; torch\.as_tensor\(labels\)"),
    "float labels": (
        lambda z, y: (z, y.float()),
        r"got torch\.float32 of shape \(7,\); labels\.long\(\) would do",
    ),
    "a column of labels": (
        lambda z, y: (z, y[:, None]),
        r"shape \(7,\), got torch\.int64 of shape \(7, 1\); labels\.squeeze\(1\) would do",
    ),
    "a column of float labels": (lambda z, y: (z, y[:, None].float()), r"labels\.squeeze\(1\)"),
    "one-hot labels": (
        lambda z, y: (z, nn.functional.one_hot(y, CLASSES)),
        r"got torch\.int64 of shape \(7, 5\); labels\.argmax\(1\) would do for one-hot",
    ),
    "soft labels": (lambda z, y: (z, z.softmax(1)), r"labels\.argmax\(1\) would do"),
    "too few labels": (lambda z, y: (z, y[:3]), r"shape \(7,\), got torch\.int64 of shape \(3,\)$"),
    "labels of pixels": (lambda z, y: (z, y.view(7, 1, 1)), r"labels\.flatten\(\) would do"),
    "one logit": (
        lambda z, y: (z[:, 0], y),
        r"shape \(N, C\), got \(7,\); torch\.stack\(\[torch\.zeros_like\((\w+)\), \1\], 1\) would",
    ),
    "a column of logits": (
        lambda z, y: (z[:, :1], y),
        r"got \(7, 1\); torch\.stack\(\[torch\.zeros_like\((\w+\.squeeze\(1\))\), \1\], 1\)",
    ),
    "logits of pixels": (
        lambda z, y: (z[..., None, None], y),
        r"got \(7, 5, 1, 1\); \w+\.movedim\(1, -1\)\.flatten\(0, -2\) would do if the classes are "
        r"axis 1, \w+\.flatten\(0, -2\) if they are the last",
    ),
    "labels elsewhere": (
        lambda z, y: (z, y.to("meta")),
        r"labels must be on the device of \w+, cpu, got meta; labels\.to\(\w+\.device\) would do",
    ),
    "ignored samples": (
        lambda z, y: (z, y.where(y < 4, -100)),
        r"label -100 is outside 0\.\.\d; \w+\[keep\] and labels\[keep\], keep = labels >= 0, leave",
    ),
}


@pytest.mark.parametrize(
    "call", (METRIC_CALLS | LOSS_CALLS).values(), ids=METRIC_CALLS | LOSS_CALLS
)
@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_told_what_would_do(call, change, message, batch):
    if call is LOSS_CALLS["dkd"]:  # whose logits are a pair, made before it is called
        call = lambda z, y: losses.dkd_loss(z, z, y, 1.0, 8.0, 4.0)  # noqa: E731
    with pytest.raises(ValueError, match=message):
        call(*change(*batch))


@pytest.mark.parametrize("function", [conditional_mutual_information, log_likelihood])
@pytest.mark.parametrize("case", [name for name in REFUSED if "logit" not in name])
def test_functions_of_probabilities_refuse_the_same(function, case, batch):
    change, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        function(*change(batch[0].softmax(1), batch[1]))


def test_the_probability_of_one_class_needs_that_of_the_other(batch):
    message = re.escape("torch.stack([1 - probs, probs], 1) would do")
    with pytest.raises(ValueError, match=message):
        log_likelihood(batch[0].sigmoid()[:, 0], batch[1])


def test_the_remedies_work(batch):
    """What the messages say would do gives the value that is meant."""
    logits, labels = batch
    expected = MLLLoss()(logits, labels)
    for remedied in (
        labels.float().long(),
        labels[:, None].squeeze(1),
        nn.functional.one_hot(labels, CLASSES).argmax(1),
        torch.as_tensor(labels.numpy()),
        torch.as_tensor(labels.tolist()),
    ):
        assert torch.equal(MLLLoss()(logits, remedied), expected)
    images = logits.view(1, SAMPLES, CLASSES).movedim(2, 1)  # (B, C, T)
    assert torch.equal(MLLLoss()(images.movedim(1, -1).flatten(0, -2), labels), expected)
    assert torch.equal(MLLLoss()(logits[None].flatten(0, -2), labels[None].flatten()), expected)
    z, y = logits[:, 0], labels > 1
    expected = nn.functional.binary_cross_entropy_with_logits(z, y.double())
    columns = torch.stack([torch.zeros_like(z), z], 1)
    torch.testing.assert_close(MLLLoss()(columns, y), expected)
    ignored = labels.where(labels < 4, -100)
    keep = ignored >= 0
    expected = nn.functional.cross_entropy(logits, ignored)
    torch.testing.assert_close(MLLLoss()(logits[keep], ignored[keep]), expected)


@every_call
def test_a_label_without_a_column_is_refused(call, batch):
    """But by CMI, whose classes and outputs may be different things."""
    logits, labels = batch[0], batch[1] + 1
    if call is CALLS["cmi"]:
        assert call(logits, labels) == call(*batch)
        return
    message = r"label 5 is outside 0\.\.4; labels count from 0, so 5 needs at least 6 classes"
    with pytest.raises(ValueError, match=message):
        call(logits, labels)


def test_what_lies_elsewhere_is_told_where_to_go(batch):
    logits, labels = (tensor.to("meta") for tensor in batch)
    for policy in (UNIFORM, "tracked", "fixed"):
        with pytest.raises(ValueError, match=r"got cpu; loss\.to\(logits\.device\) would do"):
            MCMILoss(0.5, policy, num_classes=CLASSES)(logits, labels)
    with pytest.raises(ValueError, match=r"loss must be on the device of logits, meta, got cpu"):
        MCMILoss(0.5, "fixed", num_classes=CLASSES).prepare(
            nn.Identity(), [Batch(logits, labels, labels)]
        )
    for metric in METRICS:
        with pytest.raises(ValueError, match=r"got cpu; metric\.to\(logits\.device\) would do"):
            metric(CLASSES).update(logits, labels)
    with pytest.raises(ValueError, match=r"posterior\.to\(logits\.device\) would do"):
        bayes_divergence(batch[0], logits)


@every_pair
def test_a_teacher_elsewhere_is_refused(shape, loss):
    with pytest.raises(ValueError, match=r"cpu, got meta; teacher_\w+(\[0\])?\.to\((student|pred)"):
        loss(torch.zeros(shape), torch.zeros(shape, device="meta"))


@every_pair
def test_integers_of_either_are_refused(shape, loss):
    floats, integers = torch.zeros(shape), torch.zeros(shape, dtype=torch.int64)
    for pair in ((integers, floats), (floats, integers)):
        with pytest.raises(ValueError, match=r"got torch\.int64; \w+(\[0\])?\.float\(\) would do"):
            loss(*pair)


@every_pair
@pytest.mark.parametrize("first", FLOATS)
@pytest.mark.parametrize("second", FLOATS)
def test_student_and_teacher_of_different_precision(shape, loss, first, second):
    """Computed in the wider type, at least float32; each gets a gradient of its own type."""
    pair = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    student, teacher = pair[0].to(first).requires_grad_(), pair[1].to(second).requires_grad_()
    value = loss(student, teacher)
    wider = torch.promote_types(torch.promote_types(first, second), torch.float32)
    assert value.dtype == wider
    torch.testing.assert_close(value, loss(student.to(wider), teacher.to(wider)), rtol=0, atol=0)
    value.backward()
    for tensor in (student, teacher):
        assert tensor.grad.dtype == tensor.dtype and tensor.grad.isfinite().all()


CASTS = {
    "half": lambda module: module.half(),
    "bfloat16": lambda module: module.bfloat16(),
    "to float16": lambda module: module.to(torch.float16),
    "float": lambda module: module.float(),
    "double": lambda module: module.double(),
}
every_cast = pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)


@every_cast
@pytest.mark.parametrize("policy", ["fixed", "tracked"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_model_that_holds_the_loss_may_be_cast(cast, policy, dtype, batch):
    """Centroids are computed, kept and used in at least float32."""
    logits, labels = batch[0].to(dtype), batch[1]
    loss = MCMILoss(0.5, policy, num_classes=CLASSES)
    reference = MCMILoss(0.5, policy, num_classes=CLASSES).double()
    cast(nn.ModuleDict({"loss": loss}))
    assert loss.centroids.dtype in (torch.float32, torch.float64)
    for objective, values in ((loss, logits), (reference, logits.double())):
        objective.prepare(nn.Identity(), [Batch(values, labels, labels)])
    for step in range(5):
        values = (logits.double() + step).to(dtype)
        expected = reference(values.double(), labels)
        value = loss(values, labels)
        assert value.dtype == torch.promote_types(dtype, loss.centroids.dtype)
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.centroids.double(), reference.centroids, rtol=0, atol=1e-6)


def test_a_cast_rounds_no_centroid(batch):
    loss = MCMILoss(0.5, "tracked", num_classes=CLASSES)
    loss(*batch)
    before = loss.centroids.clone()
    loss.half()
    assert torch.equal(loss.centroids, before)
    assert loss.to("meta").centroids.device.type == "meta"


def test_centroids_may_be_given_in_half_precision_but_not_as_integers(batch):
    given = batch[0][:CLASSES].softmax(1).half()
    loss = MCMILoss(0.5, given)
    assert loss.centroids.dtype == torch.float32
    torch.testing.assert_close(loss(*batch), MCMILoss(0.5, given.double())(*batch))
    message = r"centroids must be a floating-point tensor, got torch\.int64; centroids\.float\(\)"
    with pytest.raises(ValueError, match=message):
        MCMILoss(0.5, torch.eye(CLASSES).long())
    with pytest.raises(ValueError, match=r"centroids must be \(C, C\), got \(\)"):
        MCMILoss(0.5, torch.tensor(0.5))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_losses_and_metrics_can_be_copied(copied, batch):
    loss = MCMILoss(0.5, "tracked", num_classes=CLASSES)
    loss(*batch)
    twin = copied(loss)
    torch.testing.assert_close(twin(*batch), loss(*batch))
    for metric_class in METRICS:
        metric = metric_class(CLASSES)
        metric.update(*batch)
        twin = copied(metric)
        twin.update(batch[0].flip(0), batch[1])
        assert metric.compute() == CALLS[metric_class.__name__](*batch)
        assert twin.compute() != metric.compute()


@pytest.mark.parametrize("metric_class", METRICS)
@pytest.mark.parametrize(
    "cast",
    [
        *CASTS.values(),
        *(lambda metric, cast=cast: cast(nn.ModuleList([metric])) for cast in CASTS.values()),
        *(lambda metric, dtype=dtype: metric.set_dtype(dtype) for dtype in FLOATS),
    ],
    ids=[*CASTS, *(f"model {name}" for name in CASTS), *(f"set_dtype {t}" for t in FLOATS)],
)
def test_sums_stay_float64(metric_class, cast, batch):
    expected = CALLS[metric_class.__name__](*batch)
    metric = metric_class(CLASSES)
    metric.update(batch[0][:3], batch[1][:3])
    cast(metric)
    metric.update(batch[0][3:], batch[1][3:])
    assert metric.compute().dtype == torch.float64
    assert metric.compute().item() == pytest.approx(expected.item(), rel=1e-12)
    metric.reset()
    metric.update(*batch)
    assert metric.compute().item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("metric_class", METRICS)
def test_forward_returns_the_value_of_the_batch(metric_class, batch):
    call = CALLS[metric_class.__name__]
    logits, labels = batch
    metric = metric_class(CLASSES)
    for part in (slice(0, 3), slice(3, None)):
        value = metric(logits[part].clone().requires_grad_(), labels[part])
        torch.testing.assert_close(value, call(logits[part], labels[part]))
    torch.testing.assert_close(metric.compute(), call(*batch))


@pytest.mark.parametrize("metric_class", METRICS)
def test_metrics_follow_the_protocol(metric_class, batch):
    call = CALLS[metric_class.__name__]
    first, second = metric_class(CLASSES), metric_class(CLASSES)
    first.update(*batch)
    second.update(batch[0].flip(0), batch[1])
    both = first + second
    expected = call(*batch) + call(batch[0].flip(0), batch[1])
    torch.testing.assert_close(both.compute(), expected)
    clone = first.clone()
    first.reset()
    assert (first.class_counts == 0).all()
    torch.testing.assert_close(clone.compute(), call(*batch))
    clone.persistent(True)
    file = io.BytesIO()
    torch.save(clone.state_dict(), file)
    file.seek(0)
    resumed = metric_class(CLASSES)
    resumed.load_state_dict(torch.load(file))
    resumed.update(batch[0].flip(0), batch[1])
    twice = [torch.cat([x, x.flip(0) if x is batch[0] else x]) for x in batch]
    torch.testing.assert_close(resumed.compute(), call(*twice))


@pytest.mark.parametrize("inside", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_a_metric_may_be_reset_in_another_mode_than_it_is_updated_in(inside, batch):
    """As trainers do, which validate in inference mode."""
    collection = MetricCollection([metric(CLASSES) for metric in METRICS])
    with inside():
        collection.update(*batch)
        collection.reset()
        collection.update(batch[0][:3], batch[1][:3])
    collection.update(batch[0][3:].clone().requires_grad_(), batch[1][3:])
    for name, value in collection.compute().items():
        torch.testing.assert_close(value.clone(), CALLS[name](*batch))


def test_sums_hold_no_graph(batch):
    sums = OutputSums.zeros(CLASSES)
    sums.update(batch[0].clone().requires_grad_(), batch[1])
    assert not any(total.requires_grad for total in vars(sums).values())


def test_bayes_divergence_takes_any_precision_and_refuses_the_rest(batch):
    logits = batch[0]
    posterior = logits.flip(0).softmax(1)
    expected = bayes_divergence(logits, posterior)
    for dtype in FLOATS:
        value = bayes_divergence(logits.to(dtype), posterior.to(dtype))
        assert value.dtype == torch.float64
        torch.testing.assert_close(value, expected, rtol=0.05, atol=0.05)
    posterior = torch.eye(CLASSES).double().requires_grad_()
    bayes_divergence(logits[:CLASSES], posterior).sum().backward()
    assert posterior.grad.isfinite().all()
    with pytest.raises(ValueError, match=r"logits\.float\(\) would do"):
        bayes_divergence(logits.long(), posterior)
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        bayes_divergence(logits[:CLASSES], posterior, temperature=0)
    assert math.isfinite(bayes_divergence(logits[:0], logits[:0].softmax(1)).sum())


@pytest.mark.parametrize(
    "criterion",
    [
        MLLLoss(),
        MCMILoss(0.5, "tracked", num_classes=4),
        LabelSmoothingLoss(0.1),
        EntropyBonusLoss(0.1),
        SquaredErrorLoss(),
        lambda logits, labels: dkd_loss(logits, logits.roll(1, 0), labels, 1.0, 8.0, 4.0),
        lambda logits, labels: kd_loss(logits, logits.roll(1, 0), 4.0),
    ],
    ids=["mll", "mcmi", "smoothing", "entropy", "mse", "dkd", "kd"],
)
def test_losses_compile_as_a_whole(criterion):
    logits, labels = torch.randn(6, 4), torch.arange(6) % 4
    compiled = torch.compile(copy.deepcopy(criterion), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(logits, labels), criterion(logits, labels))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_losses_of_the_narrowest_floats(dtype):
    student, teacher = (torch.randn(6, 4).to(dtype) for _ in range(2))
    labels = torch.arange(6) % 4
    assert torch.equal(
        kd_loss(student, teacher, 4.0), kd_loss(student.float(), teacher.float(), 4.0)
    )
    loss = MCMILoss(0.5, "tracked", num_classes=4)
    expected = copy.deepcopy(loss)(student.float(), labels)
    assert torch.equal(loss(student, labels), expected)


def test_what_no_conversion_repairs_is_refused_without_one():
    labels = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"floating-point tensor, got torch.complex64$"):
        MLLLoss()(torch.zeros(3, 2, dtype=torch.complex64), labels)
    with pytest.raises(ValueError, match=r"must have shape \(N, C\), got \(\)$"):
        MLLLoss()(torch.tensor(1.0), labels)
    with pytest.raises(ValueError, match="^temperature must be positive and finite, got inf$"):
        kd_loss(torch.zeros(3, 2), torch.zeros(3, 2), math.inf)

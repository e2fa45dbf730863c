"""Distillers that apply one loss: the right features, weight and options; heads that learn."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mcmi_core import losses
from mcmi_core.components import DISTILLERS
from mcmi_core.data.loader import Batch
from mcmi_core.models import create_model
from mcmi_core.models.resnet import ResNet

BATCH = Batch(
    torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(0)),
    torch.tensor([0, 1, 2, 0, 0, 1]),
    torch.arange(6),
)


def network(seed, *widths, depth=8):
    torch.manual_seed(seed)
    return ResNet(depth, widths or (4, 4, 8, 12), num_classes=3, in_channels=1).train()


@pytest.fixture
def student():
    return network(0)


@pytest.fixture
def teacher():
    return network(1, 5, 6, 10, 14)


def build(text, student, teacher):
    return DISTILLERS.build(
        text, student=student, teacher=teacher, sample=BATCH.inputs[:2], labels=BATCH.labels
    )


def fitnet(head, s, t):
    return losses.hint_loss(head.regressor(s.features[2]), t.features[2])


def vid(head, s, t):
    stages = zip(head.regressors, s.features[1:-1], t.features[1:-1], head.log_scales, strict=True)
    return sum(losses.vid_loss(r(f), g, scale) for r, f, g, scale in stages)


def cc(head, s, t):
    embeddings = head.embed_student(s.features[-1]), head.embed_teacher(t.features[-1])
    return losses.correlation_loss(*embeddings)


def lskd(head, s, t):
    """T² · KL between z-scores over T, with the base temperature 2."""
    s, t = ((z - z.mean(1, True)) / z.std(1, correction=0, keepdim=True) for z in (s, t))
    return losses.kd_loss(s, t, 2.0)


DEFAULTS = {
    "fitnet": (100, fitnet),
    "at": (1000, lambda _, s, t: losses.attention_loss(s.features[1:-1], t.features[1:-1], 2)),
    "nst": (50, lambda _, s, t: losses.nst_loss(s.features[1:-1], t.features[1:-1])),
    "vid": (1, vid),
    "sp": (3000, lambda _, s, t: losses.similarity_loss(s.features[-2], t.features[-2])),
    "pkt": (30000, lambda _, s, t: losses.pkt_loss(s.features[-1], t.features[-1])),
    "rkd": (1, lambda _, s, t: losses.rkd_loss(s.features[-1], t.features[-1], 25, 50)),
    "cc": (0.02, cc),
    "dist": (1, lambda _, s, t: losses.dist_loss(s.logits, t.logits, 2, 2, 4)),
    "lskd": (9, lambda head, s, t: lskd(head, s.logits, t.logits)),
    # In epoch 1 of 20 the warm-up is a twentieth.
    "dkd": (
        1 / 20,
        lambda _, s, t: losses.dkd_loss(s.logits, t.logits, BATCH.labels, 1, 8, 4),
    ),
}
LOGIT_DISTILLERS = {"dist", "lskd", "dkd"}


class Seen(nn.Module):
    """A network's features and logits on the batch, as a distiller sees them."""

    def __init__(self, model):
        super().__init__()
        self.features, self.logits = model.features(BATCH.inputs)


@pytest.mark.parametrize("name", DEFAULTS)
def test_term_is_weight_times_loss(name, student, teacher):
    weight, loss = DEFAULTS[name]
    distiller = build(name, student, teacher)
    terms = distiller.terms(student, BATCH)
    seen_student, seen_teacher = Seen(student), Seen(teacher)
    torch.testing.assert_close(terms[name], weight * loss(distiller, seen_student, seen_teacher))
    share = 0.1 if name == "lskd" else 1.0
    cross_entropy = F.cross_entropy(seen_student.logits, BATCH.labels)
    torch.testing.assert_close(terms["cross_entropy"], share * cross_entropy)
    assert list(terms) == ["cross_entropy", name]


@pytest.mark.parametrize("name", DEFAULTS)
def test_weights_are_options(name, student, teacher):
    distiller = build(f"{name}:weight=3,cross_entropy_weight=0", student, teacher)
    terms = distiller.terms(student, BATCH)
    assert list(terms) == [name]
    loss = DEFAULTS[name][1](distiller, Seen(student), Seen(teacher))
    torch.testing.assert_close(terms[name], 3 * (1 / 20 if name == "dkd" else 1) * loss)


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        (
            "at:p=1",
            lambda s, t: 1000 * losses.attention_loss(s.features[1:-1], t.features[1:-1], 1),
        ),
        (
            "rkd:distance_weight=1,angle_weight=2",
            lambda s, t: losses.rkd_loss(s.features[-1], t.features[-1], 1, 2),
        ),
        (
            "dist:beta=1,gamma=3,temperature=2",
            lambda s, t: losses.dist_loss(s.logits, t.logits, 1, 3, 2),
        ),
        (
            "dkd:alpha=2,beta=3,temperature=1,warmup_epochs=0",
            lambda s, t: losses.dkd_loss(s.logits, t.logits, BATCH.labels, 2, 3, 1),
        ),
    ],
)
def test_options_reach_the_loss(text, loss, student, teacher):
    term = list(build(text, student, teacher).terms(student, BATCH).values())[-1]
    torch.testing.assert_close(term, loss(Seen(student), Seen(teacher)))


@pytest.mark.parametrize("name", DEFAULTS)
def test_gradient_reaches_student_and_heads_only(name, student, teacher):
    distiller = build(f"{name}:cross_entropy_weight=0", student, teacher)
    distiller.terms(student, BATCH)[name].backward()
    read = student.stages[:2] if name == "fitnet" else student.stages
    for parameter in [*read.parameters(), *distiller.parameters()]:
        assert parameter.grad is not None and parameter.grad.isfinite().all()
    assert student.stages[0][0].conv1.weight.grad.abs().max() > 0
    assert (student.head.weight.grad is not None) == (name in LOGIT_DISTILLERS)
    assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize("name", DEFAULTS)
def test_features_are_computed_only_where_they_are_read(name, student, teacher):
    assert build(name, student, teacher).uses_features == (name not in LOGIT_DISTILLERS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_heads_are_the_only_state(name, student, teacher):
    state = build(name, student, teacher).state_dict()
    heads = {"fitnet": {"regressor"}, "vid": {"regressors", "log_scales"}}
    heads["cc"] = {"embed_student", "embed_teacher"}
    assert {key.split(".")[0] for key in state} == heads.get(name, set())


def test_cc_embeds_in_128_dimensions(student, teacher):
    distiller = build("cc", student, teacher)
    assert distiller.embed_student.weight.shape == (128, 12)
    assert distiller.embed_teacher.weight.shape == (128, 14)
    assert build("cc:embedding_size=7", student, teacher).embed_student.weight.shape == (7, 12)


def test_vid_starts_at_variance_5_with_three_convolutions(student, teacher):
    distiller = build("vid", student, teacher)
    for log_scale, channels in zip(distiller.log_scales, (6, 10, 14), strict=True):
        torch.testing.assert_close(F.softplus(log_scale) + 1e-5, torch.full((channels,), 5.0))
    shapes = [tuple(weight.shape) for weight in distiller.regressors[0].parameters()]
    assert shapes == [(6, 4, 1, 1), (6, 6, 1, 1), (6, 6, 1, 1)]
    narrow = build("vid:initial_variance=0.25", student, teacher)
    assert F.softplus(narrow.log_scales[0][0]).item() + 1e-5 == pytest.approx(0.25)


class Shrunk(nn.Module):
    """A network that sees its inputs at another size, so that its maps have other sizes."""

    def __init__(self, model, size):
        super().__init__()
        self.model, self.size = model, size

    def features(self, inputs):
        return self.model.features(F.interpolate(inputs, (self.size, self.size)))


@pytest.mark.parametrize(("size", "kernel"), [(16, (1, 1)), (8, (3, 3)), (32, (4, 4))])
def test_fitnet_regresses_to_half_and_double_size(size, kernel, student, teacher):
    teacher = Shrunk(teacher, size)
    distiller = build("fitnet", student, teacher)
    assert distiller.regressor[0].kernel_size == kernel
    assert [type(part) for part in distiller.regressor[1:]] == [nn.BatchNorm2d, nn.ReLU]
    assert distiller.terms(student, BATCH)["fitnet"].isfinite()


@pytest.mark.parametrize("name", ["at", "nst", "vid"])
@pytest.mark.parametrize("size", [8, 12, 32])
def test_maps_of_different_sizes_are_pooled(name, size, student, teacher):
    assert build(name, student, Shrunk(teacher, size)).terms(student, BATCH)[name].isfinite()


def test_vid_pools_a_larger_student_before_its_regressor(student, teacher):
    distiller = build("vid", student, Shrunk(teacher, 8))
    seen = []
    for regressor in distiller.regressors:
        regressor.register_forward_hook(lambda _, args, out: seen.append(tuple(out.shape[2:])))
    distiller.terms(student, BATCH)
    assert seen == [(8, 8), (4, 4), (2, 2)]


def test_dkd_warms_up_over_20_epochs_counted_from_1(student, teacher):
    distiller = build("dkd", student, teacher)
    full = losses.dkd_loss(Seen(student).logits, Seen(teacher).logits, BATCH.labels, 1, 8, 4)
    for epoch, share in ((0, 1 / 20), (9, 0.5), (19, 1), (20, 1), (239, 1)):
        distiller.start_epoch(epoch)
        torch.testing.assert_close(distiller.terms(student, BATCH)["dkd"], share * full)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dkd:warmup_epochs=-1", "warmup_epochs must be ≥ 0, got -1"),
        ("cc:embedding_size=0", "embedding_size must be ≥ 1, got 0"),
        ("vid:initial_variance=0", r"initial_variance must be above 1e-05, got 0\.0"),
        ("at:p=0.5", r"p must be ≥ 1, got 0\.5"),
        ("at:cross_entropy_weight=-1", r"cross_entropy_weight must be ≥ 0, got -1\.0"),
        ("pkt:power=2", "unknown option 'power' .* takes weight, cross_entropy_weight"),
    ],
)
def test_bad_options_are_refused(text, message, student, teacher):
    with pytest.raises(ValueError, match=message):
        build(text, student, teacher).terms(student, BATCH)


class FewerStages(ResNet):
    def features(self, inputs):
        features, logits = super().features(inputs)
        return features[1:], logits


class PooledOnly(ResNet):
    def features(self, inputs):
        features, logits = super().features(inputs)
        return features[-1:], logits


@pytest.mark.parametrize("name", ["at", "nst", "vid"])
def test_different_numbers_of_stages_are_refused(name, student):
    teacher = FewerStages(8, (4, 4, 8, 12), num_classes=3, in_channels=1)
    message = (
        r"\[\(4, 16, 16\), \(8, 8, 8\), \(12, 4, 4\)\] from student ResNet and "
        r"\[\(8, 8, 8\), \(12, 4, 4\)\] from teacher FewerStages"
    )
    with pytest.raises(ValueError, match=message):
        build(name, student, teacher)


@pytest.mark.parametrize("name", ["at", "nst", "vid", "fitnet"])
def test_networks_without_maps_are_refused(name, teacher):
    student = create_model("mlp:width=4,depth=4", num_classes=3, in_channels=1, image_size=16)
    with pytest.raises(ValueError, match=r"\(4,\).* from student MLP .* from teacher ResNet"):
        build(name, student, teacher)


def test_sp_needs_features_before_the_last(student):
    teacher = PooledOnly(8, (4, 4, 8, 12), num_classes=3, in_channels=1)
    with pytest.raises(ValueError, match=r"only \[\(12,\)\] from teacher PooledOnly"):
        build("sp", student, teacher)


def test_sp_compares_hidden_vectors_too(teacher):
    student = create_model("mlp:width=4", num_classes=3, in_channels=1, image_size=16)
    assert build("sp", student, teacher).terms(student, BATCH)["sp"].isfinite()


def test_fitnet_refuses_maps_that_no_convolution_matches(student, teacher):
    message = r"got \(8, 8, 8\) from student ResNet and \(10, 6, 6\) from teacher Shrunk"
    with pytest.raises(ValueError, match=message):
        build("fitnet", student, Shrunk(teacher, 12))
    with pytest.raises(ValueError, match=r"from student ResNet and .* from teacher ResNet"):
        build("fitnet:layer=7", student, teacher)

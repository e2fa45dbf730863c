"""The contract of every distiller: the teacher only looks on, the student is trained."""

import inspect

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import vgg11

from mcmi_core.base.errors import IncompatibleNetworks
from mcmi_core.data.loader import Batch
from mcmi_core.distillers import DISTILLERS, Distiller
from mcmi_core.models import create_model


class Recording(Distiller):
    """Keeps what it is given; its only term pulls the logits together through a head."""

    def set_up(self, student, teacher):
        self.head = nn.Linear(3, 3)
        self.register_buffer("bank", torch.zeros(2))

    def forward(self, student, teacher, batch):
        self.seen = student, teacher, batch
        return {"distance": (self.head(student.logits) - teacher.logits).square().mean()}


class ReadsFeatures(Recording):
    uses_features = True


class Wide(Distiller):
    """With options of every kind, and all that a distiller may ask for."""

    classes: tuple[int, ...]
    weight: float = 2.0
    cross_entropy_weight: float = 0.5

    def set_up(self, student, teacher, sample, labels):
        self.seen = student, teacher, sample, labels, self.classes, self.weight


class Wider(Wide):
    margin: float = 1.0
    weight = 3.0


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return Batch(
        torch.randn(10, 5, generator=generator), torch.arange(10) % 3, torch.arange(10) + 7
    )


def network(seed, width=4):
    torch.manual_seed(seed)
    return create_model(f"mlp:width={width}", num_classes=3, in_channels=5, image_size=1)


@pytest.fixture
def student():
    return network(0).train()


@pytest.fixture
def teacher():
    """In train mode, with running statistics of its own, as it comes from anywhere."""
    teacher = network(1, width=6).train()
    teacher(3 * torch.randn(50, 5) + 1)
    return teacher


def test_teacher_stays_in_eval_mode(student, teacher, batch):
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    distiller = Recording(student, teacher).train()
    assert distiller.teacher is teacher
    assert not any(module.training for module in teacher.modules())
    distiller.terms(student, batch)
    _, seen, _ = distiller.seen
    torch.testing.assert_close(seen.logits, teacher(batch.inputs))
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_gradient_reaches_student_and_head_but_not_the_teacher(student, teacher, batch):
    distiller = Recording(student, teacher)
    batch.inputs.requires_grad_()  # even then
    sum(distiller.terms(student, batch).values()).backward()
    for parameter in [*student.parameters(), *distiller.parameters()]:
        assert parameter.grad is not None and parameter.grad.isfinite().all()
    assert student.head.weight.grad.abs().max() > 0
    _, seen, _ = distiller.seen
    assert not seen.logits.requires_grad
    for parameter in teacher.parameters():
        assert parameter.grad is None and not parameter.requires_grad


def test_student_keeps_its_mode_and_learns_batch_statistics(student, teacher, batch):
    distiller = Recording(student, teacher)
    assert student.training
    distiller.terms(student, batch)
    assert student.layers[0][1].num_batches_tracked == 1


def test_only_heads_and_buffers_are_parameters_and_state(student, teacher):
    distiller = Recording(student, teacher)
    assert dict(distiller.named_parameters()).keys() == {"head.weight", "head.bias"}
    assert distiller.state_dict().keys() == {"head.weight", "head.bias", "bank"}


def test_terms_are_the_weighted_cross_entropy_and_those_of_forward(student, teacher, batch):
    distiller = Recording(student, teacher, cross_entropy_weight=0.3)
    terms = distiller.terms(student, batch)
    seen_student, _, seen_batch = distiller.seen
    assert seen_batch is batch
    log_probs = seen_student.logits.double().log_softmax(dim=1)
    expected = -0.3 * log_probs[torch.arange(10), batch.labels].mean()
    assert list(terms) == ["cross_entropy", "distance"]
    assert terms["cross_entropy"].item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(
        terms["distance"], distiller(*distiller.seen)["distance"], rtol=0, atol=0
    )


def test_cross_entropy_counts_fully_by_default(student, teacher, batch):
    terms = Recording(student, teacher).terms(student, batch)
    torch.testing.assert_close(
        terms["cross_entropy"], F.cross_entropy(student(batch.inputs), batch.labels)
    )


def test_labels_are_not_read_without_cross_entropy(student, teacher, batch):
    """Unlabelled data has the label −1, which a cross-entropy would refuse."""
    distiller = Recording(student, teacher, cross_entropy_weight=0)
    unlabelled = batch._replace(labels=torch.full_like(batch.labels, -1))
    assert list(distiller.terms(student, unlabelled)) == ["distance"]


def test_cross_entropy_runs_in_full_precision(student, teacher, batch):
    half = nn.Sequential(student, nn.Identity())
    half.register_forward_hook(lambda module, args, output: output.bfloat16())
    distiller = Recording(half, teacher)
    distiller.head.bfloat16()
    assert distiller.terms(half, batch)["cross_entropy"].dtype == torch.float32


def test_features_are_computed_only_where_they_are_read(student, teacher, batch):
    distiller = Recording(student, teacher)
    distiller.terms(student, batch)
    assert [output.features for output in distiller.seen[:2]] == [[], []]

    distiller = ReadsFeatures(student, teacher)
    distiller.terms(student, batch)
    for seen, model in zip(distiller.seen[:2], (student, teacher), strict=True):
        features, logits = model.features(batch.inputs)
        assert len(features) == 2
        torch.testing.assert_close(seen.features, features)
        torch.testing.assert_close(seen.logits, logits)


def test_remembered_logits_are_those_of_each_samples_variant(student, teacher, batch):
    distiller = Recording(student, teacher)
    teacher.register_forward_pre_hook(lambda *_: pytest.fail("the teacher was run"))
    logits = torch.randn(4, 17, 3)
    distiller.remember(logits)
    variants = torch.tensor([3, 0, 1, 2, 2, 0, 1, 3, 0, 1])
    distiller.terms(student, batch._replace(variants=variants))
    _, seen, _ = distiller.seen
    expected = [logits[v, i] for v, i in zip(variants, batch.indices, strict=True)]
    assert torch.equal(seen.logits, torch.stack(expected))
    assert seen.features == []


def test_a_distiller_has_to_say_its_terms(student, teacher, batch):
    with pytest.raises(NotImplementedError):
        Distiller(student, teacher).terms(student, batch)


def test_options_are_the_annotated_attributes_those_of_the_class_itself_first():
    assert str(inspect.signature(Wider)) == (
        "(student, teacher, sample, labels, *, margin: float = 1.0, classes: tuple[int, ...], "
        "weight: float = 3.0, cross_entropy_weight: float = 0.5)"
    )
    assert list(inspect.signature(Distiller).parameters) == [
        "student",
        "teacher",
        "cross_entropy_weight",
    ]


def test_options_are_set_before_the_distiller_is_set_up(student, teacher):
    distiller = Wide(student, teacher, labels="labels", sample="sample", classes=(1, 2))
    assert distiller.seen == (student, teacher, "sample", "labels", (1, 2), 2.0)
    assert distiller.cross_entropy_weight == 0.5
    other = Wide(student, teacher, "sample", "labels", classes=(), weight=4.0)
    assert other.seen == (student, teacher, "sample", "labels", (), 4.0)
    assert (Wide.weight, distiller.weight) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"alpha": 1},
            "Recording has no option 'alpha'; it takes student, teacher, cross_entropy_",
        ),
        ({"sample": 1}, "Recording has no option 'sample'"),
    ],
)
def test_unknown_options_are_refused(options, message, student, teacher):
    with pytest.raises(TypeError, match=message):
        Recording(student, teacher, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("sample", "labels"), "missing a required .*argument: 'classes'"),
        (("sample",), "missing a required argument: 'labels'"),
        (("sample", "labels", (1,)), "too many positional arguments"),
    ],
)
def test_what_is_required_has_to_be_given(given, message, student, teacher):
    with pytest.raises(TypeError, match=message):
        Wide(student, teacher, *given)


@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_a_negative_cross_entropy_weight_is_refused(weight, student, teacher):
    with pytest.raises(ValueError, match=f"cross_entropy_weight must be ≥ 0, got {weight}"):
        Recording(student, teacher, cross_entropy_weight=weight)


def test_only_remembered_logits_of_one_variant_can_be_stacked(student, teacher):
    distiller = Recording(student, teacher)
    assert not distiller.stackable
    for variants in (1, 2):
        distiller.remember(torch.zeros(variants, 20, 3))
        assert distiller.stackable == (variants == 1)


class Bare(torch.nn.Module):
    def forward(self, inputs):
        return inputs.flatten(1)[:, :3]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            vgg11(num_classes=3),
            "VGG does not show its features: its attribute features is a module, Sequential, and "
            "has to be a method that .* Add one in a subclass of VGG; .*kd, dkd, dist, lskd. need",
        ),
        (Bare(), "Bare does not show its features: its attribute features is missing and has to"),
    ],
    ids=["torchvision", "missing"],
)
def test_a_network_that_does_not_show_its_features_is_refused_with_the_way_out(network, message):
    sample = torch.randn(2, 3, 32, 32)
    labels = torch.tensor([0, 1])
    with pytest.raises(IncompatibleNetworks, match=message):
        DISTILLERS.build("crd", student=network, teacher=network, sample=sample, labels=labels)
    batch = Batch(sample, labels, torch.arange(2))
    with pytest.raises(IncompatibleNetworks, match=message):
        ReadsFeatures(network, network).terms(network, batch)
    kd = DISTILLERS.build("kd", student=network, teacher=network, sample=sample, labels=labels)
    assert kd.terms(network, batch)["kd"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_labels_of_any_integer_type(dtype, student, teacher, batch):
    distiller = Recording(student, teacher)
    expected = distiller.terms(student, batch)["cross_entropy"]
    other = batch._replace(labels=batch.labels.to(dtype))
    assert torch.equal(distiller.terms(student, other)["cross_entropy"], expected)

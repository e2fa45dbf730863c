"""ReviewKD against the fusion written out for two stages, sizes, warm-up and errors."""

import pytest
import torch
from tiny_networks import gradients, tiny_batch, tiny_network
from torch.nn import functional as F

from mcmi_core.components import DISTILLERS
from mcmi_core.distillers.review_kd import ReviewKD
from mcmi_core.models import create_model


@pytest.fixture
def student():
    return tiny_network(0)


@pytest.fixture
def teacher():
    """Wider, and its second stage does not halve."""
    return tiny_network(1, widths=(2, 5, 6), strides=(1, 1))


BATCH = tiny_batch()


def make(student, teacher, **options):
    return ReviewKD(student, teacher, BATCH.inputs, **options).double()


def normalised(values, norm):
    """Batch norm by its definition: statistics of the batch over samples and positions."""
    mean = values.mean(dim=(0, 2, 3), keepdim=True)
    variance = (values - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    scale, shift = norm.weight[:, None, None], norm.bias[:, None, None]
    return scale * (values - mean) / (variance + norm.eps).sqrt() + shift


def enter(fusion, student_map):
    convolution, norm = fusion.enter
    return normalised(
        torch.einsum("dc,nchw->ndhw", convolution.weight[:, :, 0, 0], student_map), norm
    )


def leave(fusion, fused):
    convolution, norm = fusion.leave
    return normalised(F.conv2d(fused, convolution.weight, padding=1), norm)


def fuse(fusion, entered, deeper):
    """Position by position: each of the two maps has one weight for all channels."""
    weight, bias = fusion.attention.weight[:, :, 0, 0], fusion.attention.bias
    fused = torch.empty_like(entered)
    for n, h, w in torch.cartesian_prod(*(torch.arange(k) for k in entered[:, 0].shape)).tolist():
        both = torch.cat([entered[n, :, h, w], deeper[n, :, h, w]])
        a, b = 1 / (1 + torch.exp(-(weight @ both + bias)))
        fused[n, :, h, w] = a * entered[n, :, h, w] + b * deeper[n, :, h, w]
    return fused


def enlarged(feature_map, factor):
    return feature_map.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


def slow_hcl(student_map, teacher_map):
    squared, weights = [(student_map - teacher_map).square().mean()], [1.0]
    for side in (4, 2, 1):
        if side < student_map.shape[2]:
            pooled = [F.adaptive_avg_pool2d(x, side) for x in (student_map, teacher_map)]
            squared.append((pooled[0] - pooled[1]).square().mean())
            weights.append(weights[-1] / 2)
    return sum(w * e for w, e in zip(weights, squared, strict=True)) / sum(weights)


def slow_review(distiller, student_features, teacher_features):
    first, second, last = distiller.fusions
    pooled = [features[-1][:, :, None, None] for features in (student_features, teacher_features)]
    deepest = enter(last, pooled[0])
    loss = slow_hcl(leave(last, deepest), pooled[1])
    middle = fuse(second, enter(second, student_features[2]), enlarged(deepest, 2))
    middle = enlarged(middle, 2)  # the teacher's map is 4x4
    loss = loss + slow_hcl(leave(second, middle), teacher_features[2])
    shallow = fuse(first, enter(first, student_features[1]), middle)
    return loss + slow_hcl(leave(first, shallow), teacher_features[1])


def test_fusion_from_the_deepest_stage_up(student, teacher):
    distiller = make(student, teacher, warmup_epochs=0, weight=0.75)
    terms = distiller.terms(student, BATCH)
    features = [network.features(BATCH.inputs)[0] for network in (student, teacher)]
    expected = 0.75 * slow_review(distiller, *features)
    assert list(terms) == ["cross_entropy", "reviewkd"]
    assert terms["reviewkd"].item() == pytest.approx(expected.item(), rel=1e-10)
    parameters = [*student.stages.parameters(), *distiller.parameters()]
    torch.testing.assert_close(
        gradients(terms["reviewkd"], parameters),
        gradients(expected, parameters),
        rtol=1e-6,
        atol=1e-10,
    )


def test_fused_maps_have_the_students_pooled_width_and_there_is_no_attention_to_nothing(
    student, teacher
):
    distiller = make(student, teacher)
    shapes = [tuple(fusion.enter[0].weight.shape) for fusion in distiller.fusions]
    assert shapes == [(4, 3, 1, 1), (4, 4, 1, 1), (4, 4, 1, 1)]
    shapes = [tuple(fusion.leave[0].weight.shape) for fusion in distiller.fusions]
    assert shapes == [(5, 4, 3, 3), (6, 4, 3, 3), (6, 4, 3, 3)]
    assert [fusion.attention is None for fusion in distiller.fusions] == [False, False, True]


def test_fused_maps_are_at_most_512_wide():
    wide = tiny_network(0, widths=(1, 600), strides=(2,))
    distiller = make(wide, tiny_network(1, widths=(1, 2), strides=(2,)))
    assert distiller.fusions[0].enter[0].out_channels == 512


def test_weight_grows_over_twenty_epochs(student, teacher):
    distiller = DISTILLERS.build("reviewkd", student=student, teacher=teacher, sample=BATCH.inputs)
    distiller.double()
    full = make(student, teacher, warmup_epochs=0)
    full.load_state_dict(distiller.state_dict())
    whole = full.terms(student, BATCH)["reviewkd"].item()
    for epoch, share in ((0, 0.05), (9, 0.5), (19, 1.0), (200, 1.0)):
        distiller.start_epoch(epoch)
        term = distiller.terms(student, BATCH)["reviewkd"].item()
        assert term == pytest.approx(share * whole, rel=1e-12)


def test_networks_of_other_depth_or_without_maps_are_refused(student):
    deeper = tiny_network(1, widths=(2, 3, 4, 5), strides=(1, 2, 1))
    with pytest.raises(ValueError, match=r"got .*\(4, 2, 2\)\] from student .*\(5, 2, 2\)\] from"):
        make(student, deeper)
    mlp = create_model("mlp:width=4,depth=4", num_classes=3, in_channels=1, image_size=4).double()
    with pytest.raises(ValueError, match=r"from student MLP and .* from teacher StagedClassifier"):
        make(mlp, student)


def test_a_negative_warmup_is_refused(student, teacher):
    with pytest.raises(ValueError, match="warmup_epochs must be ≥ 0, got -1"):
        make(student, teacher, warmup_epochs=-1)

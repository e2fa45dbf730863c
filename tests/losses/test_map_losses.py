"""Losses of stage maps against slow implementations, written from their definitions."""

import math
from itertools import product

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from mcmi_core.losses import (
    attention_loss,
    average_pool,
    fsp_loss,
    hcl_loss,
    hint_loss,
    nst_loss,
    vid_loss,
)


def random_map(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def pooled(feature_map, height, width):
    """Adaptive average pooling, from PyTorch."""
    return F.adaptive_avg_pool2d(feature_map, (height, width))


def channels(feature_map, sample):
    """The flattened channels of one sample: lists of positions."""
    return feature_map[sample].flatten(1).tolist()


def dot(first, second):
    return sum(a * b for a, b in zip(first, second, strict=True))


def normalised(values):
    length = math.sqrt(dot(values, values))
    return [value / length for value in values]


def slow_attention(student, teacher, p):
    """Of one layer, maps of one size."""
    total, positions = 0.0, student.shape[2] * student.shape[3]
    for n in range(len(student)):
        attentions = []
        for feature_map in (student, teacher):
            rows = channels(feature_map, n)
            means = [sum(abs(row[i]) ** p for row in rows) / len(rows) for i in range(positions)]
            attentions.append(normalised(means))
        total += sum((a - b) ** 2 for a, b in zip(*attentions, strict=True))
    return total / (len(student) * positions)


def slow_vid(mean, teacher, log_scale):
    total = 0.0
    for n, c in product(range(teacher.shape[0]), range(teacher.shape[1])):
        variance = math.log(1 + math.exp(log_scale[c].item())) + 1e-5
        for m, t in zip(channels(mean, n)[c], channels(teacher, n)[c], strict=True):
            total += 0.5 * ((m - t) ** 2 / variance + math.log(variance))
    return total / teacher.numel()


def slow_nst(student, teacher):
    """Of one layer, maps of one size."""

    def k(first, second):
        terms = [
            dot(normalised(a), normalised(b)) ** 2
            for n in range(len(first))
            for a, b in product(channels(first, n), channels(second, n))
        ]
        return sum(terms) / len(terms)

    return k(teacher, teacher) + k(student, student) - 2 * k(student, teacher)


def slow_mean_squared_error(first, second):
    pairs = zip(first.flatten().tolist(), second.flatten().tolist(), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) / first.numel()


def slow_hcl(student, teacher):
    """Of one layer."""
    total, weights, weight = slow_mean_squared_error(student, teacher), 1.0, 1.0
    for size in (4, 2, 1):
        if size < student.shape[2]:
            weight /= 2
            weights += weight
            pair = (pooled(x, size, size) for x in (student, teacher))
            total += weight * slow_mean_squared_error(*pair)
    return total / weights


def slow_fsp(student_maps, teacher_maps):
    """For maps of one size within a network."""
    total = 0.0
    for i in range(len(student_maps) - 1):
        errors = []
        for n in range(len(student_maps[0])):
            flows = []
            for maps in (student_maps, teacher_maps):
                pairs = product(channels(maps[i], n), channels(maps[i + 1], n))
                flows.append([dot(a, b) / len(a) for a, b in pairs])
            errors += [(g - h) ** 2 for g, h in zip(*flows, strict=True)]
        total += sum(errors) / len(errors)
    return total


@pytest.mark.parametrize("size", [(2, 3), (3, 4), (1, 1), (5, 6), (7, 9)])
def test_average_pooling_is_the_adaptive_one(size):
    feature_map = random_map(2, 3, 5, 6).requires_grad_()
    torch.testing.assert_close(average_pool(feature_map, size), pooled(feature_map, *size))
    assert gradcheck(lambda x: average_pool(x, size), feature_map)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("size", [(5, 6), (2, 3)])
def test_average_pooling_is_exact_under_autocast(size, dtype):
    feature_map = random_map(2, 3, 5, 6).to(dtype)
    expected = average_pool(feature_map.float(), size)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(average_pool(feature_map, size), expected, rtol=0, atol=0)


def test_gradients_of_a_map_in_two_flows_add_up_in_float32():
    """Not in half precision, where a map is converted for each pair that it is in."""
    student = [random_map(2, 3, 4, 4, seed=seed).bfloat16() for seed in range(3)]
    teacher = [random_map(2, 3, 4, 4, seed=seed).float() for seed in range(3, 6)]
    wide = [x.float().requires_grad_() for x in student]
    expected = torch.autograd.grad(fsp_loss(wide, teacher), wide)
    half = [x.requires_grad_() for x in student]
    for gradient, exact in zip(
        torch.autograd.grad(fsp_loss(half, teacher), half), expected, strict=True
    ):
        assert torch.equal(gradient, exact.bfloat16())


def test_hint_is_the_mean_squared_error():
    student, teacher = random_map(2, 3, 2, 3).requires_grad_(), random_map(2, 3, 2, 3, seed=1)
    expected = slow_mean_squared_error(student, teacher)
    assert hint_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(hint_loss, (student, teacher))


@pytest.mark.parametrize("p", [1, 2, 3])
def test_attention_equals_its_definition(p):
    student, teacher = random_map(3, 4, 2, 3).requires_grad_(), random_map(3, 2, 2, 3, seed=1)
    loss = attention_loss([student], [teacher], p)
    assert loss.item() == pytest.approx(slow_attention(student, teacher, p), rel=1e-12)
    assert gradcheck(lambda s: attention_loss([s], [teacher], p), student)


def test_attention_squares_by_default():
    student, teacher = random_map(3, 4, 2, 3), random_map(3, 2, 2, 3, seed=1)
    torch.testing.assert_close(
        attention_loss([student], [teacher]), attention_loss([student], [teacher], p=2)
    )


def test_vid_equals_its_definition():
    mean, teacher = random_map(2, 3, 2, 2).requires_grad_(), random_map(2, 3, 2, 2, seed=1)
    log_scale = random_map(3, seed=2).requires_grad_()
    expected = slow_vid(mean, teacher, log_scale)
    assert vid_loss(mean, teacher, log_scale).item() == pytest.approx(expected, rel=1e-12)
    assert gradcheck(lambda m, scale: vid_loss(m, teacher, scale), (mean, log_scale))


def test_vid_is_a_likelihood():
    """That of a normal distribution, but for ½ log 2π."""
    mean, teacher = random_map(2, 3, 2, 2), random_map(2, 3, 2, 2, seed=1)
    deviation = (F.softplus(torch.ones(3, dtype=torch.float64)) + 1e-5).sqrt()[:, None, None]
    likelihood = torch.distributions.Normal(mean, deviation).log_prob(teacher).mean()
    loss = vid_loss(mean, teacher, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(loss, -likelihood - 0.5 * math.log(2 * math.pi))


def test_vid_is_finite_for_extreme_scales():
    log_scale = torch.tensor([-200.0, 0.0, 200.0], requires_grad=True)
    loss = vid_loss(torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2), log_scale)
    loss.backward()
    assert loss.isfinite() and log_scale.grad.isfinite().all()


def test_nst_equals_its_definition():
    student, teacher = random_map(2, 4, 2, 3).requires_grad_(), random_map(2, 3, 2, 3, seed=1)
    loss = nst_loss([student], [teacher])
    assert loss.item() == pytest.approx(slow_nst(student, teacher), rel=1e-10)
    assert gradcheck(lambda s: nst_loss([s], [teacher]), student)


@pytest.mark.parametrize("size", [(8, 8), (5, 5), (4, 4), (3, 3), (2, 2), (1, 1), (5, 3)])
def test_hcl_equals_its_definition(size):
    student, teacher = random_map(2, 2, *size).requires_grad_(), random_map(2, 2, *size, seed=1)
    loss = hcl_loss([student], [teacher])
    assert loss.item() == pytest.approx(slow_hcl(student, teacher), rel=1e-12)
    assert gradcheck(lambda s: hcl_loss([s], [teacher]), student)


def test_fsp_equals_its_definition():
    """Channels vary from layer to layer, not between the networks."""
    student, teacher = (
        [random_map(2, width, 2, 3, seed=seed + width) for width in (2, 3, 4)] for seed in (0, 9)
    )
    loss = fsp_loss(student, teacher)
    assert loss.item() == pytest.approx(slow_fsp(student, teacher), rel=1e-12)
    student = [x.requires_grad_() for x in student]
    assert gradcheck(lambda *maps: fsp_loss(list(maps), teacher), student)


@pytest.mark.parametrize("loss", [attention_loss, nst_loss, hcl_loss])
def test_layers_are_summed(loss):
    student = [random_map(3, 4, 4, 4), random_map(3, 2, 2, 2)]
    teacher = [random_map(3, 4, 4, 4, seed=1), random_map(3, 2, 2, 2, seed=1)]
    separately = loss(student[:1], teacher[:1]) + loss(student[1:], teacher[1:])
    torch.testing.assert_close(loss(student, teacher), separately)


@pytest.mark.parametrize("sizes", [((4, 6), (2, 3)), ((2, 3), (4, 6)), ((5, 2), (3, 4))])
@pytest.mark.parametrize(
    "loss",
    [
        lambda s, t: attention_loss([s], [t]),
        lambda s, t: nst_loss([s], [t]),
        lambda s, t: vid_loss(s, t, s.new_zeros(3)),
    ],
    ids=["attention", "nst", "vid"],
)
def test_larger_maps_are_pooled_to_the_smaller(loss, sizes):
    student = random_map(2, 3, *sizes[0]).requires_grad_()
    teacher = random_map(2, 3, *sizes[1], seed=1)
    common = tuple(map(min, *sizes))
    expected = loss(pooled(student, *common), pooled(teacher, *common))
    torch.testing.assert_close(loss(student, teacher), expected)
    assert gradcheck(lambda s: loss(s, teacher), student)


def test_fsp_pools_within_a_network():
    student = [random_map(2, 2, 4, 4), random_map(2, 3, 2, 2), random_map(2, 2, 3, 3)]
    teacher = [random_map(2, 2, 3, 3, seed=1), random_map(2, 3, 3, 3, seed=1)]
    teacher.append(random_map(2, 2, 3, 3, seed=2))
    first = [pooled(student[0], 2, 2), student[1]]
    second = [student[1], pooled(student[2], 2, 2)]
    expected = slow_fsp(first, teacher[:2]) + slow_fsp(second, teacher[1:])
    assert fsp_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)


class LargestTensor(TorchFunctionMode):
    """Elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_function__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


def test_nst_never_holds_a_product_of_all_channels_and_positions():
    """(N, C, C, HW) would be 16 times the input here."""
    student, teacher = torch.randn(2, 2, 16, 8, 8)
    with LargestTensor() as largest:
        nst_loss([student], [teacher])
    assert largest.elements == student.numel()


M = torch.zeros(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hint_loss(M, M[:, :2]), r"same shape, got \(2, 3, 4, 4\) and \(2, 2, 4, 4\)"),
        (lambda: hint_loss(M[:0], M[:0]), r"hold no sample, got shape \(0, 3, 4, 4\)"),
        (lambda: attention_loss([M], [M, M]), "lists of one length ≥ 1, got 1 and 2 maps"),
        (lambda: attention_loss([], []), "lists of one length ≥ 1, got 0 and 0 maps"),
        (lambda: attention_loss([M], [M], p=0.5), "p must be ≥ 1, got 0.5"),
        (
            lambda: attention_loss([M, M], [M, M[0]]),
            r"student_maps\[1\] and teacher_maps\[1\] must have shapes \(N, C, H, W\) with the "
            r"same N, got \(2, 3, 4, 4\) and \(3, 4, 4\)",
        ),
        (lambda: nst_loss([M], [M[:1]]), r"same N, got \(2, 3, 4, 4\) and \(1, 3, 4, 4\)"),
        (lambda: nst_loss([M[:0]], [M[:0]]), r"hold no sample, got shape \(0, 3, 4, 4\)"),
        (
            lambda: vid_loss(M, M[:, :2], torch.zeros(3)),
            r"same channels, got \(2, 3, 4, 4\), \(2, 2, 4, 4\) and \(3,\)",
        ),
        (lambda: vid_loss(M, M, torch.zeros(1)), r"same channels, got .* and \(1,\)"),
        (lambda: vid_loss(M, M[0], torch.zeros(3)), r"got \(2, 3, 4, 4\) and \(3, 4, 4\)"),
        (
            lambda: hcl_loss([M, M], [M, M[..., :2]]),
            r"teacher_maps\[1\] must have the same shape, got \(2, 3, 4, 4\) and \(2, 3, 4, 2\)",
        ),
        (lambda: fsp_loss([M], [M]), "lists of one length ≥ 2, got 1 and 1 maps"),
        (
            lambda: fsp_loss([M, M], [M, M[:, :2]]),
            r"teacher_maps\[1\] must have the same channels, got \(2, 3, 4, 4\) and "
            r"\(2, 2, 4, 4\)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

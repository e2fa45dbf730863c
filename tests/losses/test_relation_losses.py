"""Losses of relations between samples against slow implementations, from their definitions."""

import math
from itertools import product

import pytest
import torch
from torch.autograd import gradcheck

from mcmi_core.losses import correlation_loss, pkt_loss, rkd_loss, similarity_loss


@pytest.fixture
def features():
    """Of a student, which learns, (5, 3); and of a teacher, (5, 4)."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(5, 3, dtype=torch.float64, generator=generator).requires_grad_()
    return student, torch.randn(5, 4, dtype=torch.float64, generator=generator)


def dot(first, second):
    return sum(a * b for a, b in zip(first, second, strict=True))


def length(vector):
    return math.sqrt(dot(vector, vector))


def difference(first, second):
    return [a - b for a, b in zip(first, second, strict=True)]


def slow_similarity(student, teacher):
    normalised = []
    for features in (student, teacher):
        rows = features.flatten(1).tolist()
        products = [[dot(a, b) for b in rows] for a in rows]
        normalised.append([[value / length(row) for value in row] for row in products])
    entries = product(range(len(student)), repeat=2)
    total = sum((normalised[0][i][j] - normalised[1][i][j]) ** 2 for i, j in entries)
    return total / len(student) ** 2


def slow_pkt(student, teacher):
    distributions = []
    for features in (student, teacher):
        rows = features.tolist()
        scaled = [[value / (length(row) + 1e-7) for value in row] for row in rows]
        similarities = [[(1 + dot(a, b)) / 2 for b in scaled] for a in scaled]
        distributions.append([[value / sum(row) for value in row] for row in similarities])
    total = 0.0
    for i, j in product(range(len(student)), repeat=2):
        q, p = distributions[0][i][j], distributions[1][i][j]
        total += p * math.log((p + 1e-7) / (q + 1e-7))
    return total / len(student) ** 2


def smooth_l1(value):
    return value**2 / 2 if abs(value) < 1 else abs(value) - 0.5


def slow_rkd(student, teacher, distance_weight, angle_weight):
    size = len(student)
    distances, cosines = [], []
    for features in (student, teacher):
        rows = features.tolist()
        found = [length(difference(a, b)) for a, b in product(rows, repeat=2)]
        mean = sum(found) / sum(value > 0 for value in found)
        distances.append([value / mean for value in found])
        angles = []
        for i, k, j in product(rows, repeat=3):
            a, b = difference(i, k), difference(j, k)
            lengths = length(a) * length(b)
            angles.append(dot(a, b) / lengths if lengths else 0.0)
        cosines.append(angles)
    distance = sum(map(smooth_l1, difference(*distances))) / size**2
    angle = sum(map(smooth_l1, difference(*cosines))) / size**3
    return distance_weight * distance + angle_weight * angle


def slow_correlation(student, teacher):
    d = [
        list(map(abs, difference(s, t)))
        for s, t in zip(student.tolist(), teacher.tolist(), strict=True)
    ]
    return sum(dot(d[i], d[i + 1]) for i in range(len(d) - 1)) / (len(d) - 1)


def test_similarity_equals_its_definition(features):
    student, teacher = features
    loss = similarity_loss(student, teacher)
    assert loss.item() == pytest.approx(slow_similarity(student, teacher), rel=1e-12)
    assert gradcheck(lambda s: similarity_loss(s, teacher), student)


def test_similarity_flattens_maps(features):
    student = features[0].detach().repeat(1, 4)
    torch.testing.assert_close(
        similarity_loss(student.view(5, 3, 2, 2), features[1]),
        similarity_loss(student, features[1]),
    )


def test_pkt_equals_its_definition(features):
    student, teacher = features
    loss = pkt_loss(student, teacher)
    assert loss.item() == pytest.approx(slow_pkt(student, teacher), rel=1e-10)
    assert gradcheck(lambda s: pkt_loss(s, teacher), student)


def test_pkt_is_finite_for_opposite_samples():
    """Cosine −1 has probability 0, on either side."""
    student = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    for first, second in ((student, teacher), (teacher, student)):
        loss = pkt_loss(first, second)
        loss.backward()
        assert loss.item() == pytest.approx(slow_pkt(first, second), rel=1e-8)
        assert pkt_loss(first.float(), second.float()).isfinite()
        assert student.grad.isfinite().all()


@pytest.mark.parametrize("weights", [(25, 50), (1, 0), (0, 1)])
def test_rkd_equals_its_definition(weights, features):
    student, teacher = features
    loss = rkd_loss(student, teacher, *weights)
    assert loss.item() == pytest.approx(slow_rkd(student, teacher, *weights), rel=1e-12)
    assert gradcheck(lambda s: rkd_loss(s, teacher, *weights), student)


def test_rkd_weighs_25_and_50_by_default(features):
    torch.testing.assert_close(rkd_loss(*features), rkd_loss(*features, 25, 50))


def test_rkd_does_not_depend_on_place_scale_and_rotation(features):
    student, teacher = features
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    moved = 7 * student @ rotation + 3
    torch.testing.assert_close(rkd_loss(moved, teacher), rkd_loss(student, teacher))


def test_rkd_counts_equal_samples_as_zero_distances(features):
    """They are left out of the mean distance, and their gradient is finite."""
    student, teacher = (torch.cat([x.detach(), x.detach()[:2]]) for x in features)
    student.requires_grad_()
    loss = rkd_loss(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(slow_rkd(student, teacher, 25, 50), rel=1e-12)
    assert student.grad.isfinite().all()


def test_rkd_is_accurate_in_float32_far_from_the_origin(features):
    """Squared norms of 1e6 would hide squared distances of 1."""
    student, teacher = (x.detach() + 1000 for x in features)
    expected = slow_rkd(student.float(), teacher.float(), 25, 50)
    assert rkd_loss(student.float(), teacher.float()).item() == pytest.approx(expected, rel=1e-5)


def test_correlation_equals_its_definition(features):
    student, teacher = features[0], features[1][:, :3].clone().requires_grad_()
    loss = correlation_loss(student, teacher)
    assert loss.item() == pytest.approx(slow_correlation(student, teacher), rel=1e-12)
    assert gradcheck(correlation_loss, (student, teacher))


def test_correlation_of_one_sample_is_zero(features):
    assert correlation_loss(features[0][:1], features[1][:1, :3]).item() == 0


@pytest.mark.parametrize("loss", [similarity_loss, pkt_loss, rkd_loss])
def test_different_batches_are_refused(loss, features):
    student, teacher = features
    with pytest.raises(ValueError, match=r"with the same N, got \(5, 3\) and \(4, 4\)"):
        loss(student, teacher[:4])
    with pytest.raises(ValueError, match=r"shapes \(N, ...\) .* got \(5,\) and \(5, 4\)"):
        loss(student[:, 0], teacher)
    with pytest.raises(ValueError, match=r"hold no sample, got shape \(0, 3\)"):
        loss(student[:0], teacher[:0])


def test_correlation_refuses_embeddings_of_different_sizes(features):
    with pytest.raises(ValueError, match=r"same shape, got \(5, 3\) and \(5, 4\)"):
        correlation_loss(*features)
    with pytest.raises(ValueError, match=r"hold no sample, got shape \(0, 3\)"):
        correlation_loss(features[0][:0], features[0][:0])

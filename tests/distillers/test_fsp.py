"""FSP: which maps it compares, and its two phases."""

import pytest
import torch
from tiny_networks import gradients, tiny_batch, tiny_network
from torch.nn import functional as F

from mcmi_core.components import DISTILLERS
from mcmi_core.distillers.fsp import FSP


@pytest.fixture
def student():
    return tiny_network(0)


@pytest.fixture
def teacher():
    """As wide, but its second stage does not halve."""
    return tiny_network(1, strides=(1, 1))


BATCH = tiny_batch()


def pooled(feature_map, side):
    return F.avg_pool2d(feature_map, feature_map.shape[2] // side)


def slow_flow(first, second):
    """Σ over positions of one channel times another, a sample and a pair at a time."""
    side = min(first.shape[2], second.shape[2])
    first, second = pooled(first, side), pooled(second, side)
    return torch.stack(
        [(a[i] * b[j]).sum() / side**2 for a, b in zip(first, second, strict=True)
         for i in range(len(a)) for j in range(len(b))]
    )  # fmt: skip


def slow_loss(student_maps, teacher_maps):
    total = 0
    for layer in range(len(student_maps) - 1):
        difference = slow_flow(*student_maps[layer : layer + 2]) - slow_flow(
            *teacher_maps[layer : layer + 2]
        )
        total = total + difference.square().mean()
    return total


def test_first_phase_is_the_flow_of_all_maps_from_the_stem_up(student, teacher):
    distiller = FSP(student, teacher, BATCH.inputs, weight=0.7)
    terms = distiller.terms(student, BATCH)
    maps = [network.features(BATCH.inputs)[0][:-1] for network in (student, teacher)]
    assert [len(m) for m in maps] == [3, 3]
    expected = 0.7 * slow_loss(*maps)
    assert list(terms) == ["fsp"]
    assert terms["fsp"].item() == pytest.approx(expected.item(), rel=1e-12)
    parameters = [*student.stem.parameters(), *student.stages.parameters()]
    torch.testing.assert_close(gradients(terms["fsp"], parameters), gradients(expected, parameters))


def test_second_phase_is_cross_entropy_without_the_teacher(student, teacher):
    distiller = FSP(student, teacher, BATCH.inputs, initial_epochs=2, cross_entropy_weight=0.5)
    names = []
    teacher.forward = teacher.features = None  # whoever calls it now fails
    for epoch in (2, 3):
        distiller.start_epoch(epoch)
        terms = distiller.terms(student, BATCH)
        names.append(list(terms))
    assert names == [["cross_entropy"]] * 2
    expected = 0.5 * F.cross_entropy(student(BATCH.inputs), BATCH.labels)
    torch.testing.assert_close(terms["cross_entropy"], expected)
    assert terms["cross_entropy"].requires_grad


def test_thirty_epochs_by_default(student, teacher):
    distiller = DISTILLERS.build("fsp", student=student, teacher=teacher, sample=BATCH.inputs)
    for epoch, initial in ((0, True), (29, True), (30, False), (4, True)):  # 4: as if resumed
        distiller.start_epoch(epoch)
        assert distiller.initial is initial
    assert not list(distiller.parameters()) and not distiller.state_dict()


def test_no_initial_epochs(student, teacher):
    distiller = FSP(student, teacher, BATCH.inputs, initial_epochs=0)
    assert list(distiller.terms(student, BATCH)) == ["cross_entropy"]


def test_other_widths_are_refused(student):
    wide = tiny_network(1, widths=(2, 3, 5))
    message = (
        r"of the same width, got \[\(2, 4, 4\), \(3, 4, 4\), \(4, 2, 2\)\] from student "
        r"StagedClassifier and \[\(2, 4, 4\), \(3, 4, 4\), \(5, 2, 2\)\] from teacher"
    )
    with pytest.raises(ValueError, match=message):
        FSP(student, wide, BATCH.inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial_epochs": -1}, "initial_epochs must be ≥ 0, got -1"),
        ({"cross_entropy_weight": 0.0}, r"cross_entropy_weight must be positive, got 0\.0"),
    ],
)
def test_bad_options_are_refused(options, message, student, teacher):
    with pytest.raises(ValueError, match=message):
        FSP(student, teacher, BATCH.inputs, **options)

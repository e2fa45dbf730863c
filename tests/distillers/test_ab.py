"""AB against its piecewise definition, neuron by neuron, and its two phases."""

import pytest
import torch
from tiny_networks import gradients, tiny_batch, tiny_network

from mcmi_core.components import DISTILLERS
from mcmi_core.distillers.ab import AB, activation_boundary_loss
from mcmi_core.models import create_model


@pytest.fixture
def student():
    return tiny_network(0)


@pytest.fixture
def teacher():
    return tiny_network(1, widths=(2, 5, 4))


BATCH = tiny_batch()


def slow_loss(student_map, teacher_map, margin):
    """0 where the student is past the margin on the teacher's side."""
    total = 0
    for s, t in zip(student_map.flatten(), teacher_map.flatten(), strict=True):
        if t > 0 and s < margin:
            total = total + (s - margin) ** 2
        elif t <= 0 and s > -margin:
            total = total + (s + margin) ** 2
    return total / len(student_map)


def test_loss_equals_its_definition():
    generator = torch.Generator().manual_seed(0)
    student_map, teacher_map = (
        2 * torch.randn(3, 2, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    student_map.requires_grad_()
    loss = activation_boundary_loss(student_map, teacher_map, 1.0)
    expected = slow_loss(student_map, teacher_map, 1.0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradients(loss, [student_map]), gradients(expected, [student_map]))


@pytest.mark.parametrize(
    ("student_value", "teacher_value", "expected"),
    [(1.0, 0.1, 0), (7.0, 3.0, 0), (0.0, 0.1, 1), (-1.0, 5.0, 4), (-1.0, 0.0, 0), (0.5, 0.0, 2.25)],
)
def test_only_the_side_and_the_margin_count(student_value, teacher_value, expected):
    maps = [torch.full((1, 1, 1, 1), value) for value in (student_value, teacher_value)]
    assert activation_boundary_loss(*maps, margin=1.0).item() == expected


def test_activation_does_not_change_a_teachers_side():
    generator = torch.Generator().manual_seed(1)
    student_map, before = (torch.randn(2, 3, 4, 4, generator=generator) for _ in range(2))
    losses = [activation_boundary_loss(student_map, t, 1.0) for t in (before, before.relu())]
    assert losses[0] == losses[1]


def test_first_phase_weighs_deep_stages_most(student, teacher):
    distiller = AB(student, teacher, BATCH.inputs, weight=2.0, margin=0.5).double()
    terms = distiller.terms(student, BATCH)
    student_maps, teacher_maps = (
        network.features(BATCH.inputs)[0][1:-1] for network in (student, teacher)
    )
    shallow, deep = (
        slow_loss(connector(s), t, 0.5)
        for connector, s, t in zip(distiller.connectors, student_maps, teacher_maps, strict=True)
    )
    expected = 2.0 * 0.003 * (deep + shallow / 2)
    assert list(terms) == ["ab"]
    assert terms["ab"].item() == pytest.approx(expected.item(), rel=1e-12)
    parameters = [*student.stages.parameters(), *distiller.parameters()]
    torch.testing.assert_close(
        gradients(terms["ab"], parameters), gradients(expected, parameters), rtol=1e-6, atol=1e-12
    )


def test_connectors_are_1x1_convolutions_also_between_equal_widths(student, teacher):
    distiller = AB(student, teacher, BATCH.inputs)
    shapes = [tuple(connector[0].weight.shape) for connector in distiller.connectors]
    assert shapes == [(5, 3, 1, 1), (4, 4, 1, 1)]


def test_cross_entropy_alone_after_the_initial_epochs(student, teacher):
    distiller = DISTILLERS.build("ab", student=student, teacher=teacher, sample=BATCH.inputs)
    distiller.double()
    for epoch, names in ((0, ["ab"]), (29, ["ab"]), (30, ["cross_entropy"])):
        distiller.start_epoch(epoch)
        terms = distiller.terms(student, BATCH)
        assert list(terms) == names and all(term.requires_grad for term in terms.values())


def test_other_sizes_and_networks_without_maps_are_refused(student):
    flat = tiny_network(1, strides=(1, 1))
    with pytest.raises(ValueError, match=r"same size, got .*\(4, 2, 2\)\] .* \(4, 4, 4\)\]"):
        AB(student, flat, BATCH.inputs)
    mlp = create_model("mlp:width=4,depth=4", num_classes=3, in_channels=1, image_size=4).double()
    with pytest.raises(ValueError, match=r"from student StagedClassifier and \[\(4,\).* MLP"):
        AB(student, mlp, BATCH.inputs)


def test_a_negative_margin_is_refused(student, teacher):
    with pytest.raises(ValueError, match=r"margin must be ≥ 0, got -1\.0"):
        AB(student, teacher, BATCH.inputs, margin=-1.0)

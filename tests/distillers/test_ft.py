"""FT: the paraphraser learns first, alone; then its factors are matched."""

import pytest
import torch
from tiny_networks import gradients, tiny_batch, tiny_network
from torch.nn import functional as F

from mcmi_core.components import DISTILLERS
from mcmi_core.distillers.ft import FT, factor_loss
from mcmi_core.models import create_model


@pytest.fixture
def student():
    return tiny_network(0)


@pytest.fixture
def teacher():
    return tiny_network(1, widths=(2, 3, 6))


BATCH = tiny_batch()


def make(student, teacher, **options):
    return FT(student, teacher, BATCH.inputs, **options).double()


def slow_factor_loss(student_factor, teacher_factor):
    total, count = 0, 0
    for s, t in zip(student_factor, teacher_factor, strict=True):
        s_norm, t_norm = (x.square().sum().sqrt() for x in (s, t))
        for a, b in zip(s.flatten(), t.flatten(), strict=True):
            total, count = total + (a / s_norm - b / t_norm).abs(), count + 1
    return total / count


def test_loss_equals_its_definition():
    generator = torch.Generator().manual_seed(0)
    factors = [
        torch.randn(3, 2, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
        for _ in range(2)
    ]
    loss, expected = factor_loss(*factors), slow_factor_loss(*factors)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradients(loss, factors), gradients(expected, factors))


def test_scale_of_a_factor_does_not_count():
    factor = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert factor_loss(factor, 7 * factor).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("larger", [0, 1])
def test_the_larger_factor_is_pooled(larger):
    factors = [torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    loss = factor_loss(*factors)
    factors[larger] = factors[larger].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(factor_loss(*factors), loss)


def test_first_phase_trains_the_paraphraser_while_the_student_stands_still(student, teacher):
    distiller = make(student, teacher, initial_epochs=1, reconstruction_weight=0.3)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    terms = distiller.terms(student.train(), BATCH)
    teacher_map = teacher.features(BATCH.inputs)[0][-2]
    rebuilt = distiller.decoder(distiller.encoder(teacher_map))
    assert rebuilt.shape == teacher_map.shape
    expected = 0.3 * (rebuilt - teacher_map).square().sum() / teacher_map.numel()
    assert list(terms) == ["reconstruction"]
    torch.testing.assert_close(terms["reconstruction"], expected)

    terms["reconstruction"].backward()
    for parameter in [*distiller.encoder.parameters(), *distiller.decoder.parameters()]:
        assert parameter.grad is not None
    for parameter in [*distiller.translator.parameters(), *student.parameters()]:
        assert parameter.grad is None
    for name, value in student.state_dict().items():
        assert torch.equal(value, before[name]), name  # batch statistics too


def test_second_phase_trains_student_and_translator_towards_a_fixed_paraphrase(student, teacher):
    distiller = make(student, teacher, initial_epochs=1)
    distiller.start_epoch(1)
    terms = distiller.terms(student, BATCH)
    student_map, teacher_map = (
        network.features(BATCH.inputs)[0][-2] for network in (student, teacher)
    )
    factors = distiller.translator(student_map), distiller.encoder(teacher_map).detach()
    assert [factor.shape[1] for factor in factors] == [3, 3]  # half of the teacher's 6 channels
    expected = 200 * slow_factor_loss(*factors)
    assert list(terms) == ["cross_entropy", "ft"]
    assert terms["ft"].item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(
        terms["cross_entropy"], F.cross_entropy(student(BATCH.inputs), BATCH.labels)
    )
    trained = [*student.stages.parameters(), *distiller.translator.parameters()]
    torch.testing.assert_close(
        gradients(terms["ft"], trained), gradients(expected, trained), rtol=1e-5, atol=1e-9
    )
    sum(terms.values()).backward()
    for parameter in [*distiller.encoder.parameters(), *distiller.decoder.parameters()]:
        assert parameter.grad is None


def test_thirty_initial_epochs_by_default(student, teacher):
    distiller = DISTILLERS.build("ft", student=student, teacher=teacher, sample=BATCH.inputs)
    distiller.start_epoch(29)
    assert distiller.initial
    distiller.start_epoch(30)
    assert not distiller.initial


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial_epochs": -2}, "initial_epochs must be ≥ 0, got -2"),
        ({"rate": 0.1}, r"rate must leave at least 1 of 6 channels, got 0\.1"),
        ({"reconstruction_weight": 0.0}, "reconstruction_weight must be positive, got 0.0"),
    ],
)
def test_bad_options_are_refused(options, message, student, teacher):
    with pytest.raises(ValueError, match=message):
        make(student, teacher, **options)


def test_networks_without_maps_are_refused(student):
    mlp = create_model("mlp:width=4", num_classes=3, in_channels=1, image_size=4).double()
    with pytest.raises(ValueError, match=r"stage maps .* from student StagedClassifier and .* MLP"):
        make(student, mlp)

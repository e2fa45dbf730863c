"""HSAKD: rotations and joint labels, heads on every stage, the losses, and the chain of runs."""

import pytest
import torch
from pydantic import ValidationError
from small_images import (
    DATA,
    RECIPE,
    assert_same_training,
    image_student,
    image_teacher,
    trained_whole_and_interrupted,
)
from tiny_networks import gradients, tiny_batch, tiny_network
from torch import nn

from mcmi_core.distillers.hsakd import HSAKD, HeadsLoss
from mcmi_core.models import create_model
from mcmi_core.models.auxiliary import AuxiliaryHeads, HeadedNetwork, joint_labels, rotations
from mcmi_core.runs.config import BayesTeacher, TeacherHeads, parse_run
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure, load_model

CPU = torch.device("cpu")
BATCH = tiny_batch(size=3)


def trained_like(network):
    """Running statistics and batch norm unlike a new network's."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.weight.data.uniform_(0.5, 2)
    return network


@pytest.fixture
def student():
    return tiny_network(0)


@pytest.fixture
def teacher():
    return HeadedNetwork(trained_like(tiny_network(1, widths=(2, 4, 5)))).double()


def test_rotations_turn_counter_clockwise_image_by_image():
    first, second = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[5, 6], [7, 8]])
    rows = rotations(torch.stack([first, second])[:, None])
    assert rows.shape == (8, 1, 2, 2)
    assert rows[:4, 0].tolist() == [
        [[1, 2], [3, 4]],
        [[2, 4], [1, 3]],
        [[4, 3], [2, 1]],
        [[3, 1], [4, 2]],
    ]
    assert rows[4:, 0].tolist() == [
        [[5, 6], [7, 8]],
        [[6, 8], [5, 7]],
        [[8, 7], [6, 5]],
        [[7, 5], [8, 6]],
    ]


def test_joint_labels_match_the_rows_of_rotations():
    assert joint_labels(torch.tensor([2, 0])).tolist() == [8, 9, 10, 11, 0, 1, 2, 3]


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 16)])
def test_only_square_images_rotate(shape):
    with pytest.raises(ValueError, match=rf"need images \(N, C, S, S\), got shape \({shape[0]}, "):
        rotations(torch.zeros(shape))


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "vgg8", "mobilenetv2", "shufflenetv1"])
def test_heads_are_fresh_copies_of_the_later_stages(name):
    torch.manual_seed(0)
    network = trained_like(create_model(name, num_classes=5, image_size=16))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    heads = AuxiliaryHeads(network.requires_grad_(False).eval())
    assert len(heads) == len(network.stages)
    for stage, head in enumerate(heads, start=1):
        rest = [*network.stages[stage:], network.neck]
        copies = [p for part in list(head)[: len(rest)] for p in part.parameters()]
        originals = [p for part in rest for p in part.parameters()]
        assert [p.shape for p in copies] == [p.shape for p in originals]
        for copy, original in zip(copies, originals, strict=True):
            assert copy.requires_grad and copy.data_ptr() != original.data_ptr()
            assert copy.ndim == 1 or not torch.equal(copy, original)
        for module in head.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.training and (module.running_mean == 0).all()
                assert (module.weight == 1).all()
    features, _ = network.features(torch.randn(2, 3, 16, 16))
    assert [tuple(logits.shape) for logits in heads(features)] == len(heads) * [(2, 20)]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_heads_need_a_network_of_stages():
    mlp = create_model("mlp:width=4", num_classes=3, in_channels=1, image_size=4)
    with pytest.raises(ValueError, match="need a network of stages, got MLP"):
        HeadedNetwork(mlp)


def test_headed_network_is_its_backbone_frozen(teacher):
    teacher.train()
    assert teacher.heads.training and not teacher.backbone.training
    before = {key: value.clone() for key, value in teacher.backbone.state_dict().items()}
    features, logits = teacher.features(BATCH.inputs)
    torch.testing.assert_close(teacher.backbone.features(BATCH.inputs), (features, logits))
    torch.testing.assert_close(teacher(BATCH.inputs), logits)
    sum(HeadsLoss().terms(teacher, BATCH).values()).backward()
    assert all(parameter.grad is not None for parameter in teacher.heads.parameters())
    assert all(parameter.grad is None for parameter in teacher.backbone.parameters())
    after = teacher.backbone.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in after.items())


def turned(image, times):
    """(1, S, S), a pixel at a time: row i, column j comes from row j, column S − 1 − i."""
    for _ in range(times):
        side = image.shape[1]
        pixels = [[image[0, j, side - 1 - i] for j in range(side)] for i in range(side)]
        image = torch.stack([torch.stack(row) for row in pixels])[None]
    return image


def all_turns(images):
    return torch.stack([turned(image, times) for image in images for times in range(4)])


def probabilities(row, temperature=1):
    powers = [torch.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def divergence(teacher_logits, student_logits, temperature):
    """T² · mean over rows of Σ_k p_k log(p_k / q_k)."""
    total = 0
    for t, s in zip(teacher_logits, student_logits, strict=True):
        p, q = probabilities(t, temperature), probabilities(s, temperature)
        total = total + sum(a * torch.log(a / b) for a, b in zip(p, q, strict=True))
    return temperature**2 * total / len(teacher_logits)


def test_heads_learn_joint_labels(teacher):
    terms = HeadsLoss().terms(teacher.train(), BATCH)
    features, _ = teacher.features(all_turns(BATCH.inputs))
    assert list(terms) == ["head_1", "head_2"]
    for term, logits in zip(terms.values(), teacher.heads(features), strict=True):
        expected = 0
        for i, label in enumerate(BATCH.labels.tolist()):
            for k in range(4):
                expected -= torch.log(probabilities(logits[4 * i + k])[4 * label + k]) / 12
        assert term.item() == pytest.approx(expected.item(), rel=1e-12)


def test_student_matches_heads_and_logits_in_all_rotations(student, teacher):
    distiller = HSAKD(student, teacher, heads_weight=0.7, weight=0.6, cross_entropy_weight=0.5)
    distiller.double()
    terms = distiller.terms(student, BATCH)
    rows = all_turns(BATCH.inputs)
    features, logits = student.features(rows)
    teacher_features, teacher_logits = teacher.features(rows)
    heads = zip(teacher.heads(teacher_features), distiller.heads(features), strict=True)
    upright = [probabilities(logits[4 * i])[label] for i, label in enumerate(BATCH.labels.tolist())]
    expected = {
        "cross_entropy": -0.5 * sum(torch.log(p) for p in upright) / 3,
        "heads": 0.7 * sum(divergence(t, s, 3) for t, s in heads),
        "kd": 0.6 * divergence(teacher_logits, logits, 3),
    }
    assert list(terms) == list(expected)
    for name, term in terms.items():
        assert term.item() == pytest.approx(expected[name].item(), rel=1e-10), name
    parameters = [*student.parameters(), *distiller.parameters()]
    torch.testing.assert_close(
        gradients(sum(terms.values()), parameters),
        gradients(sum(expected.values()), parameters),
        rtol=1e-7,
        atol=1e-12,
    )
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.heads.training


def test_student_without_its_teachers_stages_is_refused(student, teacher):
    with pytest.raises(ValueError, match="needs a teacher with auxiliary heads, got Staged"):
        HSAKD(student, tiny_network(1))
    deeper = tiny_network(0, widths=(2, 3, 4, 5), strides=(1, 2, 1))
    with pytest.raises(ValueError, match="got 3 in student StagedClassifier and 2 in teacher Stag"):
        HSAKD(deeper, teacher)


def image_heads(**changes):
    settings = {"data": DATA, "teacher": image_teacher(), "recipe": RECIPE}
    return TeacherHeads(**settings | changes)


def test_runs_form_a_chain():
    student = image_student("hsakd", image_heads())
    assert [run.stage for run in student.chain()] == ["teacher", "heads", "student"]
    assert {run.label for run in student.chain()} == {"MLL"}
    assert [run.epochs for run in student.chain()] == [1, 2, 2]
    assert image_heads().id.startswith("heads-oracle-resnet8-mll-")
    for run in student.chain():
        again = parse_run(run.model_dump(mode="json"))
        assert (again, again.key, again.id) == (run, run.key, run.id)
    assert image_heads(seed=1).key != image_heads().key


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: image_student("hsakd"),
            r"'hsakd' learns from a teacher with auxiliary heads, TeacherHeads\(teacher=...\), got "
            "Teacher 'MLL'",
        ),
        (
            lambda: image_student("hsakd", BayesTeacher(data=DATA)),
            "got BayesTeacher 'true BCPD'",
        ),
        (
            lambda: image_heads(data="digits"),
            "heads: data digits is not that of its teacher, oracle",
        ),
    ],
)
def test_runs_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


def test_heads_train_resume_exactly_and_come_back(tmp_path):
    heads = image_heads()
    stores = trained_whole_and_interrupted(heads, tmp_path)
    assert_same_training(*stores)
    losses = [[row[f"loss_head_{i}"] for i in (1, 2, 3)] for row in stores[0].history]
    assert sum(losses[1]) < sum(losses[0])

    network = load_model(heads, stores[0], CPU)
    assert not any(module.training for module in network.modules())
    saved = stores[0].tensors
    for name, value in network.heads.state_dict().items():
        assert torch.equal(value, saved[f"model.heads.{name}"]), name
    plain = load_model(heads.teacher, stores[0], CPU)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, network.backbone.state_dict()[name]), name
    metrics = [stores[0].record(run).metrics["test"] for run in (heads, heads.teacher)]
    assert metrics[0] == metrics[1]


def test_student_trains_resumes_exactly_and_leaves_its_heads_behind(tmp_path):
    student = image_student("hsakd", image_heads())
    stores = trained_whole_and_interrupted(student, tmp_path)
    assert_same_training(*stores)
    assert {"loss_cross_entropy", "loss_heads", "loss_kd"} <= stores[0].history[0].keys()
    assert any(name.startswith("criterion.heads.") for name in stores[0].tensors)
    plain = load_model(student, stores[0], CPU)
    assert plain.state_dict().keys() == stores[0].weights(student).keys()


def test_any_other_distiller_sees_the_plain_teacher(tmp_path):
    store = Store(tmp_path)
    students = [image_student("at", teacher) for teacher in (image_teacher(), image_heads())]
    for student in students:
        ensure(student, store, CPU)
    weights = [store.weights(student) for student in students]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())

import os
from dataclasses import replace

import pytest
import torch
from PIL import Image

from mcmi_core.experiments import bring_your_own_teacher as example
from mcmi_core.models.pretrained import describe_pretrained, list_pretrained, load_pretrained
from mcmi_core.objectives import MLLLoss

CPU = torch.device("cpu")
MLL = "cifar10_16px_resnet20_mll"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return example.open_images("", 8, str(tmp_path_factory.mktemp("workspace")))


@pytest.fixture
def pictures(tmp_path):
    for split in ("train", "test"):
        for name, level in (("dark", 40), ("bright", 160)):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (9, 12), (level, 200 - level, level)).save(folder / "one.png")
    return tmp_path / "pictures"


def test_digits_become_a_folder_of_ten_classes(digits):
    assert digits.num_classes == 10
    assert (len(digits.train), len(digits.test)) == (1438, 359)
    assert digits.train.inputs.shape[1:] == (3, 8, 8)
    assert digits.augmentation == "crop"  # a flipped digit is no digit


def test_your_own_folder(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_CACHE", "as it was")
    data = example.open_images(str(pictures), 8, str(tmp_path / "workspace"))
    assert data.augmentation == "crop_flip"
    assert data.class_names == ("bright", "dark")
    assert os.environ["MCMI_CACHE"] == "as it was"
    monkeypatch.delenv("MCMI_CACHE")
    example.open_images(str(pictures), 8, str(tmp_path / "workspace"))
    assert "MCMI_CACHE" not in os.environ


def test_an_epoch_is_the_same_whenever_it_is_asked_for(digits):
    batches = example.batches_by_epoch(digits, CPU)
    first, again, second = (batches(number)[0] for number in (0, 0, 1))
    assert first.inputs.shape == (64, 3, 8, 8)
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.indices, second.indices)


def test_a_fraction_is_repeated_until_an_epoch_is_as_long(digits):
    few = example.batches_by_epoch(digits, CPU, fraction=0.1)(0)
    assert sum(len(batch.labels) for batch in few) == len(digits.train)
    labels = torch.cat([batch.labels for batch in few])
    assert set(labels.tolist()) == set(range(10))
    images = torch.cat([batch.indices for batch in few])
    assert len(images.unique()) == pytest.approx(144, abs=5)


@pytest.mark.parametrize(("hidden", "linear"), [(None, [8 * 64]), (16, [8 * 64, 16])])
def test_networks_give_logits(hidden, linear):
    network = example.small_network(10, 8, width=8, hidden=hidden)
    assert network(torch.zeros(5, 3, 8, 8)).shape == (5, 10)
    assert [m.in_features for m in network if isinstance(m, torch.nn.Linear)] == linear


def test_published_teachers_are_those_of_the_card():
    table = example.published_teachers()
    assert sorted(table.index) == list_pretrained()
    assert list(table.columns) == ["teacher", "train accuracy", "test accuracy", "LL", "CMI"]
    assert table.loc[MLL, "teacher"] == "MLL"
    assert 0 < float(table.loc[MLL, "CMI"]) < 0.1


def start(data, published):
    torch.manual_seed(0)
    return example.starting_network(data, published).eval()


def test_without_a_published_teacher_a_small_network_starts(digits):
    images = example.batches_by_epoch(digits, CPU)(0)[0].inputs
    torch.manual_seed(0)
    small = example.small_network(10, 8, width=32, hidden=64).eval()
    assert torch.equal(start(digits, "")(images), small(images))


def test_students_start_from_the_same_weights(digits):
    torch.manual_seed(5)
    first, drawn = example.starting_student(digits), torch.rand(1)
    second = example.starting_student(digits)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)  # others draw as if there were no student


def test_a_copy_stays_as_it_is():
    network = torch.nn.Linear(2, 2)
    before = example.as_it_is(network)
    with torch.no_grad():
        network.bias += 1
    assert torch.equal(before.bias + 1, network.bias)


def test_a_published_teacher_keeps_its_last_layer_for_its_own_classes_alone(digits):
    images = example.batches_by_epoch(digits, CPU)(0)[0].inputs
    (*_, pooled), logits = load_pretrained(MLL).features(images)
    airplane_to_truck = replace(digits, class_names=tuple(describe_pretrained(MLL)["classes"]))
    assert torch.equal(start(airplane_to_truck, MLL)(images), logits)
    (*_, same), others = start(digits, MLL).features(images)  # ten classes as well, but others
    assert torch.equal(same, pooled)
    assert not torch.equal(others, logits)
    eleven = replace(digits, class_names=tuple("0123456789x"))
    assert start(eleven, MLL)(images).shape == (64, 11)


def test_learning_lowers_the_loss(digits):
    images = example.batches_by_epoch(digits, CPU)(0)[0]
    torch.manual_seed(0)
    network, loss = example.small_network(10, 8, width=2), MLLLoss()
    before = loss(network(images.inputs), images.labels)
    example.learn(network, loss, lambda number: [images])
    assert loss(network(images.inputs), images.labels) < 0.8 * before


def test_what_is_exported_is_compared(digits, tmp_path):
    torch.manual_seed(0)
    student = example.small_network(10, 8, width=2)
    example.export_student(student, digits, str(tmp_path))
    said = example.compare_exported(student, digits, str(tmp_path))
    assert said == "exported student: logits agree to 1e-4 on every test image"
    with torch.no_grad():
        student[-1].bias[3] += 0.01
    with pytest.raises(AssertionError, match="not equal"):  # weights
        example.compare_exported(student, digits, str(tmp_path))
    example.write_tensors(tmp_path / "student.safetensors", student.state_dict())
    with pytest.raises(AssertionError, match="not close"):  # logits
        example.compare_exported(student, digits, str(tmp_path))


def stages(cmi_nats, teacher_percent, student_percents):
    zero = {"ll_nats": 0.0, "entropy_nats": 0.0}
    teacher = zero | {"accuracy_percent": teacher_percent}
    return {
        "MLL teacher, training images": teacher | {"cmi_nats": 0.1},
        "MCMI teacher, training images": teacher | {"cmi_nats": cmi_nats},
        **{
            f"student of {name} teacher, test images": zero
            | {"accuracy_percent": percent, "cmi_nats": 0.0}
            for name, percent in zip(("no", "the MLL", "the MCMI"), student_percents, strict=True)
        },
    }


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.2, 95, (80, 85, 86)), [True, True, True]),
        ((0.1, 90, (80, 86, 85)), [False, True, True]),
        ((0.2, 89, (80, 80, 85)), [True, False, False]),
        ((0.2, 95, (80, 85, 80)), [True, True, False]),
    ],
)
def test_each_check_can_fail(numbers, expected):
    lines = example.checks(stages(*numbers)).splitlines()
    assert [line.split(": ")[1] for line in lines] == [str(is_so) for is_so in expected]


def test_stages_become_a_table():
    table = example.stage_table(stages(0.256, 95, (80, 85, 86)))
    assert list(table.columns) == [
        "accuracy, %",
        "log-likelihood, nats",
        "CMI, nats",
        "entropy, nats",
    ]
    assert table.loc["MCMI teacher, training images", "CMI, nats"] == 0.26

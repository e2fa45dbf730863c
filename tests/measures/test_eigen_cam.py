"""Eigen-CAM: against NumPy and a power iteration, its sign, its symmetries, and what it covers."""

import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import DATA

from mcmi_core.components import MEASUREMENTS
from mcmi_core.data import load_dataset
from mcmi_core.data.split import Dataset, Split
from mcmi_core.measures.eigen_cam import coverage, eigen_cam, place_information
from mcmi_core.measures.evaluation import MOST_AT_ONCE
from mcmi_core.models import create_model

CPU = torch.device("cpu")


@pytest.fixture
def maps():
    """Five images after a ReLU, 6 channels, 4x3 positions."""
    return torch.randn(5, 6, 4, 3, generator=torch.Generator().manual_seed(0)).relu()


@pytest.mark.parametrize("centred", [False, True])
def test_it_is_the_first_term_of_numpys_svd(maps, centred):
    for image, heat in zip(maps, eigen_cam(maps, centred=centred), strict=True):
        rows = image.double().numpy().reshape(6, 12).T  # positions, channels
        rows = rows - centred * rows.mean(axis=0)
        left, singular, _ = np.linalg.svd(rows)
        projection = left[:, 0] * singular[0]
        expected = max(
            (np.clip(sign * projection, 0, None) for sign in (1, -1)),
            key=lambda clipped: clipped @ rows.mean(axis=1),
        )
        np.testing.assert_allclose(heat.numpy().ravel(), expected / expected.max(), atol=1e-10)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(
    ("channels", "height", "width"), [(3, 5, 4), (20, 5, 4), (40, 5, 4), (64, 2, 2), (1, 6, 6)]
)
def test_few_and_many_channels_have_the_map_of_the_svd(channels, height, width, centred):
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(8, channels, height, width, generator=generator)
    for image, heat in zip(maps, eigen_cam(maps, centred=centred), strict=True):
        rows = image.double().flatten(1).T
        rows = rows - centred * rows.mean(0)
        left, singular, _ = torch.linalg.svd(rows, full_matrices=False)
        projection = singular[0] * left[:, 0]
        projection = (projection * (projection @ rows.mean(1)).sign()).clamp_min(0)
        expected = (projection / projection.max()).view(height, width)
        assert (heat - expected).abs().max() < 1e-9


def test_centred_is_the_grad_cam_package_up_to_sign_and_scale(maps):
    """Its formula, done again by hand: project on the leading eigenvector of the covariance."""
    for image, heat in zip(maps, eigen_cam(maps, centred=True), strict=True):
        observations = image.double().flatten(1).T
        deviations = observations - observations.mean(0)
        vector = torch.ones(6, dtype=torch.float64)
        for _ in range(3000):  # power iteration instead of an SVD
            vector = torch.nn.functional.normalize(deviations.T @ (deviations @ vector), dim=0)
        projection = (deviations @ vector).view(4, 3)
        rivals = [(sign * projection).clamp_min(0) for sign in (1, -1)]
        rivals = [rival / rival.max() for rival in rivals]
        assert min((heat - rival).abs().max().item() for rival in rivals) < 1e-6


def test_a_rank_one_map_is_its_own_picture():
    picture = torch.tensor([[0.0, 1.0], [4.0, 2.0]])
    maps = torch.tensor([3.0, 1.0, 2.0])[:, None, None] * picture
    torch.testing.assert_close(eigen_cam(maps[None])[0], (picture / 4).double())


@pytest.mark.parametrize("centred", [False, True])
def test_the_sign_follows_the_mean_activation(centred):
    """Of maps of both signs, in which the SVD's own sign is anything."""
    maps = torch.randn(50, 6, 4, 3, generator=torch.Generator().manual_seed(1)).double()
    flipped = 0
    for image, heat in zip(maps, eigen_cam(maps, centred=centred), strict=True):
        rows = image.flatten(1).T
        rows = rows - centred * rows.mean(0)
        left, singular, _ = torch.linalg.svd(rows)
        projection = left[:, 0] * singular[0]
        agreement = projection @ rows.mean(1)
        flipped += agreement < 0
        expected = (projection * agreement.sign()).clamp_min(0)
        torch.testing.assert_close(heat.flatten(), expected / expected.max())
    assert 0 < flipped < 50


def test_no_activation_is_negative_so_nothing_is_clipped(maps):
    heat = eigen_cam(maps)
    assert (heat[(maps.sum(1) > 0)] > 0).all()
    assert heat.amax((1, 2)).tolist() == pytest.approx([1] * 5)


def test_a_turned_image_has_a_turned_map(maps):
    turned = eigen_cam(torch.rot90(maps, 1, (2, 3)))
    torch.testing.assert_close(turned, torch.rot90(eigen_cam(maps), 1, (1, 2)))


def test_channels_may_be_rotated_and_scaled(maps):
    """An orthogonal map of the channels changes v₁ and not the projection."""
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2)))
    rotated = 7 * torch.einsum("ij,njhw->nihw", rotation, maps)
    heat, again = eigen_cam(maps), eigen_cam(rotated)
    negative = eigen_cam(-rotated)  # the sign depends on the mean over channels, which did change
    for one, two, three in zip(heat, again, negative, strict=True):
        assert min((one - two).abs().max(), (one - three).abs().max()) < 1e-5


def test_dead_maps_cover_nothing():
    heat = eigen_cam(torch.zeros(2, 3, 4, 4))
    assert heat.count_nonzero() == 0
    assert coverage(heat).tolist() == [0, 0]
    assert place_information(heat, torch.tensor([0, 0])) == 0


def test_coverage_counts_equal_positions():
    heat = torch.zeros(4, 2, 3)
    heat[0, 1, 2] = 0.3
    heat[1, 0, :2] = 0.7
    heat[2] = 1
    heat[3, 0, :2] = torch.tensor([3.0, 1.0])
    assert coverage(heat).tolist() == pytest.approx([1 / 6, 2 / 6, 1, 16 / 10 / 6])
    torch.testing.assert_close(coverage(5 * heat), coverage(heat))


def test_place_information_of_equal_and_of_disjoint_maps():
    heat = torch.zeros(4, 2, 2)
    heat[0, 0, 0] = heat[1, 0, 0] = heat[2, 0, 1] = heat[3, 1, 1] = 0.5
    labels = torch.tensor([0, 0, 1, 1])
    assert place_information(heat[:2], labels[:2]) == 0
    assert place_information(heat[2:], labels[2:]).item() == pytest.approx(math.log(2))
    assert place_information(heat, labels).item() == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eigen_cam(torch.ones(2, 3)), r"shape \(N, D, H, W\), got \(2, 3\)"),
        (lambda: eigen_cam(torch.full((1, 1, 2, 2), torch.nan)), "maps must be finite"),
        (lambda: coverage(torch.ones(2, 2)), r"shape \(N, H, W\), got \(2, 2\)"),
        (lambda: coverage(-torch.ones(1, 2, 2)), "must not be negative, got -1"),
    ],
)
def test_bad_maps_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture
def subject():
    """Twenty grey pictures of four classes, in mixed order, and an untrained network."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20, 1, 8, 8), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(20) * 3 % 4)
    dataset = Dataset("grey", split, split, tuple("abcd"), mean=(0.5,), std=(0.5,))
    torch.manual_seed(0)
    model = create_model("resnet8", num_classes=4, in_channels=1, image_size=8)
    return {"model": model, "dataset": dataset, "split": split, "device": CPU}


def test_coverage_is_measured_on_every_map_of_every_image(subject, monkeypatch):
    whole = MEASUREMENTS.build("eigen_cam_coverage", **subject)
    monkeypatch.setitem(MOST_AT_ONCE, "cpu", 7)
    for name, column in MEASUREMENTS.build("eigen_cam_coverage", **subject).items():
        assert column == pytest.approx(whole[name])
    assert (whole["stage_index"], whole["positions"]) == ([0, 1, 2, 3], [64, 64, 16, 4])
    split, dataset = subject["split"], subject["dataset"]
    with torch.no_grad():
        features, _ = subject["model"].eval().features(dataset.normalise(split.inputs))
    heat = eigen_cam(features[2])
    assert whole["coverage_percent"][2] == pytest.approx(100 * coverage(heat).mean().item())
    information = place_information(heat, split.labels).item()
    assert whole["place_information_nats"][2] == pytest.approx(information)
    centred = MEASUREMENTS.build("eigen_cam_coverage:centred=true", **subject)
    assert all(np.less(centred["coverage_percent"], whole["coverage_percent"]))


def test_maps_come_with_their_pictures(subject):
    columns = MEASUREMENTS.build("eigen_cam_maps:stage=2,classes=3,samples=2", **subject)
    split, dataset = subject["split"], subject["dataset"]
    assert columns["class_index"] == [0, 0, 1, 1, 2, 2]
    first = (split.labels == 1).nonzero().flatten()[0]
    picture = Image.open(io.BytesIO(base64.b64decode(columns["picture"][2])))
    assert np.array_equal(np.asarray(picture), split.inputs[first, 0].numpy())
    with torch.no_grad():
        features, _ = subject["model"].features(dataset.normalise(split.inputs[first, None]))
    expected = eigen_cam(features[2])[0].numpy()
    np.testing.assert_allclose(columns["heat"][2], expected, atol=6e-4)


def test_colours_are_kept(subject):
    inputs = torch.arange(20 * 3 * 64, dtype=torch.uint8).view(20, 3, 8, 8)
    split = Split(inputs, subject["split"].labels)
    half = (0.5, 0.5, 0.5)
    dataset = Dataset("colour", split, split, tuple("abcd"), mean=half, std=half)
    model = create_model("resnet8", num_classes=4, in_channels=3, image_size=8)
    columns = MEASUREMENTS.build(
        "eigen_cam_maps:stage=0,classes=1,samples=1",
        **subject | {"model": model, "dataset": dataset, "split": split},
    )
    picture = Image.open(io.BytesIO(base64.b64decode(columns["picture"][0])))
    assert np.array_equal(np.asarray(picture), inputs[0].permute(1, 2, 0).numpy())


def test_what_has_no_maps_or_pictures_is_refused(subject):
    with pytest.raises(ValueError, match="no stage 4; choose from 0 to 3"):
        MEASUREMENTS.build("eigen_cam_maps:stage=4", **subject)
    vectors = load_dataset(DATA)
    model = create_model("mlp:width=8", num_classes=4, in_channels=16, image_size=1)
    subject |= {"model": model, "dataset": vectors, "split": vectors.test}
    with pytest.raises(ValueError, match=r"maps \(N, D, H, W\); MLP has .* \(100, 8\), \(100, 8\)"):
        MEASUREMENTS.build("eigen_cam_coverage", **subject)
    with pytest.raises(ValueError, match=r"oracle has no pictures: inputs are torch\.float32"):
        MEASUREMENTS.build("eigen_cam_maps:stage=0", **subject)

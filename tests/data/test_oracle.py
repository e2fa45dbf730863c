"""The oracle's posterior against densities, closed forms and counts: is it really the truth?"""

import math
import re

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from mcmi_core.data.oracle import GaussianPosterior, oracle

SMALL = {"classes": 4, "latent_dimension": 3, "dimension": 25, "train_size": 90, "test_size": 60}


def small(**changes):
    return oracle(**SMALL | changes)


@pytest.fixture(scope="module")
def default():
    return oracle()


def parts(dataset):
    """Embedding (dimension, latent) and class means (classes, latent), in numpy."""
    buffers = dataset.bayes_classifier.state_dict()
    return buffers["embedding"].numpy(), buffers["means"].numpy()


def bayes_rule(inputs, embedding, means):
    """Density of each class at each latent point, divided by their sum."""
    latent = inputs.flatten(1).double().numpy() @ embedding
    densities = np.stack([multivariate_normal(mean).pdf(latent) for mean in means], axis=1)
    return densities / densities.sum(axis=1, keepdims=True)


def draw(means, size, seed=0):
    """Latent points of random classes, from another generator than the oracle's."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(len(means), size=size)
    return labels, means[labels] + generator.standard_normal((size, means.shape[1]))


def accuracy(split):
    return (split.posterior.argmax(dim=1) == split.labels).double().mean().item()


# Posterior


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("separation", [0.5, 2.3, 4.0])
def test_the_posterior_follows_from_bayes_rule(separation, seed):
    dataset = small(separation=separation, seed=seed)
    for split in (dataset.train, dataset.test):
        expected = bayes_rule(split.inputs, *parts(dataset))
        np.testing.assert_allclose(split.posterior.numpy(), expected, rtol=0, atol=1e-6)


def test_the_posterior_follows_from_densities_in_the_space_that_networks_see():
    """Noise of variance 1 within the latent plane, and of any other variance outside it."""
    dataset = small()
    embedding, means = parts(dataset)
    plane = embedding @ embedding.T
    covariance = plane + 0.01 * (np.eye(25) - plane)
    inputs = dataset.test.inputs.double().numpy()
    logs = [multivariate_normal(embedding @ mean, covariance).logpdf(inputs) for mean in means]
    densities = np.exp(np.stack(logs, axis=1) - np.max(logs, axis=0)[:, None])
    expected = densities / densities.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(dataset.test.posterior.numpy(), expected, rtol=0, atol=1e-6)


def test_class_means_of_any_length_have_their_posterior():
    """On the oracle's sphere the term |μ|² / 2 is the same for all classes; here it is not."""
    torch.manual_seed(0)
    embedding, _ = torch.linalg.qr(torch.randn(6, 2, dtype=torch.float64))
    means = torch.tensor([[0.0, 0.1], [2.0, -1.0], [0.5, 3.0]], dtype=torch.float64)
    inputs = torch.randn(50, 6)
    expected = bayes_rule(inputs, embedding.numpy(), means.numpy())
    posterior = GaussianPosterior(embedding, means)(inputs).exp().numpy()
    np.testing.assert_allclose(posterior, expected, rtol=0, atol=1e-12)


def test_the_default_posterior_is_exact_too(default):
    expected = bayes_rule(default.test.inputs, *parts(default))
    np.testing.assert_allclose(default.test.posterior.numpy(), expected, rtol=0, atol=1e-6)


def test_the_classifier_gives_the_logarithm_of_the_posterior(default):
    classifier = default.bayes_classifier
    assert list(classifier.parameters()) == []
    for split in (default.train, default.test):
        logs = classifier(split.inputs)
        assert logs.dtype == torch.float64
        assert torch.equal(logs.exp().float(), split.posterior)


def test_rows_of_the_posterior_sum_to_1(default):
    for split in (default.train, default.test):
        assert split.posterior.min() >= 0
        torch.testing.assert_close(split.posterior.sum(dim=1), torch.ones(4000))


def test_without_separation_nothing_can_be_known():
    posterior = small(separation=0.0).test.posterior
    torch.testing.assert_close(posterior, torch.full((60, 4), 0.25))


# Geometry


@pytest.mark.parametrize("changes", [{}, {"dimension": 3}, {"latent_dimension": 25}])
def test_the_embedding_is_orthonormal(changes):
    embedding, means = parts(small(**changes))
    latent = embedding.shape[1]
    assert means.shape == (4, latent)
    np.testing.assert_allclose(embedding.T @ embedding, np.eye(latent), atol=1e-12)


@pytest.mark.parametrize("separation", [0.5, 2.3, 4.0])
def test_class_means_lie_on_a_sphere(separation):
    _, means = parts(small(separation=separation))
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), separation)
    assert len(np.unique(means.round(9), axis=0)) == 4


def test_samples_lie_in_the_latent_plane(default):
    embedding, _ = parts(default)
    inputs = default.train.inputs.double().numpy()
    np.testing.assert_allclose(inputs @ embedding @ embedding.T, inputs, atol=1e-5)


def test_noise_around_the_class_means_is_standard_normal(default):
    """64,000 independent numbers per split, and no correlation between 16 directions."""
    embedding, means = parts(default)
    for split in (default.train, default.test):
        latent = split.inputs.double().numpy() @ embedding
        noise = latent - means[split.labels.numpy()]
        assert abs(noise.mean()) < 4 / math.sqrt(noise.size)
        assert abs(np.square(noise).mean() - 1) < 4 * math.sqrt(2 / noise.size)
        assert np.abs(noise.T @ noise / len(noise) - np.eye(16)).max() < 0.1


# Is it the truth?


def test_the_bayes_accuracy_of_the_default_is_that_of_fresh_samples(default):
    """Nearest class mean on 200,000 points drawn by numpy: 74 %, give or take 1."""
    _, means = parts(default)
    labels, latent = draw(means, 200_000)
    nearest = (latent @ means.T - np.square(means).sum(axis=1) / 2).argmax(axis=1)
    truth = (nearest == labels).mean()
    assert truth == pytest.approx(0.74, abs=0.01)
    for split in (default.train, default.test):
        assert accuracy(split) == pytest.approx(
            truth, abs=3 * math.sqrt(truth * (1 - truth) / 4000)
        )


def test_the_bayes_accuracy_of_two_classes_has_a_closed_form():
    """Φ(half the distance of their means)."""
    dataset = oracle(classes=2, latent_dimension=2, dimension=4, train_size=20_000, test_size=2)
    _, (first, second) = parts(dataset)
    truth = norm.cdf(np.linalg.norm(first - second) / 2)
    assert 0.6 < truth < 0.999
    deviation = math.sqrt(truth * (1 - truth) / 20_000)
    assert accuracy(dataset.train) == pytest.approx(truth, abs=3 * deviation)


def test_confidence_equals_accuracy(default):
    """correct − confidence has mean 0 and variance confidence · (1 − confidence)."""
    for split in (default.train, default.test):
        confidence = split.posterior.max(dim=1).values.double()
        error = (confidence * (1 - confidence)).sum().sqrt().item() / len(split)
        assert confidence.mean().item() == pytest.approx(accuracy(split), abs=3 * error)


def test_confident_and_doubtful_predictions_are_right_as_often_as_they_say(default):
    confidence, prediction = default.test.posterior.double().max(dim=1)
    correct = (prediction == default.test.labels).double()
    for chosen in confidence.argsort().chunk(8):
        sure = confidence[chosen]
        error = (sure * (1 - sure)).sum().sqrt().item() / len(chosen)
        assert correct[chosen].mean().item() == pytest.approx(sure.mean().item(), abs=3.5 * error)


def test_the_mean_posterior_is_the_share_of_each_class(default):
    for split in (default.train, default.test):
        posterior = split.posterior.double()
        error = (posterior * (1 - posterior)).sum(dim=0).sqrt() / len(split)
        assert ((posterior.mean(dim=0) - 0.1).abs() < 3.5 * error).all()


def test_the_posterior_loses_the_least_likelihood(default):
    """E[−log q(Y)] is least for the true posterior: sharper, flatter or shuffled ones are worse."""
    logs = default.bayes_classifier(default.test.inputs)

    def loss(scores):
        return torch.nn.functional.cross_entropy(scores, default.test.labels).item()

    assert loss(logs) < min(loss(0.8 * logs), loss(1.25 * logs), loss(logs.roll(1, dims=1)))


# Samples and options


def test_default_shapes_and_names(default):
    for split in (default.train, default.test):
        assert split.inputs.shape == (4000, 256)
        assert split.inputs.dtype == split.posterior.dtype == torch.float32
        assert split.posterior.shape == (4000, 10)
    assert default.name == "oracle"
    assert default.class_names == tuple(f"Gaussian {k}" for k in range(10))
    assert (default.mean, default.std, default.augmentation) == (None, None, "none")
    assert parts(default)[1].shape == (10, 16)


def test_classes_are_balanced(default):
    assert torch.bincount(default.train.labels).tolist() == [400] * 10
    assert torch.bincount(default.test.labels).tolist() == [400] * 10
    uneven = small()
    assert torch.bincount(uneven.train.labels).tolist() == [23, 23, 22, 22]
    assert torch.bincount(uneven.test.labels).tolist() == [15] * 4


def test_training_and_test_samples_differ():
    dataset = small(train_size=60)
    assert not torch.equal(dataset.train.inputs, dataset.test.inputs)
    together = torch.cat([dataset.train.inputs, dataset.test.inputs])
    assert len(together.unique(dim=0)) == 120


def test_images_are_the_same_vectors_in_another_shape():
    vectors, pictures = small(), small(images=True)
    for name in ("train", "test"):
        vector, picture = getattr(vectors, name), getattr(pictures, name)
        assert picture.inputs.shape == (len(vector), 1, 5, 5)
        assert torch.equal(picture.inputs.flatten(1), vector.inputs)
        assert torch.equal(picture.posterior, vector.posterior)
        assert torch.equal(
            pictures.bayes_classifier(picture.inputs), vectors.bayes_classifier(vector.inputs)
        )
    assert (pictures.in_channels, pictures.image_size) == (1, 5)
    assert pictures.normalise(pictures.test.inputs) is pictures.test.inputs


def test_the_seed_decides_everything():
    torch.manual_seed(0)
    first = small(seed=5)
    torch.manual_seed(1)
    again, other = small(seed=5), small(seed=6)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    for mine, same, different in zip(parts(first), parts(again), parts(other), strict=True):
        assert np.array_equal(mine, same) and not np.allclose(mine, different)
    assert torch.equal(first.test.posterior, again.test.posterior)


def test_the_global_generator_does_not_move():
    state = torch.get_rng_state()
    small()
    assert torch.equal(torch.get_rng_state(), state)


def test_the_number_of_test_samples_does_not_change_the_training_samples():
    assert torch.equal(small(test_size=4).train.inputs, small(test_size=60).train.inputs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classes": 1},
            "oracle needs at least 2 classes and a sample of each in both splits, got classes=1, "
            "train_size=90, test_size=60",
        ),
        (
            {"train_size": 3},
            "oracle needs at least 2 classes and a sample of each in both splits, got classes=4, "
            "train_size=3, test_size=60",
        ),
        (
            {"test_size": 0},
            "oracle needs at least 2 classes and a sample of each in both splits, got classes=4, "
            "train_size=90, test_size=0",
        ),
        ({"latent_dimension": 0}, "latent_dimension must be in 1..dimension, got 0 and 25"),
        ({"latent_dimension": 26}, "latent_dimension must be in 1..dimension, got 26 and 25"),
        ({"separation": -0.1}, "separation must be at least 0, got -0.1"),
        ({"separation": math.nan}, "separation must be at least 0, got nan"),
        (
            {"images": True, "dimension": 24},
            "images need a square dimension, such as 256, got 24",
        ),
    ],
)
def test_values_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small(**changes)


def test_the_least_values_are_accepted():
    dataset = oracle(classes=2, latent_dimension=1, dimension=1, train_size=2, test_size=2)
    assert dataset.train.inputs.shape == (2, 1)
    assert dataset.test.labels.tolist() == [0, 1]

"""Components in words: what a reader calls them, and their own name where nobody said."""

import pytest

from mcmi_core.components import DISTILLERS, MODELS
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.words import (
    data_in_words,
    framework_in_words,
    method_in_words,
    network_in_words,
    pair_in_words,
)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("mlp:width=512", "MLP, 512 wide"),
        ("resnet56", "ResNet-56"),
        ("resnet8x4", "ResNet-8x4"),
        ("wrn_40_2", "WRN-40-2"),
        ("vgg13", "VGG-13"),
        ("mobilenetv2", "MobileNetV2"),
        ("shufflenetv1", "ShuffleNetV1"),
        ("imagenet_resnet34", "ResNet-34"),
        ("imagenet_mobilenetv1", "MobileNetV1"),
        ("resnet20:width=3", "resnet20:width=3"),
        ("mine", "mine"),
        ("mine2", "mine2"),
    ],
)
def test_networks(network, words):
    assert network_in_words(network) == words


def test_every_network_of_the_project_has_words():
    assert [name for name in MODELS if network_in_words(name) == name] == ["mlp"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("oracle", "ten Gaussians"),
        ("oracle:seed=3", "ten Gaussians"),
        ("oracle:classes=2,separation=1.2", "two Gaussians"),
        ("oracle:classes=7", "7 Gaussians"),
        ("oracle:images=True,dimension=64", "ten Gaussians as images"),
        ("digits", "scikit-learn's digits"),
        ("cifar100", "CIFAR-100"),
        ("mine:size=3", "mine:size=3"),
        (
            "imagefolder:folder=cifar10-jpeg,image_size=16,images_per_class=1000,augmentation=none",
            "CIFAR-10 photographs, 16 px, 1,000 a class",
        ),
        ("imagefolder:folder=pets", "pets"),
    ],
)
def test_data(data, words):
    assert data_in_words(data) == words


def test_frameworks_as_their_authors_write_them():
    words = {name: framework_in_words(name) for name in DISTILLERS}
    assert words["kd"] == "KD"
    assert words["reviewkd"] == "ReviewKD"
    assert framework_in_words("crd:num_negatives=64") == "CRD"
    assert len(set(words.values())) == len(words)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("label smoothing share=0.1", "label smoothing 0.1"),
        ("entropy bonus weight=0.4", "entropy bonus 0.4"),
        ("temperature T=8", "temperature 8"),
        ("early stopping epoch=10", "early stopping, epoch 10"),
        ("MCMI fixed λ=0.25", "MCMI fixed λ=0.25"),
    ],
)
def test_methods(label, words):
    assert method_in_words(label) == words


def test_a_pair_in_words():
    pair = Pair(data="oracle", teacher="mlp:width=512", student="resnet8", lam=0.25)
    assert pair.networks_in_words == "MLP, 512 wide → ResNet-8"
    assert pair.data_in_words == "ten Gaussians"
    assert pair_in_words(str(pair)) == "ten Gaussians: MLP, 512 wide → ResNet-8"
    assert pair_in_words("both") == "both"

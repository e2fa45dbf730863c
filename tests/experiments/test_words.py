"""Components in words: what a reader calls them, and their own name where nobody said."""

import pytest

from mcmi_core.components import DISTILLERS, MODELS
from mcmi_core.experiments.pair import Pair
from mcmi_core.experiments.words import (
    class_in_words,
    classes_in_words,
    count_in_words,
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
        (
            "imagefolder:folder=cifar10-jpeg,images_per_class=500",
            "CIFAR-10 photographs, 32 px, 500 a class",
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
    assert framework_in_words("mean of 8") == "mean of 8"
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
    assert pair_in_words("resnet56 → resnet20") == "ResNet-56 → ResNet-20"
    assert pair_in_words("both") == "both"


@pytest.mark.parametrize(
    ("data", "index", "words"),
    [
        ("imagefolder:folder=cifar10-jpeg,image_size=16", 9, "truck"),
        ("cifar10", 0, "airplane"),
        ("digits", 7, "7"),
        ("oracle", 9, "class 9"),
        ("imagefolder:folder=mine", 3, "class 3"),
    ],
)
def test_classes(data, index, words):
    assert class_in_words(data, index) == words


def test_several_classes():
    assert classes_in_words("cifar10", (9, 7)) == "truck, horse"
    assert classes_in_words("oracle", (9, 7)) == "classes 9, 7"
    assert classes_in_words("oracle", (9,)) == "class 9"


@pytest.mark.parametrize(
    ("number", "words"),
    [(9.0, "9"), (999, "999"), (9674, "10k"), (50_954, "51k"), (999_700, "1.0M")],
)
def test_counts_in_words(number, words):
    assert count_in_words(number) == words

"""Every convolutional network: against the literature's tables, and the contract of its stages."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mcmi_core.models import create_model, describe_models, list_models

FILE = Path(__file__).parents[1] / "reference" / "model_zoo.json"
ZOO = {
    name.lower().replace("shufflev", "shufflenetv"): facts
    for name, facts in json.loads(FILE.read_text()).items()
}
IMAGENET = [name for name in list_models() if name.startswith("imagenet_")]
HALVINGS = {
    "resnet8": 2,
    "wrn_16_2": 2,
    "vgg8": 3,
    "shufflenetv1": 3,
    "shufflenetv2": 3,
    "resnet50": 3,
    "mobilenetv2": 4,
    "imagenet_resnet18": 5,
    "imagenet_mobilenetv1": 5,
}
"""How often a member of each family halves its images."""


def test_the_zoo_is_complete():
    assert list_models() == [*ZOO, *IMAGENET, "mlp"]


@torch.no_grad()
def test_sizes_shapes_and_costs_equal_the_literature():
    costs = {cost.name: cost for cost in describe_models()}
    for name, facts in ZOO.items():
        with torch.device("meta"):
            model = create_model(name, num_classes=100)
            features, logits = model.features(torch.empty(2, 3, 32, 32))
        assert costs[name].parameters == facts["parameters"], name
        assert costs[name].multiply_adds == facts["multiply_adds"], name
        assert [list(feature.shape) for feature in features] == facts["feature_shapes"], name
        assert list(logits.shape) == facts["logits_shape"], name


def test_sizes_and_costs_equal_the_literature_for_imagenet():
    from torchvision import models

    random_state = torch.get_rng_state()
    costs = {cost.name: cost for cost in describe_models(num_classes=1000, image_size=224)}
    assert torch.equal(torch.get_rng_state(), random_state)
    assert list(costs) == list_models()
    for depth in (18, 34, 50):
        facts = models.get_model_weights(f"resnet{depth}").IMAGENET1K_V1.meta
        cost = costs[f"imagenet_resnet{depth}"]
        assert cost.parameters == facts["num_params"]
        assert round(cost.multiply_adds / 1e9, 3) == facts["_ops"]
    # MobileNets, table 8: 569 million multiply-adds and 4.2 million parameters.
    assert round(costs["imagenet_mobilenetv1"].multiply_adds / 1e6) == 569
    assert round(costs["imagenet_mobilenetv1"].parameters / 1e6, 1) == 4.2


@pytest.mark.parametrize("name", [name for name in HALVINGS if not name.startswith("shuffle")])
def test_initial_weights(name):
    torch.manual_seed(0)
    for layer, module in create_model(name, num_classes=10).named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            # The standard deviation of n normal draws is off by 1/sqrt(2n), relatively.
            tolerance = 5 / math.sqrt(2 * module.weight.numel())
            expected = math.sqrt(2 / fan_out)
            assert module.weight.std().item() == pytest.approx(expected, rel=tolerance), layer
            assert (module.bias is None) != name.startswith("vgg"), layer
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all(), layer


@pytest.mark.parametrize(("name", "halvings"), HALVINGS.items())
def test_gradient_reaches_every_parameter(name, halvings):
    torch.manual_seed(0)
    size = max(16, 2**halvings)
    model = create_model(name, num_classes=7, in_channels=1, image_size=size)
    logits = model(torch.randn(4, 1, size, size))
    F.cross_entropy(logits, torch.arange(4)).backward()
    idle = {
        f"{layer}.bias"
        for layer, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.bias is not None  # batch norm subtracts it
    }
    assert bool(idle) == name.startswith("vgg")
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter_name in idle or parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", [name for name in HALVINGS if name in ZOO])
@pytest.mark.parametrize("size", [16, 64, 224])
def test_maps_grow_with_the_image(name, size):
    with torch.device("meta"):
        model = create_model(name, num_classes=3, image_size=size)
        features, logits = model.features(torch.empty(2, 3, size, size))
    assert logits.shape == (2, 3)
    assert [list(feature.shape) for feature in features] == [
        shape[:2] + [length * size // 32 for length in shape[2:]]
        for shape in ZOO[name]["feature_shapes"]
    ]


@pytest.mark.parametrize("name", HALVINGS)
def test_takes_images_of_odd_and_unequal_sides(name):
    with torch.device("meta"):
        model = create_model(name, num_classes=3, image_size=33)
        assert model(torch.empty(2, 3, 33, 47)).shape == (2, 3)


@pytest.mark.parametrize(("name", "halvings"), HALVINGS.items())
@torch.no_grad()
def test_every_map_leads_to_the_logits(name, halvings):
    """What an auxiliary classifier is made of: later stages, neck, pooling, linear."""
    torch.manual_seed(0)
    size = max(16, 2**halvings)
    model = create_model(name, num_classes=5, image_size=size).eval()
    features, logits = model.features(torch.randn(2, 3, size, size))
    assert len(features) == len(model.stages) + 2
    for start, feature in enumerate(features[:-1]):
        rest = nn.Sequential(*model.stages[start:], model.neck, model.pool, model.head)
        torch.testing.assert_close(rest(feature), logits, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "halvings"), HALVINGS.items())
def test_the_smallest_image_ends_in_one_pixel(name, halvings):
    smallest = 2**halvings
    with torch.device("meta"):
        model = create_model(name, num_classes=2, image_size=smallest)
        features, _ = model.features(torch.empty(2, 3, smallest, smallest))
    assert features[-2].shape[2:] == (1, 1)
    with pytest.raises(ValueError) as error:
        create_model(name, num_classes=2, image_size=smallest - 1)
    assert str(error.value) == (
        f"{name} halves its images {halvings} times and needs image_size ≥ {smallest}, "
        f"got {smallest - 1}"
    )

"""Models asked for or called with what cannot be."""

import math

import pytest
import torch

from mcmi_core.models import create_model, describe_models

IMAGES = torch.zeros(2, 3, 8, 8)


@pytest.mark.parametrize("value", [None, "3", 2.0, math.nan, [3], True, torch.tensor(3), 3j])
@pytest.mark.parametrize("name", ["num_classes", "in_channels", "image_size"])
def test_sizes_are_whole_numbers(name, value):
    sizes = {"num_classes": 4, "in_channels": 3, "image_size": 8} | {name: value}
    with pytest.raises(ValueError) as error:
        create_model("resnet8", **sizes)
    assert str(error.value).startswith(f"{name} must be a whole number of at least ")
    assert str(error.value).endswith(f"got {value!r}")


@pytest.mark.parametrize("value", [0, -1, -(10**30)])
@pytest.mark.parametrize("name", ["num_classes", "in_channels", "image_size"])
def test_sizes_are_positive(name, value):
    sizes = {"num_classes": 4, "in_channels": 3, "image_size": 8} | {name: value}
    with pytest.raises(ValueError, match=f"^{name} must be at least [12], got {value}$"):
        create_model("mlp", **sizes)


@pytest.mark.parametrize("value", [10**7, 10**13, 2**63, 10**30, 10**4000])
@pytest.mark.parametrize(
    ("name", "most"),
    [("num_classes", "100,000"), ("in_channels", "1,000,000"), ("image_size", "10,000")],
)
@pytest.mark.parametrize("model", ["mlp", "resnet8", "imagenet_resnet18"])
def test_sizes_are_those_of_images(model, name, most, value):
    sizes = {"num_classes": 4, "in_channels": 3, "image_size": 8} | {name: value}
    with pytest.raises(
        ValueError, match=f"^{name} must be at most {most}, got {str(value)[:7]}"
    ) as error:
        create_model(model, **sizes)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, "Component"),
        (3, "Component"),
        ("", "unknown model ''; choose from resnet8"),
        ("resnet_8", "did you mean resnet8"),
        ("mlp:width=0", "mlp needs width ≥ 1 and depth in 1..1000, got width=0"),
        ("mlp:depth=1001", "got width=512, depth=1001"),
        ("mlp:width=-3", "got width=-3"),
        ("mlp:width=8,width=9", "option 'width' is given twice"),
        ("resnet8:width=3", "unknown option 'width' of model 'resnet8'; it takes no options"),
        ("imagenet_resnet18", "needs image_size ≥ 32, got 8"),
    ],
)
def test_models_that_cannot_be(name, words):
    with pytest.raises(ValueError) as error:
        create_model(name, num_classes=4, image_size=8)
    assert words in str(error.value)


def test_images_too_small_for_some_model_have_no_costs():
    with pytest.raises(ValueError, match="needs image_size ≥ .*, got 2"):
        describe_models(image_size=2)


INPUTS = {
    "None": (None, "inputs must be a tensor, got NoneType"),
    "a list": ([[0.0]], "inputs must be a tensor, got list"),
    "an array": (IMAGES.numpy(), "inputs must be a tensor, got ndarray"),
    "pixels": (IMAGES.byte(), "inputs must be a floating-point tensor, got torch.uint8"),
    "integers": (IMAGES.long(), "inputs must be a floating-point tensor, got torch.int64"),
    "complex": (IMAGES * 1j, "inputs must be a floating-point tensor, got torch.complex64"),
    "sparse": (IMAGES.to_sparse(), "inputs must be a dense tensor, got torch.sparse_coo"),
}
SHAPES = {
    "one image": IMAGES[0],
    "one channel": IMAGES[:, :1],
    "channels last": IMAGES.movedim(1, -1),
    "rows": IMAGES.flatten(2),
    "a film": IMAGES[None],
    "a number": torch.tensor(0.0),
    "nothing": torch.zeros(0),
}


@pytest.fixture(scope="module", params=["resnet8", "wrn_16_1", "resnet14", "mlp"])
def model(request):
    return create_model(request.param, num_classes=4, image_size=8).eval()


@pytest.mark.parametrize(("inputs", "words"), INPUTS.values(), ids=INPUTS)
def test_what_are_no_inputs_is_said(model, inputs, words):
    with pytest.raises(ValueError) as error:
        model(inputs)
    assert words in str(error.value)


@pytest.mark.parametrize("inputs", SHAPES.values(), ids=SHAPES)
def test_images_have_the_shape_that_a_model_was_made_for(model, inputs):
    with pytest.raises(ValueError) as error:
        model(inputs)
    assert str(tuple(inputs.shape)) in str(error.value)
    assert "(N, 3, H, W)" in str(error.value) or "(3, 8, 8)" in str(error.value)

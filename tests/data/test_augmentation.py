"""Every variant against padding and slicing in numpy, one image at a time."""

import numpy as np
import pytest
import torch

from mcmi_core.data.augmentation import KINDS, augment, check_kind, num_variants

NUMBER = {("crop", 32): 81, ("crop", 8): 9, ("crop_flip", 32): 162, ("crop_flip", 8): 18}


def random_images(num, size, dtype=torch.uint8, channels=3):
    generator = torch.Generator().manual_seed(size)
    return torch.randint(1, 256, (num, channels, size, size), generator=generator).to(dtype)


def brute_force(image, variant):
    """One variant of one image (C, H, W): flip · places + row · side + column."""
    size = image.shape[-1]
    padding = size // 8
    side = 2 * padding + 1
    padded = np.pad(image.numpy(), ((0, 0), (padding, padding), (padding, padding)))
    flip, place = divmod(variant, side * side)
    row, column = divmod(place, side)
    window = padded[:, row : row + size, column : column + size]
    return torch.from_numpy((window[:, :, ::-1] if flip else window).copy())


@pytest.mark.parametrize("size", [32, 8])
@pytest.mark.parametrize("kind", ["crop", "crop_flip"])
def test_all_variants_equal_brute_force(kind, size):
    number = NUMBER[kind, size]
    [image] = random_images(1, size)
    variants = torch.arange(number)
    made = augment(image.expand(number, -1, -1, -1), variants, kind)
    assert made.shape == (number, 3, size, size)
    assert torch.equal(made, torch.stack([brute_force(image, v) for v in range(number)]))


@pytest.mark.parametrize(("size", "number"), [(32, 162), (8, 18)])
def test_all_variants_of_a_generic_image_differ(size, number):
    [image] = random_images(1, size)
    made = augment(image.expand(number, -1, -1, -1), torch.arange(number), "crop_flip")
    assert len({variant.numpy().tobytes() for variant in made}) == number


@pytest.mark.parametrize("size", [8, 17, 32])
def test_the_middle_variant_is_the_image_itself(size):
    images = random_images(4, size)
    places = (2 * (size // 8) + 1) ** 2
    middle = torch.full((4,), places // 2)
    assert torch.equal(augment(images, middle, "crop"), images)
    assert torch.equal(augment(images, places + middle, "crop_flip"), images.flip(-1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_equals_its_images_one_by_one(kind, channels):
    images = random_images(64, 16, channels=channels)
    generator = torch.Generator().manual_seed(1)
    variants = torch.randint(num_variants(kind, 16), (64,), generator=generator)
    one_by_one = [
        augment(image[None], variant[None], kind)
        for image, variant in zip(images, variants, strict=True)
    ]
    assert torch.equal(augment(images, variants, kind), torch.cat(one_by_one))


def test_none_returns_the_same_tensor():
    images = random_images(2, 8)
    assert augment(images, torch.zeros(2, dtype=torch.int64), "none") is images


def test_the_images_themselves_stay_as_they_are():
    images = random_images(18, 8)
    before = images.clone()
    augment(images, torch.arange(18), "crop_flip").zero_()
    assert torch.equal(images, before)


def test_images_smaller_than_8_pixels_are_only_flipped():
    images = random_images(2, 7)
    assert num_variants("crop", 7) == 1
    made = augment(images, torch.tensor([0, 1]), "crop_flip")
    assert torch.equal(made, torch.stack([images[0], images[1].flip(-1)]))


@pytest.mark.parametrize(
    ("kind", "size", "number"),
    [
        ("none", 32, 1),
        ("crop", 32, 81),
        ("crop_flip", 32, 162),
        ("crop", 8, 9),
        ("crop_flip", 8, 18),
        ("crop_flip", 224, 2 * 57**2),
        ("none", 1, 1),
        ("crop", 1, 1),
    ],
)
def test_number_of_variants(kind, size, number):
    assert num_variants(kind, size) == number


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
@pytest.mark.parametrize("kind", KINDS)
def test_the_type_is_kept(kind, dtype):
    images = random_images(3, 8, dtype)
    made = augment(images, torch.zeros(3, dtype=torch.int64), kind)
    assert made.dtype == dtype
    if kind != "none":
        assert torch.equal(made[1].double(), brute_force(images[1].double(), 0))


def test_known_kinds_pass_and_others_are_refused():
    for kind in KINDS:
        check_kind(kind)
    message = r"^augmentation must be one of none, crop, crop_flip, got 'rotate'$"
    with pytest.raises(ValueError, match=message):
        check_kind("rotate")
    with pytest.raises(ValueError, match=message):
        num_variants("rotate", 32)

"""Every variant against padding and slicing in numpy, or torchvision, one image at a time."""

import numpy as np
import pytest
import torch

from mcmi_core.data.augmentation import (
    KINDS,
    augment,
    centre_crop,
    check_kind,
    draw_variants,
    num_variants,
    seen_size,
    stored_size,
)

NUMBER = {("crop", 32): 81, ("crop", 8): 9, ("crop_flip", 32): 162, ("crop_flip", 8): 18}


def random_images(num, size, dtype=torch.uint8, channels=3):
    generator = torch.Generator().manual_seed(size)
    return torch.randint(1, 256, (num, channels, size, size), generator=generator).to(dtype)


def drawn(kind, size, number, seed=0):
    return draw_variants(kind, size, number, torch.Generator().manual_seed(seed))


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
    variants = drawn(kind, 16, 64, seed=1)
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
    made = augment(images, 0 * drawn(kind, 8, 3) + (kind == "resized_crop"), kind)
    assert made.dtype == dtype
    if kind.startswith("crop"):
        assert torch.equal(made[1].double(), brute_force(images[1].double(), 0))


def test_known_kinds_pass_and_others_are_refused():
    for kind in KINDS:
        check_kind(kind)
    message = r"^augmentation must be one of none, crop, crop_flip, resized_crop, got 'rotate'$"
    with pytest.raises(ValueError, match=message):
        check_kind("rotate")
    with pytest.raises(ValueError, match=message):
        num_variants("rotate", 32)


@pytest.mark.parametrize("kind", ["none", "crop", "crop_flip"])
def test_numbered_variants_are_drawn_as_they_always_were(kind):
    """Committed records depend on it."""
    generator = torch.Generator().manual_seed(5)
    expected = torch.randint(num_variants(kind, 32), (99,), generator=generator)
    assert torch.equal(drawn(kind, 32, 99, seed=5), expected)


# Resized crop


def test_boxes_are_not_numbered():
    with pytest.raises(ValueError, match=r"^the variants of resized_crop are not numbered$"):
        num_variants("resized_crop", 256)


@pytest.mark.parametrize("size", [16, 64, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_resized_crops_equal_torchvisions(size, channels):
    """Without antialiasing; floats within 0.02 of 255, bytes are these floats, rounded."""
    from torchvision.transforms import functional as reference

    images = random_images(24, size, torch.float32, channels=channels)
    boxes = drawn("resized_crop", size, 24)
    boxes[0] = torch.tensor([0, 0, size, size, 0])
    boxes[1] = torch.tensor([size - 3, 1, 3, size - 2, 1])
    seen = seen_size("resized_crop", size)
    made = augment(images, boxes, "resized_crop")
    for image, (*box, flip), one in zip(images, boxes.tolist(), made, strict=True):
        expected = reference.resized_crop(image, *box, [seen, seen], antialias=False)
        expected = expected.flip(-1) if flip else expected
        torch.testing.assert_close(one, expected, rtol=0, atol=0.02)
    of_bytes = augment(images.to(torch.uint8), boxes, "resized_crop")
    assert torch.equal(of_bytes, made.round().to(torch.uint8))


def test_a_box_of_the_seen_size_is_cut_out_exactly():
    images = random_images(2, 16)
    boxes = torch.tensor([[1, 2, 14, 14, 0], [0, 1, 14, 14, 1]])
    made = augment(images, boxes, "resized_crop")
    assert torch.equal(made[0], images[0, :, 1:15, 2:16])
    assert torch.equal(made[1], images[1, :, 0:14, 1:15].flip(-1))


def test_boxes_lie_in_the_image_and_keep_to_area_and_ratio():
    """Half a pixel of rounding per side apart."""
    top, left, height, width, flip = drawn("resized_crop", 256, 20_000).double().T
    for corner, side in ((top, height), (left, width)):
        assert corner.min() == 0
        assert (corner + side).max() == 256
    area, ratio = height * width / 256**2, width / height
    assert 0.075 < area.min() < 0.085
    assert 0.995 < area.max() <= 1
    assert 0.74 < ratio.min() < 0.76
    assert 1.32 < ratio.max() < 1.35
    assert flip.unique().tolist() == [0, 1]
    assert abs(flip.mean() - 0.5) < 4.5 * 0.5 / 20_000**0.5


def test_boxes_are_distributed_as_torchvisions():
    from scipy.stats import ks_2samp
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    image, number = torch.empty(3, 256, 256), 4000
    options = (0.08, 1.0), (3 / 4, 4 / 3)
    reference = [RandomResizedCrop.get_params(image, *options) for _ in range(number)]
    ours = drawn("resized_crop", 256, number).numpy()[:, :4]
    theirs = np.array(reference)
    for name, of in {
        "top": lambda box: box[:, 0],
        "left": lambda box: box[:, 1],
        "area": lambda box: box[:, 2] * box[:, 3],
        "ratio": lambda box: box[:, 3] / box[:, 2],
    }.items():
        assert ks_2samp(of(ours), of(theirs)).pvalue > 1e-4, name


def test_where_no_box_fits_the_whole_image_is_taken(monkeypatch):
    monkeypatch.setattr("mcmi_core.data.augmentation.AREAS", (1.0, 1.0))
    monkeypatch.setattr("mcmi_core.data.augmentation.RATIOS", (2.0, 2.0))
    assert drawn("resized_crop", 256, 5)[:, :4].tolist() == 5 * [[0, 0, 256, 256]]


@pytest.mark.parametrize("seen", [*range(1, 300)])
def test_a_network_sees_the_size_that_was_asked_for(seen):
    for kind in KINDS:
        assert seen_size(kind, stored_size(kind, seen)) == seen
    assert stored_size("crop_flip", seen) == seen


def test_imagenets_sizes():
    assert stored_size("resized_crop", 224) == 256


@pytest.mark.parametrize(("size", "seen"), [(16, 14), (16, 13), (9, 8), (8, 8), (5, 8)])
def test_centre_crops_equal_torchvisions(size, seen):
    from torchvision.transforms import functional as reference

    images = random_images(2, size)
    expected = images if size < seen else reference.center_crop(images, [seen, seen])
    assert torch.equal(centre_crop(images, seen), expected)

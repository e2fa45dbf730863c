"""Channel statistics against numpy's on a float copy."""

import numpy as np
import pytest
import torch

from mcmi_core.data import normalisation
from mcmi_core.data.normalisation import channel_statistics


def random_images(*shape, low=0, high=256, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_statistics_equal_numpys(channels):
    spans = [(0, 256), (100, 110), (0, 2), (250, 256), (7, 90)][:channels]
    images = torch.cat([random_images(50, 1, 9, 7, low=a, high=b) for a, b in spans], dim=1)
    pixels = images.numpy().astype(np.float64) / 255
    mean, std = channel_statistics(images)
    assert mean == tuple(np.round(pixels.mean(axis=(0, 2, 3)), 4))
    assert std == tuple(np.round(pixels.std(axis=(0, 2, 3)), 4))
    assert all(type(value) is float for value in (*mean, *std))


def test_black_and_white_halves():
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    images[0] = 255
    assert channel_statistics(images) == ((0.5,), (0.5,))


def test_the_order_of_images_and_their_layout_do_not_matter():
    images = random_images(40, 3, 8, 8)
    expected = channel_statistics(images)
    assert channel_statistics(images.flip(0)) == expected
    assert channel_statistics(images.contiguous(memory_format=torch.channels_last)) == expected


def test_all_pixels_count_the_same():
    """The deviation is that of all pixels, not the mean of those of single images."""
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    images[2:] = 200
    assert channel_statistics(images)[1] == (round(100 / 255, 4),)


@pytest.mark.parametrize("value", [0, 93, 255])
@pytest.mark.parametrize("channel", [0, 2])
def test_a_constant_channel_is_refused(value, channel):
    images = random_images(5, 3, 4, 4)
    images[:, channel] = value
    message = f"^channel {channel} is {value} everywhere; it tells nothing$"
    with pytest.raises(ValueError, match=message):
        channel_statistics(images)


def test_one_differing_pixel_among_many_is_enough():
    images = torch.full((100, 1, 16, 16), 10, dtype=torch.uint8)
    images[0, 0, 0, 0] = 200
    expected = 190 / 255 * np.sqrt(1 / 25_600 * (1 - 1 / 25_600))
    assert channel_statistics(images)[1] == (round(expected, 4),)


@pytest.mark.parametrize("chunk", [1, 7, 39, 40, 41])
def test_counting_in_parts_equals_counting_at_once(monkeypatch, chunk):
    images = random_images(40, 3, 8, 8)
    expected = channel_statistics(images)
    sizes, count = [], normalisation._counts
    monkeypatch.setattr(normalisation, "CHUNK", chunk)
    monkeypatch.setattr(
        normalisation, "_counts", lambda part: sizes.append(len(part)) or count(part)
    )
    assert channel_statistics(images) == expected
    assert max(sizes) == min(chunk, 40)
    assert sum(sizes) == 40

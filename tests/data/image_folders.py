"""Folders of random images."""

import numpy as np
from PIL import Image

from mcmi_core.base.paths import cache_root, data_root

CLASSES = ("ant", "Bee", "cat")


def random_pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def make_folder(name="pets", size=4, second="test", num=2):
    """``num`` training images and one test image of each class, all different."""
    root = data_root() / name
    for label, kind in enumerate(CLASSES):
        for index in range(num):
            pixels = random_pixels(size, size, 3, seed=10 * label + index)
            write(root / "train" / kind / f"{index}.png", pixels)
        write(root / second / kind / "0.png", random_pixels(size, size, 3, seed=100 + label))
    return root


def chw(pixels):
    return pixels.transpose(2, 0, 1)


def cache_folder():
    return cache_root() / "imagefolder"


def cache_files():
    """Their names, but those of locks."""
    return sorted(path.name for path in cache_folder().glob("*") if path.suffix != ".lock")

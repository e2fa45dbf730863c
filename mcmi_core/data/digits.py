"""Real handwritten digits that come with scikit-learn: 1,797 grey images of 8x8 pixels."""

import torch

from mcmi_core.data.normalisation import channel_statistics
from mcmi_core.data.split import Dataset, Split


def digits() -> Dataset:
    """A fifth of every class is for testing.

    Training crops by up to one pixel and never flips: a flipped digit is no digit.
    """
    from sklearn.datasets import load_digits  # takes seconds, so only where it is used

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).to(torch.uint8)[:, None] * 15  # 0..16 → 0..240
    labels = torch.from_numpy(bunch.target).long()
    train, test = Split(images, labels).divide(0.8, seed=0)
    mean, std = channel_statistics(train.inputs)
    names = tuple(str(name) for name in bunch.target_names)
    return Dataset("digits", train, test, names, mean=mean, std=std, augmentation="crop")

import base64
import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from mcmi_core.report.figures.eigen_cam import draw_eigen_cam

LABELS = ("MLL", "fine-tuned λ=0", "MCMI fixed λ=0.2")


def picture(brightness: int) -> str:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4), brightness, dtype=np.uint8)).save(file, format="png")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def figure():
    mpl.use("agg")
    pictures, drawn = [], []
    for place, label in enumerate(LABELS):
        for image, class_index in enumerate((0, 0, 2)):  # the second of class 0 is not drawn
            sample = {"label": label, "class_index": class_index, "picture": picture(image)}
            pictures.append(sample | {"heat": [[0.1 * image, place / 2]]})
        for seed in (0, 1):
            row = {"label": label, "seed": seed, "coverage_percent": 10 * place + seed}
            drawn.append(row | {"place_information_nats": 0.1 * place})
    data, control = "imagefolder:folder=cifar10-jpeg", "fine-tuned λ=0"
    figure = draw_eigen_cam(pd.DataFrame(pictures), pd.DataFrame(drawn), data=data, control=control)
    yield figure
    plt.close(figure)


def test_the_first_picture_of_each_class_with_every_teachers_map(figure):
    images = figure.axes[:8]
    assert [axes.get_title() for axes in images[:4]] == [
        "test image",
        "MLL",
        "fine-tuned\nλ=0 (control)",
        "MCMI fixed\nλ=0.2",
    ]
    assert [axes.get_ylabel() for axes in images[::4]] == ["airplane", "bird"]
    assert [axes.images[0].get_array().shape for axes in images[::4]] == [(4, 4, 3)] * 2
    brightness = [axes.images[0].get_array()[0, 0, 0] for axes in images[::4]]
    assert brightness == [0, 2]
    last = images[-1].images[0]  # of MCMI, the bird
    np.testing.assert_allclose(last.get_array(), [[0.2, 1]])
    assert last.get_clim() == (0, 1)
    assert images[-1].get_xlabel() == "covers 69 %"  # (0.2 + 1)² / (2 · (0.2² + 1²))


def test_both_numbers_are_compared_with_the_controls(figure):
    _bar, coverage, information = figure.axes[8:]
    assert [axes.get_xlabel() for axes in (coverage, information)] == [
        "Coverage, points of the picture",
        "Place information, nats",
    ]
    names = [text.get_text() for text in coverage.get_yticklabels()]
    assert names == ["MLL", "MCMI fixed λ=0.2"]
    means = [
        [each.lines[0].get_xdata()[0] for each in axes.containers] for axes in figure.axes[-2:]
    ]
    assert means == [[-10, 10], [pytest.approx(-0.1), pytest.approx(0.1)]]

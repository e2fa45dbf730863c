import base64
import io

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from PIL import Image

from mcmi_core.report.figures.eigen_cam import draw_eigen_cam

LABELS = ("MLL", "fine-tuned λ=0", "MCMI fixed λ=0.2")


def picture(brightness: int) -> str:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4), brightness, dtype=np.uint8)).save(file, format="png")
    return base64.b64encode(file.getvalue()).decode()


def test_pictures_above_each_teachers_maps_and_both_numbers_beside():
    mpl.use("agg")
    pictures, drawn = [], []
    for place, label in enumerate(LABELS):
        for class_index in (0, 1, 2):
            sample = {"label": label, "class_index": class_index, "picture": picture(class_index)}
            pictures.append(sample | {"heat": [[0.1 * class_index, place]]})
        for seed in (0, 1):
            row = {"label": label, "seed": seed, "coverage_percent": 10 * place + seed}
            drawn.append(row | {"place_information_nats": 0.1 * place})
    figure = draw_eigen_cam(pd.DataFrame(pictures), pd.DataFrame(drawn))
    *images, coverage, information = figure.axes
    assert len(images) == (1 + len(LABELS)) * 3
    assert [axes.get_title() for axes in images[:3]] == ["0", "1", "2"]
    assert [len(axes.images) for axes in images] == [1] * 3 + [2] * 9
    assert [axes.get_ylabel() for axes in images[3::3]] == [
        "MLL",
        "fine-tuned\nλ=0",
        "MCMI\nfixed\nλ=0.2",
    ]
    last = images[-1].images[-1].get_array()  # of MCMI, class 2
    np.testing.assert_allclose(last, [[0.2, 2]])
    assert [axes.get_title() for axes in (coverage, information)] == [
        "Coverage, %",
        "Place information, nats",
    ]
    assert [list(line.get_ydata()) for line in coverage.lines[:2]] == [[0, 10, 20], [1, 11, 21]]
    plt.close(figure)

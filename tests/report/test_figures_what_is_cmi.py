"""Outputs as points of a triangle: where they lie, and what is written beside."""

import base64
import io

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mcmi_core.report.figures.what_is_cmi import draw_one, draw_photographs, draw_triangles
from mcmi_core.report.slider import slide_triangles

OUTPUTS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]])
POINTS = {"MLL": (OUTPUTS, np.array([0, 1, 2, 2])), "the truth": (OUTPUTS[:3], np.arange(3))}
CMI = {"MLL": 0.1234, "the truth": 0.0}


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_corners_centre_and_centroids():
    panel = draw_triangles(POINTS, CMI).axes[0]
    first, centroid, *_, last, last_centroid = panel.collections
    height = np.sqrt(3) / 2
    np.testing.assert_allclose(first.get_offsets(), [[0, 0]])
    np.testing.assert_allclose(centroid.get_offsets(), [[0, 0]])
    np.testing.assert_allclose(last.get_offsets(), [[0.5, height], [0.5, height / 3]])
    np.testing.assert_allclose(last_centroid.get_offsets(), [[0.5, height * 2 / 3]])
    assert panel.get_title() == "MLL\nCMI 0.123 nats, 75% in a corner"


def test_a_panel_for_each_and_no_axes_where_there_is_none():
    many = {f"{number}": POINTS["MLL"] for number in range(4)}
    figure = draw_triangles(many, dict.fromkeys(many, 0.0))
    assert len(figure.axes) == 6
    assert [bool(axes.get_title()) for axes in figure.axes] == [True] * 4 + [False] * 2
    assert not any(axes.axison for axes in figure.axes)
    assert figure.get_figwidth() == 9


def test_one_place_of_the_slider():
    assert draw_one(POINTS, CMI, "the truth").axes[0].get_title().startswith("the truth")


def test_the_slider_shows_where_it_stands(monkeypatch):
    displayed = []
    monkeypatch.setattr("mcmi_core.report.slider.display", displayed.append)
    slide_triangles(POINTS, CMI)
    [box] = displayed
    slider, shown = box.children
    assert (slider.options, slider.value) == (("MLL", "the truth"), "the truth")
    before = shown.value
    slider.value = "MLL"
    after = shown.value
    assert Image.open(io.BytesIO(after)).format == "PNG" and after != before
    slider.value = "the truth"
    assert shown.value == before
    assert plt.get_fignums() == []


def test_the_slider_captures_no_output(monkeypatch):
    """Or a notebook with it may never end."""

    def captures(*args, **options):
        raise AssertionError("output is captured")

    monkeypatch.setattr(ipywidgets.Output, "__init__", captures)
    slide_triangles(POINTS, CMI)


def test_a_slider_without_a_place_is_refused():
    with pytest.raises(ValueError, match="a slider needs at least one place, got none"):
        slide_triangles({}, {})


def test_the_five_classes_that_lead_by_teacher():
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, format="png")
    picture = base64.b64encode(file.getvalue()).decode()
    probabilities = pd.Series([0.9, 0.06, 0.02, 0.01, 0.0006, 0.0004], list("abcdef"))
    rows = [
        {
            "label": label,
            "image": image,
            "picture": picture,
            "class_name": "a",
            "probabilities": probabilities,
        }
        for label in ("MLL", "fine-tuned λ=0", "MCMI fixed λ=0.25", "MCMI tracked λ=0.7")
        for image in (0, 1)
    ]
    figure = draw_photographs(pd.DataFrame(rows))
    shown, left, middle, right = figure.axes[:4]
    assert shown.get_ylabel() == "a"
    titles = [panel.get_title() for panel in (left, middle, right)]
    assert titles == ["MLL", "control, λ = 0", "MCMI fixed λ=0.25"]
    assert [bar.get_width() for bar in left.patches] == [0.9, 0.06, 0.02, 0.01, 0.0006]
    assert [text.get_text() for text in left.get_yticklabels()] == list("abcde")
    assert [text.get_text() for text in left.texts] == [
        "0.900",
        "0.060",
        "0.020",
        "0.010",
        "< 0.001",
    ]

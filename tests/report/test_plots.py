"""Figures: what is drawn is what was measured, and equal numbers give equal files."""

import base64
import hashlib
import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from mcmi_core.base.errors import StoreError
from mcmi_core.base.statistics import Interval
from mcmi_core.report import plots

HISTORY = pd.DataFrame(
    {
        "seed": [0, 0, 1, 1],
        "epoch": [1, 2, 1, 2],
        "train_ll_nats": [-2.0, -1.0, -1.0, -0.5],
        "train_cmi_nats": [0.1, 0.3, 0.3, 0.4],
    }
)


@pytest.fixture
def axes():
    mpl.use("agg")
    with mpl.rc_context():
        plots.use_house_style()
        figure, axes = plt.subplots()
        yield axes
        plt.close(figure)


def test_a_grey_picture_is_grey(axes):
    file = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(file, format="png")
    plots.plot_picture(axes, base64.b64encode(file.getvalue()).decode())
    [picture] = axes.images
    assert picture.get_array()[0, 5].tolist() == [5, 5, 5]
    assert list(axes.get_xticks()) == []


def test_methods_differ_in_colour_and_in_marker():
    controls = ("fine-tuned λ=0", "from scratch")
    alternatives = ("temperature", "label smoothing", "entropy bonus", "early stopping", "MSE")
    methods = ("MLL", "MCMI fixed", "MCMI tracked", "true BCPD", *controls, *alternatives)
    styles = [plots.method_style(name) for name in methods]
    assert len({style["color"] for style in styles}) == len(styles)
    assert len({style["marker"] for style in styles}) == len(styles)
    assert plots.method_style("MCMI fixed λ=0.25") == plots.method_style("MCMI fixed")
    with pytest.raises(ValueError, match="no style for method 'MCMIfoo'; choose from MLL"):
        plots.method_style("MCMIfoo")


def test_intervals_are_a_curve_with_error_bars(axes):
    intervals = pd.Series({0.1: Interval(1.5, 1, 2, 3), 0.4: Interval(6, 4, 8, 3)})
    plots.plot_intervals(axes, intervals, label="MCMI fixed")
    line, _, (bars,) = axes.containers[0]
    assert line.get_xydata().tolist() == [[0.1, 1.5], [0.4, 6]]
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[1, 2], [4, 8]]


def test_methods_from_top_to_bottom(axes):
    plots.plot_methods(
        axes, pd.Series({"MLL": Interval(1, 0, 2, 3), "true BCPD": Interval(3, 2, 4, 3)})
    )
    assert [text.get_text() for text in axes.get_yticklabels()] == ["MLL", "true BCPD"]
    assert axes.yaxis_inverted()
    assert axes.lines[0].get_xdata() == [1]


def test_equal_numbers_give_equal_files(tmp_path):
    def save():
        mpl.use("agg")
        with mpl.rc_context():
            plots.use_house_style()
            figure, axes = plt.subplots()
            axes.plot(np.arange(3))
            plots.save_figure(figure, "f", HISTORY, profile="smoke", note="n = 2 seeds")
            plt.close(figure)
        assert figure.texts[0].get_text() == "profile smoke · n = 2 seeds"
        folder = tmp_path / "output" / "figures"
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    first = save()
    assert list(first) == ["f.csv", "f.pdf", "f.png"]
    assert save() == first
    assert str(tmp_path).encode() not in b"".join(first.values())


def test_a_figure_is_shown_with_links_to_what_it_is_made_of(axes, capsys):
    axes.plot([0, 1])
    plots.save_figure(axes.figure, "f", HISTORY, profile="cpu", note="n = 2 seeds")
    assert "Figure" in capsys.readouterr().out
    assert plots._links("f", "cpu") == (
        "[numbers](../figures/cpu/f.csv) · [pdf](../figures/cpu/f.pdf) · [records](../records/cpu)"
    )
    assert plots._links("f", "smoke") == "[numbers](figures/f.csv) · [pdf](figures/f.pdf)"
    assert not plt.fignum_exists(axes.figure.number)


def test_a_long_footer_stays_as_wide_as_its_figure(axes):
    axes.plot([0, 1])
    plots.save_figure(axes.figure, "f", HISTORY, profile="cpu", note="ten seeds, " * 40)
    (footer,) = axes.figure.texts
    width = footer.get_window_extent(dpi=200).width / 200  # as in the png, which came last
    assert 0.6 * axes.figure.get_figwidth() < width <= axes.figure.get_figwidth()


def test_no_word_of_a_footer_stands_alone(axes):
    axes.plot([0, 1])
    characters = int(14 * axes.figure.get_figwidth())  # a line has, at most
    plots.save_figure(axes.figure, "f", HISTORY, profile="cpu", note="a " * (characters // 2))
    (footer,) = axes.figure.texts
    first, second = footer.get_text().splitlines()
    assert abs(len(first) - len(second)) <= 2 < characters / 4


def test_a_figure_that_a_page_would_shrink_is_refused(axes):
    axes.figure.set_figwidth(9.1)
    with pytest.raises(ValueError, match=r"f is 9\.1 inches wide; at most 9 are shown as large"):
        plots.save_figure(axes.figure, "f", HISTORY, profile="cpu", note="")


def test_text_too_small_to_read_is_refused(axes):
    axes.set_title("small", fontsize=7)
    with pytest.raises(ValueError, match=r"f: 'small' has 7\.0 points; at least 8 can be read"):
        plots.save_figure(axes.figure, "f", HISTORY, profile="cpu", note="")


def test_tables_keep_six_digits(tmp_path):
    plots.save_table(pd.DataFrame({"name": ["a"], "value": [1 / 3]}), "t")
    assert (tmp_path / "output" / "figures" / "t.csv").read_text() == "name,value\na,0.333333\n"


def test_rounding_errors_are_nothing(tmp_path):
    """Where equal numbers are subtracted, processors differ in what is left, and in its sign."""
    left_over = pd.DataFrame({"whole": [0, 1, 2], "gap": [0.1 + 0.2 - 0.3, -1e-17, -0.2]})
    plots.save_table(left_over, "t")
    text = (tmp_path / "output" / "figures" / "t.csv").read_text()
    assert text == "whole,gap\n0,0\n1,0\n2,-0.2\n"


def test_what_a_figure_draws(axes):
    axes.plot([0, 1], [2, 3])
    axes.bar([4], [5], width=2)
    axes.fill_between([6, 7], [8, 8], [9, 9])
    axes.scatter([10, 11], [12, 13], marker="$7$")
    axes.imshow([[14, 15]], aspect="auto")
    assert {float(number) for number in plots.drawn_numbers(axes.figure)} == {
        *(0, 1, 2, 3),
        *(3, 5, 0),  # corners of the bar
        *range(6, 16),
    }


def test_digests_tell_which_plotted_value_changed(axes, capsys, tmp_path):
    def printed(drawn, stored):
        axes.clear()
        axes.plot(drawn)
        plots.save_figure(axes.figure, "f", pd.DataFrame({"a": stored}), profile="smoke", note="")
        return capsys.readouterr().out.splitlines()[1:]

    table, picture = printed([1, 2.5], [1, 2.5])
    digest = hashlib.sha256((tmp_path / "output" / "figures" / "f.csv").read_bytes()).hexdigest()
    assert table == f"f.csv: sha256 {digest[:12]}"
    assert picture.startswith("f, 4 numbers as drawn: sha256 ")
    assert printed([1 + 1e-14, 2.5], [1, 2.5 - 1e-14]) == [table, picture]
    assert printed([1, 2.5], [1, 2.50001])[0] != table
    assert printed([1, 2.50001], [1, 2.5]) != [table, picture]
    assert printed([1, 2.50001], [1, 2.5])[0] == table


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="cannot write"):
        plots.save_table(pd.DataFrame({"a": [1]}), "t")


def test_a_long_title_takes_more_lines(axes):
    text = "resnet20 on imagefolder:folder=cifar10-jpeg,image_size=16,augmentation=none"
    plots.title_panel(axes, text)
    lines = axes.get_title().splitlines()
    assert max(map(len, lines)) <= plots.TITLE_WIDTH
    assert " ".join(lines) == text.replace(",", ", ")


def test_a_number_of_seeds_stays_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MCMI_OUTPUT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.plot([1])
    note = "5 Gaussians; mean and 95 % t-interval, n = 10 seeds"
    plots.save_figure(figure, "f", pd.DataFrame({"x": [1]}), profile="smoke", note=note)
    lines = figure.texts[0].get_text().split("\n")
    assert len(lines) > 1 and lines[-1].endswith("n = 10 seeds")

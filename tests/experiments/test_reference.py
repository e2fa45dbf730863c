"""Published figures: whole, and read as their sources mean them."""

import pytest

from mcmi_core.components import DISTILLERS
from mcmi_core.experiments.reference import authors_best, authors_sweep, favoured_lambdas, published


def test_published_figures_are_whole():
    table = published("cifar100")
    assert table.groupby(["teacher", "student"]).ngroups == 13
    assert set(table.distiller) <= {*DISTILLERS, "teacher", "student"}
    assert table.published_percent.between(50, 100).all()
    known = table.set_index(["teacher", "student", "distiller"]).published_percent
    assert known["resnet56", "resnet20", "kd"] == 70.66
    imagenet = published("imagenet").set_index(["student", "distiller"]).published_percent
    assert imagenet["resnet18", "dkd"] == 71.7


def test_other_benchmarks_are_refused():
    with pytest.raises(ValueError, match="one of cifar100, imagenet, got 'mnist'"):
        published("mnist")


def test_the_authors_choice_is_the_best_of_its_cells():
    sweep, best = authors_sweep(), authors_best()
    for row in best.itertuples():
        cells = sweep[
            (sweep.teacher == row.teacher)
            & (sweep.student == row.student)
            & (sweep.distiller == row.distiller)
        ]
        assert row.cells == len(cells)
        winners = cells[cells.accuracy_percent == row.authors_percent]
        assert row.authors_percent == max(cells.accuracy_percent)
        assert row.authors_lam in set(winners.lam)
    assert best.cells.sum() == len(sweep)


def test_favoured_lambda_by_hand():
    """Mean over weights, then over frameworks tried at every λ; in plain loops."""
    sweep = authors_sweep()
    for (teacher, student), lam in favoured_lambdas().items():
        pair = sweep[(sweep.teacher == teacher) & (sweep.student == student)]
        values = {}
        for distiller in set(pair.distiller):
            rows = pair[pair.distiller == distiller]
            if len(set(rows.lam)) == 4:
                for tried in set(rows.lam):
                    mean = rows[rows.lam == tried].accuracy_percent.mean()
                    values.setdefault(tried, []).append(mean)
        means = {tried: sum(found) / len(found) for tried, found in values.items()}
        assert lam == max(means, key=means.get)

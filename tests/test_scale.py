"""The numbers on the page about clusters are those that benchmarks/schedule.py wrote."""

import re

from mcmi_core.base.paths import PROJECT

PAGE = (PROJECT / "docs" / "scale.md").read_text(encoding="utf-8")
RESULTS = PROJECT / "benchmarks" / "results"
GRAPHS = ("Table 1", "`paper`")


def rows(text: str) -> list[list[str]]:
    """Cells of the rows that are about a graph."""
    lines = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    return [cells for cells in lines if cells[0].startswith(GRAPHS)]


def test_hours_are_those_of_the_simulation():
    shown = {}
    for name, runs, workers, work, chain, _, makespan, _, efficiency, _ in rows(
        (RESULTS / "schedule.md").read_text()
    ):
        row = shown.setdefault(name, [name, runs, work, chain])
        if workers in ("1", "8", "64"):
            row.append(f"{makespan} ({efficiency} %)")
    found = [cells for cells in rows(PAGE) if cells[-1].endswith("%)")]
    assert found == list(shown.values())
    assert len(found) == 4


def test_storage_is_that_of_the_benchmark():
    computed = [[c[0], *c[2:]] for c in rows((RESULTS / "schedule_storage.md").read_text())]
    assert [cells for cells in rows(PAGE) if not cells[-1].endswith("%)")] == computed


def test_every_decimal_and_every_rate_is_in_a_table_of_the_benchmarks():
    files = ("schedule", "schedule_driver", "schedule_storage", "training_step_cuda")
    known = " ".join((RESULTS / f"{name}.md").read_text() for name in files).replace(",", "")
    text = PAGE.partition("Recorded runs")[0] + PAGE.partition("- **Assumed**")[2]
    text = text.replace("60.8 % (81.6", "")  # of an order that was tried, and is not kept
    numbers = re.findall(r"\d[\d,]*\.\d+|\d+,\d{3}", text)
    elsewhere = {"1,430", "2,925", "1,281,167", "50,000", "10,000", "4.3"}  # tested as formulas
    lost = [n for n in numbers if n.replace(",", "") not in known and n not in elsewhere]
    assert lost == []
    assert len(numbers) > 50


def test_the_page_stays_short():
    assert len(PAGE.splitlines()) <= 120

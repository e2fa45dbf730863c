"""The numbers on the page about clusters are those that benchmarks/schedule.py wrote."""

import json
import re
import statistics

from mcmi_core.base.paths import PROJECT

PAGE = (PROJECT / "docs" / "scale.md").read_text(encoding="utf-8")
PER_CLASS = "images_per_class"
RESULTS = PROJECT / "benchmarks" / "results"
GRAPHS = ("Table 1", "`paper`", "records of")


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
    assert len(found) == 6


def test_storage_is_that_of_the_benchmark():
    computed = [[c[0], *c[2:]] for c in rows((RESULTS / "schedule_storage.md").read_text())]
    assert [cells for cells in rows(PAGE) if not cells[-1].endswith("%)")] == computed


def test_every_decimal_and_every_rate_is_in_a_table_of_the_benchmarks():
    files = ("schedule", "schedule_driver", "schedule_storage", "training_step_cuda")
    number = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
    tables = " ".join((RESULTS / f"{name}.md").read_text() for name in files)
    known = {each.replace(",", "") for each in number.findall(tables)}
    numbers = [each for each in number.findall(PAGE) if re.search(r"[.,]\d", each)]
    elsewhere = {"1,430", "2,925", "1,281,167", "50,000", "10,000", "39,290"}  # of other tests
    elsewhere.add(f"{64 * 15.86:,.0f}")
    assert [n for n in numbers if n.replace(",", "") not in known and n not in elsewhere] == []
    assert len(numbers) > 50


def test_the_rate_of_recorded_students_is_that_of_their_records():
    rates = []
    for path in (PROJECT / "records" / "gpu").glob("student-imagefolder-resnet20-kd-*.json"):
        record = json.loads(path.read_text())
        part, about = record["run"]["part"], record["provenance"]
        if (part["fraction"], part["omit"], about["streams"]) == (1.0, [], 12):
            images = record["run"]["recipe"]["epochs"] * 10 * record["run"]["data"][PER_CLASS]
            rates.append(about["streams"] * images / about["seconds"])
    assert f"{statistics.median(rates):,.0f}" == "39,290"
    assert "39,290\n  images/s of KD with 12 at once (median)" in PAGE


def test_the_page_stays_short():
    assert len(PAGE.splitlines()) <= 120

"""Records that others wrote are data: they escape from no folder, page or terminal."""

import json
import os
import re
import shutil
import sys

import pytest
import torch
from docutils.core import publish_string
from myst_parser.docutils_ import Parser
from small_runs import DATA, mll_teacher

from mcmi_core import cli
from mcmi_core.base.errors import StoreError
from mcmi_core.base.paths import PROJECT
from mcmi_core.base.terminal import visible
from mcmi_core.profiles import get_profile
from mcmi_core.report.site.html_tables import Cell, raw_html, sortable_table
from mcmi_core.report.site.record_pages import _part
from mcmi_core.runs.records import Record, Records, read_record
from mcmi_core.runs.trainer import ensure

CPU = torch.device("cpu")
COMMANDS = "\x1b]0;title\x07\x1b[2J\r\u202e\u200b"
"""Names the window, erases the screen, goes back to the line's start, and turns the text round."""

HTML = "<script>alert(1)</script><img src=x onerror='alert(2)'>\n`````\n\n<b>out</b> {{x}}"


@pytest.fixture
def run(store):
    """One that is finished."""
    teacher = mll_teacher(epochs=2, model="mlp:width=8")
    ensure(teacher, store, CPU)
    return teacher


@pytest.fixture
def mcmi(monkeypatch, capsys):
    """Run ``mcmi``: all that a terminal gets."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["mcmi", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        return f"{printed.out}{printed.err}{stopped.value.code or ''}"

    return call


def changed(store, run, fields):
    """Change fields in the record of a run, as someone might who sends it."""
    path = store.path(run.id)
    record = json.loads(path.read_text()) | fields
    record.pop("checksum", None)  # whoever changes a record can make one, or leave it out
    path.write_text(json.dumps(record))
    return path


# --- terminals -------------------------------------------------------------------------------


def test_only_lines_and_tabs_are_left_of_what_commands_a_terminal():
    assert visible("Größe λ=0.25 µ – ×\n\tα\N{NO-BREAK SPACE}b") == (
        "Größe λ=0.25 µ – ×\n\tα\N{NO-BREAK SPACE}b"
    )
    assert visible(f"a{COMMANDS}b\x9b\ud800") == (
        "a\\x1b]0;title\\x07\\x1b[2J\\r\\u202e\\u200bb\\x9b\\ud800"
    )


@pytest.mark.parametrize(
    ("fields", "command", "shown"),
    [
        ({COMMANDS: 1}, ["runs", "list"], "\\x1b]0;title"),
        ({"status": COMMANDS}, ["runs", "list"], "status: "),
        ({"key": COMMANDS}, ["runs", "list"], "\\x1b]0;title"),
        ({"status": "collapsed", "message": COMMANDS}, ["train-teacher"], "\\x1b]0;title"),
        ({"message": COMMANDS}, ["runs", "show", "teacher"], "\\u001b]0;title"),
    ],
)
def test_a_record_commands_no_terminal(fields, command, shown, run, store, mcmi):
    changed(store, run, fields)
    if command == ["train-teacher"]:
        command = [*command, "--data", DATA, "--model", "mlp:width=8", "--epochs", "2"]
        command += ["--recipe", "evaluate_every=2,milestones=3"]
    printed = mcmi(*command)
    assert shown in printed
    assert not set("\x1b\x07\r\u202e\u200b") & set(printed)


def test_a_folder_s_name_commands_no_terminal(run, store, mcmi):
    shutil.copytree(store.folder(run), store.root / f"teacher-{COMMANDS}")
    printed = mcmi("runs", "show", "teacher-")
    assert "\\x1b]0;title" in printed
    assert "\x1b" not in printed


# --- folders ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["../outside", "/etc", "..", ".", "*", "teacher-*", "", "%s"])
def test_a_reference_leads_to_no_file_outside_the_store(reference, run, store, mcmi, tmp_path):
    shutil.copytree(store.folder(run), tmp_path / "outside")
    shutil.copytree(store.folder(run), store.root / "other-0")
    said = mcmi("runs", "show", reference)
    assert re.search(r"mcmi: (no run|2 runs) in .* match ", said)
    assert '"metrics"' not in said


@pytest.mark.parametrize(
    "path",
    [
        ("data", "name"),
        ("model", "name"),
        ("objective", "name"),
        ("stage",),
    ],
)
def test_no_part_of_an_id_can_be_a_path(path, run, store):
    config = json.loads(store.path(run.id).read_text())["run"]
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = "../../evil"
    with pytest.raises(StoreError, match="is not a record: "):
        read_record(changed(store, run, {"run": config}))


def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(run, store, mcmi):
    path = store.root / "other" / "record.json"
    path.parent.mkdir()
    os.mkfifo(path)
    printed = mcmi("runs", "list")
    assert f"mcmi: skipped: cannot read {path}: it is no file\n" in printed
    assert run.id in printed


def test_ids_are_names_of_files_whatever_the_options(run):
    for data in ("imagefolder:folder=../../../etc,image_size=8", 'imagefolder:folder="/a,/b"'):
        assert re.fullmatch(r"[a-z0-9-]+", mll_teacher(data=data, model="resnet8").id)


def test_the_record_of_another_run_is_refused(run, store):
    other = mll_teacher(epochs=3)
    shutil.copytree(store.folder(run), store.folder(other))
    with pytest.raises(StoreError, match=f"holds the record of another run, {run.id}$"):
        store.record(other)


@pytest.mark.parametrize(
    "fields",
    [
        {"metrics": {"test": {"accuracy_percent": "1e999999"}}},
        {"history": {"epoch": [10**4000]}},
        {"run": json.loads('{"start":' * 90 + "1" + "}" * 90)},
        {"provenance": {"seconds": [1]}},
        {"message": 3},
    ],
)
def test_odd_values_are_refused_or_are_values(fields, run, store, mcmi):
    path = changed(store, run, fields)
    try:
        assert isinstance(read_record(path), Record)
    except StoreError as error:
        assert str(error).startswith(f"{path} ")
    assert "Traceback" not in mcmi("runs", "list")


@pytest.mark.parametrize("depth", range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()))
def test_nesting_just_as_deep_as_can_be_read_is_refused(depth, tmp_path):
    path = tmp_path / "record.json"
    path.write_text('{"result": ' + "[" * depth + "]" * depth + ', "checksum": "0"}')
    with pytest.raises(StoreError, match=f"^{path} is damaged "):
        read_record(path)


def test_deep_nesting_is_refused(run, store, mcmi):
    path = store.path(run.id)
    path.write_text('{"result": {"a": [' + "[" * 100_000 + "]" * 100_000 + "]}}")
    with pytest.raises(StoreError, match=f"^{path} is "):
        read_record(path)
    assert "no finished run" in mcmi("runs", "list")


# --- pages -----------------------------------------------------------------------------------


def rendered(markdown):
    settings = {"output_encoding": "unicode", "report_level": 5, "raw_enabled": True}
    page = publish_string(markdown, parser=Parser(), writer="html5", settings_overrides=settings)
    return page.partition("<body")[2]


def test_a_table_quotes_html_and_ends_where_it_should():
    table = sortable_table("rows", ["h"], [[Cell(HTML, link=f"x'{HTML}")]], ids=[HTML])
    page = rendered(f"# Title\n\n{table}\n\nAfter\n")
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search("<script|<img|<b>", page)
    assert page.count("</table>") == 1 and "<p>After</p>" in page


def test_a_block_of_html_is_not_ended_by_what_it_quotes():
    assert raw_html("a```````b").count("`") == 10


def test_no_field_of_a_record_is_html_on_its_page():
    [experiment] = get_profile("gpu").named("08_few_shot")
    committed, found = Records(PROJECT / "records" / "gpu"), {}
    chain = {run.key: run for run in experiment.runs()[:3]}
    for run in chain.values():
        record = json.loads(committed.path(run.id).read_text())
        names = ("hardware", "torch", "commit", "date")
        record["provenance"] |= dict.fromkeys(names, HTML)
        record |= {"message": HTML, "status": "collapsed"}
        found[run.key] = Record.model_validate(record)
    text = _part(experiment, "gpu", None, chain, found)
    assert text.count("&lt;script&gt;") == 3 * 3 + 2
    assert not re.search("<script|<img|<b>", text)
    page = rendered(text)
    assert not re.search("<script|<img|<b>", page)
    assert page.count("<table class='sortable'") == page.count("</table>") == 1

"""The site, as `make site` builds it, in a browser and link by link."""

import functools
import http.server
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pytest

from mcmi_core.base.paths import PROJECT

SITE = PROJECT / "build" / "site"
PHONE = {"width": 390, "height": 844}
PAGES = (
    *("index", "docs/paper", "docs/glossary", "docs/protocol", "docs/architecture", "scoreboard"),
    *("records/index", "records/cpu/index", "records/cpu/08_few_shot", "records/gpu/08_few_shot"),
    *("api/index", "api/science", "api/mcmi_core.losses", "api/mcmi_core.distillers.kd", "search"),
    *(f"notebooks/{path.stem}" for path in sorted((PROJECT / "notebooks").glob("[0-9]*.ipynb"))),
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Requests are not printed."""


@pytest.fixture(scope="session")
def site():
    """Its address. It is built first, unless nothing has changed since it was."""
    subprocess.run(["make", "site", f"BIN={Path(sys.executable).parent}"], cwd=PROJECT, check=True)
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Links(HTMLParser):
    """The anchors of a page, and what it refers to."""

    def __init__(self, page: Path):
        super().__init__()
        self.ids, self.targets = set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.targets.add(value)


def test_every_link_leads_to_a_file_and_an_anchor(site):
    pages = {page: Links(page) for page in SITE.rglob("*.html")}
    broken, checked = [], 0
    for page, links in pages.items():
        for target in links.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            checked += 1
            file = (page.parent / unquote(url.path)).resolve() if url.path else page
            if not file.is_file():
                broken.append(f"{page.relative_to(SITE)}: {target}")
            elif url.fragment and file in pages and unquote(url.fragment) not in pages[file].ids:
                broken.append(f"{page.relative_to(SITE)}: {target} (no such anchor)")
    assert checked > 10_000
    assert not broken, f"{len(broken)} broken, such as {broken[:20]}"


def test_nothing_is_loaded_from_elsewhere_and_nothing_fails(site, page):
    foreign, failures = [], []
    page.on("request", lambda r: r.url.startswith((site, "data:")) or foreign.append(r.url))
    page.on("console", lambda m: m.type == "error" and failures.append(f"{page.url}: {m.text}"))
    page.on("pageerror", lambda error: failures.append(f"{page.url}: {error}"))
    for name in PAGES:
        page.goto(f"{site}/{name}.html")
        for picture in page.locator("img:visible").all():
            picture.scroll_into_view_if_needed()
            picture.evaluate("image => image.decode()")
    assert foreign == []
    assert failures == []


def test_no_page_scrolls_sideways_on_a_phone(site, page):
    page.set_viewport_size(PHONE)
    widths = {}
    for name in PAGES:
        page.goto(f"{site}/{name}.html")
        widths[name] = page.evaluate(
            "Math.max(...[...document.querySelectorAll('html, .content')].map(e => e.scrollWidth))"
        )
    assert {name: width for name, width in widths.items() if width > PHONE["width"]} == {}


def column(page, title: str) -> list[str]:
    """The visible texts of a column of the page's first table that sorts."""
    table = page.locator("table.sortable").first
    titles = [text.strip() for text in table.locator("th").all_inner_texts()]
    cells = table.locator(f"tbody tr:not([hidden]) td:nth-child({titles.index(title) + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_the_scoreboard_sorts_by_number(site, page):
    page.goto(f"{site}/scoreboard.html")
    heading = page.locator("table.sortable th").filter(has_text=re.compile("^difference$"))
    board = pd.read_csv(PROJECT / "figures" / "cpu" / "99_claims.csv")
    expected = sorted(board["mean"].dropna())
    for direction in ("ascending", "descending"):
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == direction
        texts = column(page, "difference")
        shown = [float(text) for text in texts]
        assert shown == pytest.approx(expected, abs=0.006)  # two decimals, or three
        assert texts not in (sorted(texts), sorted(texts, reverse=True)), "by text, too"
        expected.reverse()


def test_what_has_no_number_stays_last(site, page):
    page.goto(f"{site}/scoreboard.html")
    heading = page.locator("table.sortable th").filter(has_text=re.compile("^against MLL$"))
    for _ in ("ascending", "descending"):
        heading.get_by_role("button").click()
        texts = column(page, "against MLL")
        assert "–" in texts
        assert set(texts[texts.index("–") :]) == {"–"}


def test_a_text_filters_the_scoreboard(site, page):
    page.goto(f"{site}/scoreboard.html")
    verdicts = column(page, "verdict")
    page.get_by_role("searchbox", name="Filter").fill("gpu OPPOSITE")
    shown = column(page, "verdict")
    assert 0 < len(shown) < len(verdicts)
    assert all(verdict.startswith("opposite") for verdict in shown)
    assert all("GPU" in tier for tier in column(page, "tier"))
    assert page.locator(".filter output").inner_text() == (
        f"{len(shown)} of {len(verdicts)} comparisons"
    )


def test_a_number_of_the_scoreboard_is_two_clicks_from_its_record(site, page):
    page.goto(f"{site}/scoreboard.html")
    page.locator("table.sortable tbody tr").first.locator("td a").click()
    assert "/records/" in page.url
    page.locator("table.sortable[data-name=runs] td a[href$='.json']").first.click()
    assert '"status": "done"' in page.locator("body").inner_text()


def test_the_search_finds_a_term(site, page):
    page.goto(f"{site}/search.html?q=centroid")
    page.locator("#search-results li a", has_text="Glossary").first.wait_for()
    assert page.locator("#search-results li").count() > 5


LUMINANCE = """node => {
  const shown = (name) => {
    for (let at = node; at; at = at.parentElement) {
      const parts = getComputedStyle(at)[name].match(/[\\d.]+/g).map(Number);
      if (name === "color" || parts.length < 4 || parts[3] > 0.5) return parts;
    }
    return [255, 255, 255];
  };
  const luminance = (parts) => parts.slice(0, 3)
    .map((part) => part / 255)
    .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  return [luminance(shown("color")), luminance(shown("backgroundColor"))];
}"""
"""Of a node's text and of what it stands on (WCAG 2)."""

READ = {
    "index": "article p",
    "scoreboard": "table.sortable tbody td",
    "records/cpu/08_few_shot": "table.sortable tbody tr:nth-child(2) td",
    "notebooks/08_few_shot": ".cell_output table td",
    "notebooks/99_claims": ".cell_output pre",
    "api/mcmi_core.losses": "dt.sig",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(site, page, scheme):
    page.emulate_media(color_scheme=scheme)
    for name, selector in READ.items():
        page.goto(f"{site}/{name}.html")
        text, ground = page.locator(selector).first.evaluate(LUMINANCE)
        assert (ground > 0.5) == (scheme == "light"), f"{name}: the ground is {ground:.2f}"
        contrast = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
        assert contrast >= 4.5, f"{name}: {selector} has contrast {contrast:.1f}"

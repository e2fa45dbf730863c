"""A notebook that a page shows in JupyterLab, and what a reader does with it."""

import re
import time
from collections.abc import Callable

from playwright.sync_api import ConsoleMessage, Page

SECONDS_TO_OPEN = 60
SECONDS_TO_RUN = 120
SECONDS_TO_DRAW = 20

PROMPTS = ".jp-Notebook .jp-CodeCell .jp-InputArea-prompt"
OUTPUTS = ".jp-Notebook .jp-OutputArea-output"

DECODED = """images => Promise.all(images.map(async image => {
    await image.decode();  // fails if it is no picture
    const bytes = await (await fetch(image.src)).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return {width: image.naturalWidth, digest: digest.join(" ")};
}))"""


class OpenNotebook:
    """A notebook, opened; every wait ends at once with an error in a cell or in the console.

    Args:
        page: Shows nothing yet.
        address: Of the notebook in JupyterLab.
        code_cells: How many it has.
    """

    def __init__(self, page: Page, address: str, code_cells: int) -> None:
        self.page = page
        self.code_cells = code_cells
        self.console: list[str] = []
        page.on("console", self._note_error)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.goto(address)
        connected = page.locator("#jp-main-statusbar").get_by_text("(ipykernel) | Idle")
        connected.wait_for(timeout=SECONDS_TO_OPEN * 1000)  # without a kernel, cells do not run

    def _note_error(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console.append(f"{message.text} {message.location['url']}")

    def outputs(self, kind: str) -> list[str]:
        """The texts of the outputs of a MIME type."""
        return self.page.locator(f"{OUTPUTS}[data-mime-type='{kind}']").all_text_contents()

    def check(self) -> None:
        """Raise AssertionError if a cell failed or warned, or the browser noted an error."""
        assert self.outputs("application/vnd.jupyter.stderr") == []  # tracebacks are shown so, too
        assert self.console == []

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition; ``what`` says it in an error message."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            self.page.wait_for_timeout(100)  # milliseconds
        self.check()

    def run_all(self) -> None:
        """Choose Run All Cells from the menu, and wait until every code cell has its number."""
        self.page.locator("#jp-MainMenu").get_by_text("Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        prompts = self.page.locator(PROMPTS)

        def all_numbered() -> bool:
            numbered = [re.fullmatch(r"\[\d+\]:", text) for text in prompts.all_text_contents()]
            return len(numbered) == self.code_cells and all(numbered)

        self.wait_until(all_numbered, SECONDS_TO_RUN, "every cell has a number")

    def pictures(self) -> list[str]:
        """The SHA-256 of each picture in the outputs, all of which the browser could decode."""
        found = self.page.locator(f"{OUTPUTS} img").evaluate_all(DECODED)
        assert all(picture["width"] > 0 for picture in found)
        return [picture["digest"] for picture in found]

    def tables(self) -> int:
        """How many tables the outputs show."""
        return self.page.locator(f"{OUTPUTS} table").count()

    def move_slider(self, key: str) -> None:
        """Press a key on the first slider, and wait until another picture is drawn."""
        before = self.pictures()
        self.page.get_by_role("slider").first.press(key)

        def redrawn() -> bool:
            return len(self.pictures()) == len(before) and self.pictures() != before

        self.wait_until(redrawn, SECONDS_TO_DRAW, f"another picture after {key}")

"""A real browser on the front end: Debian's Chromium, led by Playwright."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from playwright.sync_api import Error as PageError
from playwright.sync_api import FloatRect, ViewportSize, sync_playwright
from playwright.sync_api import TimeoutError as PageTimeout

from tests.conftest import PATIENCE
from tests.integration.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page


CHROMIUM = "/usr/bin/chromium"
# The tests run as root. The others keep it from asking its maker's servers, which a test machine may not reach.
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PICTURES = ROOT / "build/pictures"
# High enough for whole pages: what is not in sight, Zabbix does not draw.
SIZE: ViewportSize = {"width": 1920, "height": 3000}
# s until a page is loaded once more, as a person does it, and after each of that. With seven and more graphs on a page,
# 6.0 draws them now and then without asking for their pictures: seen after 40 pages, with no request under way.
PATIENCES = (20.0, 60.0, PATIENCE)
WIDGET = ".dashboard-grid-widget"
HEADING = "h4"
CALENDAR, PERIOD = ".time-quick-range", "a.btn-time"
BACK = ".dashboard-kioskmode-controls .btn-dashboard-kioskmode-previous-page"
# Whatever shows a value: a cell, a line of a graph, an arc, a tile, a picture, a row of a table.
CONTENT = (
    ".svg-honeycomb-cell, .svg-graph-line, [class*=svg-graph-point], .svg-pie-chart-arc-container, .item-value, "
    ".dashboard-widget-item, img, tbody tr"
)
LOOK = """(widgets, [heading, content]) => widgets.map(widget => [
    widget.querySelector(heading)?.innerText ?? '',
    [...widget.querySelectorAll(content)].some(part => part.tagName !== 'IMG' || part.naturalWidth > 0),
    widget.innerText
])"""
# A picture for which nothing was asked, or that came broken, is complete too, but has no size.
DRAWN = """!document.querySelector('.is-loading') && [...document.images].every(
    image => image.complete && (image.naturalWidth > 0 || !image.closest('.dashboard-grid-widget'))
)"""
PHP_ERROR = re.compile(r"Undefined |Fatal error|Invalid parameter|No permissions|Cannot ")


class Login(Protocol):
    """A front end, and who logs in there."""

    series: str
    url: str
    user: str
    password: str


class Seen(NamedTuple):
    """A widget as it is drawn."""

    title: str
    filled: bool
    text: str


class FrontEnd:
    """The front end as Admin sees it."""

    def __init__(self, page: Page, stack: Login) -> None:
        self._page = page
        self._stack = stack
        self._number: int | None = None  # of the dashboard's page

    def open(self, address: str) -> None:
        """Go to an address of the front end and wait until nothing is under way."""
        self._number = None
        self._page.goto(f"{self._stack.url}/{address}")
        self._settle()

    def leave(self) -> None:
        """Close the page: an open one requests all that it shows, again and again."""
        self._page.goto("about:blank")

    def pages(self) -> list[str]:
        """The names of the dashboard's pages."""
        return [name.strip() for name in self._tabs().all_inner_texts()]

    def turn_to(self, number: int) -> None:
        """Open a page of the dashboard."""
        self._number = number
        self._tabs().nth(number).click()
        self._settle()

    def turn_back_in_kiosk(self) -> None:
        """From the first page to the last one in kiosk mode, where the tabs are hidden."""
        self._page.mouse.move(200, 200)
        self._page.locator(BACK).click(force=True)
        self._settle()

    def widgets(self) -> list[Seen]:
        """Every widget of the page.

        Raises:
            AssertionError: One of them shows an error.
        """
        # In one go: while a page is drawn, widgets come and go.
        rows = self._asked(lambda: self._page.locator(WIDGET).evaluate_all(LOOK, [HEADING, CONTENT]))
        seen = [Seen(*row) for row in rows]
        for widget in seen:
            assert not PHP_ERROR.search(widget.text), widget
        assert not self._page.locator(".msg-bad").count(), self._page.locator(".msg-bad").all_inner_texts()
        return seen

    def colors(self, heading: str) -> dict[str, str]:
        """The color of each cell of a honeycomb, by its label."""
        cells = self._widget(heading).locator(".svg-honeycomb-cell")
        pairs = cells.evaluate_all(
            "cells => cells.map(cell => [cell.querySelector('div').innerText, cell.style.getPropertyValue('--fill')])"
        )
        return {text.splitlines()[0]: color.strip() for text, color in pairs}

    def click(self, heading: str, label: str) -> None:
        """Click the cell of that label."""
        # A cell grows under the pointer, so that it never comes to rest, and covers its neighbors: away from it first.
        self._page.mouse.move(0, 0)
        self._page.wait_for_timeout(500)
        self._widget(heading).locator(".svg-honeycomb-cell", has_text=label).first.click(force=True)
        self._settle()

    def text(self, heading: str) -> str:
        """What a widget says."""
        return self._widget(heading).first.inner_text()

    def picture(self, name: str) -> None:
        """Keep what is seen, for a person to look at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=PICTURES / f"{self._stack.series}-{name}.png")

    def resize(self, width: int, height: int) -> None:
        """Another size of the window."""
        self._page.set_viewport_size({"width": width, "height": height})

    def save(self, path: Path, *, kiosk: bool = False) -> None:
        """What a person sees of the page, down to its last widget."""
        # The period's calendar covers a third of the page if an address has a period.
        if self._page.locator(CALENDAR).is_visible():
            self._page.locator(PERIOD).click()
        self._page.mouse.move(0, 0)
        # Zabbix draws lines and cells once more when a widget has its final size, and loads pictures late.
        for _ in range(3):
            self._page.wait_for_timeout(1000)
            self._settle()
        boxes = [widget.bounding_box() for widget in self._page.locator(WIDGET).all()]
        bottom = max(box["y"] + box["height"] for box in boxes if box) + 8
        left = 0 if kiosk else min(box["x"] for box in boxes if box) - 8
        size = self._page.viewport_size
        assert size
        clip: FloatRect = {"x": left, "y": 0, "width": size["width"] - left, "height": min(bottom, size["height"])}
        self._page.screenshot(path=path, clip=clip)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What the page answers. Once more if it was left just now: a click before it was complete can do that late."""
        try:
            return ask()
        except PageError as error:
            if "context was destroyed" not in error.message:
                raise
            self._settle()
            return ask()

    def _tabs(self) -> Locator:
        return self._page.locator(".dashboard-navigation-tabs li")

    def _widget(self, heading: str) -> Locator:
        return self._page.locator(WIDGET).filter(has=self._page.locator(HEADING, has_text=re.compile(f"^{heading}$")))

    def _settle(self) -> None:
        """Wait until nothing is under way. If that takes long, load the page once more."""
        *some, last = PATIENCES
        for patience in some:
            try:
                return self._wait(patience)
            except PageTimeout:
                self._page.reload()
                if self._number is not None:
                    self._page.wait_for_load_state("networkidle")
                    self._tabs().nth(self._number).click()
        return self._wait(last)

    def _wait(self, patience: float) -> None:
        self._page.wait_for_load_state("networkidle", timeout=1000 * patience)
        self._page.wait_for_function(DRAWN, timeout=1000 * patience)


@contextlib.contextmanager
def front_end(stack: Login) -> Iterator[FrontEnd]:
    """A browser that is logged in."""
    if not Path(CHROMIUM).exists():
        raise RuntimeError(f"no {CHROMIUM}: run `make test-integration`, which installs it")
    options: dict[str, Any] = {"executable_path": CHROMIUM, "args": list(OPTIONS), "timeout": 1000 * PATIENCE}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**options)
        try:
            page = browser.new_context(viewport=SIZE).new_page()
            page.set_default_timeout(1000 * PATIENCE)
            page.goto(f"{stack.url}/index.php")
            page.fill("#name", stack.user)
            page.fill("#password", stack.password)
            page.click("#enter")
            page.wait_for_load_state("networkidle")
            yield FrontEnd(page, stack)
        finally:
            browser.close()

"""When a page of the front end counts as drawn: what the tests of dashboards stand on."""

from __future__ import annotations

import pytest
from playwright.sync_api import sync_playwright

from tests.integration.browser import CHROMIUM, DRAWN, OPTIONS

pytestmark = pytest.mark.integration

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="


def test_a_widget_is_drawn_when_its_picture_is_there() -> None:
    """Not when the picture was never asked for or came broken, which a browser calls complete too."""
    pages = {
        f'<div class="dashboard-grid-widget"><img src="{PIXEL}"></div>': True,
        '<div class="dashboard-grid-widget"><img></div>': False,
        '<div class="dashboard-grid-widget"><img src="data:image/png;base64,AAAA"></div>': False,
        f'<div class="dashboard-grid-widget is-loading"><img src="{PIXEL}"></div>': False,
        "<div><img></div>": True,
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        page = browser.new_page()
        found = {}
        for text in pages:
            page.set_content(text)
            page.wait_for_function("[...document.images].every(image => image.complete)")
            found[text] = page.evaluate(DRAWN)
        browser.close()
    assert found == pages

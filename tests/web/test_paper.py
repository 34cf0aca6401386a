"""An item's history on paper, for an auditor, and screens without their script, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from backstream.ports import Put
from backstream.vault.catalog import Layout
from kit import images
from kit.bad_night import Night
from kit.served import Served, served

if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
    pytest.skip("playwright or axe-core is not installed: pip install 'backstream[dev]'", allow_module_level=True)

from kit.browser import DESK, PHONE, browsing, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

if chromium() is None:
    pytest.skip("there is no browser here: apt-get install chromium", allow_module_level=True)

PATIENCE = 240_000  # milliseconds
VERSIONS = 9
PAPER = 1030  # pixels: A4, landscape, without its margins
ITEM = "/t/flights/item?" + urlencode({"key": '{"zone":"paper","number":1}'})
READ = "elements => elements.map(each => each.checkVisibility({contentVisibilityAuto: true}))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    night = Night(Layout.LOG)
    for number in range(VERSIONS):
        night.stage.table.write([Put(images.image("paper", 1, status={"S": f"state {number}"}, note={"S": "a long note " * 30}))])
        night.clock.move(2)
    night.stage.follow()
    night.clock.move(5)
    with served(night.config()) as running:
        yield running


def opened(browser: Browser, server: Served, path: str, *, script: bool = True) -> Page:
    context = browser.new_context(viewport=DESK, java_script_enabled=script)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(server.url)
    page.get_by_role("heading", name="Vault", exact=True).wait_for()
    page.goto(f"http://127.0.0.1:{server.port}{path}")
    return page


@pytest.mark.timeout(600)
def test_all_versions_of_an_item_are_on_paper_and_none_is_cut_off(browser: Browser, server: Served) -> None:
    page = opened(browser, server, ITEM)
    assert sum(page.eval_on_selector_all("details.version pre", READ)) == 1, "on the screen one is open"
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 700})
    assert page.eval_on_selector_all("details.version pre", READ) == [True] * VERSIONS
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER
    assert page.eval_on_selector("table.versions", "table => table.getBoundingClientRect().width") <= PAPER
    assert "file:///stage" in page.inner_text("body"), "paper says of which vault it is"


@pytest.mark.timeout(600)
def test_the_newest_version_is_in_sight_and_the_slider_names_it(browser: Browser, server: Served) -> None:
    page = opened(browser, server, ITEM)
    right = page.eval_on_selector(f'th[data-version="{VERSIONS}"]', "cell => cell.getBoundingClientRect().right")
    assert 0 < right <= DESK["width"]
    assert page.inner_text("#slid").startswith(f"{VERSIONS}: ")


@pytest.mark.timeout(600)
def test_without_script_no_button_does_nothing(browser: Browser, server: Served) -> None:
    for path in ("/", "/t/flights", ITEM):
        page = opened(browser, server, path, script=False)
        assert page.locator("button[type=button]:visible").count() == 0, path
    page = opened(browser, server, "/")
    assert page.locator("button.copy:visible").count() > 0


@pytest.mark.timeout(600)
def test_the_times_below_a_timeline_can_be_read_on_a_phone(browser: Browser, server: Served) -> None:
    page = opened(browser, server, "/t/flights")
    page.set_viewport_size(PHONE)
    boxes = "texts => texts.map(each => each.getBoundingClientRect()).map(each => [each.left, each.right])"
    found = sorted(each for each in page.eval_on_selector_all("svg.timeline > text:not(.scale)", boxes) if each[0] < each[1])
    assert len(found) >= 3
    assert all(one[1] < other[0] for one, other in pairwise(found)), "none lies over another one"
    high = page.eval_on_selector("svg.timeline > text", "text => text.getBoundingClientRect().height")
    assert high >= 9
    assert page.eval_on_selector("svg.timeline > text.scale", "text => text.getBoundingClientRect().left") >= 0

"""Headless Chromium, driven by Playwright: Debian's package `chromium`, or whatever the variable CHROMIUM names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

PHONE: ViewportSize = {"width": 390, "height": 800}
DESK: ViewportSize = {"width": 1100, "height": 800}


def chromium() -> str | None:
    """The browser's path; None where there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def axe() -> str:
    """The path of axe-core's script, out of its wheel."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return f"{next(iter(spec.submodule_search_locations))}/axe.min.js"


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser that lives as long as a `with` block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def settled(page: Page) -> None:
    """Return once the parts that are fetched later are there, and the page does not come again by itself."""
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0, timeout=240_000)
    expect(page.locator("[aria-busy]")).to_have_count(0, timeout=240_000)


def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds wrong with a page, in words. The page's policy allows no other script, so it comes from outside of it."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(open_axe())
    only = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    found = page.evaluate("settings => axe.run(document, settings)", {"resultTypes": ["violations"], **only})
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in found["violations"]]


def open_axe() -> str:
    """The script's text."""
    with open(axe(), encoding="utf-8") as file:  # noqa: PTH123 - a file of a wheel
        return file.read()

"""The calculator of the docs reckons as the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backstream.model.prices import costs
from kit.browser import browsing, chromium

DOCS = Path(__file__).parents[2] / "docs"
MILLIONS = 10  # the form's first value


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")
@pytest.mark.timeout(900)  # a browser, on a busy machine
def test_the_calculator_agrees_with_the_costs_that_init_prints() -> None:
    shown = re.search(r"<form.*</table>", (DOCS / "costs.md").read_text(), re.DOTALL)
    assert shown is not None
    with browsing() as browser:
        page = browser.new_page()
        page.set_content(shown[0])
        page.add_script_tag(path=DOCS / "assets" / "costs.js")
        for each in costs(100):
            assert page.locator(f"#{each.layout}-requests").inner_text() == f"${each.capture * MILLIONS:,.2f}"
        page.get_by_label("Changes a month").fill("0")
        assert page.locator("#rows-requests").inner_text() == "$0.00"

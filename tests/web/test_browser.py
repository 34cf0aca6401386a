"""A bad night in a real browser, from the first look to the reverted rows, by clicks alone; and every screen before axe-core."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backstream.apps.web.access.settings import WebSettings
from backstream.model import moment
from kit.demo_place import DEMO, STOPPED, Place
from kit.orders import Orders
from kit.scene import COMMAND
from kit.served import Served, served

if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
    pytest.skip("playwright or axe-core is not installed: pip install 'backstream[dev]'", allow_module_level=True)

from kit.browser import DESK, PHONE, browsing, chromium, settled, violations

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

if chromium() is None:
    pytest.skip("there is no browser here: apt-get install chromium", allow_module_level=True)

COMPLAINTS: list[str] = []
PATIENCE = 240_000  # milliseconds: a browser on a busy machine takes its time


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as running:
        yield running


@pytest.fixture(scope="module")
def orders() -> Orders:
    return Orders()


@pytest.fixture
def server(orders: Orders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    folder = tmp_path if "SCREENS" not in os.environ else Path(tempfile.gettempdir()) / "incident"  # seen on the screen of runs
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    with served(orders.config(), WebSettings(allow_restore=True)) as running:
        yield running


def opened(browser: Browser, server: Served) -> Page:
    """A page that has come in by the printed address. What its console complains of is kept: scripts that the policy stops, too."""
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("console", lambda message: COMPLAINTS.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: COMPLAINTS.append(str(error)))
    page.goto(server.url)
    page.get_by_role("heading", name="Vault", exact=True).wait_for()
    return page


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "looked_at",
    [
        pytest.param({"timeline", "changes", "plan"}, id="some"),
        pytest.param(None, id="every", marks=pytest.mark.soak),  # eighteen looks of axe-core at whole pages
    ],
)
def test_every_screen_is_accessible_and_fits_a_phone(
    browser: Browser, server: Served, orders: Orders, looked_at: set[str] | None
) -> None:
    """With the variable SCREENS it also writes the pictures of the docs into that folder."""
    page = opened(browser, server)
    page.get_by_role("link", name="orders", exact=True).first.click()
    page.get_by_role("link", name="Plan", exact=True).click()
    page.get_by_label("After", exact=True).fill(moment.iso(orders.begun))
    page.get_by_label("Up to", exact=True).fill(moment.iso(orders.ended))
    page.get_by_role("button", name="Make the plan").click()
    page.get_by_role("heading", name="Row by row").wait_for()
    screens = {
        "vault": "/",
        "timeline": "/t/orders",
        "changes": f"/t/orders/changes?from={moment.iso(orders.begun)}&to={moment.iso(orders.ended)}",
        "item": "/t/orders/item?key=%7B%22order%22%3A%222026-0006%22%7D",
        "state": f"/t/orders/state?at={moment.iso(orders.begun)}",
        "plan-form": "/t/orders/plan",
        "plan": page.url.partition(f":{server.port}")[2],
        "runs": "/runs",
        "drills": "/t/orders/drills",
        "drill": "/t/orders/drills/d3",
    }
    found = list[str]()
    assert looked_at is None or looked_at <= screens.keys()
    for name, path in screens.items():
        if looked_at is not None and name not in looked_at:
            continue
        page.set_viewport_size(DESK)
        page.emulate_media(color_scheme="light")
        page.goto(f"http://127.0.0.1:{server.port}{path}")
        settled(page)
        found += [f"{name}: {each}" for each in violations(page)]
        pictured(page, name)
        page.emulate_media(color_scheme="dark")
        found += [f"{name} in the dark: {each}" for each in violations(page, "color-contrast")]
        pictured(page, f"{name}-dark")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(PHONE)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{name} scrolls sideways on a phone")
        pictured(page, f"{name}-phone")
    assert found == []
    assert COMPLAINTS == []


def pictured(page: Page, name: str) -> None:
    """A picture of what is in sight, for the docs, where the variable SCREENS names a folder."""
    if "SCREENS" in os.environ:
        page.screenshot(path=Path(os.environ["SCREENS"]) / f"{name}.png")


@pytest.mark.timeout(900)  # a whole night, in a real browser
def test_the_bad_night_by_clicks_alone(browser: Browser, server: Served, orders: Orders) -> None:
    page = opened(browser, server)
    page.get_by_role("link", name="orders", exact=True).first.click()
    settled(page)
    _drag(page, orders.begun - 40, orders.ended + 30)
    settled(page)
    assert re.search(r"deletes|removes 4", page.inner_text("#kinds"))
    page.get_by_role("link", name='order = "2026-0006"').first.click()
    page.get_by_role("heading", name="Plain JSON of each version").wait_for()
    assert "± changed" in page.inner_text("table.versions")
    page.locator("#slide").press("Home")
    assert page.locator("th.chosen time").count() == 1
    page.go_back()
    page.get_by_role("button", name="Plan to take these back").click()
    page.get_by_role("button", name="Make the plan").click()
    page.get_by_role("heading", name="Row by row").wait_for()
    page.get_by_label("Type orders to confirm").fill("orders")
    page.get_by_role("button", name="Carry out this plan").click()
    page.get_by_role("heading", name="Resume or undo").wait_for()
    expected = orders.good | {name: orders.kept[name] for name in ("2026-0040",)}
    note = {name: value for name, value in orders.kept["2026-0006"].items() if name in ("note", "by_customer")}
    expected["2026-0006"] = orders.good["2026-0006"] | note
    assert orders.scanned() == expected
    assert COMPLAINTS == []


@pytest.mark.soak
@pytest.mark.timeout(1800)  # a whole demo comes first
def test_the_demo_stays_shows_its_night_and_ends_cleanly(browser: Browser, tmp_path: Path) -> None:
    place = Place(tmp_path)
    command = [*DEMO, "--stay"]
    with subprocess.Popen(command, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        try:
            assert demo.stdout is not None
            told = list[str]()
            for line in demo.stdout:
                told.append(line.strip())
                if "?token=" in line:
                    break
            ((since, until),) = re.findall(r"behind, after (\S+Z) and up to (\S+Z)\.", " ".join(told))
            (exports,) = (each for each in told if each.startswith("export "))

            def typed(command: str) -> str:
                """What a command prints in another terminal, as the runbook has it."""
                script = f"{exports}; {COMMAND} {command} --from {since} --to {until}"
                return subprocess.run(
                    ["bash", "-c", script], cwd=tmp_path.parent, capture_output=True, text=True, check=True
                ).stdout

            assert re.search(r"items\s+125\n", typed("changes flights --summary"))
            page = browser.new_page(viewport=DESK)
            page.set_default_timeout(PATIENCE)
            page.goto(told[-1])
            page.get_by_role("heading", name="Vault", exact=True).wait_for()
            page.get_by_role("link", name="flights", exact=True).first.click()
            page.get_by_role("heading", name="Timeline", exact=True).wait_for()
            settled(page)
            page.get_by_role("link", name="Plan", exact=True).click()
            page.get_by_label("After", exact=True).fill(since)
            page.get_by_label("Up to", exact=True).fill(until)
            page.get_by_role("button", name="Make the plan").click()
            page.get_by_role("heading", name="Row by row").wait_for()
            page.get_by_label("Type flights to confirm").fill("flights")
            page.get_by_role("button", name="Carry out this plan").click()
            page.get_by_role("heading", name="Resume or undo").wait_for()
            again = json.loads(typed("revert flights --dry-run --json"))
            assert [again[name] for name in ("put", "updated", "deleted", "unchanged", "conflicts")] == [0, 0, 0, 125, 0]
            demo.send_signal(signal.SIGINT)
            said = demo.stdout.read()
            assert demo.wait(240) == STOPPED
        finally:
            demo.kill()
    assert said.endswith("stopped: the servers are ended, nothing stays behind\n")
    assert not place.processes()
    assert not place.files()


def _drag(page: Page, since: int, until: int) -> None:
    """Choose a window with the mouse on the timeline."""
    chart = page.locator("svg.timeline")
    box = chart.bounding_box()
    assert box is not None
    facts = {name: float(chart.get_attribute(f"data-{name}") or 0) for name in ("since", "until", "left", "right", "width")}

    def place(second: int) -> float:
        share = (second - facts["since"]) / (facts["until"] - facts["since"])
        assert box is not None
        return box["x"] + (facts["left"] + share * (facts["right"] - facts["left"])) / facts["width"] * box["width"]

    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(place(since), middle)
    page.mouse.down()
    page.mouse.move(place(until), middle, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=*")

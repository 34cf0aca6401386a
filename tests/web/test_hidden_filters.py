"""Names with dots and quotes, tenants and actors: no filter, screen or address tells what is hidden; and all of it is text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from backstream.apps.web.access.settings import WebSettings
from backstream.model import moment
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Put
from backstream.vault.catalog import Layout
from kit import images
from kit.clock import ManualClock
from kit.served import Served, StageConfig, poll, served
from kit.stage import Stage

SECRET = "4111-1111"  # noqa: S105 - what must not be seen
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
PAYMENT, TENANT, WRITER = "pay.ment", "ten.ant", "by.whom"
PLANTED = (EVIL, "../../up", "%2e%2e%2f", "plain")


@pytest.fixture(scope="module")
def stage() -> Stage:
    """Items of four tenants, twice each; names of attributes hold dots, and the second writer of each has a name of markup."""
    clock = ManualClock(1_790_000_000.0)
    stage = Stage(clock, layout=Layout.ROWS)
    init(stage.store, stage.table, InitOptions(tenant_attribute=TENANT, actor_attribute=f'"{WRITER}"'))
    for writer in ("ana", EVIL):
        for number, tenant in enumerate(PLANTED):
            fields = {PAYMENT: {"S": f"{SECRET} {writer}"}, TENANT: {"S": tenant}, WRITER: {"S": writer}}
            stage.table.write([Put(images.image("z", number, **fields))])
        clock.move(5)
    stage.follow()
    clock.move(5)
    return stage


def config_of(stage: Stage) -> StageConfig:
    return StageConfig(stage.store, stage.clock, {"flights": stage.table})


@pytest.fixture(scope="module")
def open_server(stage: Stage) -> Iterator[Served]:
    with served(config_of(stage)) as running:
        yield running


@pytest.fixture(scope="module")
def server(stage: Stage) -> Iterator[Served]:
    with served(config_of(stage), WebSettings(hidden=frozenset({PAYMENT, TENANT, WRITER}))) as running:
        yield running


@pytest.mark.parametrize(
    "fields",
    [
        {"where": f'"{PAYMENT}" = "{SECRET} ana"'},
        {"where": f'"{PAYMENT}"."deep" exists'},
        {"where": 'number = 1 or not ("pay\\u002ement" begins_with "4")'},
        {"where": f'"{TENANT}" = "plain"'},
        {"where": f'"{WRITER}" missing'},
        {"tenant": "plain"},
        {"actor": "ana"},
        {"attribute": PAYMENT},
        {"attribute": f"number, {WRITER}"},
    ],
)
def test_no_filter_asks_for_what_is_hidden_however_it_is_written(server: Served, fields: dict[str, str]) -> None:
    visit = server.visit()
    csrf = visit.get("/t/flights").csrf
    answers = [visit.post("/t/flights/choose", {"csrf": csrf, **fields})]
    if answers[0].status == 303:
        answers = [visit.follow(answers[0])]
        chosen = re.search(r"sel=[0-9a-f]+", answers[0].body)
        answers.append(visit.get(f"/t/flights/changes?{chosen[0]}" if chosen else "/nowhere"))
    assert all("hidden or masked" in each.words for each in answers[-1:])
    assert not any('class="event' in each.body for each in answers)


def test_a_state_is_not_told_by_a_hidden_tenant(server: Served, stage: Stage) -> None:
    visit = server.visit()
    at = moment.iso(stage.clock.now() - 1)
    sent = visit.post("/t/flights/state", {"csrf": visit.get("/t/flights").csrf, "at": at, "tenant": "plain"})
    assert "plain" not in sent.headers["location"]
    refused = visit.follow(sent)
    assert (refused.status, "hidden or masked" in refused.words) == (400, True)


def test_what_is_hidden_stands_on_no_screen(server: Served, stage: Stage) -> None:
    visit = server.visit()
    state = f"/t/flights/state?at={moment.iso(stage.clock.now() - 1)}"
    item = "/t/flights/item?key=%7B%22zone%22%3A%22z%22%2C%22number%22%3A3%7D"
    pages = [
        visit.get(each) for each in ("/", "/t/flights", "/t/flights/changes", "/t/flights/kinds", item, f"{item}&json=dynamodb")
    ]
    pages.append(poll(lambda: visit.get(state), lambda each: "in all" in each.words))
    for page in pages:
        assert page.status == 200
        for each in (SECRET, PAYMENT, TENANT, WRITER, "ana", "alert"):
            assert each not in page.body, each
    assert "2 versions" in pages[4].words


@pytest.mark.parametrize("tenant", PLANTED)
def test_a_tenant_is_a_text_whatever_is_in_it(open_server: Served, stage: Stage, tenant: str) -> None:
    visit = open_server.visit()
    at = moment.iso(stage.clock.now() - 1)
    sent = visit.post("/t/flights/state", {"csrf": visit.get("/t/flights").csrf, "at": at, "tenant": tenant})
    assert tenant not in unquote(sent.headers["location"])
    page = poll(lambda: visit.follow(sent), lambda each: "in all" in each.words)
    assert len(re.findall(r'<th scope="row"><a', page.body)) == 1
    chosen = visit.follow(visit.post("/t/flights/choose", {"csrf": page.csrf, "tenant": tenant}))
    listed = visit.get("/t/flights/changes?" + re.findall(r"sel=[0-9a-f]+", chosen.body)[0])
    assert listed.body.count('class="event') == 2
    for each in (page, chosen, listed):
        assert each.status == 200
        assert "<script>alert" not in each.body
        assert "<img" not in each.body

"""The commands that screens show: typed into a shell they give the same rows, whatever the data holds."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from html import unescape
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

import pytest

from backstream.apps.cli.main import call
from backstream.apps.config import Config
from backstream.apps.web.access.settings import WebSettings
from backstream.model import moment
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Put, Table
from backstream.vault.catalog import Layout
from kit import images
from kit.bad_night import Night
from kit.clock import ManualClock
from kit.served import Answer, Visit, poll, served
from kit.stage import Stage

ODD = (
    "plain",
    " ",
    " blanks ",
    "tab\tand\nbreak",
    "turned\u202eround",
    "hidden\u200b\ufeff",
    "it's $(id) `id` \\ \\u0041 %2e",
    "-5",
    "--help",
    "\u00e9\U0001f600",
)


class FolderConfig(Config):
    """A vault in a folder, which commands read too; tables of a stage."""

    def __init__(self, url: str, clock: ManualClock, tables: dict[str, Table]) -> None:
        super().__init__(url, clock=clock)
        self._tables = tables

    def table(self, name: str) -> Table:
        return self._tables[name]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> FolderConfig:
    """A table whose keys, tenants and actors are odd texts, and one with a gap."""
    url, clock = (tmp_path_factory.mktemp("a vault") / "it's").as_uri(), ManualClock(1_790_000_000.0)
    Path(unquote(url.removeprefix("file://"))).mkdir(mode=0o700)
    store = Config(url).store
    stage = Stage(clock, store=store, layout=Layout.ROWS)
    init(store, stage.table, InitOptions(tenant_attribute="tenant", actor_attribute="by"))
    for number in range(2):
        for odd in ODD:
            fields = {"tenant": {"S": odd}, "by": {"S": odd}, "v": {"N": str(number)}}
            stage.table.write([Put(images.image(odd, 1, **fields))])
        clock.move(5)
    stage.follow()
    gappy = Stage(clock, store=store, table="gappy")
    gappy.put([1, 2, 3])
    clock.move(5)
    gappy.follow()
    clock.move(10)
    gappy.put([1, 2])
    clock.move(3 * 86_400)
    gappy.put([3])
    clock.move(5)
    gappy.follow()
    clock.move(5)
    return FolderConfig(url, clock, {"flights": stage.table, "gappy": gappy.table})


@pytest.fixture(scope="module")
def visit(config: FolderConfig) -> Iterator[Visit]:
    with served(config) as server:
        yield server.visit()


def shown(page: Answer) -> list[str]:
    """The commands of a screen, as its button copies them."""
    assert page.status == 200, page.words
    found = [unescape(each) for each in re.findall(r'data-copy="([^"]*)"', page.body)]
    assert all(each.isprintable() for each in found), "a command's characters are all seen"
    return found


def typed(command: str) -> list[str]:
    """What a shell makes of a command, without its first word."""
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True).stdout
    return words.decode().split("\0")[1:-1]


def rows(command: str, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    code = call([*typed(command), *more])
    said = capsys.readouterr()
    assert code == 0, (command, said.err)
    return said.out.splitlines()


@pytest.mark.parametrize("odd", ODD, ids=ascii)
@pytest.mark.parametrize("filtered", ["partition", "tenant", "actor"])
def test_a_filter_means_the_same_in_the_command_and_in_its_form(
    visit: Visit, odd: str, filtered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = visit.post("/t/flights/choose", {"csrf": visit.get("/t/flights").csrf, filtered: odd})
    address = sent.headers["location"]
    page = visit.get(address.replace("flights?", "flights/changes?"))
    assert page.body.count('class="event') == 2
    assert len(rows(shown(page)[0], capsys, "--ndjson")) == 2
    form = visit.get(address).body
    field = re.search(rf'name="{filtered}" value="([^"]*)"', form)
    assert field is not None
    assert unescape(field[1]) == odd, "sent again, it means the same"


@pytest.mark.parametrize("filtered", [{}, {"partition": "turned\u202eround"}, {"tenant": " blanks "}], ids=ascii)
def test_the_command_of_a_state_writes_its_rows(
    visit: Visit, filtered: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fields = {"csrf": visit.get("/t/flights").csrf, "at": "1790000009", **filtered}
    sent = visit.post("/t/flights/state", fields)
    page = poll(lambda: visit.follow(sent), lambda each: "in all" in each.words)
    rows(shown(page)[0], capsys)
    assert len((tmp_path / "flights.ndjson").read_bytes().splitlines()) == page.body.count('<tr><th scope="row">')


def test_a_command_is_not_refused_where_its_screen_shows_rows_beside_a_gap(
    visit: Visit, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("/changes", "/kinds", "", "/state", f"/item?{urlencode({'key': json.dumps({'zone': 'z', 'number': 1})})}"):
        page = poll(partial(visit.get, f"/t/gappy{path}"), lambda each: "comes back by itself" not in each.words)
        for command in shown(page):
            rows(command, capsys)
    assert len((tmp_path / "gappy.ndjson").read_bytes().splitlines()) == 3
    assert all("--allow-gap" not in each for each in shown(visit.get("/t/flights/changes?from=1790000001&to=1790000004")))


def test_a_state_cannot_be_chosen_by_tenant_where_the_table_has_none(visit: Visit) -> None:
    sent = visit.post("/t/gappy/state", {"csrf": visit.get("/t/gappy").csrf, "tenant": "t1"})
    page = visit.follow(sent)
    assert page.status == 400
    assert "gappy is not split by tenant" in page.words


def test_a_plan_that_deletes_most_of_a_table_and_its_runs_are_shown_with_their_whole_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    night = Night(Layout.LOG)
    night.stage.put(range(100, 160))
    night.clock.move(5)
    night.stage.follow()
    night.clock.move(5)
    with served(night.config(), WebSettings(allow_restore=True)) as server:
        visit = server.visit()
        form = visit.get(f"/t/flights/plan?from={quote(moment.iso(night.before))}")
        assert shown(form) == [
            f"backstream revert flights --from {moment.iso(night.before)} --to now --plan flights-plan.ndjson --vault file:///stage"
        ]
        sent = visit.post("/t/flights/plan", {"csrf": form.csrf, "from": moment.iso(night.before), "to": "now"})
        page = poll(lambda: visit.follow(sent), lambda each: "Row by row" in each.words)
        needed = re.search(r"It deletes (\d+) rows", page.words)
        assert needed is not None
        assert [f"--expect-deletes {needed[1]}" in each for each in shown(page)] == [False, True, True]
        fields = {"csrf": page.csrf, "confirm": "flights", "expect_deletes": needed[1]}
        begun = visit.post(f"{sent.headers['location']}/run", fields)
        run = poll(lambda: visit.follow(begun), lambda each: "Resume or undo" in each.words)
        (file,) = tmp_path.glob("backstream-revert-????????????????.ndjson")
        undo = f"backstream revert flights --undo {file} --vault file:///stage"
        assert shown(run) == [undo]
        assert shown(visit.get("/runs")) == [undo]


def test_the_address_of_a_form_alone_is_a_page_too(visit: Visit) -> None:
    for path in ("/t/flights/choose", "/t/flights/restore", "/plans/x/run", "/runs/left"):
        page = visit.get(path)
        assert (page.status, page.headers.get("allow")) in ((405, "POST"), (404, None))
        assert "Not shown" in page.words
    page = visit.post("/t/flights", {"csrf": visit.get("/t/flights").csrf})
    assert (page.status, page.headers["allow"]) == (405, "GET, HEAD")
    assert "Not shown" in page.words
    assert visit._ask("OPTIONS", "/", None, {}).headers["allow"] == "GET, HEAD, POST"

"""The vault's screen with hundreds of tables: so many are looked at for a reader, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from backstream.apps.web.group_lines import TableLine
from backstream.apps.web.screens import tables
from backstream.apps.web.table_looks import AT_ONCE, STALE, TableLooks
from backstream.model import moment
from backstream.operations.setup.init import InitOptions, init
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault import groups
from backstream.vault.catalog import Layout
from kit import images
from kit.clock import ManualClock
from kit.counted import CountedStore
from kit.served import Answer, StageConfig, Visit, served

TABLES = 3 * AT_ONCE - 10
LOOK = {"LIST": 7, "GET": 1}  # the requests of a look at a table whose log is empty


class Many:
    """A vault of many tables, and a reader of its first screen."""

    def __init__(self, tables: int) -> None:
        self.clock = ManualClock(1_790_000_000.0)
        self.plain = MemoryStore(self.clock)
        self.store = CountedStore(self.plain)
        self.tables = dict[str, MemoryTable]()
        for number in range(tables):
            self.add(f"table-{number:03}")
        self.visit: Visit

    def add(self, name: str) -> None:
        """One more table."""
        made = self.tables[name] = MemoryTable(name, self.clock, images.SCHEMA, shards=1)
        made.enable_stream()
        init(self.plain, made, InitOptions(layout=Layout.LOG))

    def look(self, path: str = "/") -> tuple[Answer, dict[str, int]]:
        """The page, and what was sent for it."""
        with self.store.counting() as sent:
            page = self.visit.get(path)
        assert page.status == 200
        return page, dict(sent)


def cards(page: Answer) -> list[str]:
    return re.findall(r'<h3 id="t\d+"><a href="/t/([^"]+)">', page.body)


def looks(tables: int, names: int = 0) -> dict[str, int]:
    """The requests of looks at so many tables, and of the list of names."""
    return {"LIST": tables * LOOK["LIST"] + (names + 2 if names else 1), "GET": tables * LOOK["GET"]}


@pytest.fixture
def many() -> Iterator[Many]:
    made = Many(TABLES)
    with served(StageConfig(made.store, made.clock, made.tables)) as server:
        stranger = server.stranger()
        made.visit = Visit(
            server.port, cookie=stranger.get(f"/?token={server.known.token}").headers["set-cookie"].partition(";")[0]
        )
        server.application.site.looks = TableLooks()  # coming in has looked already
        yield made


def test_each_reading_looks_at_so_many_tables_and_lists_the_names_once_a_minute(many: Many) -> None:
    page, sent = many.look()
    assert (len(cards(page)), f"{AT_ONCE} of them have been looked at" in page.words) == (AT_ONCE, True)
    assert sent == looks(AT_ONCE, TABLES)
    _, sent = many.look()
    assert sent == looks(AT_ONCE)
    page, sent = many.look()
    assert sent == looks(AT_ONCE)
    assert "have been looked at" not in page.words
    many.clock.move(61)
    assert many.look()[1] == looks(AT_ONCE, TABLES)


def test_the_pages_show_each_table_once(many: Many) -> None:
    for _ in range(3):
        many.look()
    seen = [name for number in range(3) for name in cards(many.look(f"/?page={number}")[0])]
    assert sorted(seen) == sorted(many.tables)
    assert len(cards(many.look("/?page=99")[0])) == TABLES - 2 * AT_ONCE


def test_the_looks_of_longest_ago_are_made_anew_and_the_others_say_of_when_they_are(many: Many) -> None:
    for _ in range(3):
        many.look()
        many.clock.move(10)
    page, sent = many.look()
    assert sent == looks(AT_ONCE)
    ages = re.findall(r"As it was at <time>([^<]*)</time>", page.body)
    assert 0 < len(ages) <= AT_ONCE
    assert set(ages) <= {moment.iso(int(many.clock.now()) - 20), moment.iso(int(many.clock.now()) - 10)}, (
        "the oldest were made anew"
    )


def line(name: str, *problems: str) -> TableLine:
    return TableLine(name, [*problems], None)


def test_an_old_look_is_a_problem_of_its_table(many: Many) -> None:
    for _ in range(3):
        many.look()
    many.clock.move(STALE + 1)
    since = f"nobody has looked at it since {moment.iso(int(many.clock.now()) - STALE - 1)}"
    last, first, second = (many.look(f"/?page={number}")[0].body for number in (2, 0, 1))
    assert since in last
    assert since not in first + second + many.look("/?page=2")[0].body, "these have been looked at again"


def test_a_group_tells_of_a_table_that_nobody_has_looked_at_for_long(many: Many) -> None:
    """All figures of a group are of its tables' last looks, whose age it does not show."""
    last = max(many.tables)
    groups.save(many.plain, "late", [last], {}, many.clock.now())

    for _ in range(3):
        many.look()
    many.clock.move(STALE + 1)
    group, _, _ = many.look()[0].body.partition("<h2>Tables</h2>")
    assert last in group
    assert "nobody has looked at it since" in group


def test_a_reader_who_came_earlier_does_not_put_an_older_look_in_place_of_a_later_one() -> None:
    looks = TableLooks()
    looks.keep(line("flights", "a gap"), 20.0)
    looks.keep(line("flights"), 10.0)
    (known,) = looks.known(["flights"], 20.0)
    assert (known.at, known.line.problems) == (20.0, ["a gap"])


def test_after_a_clock_was_put_back_every_table_is_looked_at_again() -> None:
    looks, names = TableLooks(), [f"table-{number:03}" for number in range(AT_ONCE + 10)]
    for name in names:
        looks.keep(line(name), 100_000.0)
    first = looks.due(names, 10.0)
    assert looks.known(names, 10.0) == []
    for name in first:
        looks.keep(line(name), 10.0)
    assert set(names) - set(first) <= set(looks.due(names, 11.0))


def test_no_further_look_begins_after_some_seconds(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    """A screen may take a minute. If fifty looks took longer, no reader would ever see one of them."""
    slow = tables._row

    def row(*words: Any) -> TableLine:
        many.clock.move(3)
        return slow(*words)

    monkeypatch.setattr(tables, "_row", row)
    page, _ = many.look()
    assert 0 < len(cards(page)) < AT_ONCE
    assert "have been looked at" in page.words


def test_a_new_table_is_seen_within_a_minute_and_before_others_are_looked_at_again(many: Many) -> None:
    for _ in range(3):
        many.look()
    many.add("another")
    many.clock.move(61)
    page, _ = many.look()
    assert f"{TABLES + 1} tables" in page.words
    assert "have been looked at" not in page.words


def test_a_small_vault_is_looked_at_as_a_whole_each_time() -> None:
    made = Many(3)
    with served(StageConfig(made.store, made.clock, made.tables)) as server:
        made.visit = server.visit()
        for _ in range(2):
            page, sent = made.look()
            assert sent == looks(3, 3)
            assert "As it was at" not in page.words
        made.add("table-003")
        assert len(cards(made.look()[0])) == 4

"""The vault's screen with hundreds of tables: so many are looked at for a reader, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from backstream.apps.web.table_looks import AT_ONCE, TableLooks
from backstream.model import moment
from backstream.operations.setup.init import InitOptions, init
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
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

"""`changes` where an image cannot be read: nothing is left out in silence, and the output is whole in every form."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import backstream
from backstream.apps.cli.main import call
from backstream.clock import SystemClock
from backstream.model.values import wire
from backstream.operations.changes import ChangeCriteria
from backstream.operations.revert import Writing, dry_run
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.losing import lose
from kit.shop import Shop, number

NOW = int(time.time())
T = NOW - 7_200
ROWS = 6
LOST = 3  # the row whose image after its change is gone


class Answer:
    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out.decode(), err.decode()


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Six rows change; of one the new image is gone from the vault."""
    folder = tmp_path / "vault"
    folder.mkdir()
    store = DirectoryStore(folder, SystemClock())
    feed = Feed(store, "goods", began=T - 600, layout=Layout.ROWS)
    feed.put(T, *(image("z", row, v={"N": str(row)}) for row in range(ROWS)))
    feed.put(T + 10, *(image("z", row, v={"N": str(row + 100)}) for row in range(ROWS)))
    feed.deliver()
    feed.reached(NOW - 60)
    place = feed.vault.history(wire.key_of(SCHEMA, key("z", LOST)))[-1].place
    assert place is not None
    lose(store, place.name, place.version)
    monkeypatch.setenv("BACKSTREAM_VAULT", store.url)
    return feed


@pytest.fixture
def run(feed: Feed, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Answer]:
    """Runs the command line."""
    assert feed

    def ran(*words: str) -> Answer:
        return Answer(call(list(words)), *capsysbinary.readouterr())

    return ran


@pytest.fixture
def changes(run: Callable[..., Answer]) -> Callable[..., Answer]:
    """Runs `changes` of the window."""
    return lambda *words: run("changes", "goods", "--from", str(T), "--to", str(T + 60), *words)


@pytest.mark.parametrize("form", ["--json", "--ndjson"])
@pytest.mark.parametrize("net", [True, False])
def test_all_other_changes_are_listed_and_the_document_is_whole(changes: Callable[..., Answer], form: str, net: bool) -> None:  # noqa: FBT001
    ran = changes(form, *(["--net"] if net else []))
    listed = json.loads(ran.out) if form == "--json" else [json.loads(line) for line in ran.out.splitlines()]
    assert (ran.code, len(listed)) == (1, ROWS)
    assert [each["key"]["number"]["N"] for each in listed if each.get("note")] == [str(LOST)]
    assert "images of changes cannot be read" in ran.err


def test_a_summary_counts_them(changes: Callable[..., Answer]) -> None:
    ran = changes("--summary", "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["changes"], found["attributes"], found["doubtful"]) == (1, ROWS, {"v": ROWS - 1}, 1)
    assert "images of changes cannot be read" in ran.err


@pytest.mark.parametrize("filter_", [("--where", "v = 100"), ("--attribute", "v", "--where", "v = 100")])
def test_nobody_can_tell_that_it_does_not_match(changes: Callable[..., Answer], filter_: tuple[str, ...]) -> None:
    ran = changes(*filter_, "--json")
    assert (ran.code, [each["key"]["number"]["N"] for each in json.loads(ran.out)]) == (1, ["0", str(LOST)])


@pytest.mark.parametrize("filter_", [("--key", '{"zone":"z","number":4}'), ("--event", "INSERT"), ("--partition", "y")])
def test_it_does_not_match_by_its_key_or_event(changes: Callable[..., Answer], filter_: tuple[str, ...]) -> None:
    ran = changes(*filter_, "--json")
    assert str(LOST) not in [each["key"]["number"]["N"] for each in json.loads(ran.out or "[]")]
    assert "cannot be read" not in ran.err


def test_a_restore_says_that_a_change_of_its_window_may_be_missing(run: Callable[..., Answer], tmp_path: Path) -> None:
    def restored(*window: str) -> Answer:
        to = str(tmp_path / f"rows until {window[-1]}")
        return run("restore", "goods", "--at", str(T), "--to-file", to, "--json", "--changed-between", *window)

    ran = restored(str(T), "now")
    assert (ran.code, json.loads(ran.out)["put"]) == (0, ROWS)
    assert "rows that changed in the window: the vault is sure to hold everything up to" in ran.err
    assert "rows that changed" not in restored(str(T), str(T + 60)).err
    nothing = restored(str(T + 100), "now")
    assert (nothing.code, nothing.out) == (1, "")
    assert "the vault is sure to hold everything up to" in nothing.err


def test_the_list_is_an_iterator(feed: Feed) -> None:
    table = backstream.open(feed.store.url).table("goods")
    found = table.changes(from_=T, to=T + 60, keys=[{"zone": "z", "number": 1}, {"zone": "z", "number": 2}])
    assert len(list(found)) == len(list(found)) == 2
    first = next(found)
    assert [first, *found] == list(table.changes(from_=T, to=T + 60, keys=[{"zone": "z", "number": 1}, {"zone": "z", "number": 2}]))
    with pytest.raises(StopIteration):
        next(found)


def test_a_file_is_no_folder_of_cloudtrail(run: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(b'{"Records":[]}')
    for place, why in ((str(tmp_path / "one.json"), "is a file"), ("", "neither a bucket nor a folder")):
        ran = run("blame", "goods", "--cloudtrail", place)
        assert (ran.code, ran.out) == (2, "")
        assert why in ran.err


def test_a_revert_names_an_item_that_may_be_selected(tmp_path: Path) -> None:
    shop = Shop(Layout.ROWS, tmp_path)
    gone = shop.stage.vault().history(wire.key_of(SCHEMA, key("z", 1)))[-1].place
    assert gone is not None
    lose(shop.stage.store, gone.name, gone.version)
    asked = ChangeCriteria(where="number = 2")
    report = dry_run(shop.stage.vault(), shop.request(asked=asked), shop.around(), Writing())
    assert (report.updated, report.failed) == (1, 1)
    assert json.loads(report.failures[0].what)["number"] == number(1)


def test_an_erased_item_is_told_and_the_window_is_not_called_proven(feed: Feed, run: Callable[..., Answer]) -> None:
    window = ["--from", str(T), "--to", str(T + 60), "--key", '{"zone":"z","number":1}']
    assert json.loads(run("changes", "goods", *window, "--summary", "--json").out)["certainty"]["proven"]
    assert run("erase", "goods", "--key", '{"zone":"z","number":2}', "--reason", "asked for", "--yes").code == 0
    summary = json.loads(run("changes", "goods", *window, "--summary", "--json").out)
    assert not summary["certainty"]["proven"]
    assert "the changes of 1 item are gone" in summary["certainty"]["notes"][0]
    before = run("changes", "goods", "--from", str(T - 100), "--to", str(T - 50))
    assert (before.code, "gone" in before.err) == (0, False)
    assert feed.store

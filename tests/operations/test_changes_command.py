"""`backstream changes`: what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from backstream.apps.cli.look import changes as listing
from backstream.operations.changes import ChangeRecord
from kit.clock import ManualClock
from kit.images import image, key
from kit.scene import Scene, next_second


@pytest.fixture
def begun(scene: Scene) -> int:
    """A row, then a bad deploy: it is repriced, another is new, a third deleted. All of it is in the vault, and proven."""
    scene.create()
    scene.init(layout="log")
    scene.put(image("z", 1, price={"N": "5"}), image("z", 2, price={"N": "6"}))
    begun = next_second()
    next_second()
    scene.put(image("z", 1, price={"N": "0"}, note={"S": "\x1b[31mred"}), image("z", 3, price={"N": "0"}))
    scene.delete(key("z", 2))
    next_second()
    scene.tail()
    return begun


def test_it_lists_what_changed(scene: Scene, begun: int) -> None:
    ran = scene.call("changes", scene.table, "--from", str(begun))
    assert ran.code == 0, ran.err
    assert '    price: {"N":"5"} -> {"N":"0"}' in ran.out
    assert "\x1b" not in ran.out
    lines = scene.call("changes", scene.table, "--from", str(begun), "--ndjson").out.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["MODIFY", "INSERT", "REMOVE"]
    assert json.loads(lines[0])["changed"] == ["price", "note"]
    assert json.loads(lines[2])["after"] is None
    array = scene.call("changes", scene.table, "--from", str(begun), "--json").json()
    assert array == [json.loads(line) for line in lines]
    assert list(array[0]) == ["time", "sequence", "event", "actor", "key", "before", "after", "changed"]


def test_what_is_found_after_a_pause_is_written_at_once(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    clock, written = ManualClock(), list[int]()
    monkeypatch.setattr(listing, "SystemClock", lambda: clock)

    def found() -> Iterator[ChangeRecord]:
        nothing = msgspec.Raw(b"null")
        for pause in (0, 0, 0, listing.PAUSE, 0):
            clock.move(pause)
            yield ChangeRecord("", None, "INSERT", None, nothing, nothing, nothing, [])
            written.append(capsysbinary.readouterr().out.count(b"\n"))

    assert listing.as_lines(found()) == 5
    assert written == [1, 0, 0, 3, 0]
    assert capsysbinary.readouterr().out.count(b"\n") == 1


def test_net_and_summary(scene: Scene, begun: int) -> None:
    net = scene.call("changes", scene.table, "--from", str(begun), "--net", "--json").json()
    assert sorted((each["event"], each["changes"]) for each in net) == [("INSERT", 1), ("MODIFY", 1), ("REMOVE", 1)]
    summary = scene.call("changes", scene.table, "--from", str(begun), "--summary", "--json").json()
    assert (summary["items"], summary["changes"], summary["table"]) == (3, 3, scene.table)
    shown = scene.call("changes", scene.table, "--from", str(begun), "--summary")
    assert "by event" in shown.out
    assert "INSERT 1, MODIFY 1, REMOVE 1" in shown.out


def test_a_limit_says_that_there_is_more(scene: Scene, begun: int) -> None:
    ran = scene.call("changes", scene.table, "--from", str(begun), "--ndjson", "--limit", "2")
    assert (ran.code, len(ran.out.splitlines())) == (0, 2)
    assert "only the first 2" in ran.err


def test_keys_from_a_file(scene: Scene, begun: int) -> None:
    path = Path(scene.folder) / "keys"
    path.write_bytes(key("z", 3) + b"\n")
    ran = scene.call("changes", scene.table, "--from", str(begun), "--keys", str(path), "--json")
    assert [each["event"] for each in ran.json()] == ["INSERT"]


def test_a_window_in_which_nothing_changed_is_no_error(scene: Scene, begun: int) -> None:
    ran = scene.call("changes", scene.table, "--from", str(begun), "--to", str(begun + 1), "--json")
    assert (ran.code, ran.json()) == (0, [])
    assert "nothing of" in ran.err


def test_words_that_make_no_sense(scene: Scene, begun: int) -> None:
    for words, code, said in (
        (["--where", "prise = 0"], 1, "'price'"),
        (["--event", "DROP"], 2, "not an event"),
        (["--from", "2001-01-01T00:00:00Z"], 4, "before the vault's first change"),
        (["--to", "2001-01-01T00:00:00Z"], 2, "ends before it begins"),
        (["--to", str(begun)], 2, "the window is empty"),
        (["--to", "2099-01-01T00:00:00Z"], 4, "future"),
        (["--net", "--summary"], 2, "--net and --summary exclude"),
        (["--json", "--ndjson"], 2, "--json and --ndjson exclude"),
        (["--keys", "nowhere"], 2, "cannot read"),
        (["--from", "yesterday"], 2, "not a moment"),
    ):
        ran = scene.call("changes", scene.table, "--from", str(begun), *words)
        assert (ran.code, ran.out) == (code, ""), words
        assert said in ran.err

"""The recovery window: a moment that the vault cannot answer for is refused before anything is touched, saying the window."""

from __future__ import annotations

import os
import time
from unittest.mock import patch

import pytest

from backstream.apps.aws_lambda import handler
from backstream.model import moment, moment_arguments
from backstream.model.window import Start, Window
from backstream.operations.inspect import safety
from backstream.vault.gaps.gaps import Gap
from kit.feed import Feed
from kit.images import image, key
from kit.records import lambda_record
from kit.scene import Ran, Scene, file_items, next_second, same

NOW = int(time.time())
BEGAN = NOW - 7_200
T = NOW - 3_600
WINDOW = "recovery window"


def feed_of(scene: Scene, *, empty: bool = True) -> Feed:
    """A vault in a bucket, some rows, and all up to ten minutes ago known to have arrived."""
    feed = Feed(scene.store(), scene.table, began=BEGAN, empty=empty)
    feed.put(T, *(image("row", number, v={"S": "then"}) for number in range(3)))
    feed.put(T + 60, image("row", 1, v={"S": "later"}), image("new", 1))
    feed.deliver()
    feed.reached(NOW - 600)
    return feed


def restore(scene: Scene, at: object, *words: str) -> Ran:
    return scene.call("restore", scene.table, "--at", str(at), "--json", *words)


IN_PLACE = ("--in-place", "--yes")


# --- a table that was not empty at init -------------------------------------------------------------------------------------------


def test_a_table_that_was_not_empty_is_restored_row_by_row_only(scene: Scene) -> None:
    feed = feed_of(scene, empty=False)
    scene.create()
    there_before, ruined = image("there before", 0), image("row", 1, v={"S": "ruined"})
    scene.put(there_before, ruined)
    before = scene.items()

    whole = restore(scene, T, *IN_PLACE)
    assert (whole.code, whole.out) == (4, "")
    assert "was not empty at `init`" in whole.err
    assert "--key" in whole.err
    assert "backfill" in whole.err
    assert scene.items() == before

    unknown = restore(scene, T, *IN_PLACE, "--key", key("row", 1).decode(), "--key", key("there before", 0).decode())
    assert (unknown.code, unknown.out) == (4, "")
    assert "there before" in unknown.err
    assert WINDOW in unknown.err
    assert scene.items() == before, "checked before the first row is touched"

    known = restore(scene, T, *IN_PLACE, "--key", key("row", 1).decode())
    assert known.code == 0, known.err
    row = feed.vault.key_of(ruined)
    assert same(scene.items(), {**before, row: feed.model.at(T)[row]})


def test_what_is_known_of_such_a_table_is_restored_on_demand_and_what_is_unknown_left_alone(scene: Scene) -> None:
    feed = feed_of(scene, empty=False)
    scene.create()
    there_before = image("there before", 0)
    scene.put(there_before, image("new", 1), image("row", 1, v={"S": "ruined"}))
    ran = restore(scene, T, *IN_PLACE, "--allow-gap")
    assert ran.code == 0, ran.err
    assert ran.json()["deleted"] == 0
    assert any("left alone" in warning for warning in ran.json()["warnings"])
    assert "2 live rows are left alone" in ran.err
    unknown = {feed.vault.key_of(each): each for each in (there_before, image("new", 1))}
    assert same(scene.items(), {**feed.model.at(T), **unknown})


# --- moments ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "code", "word"),
    [
        ("yesterday", 2, "not a moment"),
        ("2026-11-23T04:15:00", 2, "without an offset"),
        ("", 2, "not a moment"),
        ("-5", 2, "moment"),
        pytest.param(str(NOW + 3_600), 4, "in the future", id="in an hour"),
        ("2999-01-01T00:00:00+02:00", 4, "in the future"),
        pytest.param(str(BEGAN - 1), 4, "before the first backup", id="a second too early"),
        ("300d ago", 4, "before the first backup"),
        ("0", 4, "before the first backup"),
    ],
)
def test_moments_that_are_refused_say_the_window_and_touch_nothing(scene: Scene, at: str, code: int, word: str) -> None:
    feed_of(scene)
    scene.create()
    scene.put(image("live", 1), image("row", 1))
    before = scene.items()
    for words in (IN_PLACE, ("--to-file", "out"), ("--to", scene.table + "-new"), (*IN_PLACE, "--allow-gap")):
        ran = scene.call("restore", scene.table, f"--at={at}", "--json", *words)
        assert (ran.code, ran.out) == (code, ""), ran.err
        assert word in ran.err
        assert f"{WINDOW}: {moment.iso(BEGAN)} to {moment.iso(NOW - 600)}" in ran.err
        assert len(ran.err.splitlines()) == 1, "with --json an error is one line of JSON"
    assert scene.items() == before
    assert not list(scene.folder.iterdir())
    shown = scene.call("show", scene.table, key("live", 1).decode(), f"--at={at}")
    assert (shown.code, shown.out, WINDOW in shown.err) == (code, "", True)


def test_a_row_before_the_first_backup_is_never_deleted(scene: Scene) -> None:
    feed_of(scene)
    scene.create()
    scene.put(image("row", 1))
    before = scene.items()
    for at in (BEGAN - 1, BEGAN - 86_400):
        assert restore(scene, at, *IN_PLACE, "--key", key("row", 1).decode()).code == 4
        assert restore(scene, at, *IN_PLACE, "--allow-gap", "--key", key("row", 1).decode()).code == 4
    assert scene.items() == before
    gone = restore(scene, BEGAN, *IN_PLACE, "--key", key("row", 1).decode())
    assert (gone.code, gone.json()["deleted"]) == (0, 1), "from the first backup on the vault knows that it did not exist"
    assert "did not exist" in gone.err


def test_a_moment_that_may_not_have_arrived_is_noted(scene: Scene) -> None:
    feed = feed_of(scene)
    late = restore(scene, "now", "--to-file", "late")
    assert late.code == 0
    (note,) = late.err.splitlines()
    assert note.startswith("note: the vault is sure to hold everything up to ")
    assert moment.iso(NOW - 600) in note
    assert late.json()["warnings"] == [note.removeprefix("note: ")]
    sure = restore(scene, NOW - 600, "--to-file", "sure")
    assert (sure.code, sure.err, sure.json()["warnings"]) == (0, "", [])
    assert file_items(scene.folder / "sure") == file_items(scene.folder / "late") == feed.model.at(NOW)
    shown = scene.call("show", scene.table, key("row", 1).decode(), "--at", "now")
    assert (shown.code, shown.err.startswith("note: ")) == (0, True)


# --- gaps -------------------------------------------------------------------------------------------------------------------------


def test_a_gap_is_refused_unless_allowed_and_then_its_uncertainty_is_said(scene: Scene) -> None:
    feed = feed_of(scene)
    gap = Gap(reason="the stream had dropped records", since=T + 100, until=T + 200, stream=feed.label)
    feed.vault.gaps.record(gap)
    feed.put(T + 300, image("row", 2, v={"S": "after the gap"}))
    feed.deliver()
    scene.create()
    scene.put(image("unknown", 1), image("row", 0, v={"S": "ruined"}))
    before = scene.items()

    refused = restore(scene, T + 400, *IN_PLACE)
    assert (refused.code, refused.out, scene.items()) == (4, "", before)
    assert moment.iso(T + 100) in refused.err
    assert "the stream had dropped records" in refused.err
    assert "--allow-gap" in refused.err
    assert WINDOW in refused.err

    assert restore(scene, T + 99, "--to-file", "before the gap").code == 0
    row_before, row_after = key("row", 0).decode(), key("row", 2).decode()
    assert restore(scene, T + 400, "--to-file", "x", "--key", row_before).code == 4
    assert restore(scene, T + 400, "--to-file", "after", "--key", row_after).code == 0, "what came after the gap says it all"
    shown = scene.call("show", scene.table, row_before, "--at", str(T + 400))
    assert shown.code == 4
    shown = scene.call("show", scene.table, row_before, "--at", str(T + 400), "--allow-gap")
    assert (shown.code, "changes may be missing" in shown.err) == (0, True)

    gone_on = restore(scene, T + 400, *IN_PLACE, "--allow-gap")
    assert gone_on.code == 0, gone_on.err
    assert f"note: changes may be missing: {moment.iso(T + 100)} to {moment.iso(T + 200)}" in gone_on.err
    assert "1 live rows are left alone" in gone_on.err
    expected = {**feed.model.at(T + 400), feed.vault.key_of(key("unknown", 1)): image("unknown", 1)}
    assert same(scene.items(), expected)

    status = scene.call("status", scene.table, "--json").json()
    assert [each["since"] for each in status["gaps"]] == [moment.iso(T + 100)]
    assert status["window_to"] == moment.iso(T + 99)


def test_a_deleted_row_may_have_come_back_in_a_gap(scene: Scene) -> None:
    feed = feed_of(scene)
    feed.put(T + 61, image("gone", 1), image("gone", 2))
    feed.delete(T + 70, key("gone", 1))
    feed.vault.gaps.record(Gap(reason="lost", since=T + 100, until=T + 200, stream=feed.label))
    feed.delete(T + 300, key("gone", 2))
    feed.deliver()
    scene.create()
    scene.put(image("gone", 1), image("gone", 2))
    ran = restore(scene, T + 400, *IN_PLACE, "--allow-gap")
    assert ran.code == 0
    assert ran.json()["deleted"] == 1, "only the one that was deleted after the gap surely did not exist"
    assert feed.vault.key_of(key("gone", 1)) in scene.items()


def test_absence_is_sure_only_where_the_vault_knows_all() -> None:
    def sure(since: int | None, at: int) -> bool:
        return safety.surely_absent(
            None, at, Window(starts=[] if since is None else [Start(since, since)], durable=None, gaps=[]), []
        )

    assert sure(5, 5)
    assert not sure(5, 4)
    assert not sure(None, 5)


# --- status -----------------------------------------------------------------------------------------------------------------------


def window_to(scene: Scene) -> int | None:
    """What `status` claims, in seconds."""
    claimed = scene.call("status", scene.table, "--json").json()["window_to"]
    return None if claimed is None else moment_arguments.parse(claimed, 0)


def test_a_tail_never_claims_more_than_it_made_durable(scene: Scene) -> None:
    scene.create()
    scene.init()
    assert window_to(scene) is None, "nothing has been read yet"
    scene.put(image("a", 1))
    written = next_second()
    time.sleep(6)
    scene.tail()
    claimed = window_to(scene)
    assert claimed is not None
    assert claimed >= written, "a change made well before the tail is known to be there"
    unread = int(time.time())
    scene.put(image("a", 2))
    assert (again := window_to(scene)) is not None
    assert again < unread, "what nobody has read is not claimed"
    asked = time.time()
    status = scene.call("status", scene.table, "--json").json()
    assert status["captured_by"] == ["tail"]
    assert status["lag_seconds"] >= asked - 2 - claimed


@pytest.mark.parametrize("parallel", ["1", pytest.param("4", marks=pytest.mark.soak)])
def test_lambda_alone_claims_nothing(scene: Scene, parallel: str) -> None:
    began = int(time.time())
    feed = Feed(scene.store(), scene.table, began=began)
    scene.create()
    scene.put(image("a", 1), image("b", 1))
    time.sleep(1.1)
    feed.put(began + 1, image("a", 1))
    feed.put(began + 1, image("a", 2))
    seen, behind = feed.take()
    arn = feed.catalog.stream_arn
    settings = {**scene.environment, "BACKSTREAM_VAULT": scene.url, "BACKSTREAM_PARALLELIZATION": parallel}
    with patch.dict(os.environ, settings):
        assert handler({"Records": [lambda_record(seen, arn)]}, None) == {"batchItemFailures": []}
    assert window_to(scene) is None, "another change may still be on its way, or never come"
    ran = restore(scene, began + 1, "--to-file", "out")
    assert (ran.code, "is sure to hold" in ran.err) == (0, True)
    poisoned = {**lambda_record(behind, arn), "eventName": "NOTHING"}
    with patch.dict(os.environ, settings):
        assert handler({"Records": [poisoned]}, None) == {"batchItemFailures": [{"itemIdentifier": behind.sequence}]}
    status = scene.call("status", scene.table, "--json").json()
    assert len(status["gaps"]) == 1
    assert restore(scene, int(time.time()), "--to-file", "out2").code == 4
    with patch.dict(os.environ, settings):
        assert handler({"Records": [lambda_record(behind, arn)]}, None) == {"batchItemFailures": []}
    assert scene.call("status", scene.table, "--json").json()["gaps"] == [], "delivered again, it is no gap"

"""What people have at hand at night is accepted as it is: a bare key, a whole item, a local time, a name with a slip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstream.model import moment
from backstream.model.values.schema import KeyAttribute, KeySchema
from kit.aws import Aws
from kit.feed import Feed
from kit.scene import Scene

T = moment.parse_iso_micros("2026-11-23T03:15:00Z") // 1_000_000
USERS = KeySchema(KeyAttribute("id", "S"))
CART = '{"id":"u0042","plan":"pro","carts":3}'


@pytest.fixture
def scene(aws: Aws, bucket: str, table_name: str, tmp_path: Path) -> Scene:
    """A table with a hash key only: one row, changed once."""
    scene = Scene(aws, bucket, table_name, tmp_path, USERS)
    feed = Feed(scene.store(), scene.table, schema=USERS, began=T - 600)
    feed.put(T, b'{"id":{"S":"u0042"},"plan":{"S":"pro"}}')
    feed.put(T + 60, b'{"id":{"S":"u0042"},"plan":{"S":"free"}}')
    feed.deliver()
    feed.reached(T + 3_600)
    return scene


def plan_at(scene: Scene, *words: str) -> str:
    ran = scene.call("show", scene.table, *words, "--json")
    assert ran.code == 0, ran.err
    return str(ran.json()["plan"]["S"])


def test_a_bare_key_is_enough_where_there_is_no_sort_key(scene: Scene) -> None:
    assert len(scene.call("history", scene.table, "u0042", "--json").json()) == 2
    assert scene.call("show", scene.table, "u0043", "--at", str(T)).code == 1


def test_a_whole_item_is_named_for_what_it_is_and_accepted_on_request(scene: Scene) -> None:
    refused = scene.call("history", scene.table, CART)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(
        f"error: not a key of this table: {CART}: plan, carts are no key attributes; --key-from-item takes only"
    )
    assert len(scene.call("history", scene.table, CART, "--key-from-item", "--json").json()) == 2
    lacking = scene.call("history", scene.table, '{"plan":"pro"}', "--key-from-item")
    assert (lacking.code, "it lacks id" in lacking.err) == (2, True)
    to_file = ("--to-file", "out.json")
    ran = scene.call("restore", scene.table, "--at", str(T), "--key", CART, "--key-from-item", *to_file, "--json")
    assert (ran.code, ran.json()["put"]) == (0, 1)


def test_a_local_time_needs_a_zone_and_gets_it_from_tz(scene: Scene) -> None:
    refused = scene.call("show", scene.table, "u0042", "--at", "2026-11-23 04:15")
    assert (refused.code, "--tz Europe/Berlin" in refused.err) == (2, True)
    assert plan_at(scene, "u0042", "--at", "2026-11-23 04:15", "--tz", "Europe/Berlin") == "pro"
    assert plan_at(scene, "--tz", "Europe/Berlin", "u0042", "--at", "2026-11-23 04:16") == "free"
    assert plan_at(scene, "u0042", "--at", "2026-11-23T03:15:00Z", "--tz", "Europe/Berlin") == "pro", "an offset stands"
    assert plan_at(scene, "u0042", "--at", f"{T}999") == "pro", "milliseconds, as logs have them"
    between = ("--changed-between", "2026-11-23 04:15:30", "2026-11-23 04:17", "--tz", "Europe/Berlin")
    ran = scene.call("restore", scene.table, "--at", str(T + 90), "--to-file", "out.json", *between, "--json")
    assert (ran.code, ran.json()["put"]) == (0, 1), ran.err
    unknown = scene.call("show", scene.table, "u0042", "--at", "2026-11-23 04:15", "--tz", "Mars/Base")
    assert (unknown.code, "not a time zone" in unknown.err) == (2, True)


def test_a_name_with_a_slip_is_answered_with_the_names_that_there_are(scene: Scene) -> None:
    slip = scene.table[:-1] + "_"
    for words in (("status", slip), ("history", slip, "u0042"), ("restore", slip, "--at", "now", "--to", "abc")):
        ran = scene.call(*words)
        assert ran.code == 1
        assert f"does not know the table {slip!r}\nDid you mean {scene.table!r}? The vault holds {scene.table!r}." in ran.err


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        (("show", "TABLE", "u0042", "--at", "soon"), 2, "UsageError"),
        (("show", "TABLE", "u0042", "--at", "now", "--no-such-option"), 2, "UsageError"),
        (("show", "another", "u0042", "--at", "now"), 1, "NotFound"),
        (("restore", "TABLE", "--at", "2020-01-01T00:00:00Z", "--to-file", "out"), 4, None),
    ],
)
def test_with_json_an_error_is_json_too(scene: Scene, words: tuple[str, ...], code: int, kind: str | None) -> None:
    ran = scene.call(*(scene.table if word == "TABLE" else word for word in words), "--json")
    assert (ran.code, ran.out) == (code, "")
    (line,) = ran.err.splitlines()
    told = json.loads(line)["error"]
    assert (told["exit_code"], sorted(told)) == (code, ["exit_code", "hint", "kind", "message"])
    assert told["message"]
    assert kind in (None, told["kind"])


def test_a_snapshot_goes_to_a_path_as_a_dump_does(scene: Scene) -> None:
    ran = scene.call("snapshot", scene.table, "--at", str(T), "--to", "./exports", "--json")
    assert ran.code == 0, ran.err
    assert list((scene.folder / "exports").rglob("manifest-summary.json"))

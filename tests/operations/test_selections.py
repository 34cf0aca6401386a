"""What a restore is asked to bring back: keys, a tenant, a partition, a condition, and all of them together."""

from __future__ import annotations

import base64
import itertools
import json
import time
from typing import Any

import pytest

from backstream.clock import SystemClock
from backstream.model.condition import Condition
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.proxy import FaultProxy, answer
from kit.scene import Ran, Scene, file_items, same

NOW = int(time.time())
BEGAN = NOW - 7_200
T = NOW - 3_600


@pytest.fixture
def here(scene: Scene) -> Scene:
    """The vault in a folder."""
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    return scene


def feed_of(scene: Scene, **words: Any) -> Feed:
    return Feed(DirectoryStore(scene.folder / "vault", SystemClock()), scene.table, began=BEGAN, **words)


def to_file(scene: Scene, *words: str) -> Ran:
    return scene.call("restore", scene.table, "--at", str(T), "--to-file", "out", "--json", *words)


def restored(scene: Scene, *words: str, schema: KeySchema = SCHEMA) -> dict[bytes, bytes]:
    """What a selection brings into a file."""
    ran = to_file(scene, *words)
    assert ran.code == 0, ran.err
    found = file_items(scene.folder / "out", schema)
    (scene.folder / "out").unlink()
    return found


# --- a partition ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", Layout)
def test_a_partition_is_the_rows_of_one_hash_key_and_of_no_longer_one(here: Scene, layout: Layout) -> None:
    zones = ("a", "a b", 'a"', "a,", "\u00e9\U0001f600", "b")
    feed = feed_of(here, layout=layout)
    feed.put(T, *(image(zone, number) for zone in zones for number in range(3)))
    feed.deliver()
    for zone in zones:
        found = restored(here, "--partition", zone)
        assert found == {each: body for each, body in feed.model.at(T).items() if json.loads(each)["zone"]["S"] == zone}
        assert len(found) == 3
    nothing = to_file(here, "--partition", "")
    assert (nothing.code, nothing.out, (here.folder / "out").exists()) == (1, "", False)
    assert "matches --partition ''" in nothing.err
    assert "The nearest values of zone: 'a'" in nothing.err


@pytest.mark.parametrize(
    ("kind", "values", "word", "wrong"),
    [
        ("N", ["1.5", "15", "-1"], "1.50", "one"),
        ("B", [base64.b64encode(each).decode() for each in (b"\xff\x00", b"\xff\x00\x00")], "/wA=", "not base64!"),
    ],
)
def test_a_partition_of_numbers_or_of_binary(here: Scene, kind: str, values: list[str], word: str, wrong: str) -> None:
    schema = KeySchema(KeyAttribute("id", kind))
    feed = feed_of(here, schema=schema)
    feed.put(T, *(wire.encode({"id": {kind: value}}) for value in values))
    feed.deliver()
    assert list(restored(here, "--partition", word, schema=schema)) == [wire.key_of(schema, wire.encode({"id": {kind: values[0]}}))]
    refused = to_file(here, "--partition", wrong)
    assert (refused.code, "the partition key" in refused.err, (here.folder / "out").exists()) == (2, True, False)


# --- a condition ------------------------------------------------------------------------------------------------------------------


def status(number: int, value: str, **more: dict[str, Any]) -> bytes:
    return image("row", number, status={"S": value}, **more)


def test_in_place_a_condition_takes_rows_that_satisfy_it_then_or_now(here: Scene) -> None:
    feed = feed_of(here)
    feed.put(T - 5, status(1, "paid"), status(2, "open"), status(3, "paid"), status(4, "open"), status(5, "paid"))
    feed.put(T + 5, status(1, "lost"), status(2, "paid"), status(4, "lost"), status(6, "paid"), status(7, "open"))
    feed.delete(T + 5, key("row", 5))
    feed.deliver()
    feed.reached(NOW - 60)
    here.create()
    here.put(*feed.model.at(NOW).values())
    words = ("--in-place", "--yes", "--json", "--where", 'status = "paid"')
    ran = here.call("restore", here.table, "--at", str(T), *words)
    assert ran.code == 0, ran.err
    # 1 and 5 were paid; 2 is now; 6 is, and was not there; 3 is as it was. 4 and 7 never were.
    assert [ran.json()[each] for each in ("put", "deleted", "unchanged", "failed")] == [3, 1, 1, 0]
    expected = [*(status(n, s) for n, s in ((1, "paid"), (2, "open"), (3, "paid"), (4, "lost"), (5, "paid"), (7, "open")))]
    assert same(here.items(), {wire.key_of(SCHEMA, each): each for each in expected})
    again = here.call("restore", here.table, "--at", str(T), *words)
    assert [again.json()[each] for each in ("put", "deleted", "unchanged")] == [0, 0, 3]


def test_a_condition_that_is_none_is_refused_before_anything_is_touched(here: Scene) -> None:
    feed = feed_of(here)
    feed.put(T, status(1, "paid"))
    feed.deliver()
    ran = to_file(here, "--where", "status = paid")
    assert (ran.code, "at character 10" in ran.err, (here.folder / "out").exists()) == (2, True, False)


# --- together ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", Layout)
def test_a_row_has_to_pass_all_that_are_given(here: Scene, layout: Layout) -> None:
    rows = [
        image(zone, number, tenant={"S": tenant}, total={"N": str(total)})
        for number, (zone, tenant, total) in enumerate(itertools.product(("a", "b"), ("acme", "other"), (5, 50)))
    ]
    feed = feed_of(here, layout=layout, tenant_attribute="tenant")
    feed.put(T, *rows)
    feed.deliver()
    asked = [rows[number] for number in (0, 1, 3, 5, 6)]
    keys = [word for each in asked for word in ("--key", wire.key_of(SCHEMA, each).decode())]
    tests: dict[tuple[str, ...], Any] = {
        tuple(keys): lambda each: each in asked,
        ("--tenant", "acme"): Condition('tenant = "acme"').matches,
        ("--partition", "a"): Condition('zone = "a"').matches,
        ("--where", "total > 7.5"): Condition("total > 7.5").matches,
    }
    for count in range(5):
        for chosen in itertools.combinations(tests, count):
            words = [word for each in chosen for word in each]
            expected = [each for each in rows if all(tests[name](each) for name in chosen)]
            if not expected:
                assert to_file(here, *words).code == 1, words
                continue
            assert restored(here, *words) == {wire.key_of(SCHEMA, each): each for each in expected}, words


def test_people_are_asked_about_what_they_selected(here: Scene) -> None:
    feed = feed_of(here, tenant_attribute="tenant")
    feed.put(T, status(1, "paid"))
    feed.deliver()
    words = ("--partition", "row", "--tenant", "acme", "--where", "a exists")
    ran = here.call("restore", here.table, "--at", str(T), "--in-place", *words)
    assert ran.code == 4
    assert f"Bring rows of tenant acme and partition row and where a exists of {here.table} back to" in ran.err


def test_what_is_left_is_resumed_with_the_same_selection(here: Scene) -> None:
    feed = feed_of(here)
    feed.put(
        T, *(status(number, "paid" if number % 2 else "open") for number in range(10)), image("other", 1, status={"S": "paid"})
    )
    feed.deliver()
    feed.reached(NOW - 60)
    here.create()
    here.put(*(status(number, "ruined") for number in range(10)))
    words = ("--in-place", "--yes", "--json", "--patience", "0.5")
    with FaultProxy(here.aws.endpoint("dynamodb")) as proxy:
        here.environment["AWS_ENDPOINT_URL_DYNAMODB"] = proxy.url
        proxy.on(answer(500), operation="PutItem")
        ran = here.call(
            "restore", here.table, "--at", str(T), *words, "--partition", "row", "--where", 'status = "paid" and number > 2'
        )
        assert (ran.code, ran.json()["failed"]) == (1, 4), ran.err
        left = json.loads(next(here.folder.glob("backstream-restore-*")).read_text().splitlines()[0])
        assert (left["partition"], left["where"]) == ("row", 'status = "paid" and number > 2')
        proxy.clear()
        done = here.call("restore", here.table, "--resume", ran.json()["left"], "--json")
        assert (done.code, done.json()["put"]) == (0, 4), done.err
    del here.environment["AWS_ENDPOINT_URL_DYNAMODB"]
    expected = [status(number, "paid" if number in (3, 5, 7, 9) else "ruined") for number in range(10)]
    assert same(here.items(), {wire.key_of(SCHEMA, each): each for each in expected})

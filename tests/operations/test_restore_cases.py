"""Restores of everything that today's tools get wrong: hard items, hard keys, hard histories, into every target.

The synthetic histories (`kit.feed`) control the second of each change; the end-to-end ones go through a real stream.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from backstream.clock import SystemClock
from backstream.model import moment
from backstream.model.tables.naming import Naming
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from kit.feed import Feed
from kit.images import SCHEMA, hard_images, image, key
from kit.scene import Ran, Scene, file_items, next_second, same

NOW = int(time.time())
BEGAN = NOW - 7_200
T = NOW - 3_600


@pytest.fixture
def here(scene: Scene) -> Scene:
    """The vault in a folder: quick, and the same to everyone above the store."""
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    return scene


def feed_of(scene: Scene, **words: object) -> Feed:
    return Feed(DirectoryStore(scene.folder / "vault", SystemClock()), scene.table, began=BEGAN, **words)  # type: ignore[arg-type]


def restored(scene: Scene, at: int, *words: str, code: int = 0) -> dict[bytes, bytes]:
    """The state at a second, by `restore --to-file`."""
    path = scene.folder / f"{len(list(scene.folder.iterdir()))}.ndjson"
    ran = scene.call("restore", scene.table, "--at", str(at), "--to-file", str(path), *words)
    assert ran.code == code, ran.err
    return file_items(path)


# --- hard items, end to end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [Layout.ROWS, pytest.param(Layout.LOG, marks=pytest.mark.soak)])
def test_hard_items_come_back_through_a_real_stream_to_a_table_in_place_and_to_a_file(scene: Scene, layout: Layout) -> None:
    scene.create()
    scene.init(layout=layout, naming=Naming.PLAIN)
    scene.put(*hard_images().values())
    then = scene.items()
    at = str(next_second())
    scene.put(*(image("ruined", n) for n in range(3)), image("plain", "0", v={"S": "ruined"}))
    scene.delete(key("emoji", 1), key("line\nbreak\ttab", "-1.5"))
    scene.tail()

    # What the vault has not seen is undone in place as well.
    scene.put(image("unseen", 1), image("nested binary", 1, gone={"BOOL": True}))
    scene.delete(key("deep", 1))

    new = scene.table + "-then"
    dry = scene.call("restore", scene.table, "--at", at, "--to", new, "--dry-run", "--json").json()
    done = scene.call("restore", scene.table, "--at", at, "--to", new, "--json").json()
    assert (dry["put"], dry["dry_run"], done["put"], done["dry_run"]) == (len(then), True, len(then), False)
    assert same(scene.items(new), then)

    assert scene.call("restore", scene.table, "--at", at, "--to-file", "then.ndjson").code == 0
    assert same(file_items(scene.folder / "then.ndjson"), then)

    before = scene.items()
    dry = scene.call("restore", scene.table, "--at", at, "--in-place", "--dry-run", "--json").json()
    assert scene.items() == before, "a dry run touches nothing"
    done = scene.call("restore", scene.table, "--at", at, "--in-place", "--yes", "--json").json()
    counts = {"put": 5, "deleted": 4, "unchanged": len(then) - 5, "failed": 0}
    assert {name: dry[name] for name in counts} == counts
    assert {name: done[name] for name in counts} == counts
    assert same(scene.items(), then)


def test_images_keep_the_bytes_of_their_numbers(here: Scene) -> None:
    feed = feed_of(here)
    hard = hard_images()
    feed.put(T, *hard.values())
    feed.deliver()
    assert restored(here, T) == feed.model.at(T)
    assert set(restored(here, T).values()) == set(hard.values()), "byte for byte"


@pytest.mark.parametrize("kind", ["S", "N", "B"])
def test_every_type_of_key(here: Scene, kind: str) -> None:
    schema = KeySchema(KeyAttribute("zz", kind), KeyAttribute("aa", "B"))
    texts = {"S": ["", "é", "\U0001f600"], "N": ["0", "-1E-100", "1e3"], "B": ["", "AAE=", "////"]}[kind]
    feed = feed_of(here, schema=schema, naming=Naming.PLAIN)
    for number, text in enumerate(texts):
        feed.put(T, wire.encode({"aa": {"B": "/w=="}, "n": {"N": str(number)}, "zz": {kind: text}}))
    feed.deliver()
    path = here.folder / "out"
    assert here.call("restore", here.table, "--at", str(T), "--to-file", str(path)).code == 0
    assert file_items(path, schema) == feed.model.at(T)


# --- histories --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [pytest.param(Layout.ROWS, marks=pytest.mark.soak), Layout.LOG])
def test_a_thousand_versions_of_one_key_and_three_thousand_keys_with_the_moment_in_the_middle(here: Scene, layout: Layout) -> None:
    feed = feed_of(here, layout=layout)
    for number in range(3_000):
        feed.put(T - 1_500 + number, image("many", number, v={"N": "1"}))
        if number < 1_100:
            feed.put(T - 1_500 + number, image("busy", 1, v={"N": str(number)}))
        elif number == 1_600:
            feed.delete(T - 1_500 + number, key("busy", 1))
    feed.deliver()
    then = restored(here, T)
    assert then == feed.model.at(T)
    assert len(then) == 1_502
    middle = T - 950
    assert restored(here, middle) == feed.model.at(middle)
    busy = key("busy", 1).decode()
    assert restored(here, middle, "--key", busy) == {feed.vault.key_of(key("busy", 1)): image("busy", 1, v={"N": "550"})}
    every = here.call("history", here.table, busy, "--json").json()
    assert [version["image"] and version["image"]["v"]["N"] for version in every] == [*map(str, range(1_100)), None]


LIVES: dict[str, list[tuple[int, str | None]]] = {
    "created before": [(-9, "a")],
    "created in that second": [(0, "a")],
    "created after": [(1, "a")],
    "deleted before": [(-9, "a"), (-5, None)],
    "deleted in that second": [(-9, "a"), (0, None)],
    "deleted after": [(-9, "a"), (1, None)],
    "reborn before": [(-9, "a"), (-8, None), (-7, "b")],
    "reborn after": [(-9, "a"), (-8, None), (1, "b")],
    "twice in one second, dead": [(0, "a"), (0, None), (0, "b"), (0, None)],
    "twice in one second, alive": [(0, "a"), (0, None), (0, "b")],
    "changed on both sides": [(-9, "a"), (-1, "b"), (0, "c"), (1, "d")],
}


def lives(feed: Feed) -> None:
    """Every life, in the order of time, as a stream tells them."""
    steps = [(second, name, value) for name, steps in LIVES.items() for second, value in steps]
    for second, name, value in sorted(steps, key=lambda step: step[0]):
        if value is None:
            feed.delete(T + second, key(name, 1))
        else:
            feed.put(T + second, image(name, 1, v={"S": value}, tenant={"S": name[:2]}))


@pytest.mark.parametrize(
    ("layout", "naming"),
    [
        (Layout.ROWS, Naming.PLAIN),
        *(pytest.param(Layout.ROWS, naming, marks=pytest.mark.soak) for naming in (Naming.SHA256, Naming.MD5)),
        pytest.param(Layout.LOG, Naming.SHA256, marks=pytest.mark.soak),
    ],
)
def test_lives_of_items_around_the_moment(here: Scene, layout: Layout, naming: Naming) -> None:
    feed = feed_of(here, layout=layout, naming=naming)
    lives(feed)
    changes = feed.take()
    feed.deliver(changes[::2])
    feed.deliver(changes)  # late and repeated: half of them have come before their turn
    for second in (-10, -9, -8, -7, -5, -1, 0, 1):
        assert restored(here, T + second) == feed.model.at(T + second), second
    alive = feed.model.at(T)
    for name in LIVES:
        one = restored(here, T, "--key", key(name, 1).decode())
        assert one == {each: alive[each] for each in alive if json.loads(each)["zone"]["S"] == name}, name


def test_a_vault_that_changed_its_naming_and_its_layout_in_between(here: Scene) -> None:
    feed = feed_of(here, naming=Naming.PLAIN)
    ways = [(Layout.ROWS, Naming.MD5), (Layout.LOG, None), (Layout.ROWS, Naming.SHA256), (Layout.ROWS, Naming.PLAIN)]
    for step, (layout, naming) in enumerate(ways):
        feed.put(T + 10 * step, *(image(zone, 1, step={"N": str(step)}) for zone in ("a", "b|c", f"only {step}")))
        feed.delete(T + 10 * step + 5, key("a", 1))
        feed.deliver()
        feed.keep_as(layout=layout, naming=naming)
    for second in (T - 1, *range(T, T + 40, 5)):
        then = feed.model.at(second)
        assert restored(here, second) == then
        assert restored(here, second, "--key", key("b|c", 1).decode()).items() <= then.items()
    assert restored(here, T + 33, "--key", key("b|c", 1).decode())


def test_a_change_made_an_hour_ago_and_delivered_now(here: Scene) -> None:
    feed = feed_of(here)
    feed.put(T, image("late", 1, v={"N": "1"}))
    feed.put(T + 600, image("on time", 1))
    late, on_time = feed.take()
    feed.deliver([on_time])
    feed.put(NOW - 60, image("late", 1, v={"N": "2"}))
    feed.deliver()
    feed.deliver([late])
    half_an_hour_ago = NOW - 1_800
    assert restored(here, half_an_hour_ago) == feed.model.at(half_an_hour_ago)
    assert len(restored(here, half_an_hour_ago)) == 2


def test_the_delete_of_an_item_that_was_never_backed_up(here: Scene) -> None:
    feed = feed_of(here)
    feed.put(T - 5, image("lost", 1), image("kept", 1))
    changes = [change for change in feed.take() if b"kept" in change.keys]
    feed.delete(T, key("lost", 1))
    feed.deliver([*changes, *feed.take()])
    assert restored(here, T) == feed.model.at(T)
    versions = here.call("history", here.table, key("lost", 1).decode(), "--json").json()
    assert [(each["event"], each["image"]) for each in versions] == [("REMOVE", None)]


# --- what to restore --------------------------------------------------------------------------------------------------------------


def in_place(scene: Scene, *words: str) -> Ran:
    return scene.call("restore", scene.table, "--at", str(T), "--in-place", "--yes", "--json", *words)


def test_keys_may_be_many_typed_and_plain_and_nothing_else_is_touched(here: Scene) -> None:
    feed = feed_of(here)
    lives(feed)
    feed.deliver()
    feed.reached(NOW - 60)
    here.create()
    ruined = [image(name, 1, v={"S": "ruined"}) for name in LIVES]
    here.put(*ruined)
    asked = ["deleted after", "created after", "reborn before"]
    plain = [json.dumps({"zone": name, "number": 1}) for name in asked[:2]]
    words = [word for text in [*plain, key(asked[2], 1).decode(), plain[0]] for word in ("--key", text)]
    ran = in_place(here, *words)
    assert ran.code == 0, ran.err
    assert (ran.json()["put"], ran.json()["deleted"]) == (2, 1), "the same key twice is one row"
    alive = feed.model.at(T)
    expected = {each: alive.get(each) for each in map(feed.vault.key_of, ruined) if json.loads(each)["zone"]["S"] in asked}
    others = {feed.vault.key_of(each): each for each in ruined if json.loads(each)["zone"]["S"] not in asked}
    assert same(here.items(), {**others, **{each: body for each, body in expected.items() if body}})


@pytest.mark.parametrize("layout", Layout)
def test_more_keys_than_are_looked_up_one_by_one(here: Scene, layout: Layout) -> None:
    feed = feed_of(here, layout=layout)
    feed.put(T, *(image("k", number) for number in range(150)))
    feed.deliver()
    words = [word for number in range(120) for word in ("--key", json.dumps({"zone": "k", "number": number}))]
    assert restored(here, T, *words) == {feed.vault.key_of(each): each for each in (image("k", n) for n in range(120))}


@pytest.mark.parametrize("layout", Layout)
def test_a_tenant_comes_back_alone_even_where_rows_moved_between_tenants(here: Scene, layout: Layout) -> None:
    def row(number: int, tenant: str | None, value: str) -> bytes:
        return image("row", number, v={"S": value}, **({} if tenant is None else {"tenant": {"S": tenant}}))

    feed = feed_of(here, layout=layout)
    feed.put(T - 20, row(1, "a/b", "old"), row(2, "other", "old"), row(3, None, "old"))  # before the table was split
    feed.deliver()
    feed.keep_as(tenant_attribute="tenant")
    feed.put(T - 10, row(4, "a/b", "old"), row(5, "other", "old"), row(6, "a/b", "moves away"), row(7, "other", "moves in"))
    feed.put(T + 10, row(6, "other", "moved away"), row(7, "a/b", "moved in"), row(4, "a/b", "ruined"))
    feed.deliver()
    expected = {1, 4, 6}
    found = restored(here, T, "--tenant", "a/b")
    assert {int(json.loads(each)["number"]["N"]) for each in found} == expected
    assert found.items() <= feed.model.at(T).items()

    feed.reached(NOW - 60)
    here.create()
    now = feed.model.at(NOW)
    here.put(*now.values(), row(8, "a/b", "unseen"), row(9, "other", "unseen"))
    ran = in_place(here, "--tenant", "a/b")
    assert ran.code == 0, ran.err
    assert (ran.json()["put"], ran.json()["deleted"], ran.json()["unchanged"]) == (3, 1, 1)
    numbers = {int(json.loads(each)["number"]["N"]): body for each, body in here.items().items()}
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6, 7, 9]
    assert b"moves in" in numbers[7], "a row of the tenant's now comes back as it was then, another tenant's"
    assert b"moves away" in numbers[6]


def test_a_tenant_of_a_table_that_was_split_by_another_attribute_before(here: Scene) -> None:
    def row(number: int, customer: str, region: str) -> bytes:
        return image("row", number, customer={"S": customer}, region={"S": region})

    feed = feed_of(here, tenant_attribute="region")
    feed.put(T, row(1, "acme", "eu"), row(2, "eu", "acme"))
    feed.deliver()
    feed.keep_as(tenant_attribute="customer")
    feed.put(T, row(3, "acme", "eu"), row(4, "eu", "acme"))
    feed.deliver()
    found = restored(here, T, "--tenant", "acme")
    assert {int(json.loads(each)["number"]["N"]) for each in found} == {1, 3}, "the folders of the first two say another thing"


def test_rows_in_one_batch_are_never_twice(here: Scene) -> None:
    """DynamoDB refuses a BatchWriteItem with two operations on one key: also where a key is spelled in two ways."""
    feed = feed_of(here)
    feed.put(T, *(image("n", number) for number in range(30)))
    feed.deliver()
    words = [word for text in ("1", "1.0", "1E0", "10e-1") for word in ("--key", f'{{"zone":"n","number":{text}}}')]
    new = here.table + "-new"
    ran = here.call("restore", here.table, "--at", str(T), "--to", new, "--json", *words)
    assert (ran.code, ran.json()["put"]) == (0, 1), ran.err
    assert list(here.items(new)) == [feed.vault.key_of(image("n", 1))]


# --- where to ---------------------------------------------------------------------------------------------------------------------


def test_a_new_table_may_exist_if_it_is_empty_and_has_the_same_keys(here: Scene) -> None:
    feed = feed_of(here)
    feed.put(T, image("a", 1))
    feed.deliver()
    other = KeySchema(KeyAttribute("zone", "S"))
    for name, schema in ((here.table + "-empty", SCHEMA), (here.table + "-other", other), (here.table + "-full", SCHEMA)):
        here.create(name, schema=schema)
    here.live(here.table + "-full").write([])
    here.put()
    words = ("restore", here.table, "--at", str(T), "--to")
    assert here.call(*words, here.table + "-empty").code == 0
    assert len(here.items(here.table + "-empty")) == 1
    refused = here.call(*words, here.table + "-other")
    assert (refused.code, "another key schema" in refused.err) == (4, True)
    refused = here.call(*words, here.table + "-empty")  # not empty any more
    assert (refused.code, "holds items" in refused.err, refused.out) == (4, True, "")


def test_a_file_that_is_there_is_not_overwritten(here: Scene) -> None:
    feed = feed_of(here)
    feed.put(T, image("a", 1))
    feed.deliver()
    path = here.folder / "out"
    path.write_text("precious")
    ran = here.call("restore", here.table, "--at", str(T), "--to-file", str(path))
    assert (ran.code, path.read_text()) == (4, "precious")
    ran = here.call("restore", here.table, "--at", str(T), "--to-file", str(here.folder / "no" / "folder"))
    assert (ran.code, "does not exist" in ran.err) == (1, True)


def test_the_write_rate_is_kept(here: Scene, tmp_path: Path) -> None:
    feed = feed_of(here)
    feed.put(T, *(image("n", number) for number in range(75)))
    feed.deliver()
    ran = here.call("restore", here.table, "--at", str(T), "--to", here.table + "-slow", "--max-write-units", "50", "--json")
    assert (ran.code, ran.json()["put"]) == (0, 75), ran.err
    assert ran.json()["seconds"] >= 1.0, "three batches of 25 units at 50 a second: the third begins after one second"
    assert not list(tmp_path.glob("backstream-restore-*"))


def test_the_moment_is_said_in_utc(here: Scene) -> None:
    feed = feed_of(here)
    feed.put(T, image("a", 1))
    feed.deliver()
    ran = here.call("restore", here.table, "--at", str(T), "--to-file", "out", "--json")
    assert ran.json()["at"] == moment.iso(T)

"""`backfill --from-export`: AWS's exports as a base backup and as changes; what is not whole is named and never counts."""

from __future__ import annotations

import gzip
import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.model import moment, moment_arguments
from backstream.model.tables.naming import Naming
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.stores.folder import FolderFiles
from backstream.vault.aws_export import ExportWriter
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.segments import Codec
from kit.exports import seal
from kit.feed import Feed
from kit.images import hard_images, image, key
from kit.incremental import Net, net_changes, write_incremental
from kit.proxy import Dropped, FaultProxy, Forward, Request, Response, answer
from kit.scene import Ran, Scene, file_items, same
from kit.stage import wait_for

NOW = int(time.time())
T = NOW - 7_200  # a full export's moment
BEGAN = T - 60
EXPORT = "01700000000000-0a1b2c3d"
GOLDEN_OWNER = ("111122223333", "eu-central-1", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")  # of the exports in `golden`
GOLDEN = Path(__file__).parent.parent / "golden" / "aws-export"
GOLDEN_AT = 1_699_999_200
GOLDEN_NEXT = "01700086400000-4e5f6a7b"
FIRST = "a4kx2mzq5u7wfr3hbn6tdyj2ce.json.gz"
CHANGED = "q3w6zt2ybnf5kx7hmj4rsd2leu.json.gz"
FLIGHTS = KeySchema(KeyAttribute("id", "S"))


@pytest.fixture(params=[Layout.ROWS, pytest.param(Layout.LOG, marks=pytest.mark.soak)])
def layout(request: pytest.FixtureRequest) -> Layout:
    """Of the log layout the property test of exports and two tests here tell the same, sooner."""
    return Layout(request.param)


def feed_of(scene: Scene, *, began: int = BEGAN, layout: Layout = Layout.ROWS, empty: bool = False) -> Feed:
    """A vault in a folder, of a table that is not there: what is taken in is not taken from it."""
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    owner = GOLDEN_OWNER if scene.table == "flights" else None
    return Feed(
        scene.store(),
        scene.table,
        began=began,
        naming=Naming.PLAIN,
        schema=scene.schema,
        layout=layout,
        empty=empty,
        owner=owner,
    )


def full(scene: Scene, feed: Feed, at: int, *, export_id: str = "1-full", files: int = 1) -> str:
    """A full export of the table at a second; its URL."""
    writer = ExportWriter(FolderFiles(scene.folder / "exports"), export_id, Codec.GZIP, file_bytes=1 if files > 1 else 1 << 20)
    writer.start()
    for each in feed.model.at(at).values():
        writer.add(each)
    writer.close()
    writer.complete(feed.catalog, at, began=at, ended=at + 1)
    return f"file://{scene.folder}/exports/AWSDynamoDB/{export_id}"


def incremental(scene: Scene, feed: Feed, since: float, until: float, changes: Sequence[Net], export_id: str = "2-next") -> str:
    """An incremental export of these lines; its URL."""
    write_incremental(FolderFiles(scene.folder / "exports"), export_id, feed.catalog, since, until, changes)
    return f"file://{scene.folder}/exports/AWSDynamoDB/{export_id}"


def take(scene: Scene, url: str, *words: str) -> Ran:
    return scene.call("backfill", scene.table, "--from-export", url, "--json", *words)


def restore(scene: Scene, at: int) -> Ran:
    (scene.folder / "out").unlink(missing_ok=True)
    return scene.call("restore", scene.table, "--at", str(at), "--to-file", "out", "--json")


def restored(scene: Scene, at: int) -> dict[bytes, bytes]:
    ran = restore(scene, at)
    assert ran.code == 0, ran.err
    return file_items(scene.folder / "out", scene.schema)


def status(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = scene.call("status", scene.table, "--json").json()
    found.pop("lag_seconds")
    return found


def objects(scene: Scene) -> dict[str, bytes]:
    """Every version of every object in the vault's folder."""
    return {str(path): path.read_bytes() for path in (scene.folder / "vault").rglob("*") if path.is_file()}


# --- a full export as a base backup -----------------------------------------------------------------------------------------------


def test_a_snapshot_of_one_vault_is_the_base_backup_of_another_and_the_table_is_not_read(scene: Scene) -> None:
    """On real servers, by the clock: a Scan is denied all the while."""
    scene.create()
    scene.init()
    hard = [each for each in hard_images().values() if len(each) < 10_000]
    scene.put(*hard, *(image("row", number, v={"S": "then"}) for number in range(20)))
    knowing, scene.url = scene.url, f"s3://{scene.bucket}/another"
    scene.init(naming=Naming.PLAIN)
    followed = time.time()
    assert restore(scene, int(time.time())).code == 4
    wait_for(lambda: time.time() > followed + 4)  # the export's moment is to be surely after `init`
    at, then = int(time.time()) - 1, scene.items()
    scene.url = knowing
    scene.tail()
    snapshot = scene.call("snapshot", scene.table, "--at", str(at), "--to", f"s3://{scene.bucket}/exports", "--json")
    assert snapshot.code == 0, snapshot.err

    scene.url = f"s3://{scene.bucket}/another"
    scene.put(image("row", 1, v={"S": "changed"}), image("new", 1), image("short", 1))
    scene.delete(key("row", 2), key("short", 1))
    with FaultProxy(scene.aws.endpoint("dynamodb")) as proxy:
        denied = proxy.on(
            answer(400, '{"__type":"com.amazonaws.dynamodb#AccessDeniedException","message":"no Scan"}'), operation="Scan"
        )
        through = {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url}
        url = snapshot.json()["url"]
        ran = scene.call("backfill", scene.table, "--from-export", url, "--json", environment=through)
        assert ran.code == 0, ran.err
        scanning = scene.call("backfill", scene.table, "--fresh", environment=through)
        assert (scanning.code, denied.matched > 0) == (1, True), "the denial works"
    report = ran.json()
    assert (report["kind"], report["rows"], report["written"]) == ("export", len(then), len(then))
    assert (report["resumed"], report["read_units"]) == (False, None)
    assert moment_arguments.parse(report["began"], 0) <= at <= moment_arguments.parse(report["ended"], 0)
    wait_for(lambda: time.time() > at + 8)  # the stream is to be read past the export's moment
    scene.tail()
    now = int(time.time()) - 1
    assert same(restored(scene, now), scene.items())
    assert {scene.vault().key_of(key("row", 1)), scene.vault().key_of(key("new", 1))} <= scene.items().keys()
    assert scene.call("verify", scene.table, "--patience", "0.5").code == 0


EXPORTED = (
    '{"id":{"S":"LH402"},"gate":{"S":"B 42 \U0001f6eb"},"crew":{"L":[{"M":{"badge":{"B":"AAH/"}}},{"NULL":true}]},'
    '"delayed":{"BOOL":false}}'.encode(),
    b'{"id":{"S":"LH404"},"stops":{"SS":["FRA","EWR"]}}',  # a set in another order
)


def test_the_golden_full_export(scene: Scene, layout: Layout) -> None:
    scene.table, scene.schema = "flights", FLIGHTS
    feed = feed_of(scene, began=GOLDEN_AT - 100, layout=layout)
    url = f"file://{GOLDEN}/full/AWSDynamoDB/{EXPORT}"
    ran = take(scene, url)
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["kind"], report["rows"], report["written"], report["segments"]) == ("export", 3, 3, 3)
    assert any("once the stream has been read" in each for each in report["warnings"])
    feed.put(GOLDEN_AT - 90, *EXPORTED)
    feed.take()  # only the export tells of these
    feed.put(GOLDEN_AT + 10, b'{"id":{"S":"LH402"},"seats":{"N":"1"}}')
    feed.put(GOLDEN_AT + 10, b'{"id":{"S":"LH408"}}')
    feed.delete(GOLDEN_AT + 11, b'{"id":{"S":"LH404"}}')
    feed.deliver(now=GOLDEN_AT + 50)
    feed.reached(GOLDEN_AT + 100)
    found = restored(scene, GOLDEN_AT + 50)
    assert found == {
        b'{"id":{"S":"LH400"}}': (
            b'{"id":{"S":"LH400"},"seats":{"N":"364"},"fares":{"NS":["1E+100","-0.50","12345678901234567890123456789012345678"]}}'
        ),
        b'{"id":{"S":"LH402"}}': b'{"id":{"S":"LH402"},"seats":{"N":"1"}}',
        b'{"id":{"S":"LH408"}}': b'{"id":{"S":"LH408"}}',
    }
    assert restored(scene, GOLDEN_AT + 5).keys() == {b'{"id":{"S":"LH40%d"}}' % number for number in (0, 2, 4)}
    assert restore(scene, GOLDEN_AT - 1).code == 4, "what it was before the export's moment no export tells"
    assert status(scene)["window_from"] == moment.iso(GOLDEN_AT + 2)
    assert [each["kind"] for each in status(scene)["base_backups"]] == ["export"]
    before = objects(scene)
    again = take(scene, url)
    assert (again.code, again.json()["rows"], again.json()["written"]) == (0, 3, 0)
    assert objects(scene) == before, "taken in again it changes nothing"


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_a_plan_of_fewer_files_that_somebody_put_there_is_not_gone_on_with(scene: Scene, segments: int) -> None:
    """It would end without the rows of the others, and pass for the whole table."""
    scene.table, scene.schema = "flights", FLIGHTS
    feed_of(scene, began=GOLDEN_AT - 100, layout=Layout.LOG)
    (summary,) = (GOLDEN / "full" / "AWSDynamoDB" / EXPORT).glob("manifest-summary.json")
    arn = json.loads(summary.read_bytes())["exportArn"]
    planted = {"format": 1, "id": "planted", "kind": "export", "source": arn, "segments": segments, "began": GOLDEN_AT - 4}
    scene.store().put("_backstream/flights/base/planted/plan.json", json.dumps(planted).encode())
    ran = take(scene, f"file://{GOLDEN}/full/AWSDynamoDB/{EXPORT}")
    assert ran.code == 0, ran.err
    report = ran.json()
    assert (report["rows"], report["segments"], report["resumed"]) == (3, 3, False)


# --- a gap between an export and `init` -------------------------------------------------------------------------------------------


def late_vault(scene: Scene, layout: Layout) -> Feed:
    """A table that lived before anybody followed it: from T + 600 on somebody did."""
    feed = feed_of(scene, began=T + 600, layout=layout)
    feed.put(T - 50, *(image("row", number, v={"S": "then"}) for number in range(6)))
    feed.put(T + 100, image("row", 1, v={"S": "between"}), image("new", 1), image("short", 1))
    feed.delete(T + 150, key("row", 2), key("short", 1))
    feed.take()
    feed.put(T + 700, image("row", 3, v={"S": "followed"}))
    feed.delete(T + 700, key("row", 4))
    feed.deliver()
    feed.reached(T + 5_000)
    return feed


def writes_of(feed: Feed) -> list[tuple[int, bytes, bytes | None]]:
    """All that was done to the table, in order."""
    seconds = sorted({second for second in range(T - 60, T + 1_000) if feed.model.at(second) != feed.model.at(second - 1)})
    found: list[tuple[int, bytes, bytes | None]] = []
    for second in seconds:
        now, before = feed.model.at(second), feed.model.at(second - 1)
        found += [(second, each, now.get(each)) for each in now.keys() | before.keys() if now.get(each) != before.get(each)]
    return found


def reaching(scene: Scene, since: int, layout: Layout) -> Feed:
    """Take in a full export of T, and an incremental one from `since` on to after `init`; check each step."""
    feed = late_vault(scene, layout)
    ran = take(scene, full(scene, feed, T))
    assert ran.code == 0, ran.err
    assert any("before `init`" in each for each in ran.json()["warnings"])
    refused = restore(scene, T + 1_000)
    assert (refused.code, refused.out) == (4, "")
    assert "before `init`" in refused.err
    told = status(scene)
    assert [each["reason"] for each in told["gaps"]] == ["before `init`, when nobody followed the stream"]
    assert told["ranges"] == []

    url = incremental(scene, feed, since, T + 900, net_changes(writes_of(feed), since, T + 900))
    ran = take(scene, url)
    assert ran.code == 0, ran.err
    assert ran.json()["kind"] == "incremental"
    return feed


def gone(scene: Scene, which: bytes, at: int) -> bool:
    """Whether the vault says of one item that it did not exist then."""
    shown = scene.call("show", scene.table, which.decode(), "--at", str(at))
    return (shown.code, shown.out, "did not exist" in shown.err) == (1, "", True)


def check_reached(scene: Scene, feed: Feed) -> None:
    told = status(scene)
    assert (told["gaps"], len(told["closed_gaps"])) == ([], 1)
    assert {each["kind"] for each in told["base_backups"]} == {"export", "incremental"}
    assert moment_arguments.parse(told["window_from"], 0) in (T + 899, T + 900)
    assert told["window_to"] == moment.iso(T + 5_000)
    for at in (T + 900, T + 1_000):
        assert restored(scene, at) == feed.model.at(at)
        assert gone(scene, key("row", 4), at), "deleted by the stream"
        assert gone(scene, key("row", 2), at), "deleted by the export"
    assert restore(scene, T + 120).code == 4, "what it was within the window no export tells"


def test_an_incremental_export_goes_on_where_the_full_one_ended(scene: Scene, layout: Layout) -> None:
    """The usual chain: from exactly the full export's moment on."""
    check_reached(scene, reaching(scene, T, layout))


def test_an_incremental_export_that_begins_before_the_full_one_makes_up_for_nothing(scene: Scene) -> None:
    """What the full one holds may have been deleted since: of what was made and deleted within its window it has no line."""
    reaching(scene, T - 10, Layout.ROWS)
    assert restore(scene, T + 1_000).code == 4


@pytest.mark.parametrize("layout", Layout)
def test_the_other_way_round(scene: Scene, layout: Layout) -> None:
    feed = late_vault(scene, layout)
    first = incremental(scene, feed, T, T + 900, net_changes(writes_of(feed), T, T + 900))
    assert take(scene, first).code == 0
    assert restore(scene, T + 1_000).code == 4, "changes alone are no table"
    assert take(scene, full(scene, feed, T)).code == 0
    check_reached(scene, feed)


# --- incremental exports as changes -----------------------------------------------------------------------------------------------


def shown_history(scene: Scene, which: bytes) -> list[tuple[str, str | None, str, object]]:
    ran = scene.call("history", scene.table, which.decode(), "--json")
    assert ran.code == 0, ran.err
    return [(each["time"], each["sequence"], each["event"], each["image"]) for each in ran.json()]


@pytest.mark.parametrize("layout", Layout)
def test_net_changes_are_in_the_history_at_their_times(scene: Scene, layout: Layout) -> None:
    feed = feed_of(scene, layout=layout)
    at = T * 1_000_000 + 123_456
    was, became = image("changed", 1, n={"N": "1.50"}), image("changed", 1, n={"N": "2"})
    lines = [
        Net(at, key("changed", 1), was, became),
        Net(at + 1, key("new", 1), None, image("new", 1)),
        Net(at + 2, key("gone", 1), image("gone", 1), None),
    ]
    url = incremental(scene, feed, T - 60, T + 60, lines)
    ran = take(scene, url)
    assert ran.code == 0, ran.err
    assert (ran.json()["rows"], ran.json()["kind"]) == (3, "incremental")
    changed, new = (shown_history(scene, key(zone, 1)) for zone in ("changed", "new"))
    assert changed == [(moment.iso_micros(at), None, "MODIFY", json.loads(became))]
    assert new == [(moment.iso_micros(at + 1), None, "INSERT", json.loads(image("new", 1)))]
    before = objects(scene)
    again = take(scene, url)
    assert (again.code, again.json()["written"]) == (0, 0)
    assert objects(scene) == before, "no new objects, no new versions"
    assert shown_history(scene, key("gone", 1)) == [(moment.iso_micros(at + 2), None, "REMOVE", None)]


@pytest.mark.parametrize("export_first", [True, False])
def test_beside_the_stream_in_both_orders(scene: Scene, layout: Layout, *, export_first: bool) -> None:
    """The stream gives whole seconds and numbers as written; an export microseconds and numbers as it likes."""
    feed = feed_of(scene, began=T - 600, layout=layout, empty=True)
    feed.put(T - 100, *(image("row", number, n={"N": "1"}) for number in range(4)), image("back", 1))
    feed.deliver()
    feed.put(T, image("row", 0, n={"N": "1.50"}), image("new", 1, n={"N": "1E+2"}))
    feed.put(T + 5, image("row", 1, n={"N": "0.1"}))
    feed.put(T + 5, image("row", 1, n={"N": "0.2"}))
    feed.delete(T + 6, key("row", 2), key("back", 1))
    feed.put(T + 7, image("back", 1))
    feed.put(T + 90, image("row", 3, n={"N": "9"}))
    nets = net_changes(writes_of(feed), T - 10, T + 60)
    spelled = [Net(net.micros, net.keys, net.old, None if net.new is None else net.new.replace(b"1.50", b"1.5")) for net in nets]
    assert any(b'"1.5"' in (net.new or b"") for net in spelled)
    url = incremental(scene, feed, T - 10, T + 60, spelled)
    if not export_first:
        feed.deliver()
    assert take(scene, url).code == 0
    if export_first:
        feed.deliver()
    feed.reached(NOW - 60)
    for at in (T - 50, T - 1, T, T + 4, T + 5, T + 6, T + 7, T + 60, T + 90):
        assert same(restored(scene, at), feed.model.at(at)), at - T
    told = [(event, sequence is None) for _, sequence, event, _ in shown_history(scene, key("row", 2))]
    assert [event for event, by_export in told if not by_export] == ["INSERT", "REMOVE"]
    assert told[-1] == ("REMOVE", False), "the stream's own word of a write comes after an export's"
    if layout is Layout.ROWS:
        top = {each.name.split("/")[-1]: scene.store().get(each.name).body for each in scene.store().list(f"{scene.table}/")}
        assert same({feed.vault.key_of(body): body for body in top.values()}, feed.model.at(NOW))


@pytest.mark.parametrize("unchanged", [True, False])
def test_what_was_changed_before_a_gap_and_back_or_deleted_within_it(scene: Scene, layout: Layout, *, unchanged: bool) -> None:
    """The log knows of the first change; the export has no line for what it found as it was, or not at all."""
    feed = feed_of(scene, began=T - 600, layout=layout, empty=True)
    feed.put(T - 100, image("back", 1, v={"S": "was"}), image("row", 1, v={"S": "was"}))
    feed.deliver()
    feed.put(T, image("short", 1), image("back", 1, v={"S": "for a while"}), image("row", 1, v={"S": "changed"}))
    feed.deliver()
    feed.delete(T + 20, key("short", 1))
    feed.put(T + 20, image("back", 1, v={"S": "was"}), image("lost", 1))
    feed.take()
    feed.vault.gaps.record(Gap(reason="nobody followed", since=T + 10, until=T + 30, stream=feed.label))
    feed.put(T + 40, image("later", 1))
    feed.deliver()
    feed.reached(NOW - 60)
    assert restore(scene, T + 100).code == 4
    assert restored(scene, T + 9) == feed.model.at(T + 9), "before the gap the log is right"

    nets = net_changes(writes_of(feed), T - 10, T + 60, unchanged=unchanged)
    short = feed.vault.key_of(key("short", 1))
    assert short not in {net.keys for net in nets}
    assert take(scene, incremental(scene, feed, T - 10, T + 60, nets)).code == 0
    then = feed.model.at(T + 100)
    assert short not in then
    assert restored(scene, T + 100) == then
    assert gone(scene, short, T + 100), "asked for alone it does not exist either"
    assert restored(scene, T + 9) == feed.model.at(T + 9), "and it still is"
    assert restore(scene, T + 25).code == 4
    assert [each["since"] for each in status(scene)["closed_gaps"]] == [moment.iso(T + 10)]


def test_of_two_windows_that_overlap_the_wider_one_tells_what_is_gone(scene: Scene) -> None:
    feed = feed_of(scene, began=T - 600, empty=True)
    feed.put(T + 12, image("short", 1))
    feed.delete(T + 28, key("short", 1))
    feed.take()
    feed.vault.gaps.record(Gap(reason="nobody followed", since=T + 10, until=T + 30, stream=feed.label))
    feed.reached(NOW - 60)
    for number, (since, until) in enumerate([(T + 7, T + 20), (T + 6, T + 35)]):
        lines = net_changes(writes_of(feed), since, until)
        assert take(scene, incremental(scene, feed, since, until, lines, f"{number}-part")).code == 0
    assert restored(scene, T + 100) == feed.model.at(T + 100) == {}


def test_a_base_backup_within_a_window_is_not_built_on(scene: Scene) -> None:
    """What it found may have been deleted in the gap after it, of which the export has no line."""
    feed = feed_of(scene, began=T - 600, empty=True)
    feed.put(T + 12, image("short", 1))
    feed.delete(T + 18, key("short", 1))
    feed.take()
    feed.vault.gaps.record(Gap(reason="nobody followed", since=T + 10, until=T + 30, stream=feed.label))
    feed.reached(NOW - 60)
    lines = net_changes(writes_of(feed), T + 5, T + 35)
    assert take(scene, incremental(scene, feed, T + 5, T + 35, lines)).code == 0
    assert take(scene, full(scene, feed, T + 15)).code == 0
    assert restored(scene, T + 100) == feed.model.at(T + 100) == {}


def test_a_table_that_was_empty_at_init_holds_nothing_of_before(scene: Scene) -> None:
    """A former life of the table, of the same name."""
    feed = feed_of(scene, began=T, empty=True)
    feed.put(T - 50, image("former", 1))
    feed.take()
    assert take(scene, incremental(scene, feed, T - 60, T - 10, net_changes(writes_of(feed), T - 60, T - 10))).code == 0
    feed.reached(NOW - 60)
    assert restored(scene, T + 100) == {}


def test_a_window_that_ends_within_a_second(scene: Scene) -> None:
    feed = feed_of(scene, began=T - 600, empty=True)
    feed.put(T + 5, image("row", 1, v={"S": "first"}))
    feed.deliver()
    feed.put(T + 15, image("row", 1, v={"S": "lost"}))
    feed.take()
    feed.put(T + 21, image("row", 1, v={"S": "last"}))
    feed.deliver()
    feed.vault.gaps.record(Gap(reason="nobody followed", since=T + 10, until=T + 20, stream=feed.label))
    feed.reached(NOW - 60)
    lines = net_changes(writes_of(feed), T + 8, T + 22)
    assert take(scene, incremental(scene, feed, T + 8, T + 21.5, lines)).code == 0
    assert restored(scene, T + 21) == feed.model.at(T + 21)
    assert restore(scene, T + 20).code == 4, "what it was then no export tells"


# --- bad input --------------------------------------------------------------------------------------------------------------------

Damage = Callable[[Path], object]


def data(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Alter a data file, checksums and all."""
    (path,) = folder.parent.rglob(name)
    path.write_bytes(change(path.read_bytes()))
    seal(folder, name)


def swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        lines = gzip.decompress(body)
        assert old in lines
        return gzip.compress(lines.replace(old, new))

    return change


FULL_DAMAGE: dict[str, tuple[Damage, str, int, bool]] = {
    "no summary": (lambda folder: (folder / "manifest-summary.json").unlink(), "manifest-summary.json", 1, False),
    "a missing data file": (lambda folder: (folder / "data" / FIRST).unlink(), FIRST, 1, True),
    "a wrong MD5": (lambda folder: (folder / "data" / FIRST).write_bytes(b"x"), FIRST, 1, True),
    "cut gzip": (lambda folder: data(folder, FIRST, lambda body: body[:-12]), FIRST, 1, True),
    "no JSON": (lambda folder: data(folder, FIRST, swap(b'{"Item":{"id":{"S":"LH402"', b"oops")), f"{FIRST}, line 2", 1, True),
    "a key of another type": (
        lambda folder: data(folder, FIRST, swap(b'"id":{"S":"LH402"}', b'"id":{"N":"402"}')),
        f"{FIRST}, line 2",
        1,
        True,
    ),
    "an item without the key": (lambda folder: data(folder, FIRST, swap(b'"id":{"S":"LH400"}', b'"no":{"S":"x"}')), FIRST, 1, True),
    "a count that does not fit": (lambda folder: seal(folder, FIRST, itemCount=4), "manifest-files.json", 1, False),
    "a time that is none": (lambda folder: seal(folder, FIRST, exportTime="noon"), "manifest-summary.json", 1, False),
    "another table": (
        lambda folder: seal(folder, FIRST, tableArn="arn:aws:dynamodb:us-east-1:123456789012:table/trains"),
        "trains",
        4,
        False,
    ),
    "another account": (
        lambda folder: seal(folder, FIRST, tableArn="arn:aws:dynamodb:eu-central-1:444455556666:table/flights"),
        "444455556666",
        4,
        False,
    ),
    "a filter": (
        lambda folder: seal(folder, FIRST, filterSpecification={"FilterExpression": "carrier = :c"}),
        "made with a filter",
        4,
        False,
    ),
    "another region": (
        lambda folder: seal(folder, FIRST, tableArn="arn:aws:dynamodb:us-east-1:111122223333:table/flights"),
        "us-east-1",
        4,
        False,
    ),
    "a table that was made again": (lambda folder: seal(folder, FIRST, tableId="77777777-0000"), "77777777-0000", 4, False),
    "no table at all": (lambda folder: seal(folder, FIRST, tableArn="flights"), "tableArn", 1, False),
    "a format that nobody knows": (lambda folder: seal(folder, FIRST, outputFormat="PARQUET"), "PARQUET", 2, False),
    "JSON that is said to be Ion": (
        lambda folder: seal(folder, FIRST, outputFormat="ION"),
        "not an item with this table's key",
        1,
        True,
    ),
}

NET_DAMAGE: dict[str, tuple[Damage, str, int]] = {
    "a new image of another item": (
        lambda folder: data(folder, CHANGED, swap(b'"NewImage":{"id":{"S":"LH400"', b'"NewImage":{"id":{"S":"LH999"')),
        CHANGED,
        1,
    ),
    "an old image of another item": (
        lambda folder: data(folder, CHANGED, swap(b'"OldImage":{"id":{"S":"LH400"', b'"OldImage":{"id":{"S":"LH999"')),
        CHANGED,
        1,
    ),
    "keys of another type": (lambda folder: data(folder, CHANGED, swap(b'"Keys":{"id":{"S"', b'"Keys":{"id":{"N"')), CHANGED, 1),
    "no time": (lambda folder: data(folder, CHANGED, swap(b'"WriteTimestampMicros"', b'"Written"')), CHANGED, 1),
    "a time that is none": (lambda folder: seal(folder, CHANGED, exportToTime="noon"), "manifest-summary.json", 1),
    "a missing data file": (lambda folder: next(folder.parent.rglob(CHANGED)).unlink(), CHANGED, 1),
    "cut gzip": (lambda folder: data(folder, CHANGED, lambda body: body[:-12]), CHANGED, 1),
}


@pytest.fixture
def damaged(scene: Scene) -> Path:
    """A copy of the golden exports, to be damaged; `flights` has a vault."""
    scene.table, scene.schema = "flights", FLIGHTS
    shutil.copytree(GOLDEN, scene.folder / "golden")
    return scene.folder / "golden"


def mend(golden: Path) -> None:
    shutil.rmtree(golden)
    shutil.copytree(GOLDEN, golden)


@pytest.mark.parametrize("case", FULL_DAMAGE)
def test_a_damaged_full_export_is_named_and_does_not_count(scene: Scene, damaged: Path, case: str) -> None:
    damage, name, code, resumed = FULL_DAMAGE[case]
    feed = feed_of(scene, began=GOLDEN_AT - 100)
    feed.reached(GOLDEN_AT + 100)
    folder = damaged / "full" / "AWSDynamoDB" / EXPORT
    url, before = f"file://{folder}", status(scene)
    damage(folder)
    ran = take(scene, url)
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert name in ran.err
    assert "Traceback" not in ran.err
    assert feed.vault.bases.complete() == []
    assert status(scene) == before
    assert restore(scene, GOLDEN_AT + 50).code == 4
    mend(damaged)
    again = take(scene, url)
    assert (again.code, again.json()["resumed"]) == (0, resumed), again.err
    assert restored(scene, GOLDEN_AT + 50).keys() == {b'{"id":{"S":"LH40%d"}}' % number for number in (0, 2, 4)}


@pytest.mark.parametrize("case", NET_DAMAGE)
def test_a_damaged_incremental_export_is_named_and_does_not_count(scene: Scene, damaged: Path, case: str) -> None:
    damage, name, code = NET_DAMAGE[case]
    feed = feed_of(scene, began=GOLDEN_AT - 100)
    folder = damaged / "incremental" / "AWSDynamoDB" / GOLDEN_NEXT
    before = status(scene)
    damage(folder)
    ran = take(scene, f"file://{folder}")
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert name in ran.err
    assert "Traceback" not in ran.err
    assert feed.vault.bases.complete() == []
    assert status(scene) == before
    mend(damaged)
    again = take(scene, f"file://{folder}")
    assert (again.code, again.json()["rows"]) == (0, 3), again.err
    assert [each["kind"] for each in status(scene)["base_backups"]] == ["incremental"]


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("file:///x/AWSDynamoDB", 1, "there is no export in file:///x/AWSDynamoDB/"),
        ("file:///x/AWSDynamoDB/", 1, "there is no export in file:///x/AWSDynamoDB/"),
        ("s3://bucket/prefix", 1, "there is nothing at s3://bucket/prefix"),
        ("", 2, "an empty text names no place"),
        ("file:///AWSDynamoDB/1/data", 1, "there is nothing at file:///AWSDynamoDB/1/data"),
    ],
)
def test_what_is_no_exports_folder(scene: Scene, url: str, code: int, words: str) -> None:
    feed_of(scene)
    ran = take(scene, url)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err


def test_damage_after_thousands_of_good_lines_leaves_nothing_that_looks_complete(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines before it are true, and may be in the log; the export does not count until all of them are."""
    monkeypatch.setattr("backstream.operations.base.backfill.export.SEGMENT_CHANGES", 10)
    feed = feed_of(scene, began=T - 600, empty=True)
    feed.put(T, *(image("row", number) for number in range(40)))
    feed.take()
    feed.vault.gaps.record(Gap(reason="nobody followed", since=T - 5, until=T + 5, stream=feed.label))
    feed.reached(NOW - 60)
    url = incremental(scene, feed, T - 10, T + 60, net_changes(writes_of(feed), T - 10, T + 60))
    last = scene.folder / "exports/AWSDynamoDB/data/2-next-1.json.gz"
    good = last.read_bytes()
    last.write_bytes(good[:-20])
    assert take(scene, url).code == 1
    assert restore(scene, T + 100).code == 4
    assert status(scene)["base_backups"] == []
    last.write_bytes(good)
    assert take(scene, url).code == 0
    assert restored(scene, T + 100) == feed.model.at(T + 100)
    changes = [entry.keys for listed in feed.vault.log.listing() if listed.segment for entry in feed.vault.log.read(listed)]
    assert len(changes) == len(set(changes)) == 40, "what was taken in before it stopped is not there twice"


def test_an_export_of_before_a_gap_is_gone_on_with(scene: Scene, damaged: Path) -> None:
    feed = feed_of(scene, began=GOLDEN_AT - 100)
    feed.vault.gaps.record(Gap(reason="lost", since=GOLDEN_AT + 10, until=GOLDEN_AT + 20, stream=feed.label))
    folder = damaged / "full" / "AWSDynamoDB" / EXPORT
    (folder / "data" / FIRST).unlink()
    assert take(scene, f"file://{folder}").code == 1
    mend(damaged)
    again = take(scene, f"file://{folder}")
    assert (again.code, again.json()["resumed"]) == (0, True)


# --- killed -----------------------------------------------------------------------------------------------------------------------


def test_killed_in_the_middle_of_a_full_export_of_several_files(scene: Scene) -> None:
    feed = Feed(scene.store(), scene.table, began=BEGAN, empty=False)
    feed.put(T - 50, *(image("row", number, v={"S": "x" * 50}) for number in range(12)))
    feed.take()
    url = full(scene, feed, T, files=12)
    held, let_go = threading.Event(), threading.Event()

    def hold(request: Request, _forward: Forward) -> Response:
        held.set()
        let_go.wait(240)
        raise Dropped(request.path)

    with FaultProxy(scene.aws.url) as proxy:
        rule = proxy.on(hold, method="PUT", path=r"/base/[^/]+/000(0[4-9]|1\d)-")
        through = {"AWS_ENDPOINT_URL_S3": proxy.url}
        first = scene.start("backfill", scene.table, "--from-export", url, environment=through)
        try:
            assert held.wait(240)
            wait_for(lambda: sum(part.count for plan in feed.vault.bases.plans() for part in feed.vault.bases.parts(plan.id)) >= 4)
        finally:
            first.kill()
            let_go.set()
        first.communicate()
        assert rule.matched
    assert first.returncode == -9
    assert feed.vault.bases.complete() == []
    feed.put(T + 10, image("row", 1, v={"S": "changed"}))
    feed.deliver()
    feed.reached(T + 100)
    second = take(scene, url)
    assert second.code == 0, second.err
    report = second.json()
    assert (report["resumed"], report["rows"], report["segments"]) == (True, 12, 12)
    assert report["written"] < 12, "what was kept is not written again"
    assert restored(scene, T + 50) == feed.model.at(T + 50)

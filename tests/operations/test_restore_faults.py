"""Restores while the world misbehaves: whatever can be restored is, whatever cannot is named, and nothing half-done looks done.

Faults come over real HTTP, from a proxy before S3 or DynamoDB.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from backstream.model.tables.naming import Naming
from backstream.ports import Delete
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.proxy import FaultProxy, Request, Response, answer, cut, every, first, pass_on, respond, rewrite, sometimes
from kit.scene import Ran, Scene, file_items, same
from kit.spoil import spoil

NOW = int(time.time())
T = NOW - 3_600
ROWS = 60
S3_ERROR = "<Error><Code>{}</Code><Message>as scripted</Message></Error>"


@pytest.fixture
def feed(scene: Scene) -> Feed:
    """A vault of some rows, in a bucket."""
    feed = Feed(scene.store(), scene.table, began=T - 600, naming=Naming.PLAIN)
    feed.put(T, *(image("row", number, v={"S": "then"}) for number in range(ROWS)))
    feed.deliver()
    feed.reached(T + 60)
    return feed


def restore(scene: Scene, *words: str, at: int = T) -> Ran:
    return scene.call("restore", scene.table, "--at", str(at), "--json", "--patience", "2", *words)


def row_path(number: int) -> str:
    return f"/row(%20|\\+)%7C(%20|\\+){number}\\?"


def names(ran: Ran) -> set[str]:
    return {each["what"] for each in ran.json()["failures"]}


def row_key(number: int) -> str:
    return json.dumps({"zone": {"S": "row"}, "number": {"N": str(number)}}, separators=(",", ":"))


# --- DynamoDB leaves writes unprocessed -------------------------------------------------------------------------------------------


def refuse_duplicates(request: Request) -> Response | None:
    """As DynamoDB does: a batch of more than 25 writes, or with two on one key, is refused as a whole."""
    (writes,) = request.json()["RequestItems"].values()
    bodies = [body.get("Item") or body["Key"] for write in writes for body in write.values()]
    keys = {json.dumps([body[name] for name in SCHEMA.names]) for body in bodies}
    if len(keys) == len(writes) <= 25:
        return None
    return Response(400, b'{"__type":"com.amazon.coral.validate#ValidationException","message":"duplicates"}')


def leave(share: float) -> Any:
    """Do the first part of a batch, leave the rest unprocessed."""

    def act(request: Request, forward: Any) -> Response:
        asked = request.json()["RequestItems"]
        ((table, writes),) = asked.items()
        kept = int(len(writes) * (1 - share))
        if kept:
            body = json.dumps({"RequestItems": {table: writes[:kept]}}).encode()
            headers = {name: value for name, value in request.headers.items() if name != "content-length"}
            forward(Request(request.method, request.path, headers, body))
        left = {table: writes[kept:]} if writes[kept:] else {}
        return Response(200, json.dumps({"UnprocessedItems": left}).encode(), {"content-type": "application/x-amz-json-1.0"})

    return act


def test_unprocessed_items_are_tried_again_until_all_are_there(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    feed.put(T, *(image("more", number) for number in range(400)))
    feed.deliver()
    rule = dynamodb.on(leave(0.5), operation="BatchWriteItem", when=every(3))
    new = scene.table + "-new"
    ran = restore(scene, "--to", new, "--patience", "60")
    assert ran.code == 0, ran.err
    assert rule.fired > 3
    assert (ran.json()["put"], ran.json()["failed"]) == (ROWS + 400, 0)
    assert same(scene.items(new), feed.model.at(T))


@pytest.mark.parametrize("target", [pytest.param("new", marks=pytest.mark.soak), "in place"])
def test_what_is_never_processed_is_named_and_resumed_later(scene: Scene, feed: Feed, dynamodb: FaultProxy, target: str) -> None:
    name = scene.table if target == "in place" else scene.table + "-new"
    scene.create(name)
    if target == "in place":
        scene.put(image("created after", 1), image("row", 3, v={"S": "then"}))
    dynamodb.on(leave(1.0), operation="BatchWriteItem")
    ran = restore(scene, *(["--in-place", "--yes", "--force"] if target == "in place" else ["--to", name]))
    report = ran.json()
    assert ran.code == 1
    expected = {row_key(number) for number in range(ROWS)}
    if target == "in place":
        expected = expected - {row_key(3)} | {feed.vault.key_of(key("created after", 1)).decode()}
    assert names(ran) == expected
    assert (report["put"], report["deleted"], report["failed"]) == (0, 0, len(expected))
    left = Path(report["left"])
    assert left.parent == scene.folder
    assert len(left.read_text().splitlines()) == 1 + len(expected) + 1, "what was asked, what is left, and that this is all"
    assert str(left) in ran.err, "people are told how to go on"
    assert "unprocessed" in ran.err

    still = scene.call("restore", scene.table, "--resume", str(left), "--patience", "1", "--force", "--json")
    assert (still.code, still.json()["failed"], still.json()["left"]) == (1, len(expected), str(left))

    dynamodb.clear()
    restore_id = left.stem.removeprefix("backstream-restore-")
    done = scene.call("restore", scene.table, "--resume", restore_id, "--json")
    assert done.code == 0, done.err
    assert done.json()["put"] + done.json()["deleted"] == len(expected)
    assert done.json()["at"] == report["at"]
    assert same(scene.items(name), feed.model.at(T))
    assert not list(scene.folder.glob("backstream-restore-*"))


def test_resuming_what_is_not_there_or_of_another_table_is_a_usage_error(scene: Scene, feed: Feed) -> None:
    assert scene.call("restore", scene.table, "--resume", "no-such-id").code == 2
    (scene.folder / "other").write_text('{"restore":"x","table":"other","at":1,"target":"t"}\n')
    ran = scene.call("restore", scene.table, "--resume", "other")
    assert (ran.code, "not of" in ran.err) == (2, True)
    (scene.folder / "other").write_text("no json")
    assert scene.call("restore", scene.table, "--resume", "other").code == 2
    assert feed.vault


def test_one_item_that_dynamodb_does_not_take_is_named_and_the_others_are_written(
    scene: Scene, feed: Feed, dynamodb: FaultProxy
) -> None:
    refuse = answer(400, '{"__type":"com.amazon.coral.validate#ValidationException","message":"Item size has exceeded"}')
    dynamodb.on(refuse, operation="BatchWriteItem", body=rb'"number":\s*\{"N":\s*"17"\}')
    new = scene.table + "-new"
    ran = restore(scene, "--to", new)
    assert (ran.code, ran.json()["put"], ran.json()["failed"]) == (1, ROWS - 1, 1)
    assert names(ran) == {row_key(17)}
    assert "Item size" in ran.err
    assert len(scene.items(new)) == ROWS - 1
    dynamodb.clear()
    assert scene.call("restore", scene.table, "--resume", ran.json()["left"]).code == 0
    assert same(scene.items(new), feed.model.at(T))


def test_no_batch_ever_names_a_key_twice(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    rule = dynamodb.on(respond(refuse_duplicates), operation="BatchWriteItem")
    scene.create()
    scene.put(*(image("row", number, v={"S": "ruined"}) for number in range(0, ROWS * 2, 2)))
    ran = restore(scene, "--in-place", "--yes", "--force")
    assert ran.code == 0, ran.err
    assert rule.matched > 2
    assert same(scene.items(), feed.model.at(T))


def test_single_writes_that_are_throttled_are_named_and_resumed_later(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    """In place each row is a request of its own."""
    scene.create()
    busy = answer(400, '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow"}')
    dynamodb.on(busy, operation="PutItem", when=lambda count: count > 10)
    ran = restore(scene, "--in-place", "--yes")
    assert ran.code == 1
    assert 10 <= ran.json()["put"] < ROWS
    assert ran.json()["put"] + ran.json()["failed"] == ROWS
    assert len(scene.items()) == ran.json()["put"], "what is counted is there"
    dynamodb.clear()
    assert scene.call("restore", scene.table, "--resume", ran.json()["left"]).code == 0
    assert same(scene.items(), feed.model.at(T))


def test_access_that_ends_in_the_middle_leaves_a_file_to_resume(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    denied = answer(400, '{"__type":"com.amazonaws.dynamodb.v20120810#ExpiredTokenException","message":"expired"}')
    dynamodb.on(denied, operation="BatchWriteItem", when=lambda count: count > 1)
    new = scene.table + "-new"
    ran = restore(scene, "--to", new)
    assert (ran.code, ran.json()["put"]) == (1, 25)
    assert len(names(ran)) == ran.json()["failed"] == ROWS - 25
    assert "expired" in ran.err
    dynamodb.clear()
    assert scene.call("restore", scene.table, "--resume", ran.json()["left"]).code == 0
    assert same(scene.items(new), feed.model.at(T))


# --- S3 ---------------------------------------------------------------------------------------------------------------------------


def test_slow_down_and_a_connection_that_breaks_in_the_middle_of_a_body_are_survived(
    scene: Scene, feed: Feed, s3: FaultProxy
) -> None:
    busy = s3.on(answer(503, S3_ERROR.format("SlowDown")), method="GET", path=row_path(5), when=first(1))
    broken = s3.on(cut(7), method="GET", path=row_path(7), when=first(1))
    random = s3.on(answer(503, S3_ERROR.format("SlowDown")), method="GET", when=sometimes(0.05, seed=7))
    new = scene.table + "-new"
    ran = scene.call("restore", scene.table, "--at", str(T), "--json", "--to", new)
    assert ran.code == 0, ran.err
    assert (busy.fired, broken.fired) == (1, 1)
    assert random.matched
    assert same(scene.items(new), feed.model.at(T))


@pytest.mark.parametrize("fault", [answer(500, S3_ERROR.format("InternalError")), cut(3)], ids=["500", "cut"])
def test_a_row_that_cannot_be_read_is_named_and_the_rest_restored(scene: Scene, feed: Feed, s3: FaultProxy, fault: Any) -> None:
    s3.on(fault, method="GET", path=row_path(9))
    new = scene.table + "-new"
    ran = restore(scene, "--to", new)
    assert (ran.code, ran.json()["put"], ran.json()["failed"]) == (1, ROWS - 1, 1), ran.err
    assert names(ran) == {row_key(9)}
    left = ran.json()["left"]
    s3.clear()
    done = scene.call("restore", scene.table, "--resume", left, "--json")
    assert (done.code, done.json()["put"]) == (0, 1), done.err
    assert same(scene.items(new), feed.model.at(T))


def test_a_row_whose_image_was_altered_or_is_another_items_is_named(scene: Scene, feed: Feed, s3: FaultProxy) -> None:
    other = rewrite(lambda _, response: Response(200, image("row", 8), {**response.headers, "content-length": "45"}))
    s3.on(other, method="GET", path=row_path(9))
    s3.on(rewrite(lambda _, response: Response(200, response.body[:-5], dict(response.headers))), method="GET", path=row_path(10))
    ran = restore(scene, "--to-file", "out")
    assert (ran.code, ran.json()["put"], ran.json()["left"]) == (1, ROWS - 2, None), ran.err
    assert names(ran) == {row_key(9), row_key(10)}
    assert feed.model.at(T).keys() - file_items(scene.folder / "out").keys() == {row_key(9).encode(), row_key(10).encode()}


# --- foreign and damaged objects --------------------------------------------------------------------------------------------------


def plant(scene: Scene, feed: Feed) -> dict[str, bytes]:
    """Objects that nobody of ours wrote, in every place where they may get in the way."""
    time.sleep(1.1)  # S3 tells times to the second: what was put over a row must be younger than the row
    log = f"_backstream/{scene.table}/log/"
    objects = {
        f"{scene.table}/empty": b"",
        f"{scene.table}/notes.txt": b"not an item",
        f"{scene.table}/row | 1": b"",
        f"{scene.table}/row | 2": b"not json",
        f"{scene.table}/": b"",  # the S3 console's "folder": nobody's row, and no harm
        f"{log}empty": b"",
        f"{log}dt=2026-01-01/hour=00/garbage.ndjson.zst": b"not json",
    }
    for name, body in objects.items():
        feed.store.put(name, body)
    return objects


def test_foreign_objects_are_named_and_every_row_is_restored(scene: Scene, feed: Feed) -> None:
    feed.put(T + 60, image("created after", 1))
    feed.deliver()
    objects = plant(scene, feed)
    new = scene.table + "-new"
    refused = restore(scene, "--to", new)
    assert (refused.code, refused.out) == (4, "")
    assert "2 object(s)" in refused.err, "those in the log, where changes may be missing instead"
    assert all(name in refused.err for name in objects if "/log/" in name)
    ran = restore(scene, "--to", new, "--allow-gap")
    assert ran.code == 1
    assert names(ran) == set(objects) - {f"{scene.table}/"}
    assert all(name in ran.err for name in names(ran))
    assert same(scene.items(new), feed.model.at(T))
    assert ran.json()["left"] is None, "there is nothing to resume"
    logged = {name for name in objects if "/log/" in name}
    refused = restore(scene, "--to-file", "one", "--key", row_key(2))
    assert (refused.code, refused.out, (scene.folder / "one").exists()) == (4, "", False), "the log tells of single rows, too"
    assert "2 object(s)" in refused.err
    assert all(name in refused.err for name in logged)
    one = restore(scene, "--to-file", "one", "--key", row_key(2), "--allow-gap")
    assert (one.code, names(one)) == (1, logged), "what lies over the row itself is not looked at"
    assert file_items(scene.folder / "one") == {row_key(2).encode(): feed.model.at(T)[row_key(2).encode()]}
    scene.create()
    for name in objects:
        if "/log/" in name:
            feed.store.delete(name)
    ran = restore(scene, "--in-place", "--yes")
    assert (ran.code, ran.json()["put"]) == (1, ROWS), "without those nothing of the log is in doubt"
    assert names(ran) == {name for name in objects if "/log/" not in name} - {f"{scene.table}/"}
    assert same(scene.items(), feed.model.at(T))


def test_in_place_with_a_damaged_segment_is_refused_or_deletes_nothing_that_it_does_not_know(scene: Scene, feed: Feed) -> None:
    feed.delete(T + 5, key("row", 4))
    feed.put(T + 5, image("row", 5, v={"S": "later"}))
    feed.deliver()
    segments = {each.name for each in feed.vault.log.listing()}
    feed.put(T + 10, image("row", 4, v={"S": "reborn"}), image("only there", 1))
    feed.deliver()
    (damaged,) = {each.name for each in feed.vault.log.listing()} - segments
    spoil(feed.store, damaged, b"")
    at = T + 20
    scene.create()
    live = [image("row", 4, v={"S": "reborn"}), image("only there", 1), image("row", 5, v={"S": "ruined"})]
    scene.put(*live)
    before = scene.items()
    refused = restore(scene, "--in-place", "--yes", at=at)
    assert (refused.code, refused.out) == (4, "")
    assert damaged in refused.err
    assert "--allow-gap" in refused.err
    assert scene.items() == before

    gone_on = restore(scene, "--in-place", "--yes", "--allow-gap", at=at)
    assert gone_on.code == 1
    assert damaged in names(gone_on)
    assert gone_on.json()["deleted"] == 0
    assert any("cannot be read" in warning for warning in gone_on.json()["warnings"])
    assert any("2 live rows are left alone" in warning for warning in gone_on.json()["warnings"])
    expected = {**feed.model.at(T + 5), **{feed.vault.key_of(each): each for each in live[:2]}}
    assert same(scene.items(), expected)

    assert restore(scene, "--to", scene.table + "-new", at=at).code == 4
    new = restore(scene, "--to", scene.table + "-new", "--allow-gap", at=at)
    assert (new.code, names(new)) == (1, {damaged})
    assert same(scene.items(scene.table + "-new"), feed.model.at(T + 5))


# --- nothing works ----------------------------------------------------------------------------------------------------------------


def failed(ran: Ran, code: int, *words: str) -> None:
    """An error is two lines, what happened and the next step; or with `--json` one line that holds both."""
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    lines = [line for line in ran.err.strip().splitlines() if not line.startswith("if this is interrupted")]
    if lines[0].startswith("{"):
        assert len(lines) == 1, ran.err
        assert json.loads(lines[0])["error"]["hint"], ran.err
    else:
        assert len(lines) == 2, ran.err
        assert lines[0].startswith("error: ")
    assert all(word in ran.err for word in words), ran.err


def test_what_is_missing_is_said_with_the_next_step(scene: Scene, feed: Feed) -> None:
    failed(restore(scene, "--in-place", "--yes"), 1, scene.table, "Check the table's name")
    nowhere = ("--vault", "s3://backstream-no-such-bucket/x")
    failed(restore(scene, "--to-file", "out", *nowhere), 1, "backstream-no-such-bucket", "backstream init")
    failed(restore(scene, "--to-file", "out", "--vault", f"file://{scene.folder}/none"), 1, "mkdir")
    failed(scene.call("restore", "unknown", "--at", "now", "--to-file", "out"), 1, "unknown", f"The vault holds '{scene.table}'")
    failed(restore(scene, "--to-file", "out", "--vault", "ftp://x"), 2, "s3://bucket/prefix")
    assert feed.model.at(T)


def test_a_bucket_that_keeps_no_versions_is_refused(scene: Scene) -> None:
    scene.create()
    client = scene.aws.client("s3")
    client.create_bucket(Bucket=scene.bucket + "-plain")
    ran = scene.call("init", scene.table, "--enable-stream", "--vault", f"s3://{scene.bucket}-plain/x")
    failed(ran, 4, "keeps no versions", "put-bucket-versioning")


def test_no_credentials(scene: Scene, feed: Feed) -> None:
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nonexistent"}
    ran = scene.call("restore", scene.table, "--at", str(T), "--to-file", "out", environment=nothing)
    failed(ran, 1, "credentials", "AWS_PROFILE")
    assert feed.model.at(T)


@pytest.mark.parametrize(
    ("status", "body", "headers", "words"),
    [
        (403, S3_ERROR.format("AccessDenied"), {}, ["AccessDenied", "aws sts get-caller-identity"]),
        (400, S3_ERROR.format("ExpiredToken"), {}, ["ExpiredToken", "aws sso login"]),
        (301, S3_ERROR.format("PermanentRedirect"), {"x-amz-bucket-region": "eu-west-1"}, ["AWS_REGION", "eu-west-1"]),
    ],
    ids=["denied", "expired", "another region"],
)
def test_s3_says_no(
    scene: Scene, feed: Feed, s3: FaultProxy, status: int, body: str, headers: dict[str, str], words: list[str]
) -> None:
    s3.on(answer(status, body, {"content-type": "application/xml", **headers}))
    failed(restore(scene, "--to-file", "out"), 1, *words)
    assert not list(scene.folder.iterdir())
    assert feed.model.at(T)


def test_dynamodb_says_no(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    denied = '{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","Message":"not authorized"}'
    rule = dynamodb.on(answer(400, denied))
    failed(restore(scene, "--to", scene.table + "-new"), 1, "not authorized", "Check the credentials")
    assert restore(scene, "--to-file", "out").code == 0, "a file needs no table: the vault is enough"
    dynamodb.remove(rule)
    dynamodb.on(answer(400, denied), operation="BatchWriteItem")
    failed(restore(scene, "--to", scene.table + "-new"), 1, "BatchWriteItem", "not authorized")
    dynamodb.on(pass_on)
    assert feed.model.at(T)


def test_the_table_in_another_region(scene: Scene, feed: Feed) -> None:
    scene.create()
    scene.write([Delete(key("none", 1))])
    ran = scene.call("restore", scene.table, "--at", str(T), "--in-place", "--yes", environment={"AWS_REGION": "eu-north-1"})
    failed(ran, 1, scene.table, "region")
    assert feed.model.at(T)

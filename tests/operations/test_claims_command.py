"""Examples of what a vault may claim, through the command line: exit codes, and what people and programs are told."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.clock import SystemClock
from backstream.ports import Put
from backstream.stores.directory import DirectoryStore
from kit.feed import Feed
from kit.images import image
from kit.mapping import MappingSettings, invocation_record
from kit.older_tools import Replicator
from kit.proxy import FaultProxy, Request, Response, respond
from kit.records import lambda_record
from kit.scene import Scene, next_second, same
from kit.two_tenants import two_tenants

NOW = int(time.time())
T = NOW - 7_200
PROVEN = T + 600
IN_PLACE = ("--in-place", "--yes")


@pytest.fixture
def feed(scene: Scene) -> Feed:
    return two_tenants(scene, T, PROVEN)


WINDOW = ("--from", str(T - 10), "--to", str(T + 10))
STATUS = "No row has an attribute 'statuss'. The nearest attributes: 'status'."
TENANTS = "The nearest tenants: 'acme-1', 'acme-0'."
NOTHING: list[tuple[Sequence[str], str, str]] = [
    (["changes", *WINDOW, "--where", 'statuss = "paid"'], 'matches --where statuss = "paid"', STATUS),
    (["changes", *WINDOW, "--tenant", "acme"], "matches --tenant acme", TENANTS),
    (["revert", *WINDOW, "--dry-run", "--where", 'statuss = "paid"'], 'matches --where statuss = "paid"', STATUS),
    (["revert", *WINDOW, "--dry-run", "--tenant", "acme"], "matches --tenant acme", TENANTS),
    (["show", '{"zone":"row","number":9}', "--at", str(T)], "did not exist at", "the vault has never seen it"),
    (["history", '{"zone":"row","number":9}'], '{"zone":"row","number":9}', "the vault has never seen"),
]


@pytest.mark.usefixtures("feed")
@pytest.mark.parametrize(("words", "what", "nearest"), NOTHING)
def test_a_selection_that_matches_nothing_is_exit_1_and_names_what_is_nearest(
    scene: Scene, words: Sequence[str], what: str, nearest: str
) -> None:
    scene.create()
    ran = scene.call(words[0], scene.table, *words[1:])
    assert (ran.code, ran.out) == (1, ""), ran.out
    assert what in ran.err
    assert nearest in ran.err


def test_rows_whose_time_to_live_has_passed_are_counted_in_place(scene: Scene, feed: Feed) -> None:
    soon = {"N": str(T + 60)}
    feed.put(T, image("mortal", 1, until=soon), image("mortal", 2, until=soon))
    feed.deliver()
    scene.create()
    client = scene.aws.client("dynamodb")
    client.update_time_to_live(TableName=scene.table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
    for words in (["--dry-run"], ["--yes"]):
        ran = scene.call("restore", scene.table, "--at", str(T + 1), "--in-place", *words)
        assert ran.code == 0, ran.err
        assert "2 rows whose time to live has passed" in ran.err
        assert "2 of those put: their time to live has passed" in ran.out


def unprocessed(request: Request) -> Response:
    """Nothing of the batch is written."""
    body = json.dumps({"UnprocessedItems": request.json()["RequestItems"]}).encode()
    return Response(200, body, {"content-type": "application/x-amz-json-1.0"})


def test_rows_of_others_in_a_new_table_are_conflicts_of_a_resumed_restore(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    new = scene.table + "-new"
    scene.create(new)
    dynamodb.on(respond(unprocessed), operation="BatchWriteItem")
    ran = scene.call("restore", scene.table, "--at", str(T), "--to", new, "--patience", "1", "--json")
    assert ran.code == 1, ran.err
    dynamodb.clear()
    theirs = [image("theirs", 1), image("row", 2, status={"S": "theirs"})]
    scene.write(map(Put, theirs), new)
    left = ran.json()["left"]
    resumed = scene.call("restore", scene.table, "--resume", left, "--json")
    assert (resumed.code, resumed.json()["deleted"], resumed.json()["conflicts"]) == (1, 0, 1), resumed.err
    state = {**feed.model.at(T), **{feed.vault.key_of(each): each for each in theirs}}
    assert same(scene.items(new), state), "what others wrote is as they wrote it"


def test_a_witness_that_is_late_is_named_by_status_and_doctor(scene: Scene, feed: Feed) -> None:
    """A function has written since, and nothing newer than two hours ago is proven."""
    scene.create()
    feed.put(NOW - 60, image("row", 9))
    feed.deliver()
    ran = scene.call("status", scene.table)
    assert "the witness has not run" in ran.out + ran.err
    assert f"backstream witness {scene.table}" in ran.out + ran.err
    doctor = scene.call("doctor", scene.table)
    assert doctor.code in (1, 3)
    assert "the witness has not run" in doctor.out


def test_a_batch_that_was_seen_in_the_destination_stays_a_gap_when_its_object_is_gone(scene: Scene) -> None:
    scene.create()
    failed = f"{scene.bucket}-failed"
    client = scene.aws.client("s3")
    client.create_bucket(Bucket=failed)
    assert scene.call("init", scene.table, "--enable-stream", "--failures", f"s3://{failed}").code == 0
    feed = Feed(DirectoryStore(_folder(scene), SystemClock()), scene.table, began=int(time.time()))
    feed.put(int(time.time()), image("lost", 1))
    arn = scene.live().facts().stream_arn or ""
    records = [lambda_record(each, arn) for each in feed.take()]
    body = invocation_record(MappingSettings(arn), "shardId-1", records, "RetryAttemptsExhausted", 3, time.time())
    name = "aws/lambda/5a5f0a9c/shardId-1/batch"
    client.put_object(Bucket=failed, Key=name, Body=body)
    missed = next_second()
    next_second()
    scene.put(image("z", 1))
    next_second()
    scene.tail()
    client.delete_object(Bucket=failed, Key=name)
    status = scene.call("status", scene.table)
    assert "Lambda gave up a batch" in status.out + status.err
    scene.put(image("since", 1))
    refused = scene.call("restore", scene.table, "--at", str(missed), *IN_PLACE)
    assert (refused.code, "Lambda gave up a batch" in refused.err) == (4, True), refused.err
    assert len(scene.items()) == 2


def _folder(scene: Scene) -> Path:
    folder = scene.folder / "elsewhere"
    folder.mkdir()
    return folder


def test_two_inits_at_once_lose_nothing(scene: Scene) -> None:
    """Each changes another word of the catalog, at the same time."""
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    running = [
        scene.start("init", scene.table, "--actor-attribute", "by"),
        scene.start("init", scene.table, "--layout", "log"),
        scene.start("init", scene.table, "--failures", f"s3://{scene.bucket}-failed"),
    ]
    for each in running:
        _, err = each.communicate(timeout=240)
        assert each.returncode == 0, err
    catalog = scene.vault().catalog
    assert (catalog.actor_attribute, str(catalog.layout), catalog.failures) == ("by", "log", f"s3://{scene.bucket}-failed")


def test_former_ways_are_known_after_the_catalogs_old_versions_are_gone(scene: Scene) -> None:
    """Rows were kept under another naming and another tenant attribute; the lifecycle rule has removed what said so."""
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream", "--naming", "md5", "--tenant-attribute", "zone").code == 0
    next_second()
    scene.put(*(image("row", number, tenant={"S": "acme"}) for number in range(3)))
    next_second()
    scene.tail()
    assert scene.call("init", scene.table, "--naming", "plain", "--tenant-attribute", "tenant").code == 0
    at = next_second()
    client = scene.aws.client("s3")
    name = f"backups/_backstream/{scene.table}/catalog.json"
    old = [each for each in client.list_object_versions(Bucket=scene.bucket, Prefix=name)["Versions"] if not each["IsLatest"]]
    assert old, "there are some"
    for each in old:
        client.delete_object(Bucket=scene.bucket, Key=name, VersionId=each["VersionId"])
    before = scene.items()
    for words in (["--tenant", "acme"], ["--key", '{"zone":"row","number":1}'], []):
        ran = scene.call("restore", scene.table, "--at", str(at), *IN_PLACE, *words, "--json")
        assert (ran.json()["deleted"], ran.json()["put"]) == (0, 0), ran.err
        assert ran.json()["unchanged"] == (1 if "--key" in words else 3)
        assert same(scene.items(), before)


def test_a_drill_of_any_second_says_whose_vault_it_is_and_what_was_not_checked(scene: Scene, feed: Feed) -> None:
    feed.reached(NOW - 60)
    picked = set()
    for number in range(3):
        ran = scene.call("drill", scene.table, "--pick", "random", "--report", f"page-{number}", "--patience", "1", "--json")
        assert ran.code == 0, ran.err
        picked.add(ran.json()["at"])
    assert len(picked) > 1, "from all of two hours"
    page = (scene.folder / "page-0.html").read_text()
    arn = feed.catalog.table_arn
    account, region = arn.split(":")[4], arn.split(":")[3]
    for word in (account, region, arn, scene.url, "not checked"):
        assert word.lower() in page.lower(), word


SILENCE = ["the function came on the third day", "the mapping was off for two days", "every invocation died"]


@pytest.mark.parametrize("what", SILENCE)
def test_a_function_alone_proves_nothing_of_what_it_did_not_receive(scene: Scene, what: str) -> None:
    """Rows that were written in a time that nobody vouches for are left alone, named, and counted as left."""
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    day = 86_400
    feed = Feed(DirectoryStore(scene.folder / "vault", SystemClock()), scene.table, began=NOW - 6 * day)
    heard, unheard = [image("heard", number) for number in range(4)], [image("unheard", number) for number in range(3)]
    if what == SILENCE[1]:
        feed.put(NOW - 5 * day, *heard)
        feed.deliver(now=NOW - 5.0 * day)
        feed.reached(NOW - 5 * day + 60)
    feed.put(NOW - 4 * day, *unheard)
    feed.take()
    feed.put(NOW - day, image("row", 9))
    if what != SILENCE[2]:
        feed.deliver(now=NOW - 1.0 * day)
    scene.create()
    scene.put(*heard, *unheard, image("row", 9))
    before = scene.items()
    status = scene.call("status", scene.table, "--json").json()
    assert status["window_to"] is None or status["window_to"] < f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(NOW - 4 * day))}Z"
    for second in (NOW - 3 * day, NOW - 60):
        ran = scene.call("restore", scene.table, "--at", str(second), *IN_PLACE, "--json")
        assert ran.code == 1, ran.err
        assert ran.json()["deleted"] == 0
        assert {each["what"].encode() for each in ran.json()["sparing"]} >= {feed.vault.key_of(each) for each in unheard}
        assert "live rows are left alone" in ran.err
        assert same(scene.items(), before)


def test_what_verify_finds_missing_is_a_gap_whether_it_is_repaired_or_not(scene: Scene) -> None:
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    next_second()
    scene.put(*(image("row", number) for number in range(4)))
    next_second()
    scene.tail()
    assert scene.call("verify", scene.table, "--patience", "0").code == 0
    next_second()
    scene.put(image("lost", 1))
    lost = next_second()
    next_second()
    scene.tail()
    for each in scene.vault().log.listing():
        if each.segment is not None and each.segment.count and each.segment.max_time >= lost - 1:
            forget(scene, each.name)
    for words in ([], ["--repair"]):
        ran = scene.call("verify", scene.table, "--patience", "0", *words)
        assert ran.code == 3, ran.out + ran.err
        (gap,) = scene.vault().gaps.all()
        assert gap.since <= lost <= gap.until
    status = scene.call("status", scene.table)
    assert gap.reason in status.out + status.err
    refused = scene.call("restore", scene.table, "--at", str(lost), *IN_PLACE)
    assert (refused.code, gap.reason in refused.err) == (4, True), refused.err


def forget(scene: Scene, name: str) -> None:
    """An object is gone, with all of its versions."""
    client = scene.aws.client("s3")
    found = client.list_object_versions(Bucket=scene.bucket, Prefix=f"backups/{name}")
    for each in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        client.delete_object(Bucket=scene.bucket, Key=each["Key"], VersionId=each["VersionId"])


def test_rows_first_seen_after_the_moment_in_an_adopted_bucket_are_left_or_deleted_by_who_knows(scene: Scene) -> None:
    """Nothing tells whether they existed: named, counted as left, exit 1. `--delete-unknown` deletes them."""
    client = scene.aws.client("s3")
    rows = [image("old", number) for number in range(4)]
    for each in rows:
        put_as_older_tool(scene, client, each)
    at = next_second()
    bad = [image("bad deploy", number) for number in range(2)]
    for each in bad:
        put_as_older_tool(scene, client, each)
    next_second()
    scene.create()
    scene.put(*rows, *bad)
    adopted = scene.call("init", scene.table, "--adopt", "--enable-stream")
    assert adopted.code == 0, adopted.err
    before = scene.items()
    left = scene.call("restore", scene.table, "--at", str(at), *IN_PLACE, "--json")
    assert (left.code, left.json()["deleted"], left.json()["failed"], left.json()["spared"]) == (1, 0, 2, 2), left.err
    assert "--delete-unknown" in left.err
    assert same(scene.items(), before)
    gone = scene.call("restore", scene.table, "--at", str(at), *IN_PLACE, "--delete-unknown", "--json")
    assert (gone.code, gone.json()["deleted"]) == (0, 2), gone.err
    assert len(scene.items()) == 4


def put_as_older_tool(scene: Scene, client: Any, each: bytes) -> None:
    """As dynamodb-replicator's backup keeps a row."""
    Replicator(Into(client, scene.bucket), scene.table, ("number", "zone")).put(json.loads(each))


class Into:
    """An older tool's way into a bucket."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def put(self, name: str, body: bytes) -> str:
        """PutObject."""
        self._client.put_object(Bucket=self._bucket, Key=f"backups/{name}", Body=body)
        return ""

    def delete(self, name: str) -> str:
        """DeleteObject."""
        self._client.delete_object(Bucket=self._bucket, Key=f"backups/{name}")
        return ""

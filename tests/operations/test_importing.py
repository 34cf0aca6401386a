"""`restore --via import`: a table made by DynamoDB's own import, compared with the moment; what is refused, and what fails."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from backstream.errors import UsageError
from backstream.model.tables.naming import Naming
from kit.exports import objects_below
from kit.feed import Feed
from kit.images import SCHEMA, hard_images, image, key
from kit.proxy import FaultProxy, Request, Response, answer, first, lose_answer, respond, rewrite
from kit.scene import Ran, Scene, next_second, same

NOW = int(time.time())
T = NOW - 3_600


@pytest.fixture
def feed(scene: Scene) -> Feed:
    """A vault of some rows, in a bucket."""
    feed = Feed(scene.store(), scene.table, began=T - 600, naming=Naming.PLAIN, tenant_attribute=None)
    feed.put(T, *(image("row", number, v={"S": "then"}) for number in range(40)))
    feed.put(T + 1, image("row", 3, v={"S": "ruined"}), image("later", 1))
    feed.delete(T + 1, key("row", 4))
    feed.deliver()
    return feed


def imported(scene: Scene, *words: str, at: int = T, to: str | None = None) -> Ran:
    target = ("--to", to or scene.table + "-new")
    return scene.call("restore", scene.table, "--at", str(at), "--json", "--via", "import", *target, *words)


def snapshots(scene: Scene) -> list[str]:
    """The names of all that is in the vault's folder of snapshots, below it."""
    folder = f"backups/_backstream/{scene.table}/snapshots/"
    return [name.removeprefix(folder) for name in objects_below(scene.aws, scene.bucket, folder)]


# --- what comes out ---------------------------------------------------------------------------------------------------------------


def test_the_table_is_the_moment_and_the_vault_goes_on_as_before(scene: Scene) -> None:
    scene.create()
    scene.init()
    # The embedded server's own import breaks lines at U+2028; see test_snapshot.
    hard = [each for each in hard_images().values() if "\u2028".encode() not in each]
    scene.put(*hard)
    then = scene.items()
    at = next_second()
    scene.put(image("later", 1))
    scene.tail()
    ran = imported(scene, at=at)
    assert ran.code == 0, ran.err
    report = ran.json()
    counts = [report[each] for each in ("put", "deleted", "unchanged", "failed", "dry_run", "left")]
    assert counts == [len(hard), 0, 0, 0, False, None]
    assert report["target"] == scene.table + "-new"
    assert same(scene.items(scene.table + "-new"), then)
    assert scene.live(scene.table + "-new").facts().schema == SCHEMA
    (snapshot,) = {name.split("/")[1] for name in snapshots(scene)}
    assert any(f"_backstream/{scene.table}/snapshots/AWSDynamoDB/{snapshot}" in each for each in report["warnings"])
    assert f"AWSDynamoDB/{snapshot}/manifest-summary.json" in snapshots(scene)
    assert scene.call("verify", scene.table).code == 0
    status = scene.call("status", scene.table, "--json")
    assert (status.code, status.json()["gaps"]) == (0, [])


def test_a_table_that_was_empty(scene: Scene, feed: Feed) -> None:
    ran = imported(scene, at=T - 300)
    assert (ran.code, ran.json()["put"]) == (0, 0), ran.err
    assert scene.items(scene.table + "-new") == feed.model.at(T - 300) == {}


def test_the_library_takes_the_same_words(scene: Scene, feed: Feed) -> None:
    backup = scene.backup()
    with pytest.raises(UsageError, match="not a way"):
        backup.restore(at=T, to=scene.table + "-new", via="imports")
    assert backup.restore(at=T, to=scene.table + "-new", via="import").put == len(feed.model.at(T))
    assert snapshots(scene)


def test_a_dry_run_counts_and_writes_nothing(scene: Scene, feed: Feed) -> None:
    ran = imported(scene, "--dry-run")
    assert (ran.code, ran.json()["put"], ran.json()["dry_run"]) == (0, len(feed.model.at(T)), True), ran.err
    assert snapshots(scene) == []


# --- what is refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("--to", "new", "--key", '{"zone":"row","number":1}'), "rows cannot be selected"),
        (("--to", "new", "--partition", "row"), "rows cannot be selected"),
        (("--to", "new", "--where", "v exists"), "rows cannot be selected"),
        (("--to", "new", "--tenant", "acme"), "rows cannot be selected"),
        (("--to", "new", "--max-write-units", "9"), "no write units"),
        (("--in-place", "--yes"), "makes a new table"),
        (("--to-file", "out"), "makes a new table"),
        (("--resume", "id"), "nothing to resume"),
    ],
)
def test_what_an_import_cannot_do_is_a_usage_error(scene: Scene, feed: Feed, words: tuple[str, ...], word: str) -> None:
    ran = scene.call("restore", scene.table, "--at", str(T), "--via", "import", *words)
    assert (ran.code, word in ran.err) == (2, True), ran.err
    assert snapshots(scene) == []
    assert feed.vault


def test_a_vault_in_a_folder_is_a_usage_error(scene: Scene) -> None:
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    Feed(scene.store(), scene.table, began=T - 600)
    ran = imported(scene)
    assert (ran.code, "from S3 only" in ran.err) == (2, True), ran.err


def test_a_table_with_local_indexes_is_refused_with_the_reason(scene: Scene) -> None:
    by_name: Any = {
        "IndexName": "by-name",
        "KeySchema": [{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "name", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    scene.aws.client("dynamodb").create_table(
        TableName=scene.table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "zone", "AttributeType": "S"},
            {"AttributeName": "number", "AttributeType": "N"},
            {"AttributeName": "name", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[by_name],
    )
    scene.init()
    at = next_second()
    scene.tail()
    ran = imported(scene, at=at)
    assert (ran.code, "local secondary indexes" in ran.err) == (4, True), ran.err


def test_a_table_that_exists_is_refused_even_an_empty_one(scene: Scene, feed: Feed) -> None:
    scene.create(scene.table + "-new")
    ran = imported(scene)
    assert (ran.code, "exists" in ran.err, snapshots(scene)) == (4, True, []), ran.err
    assert feed.vault


def test_a_moment_outside_the_window_is_refused_before_anything_is_written(scene: Scene, feed: Feed) -> None:
    ran = imported(scene, at=T - 601)
    assert (ran.code, snapshots(scene)) == (4, []), ran.err
    assert feed.vault


# --- what fails -------------------------------------------------------------------------------------------------------------------


def said(**changes: Any) -> Any:
    """DescribeImport's answer, altered."""

    def change(_: Request, response: Response) -> Response:
        description = json.loads(response.body)["ImportTableDescription"]
        return response.with_json({"ImportTableDescription": {**description, **changes}})

    return rewrite(change)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ImportStatus": "FAILED", "FailureCode": "ItemValidationError", "ErrorCount": 2}, "2 errors (ItemValidationError"),
        ({"ImportStatus": "COMPLETED", "ImportedItemCount": 39}, "39 of 40 items imported"),
        ({"ImportStatus": "COMPLETED", "ImportedItemCount": 40, "ErrorCount": 1}, "1 error"),
        ({"ImportStatus": "CANCELLED"}, "ended CANCELLED"),
    ],
)
def test_an_import_that_is_not_whole_has_failed_and_says_where_its_log_is(
    scene: Scene, feed: Feed, dynamodb: FaultProxy, changes: dict[str, Any], word: str
) -> None:
    dynamodb.on(said(CloudWatchLogGroupArn="arn:aws:logs:here", **changes), operation="DescribeImport")
    ran = imported(scene)
    assert (ran.code, ran.out) == (1, ""), ran.err
    assert word in ran.err
    assert "arn:aws:logs:here" in ran.err
    assert "delete it before you try again" in ran.err
    assert feed.vault


def test_an_import_that_takes_its_time_is_waited_for_and_begins_once(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    begun = dynamodb.on(lose_answer, operation="ImportTable", when=first(1))
    waited = dynamodb.on(said(ImportStatus="IN_PROGRESS", ProcessedItemCount=7), operation="DescribeImport", when=first(3))
    ran = imported(scene)
    assert (ran.code, ran.json()["put"]) == (0, 40), ran.err
    assert (begun.matched, waited.matched >= 4) == (2, True)
    assert same(scene.items(scene.table + "-new"), feed.model.at(T))


def test_an_import_that_cannot_be_watched_goes_on_and_that_is_said(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    dynamodb.on(answer(500), operation="DescribeImport")
    ran = imported(scene)
    assert (ran.code, "aws dynamodb describe-import" in ran.err) == (1, True), ran.err
    assert feed.vault


def test_a_name_that_was_taken_meanwhile_is_refused(scene: Scene, feed: Feed, dynamodb: FaultProxy) -> None:
    def take(_: Request) -> None:
        scene.create(scene.table + "-new")

    dynamodb.on(respond(take), operation="ImportTable")
    ran = imported(scene)
    assert (ran.code, "ResourceInUse" in ran.err) == (4, True), ran.err
    assert feed.vault


def test_where_a_row_cannot_be_read_nothing_is_imported(scene: Scene, feed: Feed) -> None:
    name = next(each for each in objects_below(scene.aws, scene.bucket, f"backups/{scene.table}/") if each.endswith("| 17"))
    s3 = scene.aws.client("s3")
    for version in s3.list_object_versions(Bucket=scene.bucket, Prefix=name)["Versions"]:
        s3.delete_object(Bucket=scene.bucket, Key=name, VersionId=version["VersionId"])
    ran = imported(scene)
    assert (ran.code, ran.json()["put"], ran.json()["failed"]) == (1, 0, 1), ran.err
    assert "nothing was imported" in ran.err
    assert json.loads(ran.json()["failures"][0]["what"])["number"] == {"N": "17"}
    assert not any(each.endswith("manifest-summary.json") for each in snapshots(scene))
    assert feed.vault

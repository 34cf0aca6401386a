"""Another stream, another table, another account: end to end through the command line and the handlers, on real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import botocore.session
import pytest

from backstream.apps import aws_lambda, aws_replica
from backstream.errors import Refused
from backstream.model.tables.creation import on_demand
from backstream.model.values import wire
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from kit.images import SCHEMA, image, key
from kit.invocations import Invocation
from kit.mapping import MappingSettings, invocation_record
from kit.records import stream_records
from kit.scene import Scene, file_items, next_second

Record = dict[str, Any]


@pytest.fixture
def followed(scene: Scene) -> Scene:
    """A table of five rows, all in the vault."""
    scene.create()
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    next_second()
    scene.put(*(image("z", number) for number in range(5)))
    next_second()
    scene.tail()
    return scene


@pytest.fixture(autouse=True)
def fresh_functions() -> Iterator[None]:
    """As new processes of both functions."""
    yield
    aws_lambda._recognised.clear()
    aws_replica._known.clear()


def set_stream(scene: Scene, *, on: bool) -> None:
    specification: Any = {"StreamEnabled": on, **({"StreamViewType": "NEW_AND_OLD_IMAGES"} if on else {})}
    scene.aws.client("dynamodb").update_table(TableName=scene.table, StreamSpecification=specification)


def recreate(scene: Scene) -> None:
    """The table is deleted, and created with a stream in a later second."""
    scene.live().delete()
    next_second()
    request = on_demand(SCHEMA).request
    scene.aws.client("dynamodb").create_table(
        TableName=scene.table,
        **{**request, "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}},
    )


def arn_of(scene: Scene) -> str:
    arn = scene.live().facts().stream_arn
    assert arn is not None
    return arn


def records(scene: Scene, arn: str | None = None) -> list[Record]:
    """All that is in a stream, as an event's."""
    return stream_records(
        DynamoStream(BotoRaw(scene.aws.client("dynamodbstreams", config=recommended_config())), arn or arn_of(scene))
    )


def deliver(scene: Scene, found: list[Record], **environment: str) -> list[str]:
    handler = aws_replica.handler if environment else aws_lambda.handler
    with patch.dict("os.environ", scene._whole(environment), clear=True):
        answer = handler({"Records": found}, Invocation())
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


def gaps(scene: Scene) -> list[str]:
    return [gap.reason for gap in scene.vault().gaps.all()]


def restored(scene: Scene, at: int, *more: str) -> set[bytes]:
    path = scene.folder / f"rows-{at}-{time.monotonic_ns()}.json"
    ran = scene.call("restore", scene.table, "--at", str(at), "--to-file", str(path), *more)
    assert ran.code == 0, ran.err
    return set(file_items(path))


def keys(*numbers: int) -> set[bytes]:
    return {wire.key_of(SCHEMA, image("z", number)) for number in numbers}


def test_the_stream_was_off_and_the_function_goes_on(followed: Scene) -> None:
    """`init --enable-stream` says so, the time between is a gap, and nothing is deleted in place on its account."""
    set_stream(followed, on=False)
    followed.delete(key("z", 1))
    followed.put(image("z", 6))
    missed = next_second()
    next_second()
    ran = followed.call("init", followed.table, "--enable-stream")
    assert ran.code == 0
    assert "the stream was replaced: changes of" in ran.out + ran.err
    next_second()
    followed.put(image("z", 7))
    next_second()
    assert deliver(followed, records(followed)) == []
    assert gaps(followed) == ["the stream was replaced"]
    refused = followed.call("restore", followed.table, "--at", str(missed), "--in-place", "--yes")
    assert refused.code == 4
    assert "the stream was replaced" in refused.err
    assert set(followed.items()) == keys(0, 2, 3, 4, 6, 7)


def test_the_function_sees_by_itself_that_the_stream_was_off(followed: Scene) -> None:
    set_stream(followed, on=False)
    next_second()
    set_stream(followed, on=True)
    next_second()
    followed.put(image("z", 7))
    assert deliver(followed, records(followed)) == []
    assert gaps(followed) == ["the stream was replaced"]
    assert followed.vault().catalog.stream_arn != arn_of(followed), "its role may not write the catalog"
    ran = followed.call("witness", followed.table)
    assert (ran.code, gaps(followed)) == (0, ["the stream was replaced"]), ran.err
    assert followed.vault().catalog.stream_arn == arn_of(followed)
    assert "nothing to change" in followed.call("init", followed.table).out


@pytest.mark.parametrize("who", ["function", "tail", "init"])
def test_a_table_made_again_has_its_own_rows_alone(followed: Scene, who: str) -> None:
    old, before = arn_of(followed), next_second()
    followed.put(image("z", 9))
    late = records(followed, old)[-1:]
    recreate(followed)
    next_second()
    followed.put(image("z", 7))
    next_second()
    if who == "function":
        assert deliver(followed, records(followed)) == []
        assert deliver(followed, late) == [], "a record of the old stream comes after the new one's"
    if who == "init":
        ran = followed.call("init", followed.table)
        assert (ran.code, "the table was deleted and created again: changes of" in ran.out + ran.err) == (0, True)
    followed.tail()
    next_second()
    followed.tail()
    assert gaps(followed) == ["the table was deleted and created again"]
    assert restored(followed, int(time.time()) - 1) == keys(7)
    assert restored(followed, before - 1, "--allow-gap") == keys(0, 1, 2, 3, 4), "the old table's history is still there"


def test_init_of_a_table_made_again_names_the_base_backup_that_it_needs(followed: Scene) -> None:
    """Its stream came later than the table: rows may have been put that nobody heard of."""
    followed.live().delete()
    next_second()
    followed.create()
    followed.put(image("z", 7))
    for state in ("changed", "nothing to change"):
        ran = followed.call("init", followed.table, "--enable-stream")
        assert (ran.code, f"{followed.table}: {state}" in ran.out) == (0, True), ran.err
        assert f"beside it      backstream backfill {followed.table} --vault " in ran.out
        assert "what `backfill` brings: changes are missing, or were never seen" in ran.out
    assert followed.call("backfill", followed.table).code == 0
    followed.tail()
    assert "backstream backfill" not in followed.call("init", followed.table).out


def test_redrive_of_a_stream_of_the_year_2099_is_left_where_it_is(followed: Scene) -> None:
    followed.put(image("z", 8))
    failed = f"{followed.bucket}-failed"
    client = followed.aws.client("s3")
    client.create_bucket(Bucket=failed)
    theirs = arn_of(followed).rpartition("/")[0] + "/2099-01-01T00:00:00.000"
    found = [{**each, "eventSourceARN": theirs} for each in records(followed)]
    body = invocation_record(MappingSettings(theirs), "shardId-1", found, "RetryAttemptsExhausted", 3, time.time())
    client.put_object(Bucket=failed, Key="aws/lambda/5a5f0a9c/shardId-1/batch", Body=body)
    before = [each.name for each in followed.store().versions("") if "/log/" in each.name]
    ran = followed.call("redrive", followed.table, "--from", f"s3://{failed}")
    assert (ran.code, "does not know the stream 2099-01-01" in ran.out + ran.err) == (1, True), ran.out + ran.err
    assert [each.name for each in followed.store().versions("") if "/log/" in each.name] == before
    assert client.list_objects_v2(Bucket=failed)["KeyCount"] == 1


def test_until_the_catalog_knows_the_new_table_no_row_of_the_old_one_passes_for_its_own(followed: Scene) -> None:
    """The function's role may not write the catalog: between its gap and the next witness a restore is refused, gap or no gap."""
    before = next_second()
    recreate(followed)
    next_second()
    followed.put(image("z", 7))
    next_second()
    assert deliver(followed, records(followed)) == []
    words = ["restore", followed.table, "--to-file", "rows.json", "--allow-gap", "--at"]
    refused = followed.call(*words, "now")
    assert refused.code == 4
    assert "the catalog does not know the new table yet" in refused.err.replace("vault's ", "")
    assert f"backstream witness {followed.table}" in refused.err
    assert restored(followed, before - 1, "--allow-gap") == keys(0, 1, 2, 3, 4), "moments before are as they were"
    assert followed.call("witness", followed.table).code == 0
    assert restored(followed, int(time.time()) - 1) == keys(7)


def test_a_backfill_sees_it_too(followed: Scene) -> None:
    recreate(followed)
    followed.put(image("z", 7))
    ran = followed.call("backfill", followed.table)
    assert ran.code == 0, ran.err
    assert gaps(followed) == ["the table was deleted and created again"]
    assert followed.vault().catalog.table_id == followed.live().facts().table_id


def test_verify_of_a_table_made_again_records_nothing_of_it(followed: Scene) -> None:
    recreate(followed)
    followed.put(image("z", 7))
    before = gaps(followed)
    ran = followed.call("verify", followed.table, "--patience", "0")
    assert (ran.code, "is not the vault's: table id" in ran.err, "nothing is recorded in the vault" in ran.err) == (
        3,
        True,
        True,
    ), ran.err
    assert gaps(followed) == before, "what another table holds tells nothing of what the vault missed"


@pytest.mark.parametrize("place", ["us-east-1:111122223333", "eu-west-1:000000000000"])
@pytest.mark.parametrize("label", ["", "2099-01-01T00:00:00.000"])
def test_a_stream_of_another_account_or_region_is_refused(followed: Scene, place: str, label: str) -> None:
    theirs = arn_of(followed).replace("us-east-1:000000000000", place)
    assert theirs != arn_of(followed)
    theirs = theirs.rpartition("/")[0] + "/" + label if label else theirs
    before = [each.name for each in followed.store().versions("")]
    found = [{**each, "eventSourceARN": theirs} for each in records(followed)]
    with pytest.raises(Refused, match="nothing of this was written"):
        deliver(followed, found)
    assert [each.name for each in followed.store().versions("")] == before
    assert followed.call("witness", followed.table).code == 0, "nobody has turned to it"
    assert followed.vault().catalog.stream_arn == arn_of(followed)


def test_a_stream_of_the_year_2099_is_refused(followed: Scene) -> None:
    theirs = arn_of(followed).rpartition("/")[0] + "/2099-01-01T00:00:00.000"
    with pytest.raises(Refused, match="does not know the stream 2099-01-01"):
        deliver(followed, [{**each, "eventSourceARN": theirs} for each in records(followed)])
    assert followed.vault().catalog.stream_arn == arn_of(followed)


def test_tail_in_another_region_is_refused(followed: Scene) -> None:
    create_elsewhere(followed)
    before = [each.name for each in followed.store().versions("")]
    there = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    for words in (["tail", followed.table, "--until-caught-up"], ["init", followed.table], ["backfill", followed.table]):
        ran = followed.call(*words, environment=there)
        assert (ran.code, "nothing of this was written" in ran.err) == (4, True), ran.err
    assert [each.name for each in followed.store().versions("")] == before


def create_elsewhere(followed: Scene) -> None:
    """An empty table of the same name in another region."""
    elsewhere: Any = botocore.session.Session().create_client(
        "dynamodb",
        region_name="eu-west-1",
        endpoint_url=followed.aws.endpoint("dynamodb"),
        aws_access_key_id=followed.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=followed.environment["AWS_SECRET_ACCESS_KEY"],
    )
    request = {**on_demand(SCHEMA).request}
    request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    elsewhere.create_table(TableName=followed.table, **request)


def test_a_replica_is_not_gone_on_with_from_another_region(followed: Scene) -> None:
    """There is a table of the name there, without rows: the replica keeps its own."""
    copy = f"{followed.table}-copy"
    followed.create(copy)
    words = ["replicate", followed.table, "--to", copy, "--state", str(followed.folder / "state.json"), "--until-caught-up"]
    assert followed.call(*words).code == 0
    create_elsewhere(followed)
    there = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    ran = followed.call(*words, "--to-region", "us-east-1", environment=there)
    assert (ran.code, "is the state of another replica, from arn:aws:dynamodb:us-east-1" in ran.err) == (4, True), ran.err
    assert set(followed.items(copy)) == keys(0, 1, 2, 3, 4)


def test_late_records_do_not_empty_a_replica_of_a_table_that_was_made_again(followed: Scene) -> None:
    copy = f"{followed.table}-copy"
    followed.create(copy)
    state = str(followed.folder / "state.json")
    words = ["replicate", followed.table, "--to", copy, "--state", state, "--until-caught-up"]
    assert followed.call(*words).code == 0
    assert set(followed.items(copy)) == keys(0, 1, 2, 3, 4)
    old, late = arn_of(followed), records(followed)
    recreate(followed)
    ran = followed.call(*words)
    assert ran.code == 1, "something may be missing in the target"
    assert "the source was deleted and created again" in ran.err
    there = [{**each, "eventSourceARN": old} for each in late]
    assert deliver(followed, there, BACKSTREAM_REPLICA=copy) != [], "the batch fails visibly"
    assert set(followed.items(copy)) == keys(0, 1, 2, 3, 4)
    elsewhere = [{**each, "eventSourceARN": old.replace("us-east-1", "eu-west-1")} for each in late]
    with pytest.raises(Refused, match="is not a stream of"):
        deliver(followed, elsewhere, BACKSTREAM_REPLICA=copy)

"""Settings are not orders: what a catalog names is shown, and what is another account's is left until it is accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import msgspec
import pytest

from backstream.model.tables.settings import KinesisDestination
from backstream.operations.restore.failures import WHAT
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog
from kit.images import image
from kit.proxy import FaultProxy, answer
from kit.scene import Scene

THEIRS = "999999999999"
PRINCIPAL = f"arn:aws:iam::{THEIRS}:root"
KEY = f"arn:aws:kms:us-east-1:{THEIRS}:key/0a1b2c3d-1111-2222-3333-444455556666"
STREAM = f"arn:aws:kinesis:us-east-1:{THEIRS}:stream/exfiltrated"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": PRINCIPAL}, "Action": "dynamodb:*", "Resource": "*"}],
}
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@pytest.fixture
def forged(scene: Scene) -> Scene:
    """A vault whose catalog somebody has written: it names another account three times."""
    scene.create()
    scene.live().enable_stream()
    scene.init()
    scene.put(image("z", 1))
    scene.tail()

    def forge(catalog: Catalog) -> Catalog:
        settings = catalogs.settings_of(catalog)
        described = {**settings.table, "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY}}
        return catalogs.with_settings(
            catalog,
            msgspec.structs.replace(
                settings,
                table=described,
                resource_policy=json.dumps(POLICY),
                kinesis_destinations=[KinesisDestination(STREAM)],
            ),
        )

    catalogs.change(scene.store(), scene.table, forge)
    return scene


def named(report: Mapping[str, object]) -> dict[str, tuple[str, bool, bool]]:
    grants = report["grants"]
    assert isinstance(grants, list)
    return {each["what"]: (each["who"], each["foreign"], each["accepted"]) for each in grants}


def test_a_dry_run_names_principals_keys_and_destinations(forged: Scene) -> None:
    words = ["restore", forged.table, "--at", "now", "--to", f"{forged.table}-new", "--dry-run"]
    ran = forged.call(*words, "--json")
    assert ran.code == 0, ran.err
    assert set(named(ran.json()).values()) == {(PRINCIPAL, True, False), (KEY, True, False), (STREAM, True, False)}
    assert len([each for each in ran.json()["todo"] if "--accept-settings sets it" in each["why"]]) == 3
    for_people = forged.call(*words)
    for each in (PRINCIPAL, KEY, STREAM):
        assert f"{each} (another account's, NOT SET)" in for_people.out
    assert for_people.out.count("--accept-settings sets it") == 3
    accepted = forged.call(*words, "--accept-settings", "--json")
    assert set(named(accepted.json()).values()) == {(PRINCIPAL, True, True), (KEY, True, True), (STREAM, True, True)}


def test_a_restore_lets_nobody_in(forged: Scene) -> None:
    new = f"{forged.table}-new"
    ran = forged.call("restore", forged.table, "--at", "now", "--to", new)
    assert ran.code == 0, ran.err
    assert f"{PRINCIPAL} (another account's, NOT SET)" in ran.out
    described = forged.aws.client("dynamodb").describe_table(TableName=new)["Table"]
    assert THEIRS not in json.dumps(described, default=str)
    settings = forged.live(new).settings()
    assert (settings.resource_policy, list(settings.kinesis_destinations)) == (None, [])


# --- the bucket for failed batches ------------------------------------------------------------------------------------------------


@pytest.fixture
def theirs(scene: Scene) -> Iterator[Mapping[str, str]]:
    """An environment in which the bucket for failed batches belongs to another account, so that S3 refuses who expects ours."""
    failures = f"{scene.bucket}-failures"
    scene.aws.client("s3").create_bucket(Bucket=failures)
    scene.create()
    scene.live().enable_stream()
    assert scene.call("init", scene.table, "--failures", f"s3://{failures}").code == 0
    scene.put(image("z", 1))
    scene.tail()
    with FaultProxy(scene.aws.url) as proxy:
        proxy.on(answer(403, DENIED), path=f"^/{failures}", headers={"x-amz-expected-bucket-owner": "^000000000000$"})
        yield {"AWS_ENDPOINT_URL_S3": proxy.url}


@pytest.mark.parametrize("transport", ["curl", "boto3"])
def test_a_restore_does_not_believe_a_bucket_of_another_account(scene: Scene, theirs: Mapping[str, str], transport: str) -> None:
    environment = {**theirs, "BACKSTREAM_TRANSPORT": transport}
    words = ["restore", scene.table, "--at", "now", "--to-file", "rows.json", "--dry-run"]
    ran = scene.call(*words, "--json", environment=environment)
    assert ran.code == 0, ran.err
    assert named(ran.json()) == {WHAT: (f"s3://{scene.bucket}-failures", True, False)}
    (todo,) = ran.json()["todo"]
    assert "not looked into: it cannot be read as one of the table's own account (000000000000)" in todo["why"]
    assert "could not look into" in ran.err
    for_people = scene.call(*words, environment=environment)
    assert f"s3://{scene.bucket}-failures (another account's, NOT SET)" in for_people.out
    accepted = scene.call(*words, "--accept-settings", "--json", environment=environment)
    assert (accepted.code, accepted.json()["todo"]) == (0, [])
    assert named(accepted.json()) == {WHAT: (f"s3://{scene.bucket}-failures", True, True)}
    assert "could not look into" not in accepted.err


def test_redrive_takes_nothing_from_a_bucket_of_another_account(scene: Scene, theirs: Mapping[str, str]) -> None:
    ran = scene.call("redrive", scene.table, environment=theirs)
    assert ran.code == 1
    assert "AccessDenied" in ran.err
    assert "A bucket of another account than the table's is read only with --accept-settings" in ran.err
    assert scene.call("redrive", scene.table, "--accept-settings", environment=theirs).code == 0
    named_by_hand = {**theirs, "BACKSTREAM_FAILURES_OWNER": THEIRS}
    assert scene.call("redrive", scene.table, environment=named_by_hand).code == 0


def test_a_bucket_of_our_own_is_shown_and_read(scene: Scene, theirs: Mapping[str, str]) -> None:  # noqa: ARG001 - it makes it
    ran = scene.call("restore", scene.table, "--at", "now", "--to-file", "rows.json")
    assert ran.code == 0, ran.err
    assert f"{WHAT}: s3://{scene.bucket}-failures (own, set)" in ran.out

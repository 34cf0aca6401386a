"""Each request to S3 names the account that the bucket has to be of: who takes the name of a bucket is not believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backstream.apps.aws.bucket_owners import BucketOwners
from backstream.errors import UsageError
from backstream.vault import catalog as catalogs
from kit.images import image
from kit.proxy import FaultProxy, answer
from kit.recorded import ACCOUNT, Recorder
from kit.scene import Scene

THEIRS = "999999999999"
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
TRANSPORTS = pytest.mark.parametrize("transport", ["curl", "boto3"])


@pytest.fixture
def kept(scene: Scene) -> Scene:
    """A vault that `init` has made: S3 said that the bucket is of the caller's account."""
    scene.create()
    scene.live().enable_stream()
    assert scene.call("init", scene.table).code == 0
    scene.put(*(image("z", number) for number in range(3)))
    scene.tail()
    return scene


@pytest.fixture
def recorder(kept: Scene) -> Iterator[Recorder]:
    with Recorder(kept.aws.url) as recorder:
        yield recorder


def through(scene: Scene, url: str, **more: str) -> dict[str, str]:
    return {**{name: url for name in scene.environment if name.startswith("AWS_ENDPOINT_URL")}, **more}


@TRANSPORTS
def test_every_request_says_it(kept: Scene, recorder: Recorder, transport: str) -> None:
    named = through(kept, recorder.url, BACKSTREAM_BUCKET_OWNER=THEIRS, BACKSTREAM_TRANSPORT=transport)
    for words in (["tail", kept.table, "--until-caught-up"], ["verify", kept.table, "--patience", "0"], ["check", kept.table]):
        ran = kept.call(*words, environment=named)
        assert ran.code == 0, ran.err
    assert recorder.owners == {THEIRS}
    assert {call.action for call in recorder.calls} >= {"s3:GetObject", "s3:ListBucket", "s3:ListBucketVersions"}


def test_init_records_the_account_and_the_catalog_tells_it(kept: Scene, recorder: Recorder) -> None:
    assert kept.vault().catalog.bucket_owner == ACCOUNT
    assert f'"bucket_owner": "{ACCOUNT}"' in kept.store().get(catalogs.name_of(kept.table)).body.decode()
    assert "nothing to change" in kept.call("init", kept.table).out
    assert kept.call("verify", kept.table, "--patience", "0", environment=through(kept, recorder.url)).code == 0
    assert recorder.owners == {None, ACCOUNT}, "the catalog itself is read without"


def test_an_older_catalog_gets_it_by_the_next_init(kept: Scene) -> None:
    store = kept.store()
    body = store.get(catalogs.name_of(kept.table)).body
    older = body.replace(f',\n  "bucket_owner": "{ACCOUNT}"'.encode(), b"")
    assert older != body
    store.put(catalogs.name_of(kept.table), older)
    assert kept.vault().catalog.bucket_owner is None
    ran = kept.call("init", kept.table)
    assert f"the bucket has to be of account {ACCOUNT} (was: not recorded)" in ran.out + ran.err
    assert kept.vault().catalog.bucket_owner == ACCOUNT


@TRANSPORTS
def test_a_bucket_of_another_account_is_refused_by_name(kept: Scene, transport: str) -> None:
    with FaultProxy(kept.aws.url) as proxy:
        proxy.on(answer(403, DENIED), path=f"^/{kept.bucket}", headers={"x-amz-expected-bucket-owner": f"^{THEIRS}$"})
        more = {"BACKSTREAM_BUCKET_OWNER": THEIRS, "BACKSTREAM_TRANSPORT": transport}
        ran = kept.call("status", kept.table, environment={"AWS_ENDPOINT_URL_S3": proxy.url, **more})
    assert (ran.code, ran.out) == (1, "")
    assert "AccessDenied" in ran.err
    assert "another account than is expected (BACKSTREAM_BUCKET_OWNER" in ran.err


def test_a_forged_catalog_of_another_owner_stops_and_writes_nothing(kept: Scene) -> None:
    """It is a refusal by S3, and no way to another bucket."""
    store = kept.store()
    body = store.get(catalogs.name_of(kept.table)).body.replace(ACCOUNT.encode() + b'"\n}', THEIRS.encode() + b'"\n}')
    store.put(catalogs.name_of(kept.table), body)
    assert kept.vault().catalog.bucket_owner == THEIRS
    store.put(catalogs.name_of(kept.table), body.replace(THEIRS.encode(), b"me"))
    ran = kept.call("show", kept.table, '{"zone":"z","number":1}', "--at", "now")
    assert (ran.code, "says what none does" in ran.err) == (1, True), ran.err


@pytest.mark.parametrize("account", ["me", "12345", "1234567890123", "12345678901x"])
def test_what_is_no_account_is_a_usage_error(kept: Scene, account: str) -> None:
    ran = kept.call("status", kept.table, environment={"BACKSTREAM_BUCKET_OWNER": account})
    assert (ran.code, "twelve digits" in ran.err) == (2, True), ran.err


def test_who_each_bucket_is_expected_to_be_of(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = BucketOwners()
    assert (owners.vault(), owners.failures(None), owners.failures(ACCOUNT)) == (None, None, ACCOUNT)
    owners.record(ACCOUNT)
    owners.record(None)
    assert (owners.vault(), owners.files(in_vault=True), owners.files(in_vault=False)) == (ACCOUNT, ACCOUNT, None)
    for variable in ("BACKSTREAM_BUCKET_OWNER", "BACKSTREAM_FAILURES_OWNER", "BACKSTREAM_FILES_OWNER"):
        monkeypatch.setenv(variable, THEIRS)
    assert {owners.vault(), owners.failures(ACCOUNT), owners.files(in_vault=False)} == {THEIRS}
    monkeypatch.setenv("BACKSTREAM_FILES_OWNER", "ours")
    with pytest.raises(UsageError, match="BACKSTREAM_FILES_OWNER is 'ours'"):
        owners.files(in_vault=False)


def test_a_folder_has_no_owner(scene: Scene, tmp_path: Path) -> None:
    scene.create()
    scene.live().enable_stream()
    scene.url = f"file://{tmp_path}/vault"
    assert scene.call("init", scene.table, "--create-bucket").code == 0
    assert scene.vault().catalog.bucket_owner is None

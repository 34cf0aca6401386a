"""Failure drills: what goes wrong between a table and its vault, what is seen of it, and that `redrive` brings all of it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from backstream.apps.config import Config
from backstream.errors import UsageError
from backstream.vault.catalog import Layout
from kit.mapping import FunctionError, NotInvoked, Record
from kit.outage import Outage
from kit.proxy import FaultProxy, answer
from kit.scene import Scene

DENIED = answer(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
DOWN = answer(503, "<Error><Code>ServiceUnavailable</Code><Message>Service is unable to handle request.</Message></Error>")

Make = Callable[..., Outage]


@pytest.fixture(params=list(Layout))
def make(request: pytest.FixtureRequest, scene: Scene) -> Iterator[Make]:
    """A function whose mapping has these settings, in both layouts."""
    with FaultProxy(scene.aws.url) as proxy:
        yield lambda **settings: Outage.in_this_process(scene, proxy, request.param, **settings)


@pytest.mark.parametrize("make", [Layout.ROWS], indirect=True)
def test_the_buckets_permission_is_withdrawn_for_a_minute(make: Make) -> None:
    outage = make(retries=10, max_age=3600)
    outage.write(1)
    with outage.withdrawn(DENIED, 60):
        outage.deliver()
    assert outage.mapping.given_up == []
    outage.check_clean()


def test_the_buckets_permission_is_withdrawn_for_longer_than_lambda_tries(make: Make) -> None:
    outage = make(retries=2, batch_size=7, bisect=True)
    outage.write(1, range(4))
    outage.deliver()
    outage.write(2)
    with outage.withdrawn(DENIED, 3600):
        outage.deliver()
    outage.write(3, range(2))
    outage.deliver()
    assert "RetryAttemptsExhausted" in outage.check_gap()
    assert f"redrive {outage.scene.table}" in outage.run("status").out.partition("GAP")[2]
    refused = outage.run("restore", "--at", "now", "--to-file", "new.json")
    assert (refused.code, "changes may be missing" in refused.err) == (4, True)
    assert outage.run("snapshot", "--at", "now", "--to", (outage.scene.folder / "s").as_uri()).code == 4
    waited = outage.waiting()
    dry = outage.run("redrive", "--dry-run", "--json")
    assert (dry.code, dry.json()["batches"], dry.json()["captured"]) == (0, waited, 0)
    report = outage.run("redrive", "--json").json()
    assert (report["batches"], report["redriven"], report["left"]) == (waited, waited, [])
    assert report["captured"] == report["records"]
    outage.check_clean()
    assert outage.run("redrive", "--json").json()["batches"] == 0


@pytest.mark.parametrize("make", [Layout.ROWS], indirect=True)
def test_the_function_is_throttled_past_the_records_age(make: Make) -> None:
    """It never runs, so nobody but Lambda knows of the batch."""

    def throttled(_records: list[Record]) -> None:
        raise NotInvoked("TooManyRequestsException")

    outage = make(max_age=60)
    outage.write(1)
    outage.deliver()
    outage.write(2)
    outage.fails = throttled
    outage.deliver()
    outage.fails = lambda _: None
    assert "RecordAgeExceeded" in outage.check_gap()
    assert outage.backup.redrive().left == []
    outage.check_clean()


@pytest.mark.soak
def test_the_store_is_down_for_longer_than_the_records_age(make: Make) -> None:
    outage = make(max_age=60)
    outage.write(1, range(3))
    with outage.withdrawn(DOWN, 3600):
        outage.deliver()
    outage.write(2, range(2))
    outage.deliver()
    outage.check_gap()
    assert outage.backup.redrive().left == []
    outage.check_clean()


@pytest.mark.soak
def test_a_record_on_which_the_function_crashes(make: Make) -> None:
    """Mended, the function's own path takes it: here by `redrive`."""

    def crashes(records: list[Record]) -> None:
        if any(record["dynamodb"]["Keys"]["number"]["N"] == "5" for record in records):
            raise FunctionError("out of memory")

    outage = make(retries=1, bisect=True)
    outage.fails = crashes
    outage.write(1)
    outage.deliver()
    assert outage.waiting() == 1
    outage.check_gap()
    assert outage.backup.redrive().captured == 1
    outage.check_clean()


@pytest.mark.soak  # a base backup waits until a gap that has only just ended is some seconds old
def test_a_poison_record(make: Make) -> None:
    def spoilt(record: Record) -> Record:
        body = record["dynamodb"]
        return {**record, "dynamodb": {**body, "NewImage": None}} if body["Keys"]["number"]["N"] == "5" else record

    outage = make(retries=1, bisect=True)
    outage.poison = spoilt
    outage.write(1)
    outage.deliver()
    outage.check_gap()
    ran = outage.run("redrive", "--json")
    assert ran.code == 1
    (left,) = ran.json()["left"]
    assert left["sequence"] in ran.err
    assert outage.run("status", "--json").json()["gaps"]
    again = outage.run("redrive", "--give-up", left["sequence"], "--json")
    assert (again.code, again.json()["given_up"], outage.waiting()) == (0, [left["sequence"]], 0)
    assert outage.run("status", "--json").json()["gaps"], "it is missing for good"
    assert outage.run("backfill").code == 0
    outage.scene.tail()  # what proves the base backup's end
    outage.check_clean()


@pytest.mark.parametrize("make", [Layout.LOG], indirect=True)
def test_who_cannot_reach_the_destination_is_told_so(make: Make) -> None:
    outage = make()
    outage.write(1)
    outage.deliver()
    outage.scene.aws.client("s3").delete_bucket(Bucket=outage.failed)
    told = [outage.backup.status().unseen, outage.backup.verify(patience=0).warnings, outage.restore().warnings]
    told.append(outage.backup.show({"zone": "row", "number": 1}, "now").warnings)
    for each in told:
        assert any(f"s3://{outage.failed}" in word for word in each)
    ran = outage.run("status")
    assert (ran.code, f"s3://{outage.failed}" in ran.err) == (0, True)
    ran = outage.run("redrive")
    assert (ran.code, outage.failed in ran.err) == (1, True)


@pytest.mark.parametrize("make", [Layout.LOG], indirect=True)
def test_forgetting_where_it_lands(make: Make) -> None:
    outage = make()
    assert outage.run("init", "--failures", f"s3://{outage.scene.bucket}").code == 2, "the vault's own bucket"
    assert outage.run("init", "--failures", "none").code == 0
    assert outage.run("redrive").code == 2
    assert outage.run("redrive", "--from", f"s3://{outage.failed}").code == 0


@pytest.mark.parametrize("url", ["s3://", "file:///x", "s3://bucket/prefix", "bucket", "s3://bucket?x", "s3://vault", ""])
def test_words_that_are_no_destination(url: str) -> None:
    with pytest.raises(UsageError):
        Config("s3://vault/prefix").destination(url)

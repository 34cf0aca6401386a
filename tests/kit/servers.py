"""`make servers`: what each S3 server on this machine does, into the table of docs/servers.md. `python -m kit.servers [NAME...]`.

A server that is not there is left out, and said to be. What differs from S3 is compared with `KNOWN`: a difference that nobody
has written down fails the run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from backstream.apps.embedded import EmbeddedServers
from backstream.clock import SystemClock
from backstream.errors import BackstreamError
from backstream.operations.setup import server
from backstream.stores.s3 import checksum
from backstream.stores.s3.api import Terms
from backstream.stores.s3.boto import BotoApi, client_config
from backstream.stores.s3.store import S3Store
from kit.aws import Aws
from kit.s3_servers import SERVERS

PAGE = Path(__file__).parent.parent.parent / "docs" / "servers.md"
BEGIN, END = "<!-- servers: begin -->", "<!-- servers: end -->"
SHORTENED = "a lock cannot be shortened"
AT_ONCE = "of several creators at once one wins"
STAYS_ON = "a locked bucket keeps versioning"
EXPIRY = "lifecycle rules leave what is locked"
SOON = 30  # seconds in which a lifecycle rule of a day does something, where the server takes days for seconds

# What differs from S3, by server: the words of the trial, or the name of a fact below. A newer version may know more.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "ministack": ("another account's bucket is refused", STAYS_ON, EXPIRY),
    "moto": ("wrong checksums are refused", "another account's bucket is refused", SHORTENED, STAYS_ON, EXPIRY),
    "s3rver": (
        "versioning",
        "If-None-Match",
        "If-Match",
        "wrong checksums are refused",
        "another account's bucket is refused",
        AT_ONCE,
        "210 versions in pages",
        "Object Lock",
        SHORTENED,
        STAYS_ON,
        EXPIRY,
    ),
    "Ceph RGW (bookworm)": (AT_ONCE, "If-None-Match", "wrong checksums are refused", "another account's bucket is refused"),
    "Ceph RGW (sid)": (AT_ONCE, "wrong checksums are refused"),
}

NEEDED = "the trial of `init`"  # no vault lies on a server that it refuses, so no suite is run there


class Suite(NamedTuple):
    """Tests that are run on a server. `chosen`: pytest's -k; `known`: those that are known to fail, by server, with the versions
    that docs/servers.md names."""

    paths: Sequence[str]
    chosen: str
    known: Mapping[str, tuple[str, ...]]


SUITES: Mapping[str, Suite] = {
    "the suite of contracts": Suite(
        [f"tests/contracts/test_{each}.py" for each in ("object_store", "files", "markers", "version_remover")],
        "boto3 or s3 or bucket",  # the parameters of tests that ask the server, by one transport
        {
            "moto": (
                "test_a_delete_is_a_marker_on_top",
                "test_a_listing_goes_on_after_a_name",
                "test_a_listing_of_versions_goes_on_after_a_name",
                "test_bytes_that_are_not_there",
                "test_counting_at_once_loses_no_step",
                "test_deleting_nothing_leaves_a_marker",
                "test_many_at_once_by_their_odd_names",
                "test_markers_stand_where_they_were_put",
                "test_more_versions_than_a_page",
                "test_no_version_id_is_used_again",
                "test_odd_names_are_kept_as_they_are",
                "test_of_many_objects_those_that_are_missing_come_as_errors",
                "test_writers_at_once_lose_no_version",
            ),
            "Ceph RGW (sid)": (
                "test_a_delete_is_a_marker_on_top",
                "test_a_listing_of_versions_goes_on_after_a_name",
                "test_counting_at_once_loses_no_step",
                "test_more_versions_than_a_page",
                "test_of_eight_creators_one_wins",
                "test_of_many_objects_those_that_are_missing_come_as_errors",
            ),
        },
    ),
    "a locked vault under attack, `retain`, `erase`, `check --repair`": Suite(
        ["tests/operations/test_object_lock.py", "tests/operations/test_retain_command.py"],
        "",
        {"moto": ("test_nobody_shortens_a_lock",)},
    ),
}


# --- what is asked ----------------------------------------------------------------------------------------------------------------


def facts(aws: Aws) -> dict[str, str]:
    """What a server does: each fact is `yes`, or what it does instead."""
    s3, bucket = aws.client("s3", config=client_config()), f"backstream-{uuid.uuid4().hex[:10]}"
    found = {"versioning": _tried(lambda: _made(s3, bucket))}
    store = S3Store(BotoApi(s3, bucket), "vault", SystemClock())
    faults = _tried(lambda: "; ".join(server.faults_of(store)))
    found[NEEDED] = faults
    found[AT_ONCE] = _tried(lambda: "" if all(server.one_wins(store) for _ in range(5)) else "no: several may")
    for word in ("If-None-Match", "If-Match"):
        found[word] = (
            "no: ignored" if f"ignores {word}" in faults else "?" if faults != "yes" and "ignores" not in faults else "yes"
        )
    found["wrong checksums are refused"] = _tried(
        lambda: "" if checksum.compares(s3, bucket, "vault", Terms()) else "kept as they are"
    )
    found["another account's bucket is refused"] = _tried(lambda: _refuses_owner(s3, bucket))
    found["210 versions in pages"] = _tried(lambda: _pages(s3, bucket))
    found["Object Lock"] = _tried(lambda: _locks(s3, f"{bucket}-lock"))
    locks = found["Object Lock"] == "yes"  # else there is nothing to look at
    found[SHORTENED] = _tried(lambda: _shortens(s3, f"{bucket}-lock")) if locks else "?"
    found[STAYS_ON] = _tried(lambda: _suspends(s3, f"{bucket}-lock")) if locks else "?"
    found[EXPIRY] = _tried(lambda: _expires(s3, f"{bucket}-days")) if locks else "?"
    return found


def _tried(ask: Callable[[], str]) -> str:
    try:
        return ask() or "yes"
    except (BackstreamError, BotoCoreError, ClientError, KeyError) as error:
        return f"no: {str(error).splitlines()[0][:140]}"


def _made(s3: Any, bucket: str) -> str:
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    status = s3.get_bucket_versioning(Bucket=bucket).get("Status")
    return "" if status == "Enabled" else f"no: {status or 'it stays off'}, after a 200"


def _refuses_owner(s3: Any, bucket: str) -> str:
    try:
        s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="999999999999")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return ""
        raise
    return "no: the header is ignored"


def _pages(s3: Any, bucket: str) -> str:
    for number in range(210):
        s3.put_object(Bucket=bucket, Key=f"many/{number % 7}", Body=b"")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="many/", PaginationConfig={"PageSize": 100})
    ids = [each["VersionId"] for page in pages for each in page.get("Versions", ())]
    return "" if len(ids) == len(set(ids)) == 210 else f"no: {len(ids):,} listed, {len(set(ids)):,} ids"


def _locks(s3: Any, bucket: str) -> str:
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
    version = s3.put_object(Bucket=bucket, Key="locked", Body=b"x")["VersionId"]
    return _refused(lambda: s3.delete_object(Bucket=bucket, Key="locked", VersionId=version), "a locked version was removed")


def _shortens(s3: Any, bucket: str) -> str:
    mode, now = "COMPLIANCE", datetime.now(UTC)
    where = {"Bucket": bucket, "Key": "shortened"}
    put = s3.put_object(**where, Body=b"x", ObjectLockMode=mode, ObjectLockRetainUntilDate=now + timedelta(days=1))
    where["VersionId"] = put["VersionId"]
    sooner = {"Mode": mode, "RetainUntilDate": now + timedelta(hours=1)}
    return _refused(lambda: s3.put_object_retention(**where, Retention=sooner), "anybody shortens it, also in compliance mode")


def _suspends(s3: Any, bucket: str) -> str:
    off = {"Status": "Suspended"}
    return _refused(lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=off), "PutBucketVersioning suspends it")


def _expires(s3: Any, bucket: str) -> str:
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    tomorrow = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="free", Body=body)
        s3.put_object(Bucket=bucket, Key="locked", Body=body, **tomorrow)
    rule = {"ID": "gone", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    until = time.monotonic() + SOON
    while time.monotonic() < until:
        time.sleep(1)
        left = [each["Key"] for each in s3.list_object_versions(Bucket=bucket)["Versions"]]
        if left.count("locked") < 2:
            return "no: a rule removed a locked version"
        if left.count("free") < 2:
            return ""
    return f"?: no rule ran within {SOON} seconds"


def _refused(ask: Callable[[], object], otherwise: str) -> str:
    try:
        ask()
    except ClientError as error:
        return "" if 400 <= error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 else f"no: {error}"
    return f"no: {otherwise}"


def ran(suite: Suite, name: str, aws: Aws) -> tuple[str, list[str]]:
    """Runs a suite on this server, beside an embedded DynamoDB: the line of the table, and the failing tests that are not known."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers() as tables:
        report = Path(folder) / "report.xml"
        words = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", f"-k={suite.chosen}", f"--junitxml={report}")
        inherited = {each: value for each, value in os.environ.items() if not each.startswith("AWS_")}
        subprocess.run(
            [sys.executable, "-m", "pytest", *words, *suite.paths],
            env={
                **inherited,
                **tables.environment(),
                **aws.environment,
                "AWS_ENDPOINT_URL": tables.url,
                "AWS_ENDPOINT_URL_S3": aws.url,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=1_800,
            check=False,
        )
        return counted(report.read_text(), suite.known.get(name, ()))


def counted(report: str, known: Collection[str]) -> tuple[str, list[str]]:
    """What a JUnit report says: the line of the table, and the names of failing tests whose function is not known."""
    every = re.findall(r'<testcase [^>]*? name="([^"]+)"[^>]*?(/>|>.*?</testcase>)', report, re.DOTALL)
    done = {name: inner for name, inner in every if "<skipped" not in inner}
    failed = sorted(name for name, inner in done.items() if "<failure" in inner or "<error" in inner)
    functions = sorted({name.partition("[")[0] for name in failed})
    line = f"{len(done) - len(failed)} of {len(done)} pass" + (f"; not {', '.join(functions)}" if failed else "")
    none = [] if done else ["the suite did not run"]
    return line, [*none, *(name for name in failed if name.partition("[")[0] not in known)]


# --- the page ---------------------------------------------------------------------------------------------------------------------


def table(found: Mapping[str, tuple[str, Mapping[str, str]]]) -> str:
    """The table of docs/servers.md."""
    names = list(found)
    subjects = list(next(iter(found.values()))[1])
    lines = ["| | " + " | ".join(f"{name} {found[name][0]}" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        "| " + " | ".join([subject, *(found[name][1][subject].replace("|", "/") for name in names)]) + " |" for subject in subjects
    ]
    return "\n".join(lines)


def undecided(name: str, found: Mapping[str, str]) -> list[str]:
    """The differences that nobody has written down."""
    return [
        fact for fact, said in found.items() if said != "yes" and fact != NEEDED and fact not in SUITES and fact not in KNOWN[name]
    ]


def main(names: list[str]) -> int:
    """Asks the servers, says what they do, and writes the page if all of them were wanted."""
    found: dict[str, tuple[str, Mapping[str, str]]] = {}
    unknown: list[str] = []
    for name in names or SERVERS:
        try:
            with SERVERS[name]() as (version, aws):
                asked = facts(aws)
                for title, suite in SUITES.items():
                    taken = asked[NEEDED] == "yes"
                    asked[title], failing = ran(suite, name, aws) if taken else ("not run: `init` refuses it", [])
                    unknown += [f"{name}: {title}: {each}" for each in failing]
                found[name] = version, asked
        except (FileNotFoundError, RuntimeError, subprocess.SubprocessError) as error:
            _say(f"{name}: left out: {error}")
            continue
        _say("\n".join([f"{name} {found[name][0]}", *(f"  {fact}: {said}" for fact, said in found[name][1].items())]))
        unknown += [f"{name}: {fact}: {found[name][1][fact]}" for fact in undecided(name, found[name][1])]
    if not names and found:
        page = PAGE.read_text()
        PAGE.write_text(page[: page.index(BEGIN)] + f"{BEGIN}\n{table(found)}\n" + page[page.index(END) :])
    _say("\n".join(f"not written down: {each}" for each in unknown))
    _say(f"{len(found)} servers asked, {len(unknown)} differences that are not written down")
    return 1 if unknown else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

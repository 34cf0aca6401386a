"""`make servers`: what each S3 server on this machine does, into the table of docs/servers.md. `python -m kit.servers [NAME...]`.

Each server listens on loopback, and ends with its block by its own process id. A server that is not installed is left out, and said
to be. What differs from S3 is compared with `KNOWN`: a difference that nobody has written down fails the run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

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

PAGE = Path(__file__).parent.parent.parent / "docs" / "servers.md"
BEGIN, END = "<!-- servers: begin -->", "<!-- servers: end -->"
KEYS = {"AWS_ACCESS_KEY_ID": "backstream", "AWS_SECRET_ACCESS_KEY": "backstream-secret", "AWS_DEFAULT_REGION": "us-east-1"}
PATIENCE = 120  # seconds for a server to answer

# What differs from S3, by server: the words of the trial, or the name of a fact below. A newer version may know more.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "ministack": ("another account's bucket is refused",),
    "moto": ("wrong checksums are refused", "another account's bucket is refused"),
    "s3rver": (
        "versioning",
        "If-None-Match",
        "If-Match",
        "wrong checksums are refused",
        "another account's bucket is refused",
        "210 versions in pages",
        "Object Lock",
    ),
    "Ceph RGW": ("If-None-Match", "wrong checksums are refused", "another account's bucket is refused"),
}


# The suite of contracts, on a server: the tests that are known to fail there, with the versions that docs/servers.md names.
CONTRACTS = tuple(f"tests/contracts/test_{each}.py" for each in ("object_store", "files", "markers", "version_remover"))
ON_S3 = "boto3 or s3 or bucket"  # the parameters of tests that ask the server, by one transport
KNOWN_FAILURES: Mapping[str, tuple[str, ...]] = {
    "moto": (
        "test_a_delete_is_a_marker_on_top",
        "test_a_listing_goes_on_after_a_name",
        "test_a_listing_of_versions_goes_on_after_a_name",
        "test_bytes_that_are_not_there",
        "test_deleting_nothing_leaves_a_marker",
        "test_many_at_once_by_their_odd_names",
        "test_markers_stand_where_they_were_put",
        "test_more_versions_than_a_page",
        "test_no_version_id_is_used_again",
        "test_odd_names_are_kept_as_they_are",
        "test_of_many_objects_those_that_are_missing_come_as_errors",
        "test_writers_at_once_lose_no_version",
    ),
}
SUITE = "the suite of contracts"
NEEDED = "the trial of `init`"  # no vault lies on a server that it refuses, so the suite is not run there


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def process(*words: str, cwd: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    running = subprocess.Popen(words, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def answering(url: str, running: subprocess.Popen[bytes]) -> Aws:
    """The server, once it answers."""
    host, port = url.removeprefix("http://").split(":")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and running.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return Aws({**KEYS, "AWS_ENDPOINT_URL": url})
        time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer (exit code {running.returncode})")


@contextmanager
def ministack() -> Iterator[tuple[str, Aws]]:
    with EmbeddedServers() as servers:
        yield _of_package("ministack", sys.executable), Aws(servers.environment())


@contextmanager
def moto() -> Iterator[tuple[str, Aws]]:
    program, port = _there("moto_server"), free_port()
    with process(program, "-H", "127.0.0.1", "-p", str(port)) as running:
        yield _of_package("moto", "python3"), answering(f"http://127.0.0.1:{port}", running)


@contextmanager
def s3rver() -> Iterator[tuple[str, Aws]]:
    """npm install --prefix build/servers s3rver"""
    home = Path("build/servers")
    if not (home / "node_modules" / "s3rver").is_dir():
        raise FileNotFoundError("npm install --ignore-scripts --prefix build/servers s3rver@3.7.1")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        program = str(home / "node_modules" / ".bin" / "s3rver")
        with process(program, "-d", folder, "-a", "127.0.0.1", "-p", str(port), "-s") as running:
            found = answering(f"http://127.0.0.1:{port}", running)
            yield "3.7.1", Aws({**found.environment, "AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"})


@contextmanager
def ceph() -> Iterator[tuple[str, Aws]]:
    """A cluster of one monitor and one store in memory, and the gateway. apt-get install radosgw ceph-mon ceph-osd"""
    for name in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph"):
        _there(name)
    with tempfile.TemporaryDirectory(prefix="ceph-") as folder, ExitStack() as stack:
        conf, monitor, port, fsid = f"{folder}/ceph.conf", free_port(), free_port(), str(uuid.uuid4())
        Path(conf).write_text(_CONF.format(fsid=fsid, mon=monitor, folder=folder, port=port))

        def run_plain(*words: str) -> str:
            return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout

        def run(program: str, *words: str) -> str:
            return run_plain(program, "-c", conf, *words)

        Path(f"{folder}/osd").mkdir()
        keyring, caps = f"{folder}/keyring", ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
        run_plain("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        run_plain("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *caps)
        run_plain("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{monitor}]", f"{folder}/monmap")
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{folder}/monmap", "--keyring", keyring)
        stack.enter_context(process("ceph-mon", "-c", conf, "-i", "a", "-f"))
        number = run("ceph", "osd", "create").strip()
        key = run("ceph", "auth", "get-or-create", f"osd.{number}", "mon", "allow *", "osd", "allow *")
        Path(keyring).write_text(Path(keyring).read_text() + key)
        run("ceph-osd", "-i", number, "--mkfs", "--osd-data", f"{folder}/osd")
        stack.enter_context(process("ceph-osd", "-c", conf, "-i", number, "-f", "--osd-data", f"{folder}/osd"))
        user = ("user", "create", "--uid=tests", "--display-name=tests")
        keys = ("--access-key", KEYS["AWS_ACCESS_KEY_ID"], "--secret", KEYS["AWS_SECRET_ACCESS_KEY"])
        run("radosgw-admin", *user, *keys)
        gateway = stack.enter_context(process("radosgw", "-c", conf, "-n", "client.admin", "-f"))
        version = re.search(r"version (\S+)", _version("radosgw", "--version"))
        yield version[1] if version else "", answering(f"http://127.0.0.1:{port}", gateway)


_CONF = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon}/0]
mon initial members = a
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
mon allow pool size one = true
mon data = {folder}/mon
run dir = {folder}
keyring = {folder}/keyring
log file =
admin socket = {folder}/$name.asok
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw data = {folder}
"""


def _there(program: str) -> str:
    if (found := shutil.which(program)) is None:
        raise FileNotFoundError(f"{program} is not installed")
    return found


def _of_package(name: str, python: str) -> str:
    return _version(python, "-c", f"from importlib.metadata import version; print(version({name!r}))")


def _version(*words: str) -> str:
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return (said.stdout + said.stderr).strip().splitlines()[-1][:60]


SERVERS: Mapping[str, Callable[[], Any]] = {"ministack": ministack, "moto": moto, "s3rver": s3rver, "Ceph RGW": ceph}

# --- what is asked ----------------------------------------------------------------------------------------------------------------


def facts(aws: Aws) -> dict[str, str]:
    """What a server does: each fact is `yes`, or what it does instead."""
    s3, bucket = aws.client("s3", config=client_config()), f"backstream-{uuid.uuid4().hex[:10]}"
    found = {"versioning": _tried(lambda: _made(s3, bucket))}
    faults = _tried(lambda: "; ".join(server.faults_of(S3Store(BotoApi(s3, bucket), "vault", SystemClock()))))
    found[NEEDED] = faults
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
    try:
        s3.delete_object(Bucket=bucket, Key="locked", VersionId=version)
    except ClientError as error:
        return "" if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403 else f"no: {error}"
    return "no: a locked version was removed"


def contracts(aws: Aws, known: Collection[str]) -> tuple[str, list[str]]:
    """Runs the suite of contracts on this server: the line of the table, and the failing tests that are not known."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-k", ON_S3, f"--junitxml={report}")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        subprocess.run(
            [sys.executable, "-m", "pytest", *words, *CONTRACTS],
            env={**inherited, **aws.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=1_800,
            check=False,
        )
        return counted(report.read_text(), known)


def counted(report: str, known: Collection[str]) -> tuple[str, list[str]]:
    """What a JUnit report says: the line of the table, and the names of failing tests whose function is not known."""
    every = re.findall(r'<testcase [^>]*? name="([^"]+)"[^>]*?(/>|>.*?</testcase>)', report, re.DOTALL)
    ran = {name: inner for name, inner in every if "<skipped" not in inner}
    failed = sorted(name for name, inner in ran.items() if "<failure" in inner or "<error" in inner)
    functions = sorted({name.partition("[")[0] for name in failed})
    line = f"{len(ran) - len(failed)} of {len(ran)} pass" + (f"; not {', '.join(functions)}" if failed else "")
    none = [] if ran else ["the suite did not run"]
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
    whole = NEEDED
    return [fact for fact, said in found.items() if said != "yes" and fact not in (whole, SUITE) and fact not in KNOWN[name]]


def main(names: list[str]) -> int:
    """Asks the servers, says what they do, and writes the page if all of them were wanted."""
    found: dict[str, tuple[str, Mapping[str, str]]] = {}
    unknown: list[str] = []
    for name in names or SERVERS:
        try:
            with SERVERS[name]() as (version, aws):
                asked = facts(aws)
                taken = asked[NEEDED] == "yes"
                suite, failing = contracts(aws, KNOWN_FAILURES.get(name, ())) if taken else ("not run: `init` refuses it", [])
                found[name] = version, {**asked, SUITE: suite}
                unknown += [f"{name}: {SUITE}: {each}" for each in failing]
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

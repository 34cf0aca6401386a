"""A server that says 200 and does nothing is refused, with what it did; a disk that takes `a` for `A`, too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from backstream.apps import proven_servers
from backstream.operations.setup import server
from backstream.stores import letter_case
from kit.images import image
from kit.proxy import Action, FaultProxy, Forward, Request, Response, answer, rewrite
from kit.scene import Scene

TRIED = r"/_backstream/~server/"


@pytest.fixture
def proxy(scene: Scene) -> Iterator[FaultProxy]:
    """A server that nobody has tried, with a table that can be set up."""
    scene.create()
    scene.live().enable_stream()
    with FaultProxy(scene.aws.url) as found:
        scene.environment["AWS_ENDPOINT_URL_S3"] = found.url
        yield found


def without(*headers: str) -> Action:
    """The server does not look at these headers."""

    def act(request: Request, forward: Forward) -> Response:
        kept = {name: value for name, value in request.headers.items() if not name.lower().startswith(headers)}
        return forward(replace(request, headers=kept))

    return act


def shortened(_: Request, response: Response) -> Response:
    """Forgets the second newest version of a listing."""
    rows = list(re.finditer(rb"<Version>.*?</Version>", response.body, re.DOTALL))
    return replace(response, body=response.body.replace(rows[1][0], b"")) if len(rows) > 1 else response


def lowered(_: Request, response: Response) -> Response:
    of_meta = {name: value.lower() if name.lower().startswith("x-amz-meta-") else value for name, value in response.headers.items()}
    return replace(response, headers=of_meta)


def make_unversioned(scene: Scene, proxy: FaultProxy) -> None:
    """Says that versioning is on, and keeps none."""
    scene.bucket = f"{scene.bucket}-plain"
    scene.url = f"s3://{scene.bucket}/backups"
    scene.aws.client("s3").create_bucket(Bucket=scene.bucket)
    enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    proxy.on(answer(200, enabled), method="GET", path=r"\?versioning")


Lie = Callable[[Scene, FaultProxy], object]
LIES: dict[str, tuple[Lie, str]] = {
    "versioning": (make_unversioned, "keeps no versions, though it says so"),
    "versions are forgotten": (
        lambda _, proxy: proxy.on(
            answer(404, "<Error><Code>NoSuchVersion</Code></Error>"), method="GET", path=f"{TRIED}[0-9a-f]+/tried\\?.*versionId="
        ),
        "an overwritten one is gone",
    ),
    "If-None-Match": (lambda _, proxy: proxy.on(without("if-none-match"), method="PUT", path=TRIED), "ignores If-None-Match"),
    "If-Match": (lambda _, proxy: proxy.on(without("if-match"), method="PUT", path=TRIED), "ignores If-Match"),
    "deletes": (
        lambda _, proxy: proxy.on(answer(204, "", {"x-amz-version-id": "1", "x-amz-delete-marker": "true"}), method="DELETE"),
        "leaves no delete marker",
    ),
    "the listing": (
        lambda _, proxy: proxy.on(rewrite(shortened), method="GET", path="server%2F[0-9a-f]+%2Ftried"),
        "listing of versions lacks 1 of 3",
    ),
    "metadata": (
        lambda _, proxy: proxy.on(rewrite(lowered), path=f"{TRIED}[0-9a-f]+/tried"),
        "loses or changes metadata (backstream-tried, event-name)",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_lies_is_refused_with_what_it_did(scene: Scene, proxy: FaultProxy, lie: str) -> None:
    tell, found = LIES[lie]
    tell(scene, proxy)
    for words in (["init", scene.table], ["init", scene.table, "--layout", "log"]):
        ran = scene.call(*words)
        assert (ran.code, found in ran.err) == (4, True), ran.err
        assert "would lose data" in ran.err
        assert "docs/servers.md" in ran.err
    assert not list(scene.store().list(f"_backstream/{scene.table}/")), "there is no catalog"


def test_a_sound_server_is_tried_once_and_leaves_nothing_that_check_reports(scene: Scene, proxy: FaultProxy) -> None:
    tried = proxy.on(lambda request, forward: forward(request), path=TRIED)
    first = scene.call("init", scene.table)
    assert first.code == 0, first.err
    assert 0 < tried.matched <= 35
    record = msgspec.json.decode(scene.store().get(server.RECORD).body, type=server.ServerProof)
    assert (record.endpoint, record.format) == (proxy.url, 1)

    asked = tried.matched
    assert scene.call("init", scene.table).code == 0
    assert tried.matched == asked, "this process knows it"
    proven_servers.PASSED.discard(proxy.url)
    assert scene.call("init", scene.table).code == 0
    assert tried.matched == asked + 1, "the vault knows it"

    scene.put(image("z", 1))
    scene.tail()
    for words in (["check", scene.table], ["status", scene.table]):
        ran = scene.call(*words)
        assert ran.code == 0, ran.out + ran.err
        assert "~server" not in ran.out + ran.err


def test_doctor_tells_what_was_tried_and_tries_it_anew(scene: Scene, proxy: FaultProxy) -> None:
    """A server may have changed since: a gateway was put before it, or a newer version."""

    def server_of(*words: str) -> tuple[str, str]:
        ran = scene.call("doctor", scene.table, "--json", *words)
        (found,) = [(each["verdict"], each["found"]) for each in ran.json()["checks"] if each["name"] == "server"]
        return found

    assert scene.call("init", scene.table).code == 0
    proxy.on(without("if-none-match"), method="PUT", path=TRIED)
    assert server_of()[0] == "ok"
    verdict, found = server_of("--write")
    assert (verdict, "ignores If-None-Match" in found) == ("wrong", True)


def test_a_record_of_another_server_counts_for_nothing(scene: Scene, proxy: FaultProxy) -> None:
    """A bucket was copied there, record and all."""
    scene.store().put(
        server.RECORD, msgspec.json.encode(server.ServerProof(1, "http://elsewhere", "2026-11-23T00:00:00Z", checksums=True))
    )
    proxy.on(without("if-none-match"), method="PUT", path=TRIED)
    ran = scene.call("init", scene.table)
    assert (ran.code, "ignores If-None-Match" in ran.err) == (4, True), ran.err


def test_a_server_that_compares_no_checksums_is_told_and_taken(scene: Scene, proxy: FaultProxy) -> None:
    proxy.on(without("x-amz-checksum", "x-amz-sdk-checksum", "content-md5"), method="PUT", path=f"{TRIED}checksum")
    ran = scene.call("init", scene.table)
    assert ran.code == 0, ran.err
    assert "compares no checksums" in ran.out
    assert not [each.name for each in scene.store().list("_backstream/~server/checksum")]


def test_a_server_that_lets_two_create_one_name_is_told_and_taken(scene: Scene, proxy: FaultProxy) -> None:
    """One after the other it refuses the second; at the same moment it does not, as Ceph's gateway 20.2."""
    proxy.on(without("if-none-match"), method="PUT", path=f"{TRIED}[0-9a-f]+/once")
    ran = scene.call("init", scene.table)
    assert ran.code == 0, ran.err
    assert "several writers create one name at the same moment" in ran.out
    assert not [each.name for each in scene.store().list("_backstream/~server/") if each.name != server.RECORD]


def test_a_lock_that_does_not_hold_is_refused(scene: Scene, proxy: FaultProxy) -> None:
    """PutObjectLockConfiguration is answered by 200, and so is what it must prevent."""
    scene.url = f"s3://{scene.bucket}-lock/backups"
    proxy.on(answer(200), method="PUT", path=r"\?object-lock")
    ran = scene.call("init", scene.table, "--create-bucket", "--object-lock", "governance", "--lock-days", "1")
    assert (ran.code, "says that it locks versions, and does not" in ran.err) == (4, True), ran.err


def test_a_disk_that_does_not_tell_case(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.create()
    scene.live().enable_stream()
    scene.url = f"file://{tmp_path}/vault"
    (tmp_path / "vault").mkdir()
    assert letter_case.tells_case(tmp_path / "vault")
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.name.startswith("CASE-") or real(path))
    assert not letter_case.tells_case(tmp_path / "vault")

    for words in (["--naming", "plain"], ["--tenant-attribute", "zone"]):
        ran = scene.call("init", scene.table, *words)
        assert (ran.code, "does not tell upper from lower case" in ran.err) == (4, True), ran.err
    assert "does not tell upper from lower case" in scene.call("doctor", "--json").out
    assert scene.call("init", scene.table).code == 0, "digests differ in more than case"
    assert scene.call("init", scene.table, "--naming", "plain").code == 4

    twin = scene.table.upper()
    scene.create(twin)
    scene.live(twin).enable_stream()
    ran = scene.call("init", twin)
    assert (ran.code, f"the vault keeps {scene.table}" in ran.err) == (4, True), ran.err
    assert not list((tmp_path / "vault" / ".backstream-drafts").iterdir())

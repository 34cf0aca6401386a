"""What can go wrong between the store and S3, and what a user is told.

On real servers where they can do it, through a `FaultProxy` where they cannot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest
from botocore.exceptions import CredentialRetrievalError

from backstream.apps.embedded import EmbeddedServers
from backstream.clock import SystemClock
from backstream.errors import (
    AccessDenied,
    AlreadyExists,
    BackstreamError,
    ConditionNotMet,
    Damaged,
    Failed,
    MissingBucket,
    MissingObject,
    Unavailable,
    UnversionedBucket,
)
from backstream.model.values import object_limits
from backstream.ports import ObjectStore, StoredObject, Tag
from backstream.stores.s3.api import S3Api
from backstream.stores.s3.boto import create_bucket
from backstream.stores.s3.http import HttpApi
from backstream.stores.s3.store import S3Store
from backstream.transport.messages import HttpRequest, NoAnswer, Reply
from kit.aws import Aws
from kit.each import get_one
from kit.proxy import Action, FaultProxy, Hold, answer, cut, drop, every, first, lose_answer, nth, pass_on
from kit.transports import TRANSPORTS, s3_api, s3_store

Call = Callable[[ObjectStore], object]
CALLS: dict[str, Call] = {
    "check": lambda store: store.check(),
    "put": lambda store: store.put("a", b"1"),
    "put if absent": lambda store: store.put("b", b"1", if_absent=True),
    "get": lambda store: store.get("a"),
    "get_each": lambda store: get_one(store, "a"),
    "head": lambda store: store.head("a"),
    "delete": lambda store: store.delete("a"),
    "list": lambda store: list(store.list("a")),
    "versions": lambda store: list(store.versions("a")),
    "versions_of": lambda store: list(store.versions_of("a")),
}


@dataclass
class Broken:
    """A store behind a proxy, whose client tries once, one whose client tries again, and the same store without the proxy."""

    store: S3Store
    patient: S3Store
    proxy: FaultProxy
    direct: S3Store
    bucket: str


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def broken(aws: Aws, bucket: str, transport: str) -> Iterator[Broken]:
    direct = s3_store(aws, bucket, "vault")
    direct.put("a", b"1")
    with FaultProxy(aws.url) as proxy:
        hasty, patient = (s3_store(aws, bucket, "vault", transport, url=proxy.url, hasty=haste) for haste in (True, False))
        yield Broken(hasty, patient, proxy, direct, bucket)


def versions_of(store: ObjectStore, name: str) -> list[str]:
    return [row.version for row in store.versions_of(name)]


def error(code: str, extra: str = "") -> str:
    return f"<Error><Code>{code}</Code><Message>said S3</Message>{extra}</Error>"


# --- buckets ---------------------------------------------------------------------------------------------------------------------


def raised_by_every_call(store: Callable[[], S3Store], error: type[BackstreamError], match: str) -> Iterator[BackstreamError]:
    """What each call raises, which is this error with these words. AssertionError with the call's name if it is not."""
    for name, call in CALLS.items():
        with pytest.raises(error) as raised:
            call(store())
        assert re.search(match, raised.value.message), f"{name}: {raised.value.message}"
        yield raised.value


def test_a_bucket_that_is_not_there(aws: Aws, transport: str) -> None:
    for raised in raised_by_every_call(lambda: s3_store(aws, "no-such-bucket", "", transport), MissingBucket, "no-such-bucket"):
        assert "bucket's name" in raised.hint


@pytest.mark.parametrize("status", ["never enabled", "Suspended"])
def test_a_bucket_without_versions(aws: Aws, table_name: str, transport: str, status: str) -> None:
    client = aws.client("s3")
    client.create_bucket(Bucket=table_name)
    if status == "Suspended":
        client.put_bucket_versioning(Bucket=table_name, VersioningConfiguration={"Status": "Suspended"})
    store = s3_store(aws, table_name, "", transport)
    for call in (store.check, lambda: store.put("a", b"1"), lambda: store.delete("a")):
        with pytest.raises(UnversionedBucket, match=table_name) as raised:
            call()
        assert (
            raised.value.hint == f"aws s3api put-bucket-versioning --bucket {table_name} --versioning-configuration Status=Enabled"
        )


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_bucket_is_made_for_a_vault_once_or_twice(aws: Aws, table_name: str, region: str) -> None:
    there = Aws({**aws.environment, "AWS_REGION": region})
    client = there.client("s3")
    for _ in range(2):
        create_bucket(client, table_name, region)
    s3_store(there, table_name).check()
    assert set(client.get_public_access_block(Bucket=table_name)["PublicAccessBlockConfiguration"].values()) == {True}


def test_an_error_without_words(broken: Broken) -> None:
    """Ceph's gateway 20.2 sends an empty message."""
    rule = broken.proxy.on(
        answer(400, "<Error><Code>InvalidObjectName</Code><Message></Message></Error>"), method="PUT", path="/vault/b"
    )
    with pytest.raises(Failed, match="InvalidObjectName: no message"):
        broken.store.put("b", b"1")
    assert rule.fired == 1


NOT_KNOWN = answer(501, error("NotImplemented"))


def test_a_server_that_closes_no_bucket_keeps_versions_all_the_same(aws: Aws, table_name: str) -> None:
    with FaultProxy(aws.endpoint("s3")) as proxy:
        rule = proxy.on(NOT_KNOWN, operation="PUT ?publicAccessBlock")
        warning = create_bucket(aws.client("s3", url=proxy.url), table_name, "us-east-1")
    assert rule.fired == 1, "it is asked once: such an answer stays"
    assert warning == f"PutPublicAccessBlock of s3://{table_name} failed: NotImplemented: said S3"
    assert aws.client("s3").get_bucket_versioning(Bucket=table_name)["Status"] == "Enabled"


def test_a_server_that_keeps_no_versions_is_named_by_the_call_it_does_not_know(aws: Aws, table_name: str) -> None:
    with FaultProxy(aws.endpoint("s3")) as proxy:
        rule = proxy.on(NOT_KNOWN, operation="PUT ?versioning")
        with pytest.raises(Failed, match=f"PutBucketVersioning of s3://{table_name} failed: NotImplemented") as refused:
            create_bucket(aws.client("s3", url=proxy.url), table_name, "us-east-1")
    assert (rule.fired, "try again" in refused.value.hint) == (1, False)


def test_a_bucket_of_somebody_else(broken: Broken, aws: Aws) -> None:
    broken.proxy.on(answer(409, error("BucketAlreadyExists")), method="PUT")
    with pytest.raises(AlreadyExists, match="s3://taken") as raised:
        create_bucket(aws.client("s3", url=broken.proxy.url), "taken", "us-east-1")
    assert "choose another" in raised.value.hint


# --- prefixes --------------------------------------------------------------------------------------------------------------------


def test_a_prefix_is_a_store_of_its_own(aws: Aws, bucket: str, transport: str) -> None:
    whole = s3_store(aws, bucket, "", transport)
    users = s3_store(aws, bucket, "x/users/", transport)
    archive = s3_store(aws, bucket, "x/users-archive", transport)
    users.put("1", b"users")
    archive.put("1", b"archive")
    whole.put("x/users/", b"what the console makes of a folder")
    assert users.url == f"s3://{bucket}/x/users"
    assert [row.name for row in users.list("")] == [row.name for row in users.versions("")] == ["1"]
    assert [row.name for row in whole.list("")] == ["x/users-archive/1", "x/users/", "x/users/1"]
    assert users.get("1").body == b"users"
    assert [row.name for row in users.list("", after="0")] == ["1"]


# --- credentials -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded() -> Iterator[Aws]:
    """Servers that check signatures and permissions, with a bucket of their own."""
    with EmbeddedServers(settings={"AUTH": "true"}) as servers:
        aws = Aws(servers.environment())
        create_bucket(aws.client("s3"), "guarded", "us-east-1")
        s3_store(aws, "guarded").put("a", b"1")
        yield aws


def as_user(aws: Aws, transport: str, key: str, secret: str) -> S3Store:
    user = Aws({**aws.environment, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret})
    return s3_store(user, "guarded", "", transport)


def test_a_user_without_permission(guarded: Aws, transport: str) -> None:
    iam = guarded.client("iam")
    iam.create_user(UserName=(name := f"user-{transport}"))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    store = as_user(guarded, transport, key["AccessKeyId"], key["SecretAccessKey"])
    for raised in raised_by_every_call(lambda: store, AccessDenied, "guarded"):
        assert "allow this" in raised.hint


def test_wrong_credentials(guarded: Aws, transport: str) -> None:
    iam = guarded.client("iam")
    iam.create_user(UserName=(name := f"forgetful-{transport}"))
    known = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    for key, says in [(known, "SignatureDoesNotMatch"), ("AKIAIOSFODNN7EXAMPLE", "InvalidAccessKeyId")]:
        with pytest.raises(AccessDenied, match=says) as raised:
            as_user(guarded, transport, key, "wrong").get("a")
        assert "AWS_ACCESS_KEY_ID" in raised.value.hint
        with pytest.raises(AccessDenied, match="403"):  # a HEAD cannot say more
            as_user(guarded, transport, key, "wrong").head("a")


def test_no_credentials_at_all(aws: Aws, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    nobody = Aws({"AWS_ENDPOINT_URL": aws.url, "AWS_REGION": "us-east-1"})
    for raised in raised_by_every_call(lambda: s3_store(nobody, "any-bucket", "", transport), AccessDenied, "credentials"):
        assert "AWS_PROFILE" in raised.hint


class Forgetful:
    """A sender that has credentials for all requests but the 5th and the 20th, and always two of them under way."""

    def __init__(self) -> None:
        self._asked = 0

    def send(self, request: HttpRequest) -> Reply:
        return Reply(200, {"last-modified": "Wed, 25 Nov 2026 04:12:40 GMT"}, request.path.encode())

    def exchange(self, requests: Iterable[tuple[Tag, HttpRequest]]) -> Generator[tuple[Tag, Reply | NoAnswer], None, None]:
        under_way: list[tuple[Tag, Reply | NoAnswer]] = []
        for tag, request in requests:
            self._asked += 1
            if self._asked in (5, 20):
                raise CredentialRetrievalError(provider="sso", error_msg="the token has expired")
            under_way.append((tag, self.send(request)))
            if len(under_way) > 2:
                yield under_way.pop(0)
        yield from under_way


def test_credentials_that_cannot_be_had_for_a_while_cost_what_is_under_way_then(aws: Aws, bucket: str) -> None:
    api = HttpApi(Forgetful(), s3_api(aws, bucket))
    found = dict(api.get_each((number, f"{number}", None) for number in range(1, 31)))
    assert sorted(found) == list(range(1, 31))
    lost = {number: one for number, one in found.items() if not isinstance(one, StoredObject)}
    assert set(lost) == {3, 4, 5, 18, 19, 20}
    assert all("the token has expired" in one.message and f"/{number}" in one.message for number, one in lost.items())


# --- answers ---------------------------------------------------------------------------------------------------------------------

ANSWERS: list[tuple[int, str, type[BackstreamError], str]] = [
    (403, error("AccessDenied"), AccessDenied, "aws sts get-caller-identity"),
    (400, error("ExpiredToken"), AccessDenied, "have expired"),
    (403, error("RequestTimeTooSkewed"), AccessDenied, "clock"),
    (404, error("NoSuchBucket"), MissingBucket, "backstream init"),
    (404, error("NoSuchKey"), MissingObject, ""),
    (404, error("NoSuchVersion"), MissingObject, ""),
    (400, error("InvalidArgument", "<ArgumentName>versionId</ArgumentName>"), MissingObject, ""),
    (400, error("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"), Failed, "set AWS_REGION to eu-west-3."),
    (500, error("InternalError"), Unavailable, "again later"),
    (503, error("SlowDown"), Unavailable, "slow down"),
    (503, "<html>from a load balancer</html>", Unavailable, "slow down"),
    (502, "", Unavailable, "again later"),
    (400, error("RequestTimeout"), Unavailable, "again later"),
    (400, error("KeyTooLongError"), Failed, ""),
    (418, error("NeverHeardOf"), Failed, ""),
]


@pytest.mark.parametrize(
    ("status", "body", "expected", "hint"), ANSWERS, ids=[f"{status} {body[13:40]}" for status, body, _, _ in ANSWERS]
)
def test_each_answer_is_one_of_our_errors(
    broken: Broken, status: int, body: str, expected: type[BackstreamError], hint: str
) -> None:
    broken.proxy.on(answer(status, body), path="/vault/")
    with pytest.raises(expected) as raised:
        broken.store.get("name")
    assert type(raised.value) is expected
    assert raised.value.message.startswith(f"GetObject of {broken.store.url}/name failed: ")
    assert hint in raised.value.hint


def test_a_bucket_in_another_region(broken: Broken) -> None:
    broken.proxy.on(answer(301, error("PermanentRedirect"), {"x-amz-bucket-region": "eu-west-3"}))
    for call in CALLS.values():
        with pytest.raises(Failed) as raised:
            call(broken.store)
        assert raised.value.hint == "The bucket is in another region: set AWS_REGION to eu-west-3."


def test_head_of_a_bucket_in_another_region(broken: Broken) -> None:
    broken.proxy.on(answer(400, "", {"x-amz-bucket-region": "eu-west-3"}), method="HEAD")
    with pytest.raises(Failed, match="HeadObject") as raised:
        broken.store.head("a")
    assert "eu-west-3" in raised.value.hint


@pytest.mark.parametrize("listing", [CALLS["list"], CALLS["versions"]], ids=["list", "versions"])
def test_a_listing_that_is_none(broken: Broken, listing: Call) -> None:
    """A captive portal's page must not look like an empty store."""
    broken.proxy.on(answer(200, "<html>Please log in to the airport's network</html>"), when=nth(1))
    with pytest.raises(Damaged) as raised:
        listing(broken.store)
    assert "proxies" in raised.value.hint
    broken.proxy.on(answer(200, "<ListBucketResult><Name>half a docu"))
    with pytest.raises(Unavailable):
        listing(broken.store)


@pytest.mark.parametrize(
    ("listing", "action"),
    [(CALLS["list"], "s3:ListBucket"), (CALLS["versions"], "s3:ListBucketVersions")],
    ids=["list", "versions"],
)
def test_a_listing_that_is_denied_names_what_is_to_be_allowed(broken: Broken, listing: Call, action: str) -> None:
    broken.proxy.on(answer(403, error("AccessDenied")))
    with pytest.raises(AccessDenied) as raised:
        listing(broken.store)
    assert f"allow this: {action} on the bucket." in raised.value.hint


def test_a_listing_as_aws_writes_it(broken: Broken) -> None:
    """With keys encoded, which the embedded servers do not do, and rows of both kinds in the order of their time."""
    row = (
        "<{kind}><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest>"
        "<LastModified>2026-11-23T04:05:06.000Z</LastModified><Size>7</Size><Owner><ID>x</ID></Owner></{kind}>"
    )
    pages = (
        [
            ("vault/plus%2Band+space", "DeleteMarker", "m2", "true"),
            ("vault/plus%2Band+space", "Version", "v1", "false"),
            ("vault/plus%2Band+space", "DeleteMarker", "m0", "false"),
        ],
        [("vault/z%0A%F0%9F%9B%AB", "Version", "null", "true")],
    )
    first_page, second_page = (
        "".join(row.format(key=key, kind=kind, version=version, latest=latest) for key, kind, version, latest in page)
        for page in pages
    )
    head = '<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType><IsTruncated>{}</IsTruncated>'
    more = "<NextKeyMarker>vault/plus%2Band+space</NextKeyMarker><NextVersionIdMarker>m0</NextVersionIdMarker>"
    broken.proxy.on(
        answer(200, head.format("false") + second_page + "</ListVersionsResult>"),
        path=r"key-marker=vault%2Fplus%2Band%20space&.*version-id-marker=m0",
    )
    broken.proxy.on(answer(200, head.format("true") + more + first_page + "</ListVersionsResult>"), operation="GET ?versions")
    found = list(broken.store.versions(""))
    assert [(row.name, row.version, row.latest, row.marker) for row in found] == [
        ("plus+and space", "m2", True, True),
        ("plus+and space", "v1", False, False),
        ("plus+and space", "m0", False, True),
        ("z\n🛫", "null", True, False),
    ]
    assert {row.modified for row in found} == {1795406706.0}
    assert [row.size for row in found] == [7, 7, 7, 7]


# --- connections -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [drop, Hold(most=60), answer(503, error("SlowDown"))], ids=["drop", "timeout", "slow down"])
def test_no_good_answer_is_unavailable(broken: Broken, aws: Aws, transport: str, action: Action) -> None:
    broken.proxy.on(action)
    store = s3_store(aws, broken.bucket, "vault", transport, url=broken.proxy.url, hasty=True, within=0.2)
    for raised in raised_by_every_call(lambda: store, Unavailable, broken.bucket):
        assert "try again" in raised.hint or "network" in raised.hint


def test_nobody_listens(aws: Aws, transport: str) -> None:
    with FaultProxy(aws.url) as proxy:
        gone = proxy.url
    store = s3_store(aws, "any-bucket", "", transport, url=gone, hasty=True)
    for raised in raised_by_every_call(lambda: store, Unavailable, "any-bucket"):
        assert "AWS_ENDPOINT_URL_S3" in raised.hint


def test_the_clients_own_retries_get_through(broken: Broken) -> None:
    broken.proxy.on(drop, when=nth(2, 6))
    broken.proxy.on(answer(503, error("SlowDown")), when=nth(4))
    for call in CALLS.values():
        call(broken.patient)


reading = pytest.mark.parametrize("read", [lambda store, name: store.get(name), get_one], ids=["get", "get_each"])
Read = Callable[[ObjectStore, str], StoredObject]


@reading
def test_a_body_that_breaks_off_is_read_again(broken: Broken, read: Read) -> None:
    body = bytes(200_000)
    broken.direct.put("big", body)
    faults = broken.proxy.on(cut(70_000), method="GET", when=first(2))
    assert read(broken.store, "big").body == body
    assert faults.fired == 2


def test_of_many_objects_those_whose_bodies_break_off_are_read_again(broken: Broken) -> None:
    bodies = {f"{number:03}": b"%03d" % number * 1_000 for number in range(150)}
    for name, body in bodies.items():
        broken.direct.put(name, body)
    faults = broken.proxy.on(cut(2_000), method="GET", when=every(7))
    found = dict(broken.patient.get_each((name, name, None) for name in bodies))
    assert {name: one.body for name, one in found.items() if isinstance(one, StoredObject)} == bodies
    assert faults.fired > 20


@reading
def test_a_body_that_always_breaks_off_is_unavailable(broken: Broken, read: Read) -> None:
    broken.direct.put("big", bytes(200_000))
    faults = broken.proxy.on(cut(70_000), method="GET")
    with pytest.raises(Unavailable, match="big") as raised:
        read(broken.store, "big")
    assert "broke" in raised.value.hint
    assert 3 <= faults.fired <= 10


# --- create only -----------------------------------------------------------------------------------------------------------------


def test_a_create_whose_answer_was_lost_knows_its_own_write(broken: Broken) -> None:
    """The client tries again by itself, and meets its own object."""
    broken.proxy.on(lose_answer, method="PUT", when=nth(1))
    version = broken.patient.put("new", b"1", {"k": "v"}, if_absent=True)
    assert versions_of(broken.direct, "new") == [version]
    assert broken.direct.get("new").info.metadata == {"k": "v"}
    assert broken.proxy.passed["PUT"] == 2


def test_a_create_that_ended_without_an_answer_may_be_repeated(broken: Broken) -> None:
    broken.proxy.on(lose_answer, method="PUT", when=nth(1))
    with pytest.raises(Unavailable):
        broken.store.put("new", b"1", if_absent=True)
    version = broken.store.put("new", b"1", if_absent=True)
    assert versions_of(broken.direct, "new") == [version]
    with pytest.raises(AlreadyExists):  # it has its answer: the next one is another write
        broken.store.put("new", b"1", if_absent=True)


def test_a_repeated_create_does_not_take_anothers_write_for_its_own(broken: Broken) -> None:
    broken.proxy.on(drop, method="PUT", when=nth(1))
    with pytest.raises(Unavailable):
        broken.store.put("new", b"1", if_absent=True)
    version = broken.direct.put("new", b"1", if_absent=True)
    with pytest.raises(AlreadyExists):
        broken.store.put("new", b"1", if_absent=True)
    assert versions_of(broken.direct, "new") == [version]


def test_a_refused_create_whose_rival_is_deleted_meanwhile(broken: Broken) -> None:
    broken.proxy.on(answer(412, error("PreconditionFailed")), method="PUT")
    with pytest.raises(AlreadyExists):
        broken.store.put("nothing there", b"1", if_absent=True)


def test_a_conflict_of_creators_is_tried_again(broken: Broken) -> None:
    conflicts = broken.proxy.on(answer(409, error("ConditionalRequestConflict")), method="PUT", when=first(2))
    version = broken.store.put("new", b"1", if_absent=True)
    assert conflicts.fired == 2
    assert versions_of(broken.direct, "new") == [version]


def test_an_endless_conflict_is_unavailable(broken: Broken) -> None:
    broken.proxy.on(answer(409, error("ConditionalRequestConflict")), method="PUT")
    with pytest.raises(Unavailable) as raised:
        broken.store.put("new", b"1", if_absent=True)
    assert "Another writer" in raised.value.hint


# --- in place of what was read ------------------------------------------------------------------------------------------------


def after_the_first(count: int) -> bool:
    """The first PUT asks what the server knows. More than one has to fail after it.

    libcurl itself sends a request once more where a connection that was kept breaks without a byte (its `Curl_retry_request`).
    """
    return count > 1


def test_a_replacement_whose_answer_was_lost_knows_its_own_write(broken: Broken) -> None:
    broken.direct.put("c", b"1")
    tag = broken.direct.head("c").tag
    broken.proxy.on(lose_answer, method="PUT", when=nth(2))  # the first asks what the server knows
    version = broken.patient.put("c", b"2", {"k": "v"}, if_match=tag)
    assert versions_of(broken.direct, "c")[0] == version
    assert len(versions_of(broken.direct, "c")) == 2
    assert broken.direct.get("c").info.metadata == {"k": "v"}


def test_a_replacement_that_ended_without_an_answer_may_be_repeated(broken: Broken) -> None:
    broken.direct.put("c", b"1")
    tag = broken.direct.head("c").tag
    lost = broken.proxy.on(lose_answer, method="PUT", when=after_the_first)
    with pytest.raises(Unavailable):
        broken.store.put("c", b"2", if_match=tag)
    broken.proxy.remove(lost)
    version = broken.store.put("c", b"2", if_match=tag)
    assert versions_of(broken.direct, "c")[0] == version
    assert len(versions_of(broken.direct, "c")) == 2
    with pytest.raises(ConditionNotMet):  # it has its answer: the next one is another write
        broken.store.put("c", b"2", if_match=tag)


def test_a_repeated_replacement_does_not_take_anothers_write_for_its_own(broken: Broken) -> None:
    broken.direct.put("c", b"1")
    tag = broken.direct.head("c").tag
    dropped = broken.proxy.on(drop, method="PUT", when=after_the_first)
    with pytest.raises(Unavailable):
        broken.store.put("c", b"2", if_match=tag)
    broken.proxy.remove(dropped)
    broken.direct.put("c", b"2", if_match=tag)
    with pytest.raises(ConditionNotMet):
        broken.store.put("c", b"2", if_match=tag)


class Ignorant:
    """An S3 that has never heard of `If-Match`: it writes whatever the condition says."""

    def __init__(self, api: S3Api) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def put(self, key: str, body: bytes, metadata: Mapping[str, str], *, if_absent: bool = False, **_: object) -> str:
        return self._api.put(key, body, metadata, if_absent=if_absent)


def test_a_server_that_ignores_the_condition_is_told_and_nothing_is_changed(aws: Aws, bucket: str) -> None:
    store = S3Store(cast("S3Api", Ignorant(s3_api(aws, bucket))), "vault", SystemClock())
    store.put("a", b"1")
    tag = store.head("a").tag
    for _ in range(2):
        with pytest.raises(Failed, match="ignores If-Match: a was not changed") as raised:
            store.put("a", b"2", if_match=tag)
    assert "conditional writes" in raised.value.hint
    assert store.get("a").body == b"1"


# --- costs -----------------------------------------------------------------------------------------------------------------------


def test_each_call_is_one_request(broken: Broken) -> None:
    for name, call in CALLS.items():
        requests = broken.proxy.on(pass_on)
        call(broken.store)
        assert requests.matched == 1, name
        broken.proxy.remove(requests)


def test_missing_objects_cost_one_request_once_the_bucket_is_known(broken: Broken) -> None:
    requests = broken.proxy.on(pass_on)
    for _ in range(3):
        with pytest.raises(MissingObject):
            broken.store.head("never")
    assert requests.matched == 4


@pytest.mark.parametrize("transport", ["boto3", "curl"])
def test_an_object_beyond_its_limit_is_not_read(aws: Aws, bucket: str, transport: str) -> None:
    api = s3_api(aws, bucket, transport, limit=lambda key: 3 if key == "a" else 1_000)
    for key in ("a", "b"):
        api.put(key, b"1234", {})
    with pytest.raises(Damaged, match=object_limits.VARIABLE):
        api.get("a", None)
    with pytest.raises(Damaged, match=object_limits.VARIABLE):
        api.get_range("a", "bytes=0-9")
    assert api.get("b", None).body == b"1234"
    found = dict(api.get_each([(key, key, None) for key in ("a", "b")]))
    assert isinstance(found["a"], Damaged)
    assert isinstance(found["b"], StoredObject)

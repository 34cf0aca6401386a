"""A bucket whose policy demands encryption, a key, storage classes: every request of every command meets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from backstream.apps.aws.bucket_owners import BucketOwners, of_environment
from backstream.apps.deploy import Choices, template
from backstream.errors import UsageError
from backstream.model import request_settings
from backstream.model.request_settings import Encryption, RequestSettings
from backstream.vault import catalog as catalogs
from kit import templates
from kit.deployments import KEY
from kit.images import image, key
from kit.proxy import FaultProxy, Request, Response, respond
from kit.scene import Scene

DENIED = (
    "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::000000000000:user/ops is not authorized to perform: s3:PutObject "
    "on resource with an explicit deny in a resource-based policy</Message></Error>"
)
DEMANDED = ["--sse", "aws:kms", "--kms-key", KEY, "--bucket-key", "--log-class", "STANDARD_IA", "--rows-class", "GLACIER_IR"]


class Policy:
    """The policy of one bucket: no PUT without this encryption and key, each request by its requester. It counts classes."""

    def __init__(self, scene: Scene) -> None:
        self._bucket = scene.bucket
        self.classes: Counter[tuple[str, str]] = Counter()
        self.payers: set[str | None] = set()

    def judge(self, request: Request) -> Response | None:
        self.payers.add(request.headers.get("x-amz-request-payer"))
        name = request.path.partition("?")[0].removeprefix(f"/{self._bucket}/backups/")
        if request.method != "PUT" or name == request.path:
            return None
        said = {each: request.headers.get(each) for each in ("x-amz-server-side-encryption", request_settings.KEY_HEADER)}
        if list(said.values()) != ["aws:kms", KEY]:
            return Response(403, DENIED.encode(), {})
        kind = name.split("/")[2] if name.startswith("_backstream/") else "row"
        self.classes[kind, request.headers.get("x-amz-storage-class", "")] += 1
        return None


@pytest.fixture
def policy(scene: Scene) -> Iterator[Policy]:
    scene.create()
    scene.live().enable_stream()
    judge = Policy(scene)
    with FaultProxy(scene.aws.url) as proxy:
        proxy.on(respond(judge.judge), path=f"^/{scene.bucket}")
        scene.environment["AWS_ENDPOINT_URL_S3"] = proxy.url
        yield judge


@pytest.mark.parametrize("transport", ["curl", "boto3"])
def test_a_bucket_whose_policy_denies_unencrypted_puts(scene: Scene, policy: Policy, transport: str) -> None:
    scene.environment["BACKSTREAM_TRANSPORT"] = transport
    denied = scene.call("init", scene.table)
    assert denied.code == 1
    assert "policy may deny unencrypted PUTs" in denied.err
    assert "--sse aws:kms --kms-key ARN" in denied.err

    ready = scene.call("init", scene.table, *DEMANDED)
    assert ready.code == 0, ready.err
    assert f"encrypted by aws:kms with {KEY}, with a bucket key" in ready.out
    scene.put(*(image("z", number) for number in range(5)))
    scene.delete(key("z", 4))
    scene.tail()
    for words in (
        ["backfill", scene.table],
        ["compact", scene.table],
        ["init", scene.table],
        ["status", scene.table],
        ["check", scene.table],
        ["restore", scene.table, "--at", "now", "--to-file", "items.ndjson"],
    ):
        ran = scene.call(*words)
        assert ran.code == 0, (words, ran.err)
    assert "nothing to change" in scene.call("init", scene.table).out
    assert {each for kind, each in policy.classes if kind == "row"} == {"GLACIER_IR"}
    assert {each for kind, each in policy.classes if kind == "log"} == {"STANDARD_IA"}
    assert {each for kind, each in policy.classes if kind.startswith(("catalog.json", "gaps"))} == {""}
    assert policy.payers == {None}


def test_the_environment_is_enough_also_in_the_older_words(scene: Scene, policy: Policy) -> None:
    older = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY, "BACKSTREAM_REQUEST_PAYER": "requester"}
    ran = scene.call("init", scene.table, environment=older)
    assert ran.code == 0, ran.err
    assert catalogs.load(scene.store(), scene.table).requests is None
    assert "requester" in policy.payers
    contradicting = scene.call("status", scene.table, environment={**older, "BACKSTREAM_SSE": "AES256"})
    assert (contradicting.code, "ServerSideEncryption says aws:kms" in contradicting.err) == (2, True), contradicting.err


def test_settings_change_from_now_on_and_are_forgotten(scene: Scene) -> None:
    scene.create()
    scene.live().enable_stream()
    scene.call("init", scene.table, *DEMANDED, "--request-payer")
    known = catalogs.load(scene.store(), scene.table).requests
    assert known == RequestSettings(
        Encryption.KMS, KEY, bucket_key=True, requester_pays=True, log_class="STANDARD_IA", rows_class="GLACIER_IR"
    )
    changed = scene.call("init", scene.table, "--sse", "AES256", "--no-request-payer")
    assert "requests to the bucket: encrypted by AES256, log in STANDARD_IA, rows in GLACIER_IR" in changed.out
    scene.call("init", scene.table, "--sse", "none")
    known = catalogs.load(scene.store(), scene.table).requests
    assert known == RequestSettings(requester_pays=False, log_class="STANDARD_IA", rows_class="GLACIER_IR")


def test_an_expected_owner_is_recorded_and_another_one_refused(scene: Scene) -> None:
    scene.create()
    scene.live().enable_stream()
    with FaultProxy(scene.aws.url) as proxy:
        to = Response(403, DENIED.encode(), {})
        proxy.on(respond(lambda _: to), path=f"^/{scene.bucket}", headers={"x-amz-expected-bucket-owner": "^999999999999$"})
        refused = scene.call(
            "init", scene.table, "--expected-bucket-owner", "999999999999", environment={"AWS_ENDPOINT_URL_S3": proxy.url}
        )
    assert refused.code == 1, refused.err
    assert not list(scene.store().list(""))
    assert scene.call("init", scene.table, "--expected-bucket-owner", "000000000000").code == 0
    assert catalogs.load(scene.store(), scene.table).bucket_owner == "000000000000"
    assert scene.call("init", scene.table, "--expected-bucket-owner", "me").code == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--sse", "AES256", "--kms-key", KEY], "no key of KMS for AES256"),
        (["--sse", "rot13"], "no encryption of S3: 'rot13'"),
        (["--sse", "aws:kms:dsse", "--bucket-key"], "only objects encrypted by aws:kms"),
        (["--log-class", "DEEP_ARCHIVE"], "no storage class for a vault"),
        (["--rows-class", "GLACIER"], "no storage class for a vault"),
    ],
)
def test_what_cannot_be_is_a_usage_error(scene: Scene, words: list[str], why: str) -> None:
    ran = scene.call("init", scene.table, *words)
    assert (ran.code, why in ran.err) == (2, True), ran.err


CLASSES = RequestSettings(log_class="IA", rows_class="IR")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("backups/_backstream/t/log/dt=2026-11-23/hour=04/x.ndjson.zst", "IA"),
        ("_backstream/t/base/20261123/part-1", "IA"),
        ("_backstream/t/compacted/abc/part-1", "IA"),
        ("_backstream/t/base/complete/20261123", None),
        ("_backstream/t/compacted/generations/00000001.json", None),
        ("_backstream/t/catalog.json", None),
        ("backups/t/0a1b", "IR"),
        ("t/tenant/log/x", "IR"),
    ],
)
def test_the_class_of_each_object(name: str, kept: str | None) -> None:
    assert CLASSES.of_put(name).get("x-amz-storage-class") == kept


def test_each_table_has_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = BucketOwners()
    owners.read("a", b'{"requests":{"sse":"AES256","rows_class":"STANDARD_IA"}}')
    owners.read("b", b'{"requests":{"sse":"aws:kms"}}')
    owners.read("c", b"no catalog at all")
    of: Callable[[str], RequestSettings] = owners.of_vault("backups").settings
    assert of("backups/a/x") == RequestSettings(Encryption.S3, rows_class="STANDARD_IA")
    assert of("backups/_backstream/b/log/x") == RequestSettings(Encryption.KMS)
    assert owners.of_files(in_vault=False).settings("x") == request_settings.USUAL
    for name, value in (("BACKSTREAM_SSE", "aws:kms:dsse"), ("BACKSTREAM_KMS_KEY", "k"), ("BACKSTREAM_FILES_SSE", "AES256")):
        monkeypatch.setenv(name, value)
    assert BucketOwners().of_vault("").settings("x") == RequestSettings(Encryption.TWICE, "k")
    assert BucketOwners().of_files(in_vault=False).settings("x") == RequestSettings(Encryption.S3)
    monkeypatch.setenv("BACKSTREAM_BUCKET_KEY", "yes")
    with pytest.raises(UsageError, match="BACKSTREAM_BUCKET_KEY is 'yes'"):
        of_environment()


def test_a_template_passes_them_to_every_function() -> None:
    asked = RequestSettings(Encryption.KMS, bucket_key=True, requester_pays=True, log_class="STANDARD_IA")
    parsed = templates.parse(template(Choices(tables=["flights"], existing_bucket="ours", kms_key=KEY, requests=asked)))
    functions = [each for each in parsed["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    assert len(functions) == 3
    for each in functions:
        variables = each["Properties"]["Environment"]["Variables"]
        assert variables["BACKSTREAM_SSE"] == "aws:kms"
        assert variables["BACKSTREAM_KMS_KEY"] == {"Ref": "KmsKeyArn"}
        assert (variables["BACKSTREAM_BUCKET_KEY"], variables["BACKSTREAM_REQUEST_PAYER"]) == ("true", "requester")
        assert variables["BACKSTREAM_LOG_CLASS"] == "STANDARD_IA"
    with pytest.raises(UsageError, match="a replica has no vault"):
        template(Choices(tables=["flights"], replica="copy", requests=asked))

"""Each check of `doctor` has a case that makes it ring, and one in which it is silent: scripted accounts, vaults in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from backstream.errors import AccessDenied, Failed
from backstream.model import moment
from backstream.model.changes.kinesis import KinesisSource
from backstream.model.request_settings import Encryption, RequestSettings
from backstream.model.sealing import Signing
from backstream.operations.doctor import Check, CheckVerdict, DoctorContext, bucket, capture, deployment, identity, lifecycle
from backstream.operations.doctor.context import VaultPlace
from backstream.operations.inspect.status import status
from backstream.ports import Account, Described, TableFacts
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.segments import SegmentKind
from kit import deployed, drills, images
from kit.clock import ManualClock
from kit.deployed import FUNCTION, STREAM, VAULT, Bucket, Deployed
from kit.stage import Stage

DAY = 86_400
FACTS = TableFacts(
    name="flights",
    arn=STREAM.partition("/stream/")[0],
    table_id="id",
    schema=images.SCHEMA,
    status="ACTIVE",
    stream_arn=STREAM,
    stream_enabled=True,
    stream_view="NEW_AND_OLD_IMAGES",
    description=b"{}",
)


def not_ok(checks: Sequence[Check]) -> list[tuple[str, str]]:
    return [(check.name, str(check.verdict)) for check in checks if check.verdict is not CheckVerdict.OK]


def one(checks: Sequence[Check], name: str) -> Check:
    (found,) = (check for check in checks if check.name == name and check.verdict is not CheckVerdict.OK)
    return found


# --- the deployment ---------------------------------------------------------------------------------------------------------------


def deployment_of(account: Account, **more: Any) -> list[Check]:
    clock = ManualClock()
    patient = deployed.patient(Deployed(), clock, MemoryStore(clock))
    return deployment.of(msgspec.structs.replace(patient, account=account, **more), "flights", FACTS, None)


def test_a_sound_deployment_is_ok() -> None:
    checks = deployment_of(Deployed())
    assert not_ok(checks) == []
    assert {check.name for check in checks} >= {"mappings", "function", "handler", "mapping", "alarms", "on-failure destination"}
    assert {check.of for check in checks if check.name != "mappings"} == {FUNCTION}


def of_function(**changes: Any) -> Callable[[Deployed], None]:
    return lambda account: None if account.found is None else account.found.update(changes)


def of_mapping(**changes: Any) -> Callable[[Deployed], None]:
    return lambda account: account.mapped[0].update(changes)


def variables(**changes: str) -> Callable[[Deployed], None]:
    return of_function(Environment={"Variables": {"BACKSTREAM_VAULT": VAULT, **changes}})


def no_function(account: Deployed) -> None:
    account.found = None


def reserved_none(account: Deployed) -> None:
    account.reserved = 0


def another_mapping(account: Deployed) -> None:
    account.mapped.append({**account.mapped[0], "UUID": "uuid-2"})


def ringing(account: Deployed) -> None:
    account.ringing[0]["StateValue"] = "ALARM"


def mute(account: Deployed) -> None:
    account.ringing[0]["AlarmActions"] = []


def no_alarm(account: Deployed) -> None:
    del account.ringing[0]


def of_another(account: Deployed) -> None:
    account.ringing[1]["Dimensions"] = [{"Name": "FunctionName", "Value": "another"}]


@pytest.mark.parametrize(
    ("spoil", "name", "verdict", "found", "mend"),
    [
        (no_function, "function", "wrong", "no such function", "backstream template"),
        (of_function(State="Failed", StateReason="no role"), "function", "wrong", "no role", ""),
        (of_function(LastUpdateStatus="Failed", LastUpdateStatusReason="no key"), "function", "wrong", "no key", ""),
        (of_function(State="Pending"), "function", "warning", "being set up", ""),
        (of_function(Handler="index.handler"), "handler", "wrong", "index.handler", "--handler backstream.apps.aws_lambda.handler"),
        (of_function(Runtime="python3.9"), "handler", "wrong", "python3.9", ""),
        (of_function(Runtime="nodejs22.x"), "handler", "wrong", "nodejs22.x", ""),
        (of_function(Environment={}), "vault of the function", "wrong", "is not set", f"BACKSTREAM_VAULT={VAULT}"),
        (variables(BACKSTREAM_VAULT="s3://backups/test"), "vault of the function", "wrong", "s3://backups/test", VAULT),
        (
            of_mapping(ParallelizationFactor=4),
            "parallelization",
            "wrong",
            "ParallelizationFactor 4",
            "BACKSTREAM_PARALLELIZATION=4",
        ),
        (variables(BACKSTREAM_PARALLELIZATION="4"), "parallelization", "warning", "is 4", "BACKSTREAM_PARALLELIZATION=1"),
        (variables(BACKSTREAM_PARALLELIZATION="two"), "parallelization", "wrong", "is two", "BACKSTREAM_PARALLELIZATION=1"),
        (of_function(Timeout=3), "time and memory", "warning", "3 s", "--timeout 30"),
        (of_function(MemorySize=128), "time and memory", "warning", "128 MB", "--memory-size 256"),
        (reserved_none, "concurrency", "wrong", "not invoked", "delete-function-concurrency"),
        (of_mapping(State="Disabled"), "mapping", "wrong", "nothing reaches", "--uuid uuid-1 --enabled"),
        (of_mapping(State="Creating"), "mapping", "warning", "Creating", ""),
        (of_mapping(LastProcessingResult="PROBLEM: Function call failed"), "mapping", "wrong", "Function call failed", ""),
        (of_mapping(StartingPosition="LATEST"), "start", "warning", "LATEST", "TRIM_HORIZON"),
        (of_mapping(FunctionResponseTypes=[]), "partial responses", "wrong", "lost", "--function-response-types Report"),
        (of_mapping(BisectBatchOnFunctionError=False), "bisect", "warning", "not split", "--bisect-batch-on-function-error"),
        (
            of_mapping(MaximumRetryAttempts=-1, MaximumRecordAgeInSeconds=-1),
            "retries",
            "wrong",
            "stops its shard",
            "attempts 10000",
        ),
        (of_mapping(MaximumRetryAttempts=None), "retries", "warning", "no limit of attempts", "--maximum-retry-attempts 10000"),
        (of_mapping(MaximumRecordAgeInSeconds=-1), "retries", "warning", "no limit of s of age", "age-in-seconds 75600"),
        (of_mapping(BatchSize=1), "batches", "warning", "of 1", "--batch-size 100"),
        (of_mapping(FilterCriteria={"Filters": [{"Pattern": "{}"}]}), "batches", "wrong", "filter", "--filter-criteria"),
        (of_mapping(TumblingWindowInSeconds=5), "batches", "wrong", "tumbling", "--tumbling-window-in-seconds 0"),
        (of_mapping(DestinationConfig={}), "on-failure destination", "wrong", "none", "--destination-config"),
        (
            of_mapping(DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:dead"}}),
            "on-failure destination",
            "wrong",
            "only one in S3",
            "--destination-config",
        ),
        (
            of_mapping(DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::gone"}}),
            "on-failure destination",
            "wrong",
            "no bucket gone",
            "",
        ),
        (another_mapping, "mappings", "warning", "2 feed functions", ""),
        (ringing, "alarms", "wrong", "flights-IteratorAge", "describe-alarm-history"),
        (mute, "alarms", "warning", "tell nobody: flights-IteratorAge", ""),
        (no_alarm, "alarms", "warning", "IteratorAge (how far", "backstream template"),
        (of_another, "alarms", "warning", "Errors (inv", "backstream template"),
    ],
)
def test_what_is_wrong_with_a_deployment_rings(
    spoil: Callable[[Deployed], None], name: str, verdict: str, found: str, mend: str
) -> None:
    account = Deployed()
    spoil(account)
    checks = deployment_of(account)
    check = one(checks, name)
    assert check.verdict == verdict
    assert found in check.found
    assert mend in check.mend
    assert check.mend
    assert not_ok(checks) == [(name, verdict)], "and nothing else does"


KMS_KEY = "kms:arn:aws:kms:us-east-1:123456789012:key/1"


def signatures_of(kept: str, named: str) -> Check:
    """What is found of a function with this variable, where the catalog names that key; empty for none."""
    stage, account = Stage(ManualClock()), Deployed()
    if named:
        catalogs.change(stage.store, "flights", lambda each: msgspec.structs.replace(each, signing=Signing(named, "x", 1)))
    variables(**({"BACKSTREAM_SIGN": kept} if kept else {}))(account)
    patient = deployed.patient(account, stage.clock, stage.store)
    (check,) = (each for each in deployment.of(patient, "flights", FACTS, stage.vault()) if each.name == "signatures")
    return check


@pytest.mark.parametrize(
    ("kept", "named", "verdict", "found", "mend"),
    [
        ("", "", "ok", "none", ""),
        (KMS_KEY, KMS_KEY, "ok", f"with {KMS_KEY}", ""),
        ("", KMS_KEY, "warning", "is not set", f"BACKSTREAM_SIGN={KMS_KEY}"),
        (KMS_KEY, "", "warning", "the catalog names no key", f"backstream init flights --sign {KMS_KEY}"),
        (KMS_KEY.replace("key/1", "key/2"), KMS_KEY, "wrong", "--verify-key refuses", f"BACKSTREAM_SIGN={KMS_KEY}"),
        ("", "ed25519:0123", "wrong", "is not set, and the catalog names ed25519:0123", "BACKSTREAM_SIGN=kms:ARN"),
    ],
)
def test_the_key_of_a_function_is_the_vaults(kept: str, named: str, verdict: str, found: str, mend: str) -> None:
    check = signatures_of(kept, named)
    assert check.verdict == verdict
    assert found in check.found
    assert mend in check.mend


SAID = RequestSettings(sse=Encryption.KMS, kms_key="arn:aws:kms:us-east-1:123456789012:key/1")


def requests_of(said: RequestSettings | None, **kept: str) -> list[Check]:
    """What is found of a function with these variables, where the catalog says that."""
    stage, account = Stage(ManualClock()), Deployed()
    catalogs.change(stage.store, "flights", lambda each: msgspec.structs.replace(each, requests=said))
    variables(**kept)(account)
    patient = deployed.patient(account, stage.clock, stage.store)
    return [each for each in deployment.of(patient, "flights", FACTS, stage.vault()) if each.name == "request settings"]


@pytest.mark.parametrize(
    ("said", "kept", "found", "mend"),
    [
        (None, {"BACKSTREAM_SSE": "AES256"}, "BACKSTREAM_SSE is AES256, and the catalog says nothing", "init flights --sse AES256"),
        (None, {"ServerSideEncryption": "aws:kms"}, "ServerSideEncryption is aws:kms", "init flights --sse aws:kms"),
        (SAID, {"BACKSTREAM_SSE": "AES256"}, "and the catalog says aws:kms", "BACKSTREAM_SSE=aws:kms"),
        (SAID, {"BACKSTREAM_KMS_KEY": "key/2"}, "BACKSTREAM_KMS_KEY is key/2", f"BACKSTREAM_KMS_KEY={SAID.kms_key}"),
        (SAID, {"SSEKMSKeyId": "key/2"}, "SSEKMSKeyId is key/2", "take SSEKMSKeyId out of the environment of keep-flights"),
        (SAID, {"BACKSTREAM_BUCKET_KEY": "false"}, "BACKSTREAM_BUCKET_KEY is false", "init flights --no-bucket-key"),
        (SAID, {"BACKSTREAM_BUCKET_KEY": "true"}, "BACKSTREAM_BUCKET_KEY is true", "init flights --sse aws:kms --bucket-key"),
        (None, {"BACKSTREAM_REQUEST_PAYER": "requester"}, "is requester", "init flights --request-payer"),
        (None, {"BACKSTREAM_LOG_CLASS": "STANDARD_IA"}, "is STANDARD_IA", "init flights --log-class STANDARD_IA"),
        (None, {"BACKSTREAM_ROWS_CLASS": "STANDARD_IA"}, "is STANDARD_IA", "init flights --rows-class STANDARD_IA"),
    ],
)
def test_a_function_that_asks_for_something_else_than_the_catalog(
    said: RequestSettings | None, kept: dict[str, str], found: str, mend: str
) -> None:
    (check,) = requests_of(said, **kept)
    assert check.verdict is CheckVerdict.WRONG
    assert found in check.found
    assert mend in check.mend


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (None, {}),
        (SAID, {}),
        (SAID, {"BACKSTREAM_SSE": "aws:kms", "BACKSTREAM_KMS_KEY": "1"}),
        (SAID, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": str(SAID.kms_key)}),
    ],
)
def test_a_function_that_asks_for_the_same_or_for_nothing(said: RequestSettings | None, kept: dict[str, str]) -> None:
    (check,) = requests_of(said, **kept)
    assert (check.verdict, check.found) == (CheckVerdict.OK, "as the catalog says" if said else "none, as the catalog says")


def test_secrets_of_a_functions_environment_are_not_said() -> None:
    account = Deployed()
    variables(BACKSTREAM_VAULT="s3://other/place", PASSWORD="hunter2")(account)  # noqa: S106 - not one
    assert "hunter2" not in str(deployment_of(account))
    assert one(deployment_of(account), "vault of the function").mend.endswith(f"'Variables={{BACKSTREAM_VAULT={VAULT},...}}'")


def test_a_named_function_that_nothing_feeds() -> None:
    account = Deployed()
    account.mapped.clear()
    check = one(deployment_of(account, function=FUNCTION), "mappings")
    assert check.verdict is CheckVerdict.WRONG
    assert f"--function-name {FUNCTION} --event-source-arn {STREAM} --starting-position TRIM_HORIZON" in check.mend
    assert not_ok(deployment_of(account)) == [], "without its name nobody says that there is to be one"


def test_a_named_function_that_is_not_there() -> None:
    account = Deployed()
    account.mapped.clear()
    checks = deployment_of(account, function="other")
    assert ("function", "wrong") in not_ok(checks)


def test_a_mapping_of_the_stream_before_feeds_nothing() -> None:
    account = Deployed()
    account.mapped[0]["EventSourceArn"] = STREAM.replace("22:13", "21:00")
    assert one(deployment_of(account, function=FUNCTION), "mappings").verdict is CheckVerdict.WRONG


def test_a_mapping_of_kinesis_counts() -> None:
    account = Deployed()
    account.mapped[0]["EventSourceArn"] = "arn:aws:kinesis:us-east-1:123456789012:stream/flights"
    assert not_ok(deployment_of(account, function=FUNCTION)) == []


class Denied(Deployed):
    """An account of which one thing may not be seen."""

    def __init__(self, what: str, error: Exception) -> None:
        super().__init__()
        self._what = what
        self._error = error

    def _raise(self, what: str) -> None:
        if what == self._what:
            raise self._error

    def function(self, name: str) -> Described:
        self._raise("function")
        return super().function(name)

    def mappings(self, *, stream: str = "", function: str = "") -> Sequence[Described]:
        self._raise("mappings")
        return super().mappings(stream=stream, function=function)

    def alarms(self) -> Sequence[Described]:
        self._raise("alarms")
        return super().alarms()

    def reserved_concurrency(self, name: str) -> int | None:
        self._raise("concurrency")
        return super().reserved_concurrency(name)


@pytest.mark.parametrize("what", ["function", "mappings", "alarms", "concurrency"])
@pytest.mark.parametrize(
    "error", [AccessDenied("not allowed", hint="ask"), Failed("not implemented"), TypeError("of another shape")]
)
def test_what_cannot_be_had_is_unknown_and_stops_nothing(what: str, error: Exception) -> None:
    checks = deployment_of(Denied(what, error))
    assert not_ok(checks) == [(what, "unknown")]
    assert str(error).partition("\n")[0] in one(checks, what).found


# --- the bucket's lifecycle -------------------------------------------------------------------------------------------------------


def rule(**more: Any) -> Described:
    return {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, **more}


@pytest.mark.parametrize(
    ("rules", "verdicts", "word"),
    [
        ([], ["ok"], "no rule"),
        ([rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 3})], ["ok"], "none harms"),
        ([rule(Expiration={"Days": 400})], ["wrong"], "after 400 days"),
        ([rule(Expiration={"Date": "2027-01-01"})], ["wrong"], "on 2027-01-01"),
        ([rule(Expiration={"Days": 400}, Status="Disabled")], ["ok"], ""),
        ([rule(Expiration={"Days": 400}, Filter={"Prefix": "prod/_backstream/"})], ["wrong"], ""),
        ([rule(Expiration={"Days": 400}, Filter={"Prefix": "pro"})], ["wrong"], ""),
        ([rule(Expiration={"Days": 400}, Filter={"Prefix": "production/"})], ["ok"], ""),
        ([{"Status": "Enabled", "Prefix": "prod/", "Expiration": {"Days": 1}}], ["wrong"], "without a name"),
        ([rule(Expiration={"Days": 400}, Filter={"Tag": {"Key": "a", "Value": "b"}})], ["ok"], ""),
        ([rule(Expiration={"Days": 1}, Filter={"And": {"Prefix": "prod/", "Tags": [{"Key": "a", "Value": "b"}]}})], ["ok"], ""),
        ([rule(Expiration={"Days": 1}, Filter={"And": {"Prefix": "prod/", "ObjectSizeGreaterThan": 5}})], ["wrong"], ""),
        ([rule(Expiration={"ExpiredObjectDeleteMarker": True})], ["warning"], "delete markers"),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 3})], ["wrong"], "after 3 days"),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 20})], ["warning"], "after 20 days"),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 35})], ["ok"], ""),
        ([rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])], ["wrong"], "thawed"),
        ([rule(Transitions=[{"Days": 1, "StorageClass": "STANDARD_IA"}, {"Days": 2, "StorageClass": "GLACIER_IR"}])], ["ok"], ""),
        ([rule(NoncurrentVersionTransitions=[{"NoncurrentDays": 1, "StorageClass": "DEEP_ARCHIVE"}])], ["warning"], "DEEP_ARCHIVE"),
        ([rule(Expiration={"Days": 1}, Transitions=[{"Days": 1, "StorageClass": "GLACIER"}])], ["wrong", "wrong"], ""),
    ],
)
def test_lifecycle(rules: list[Described], verdicts: list[str], word: str) -> None:
    checks = lifecycle.judged("backups", "prod/", rules)
    assert [str(check.verdict) for check in checks] == verdicts
    assert word in checks[0].found
    assert all(bool(check.mend) != (check.verdict is CheckVerdict.OK) for check in checks)


def test_for_how_long_old_versions_stay() -> None:
    week, month = (rule(NoncurrentVersionExpiration={"NoncurrentDays": days}) for days in (7, 30))
    assert lifecycle.keeps_days("prod/", [month, week]) == 7
    assert lifecycle.keeps_days("prod/", [rule(Expiration={"Days": 1})]) is None


# --- the bucket -------------------------------------------------------------------------------------------------------------------


def bucket_of(made: Bucket) -> list[Check]:
    clock = ManualClock()
    return bucket.vault_place(deployed.patient(Deployed(), clock, MemoryStore(clock), made), "flights")


DENY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::backups", "arn:aws:s3:::backups/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


@pytest.mark.parametrize("value", ["false", ["false"], False])
def test_a_policy_that_asks_for_tls(value: object) -> None:
    """In every form that IAM takes; the second is that of the templates."""
    made = Bucket()
    made.document = {"Statement": {**DENY, "Condition": {"Bool": {"aws:SecureTransport": value}}}}
    assert not_ok(bucket_of(made)) == []


@pytest.mark.parametrize(
    "spoilt",
    [
        {"Effect": "Allow"},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {"Action": "s3:PutObject"},
        {"Resource": "arn:aws:s3:::backups"},
        {"Condition": {}},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
    ],
)
def test_a_policy_that_does_not(spoilt: dict[str, Any]) -> None:
    made = Bucket()
    made.document = {"Statement": [{**DENY, **spoilt}]}
    assert not_ok(bucket_of(made)) == [("TLS only", "warning")]


def test_a_bucket_in_another_region_or_account() -> None:
    made = Bucket()
    made.document, made.region, made.owner = {"Statement": [DENY]}, "eu-west-1", "210987654321"
    checks = bucket_of(made)
    assert not_ok(checks) == [("bucket's region", "warning")]
    assert "another account" in next(check.found for check in checks if check.name == "bucket's owner")


def test_object_lock_is_said() -> None:
    made = Bucket()
    made.lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 35}}}
    assert "on, compliance for 35 days" in [check.found for check in bucket_of(made)]

    made.lock = {"ObjectLockEnabled": "Enabled"}
    check = one(bucket_of(made), "Object Lock")
    assert check.verdict is CheckVerdict.WARNING
    assert "no new version is locked" in check.found
    assert "--create-bucket --object-lock" in check.mend


# --- the clock --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("off", "verdict", "word"),
    [
        (0.4, "ok", "same"),
        (2.5, "ok", "same"),
        (-1.9, "ok", "same"),
        (-10, "warning", "10 s behind"),
        (10, "warning", "9 s ahead"),
        (-61, "wrong", "behind"),
        (3_700, "wrong", "1 h 01 min ahead"),
    ],
)
def test_the_clock(off: float, verdict: str, word: str) -> None:
    clock, made = ManualClock(1_700_000_000.0), Bucket()
    made.now = 1_700_000_000.0
    clock.move(off)
    (check,) = identity.clocks(deployed.patient(Deployed(), clock, MemoryStore(clock), made))
    assert check.verdict == verdict
    assert word in check.found


# --- what the vault says ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stage() -> Stage:
    """A table that was empty at `init`, followed by a tail just now."""
    made = Stage(ManualClock(), layout=Layout.LOG, shards=1)
    made.put(range(5))
    made.clock.sleep(10)
    made.follow()
    return made


def captured(stage: Stage, made: Bucket | None = None) -> list[Check]:
    patient = deployed.patient(Deployed(), stage.clock, stage.store, made)
    return capture.of(patient, stage.vault())


def drilled(stage: Stage, *, passed: bool = True, ago: float = 60.0) -> None:
    began = stage.clock.now() - ago
    record = msgspec.structs.replace(drills.PASSED, passed=passed, began=moment.iso(int(began)))
    stage.vault().drills.keep("abcd1234", began, msgspec.json.encode(record))


def test_a_vault_that_is_followed_and_tried_is_ok(stage: Stage) -> None:
    drilled(stage)
    assert not_ok(captured(stage)) == []


def test_a_vault_that_has_captured_nothing() -> None:
    stage = Stage(ManualClock(), layout=Layout.LOG)
    check = one(captured(stage), "capture")
    assert (check.verdict, "backstream tail flights" in check.mend) == (CheckVerdict.WRONG, True)


@pytest.mark.parametrize(("hours", "verdict"), [(1, "warning"), (13, "wrong"), (25, "wrong")])
def test_a_tail_that_has_stopped(stage: Stage, hours: int, verdict: str) -> None:
    stage.clock.sleep(hours * 3_600)
    drilled(stage)
    check = one(captured(stage), "lag")
    assert check.verdict == verdict
    assert ("may be lost" in check.found) == (hours > 24)
    assert check.mend == "backstream tail flights"


def test_a_kinesis_stream_keeps_records_as_long_as_it_says(stage: Stage) -> None:
    vault = stage.vault()
    source = KinesisSource("arn:aws:kinesis:us-east-1:123456789012:stream/flights", 7 * DAY)
    vault.catalog = msgspec.structs.replace(vault.catalog, kinesis=source)
    stage.clock.sleep(25 * 3_600)
    check = one(capture.of(deployed.patient(Deployed(), stage.clock, stage.store), vault), "lag")
    assert (check.verdict, "changes begin to be lost" in check.found) == (CheckVerdict.WARNING, True)
    stage.clock.sleep(7 * DAY)
    check = one(capture.of(deployed.patient(Deployed(), stage.clock, stage.store), vault), "lag")
    assert (check.verdict, "the stream keeps 7 d: changes may be lost" in check.found) == (CheckVerdict.WRONG, True)


def test_a_drill_that_is_missing_failed_or_old(stage: Stage) -> None:
    assert one(captured(stage), "last drill").verdict is CheckVerdict.WARNING
    drilled(stage, ago=9 * DAY)
    assert "9 d" in one(captured(stage), "last drill").found
    drilled(stage, passed=False)
    assert one(captured(stage), "last drill").verdict is CheckVerdict.WRONG


@pytest.mark.parametrize("count", [1, 2, 3])
def test_gaps(stage: Stage, count: int) -> None:
    """However many there are: the first is shown, and how many more."""
    assert [each.verdict for each in captured(stage) if each.name == "gaps"] == [CheckVerdict.OK]
    stage.clock.sleep(200)
    now = int(stage.clock.now())
    for number in range(count):
        since = now - 100 + 10 * number
        stage.vault().gaps.record(Gap(reason=f"a test's {number}", since=since, until=since + 2, stream="s"))
    (check,) = (each for each in captured(stage) if each.name == "gaps")
    assert check.verdict is CheckVerdict.WRONG
    assert check.found.startswith(f"changes are missing, {moment.iso(now - 100)} to {moment.iso(now - 98)}: a test's 0")
    assert check.found.endswith("a test's 0" if count == 1 else f", and {count - 1} more")
    assert check.mend.startswith("backstream backfill flights")


def test_two_at_work_at_once(stage: Stage) -> None:
    vault = stage.vault()
    for writer in ("a-tail", "another-tail"):
        stage.clock.sleep(1)
        vault.log.write_mark(vault.catalog.stream, int(stage.clock.now()), writer=writer)
    check = one(captured(stage), "writers")
    assert (check.verdict, "a-tail, another-tail" in check.found) == (CheckVerdict.WARNING, True)


@pytest.mark.parametrize(
    ("tails", "functions", "crowded"), [(0, 1, False), (1, 0, False), (1, 1, True), (2, 0, True), (0, 2, True)]
)
def test_a_third_reader_beside_the_witness_is_reported(stage: Stage, tails: int, functions: int, *, crowded: bool) -> None:
    vault = stage.vault()
    stage.witness()
    entries = [entry for each in vault.log.listing() for entry in vault.log.read(each)]
    for number in range(tails):
        vault.log.write_mark(vault.catalog.stream, int(stage.clock.now()) + number, writer=f"tail-{number}")
    for number in range(functions):
        vault.log.write_batch(entries[number : number + 2], SegmentKind.LAMBDA, writer=f"container-{number}")
    account = Deployed()
    account.mapped[:] = [
        {**account.mapped[0], "FunctionArn": f"arn:aws:lambda:eu-west-1:1:function:f{n}"} for n in range(functions)
    ]
    (check,) = (
        each
        for each in deployment.of(deployed.patient(account, stage.clock, stage.store), "flights", FACTS, stage.vault())
        if each.name == "readers"
    )
    assert (check.verdict is CheckVerdict.WARNING) == crowded, check
    known = status(stage.vault(), now=stage.clock.now()).readers
    assert [each for each in known if "tail-" in each] == [f"the tail tail-{number}" for number in range(tails)]
    assert ("a function" in known, "the witness" in known) == (functions > 0, True)
    if crowded:
        assert check.found.startswith("3 read the stream: ")
        assert "a shard serves two at a time" in check.found


def test_many_small_objects(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstream.operations.doctor.expected.SMALL_OBJECTS", 0)
    assert one(captured(stage), "compaction").mend == "backstream compact flights"


def test_a_base_backup_that_is_missing(stage: Stage) -> None:
    vault = stage.vault()
    vault.catalog = msgspec.structs.replace(vault.catalog, complete_from=None)
    vault.coverage._catalog = vault.catalog
    check = one(capture.of(deployed.patient(Deployed(), stage.clock, stage.store), vault), "base backup")
    assert (check.verdict, check.mend) == (CheckVerdict.WRONG, "backstream backfill flights")


def test_a_function_whose_witness_has_not_run(stage: Stage) -> None:
    stage.put(range(3))
    vault = stage.vault()
    listed = [entry for each in vault.log.listing() for entry in vault.log.read(each)]
    stage.clock.sleep(1)
    vault.log.write_batch(listed[:1], SegmentKind.LAMBDA, writer="keep-flights")
    assert not [check for check in captured(stage) if check.name == "lag" and check.verdict is not CheckVerdict.OK]
    assert [check.verdict for check in captured(stage) if check.name == "witness"] == [CheckVerdict.OK]
    stage.clock.sleep(3 * 3_600)
    assert one(captured(stage), "lag").verdict is CheckVerdict.WARNING
    check = one(captured(stage), "witness")
    assert (check.verdict, check.mend) == (CheckVerdict.WRONG, "backstream witness flights")
    assert "the witness has not run for 3 h" in check.found
    account = Deployed()
    account.mapped.clear()
    patient = deployed.patient(account, stage.clock, stage.store)
    check = one(deployment.of(patient, "flights", FACTS, vault), "mappings")
    assert (check.verdict, "a function has captured so far" in check.found) == (CheckVerdict.WRONG, True)


def test_how_far_back_it_reaches(stage: Stage) -> None:
    made = Bucket()
    made.rules = [rule(NoncurrentVersionExpiration={"NoncurrentDays": 40})]
    said = [check.found for check in captured(stage, made) if check.name == "reaches back"]
    assert "old versions stay 40 days" in said[0]


def test_damage_is_wrong_and_stops_nothing(stage: Stage) -> None:
    stage.store.put("_backstream/flights/gaps/damaged.json", b"{")
    checks = captured(stage)
    assert one(checks, "capture").verdict is CheckVerdict.WRONG
    assert "damaged.json" in one(checks, "capture").found


def test_a_patient_without_a_vault_has_no_word_for_it() -> None:
    clock = ManualClock()
    made: DoctorContext = deployed.patient(Deployed(), clock, MemoryStore(clock), place=None)
    assert made.vault_option == ""
    folder = msgspec.structs.replace(made, place=VaultPlace("file:///x", MemoryStore(clock), None))
    assert folder.vault_option == " --vault file:///x"

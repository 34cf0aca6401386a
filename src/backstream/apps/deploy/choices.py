"""The options of a deployment. Everything that a template is made from is checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from backstream.errors import UsageError
from backstream.model import objectives, request_settings
from backstream.model.object_lock import ObjectLock
from backstream.model.request_settings import Encryption, RequestSettings
from backstream.model.tables.naming import check_table_name
from backstream.operations.doctor import expected

ARN = r"arn:aws[a-z-]*"
ANY_TABLE = "[a-zA-Z0-9_.-]{3,255}"
STREAM_ARN = rf"{ARN}:dynamodb:[a-z0-9-]+:[0-9]{{12}}:table/{ANY_TABLE}/stream/[0-9T:.-]+"
KINESIS_ARN = rf"{ARN}:kinesis:[a-z0-9-]+:[0-9]{{12}}:stream/[a-zA-Z0-9_.-]{{1,128}}"
KEY_ARN = rf"{ARN}:kms:[a-z0-9-]+:[0-9]{{12}}:key/[a-zA-Z0-9-]+"
TOPIC_ARN = rf"{ARN}:sns:[a-z0-9-]+:[0-9]{{12}}:[a-zA-Z0-9_-]{{1,256}}"
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
PREFIX = r"[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)*"
PLACE = re.compile(rf"s3://({BUCKET})/({PREFIX})/?")  # a bucket, and a folder in it
ACCOUNT = r"[0-9]{12}"
REGION = r"[a-z]{2}(-[a-z]+)+-[0-9]"
PRINCIPAL_ARN = rf"{ARN}:iam::[0-9]{{12}}:(root|(role|user)/[a-zA-Z0-9_+=,.@/*-]+)"
PROFILE_ARN = rf"{ARN}:signer:[a-z0-9-]+:[0-9]{{12}}:/signing-profiles/[a-zA-Z0-9_]+/[a-zA-Z0-9]+"
KMS = "kms:"
RATE = r"(rate|cron)\([^()]+\)"
YEARS = 36_500  # days


class ChangeSource(StrEnum):
    """The source of the changes."""

    DYNAMODB = "dynamodb"
    KINESIS = "kinesis"


class Architecture(StrEnum):
    """The architecture of the function's processor, and so of its zip."""

    ARM64 = "arm64"
    X86_64 = "x86_64"


class AlarmsPer(StrEnum):
    """The subject of each alarm on tables: one table, or all of them."""

    TABLE = "table"
    GROUP = "group"
    COMPOSITE = "composite"


class Limit(NamedTuple):
    """The limits of a number."""

    least: int
    most: int
    what: str


# https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html and API_CreateFunction.html
LIMITS: Mapping[str, Limit] = {
    "batch_size": Limit(1, 10_000, "the mapping's batch size"),
    "batching_window": Limit(0, 300, "the mapping's batching window, in seconds,"),
    "parallelization": Limit(1, 10, "the mapping's parallelization factor"),
    "retries": Limit(0, 10_000, "the mapping's retry attempts"),
    "record_age": Limit(60, 604_800, "the mapping's record age, in seconds,"),
    "memory": Limit(128, 10_240, "the function's memory, in MB,"),
    "timeout": Limit(10, 900, "the function's timeout, in seconds,"),
    "log_days": Limit(1, 3_653, "the logs' retention, in days,"),
    "rpo_seconds": Limit(60, 86_400, "the recovery point objective, in seconds,"),
    "rto_seconds": Limit(60, 604_800, "the recovery time objective, in seconds,"),
    "witness_within_minutes": Limit(2, 1_440, "the minutes within which a witness has to run"),
    "drill_within_hours": Limit(2, 168, "the hours within which a drill has to pass"),
}
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


# With more tables than this, a template for each table's own parameters, alarms and schedules would not fit the limits of a stack
# (500 resources, 200 parameters, 200 outputs): see sizes.py and docs/notes/0056-many-tables-in-one-deployment.md.
MANY = 40

# A DynamoDB stream forgets after 24 hours: one hour is left to put too old changes aside.
STREAM_AGE = Limit(60, 82_800, "the mapping's record age, in seconds (a stream keeps 24 hours),")


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a deployment. `check` raises UsageError for impossible ones.

    `tables`: without any, the template is for one table that is named at deployment. `streams`: ARNs, by table, as defaults.
    `existing_bucket` and `existing_failures_bucket`: names of existing buckets; None creates one. Days: None for never.
    `bucket_owner`: the account of an existing vault bucket, None for the deployment's own; `admin`: the principal that may remove
    the buckets' contents; `..._key`: the ARN of a KMS key for the buckets (`kms_key`), logs, variables, and a topic that is made
    for alarms; `signing_profile`: the functions accept only code that is signed by it; `sign`: `kms:ARN`, the key with which
    functions sign the objects that they write. `replica`: no vault, but a function that keeps this other table like the one table.
    `requests`: what the bucket's policy demands of the functions' requests, its key aside: that is `kms_key`.
    `spark`: also an EMR Serverless application. `spark_writes`: URLs below which its jobs write snapshots and exports;
    `spark_imports`: they may restore by ImportTable; `spark_compacts`: they may compact.
    `retain`: also a scheduled function that removes what `init --keep` gives up.
    `keep_at_least`: a duration; the function removes nothing younger, whatever a catalog says. None: 30 days.
    `export`: also a scheduled function that appends changes to Iceberg tables below this URL.
    `alarms_per`: None for each table while there are few, else for all; `composite` is for all, and one alarm above them notifies.
    `drill_schedule`: None for the usual one. `moved`: Terraform's module renames the resources of a module made by 0.1.
    """

    tables: Sequence[str] = ()
    streams: Mapping[str, str] = {}
    source: ChangeSource = ChangeSource.DYNAMODB
    existing_bucket: str | None = None
    existing_failures_bucket: str | None = None
    prefix: str = "vault"
    bucket_owner: str | None = None
    admin: str | None = None
    kms_key: str | None = None
    logs_key: str | None = None
    environment_key: str | None = None
    topic_key: str | None = None
    signing_profile: str | None = None
    sign: str | None = None
    requests: RequestSettings = request_settings.USUAL
    replica: str | None = None
    replica_region: str | None = None
    replica_deletes: str = "all"
    lock: ObjectLock | None = None
    archive_days: int | None = None
    expire_days: int | None = None
    architecture: Architecture = Architecture.ARM64
    runtime: str = "python3.14"
    memory: int = 512
    timeout: int = 120
    reserved_concurrency: int | None = None
    log_days: int = 30
    batch_size: int = 1_000
    batching_window: int = 10
    parallelization: int = 1
    retries: int = expected.RETRIES
    record_age: int = expected.RECORD_AGE
    rpo_seconds: int = 1_800
    rto_seconds: int = 7_200
    alarms: bool = True
    alarms_per: AlarmsPer | None = None
    alarm_topic: str | None = None
    dashboard: bool = True
    witness: bool = True
    witness_schedule: str = "rate(5 minutes)"
    witness_within_minutes: int = 15
    drill: bool = True
    drill_schedule: str | None = None
    drill_within_hours: int = 30
    retain: bool = False
    retain_schedule: str = "rate(7 days)"
    keep_at_least: str | None = None
    export: str | None = None
    export_schedule: str = "rate(1 hour)"
    spark: bool = False
    spark_writes: Sequence[str] = ()
    spark_imports: bool = False
    spark_compacts: bool = False
    moved: bool = False

    def check(self, *, streams_follow: bool = False) -> None:
        """Raises UsageError with the fault. `streams_follow`: streams that are not given here are not a fault."""
        self._check_tables(streams_follow=streams_follow)
        for name in LIMITS:
            _within(getattr(self, name), self.limit(name))
        self._check_names()
        self._check_vault()
        self._check_signing()
        self.asked.check()
        if self.replica is not None:
            self._check_replica(self.replica)
        if self.log_days not in LOG_DAYS:
            raise UsageError(
                f"CloudWatch knows no retention of {self.log_days} days", hint=f"One of {', '.join(map(str, LOG_DAYS))}."
            )
        if self.reserved_concurrency is not None:
            _within(self.reserved_concurrency, Limit(1, 100_000, "the reserved concurrency"))

    def _check_replica(self, replica: str) -> None:
        check_table_name(replica)
        _match(self.replica_region, REGION, "a region")
        if len(self.tables) > 1 or (replica in self.tables and self.replica_region is None):
            raise UsageError("a replica is of one table, and another one", hint="Name one table, and --replica ANOTHER.")
        if self.retain:
            raise UsageError("a replica has no vault whose history could be removed", hint="Leave --retain out.")
        if self.spark:
            raise UsageError("a replica has no vault that a job on Spark could read", hint="Leave --spark out.")
        if self.requests != request_settings.USUAL:
            raise UsageError("a replica has no vault: no request goes to its bucket", hint="Leave out --sse and its like.")
        if self.alarms_per is not None:
            raise UsageError("a replica is of one table: its alarms are, too", hint="Leave --alarms-per out.")
        if self.existing_bucket or self.lock or self.archive_days or self.expire_days or self.source is ChangeSource.KINESIS:
            raise UsageError(
                "a replica has no vault, and follows the table's own stream",
                hint="--replica goes without --existing-bucket, --object-lock, --archive-after, --expire-after and Kinesis.",
            )

    @property
    def many(self) -> bool:
        """True if there are too many tables for schedules of their own, so that they share them and the template holds their
        streams."""
        return len(self.tables) > MANY

    @property
    def grouped(self) -> bool:
        """True if each alarm is about all tables."""
        return (
            self.alarms and self.replica is None and (self.many if self.alarms_per is None else self.alarms_per != AlarmsPer.TABLE)
        )

    @property
    def streams_missing(self) -> list[str]:
        """The tables whose streams have to be given, because the template must hold them, and are not."""
        return [table for table in self.tables if self.many and table not in self.streams]

    @property
    def asked(self) -> RequestSettings:
        """The settings of the functions' requests, with the key."""
        encrypted = self.requests.sse in (Encryption.KMS, Encryption.TWICE)
        return msgspec.structs.replace(self.requests, kms_key=self.kms_key if encrypted else None)

    @property
    def signing_key(self) -> str | None:
        """The ARN of the key that functions sign with."""
        return None if self.sign is None else self.sign.removeprefix(KMS)

    def limit(self, name: str) -> Limit:
        """Returns the limits of one of the numbers."""
        return STREAM_AGE if name == "record_age" and self.source is ChangeSource.DYNAMODB else LIMITS[name]

    def _check_tables(self, *, streams_follow: bool) -> None:
        for table in self.tables:
            check_table_name(table)
        twice = [table for table in self.tables if list(self.tables).count(table) > 1]
        if twice:
            raise UsageError(f"named twice: {twice[0]}")
        kinesis = self.source is ChangeSource.KINESIS
        for table, arn in self.streams.items():
            if table and table not in self.tables:
                raise UsageError(
                    f"a stream of a table that is not named: {arn}", hint=f"Add {table} to the tables, or leave it out."
                )
            _match(arn, KINESIS_ARN if kinesis else STREAM_ARN, f"the ARN of a {'Kinesis' if kinesis else 'DynamoDB'} stream")
            if table and not kinesis and f":table/{table}/stream/" not in arn:
                raise UsageError(f"not the stream of {table}: {arn}", hint="A stream's ARN names its table.")
        if (lacking := self.streams_missing) and not streams_follow:
            some = ", ".join(lacking[:3]) + " ..." * (len(lacking) > 3)
            raise UsageError(
                f"{len(lacking)} of {len(self.tables)} tables have no stream here: {some}",
                hint=f"With more than {MANY} tables the template holds the streams: give --stream TABLE=ARN, or --find-streams.",
            )
        if len(set(self.streams.values())) < len(self.streams):
            raise UsageError("two tables of one stream", hint="A function can be mapped to a stream once: give each table its own.")

    def _check_names(self) -> None:
        _match(self.existing_bucket, BUCKET, "a bucket's name")
        _match(self.existing_failures_bucket, BUCKET, "a bucket's name")
        _match(self.prefix, PREFIX, "a vault's prefix (folders of letters, digits, `_`, `-` and `.`)")
        _match(self.kms_key, KEY_ARN, "the ARN of a KMS key (an alias will not do: policies need the key's own)")
        for key in (self.logs_key, self.environment_key, self.topic_key):
            _match(key, KEY_ARN, "the ARN of a KMS key (an alias will not do)")
        profile = "the ARN of a version of a signing profile (arn:aws:signer:REGION:ACCOUNT:/signing-profiles/NAME/VERSION)"
        _match(self.signing_profile, PROFILE_ARN, profile)
        _match(self.bucket_owner, ACCOUNT, "an account's number, twelve digits")
        _match(self.admin, PRINCIPAL_ARN, "the ARN of a role or user (arn:aws:iam::ACCOUNT:role/NAME)")
        _match(self.alarm_topic, TOPIC_ARN, "the ARN of an SNS topic")
        _match(self.runtime, r"python3\.[0-9]{1,2}", "a Python runtime of Lambda")
        _match(self.retain_schedule, RATE, "a schedule, as `rate(7 days)`,")
        if self.keep_at_least is not None:
            objectives.parse(self.keep_at_least)
            if not self.retain:
                raise UsageError("--keep-at-least without --retain", hint="Give --retain, or leave it out.")
        _match(self.export_schedule, RATE, "a schedule, as `rate(1 hour)`,")
        _match(self.witness_schedule, RATE, "a schedule, as `rate(5 minutes)`,")
        _match(self.drill_schedule, RATE, "a schedule, as `rate(1 day)` or `cron(0 3 * * ? *)`,")
        if len(self.prefix) > 100:
            raise UsageError(f"the vault's prefix is longer than 100 characters: {self.prefix}")

    def _check_signing(self) -> None:
        if self.sign is None:
            return
        if not self.sign.startswith(KMS):
            raise UsageError(
                f"a function signs with a key of KMS, not with {self.sign!r}",
                hint="Give --sign kms:ARN: a private key in a file would have to lie in the function.",
            )
        _match(self.signing_key, KEY_ARN, "the ARN of a KMS key (an alias will not do: policies need the key's own)")
        if self.signing_key in (self.kms_key, self.logs_key, self.environment_key, self.topic_key):
            raise UsageError(
                f"a key of KMS encrypts or signs, never both: {self.signing_key}",
                hint="Make one to sign: aws kms create-key --key-usage SIGN_VERIFY --key-spec ECC_NIST_P256",
            )
        if self.replica is not None:
            raise UsageError("a replica has no vault in which anything could be signed", hint="Leave --sign out.")

    def _check_vault(self) -> None:
        for days, what in ((self.archive_days, "archive"), (self.expire_days, "expire")):
            if days is not None:
                _within(days, Limit(1, YEARS, f"the days after which old versions {what}"))
        if self.lock is not None:
            _within(self.lock.days, Limit(1, YEARS, "the days of Object Lock"))
        if None not in (self.archive_days, self.expire_days) and (self.expire_days or 0) <= (self.archive_days or 0):
            raise UsageError("old versions would expire before they are archived", hint="Let them expire later, or leave one out.")
        if self.bucket_owner and not self.existing_bucket:
            raise UsageError(
                "the vault's bucket is made in the account where this is deployed",
                hint="--bucket-owner says whose an existing bucket is: give --existing-bucket too, or leave it out.",
            )
        if self.alarms_per is not None and not self.alarms:
            raise UsageError("--alarms-per without alarms", hint="Leave out --alarms-per, or --no-alarms.")
        if self.alarms_per is AlarmsPer.TABLE and self.many:
            raise UsageError(
                f"alarms for each of {len(self.tables)} tables do not fit one stack",
                hint=f"Up to {MANY} do. Leave --alarms-per out, or deploy several stacks.",
            )
        if self.topic_key and (self.alarm_topic or not self.alarms):
            raise UsageError(
                "a topic is made only for alarms that have none",
                hint="--topic-key makes an encrypted topic: leave out --alarm-topic and --no-alarms, or --topic-key.",
            )
        if self.existing_bucket and (self.lock or self.archive_days or self.expire_days):
            raise UsageError(
                "Object Lock and lifecycle are set where the bucket is made",
                hint=f"Set them on {self.existing_bucket} yourself, or leave --existing-bucket out.",
            )


def streams_by_table(tables: Sequence[str], given: Sequence[str], source: ChangeSource) -> dict[str, str]:
    """Returns the streams by table: from `TABLE=ARN`, or from a DynamoDB stream's ARN, which names the table.

    Raises UsageError if neither does.
    """
    streams: dict[str, str] = {}
    for each in given:
        table, separator, arn = each.partition("=")
        if not separator:
            table, arn = _table_in(each, tables, source), each
        if table in streams:
            raise UsageError(f"two streams of one table: {each}")
        streams[table] = arn
    return streams


def _table_in(arn: str, tables: Sequence[str], source: ChangeSource) -> str:
    if not tables:
        return ""
    if source is ChangeSource.DYNAMODB and (found := re.fullmatch(r"arn:[^/]*:table/([^/]+)/stream/.*", arn)):
        return found[1]
    if len(tables) == 1:
        return tables[0]
    raise UsageError(f"whose stream is this? {arn}", hint="Write --stream TABLE=ARN.")


def _within(number: int, limit: Limit) -> None:
    if not limit.least <= number <= limit.most:
        raise UsageError(f"{limit.what} cannot be {number}", hint=f"From {limit.least:,} to {limit.most:,}.")


def _match(value: str | None, pattern: str, what: str) -> None:
    if value is not None and not re.fullmatch(pattern, value):
        raise UsageError(f"not {what}: {value!r}")

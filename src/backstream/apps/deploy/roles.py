"""The roles: each may make exactly the calls of its function, on their resources (a test records them all)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from backstream.apps.deploy import sizes, storage
from backstream.apps.deploy.choices import ChangeSource, Choices
from backstream.apps.deploy.expressions import Given, Of, Part, Resource, StackValue, TableName, Text, Value, text
from backstream.apps.deploy.tables import Target
from backstream.operations.drill import scratch

CAPTURE_ROLE, WITNESS_ROLE, DRILL_ROLE, SCHEDULE_ROLE = "CaptureRole", "WitnessRole", "DrillRole", "ScheduleRole"
RETAIN_ROLE = storage.RETAIN_ROLE
DRILL_ID = 8  # characters: operations/drill/run.py
# With more tables, or long names, a role's policies would exceed IAM's limit (see sizes.py): then they cover what belongs to any
# table.
NAMED_TABLES = 10
# These are the catalog, and the object beside it that shows whether the server knows conditions: stores/s3/store.py.
CATALOGS = ("catalog.json", "catalog.json.if-match")

SCRATCH = [f"dynamodb:{each}" for each in ("CreateTable", "DescribeTable", "BatchWriteItem", "Scan", "DeleteTable")]

Statement = Mapping[str, Value]


class Tables(NamedTuple):
    """The tables of a policy. `whole`: it names each of them; otherwise it covers the objects of any table."""

    targets: Sequence[Target]
    whole: bool = True

    @property
    def names(self) -> Sequence[Part]:
        """The tables' names, or `*` for any."""
        return [each.name for each in self.targets] if self.whole else ["*"]


def capture_role(choices: Choices, targets: Sequence[Target], log_group: Text) -> Resource:
    """Returns the role of the function that keeps the changes: it adds rows, segments of the log and gaps, and nothing else."""

    def statements(tables: Tables) -> Iterator[Statement]:
        yield from _keeping(choices, tables)
        yield _see_tables(tables)  # a table that was made again, and a stream that was replaced, are told by it alone
        yield from failing(choices)
        yield from reading(choices, tables)
        yield from keys(choices)
        yield from signing(choices)
        yield log(log_group)

    why = (
        "The permissions of the capturing function. It adds rows, log segments and gaps of its tables. "
        "Lambda itself reads the stream with this role."
    )
    return fitting(CAPTURE_ROLE, "capture", statements, targets, why)


def witness_role(choices: Choices, targets: Sequence[Target], log_group: Text) -> Resource:
    """Returns the role of the witness: it reads the streams itself, writes changes that the capturing function missed, and changes
    the catalog.

    The catalog names the table's id and its stream. The witness changes it if the table was created again, or its stream replaced.
    """
    kinesis = [] if _streams(choices) else ["dynamodb:DescribeKinesisStreamingDestination"]

    def statements(tables: Tables) -> Iterator[Statement]:
        catalogs = [_in_vault(choices, "_backstream/", each, f"/{name}") for each in tables.names for name in CATALOGS]
        yield from _keeping(choices, tables)
        yield of_vault(choices, "ChangeCatalog", ["s3:PutObject"], catalogs)
        yield _see_tables(tables, *kinesis)
        yield next(iter(reading(choices, tables)))
        yield from keys(choices)
        yield from signing(choices)
        yield log(log_group)

    why = "The permissions of the witness: read the streams, write what is missing in the vault, and change the catalog."
    return fitting(WITNESS_ROLE, "witness", statements, targets, why)


def drill_role(choices: Choices, targets: Sequence[Target], log_group: Text) -> Resource:
    """Returns the role of the function that drills."""

    def statements(tables: Tables) -> Iterator[Statement]:
        reports = [_in_vault(choices, "_backstream/", each, "/drills/*") for each in tables.names]
        scratches = [table(_scratch(each)) for each in tables.names]
        yield read_vault(choices, tables)
        yield of_vault(choices, "KeepReport", ["s3:PutObject"], reports)
        yield list_vault(choices)
        yield allow("ReadTable", ["dynamodb:DescribeTable", "dynamodb:Scan"], [table(each) for each in tables.names])
        yield allow("ScratchTable", SCRATCH, scratches)
        yield from keys(choices)
        yield log(log_group)

    why = "The permissions of the drill: read the vault and the tables, and write to scratch tables that it makes and deletes."
    return fitting(DRILL_ROLE, "drill", statements, targets, why)


def retain_role(choices: Choices, targets: Sequence[Target], log_group: Text) -> Resource:
    """Returns the role of the function that removes old history: the only one that may remove versions."""

    def statements(tables: Tables) -> Iterator[Statement]:
        catalogs = [_in_vault(choices, "_backstream/", each, f"/{name}") for each in tables.names for name in CATALOGS]
        own = [_in_vault(choices, "_backstream/", each, "/*") for each in tables.names]
        yield read_vault(choices, tables)
        yield of_vault(choices, "WriteState", ["s3:PutObject"], [*_folders(choices, tables, "base", "compacted"), *catalogs])
        yield of_vault(choices, "HideCompacted", ["s3:DeleteObject"], own)
        yield of_vault(choices, "RemoveVersions", ["s3:DeleteObjectVersion"], _both_places(choices, tables))
        locks = ["s3:GetObjectRetention", "s3:GetObjectLegalHold"]
        yield of_vault(choices, "SeeLocks", locks, _both_places(choices, tables))
        yield of_vault(choices, "SeeBucket", ["s3:GetBucketObjectLockConfiguration"], [storage.vault_arn(choices)])
        yield list_vault(choices)
        # A batch that still waits may be of a moment that is to be kept: without a look at it nothing is claimed, and nothing goes.
        yield from reading_failures(choices)
        yield from keys(choices)
        yield from signing(choices)
        yield log(log_group)

    why = "The permissions of the retention. No other role here may remove versions."
    return fitting(RETAIN_ROLE, "retain", statements, targets, why)


def schedule_role(functions: Sequence[str]) -> Resource:
    """Returns the role of the schedules that start the witness and drills."""
    statements = [allow("StartFunctions", ["lambda:InvokeFunction"], [Of(each) for each in functions])]
    return role(SCHEDULE_ROLE, "scheduler", "schedule", statements, "The permissions of the schedules.")


# --- what they have in common -----------------------------------------------------------------------------------------------------


def fitting(
    id_: str, policy: str, statements: Callable[[Tables], Iterable[Statement]], targets: Sequence[Target], why: str
) -> Resource:
    """Returns a function's role that names its tables, or covers any table where it would be too long."""
    made = role(id_, "lambda", policy, [*statements(Tables(targets))], why)
    if len(targets) <= NAMED_TABLES and sizes.policies(made) <= sizes.POLICIES:
        return made
    return role(id_, "lambda", policy, [*statements(Tables(targets, whole=False))], why)


def role(id_: str, service: str, policy: str, statements: Sequence[Statement], why: str) -> Resource:
    trust: dict[str, Value] = {
        "Effect": "Allow",
        "Principal": {"Service": [f"{service}.amazonaws.com"]},
        "Action": ["sts:AssumeRole"],
    }
    if service == "scheduler":
        # https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
        trust["Condition"] = {"StringEquals": {"aws:SourceAccount": [StackValue.ACCOUNT]}}
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    properties: dict[str, Value] = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": policy, "PolicyDocument": document}],
    }
    return Resource(id_, "AWS::IAM::Role", properties, why)


def allow(sid: str, actions: Sequence[str], resources: Sequence[Value], condition: Mapping[str, Value] | None = None) -> Statement:
    statement: dict[str, Value] = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement if condition is None else {**statement, "Condition": condition}


def of_vault(choices: Choices, sid: str, actions: Sequence[str], resources: Sequence[Value]) -> Statement:
    """Returns a statement about the vault's bucket.

    A bucket's ARN does not name its owner: somebody else may have taken a deleted one's name.
    """
    return allow(sid, actions, resources, _owned_by(storage.vault_owner(choices)))


def _of_failures(choices: Choices, sid: str, actions: Sequence[str], below: str = "") -> Statement:
    return allow(sid, actions, [storage.failures_arn(choices, below)], _owned_by(StackValue.ACCOUNT))


def reading_failures(choices: Choices) -> Iterator[Statement]:
    """Yields the permissions to see which batches still wait."""
    yield _of_failures(choices, "ReadFailedBatches", ["s3:GetObject"], f"/{storage.FAILED_BATCHES}*")
    yield _of_failures(choices, "FindFailures", ["s3:ListBucket"])


def failing(choices: Choices) -> Iterator[Statement]:
    """Yields the permissions that Lambda uses in the role's name for a discarded batch."""
    yield _of_failures(choices, "KeepFailedBatches", ["s3:PutObject"], f"/{storage.FAILED_BATCHES}*")
    yield _of_failures(choices, "FindFailures", ["s3:ListBucket"])


def _owned_by(account: Part) -> Mapping[str, Value]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourceaccount"""
    return {"StringEquals": {"aws:ResourceAccount": [account]}}


def _keeping(choices: Choices, tables: Tables) -> Iterator[Statement]:
    """Yields the permissions for capture: it reads everything, adds rows, segments and gaps, and puts delete markers on deleted
    items' rows.
    """
    places = _folders(choices, tables, "log", "gaps")
    yield read_vault(choices, tables)
    yield of_vault(choices, "AddToLog", ["s3:PutObject"], places)
    # Without a version's id DeleteObject writes a delete marker, and removes nothing. Only retention has s3:DeleteObjectVersion.
    yield of_vault(choices, "KeepRows", ["s3:PutObject", "s3:DeleteObject"], _all_rows(choices, tables))
    yield list_vault(choices)


def read_vault(choices: Choices, tables: Tables) -> Statement:
    return of_vault(choices, "ReadVault", ["s3:GetObject", "s3:GetObjectVersion"], _both_places(choices, tables))


def reading_vault(choices: Choices, tables: Tables) -> Iterator[Statement]:
    """Yields the permissions to read the tables' history, and to list."""
    yield read_vault(choices, tables)
    yield list_vault(choices)


def objects_of(choices: Choices, tables: Tables, name: str) -> list[Text]:
    """Returns the ARNs of one of each table's own objects."""
    return [_in_vault(choices, "_backstream/", each, f"/{name}") for each in tables.names]


def _both_places(choices: Choices, tables: Tables) -> list[Text]:
    if not tables.whole:
        return [_in_vault(choices, "*")]
    return [place for each in tables.names for place in (_rows(choices, each), _in_vault(choices, "_backstream/", each, "/*"))]


def _folders(choices: Choices, tables: Tables, *folders: str) -> list[Text]:
    return [_in_vault(choices, "_backstream/", each, f"/{folder}/*") for each in tables.names for folder in folders]


def _all_rows(choices: Choices, tables: Tables) -> list[Text]:
    """Returns the folders of the tables' rows; with many, the folders of any table whose name begins with the same character.

    A name that begins with `_` is always whole, so that no pattern covers the vault's own folder `_backstream`.
    """
    if tables.whole:
        return [_rows(choices, each) for each in tables.names]
    names = [each.table for each in tables.targets if each.table is not None]
    return [_in_vault(choices, each) for each in sorted({f"{name}/*" if name[0] == "_" else f"{name[0]}*" for name in names})]


def _rows(choices: Choices, table: Part) -> Text:
    return _in_vault(choices, table, "/*")


def _in_vault(choices: Choices, *below: Part) -> Text:
    return storage.vault_arn(choices, "/", Given("VaultPrefix"), "/", *below)


def list_vault(choices: Choices) -> Statement:
    """Returns the permission to list. It also makes a missing object a 404, not an ambiguous 403, so it has no condition on a
    prefix.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    return of_vault(choices, "FindVersions", ["s3:ListBucket", "s3:ListBucketVersions"], [storage.vault_arn(choices)])


def _see_tables(tables: Tables, *more: str) -> Statement:
    return allow("SeeTables", ["dynamodb:DescribeTable", *more], [table(each) for each in tables.names])


def reading(choices: Choices, tables: Tables) -> Iterator[Statement]:
    """Yields the permissions that Lambda uses in the role's name. ListStreams (of both services) knows no resource, so it needs
    `*`.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html and list_amazonkinesis.html
    """
    if _streams(choices):
        service, actions = "dynamodb", ["DescribeStream", "GetRecords", "GetShardIterator"]
    else:
        service, actions = "kinesis", ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"]
    streams: list[Value] = [each.stream for each in tables.targets]
    if not tables.whole:
        streams = [table("*/stream/*") if _streams(choices) else _here("kinesis", "stream/*")]
    yield allow("ReadStream", [f"{service}:{each}" for each in actions], streams)
    yield allow("ListStreams", [f"{service}:ListStreams"], ["*"])


def _streams(choices: Choices) -> bool:
    return choices.source is ChangeSource.DYNAMODB


def keys(choices: Choices, *, vault: bool = True) -> Iterator[Statement]:
    """Yields the permissions for keys: the vault's key only by way of S3; Lambda uses the environment's key in the role's name."""
    if choices.kms_key and vault:
        by_s3 = {"StringLike": {"kms:ViaService": [text("s3.*.", StackValue.DOMAIN)]}}
        yield allow("UseKey", ["kms:Decrypt", "kms:GenerateDataKey"], [Given("KmsKeyArn")], by_s3)
    if choices.environment_key:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
        yield allow("ReadEnvironment", ["kms:Decrypt"], [Given("EnvironmentKeyArn")])


def signing(choices: Choices) -> Iterator[Statement]:
    """Yields the permission to sign, only with a digest.

    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-message-type
    """
    if choices.signing_key:
        digest = {"StringEquals": {"kms:MessageType": ["DIGEST"]}}
        yield allow("Sign", ["kms:Sign"], [Given("SigningKeyArn")], digest)


def log(log_group: Text) -> Statement:
    """Returns the permission for logs, without CreateLogGroup: the template creates the group with its retention, and Lambda must
    not create it without.
    """
    arn = text("arn:", StackValue.PARTITION, ":logs:", StackValue.REGION, ":", StackValue.ACCOUNT, ":log-group:", log_group, ":*")
    return allow("WriteLog", ["logs:CreateLogStream", "logs:PutLogEvents"], [arn])


def table(name: Part | Text) -> Text:
    return _here("dynamodb", "table/", name)


def _here(service: str, *name: Part | Text) -> Text:
    return text("arn:", StackValue.PARTITION, f":{service}:", StackValue.REGION, ":", StackValue.ACCOUNT, ":", *name)


def _scratch(table: Part) -> Text:
    """Returns a pattern for every name of a scratch table in a drill of the table."""
    if isinstance(table, TableName):
        whole = scratch.name_for(table.table, "?" * DRILL_ID)
        return text(table, whole.removeprefix(table.table)) if whole.startswith(table.table) else text(whole)
    return text(table, "-drill-", "?" * DRILL_ID)

"""The roles: each may make exactly the calls of its function, on their resources (a test records them all)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backstream.apps.deploy import storage
from backstream.apps.deploy.choices import ChangeSource, Choices
from backstream.apps.deploy.expressions import Given, Of, Part, Resource, StackValue, Text, Value, text
from backstream.apps.deploy.tables import Target
from backstream.operations.drill import scratch

CAPTURE_ROLE, WITNESS_ROLE, DRILL_ROLE, SCHEDULE_ROLE = "CaptureRole", "WitnessRole", "DrillRole", "ScheduleRole"
DRILL_ID = 8  # characters: operations/drill/run.py
# With more tables, a role's policies would exceed IAM's limit (see sizes.py): then they cover objects of all the vault's tables.
NAMED_TABLES = 10
# These are the catalog, and the object beside it that shows whether the server knows conditions: stores/s3.py.
CATALOGS = ("catalog.json", "catalog.json.if-match")

Statement = Mapping[str, Value]


def capture_role(choices: Choices, targets: Sequence[Target], log_group: Text) -> Resource:
    """Returns the role of the function that keeps the changes: it adds rows, segments of the log and gaps, and nothing else."""
    tables = [each.name for each in targets]
    statements = [
        *_keeping(choices, tables),
        _see_tables(tables),  # a table that was made again, and a stream that was replaced, are told by it alone
        *failing(choices),
        *reading(choices, targets),
        *keys(choices),
        *_signing(choices),
        log(log_group),
    ]
    why = (
        "The permissions of the capturing function. It adds rows, log segments and gaps of its tables. "
        "Lambda itself reads the stream with this role."
    )
    return role(CAPTURE_ROLE, "lambda", "capture", statements, why)


def witness_role(choices: Choices, targets: Sequence[Target], log_group: Text) -> Resource:
    """Returns the role of the witness: it reads the streams itself, writes changes that the capturing function missed, and changes
    the catalog.

    The catalog names the table's id and its stream. The witness changes it if the table was created again, or its stream replaced.
    """
    tables = [each.name for each in targets]
    kinesis = [] if _streams(choices) else ["dynamodb:DescribeKinesisStreamingDestination"]
    named = tables if len(tables) <= NAMED_TABLES else ["*"]
    catalogs = [_in_vault(choices, "_backstream/", each, f"/{name}") for each in named for name in CATALOGS]
    statements = [
        *_keeping(choices, tables),
        _of_vault(choices, "ChangeCatalog", ["s3:PutObject"], catalogs),
        _see_tables(tables, *kinesis),
        next(iter(reading(choices, targets))),
        *keys(choices),
        *_signing(choices),
        log(log_group),
    ]
    why = "The permissions of the witness: read the streams, write what is missing in the vault, and change the catalog."
    return role(WITNESS_ROLE, "lambda", "witness", statements, why)


def drill_role(choices: Choices, targets: Sequence[Target], log_group: Text) -> Resource:
    """Returns the role of the function that drills."""
    tables = [each.name for each in targets]
    reported = tables if len(tables) <= NAMED_TABLES else ["*"]
    reports = [_in_vault(choices, "_backstream/", each, "/drills/*") for each in reported]
    statements = [
        _read_vault(choices, tables),
        _of_vault(choices, "KeepReport", ["s3:PutObject"], reports),
        _list_vault(choices),
        allow("ReadTable", ["dynamodb:DescribeTable", "dynamodb:Scan"], [table(each) for each in tables]),
        allow(
            "ScratchTable",
            [
                "dynamodb:CreateTable",
                "dynamodb:DescribeTable",
                "dynamodb:BatchWriteItem",
                "dynamodb:Scan",
                "dynamodb:DeleteTable",
            ],
            [table(_scratch(each)) for each in tables],
        ),
        *keys(choices),
        log(log_group),
    ]
    why = "The permissions of the drill: read the vault and the tables, and write to scratch tables that it makes and deletes."
    return role(DRILL_ROLE, "lambda", "drill", statements, why)


def schedule_role(functions: Sequence[str]) -> Resource:
    """Returns the role of the schedules that start the witness and drills."""
    statements = [allow("StartFunctions", ["lambda:InvokeFunction"], [Of(each) for each in functions])]
    return role(SCHEDULE_ROLE, "scheduler", "schedule", statements, "The permissions of the schedules.")


# --- what they have in common -----------------------------------------------------------------------------------------------------


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


def _of_vault(choices: Choices, sid: str, actions: Sequence[str], resources: Sequence[Value]) -> Statement:
    """Returns a statement about the vault's bucket.

    A bucket's ARN does not name its owner: somebody else may have taken a deleted one's name.
    """
    return allow(sid, actions, resources, _owned_by(storage.vault_owner(choices)))


def _of_failures(choices: Choices, sid: str, actions: Sequence[str], below: str = "") -> Statement:
    return allow(sid, actions, [storage.failures_arn(choices, below)], _owned_by(StackValue.ACCOUNT))


def failing(choices: Choices) -> Iterator[Statement]:
    """Yields the permissions that Lambda uses in the role's name for a discarded batch."""
    yield _of_failures(choices, "KeepFailedBatches", ["s3:PutObject"], f"/{storage.FAILED_BATCHES}*")
    yield _of_failures(choices, "FindFailures", ["s3:ListBucket"])


def _owned_by(account: Part) -> Mapping[str, Value]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourceaccount"""
    return {"StringEquals": {"aws:ResourceAccount": [account]}}


def _keeping(choices: Choices, tables: Sequence[Part]) -> Iterator[Statement]:
    """Yields the permissions for capture: it reads everything, adds rows, segments and gaps, and puts delete markers on deleted
    items' rows.
    """
    places = _folders(choices, tables, "log", "gaps")
    rows = [_rows(choices, each) for each in tables]
    yield _read_vault(choices, tables)
    yield _of_vault(choices, "AddToLog", ["s3:PutObject"], places)
    # Without a version's id DeleteObject writes a delete marker, and removes nothing; s3:DeleteObjectVersion is in no policy here.
    yield _of_vault(choices, "KeepRows", ["s3:PutObject", "s3:DeleteObject"], rows)
    yield _list_vault(choices)


def _read_vault(choices: Choices, tables: Sequence[Part]) -> Statement:
    return _of_vault(choices, "ReadVault", ["s3:GetObject", "s3:GetObjectVersion"], _both_places(choices, tables))


def _both_places(choices: Choices, tables: Sequence[Part]) -> list[Text]:
    if len(tables) > NAMED_TABLES:
        return [_in_vault(choices, "*")]
    return [place for each in tables for place in (_rows(choices, each), _in_vault(choices, "_backstream/", each, "/*"))]


def _folders(choices: Choices, tables: Sequence[Part], *folders: str) -> list[Text]:
    named = tables if len(tables) <= NAMED_TABLES else ["*"]
    return [_in_vault(choices, "_backstream/", each, f"/{folder}/*") for each in named for folder in folders]


def _rows(choices: Choices, table: Part) -> Text:
    return _in_vault(choices, table, "/*")


def _in_vault(choices: Choices, *below: Part) -> Text:
    return storage.vault_arn(choices, "/", Given("VaultPrefix"), "/", *below)


def _list_vault(choices: Choices) -> Statement:
    """Returns the permission to list. It also makes a missing object a 404, not an ambiguous 403, so it has no condition on a
    prefix.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    return _of_vault(choices, "FindVersions", ["s3:ListBucket", "s3:ListBucketVersions"], [storage.vault_arn(choices)])


def _see_tables(tables: Sequence[Part], *more: str) -> Statement:
    named = tables if len(tables) <= NAMED_TABLES else ["*"]
    return allow("SeeTables", ["dynamodb:DescribeTable", *more], [table(each) for each in named])


def reading(choices: Choices, targets: Sequence[Target]) -> Iterator[Statement]:
    """Yields the permissions that Lambda uses in the role's name. ListStreams (of both services) knows no resource, so it needs
    `*`.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html and list_amazonkinesis.html
    """
    if _streams(choices):
        service, actions = "dynamodb", ["DescribeStream", "GetRecords", "GetShardIterator"]
    else:
        service, actions = "kinesis", ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"]
    yield allow("ReadStream", [f"{service}:{each}" for each in actions], [each.stream for each in targets])
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


def _signing(choices: Choices) -> Iterator[Statement]:
    """Only with a digest: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-message-type"""
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
    return text("arn:", StackValue.PARTITION, ":dynamodb:", StackValue.REGION, ":", StackValue.ACCOUNT, ":table/", name)


def _scratch(table: Part) -> Text:
    """Returns a pattern for every name of a scratch table in a drill of the table."""
    if isinstance(table, str):
        return text(scratch.name_for(table, "?" * DRILL_ID))
    return text(table, "-drill-", "?" * DRILL_ID)

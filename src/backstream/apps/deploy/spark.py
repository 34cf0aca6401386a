"""Resources for `--engine spark` on EMR Serverless: an application, and the role of its jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstream.apps.deploy import roles, storage
from backstream.apps.deploy.choices import BUCKET, PLACE, Choices
from backstream.apps.deploy.expressions import Given, Of, Output, Parameter, Part, Resource, StackValue, Text, text
from backstream.apps.deploy.roles import Statement, allow, keys, role, table
from backstream.apps.deploy.tables import Target
from backstream.errors import UsageError

SPARK_ROLE, APPLICATION = "SparkRole", "SparkApplication"
RELEASE = "emr-7.9.0"  # Spark 3.5: https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/release-versions.html
TYPE = "AWS::EMRServerless::Application"
NAMES = r"[a-zA-Z0-9_.*-]{1,255}"
IDLE = 15  # minutes
HIDDEN = ("log/*", "compacted/*", "gaps/*")  # what a compaction hides lies in these folders


def check(choices: Choices) -> None:
    """Raises UsageError for writes of jobs that cannot be."""
    if not choices.spark and (choices.spark_writes or choices.spark_imports or choices.spark_compacts):
        raise UsageError("--spark-writes, --spark-imports and --spark-compacts are for jobs on Spark", hint="Add --spark.")
    for each in choices.spark_writes:
        found = PLACE.fullmatch(each)
        if found is None:
            raise UsageError(f"not a place that jobs could write to: {each!r}", hint="--spark-writes s3://BUCKET/FOLDER")
        ours, theirs = f"{choices.prefix}/", f"{found[2]}/"
        if found[1] == choices.existing_bucket and (theirs.startswith(ours) or ours.startswith(theirs)):
            raise UsageError(f"{each} lies within the vault, or around it", hint="Name another folder, or another bucket.")


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields what is asked: where the code lies, what a restore may write, and how large the application may grow."""
    if not choices.spark:
        return
    yield Parameter("SparkCodeBucket", "The bucket with backstream.zip, the job file and the Python environment.", pattern=BUCKET)
    meaning = "The tables that jobs may create and fill: a name, or a pattern of names with *."
    yield Parameter("SparkTargets", meaning, "restored-*", pattern=NAMES)
    yield Parameter("SparkMaxCpus", "The most virtual processors at a time. Each gets 4 GB of memory.", 64, least=4, most=4_000)


def resources(choices: Choices, targets: Sequence[Target]) -> Iterator[Resource]:
    """Yields the application and the role."""
    if not choices.spark:
        return
    why = (
        "The permissions of jobs on Spark, driver and executors: read the vault and the code, fill the tables that were named, "
        "and write what --spark-writes, --spark-imports and --spark-compacts name."
    )
    statements = [*_statements(choices), *_writing(choices, targets), *_importing(choices, targets), *_compacting(choices, targets)]
    statements += keys(choices)
    yield role(SPARK_ROLE, "emr-serverless", "spark", statements, why)
    yield Resource(
        APPLICATION,
        TYPE,
        {
            "Name": text(StackValue.STACK, "-spark"),
            "Type": "Spark",
            "ReleaseLabel": RELEASE,
            "Architecture": "X86_64",
            "MaximumCapacity": {"Cpu": text(Given("SparkMaxCpus"), " vCPU"), "Memory": "16000 GB"},
            "AutoStartConfiguration": {"Enabled": True},
            "AutoStopConfiguration": {"Enabled": True, "IdleTimeoutMinutes": IDLE},
        },
        "Where jobs on Spark run. It costs nothing while no job runs.",
    )


def outputs(choices: Choices) -> Iterator[Output]:
    """Yields the two values that `aws emr-serverless start-job-run` asks for."""
    if choices.spark:
        yield Output("SparkApplicationId", "The application for jobs on Spark: docs/spark.md.", Of(APPLICATION, "Ref"))
        yield Output("SparkRoleArn", "The execution role of these jobs.", Of(SPARK_ROLE))


def _statements(choices: Choices) -> Iterator[Statement]:
    owned = {"StringEquals": {"aws:ResourceAccount": [storage.vault_owner(choices)]}}
    vault = storage.vault_arn(choices, "/", Given("VaultPrefix"), "/*")
    yield allow("ReadVault", ["s3:GetObject", "s3:GetObjectVersion"], [vault], owned)
    yield allow("FindVersions", ["s3:ListBucket", "s3:ListBucketVersions"], [storage.vault_arn(choices)], owned)
    yield from roles.reading_failures(choices)  # a batch that still waits may be of the moment that is restored
    code = text("arn:", StackValue.PARTITION, ":s3:::", Given("SparkCodeBucket"))
    yield allow("ReadCode", ["s3:GetObject", "s3:ListBucket"], [code, text(code, "/*")])
    writes = ["CreateTable", "DescribeTable", "BatchWriteItem", "Scan", "UpdateTimeToLive", "DescribeTimeToLive"]
    yield allow("FillTables", [f"dynamodb:{each}" for each in writes], [table(Given("SparkTargets"))])


def _writing(choices: Choices, targets: Sequence[Target]) -> Iterator[Statement]:
    """Yields the permissions for snapshots and exports, at the places that were named, in this account's buckets.

    An export also keeps the names of the table's columns in the vault.
    """
    found = [place for place in map(PLACE.fullmatch, choices.spark_writes) if place is not None]
    if not found:
        return
    own = {"StringEquals": {"aws:ResourceAccount": [StackValue.ACCOUNT]}}
    bucket = ("arn:", StackValue.PARTITION, ":s3:::")
    places = [text(*bucket, place[1], "/", place[2], "/*") for place in found]
    yield allow("WritePlaces", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], places, own)
    yield allow("ListPlaces", ["s3:ListBucket"], [text(*bucket, each) for each in sorted({place[1] for place in found})], own)
    yield roles.of_vault(choices, "NameColumns", ["s3:PutObject"], _own(choices, targets, "columns.json"))


def _importing(choices: Choices, targets: Sequence[Target]) -> Iterator[Statement]:
    """Yields the permissions for `restore --via import`: the snapshot lies in the vault, in the tables' own folders.

    ImportTable reads it and writes its log in the name of who asks for it:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.Requesting.html
    """
    if not choices.spark_imports:
        return
    yield roles.of_vault(choices, "KeepSnapshots", ["s3:PutObject"], _own(choices, targets, "snapshots/*"))
    yield allow("ImportTables", ["dynamodb:ImportTable"], [table(Given("SparkTargets"))])
    yield allow("SeeImports", ["dynamodb:DescribeImport"], [table(text(Given("SparkTargets"), "/import/*"))])
    log = ["CreateLogGroup", "CreateLogStream", "DescribeLogGroups", "DescribeLogStreams", "PutLogEvents", "PutRetentionPolicy"]
    here = text("arn:", StackValue.PARTITION, ":logs:", StackValue.REGION, ":", StackValue.ACCOUNT, ":log-group:/aws-dynamodb/*")
    yield allow("LogImports", [f"logs:{each}" for each in log], [here])


def _compacting(choices: Choices, targets: Sequence[Target]) -> Iterator[Statement]:
    """Yields the permissions for compactions: to add sets and gaps that they find, and to hide what they replace."""
    if not choices.spark_compacts:
        return
    yield roles.of_vault(choices, "WriteSets", ["s3:PutObject"], _own(choices, targets, "compacted/*", "gaps/*"))
    yield roles.of_vault(choices, "HideCompacted", ["s3:DeleteObject"], _own(choices, targets, *HIDDEN))
    yield from roles.signing(choices)


def _own(choices: Choices, targets: Sequence[Target], *below: str) -> list[Text]:
    """Returns objects of the vault's own that belong to the tables; with many tables, to any table."""
    names: Sequence[Part] = [each.name for each in targets] if len(targets) <= roles.NAMED_TABLES else ["*"]
    vault = ("/", Given("VaultPrefix"), "/_backstream/")
    return [storage.vault_arn(choices, *vault, name, f"/{each}") for name in names for each in below]

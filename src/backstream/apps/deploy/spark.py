"""Resources for `--engine spark` on EMR Serverless: an application, and the role of its jobs."""

from __future__ import annotations

from collections.abc import Iterator

from backstream.apps.deploy import storage
from backstream.apps.deploy.choices import Choices
from backstream.apps.deploy.expressions import Given, Of, Output, Parameter, Resource, StackValue, text
from backstream.apps.deploy.roles import Statement, allow, keys, role, table

SPARK_ROLE, APPLICATION = "SparkRole", "SparkApplication"
RELEASE = "emr-7.9.0"  # Spark 3.5: https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/release-versions.html
TYPE = "AWS::EMRServerless::Application"
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
NAMES = r"[a-zA-Z0-9_.*-]{1,255}"
IDLE = 15  # minutes


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields what is asked: where the code lies, what a restore may write, and how large the application may grow."""
    if not choices.spark:
        return
    yield Parameter("SparkCodeBucket", "The bucket with backstream.zip, the job file and the Python environment.", pattern=BUCKET)
    meaning = "The tables that jobs may create and fill: a name, or a pattern of names with *."
    yield Parameter("SparkTargets", meaning, "restored-*", pattern=NAMES)
    yield Parameter("SparkMaxCpus", "The most virtual processors at a time. Each gets 4 GB of memory.", 64, least=4, most=4_000)


def resources(choices: Choices) -> Iterator[Resource]:
    """Yields the application and the role."""
    if not choices.spark:
        return
    why = (
        "The permissions of jobs on Spark, driver and executors: read the vault and the code, and fill the tables that were named."
    )
    yield role(SPARK_ROLE, "emr-serverless", "spark", list(_statements(choices)), why)
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
    code = text("arn:", StackValue.PARTITION, ":s3:::", Given("SparkCodeBucket"))
    yield allow("ReadCode", ["s3:GetObject", "s3:ListBucket"], [code, text(code, "/*")])
    writes = ["CreateTable", "DescribeTable", "BatchWriteItem", "Scan", "UpdateTimeToLive", "DescribeTimeToLive"]
    yield allow("FillTables", [f"dynamodb:{each}" for each in writes], [table(Given("SparkTargets"))])
    yield from keys(choices)

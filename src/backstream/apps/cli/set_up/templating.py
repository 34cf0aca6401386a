"""`template`: what deploys the Lambda function with all that belongs to it, as CloudFormation or Terraform."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from backstream.apps import deploy, finding_streams, library, publishing
from backstream.apps.cli.declaring import Argument, Option
from backstream.apps.cli.options import ALL, Vault
from backstream.apps.cli.output import notice
from backstream.apps.deploy import AlarmsPer, Architecture, ChangeSource, Choices, TemplateFormat
from backstream.apps.deploy.choices import streams_by_table
from backstream.apps.selection.selecting import Among
from backstream.apps.selection.table_selection import TableSelection
from backstream.errors import UsageError
from backstream.model import objectives, request_settings
from backstream.model.object_lock import LockMode, ObjectLock
from backstream.operations.replicate import Deletes

USUAL = Choices()
FILES = {TemplateFormat.YAML: "backstream.yaml", TemplateFormat.JSON: "backstream.json", TemplateFormat.HCL: "main.tf"}


class Language(StrEnum):
    """The language of the template."""

    CLOUDFORMATION = "cloudformation"
    TERRAFORM = "terraform"


def template(
    language: Annotated[Language, Argument(metavar="cloudformation|terraform", show_default=False)],
    tables: Annotated[
        TableSelection, Argument(metavar="[TABLE...]", help="The tables to keep [the template asks for one].", show_default=False)
    ] = ALL,
    *,
    vault: Vault = None,
    to: Annotated[Path | None, Option(metavar="PATH", help="Write it into a file, or a folder.", show_default=False)] = None,
    stream: Annotated[
        list[str] | None,
        Option(metavar="[TABLE=]ARN", help="A table's stream, as the parameter's default; repeat it.", show_default=False),
    ] = None,
    find_streams: Annotated[
        bool, Option("--find-streams", help="Ask DynamoDB for the streams of the other tables.", show_default=False)
    ] = False,
    source: Annotated[ChangeSource, Option(metavar="dynamodb|kinesis", help="The source of the changes.")] = USUAL.source,
    existing_bucket: Annotated[
        str | None, Option(metavar="NAME", help="Keep the vault in this bucket, and create none.", show_default=False)
    ] = None,
    existing_failures_bucket: Annotated[
        str | None, Option(metavar="NAME", help="Put failed batches in this bucket, and create none.", show_default=False)
    ] = None,
    prefix: Annotated[str, Option(metavar="PREFIX", help="The vault's prefix in its bucket.")] = USUAL.prefix,
    kms_key: Annotated[
        str | None, Option(metavar="ARN", help="Encrypt with this KMS key instead of S3's own.", show_default=False)
    ] = None,
    bucket_owner: Annotated[
        str | None,
        Option(metavar="ACCOUNT", help="The account of --existing-bucket, if it is another one.", show_default=False),
    ] = None,
    admin: Annotated[
        str | None,
        Option(
            metavar="ARN",
            help="The role or user that alone may remove versions and change versioning and lifecycle. "
            "Without it that is the account's root user.",
            show_default=False,
        ),
    ] = None,
    logs_key: Annotated[
        str | None, Option(metavar="ARN", help="Encrypt the functions' logs with this KMS key.", show_default=False)
    ] = None,
    environment_key: Annotated[
        str | None, Option(metavar="ARN", help="Encrypt the functions' variables with this KMS key.", show_default=False)
    ] = None,
    topic_key: Annotated[
        str | None,
        Option(metavar="ARN", help="Create a topic for the alarms, encrypted with this KMS key.", show_default=False),
    ] = None,
    signing_profile: Annotated[
        str | None,
        Option(metavar="ARN", help="Refuse code that this profile of AWS Signer has not signed.", show_default=False),
    ] = None,
    sign: Annotated[
        str | None,
        Option(metavar="kms:ARN", help="Let the functions sign what they write with this key, as init --sign.", show_default=False),
    ] = None,
    sse: Annotated[
        str | None,
        Option(
            metavar="aws:kms|AES256|aws:kms:dsse",
            help="Encryption that the bucket's policy demands of each PUT, with --kms-key.",
            show_default=False,
        ),
    ] = None,
    bucket_key: Annotated[
        bool | None, Option("--bucket-key/--no-bucket-key", help="Ask KMS once for many objects.", show_default=False)
    ] = None,
    request_payer: Annotated[
        bool, Option("--request-payer", help="The functions' account pays for requests to the bucket.", show_default=False)
    ] = False,
    log_class: Annotated[
        str | None, Option(metavar="CLASS", help="Storage class of the log and base backups.", show_default=False)
    ] = None,
    rows_class: Annotated[str | None, Option(metavar="CLASS", help="Storage class of row objects.", show_default=False)] = None,
    replica: Annotated[
        str | None,
        Option(metavar="TABLE2", help="No vault: a function that keeps TABLE2 like the table.", show_default=False),
    ] = None,
    replica_region: Annotated[
        str | None, Option(metavar="REGION", help="Where TABLE2 is, if in another region.", show_default=False)
    ] = None,
    replica_deletes: Annotated[Deletes, Option(metavar="all|not-ttl|none", help="Deletes that reach TABLE2.")] = Deletes.ALL,
    object_lock: Annotated[
        LockMode | None,
        Option(metavar="governance|compliance", help="Lock each new version, with --lock-days.", show_default=False),
    ] = None,
    lock_days: Annotated[int | None, Option(metavar="DAYS", help="Days of the lock.", show_default=False)] = None,
    archive_after: Annotated[
        int | None, Option(metavar="DAYS", help="Move old versions to Glacier Instant Retrieval.", show_default=False)
    ] = None,
    expire_after: Annotated[
        int | None,
        Option(metavar="DAYS", help="Delete old versions: ENDS what can be restored, see deploy.md.", show_default=False),
    ] = None,
    architecture: Annotated[
        Architecture, Option(metavar="arm64|x86_64", help="The function's, and its zip's.")
    ] = USUAL.architecture,
    runtime: Annotated[str, Option(metavar="NAME", help="Lambda's Python, and the zip's.")] = USUAL.runtime,
    memory: Annotated[int, Option(metavar="MB", help="The function's memory.")] = USUAL.memory,
    timeout: Annotated[int, Option(metavar="SECONDS", help="The function's time for a batch.")] = USUAL.timeout,
    reserved_concurrency: Annotated[
        int | None, Option(metavar="N", help="Concurrency kept for the function alone.", show_default=False)
    ] = None,
    log_days: Annotated[int, Option(metavar="DAYS", help="Days for which logs are kept.")] = USUAL.log_days,
    batch_size: Annotated[int, Option(metavar="N", help="Changes in a batch at most.")] = USUAL.batch_size,
    batching_window: Annotated[int, Option(metavar="SECONDS", help="Time in which a batch may fill up.")] = USUAL.batching_window,
    parallelization: Annotated[int, Option(metavar="N", help="Batches of one shard at a time.")] = USUAL.parallelization,
    retries: Annotated[int, Option(metavar="N", help="Retries of a failing batch before it is put aside.")] = USUAL.retries,
    record_age: Annotated[
        int, Option(metavar="SECONDS", help="Age at which a change that cannot be kept is put aside.")
    ] = USUAL.record_age,
    rpo: Annotated[str, Option(metavar="DURATION", help="Recovery point objective of alarms and drills, e.g. 30m.")] = "30m",
    rto: Annotated[str, Option(metavar="DURATION", help="Recovery time objective of drills, e.g. 2h.")] = "2h",
    alarm_topic: Annotated[str | None, Option(metavar="ARN", help="The SNS topic that alarms notify.", show_default=False)] = None,
    alarms: Annotated[bool, Option(" /--no-alarms", help="Leave the alarms out.", show_default=False)] = True,
    alarms_per: Annotated[
        AlarmsPer | None,
        Option(
            metavar="table|group|composite",
            help="Alarms for each table, or for all; composite: one above them notifies [table; group for more than 40].",
            show_default=False,
        ),
    ] = None,
    dashboard: Annotated[bool, Option(" /--no-dashboard", help="Leave the dashboard out.", show_default=False)] = True,
    witness: Annotated[bool, Option(" /--no-witness", help="Leave the scheduled witness out.", show_default=False)] = True,
    witness_schedule: Annotated[
        str, Option(metavar="SCHEDULE", help="When the witness reads the streams: a rate or cron of EventBridge.")
    ] = USUAL.witness_schedule,
    witness_within: Annotated[
        int, Option(metavar="MINUTES", help="Alarm if no witness has run for this many minutes.")
    ] = USUAL.witness_within_minutes,
    spark: Annotated[
        bool, Option("--spark", help="Add an EMR Serverless application for --engine spark, and its role: docs/spark.md.")
    ] = False,
    spark_writes: Annotated[
        list[str] | None,
        Option(
            "--spark-writes",
            metavar="URL",
            help="With --spark: a place for snapshots and exports, s3://bucket/prefix; repeat it.",
            show_default=False,
        ),
    ] = None,
    spark_imports: Annotated[
        bool, Option("--spark-imports", help="With --spark: its jobs may also restore with --via import.")
    ] = False,
    spark_compacts: Annotated[bool, Option("--spark-compacts", help="With --spark: its jobs may also compact.")] = False,
    drill: Annotated[bool, Option(" /--no-drill", help="Leave the scheduled drill out.", show_default=False)] = True,
    drill_schedule: Annotated[
        str | None,
        Option(
            metavar="SCHEDULE",
            help="When drills run: a rate or cron of EventBridge [rate(1 day); rate(1 hour) for more than 40 tables].",
            show_default=False,
        ),
    ] = None,
    drill_within: Annotated[
        int, Option(metavar="HOURS", help="Alarm if no drill has run for this many hours.")
    ] = USUAL.drill_within_hours,
    retain: Annotated[
        bool,
        Option("--retain", help="Add a scheduled function that removes the history that `init --keep` gives up, and its role."),
    ] = False,
    retain_schedule: Annotated[
        str, Option(metavar="SCHEDULE", help="When it runs: a rate or cron of EventBridge.")
    ] = USUAL.retain_schedule,
    keep_at_least: Annotated[
        str | None,
        Option("--keep-at-least", metavar="DURATION", help="Never remove what is younger [30d].", show_default=False),
    ] = None,
    export: Annotated[
        str | None,
        Option(
            metavar="URL",
            help="Add a scheduled function that appends changes to Iceberg tables below s3://bucket/prefix, in Glue, and its role.",
            show_default=False,
        ),
    ] = None,
    export_schedule: Annotated[
        str, Option(metavar="SCHEDULE", help="When it runs: a rate or cron of EventBridge.")
    ] = USUAL.export_schedule,
    moved: Annotated[
        bool, Option("--moved", help="Terraform: rename the resources of a module of version 0.1.", show_default=False)
    ] = False,
    json: Annotated[bool, Option("--json", help="CloudFormation as JSON instead of YAML.")] = False,
) -> None:
    """Print a template that deploys the capturing function, its buckets, roles, alarms, witness and scheduled drill."""
    named = [*tables.names] if tables.names or not tables.is_given else library.open(vault).select(tables, Among.ACCOUNT)
    choices = Choices(
        tables=named,
        streams=streams_by_table(named, stream or [], source),
        source=source,
        existing_bucket=existing_bucket,
        existing_failures_bucket=existing_failures_bucket,
        prefix=prefix,
        bucket_owner=bucket_owner,
        admin=admin,
        kms_key=kms_key,
        logs_key=logs_key,
        environment_key=environment_key,
        topic_key=topic_key,
        signing_profile=signing_profile,
        sign=sign,
        requests=request_settings.of_words(
            sse=sse, bucket_key=bucket_key, requester_pays=request_payer or None, log_class=log_class, rows_class=rows_class
        ),
        replica=replica,
        replica_region=replica_region,
        replica_deletes=replica_deletes.value,
        lock=_lock(object_lock, lock_days),
        archive_days=archive_after,
        expire_days=expire_after,
        architecture=architecture,
        runtime=runtime,
        memory=memory,
        timeout=timeout,
        reserved_concurrency=reserved_concurrency,
        log_days=log_days,
        batch_size=batch_size,
        batching_window=batching_window,
        parallelization=parallelization,
        retries=retries,
        record_age=record_age,
        rpo_seconds=objectives.parse(rpo),
        rto_seconds=objectives.parse(rto),
        alarms=alarms,
        alarms_per=alarms_per,
        alarm_topic=alarm_topic,
        dashboard=dashboard,
        spark=spark,
        spark_writes=spark_writes or [],
        spark_imports=spark_imports,
        spark_compacts=spark_compacts,
        witness=witness,
        witness_schedule=witness_schedule,
        witness_within_minutes=witness_within,
        drill=drill,
        drill_schedule=drill_schedule,
        drill_within_hours=drill_within,
        retain=retain,
        retain_schedule=retain_schedule,
        keep_at_least=keep_at_least,
        export=export,
        export_schedule=export_schedule,
        moved=moved,
    )
    format_ = _format(language, json=json)
    _check_moved(format_, choices)
    _write(deploy.template(finding_streams.found(choices, all_of_them=find_streams), format_), to, format_)


def _write(text: str, to: Path | None, format_: TemplateFormat) -> None:
    if to is None:
        sys.stdout.write(text)
        return
    path = to / FILES[format_] if to.is_dir() else to
    publishing.check_folder(path)
    publishing.publish(path, text.encode())
    notice(f"template: {path}")


def _format(language: Language, *, json: bool) -> TemplateFormat:
    if language is Language.CLOUDFORMATION:
        return TemplateFormat.JSON if json else TemplateFormat.YAML
    if json:
        raise UsageError("Terraform's template is HCL, not JSON", hint="Leave --json out.")
    return TemplateFormat.HCL


def _check_moved(format_: TemplateFormat, choices: Choices) -> None:
    if choices.moved and (format_ is not TemplateFormat.HCL or not choices.tables):
        raise UsageError("only Terraform's resources of named tables move", hint="Leave --moved out.")


def _lock(mode: LockMode | None, days: int | None) -> ObjectLock | None:
    if (mode is None) != (days is None):
        raise UsageError("Object Lock needs a mode and a time", hint="Give both --object-lock and --lock-days.")
    return None if mode is None or days is None else ObjectLock(mode, days)
